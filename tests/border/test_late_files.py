"""C2: what a user puts into a folder while it is replaced is brought along, or the old folder is kept."""

import contextlib
import errno
import os
import re
import shutil
from pathlib import Path

import pytest
from killing import contents_of, names_in

from scarches_plus import _files
from scarches_plus._files import _flush
from scarches_plus._files._folders import _others, _write_folder

pytestmark = pytest.mark.border
OWN = {"own"}.__contains__


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "x"
    _files.write_folder(folder, {"own": b"old"})
    (folder / "notes").write_bytes(b"1")
    return folder


@pytest.fixture
def comes_late(monkeypatch, folder):
    """Let something come into the old folder just before the new one takes its place."""

    def comes_late(call):
        put = _write_folder.place

        def place(new, target):
            call(folder)
            put(new, target)

        monkeypatch.setattr(_write_folder, "place", place)

    return comes_late


def replace(folder, content=b"new"):
    _files.write_folder(folder, {"own": content}, overwrite=True, replaced=OWN)


def kept_folder(message):
    return Path(re.search(r"is kept as (.+)$", str(message)).group(1))


def no_moves(monkeypatch, error=errno.EACCES):
    """Let nothing be moved out of a folder that was replaced, such as over a network that breaks down."""
    rename, swapped = os.rename, []

    def refused(source, target, **kwargs):
        if Path(source).name in {"late", "notes"}:
            swapped.append(source)
            raise OSError(error, os.strerror(error))
        return rename(source, target, **kwargs)

    monkeypatch.setattr(os, "rename", refused)
    monkeypatch.setattr(os, "replace", refused)
    return swapped


def late_file(folder):
    (folder / "late").write_bytes(b"mine")


def late_change(folder):
    (folder / "notes").unlink()
    (folder / "notes").write_bytes(b"22")


def file_became_folder(folder):
    (folder / "notes").unlink()
    (folder / "notes").mkdir()
    (folder / "notes" / "late").write_bytes(b"mine")


CASES = {
    "a new file": (late_file, {"late": b"mine"}),
    "a file that changed": (late_change, {"notes": b"22"}),
    "a file that became a folder": (file_became_folder, {"notes/late": b"mine"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_moved_is_kept(folder, tmp_path, monkeypatch, comes_late, border, protocol, case):
    comes, theirs = CASES[case]
    comes_late(comes)
    if case != "a file that became a folder":  # no file system puts a folder over a file
        moves = no_moves(monkeypatch)
    with pytest.warns(UserWarning, match="is kept as") as said:
        replace(folder)
    monkeypatch.undo()
    kept = kept_folder(said[0].message)
    border._row(
        "C2", f"{case} comes late and cannot be moved ({protocol})", "write_folder", "warns", str(said[0].message)
    )
    assert contents_of(kept).items() >= theirs.items()
    assert (folder / "own").read_bytes() == b"new"
    assert case == "a file that became a folder" or moves
    for content in (b"3", b"4"):
        replace(folder, content)
    assert contents_of(kept).items() >= theirs.items(), "later writers keep it too"
    assert names_in(tmp_path) == [kept.parent.name, "x"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, PermissionError])
def test_what_is_interrupted_is_kept(folder, monkeypatch, comes_late, protocol, stop):
    comes_late(late_file)

    def stopped(*_):
        raise stop

    monkeypatch.setattr(_others, "_move_late", stopped)
    goes_on = contextlib.nullcontext() if stop is PermissionError else pytest.raises(stop)
    with goes_on, pytest.warns(UserWarning, match="is kept as") as said:
        replace(folder)
    assert (kept_folder(said[0].message) / "late").read_bytes() == b"mine"
    assert (folder / "own").read_bytes() == b"new"


@pytest.mark.filterwarnings("error")
def test_what_is_said_as_an_error_is_kept(folder, monkeypatch, comes_late):
    comes_late(late_file)
    no_moves(monkeypatch)
    with pytest.raises(UserWarning, match="is kept as") as said:
        replace(folder)
    assert (kept_folder(said.value) / "late").read_bytes() == b"mine"


def test_a_change_in_a_subfolder(folder, tmp_path, comes_late, protocol):
    (folder / "figures").mkdir()
    (folder / "figures" / "a").write_bytes(b"1")

    def comes(folder):
        (folder / "figures" / "late").write_bytes(b"mine")
        (folder / "figures" / "a").unlink()
        (folder / "figures" / "a").write_bytes(b"22")

    comes_late(comes)
    replace(folder)
    assert contents_of(folder) == {"own": b"new", "notes": b"1", "figures/late": b"mine", "figures/a": b"22"}
    assert names_in(tmp_path) == ["x"]


@pytest.fixture
def no_hard_links(monkeypatch):
    def link(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


def test_without_hard_links(folder, tmp_path, no_hard_links, protocol):
    """Such as on a memory stick; what cannot be copied is moved in the end."""
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("nowhere")
    (folder / "sub").mkdir(mode=0o750)
    (folder / "sub" / "a").write_bytes(b"1")
    replace(folder)
    assert contents_of(folder) == {"own": b"new", "notes": b"1", "sub/a": b"1"}
    assert (folder / "pipe").is_fifo()
    assert (folder / "link").readlink() == Path("nowhere")
    assert (folder / "sub").stat().st_mode & 0o777 == 0o750
    assert names_in(tmp_path) == ["x"]


def test_what_cannot_be_copied_stops_the_replacement(folder, tmp_path, monkeypatch, no_hard_links):
    def copy2(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shutil, "copy2", copy2)
    with pytest.raises(OSError, match="the result is kept as") as said:
        replace(folder)
    assert contents_of(folder) == {"own": b"old", "notes": b"1"}
    assert contents_of(kept_folder(said.value)) == {"own": b"new"}


@pytest.mark.parametrize("links", [True, False])
def test_all_is_on_the_disk_before_the_exchange(folder, monkeypatch, request, links):
    """Whatever a power cut leaves, it is the old folder or the new one: all is brought to the disk before the
    exchange.
    """
    if not links:
        request.getfixturevalue("no_hard_links")
    (folder / "sub").mkdir()
    (folder / "sub" / "a").write_bytes(b"1")
    flushed, put, fsync = [], _write_folder.place, os.fsync

    def record(handle):
        flushed.append(os.fstat(handle).st_ino)
        fsync(handle)

    def place(new, target):
        put(new, target)
        needed = {"own": target / "own", "folder": target, "sub": target / "sub"}
        if not links:
            needed |= {"notes": target / "notes", "a": target / "sub" / "a"}
        at[:] = [name for name, path in needed.items() if path.stat().st_ino not in flushed]
        flushed.clear()

    at = ["not looked at"]
    monkeypatch.setattr(_flush.os, "fsync", record)
    monkeypatch.setattr(_write_folder, "place", place)
    replace(folder)
    assert at == []
    assert folder.stat().st_ino in flushed, "and what came late"
    assert folder.parent.stat().st_ino in flushed, "and that the new folder is there"

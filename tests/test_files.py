"""Files and folders are written whole, or not at all."""

import os
import re
import threading
import time
from pathlib import Path

import pytest
from killing import killed_at_rename, names_in

import scarches_plus
from scarches_plus import _files
from scarches_plus._files import _locks
from scarches_plus._files._folders import _private_folder, _swap, _write_folder
from scarches_plus._files._folders._read_folder import _read_held

#: What replaces or moves files, and what makes temporary ones that have names.
_REPLACES = re.compile(
    r"os\.(replace|rename|renames)\(|shutil\.(move|rmtree)\(|NamedTemporaryFile|write_(text|bytes)\(|"
    r"(path|part|file|folder|target|temporary)\.(replace|rename)\("
)
#: Files that write into a folder of ``tempfile``'s only.
_IN_TEMPORARY_FOLDERS = {"_clean_folder.py"}


def test_nothing_else_replaces_files():
    package = Path(scarches_plus.__file__).parent
    found = {
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        if "_files" not in path.parts and path.name not in _IN_TEMPORARY_FOLDERS
        for line in path.read_text(encoding="utf-8").splitlines()
        if _REPLACES.search(line) and "write_file(" not in line
    }
    assert not found


@pytest.fixture(params=["one exchange", "three renames"])
def protocol(request, monkeypatch):
    if request.param == "three renames":
        monkeypatch.setattr(_swap, "_function", lambda: None)
    return request.param


def test_a_folder_takes_the_place_of_another(tmp_path, protocol):
    folder = tmp_path / "x"
    _files.write_folder(folder, {"a": b"1", "gone": b"1"})
    with pytest.raises(FileExistsError, match="overwrite=True"):
        _files.write_folder(folder, {"a": b"2"})
    _files.write_folder(folder, lambda place: (place / "a").write_bytes(b"2"), overwrite=True)
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == {"a": b"2"}
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("fails", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_folder(tmp_path, protocol, fails):
    folder = tmp_path / "x"
    _files.write_folder(folder, {"a": b"1"})

    def fill(place):
        (place / "a").write_bytes(b"half")
        raise fails

    with pytest.raises(fails):
        _files.write_folder(folder, fill, overwrite=True)
    assert (folder / "a").read_bytes() == b"1"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_another_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "x"

    def fill(place):
        (place / "a").write_bytes(b"ours")
        if not folder.exists():
            _files.write_folder(folder, {"a": b"theirs"})

    with pytest.raises(OSError, match="kept as") as caught:
        _files.write_folder(folder, fill)
    assert (folder / "a").read_bytes() == b"theirs"
    assert (Path(str(caught.value).rpartition("kept as ")[2]) / "a").read_bytes() == b"ours"


@pytest.mark.parametrize(("host", "age", "stays"), [("ours", 0, False), ("other", 0, True), ("other", 4000, False)])
def test_temporaries_of_the_dead(tmp_path, host, age, stays):
    """A lock tells on this machine, time on others."""
    name = _private_folder._HOST if host == "ours" else "0" * 8
    left = tmp_path / f".x-{name}{'1' * 8}"
    left.mkdir()
    (left / "x").write_text("half")
    for path in (left / "x", left):
        os.utime(path, (time.time() - age,) * 2)
    _files.write_file(tmp_path / "x", b"1")
    assert left.exists() == stays


def test_temporaries_of_the_living(tmp_path):
    with _private_folder.private_folder(tmp_path / "x") as living:
        for _ in range(2):
            _files.write_file(tmp_path / "x", b"1")
        assert living.is_dir()
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_permissions_stay(tmp_path):
    for mode in (0o640, 0o600):
        _files.write_file(tmp_path / "x", b"1")
        (tmp_path / "x").chmod(mode)
        _files.write_file(tmp_path / "x", b"2")
        assert (tmp_path / "x").stat().st_mode & 0o777 == mode
    umask = os.umask(0)
    os.umask(umask)
    _files.write_folder(tmp_path / "folder", {"a": b"1"})
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~umask


def test_limits_of_what_is_read(tmp_path):
    (tmp_path / "x").write_bytes(bytes(100))
    assert len(_files.read_file(tmp_path / "x", at_most=100)) == 100
    (tmp_path / "link").symlink_to("x")
    for name, at_most, says in (
        ("x", 99, "99 at most"),
        ("link", 100, "is a link"),
        ("none", 9, "missing"),
        (".", 9, "no regular"),
    ):
        with pytest.raises(OSError, match=says):
            _files.read_file(tmp_path / name, at_most=at_most)


def test_all_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Whatever a power cut leaves, it is the old file or the new one."""
    events, fsync, replace = [], os.fsync, os.replace

    def record(name, call):
        return lambda one, *to: (events.append((name, os.stat(one).st_ino)), call(one, *to))  # noqa: PTH116 (or a descriptor)

    monkeypatch.setattr(os, "fsync", record("fsync", fsync))
    monkeypatch.setattr(os, "replace", record("replace", replace))
    _files.write_file(tmp_path / "x", b"1")
    file, folder = (tmp_path / "x").stat().st_ino, tmp_path.stat().st_ino
    assert events == [("fsync", file), ("replace", file), ("fsync", folder)]
    monkeypatch.setattr(os, "rename", record("rename", os.rename))
    events.clear()
    _files.write_folder(tmp_path / "y", lambda new: ((new / "sub").mkdir(), (new / "sub" / "a").write_bytes(b"1")))
    new = tmp_path / "y"
    made = {one.stat().st_ino for one in (new, new / "sub", new / "sub" / "a")}
    (at,) = [i for i, (name, _) in enumerate(events) if name == "rename"]
    assert made <= {number for _, number in events[:at]}
    assert ("fsync", folder) in events[at:]


def test_what_is_not_to_be_kept(tmp_path):
    def fails(_):
        raise PermissionError(13, "Permission denied")

    with pytest.raises(PermissionError, match="denied"):
        _files.write_file(tmp_path / "x", fails, keep=False)
    assert not list(tmp_path.iterdir())


def test_a_replacement_that_was_interrupted_between_renames(tmp_path):
    folder, before = tmp_path / "x", tmp_path / ".x.previous"
    for there in (False, True):  # the new folder
        _files.write_folder(folder, {"a": b"1"}, overwrite=True)
        folder.rename(before)
        assert _files.current(folder) == before
        with pytest.raises(FileExistsError, match="overwrite=True"):
            _files.write_folder(folder, {"a": b"2"})
        if there:
            folder.mkdir()
        _files.write_folder(folder, {"a": b"2"}, overwrite=True)
        assert (folder / "a").read_bytes() == b"2"
        assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_the_mode_of_a_folder_stays(tmp_path):
    folder = tmp_path / "x"
    _files.write_folder(folder, {"a": b"1"})
    folder.chmod(0o750)
    _files.write_folder(folder, {"a": b"2"}, overwrite=True)
    assert folder.stat().st_mode & 0o777 == 0o750


def test_a_short_reader_is_waited_for(tmp_path):
    folder, began = tmp_path / "x", threading.Event()
    _files.write_folder(folder, {"a": b"1"})

    def read():
        handle = _locks.lock(folder, shared=True)
        began.set()
        time.sleep(0.2)
        _locks.unlock(handle)

    thread = threading.Thread(target=read)
    thread.start()
    began.wait(10)
    _files.write_folder(folder, {"a": b"2"}, overwrite=True)
    thread.join()
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_private_folders_are_closed_to_others_and_leave_nothing_open(tmp_path):
    handles = Path("/proc/self/fd")
    n_open = len(list(handles.iterdir())) if handles.is_dir() else None
    with _private_folder.private_folder(tmp_path / "x") as private:
        assert private.stat().st_mode & 0o777 == 0o700
        assert _locks.is_locked(private)
    assert not private.exists()
    if n_open is not None:
        assert len(list(handles.iterdir())) == n_open


def test_a_folder_that_changes_while_it_is_locked(tmp_path, monkeypatch):
    folder = tmp_path / "x"
    folder.mkdir()
    flock = _locks.fcntl.flock

    def replaced(handle, how):
        folder.rename(tmp_path / "old")
        folder.mkdir()
        flock(handle, how)

    monkeypatch.setattr(_locks.fcntl, "flock", replaced)
    with pytest.raises(FileNotFoundError, match="was removed"):
        _locks.lock(folder)


@pytest.mark.parametrize("stop", [OSError, KeyboardInterrupt])
def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch, stop):
    folder = tmp_path / "x"
    _files.write_folder(folder, {"a": b"1"})
    rename = Path.rename

    def refused(path, target):
        if path.parent.parent == tmp_path and Path(target) == folder:
            raise stop("no")
        return rename(path, target)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_swap, "_function", lambda: None)
    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(stop):
        _files.write_folder(folder, {"a": b"2"}, overwrite=True)
    assert (folder / "a").read_bytes() == b"1"
    assert not (tmp_path / ".x.previous").exists()


def test_what_is_kept_replaces_nothing(tmp_path, monkeypatch):
    """Neither beside its place nor in the working folder, which has a file of that name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(b"mine")
    place = tmp_path / "place" / "x"

    def write(path):
        if path.is_relative_to(place.parent):
            raise PermissionError(13, "Permission denied")
        path.write_bytes(b"result")

    with pytest.raises(OSError, match="kept as") as said:
        _files.write_file(place, write)
    kept = Path(str(said.value).rpartition("kept as ")[2])
    assert (kept.parent, kept.read_bytes()) == (tmp_path, b"result")
    assert (tmp_path / "x").read_bytes() == b"mine"


def test_a_reader_keeps_what_it_reads(tmp_path, monkeypatch):
    """A folder that somebody holds is removed by a later writer."""
    monkeypatch.setattr(_write_folder, "_PATIENCE", 0.05)
    folder = tmp_path / "x"
    _files.write_folder(folder, {"a": b"1", "b": b"1"})
    began, go_on, read = threading.Event(), threading.Event(), []

    def slowly(place):
        first = (place / "a").read_bytes()
        began.set()
        go_on.wait(10)
        return first, (place / "b").read_bytes()

    thread = threading.Thread(target=lambda: read.append(_read_held(folder, slowly)))
    thread.start()
    began.wait(10)
    _files.write_folder(folder, {"a": b"2", "b": b"2"}, overwrite=True)
    assert len(names_in(tmp_path)) == 2
    go_on.set()
    thread.join()
    assert read == [(b"1", b"1")]
    _files.write_folder(folder, {"a": b"3", "b": b"3"}, overwrite=True)
    assert names_in(tmp_path) == ["x"]


@pytest.mark.kills
def test_a_living_writer_keeps_its_temporary(tmp_path):
    """Only the temporaries of the dead are removed."""

    def save():
        _files.write_folder(tmp_path / "x", {"a": b"1"}, overwrite=True)

    save()
    assert killed_at_rename(save, 0, after=False)
    dead = [path for path in tmp_path.iterdir() if path.name.startswith(".x-")]
    assert len(dead) == 1
    with _private_folder.private_folder(tmp_path / "x") as living:
        (living / "half").write_text("half")
        assert not dead[0].exists()
        save()
        assert (living / "half").read_text() == "half"
    assert names_in(tmp_path) == ["x"]

"""Files and folders are written whole, or not at all."""

import os
import re
import time
from pathlib import Path

import pytest

import scarches_plus
from scarches_plus import _files
from scarches_plus._files import _private_folder, _swap

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
        if path.parent.name != "_files" and path.name not in _IN_TEMPORARY_FOLDERS
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

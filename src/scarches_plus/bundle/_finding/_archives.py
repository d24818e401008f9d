"""Extract the model in a .zip or .tar.gz after checking names, links and sizes."""

from __future__ import annotations

import bz2
import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, NamedTuple, NoReturn, get_args

from scarches_plus._files import check_space
from scarches_plus._limits import ARCHIVE_EXPANSION, ARCHIVE_FILES, ARCHIVE_FREE_BYTES
from scarches_plus._pickles import FORMER_FILES, UnsafeFileError
from scarches_plus._text import for_message
from scarches_plus.bundle._manifest import CHECKSUMS, MANIFEST, FileName

from ._find import BUNDLE, CELL_FILES, MODEL_FILE, Place, nearest_places, only_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: First bytes of archives.
_ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"
_BZIP2 = b"BZh"
#: Mark of a ``.tar``, and where it stands.
_TAR = b"ustar"
_TAR_AT = 257
#: Bytes of the header of a member in a ``.tar``.
_HEADER = 512
#: Bytes of the header of a member in a ``.zip``, without its name.
_LOCAL_HEADER = 30
#: Records at the end of a ``.zip``, and of a ``.zip`` in the 64-bit format.
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_BYTES = 20
_LONGEST_COMMENT = 2**16
_ENTRY_BYTES = 200
_ENCRYPTED = 1
_CHUNK = 2**20
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error, EOFError, NotImplementedError, UnicodeDecodeError,
)  # fmt: skip
_PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class _Member(NamedTuple):
    """A file in an archive."""

    path: PurePosixPath
    size: int


def is_archive(path: Path) -> bool:
    """Tell whether a file is a ``.zip`` that is none of torch's, or a ``.tar``, packed or not."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
    if head.startswith(_ZIP):
        return not is_of_torch(path)
    try:
        with _opener(head)(path, "rb") as file:  # type: ignore[operator]
            return bool(file.read(_HEADER)[_TAR_AT:].startswith(_TAR))
    except (OSError, *_BROKEN):
        return False


def is_of_torch(path: Path) -> bool:
    """Tell whether a file is a ``.zip`` that ``torch.save`` wrote, by the name of its first member."""
    with path.open("rb") as file:
        head = file.read(_LOCAL_HEADER + _HEADER)
    n_name = int.from_bytes(head[26:28], "little")
    name = head[_LOCAL_HEADER : _LOCAL_HEADER + n_name]
    return head.startswith(_ZIP) and name.endswith((b"/data.pkl", b"/version", b"/byteorder", b"/.format_version"))


def _opener(head: bytes) -> Callable[..., IO[bytes]]:
    if head.startswith(_GZIP):
        return gzip.open  # type: ignore[return-value]
    return bz2.open if head.startswith(_BZIP2) else open  # type: ignore[return-value]


@contextmanager
def unpacked(path: Path, prefix: str | None, *, with_cells: bool) -> Iterator[tuple[Path, Place]]:
    """Yield a folder with the model of an archive, and its place in there, for as long as the context lasts.

    Parameters
    ----------
    path
        Archive with one model.
    prefix
        What the names of its files begin with.
    with_cells
        Unpack cells beside it as well.

    Raises
    ------
    FileNotFoundError
        If it holds no model.
    ValueError
        If it holds several, is damaged, or is refused: a member lies outside of it, is no file, or comes twice, or
        there are too many, or they are far larger than the archive.
    """
    with _opened(path) as (members, extract):
        place = _place_among(members, path, prefix)
        if place is None:
            names = [str(member.path) for member in members[:5]]
            message = (
                f"{path} holds no saved model ({MODEL_FILE}) and no bundle: "
                f"{for_message(', '.join(names)) or 'it is empty'}"
            )
            raise FileNotFoundError(message)
        wanted = _files_of(place, with_cells=with_cells)
        chosen = {one.path: one.size for one in members if one.path.parent == place.folder and one.path.name in wanted}
        n_bytes = sum(chosen.values())
        _require_expansion(path, n_bytes)
        with TemporaryDirectory() as folder:
            check_space(Path(folder), n_bytes)
            try:
                extract(chosen, Path(folder))
            except _BROKEN as error:
                _refuse(path, f"it is damaged ({error}); get it again")
            yield Path(folder), Place(place.layout, PurePosixPath(), place.prefix)


def place_in_archive(path: Path) -> Place | None:
    """Return where the model of an archive lies, ``None`` if it holds none; nothing is unpacked.

    Raises
    ------
    ValueError
        As :func:`unpacked`.
    """
    with _opened(path) as (members, _):
        return _place_among(members, path, None)


def _place_among(members: list[_Member], path: Path, prefix: str | None) -> Place | None:
    advice = "unpack it, and name the folder of one"
    return only_one(nearest_places(member.path for member in members), prefix, str(path), advice=advice)


def _files_of(place: Place, *, with_cells: bool) -> set[str]:
    """Return the names of all files that a model of a layout may have."""
    if place.layout == BUNDLE:
        return {MANIFEST, CHECKSUMS, *get_args(FileName)}
    names = (MODEL_FILE, *FORMER_FILES, *(CELL_FILES if with_cells else ()))
    return {f"{place.prefix}{name}" for name in names}


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[_Member], Callable[[dict[PurePosixPath, int], Path], None]]]:
    """Yield the files of an archive, and what unpacks some of them."""
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(_ZIP)) == _ZIP
        if is_zip:
            _require_small_directory(path)
            with zipfile.ZipFile(path) as archive:
                members = _checked(
                    path, ((one.filename, one.file_size, _kind_in_zip(one)) for one in archive.infolist())
                )
                yield members, lambda chosen, folder: _extract_zip(archive, chosen, folder)
        else:
            members = _checked(path, ((one.name, one.size, _kind_in_tar(one)) for one in _tar_members(path)))
            yield members, lambda chosen, folder: _extract_tar(path, chosen, folder)
    except _BROKEN as error:
        _refuse(path, f"it is damaged, or no archive ({error}); get it again")


def _checked(path: Path, found: Iterator[tuple[str, int, str]]) -> list[_Member]:
    """Return the files of an archive whose names are all fit to be used."""
    members: dict[PurePosixPath, _Member] = {}
    for number, (name, size, kind) in enumerate(found):
        if number >= ARCHIVE_FILES:
            _refuse(path, f"it holds more than {ARCHIVE_FILES} files; unpack it, and give the folder of the model")
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or "\\" in name or not name.isprintable() or ":" in name:
            _refuse(path, f"it holds {for_message(name)}, which would lie outside of it, or is not the name of a file")
        if kind == "folder":
            continue
        if kind != "file":
            _refuse(path, f"it holds {for_message(name)}, which is {kind} and no file")
        if place in members:
            _refuse(path, f"it holds {for_message(name)} twice")
        members[place] = _Member(place, size)
    return list(members.values())


def _kind_in_zip(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.compress_type not in _PACKED:
        return "packed by another method than deflate,"
    if info.is_dir():
        return "folder"
    return "file" if stat.S_IFMT(mode) in {0, stat.S_IFREG} else "a link, or a device,"


def _kind_in_tar(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "folder"
    return "file" if info.isreg() and not info.issparse() else "a link, or a device,"


def _require_small_directory(path: Path) -> None:
    """Refuse a ``.zip`` whose directory alone would take long to read."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END.size - _LONGEST_COMMENT - _LOCATOR_BYTES - _END_64.size))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        message = "its end is missing"
        raise zipfile.BadZipFile(message)
    n_bytes = _END.unpack_from(tail, at)[5]
    large = at - _LOCATOR_BYTES - _END_64.size
    if at >= _LOCATOR_BYTES and tail[at - _LOCATOR_BYTES :].startswith(b"PK\x06\x07"):
        place = int.from_bytes(tail[at - _LOCATOR_BYTES + 8 : at - 4], "little")
        if large < 0 or place != size - len(tail) + large:
            message = "its end does not agree with itself"
            raise zipfile.BadZipFile(message)
        n_bytes = max(n_bytes if n_bytes != 2**32 - 1 else 0, _END_64.unpack_from(tail, large)[8])
    if n_bytes > ARCHIVE_FILES * _ENTRY_BYTES:
        _refuse(path, f"it holds more than {ARCHIVE_FILES} files; unpack it, and give the folder of the model")


def _require_expansion(path: Path, n_bytes: int) -> None:
    if n_bytes > ARCHIVE_EXPANSION * path.stat().st_size + ARCHIVE_FREE_BYTES:
        _refuse(
            path,
            f"it unpacks to more than {ARCHIVE_EXPANSION} times its size; unpack it if you trust it, and give the "
            "folder",
        )


def _extract_zip(archive: zipfile.ZipFile, chosen: dict[PurePosixPath, int], folder: Path) -> None:
    for info in archive.infolist():
        place = PurePosixPath(info.filename)
        if place in chosen:
            with archive.open(info) as source:
                _copy(source, folder / place.name, chosen[place])


def _extract_tar(path: Path, chosen: dict[PurePosixPath, int], folder: Path) -> None:
    with _TarStream(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        for info in archive:
            place = PurePosixPath(info.name)
            if place in chosen and info.isreg():
                source = archive.extractfile(info)
                if source is not None:
                    _copy(source, folder / place.name, chosen[place])


def _copy(source: IO[bytes], target: Path, size: int) -> None:
    """Write a member as large as it says and no larger."""
    left = size
    with target.open("xb") as file:
        while contents := source.read(min(_CHUNK, left + 1)):
            left -= len(contents)
            if left < 0:
                break
            file.write(contents)
    if left:
        message = f"{target.name} has another size than it says"
        raise zipfile.BadZipFile(message)


def _tar_members(path: Path) -> Iterator[tarfile.TarInfo]:
    with _TarStream(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        yield from archive


class _TarStream:
    """The contents of a ``.tar``, packed or not, as long as they are not far larger than the file."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._file = _opener(file.read(len(_BZIP2)))(path, "rb")
        self._path = path
        self._read = 0

    def read(self, size: int) -> bytes:
        try:
            contents = self._file.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise tarfile.ReadError(str(error)) from error
        self._read += len(contents)
        _require_expansion(self._path, self._read)
        return contents

    def __enter__(self) -> _TarStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _refuse(path: Path, why: str) -> NoReturn:
    message = f"{path} is refused: {why}"
    raise UnsafeFileError(message)

"""Read the zip archives of ``torch.save``, with strict checks of entries and checksums.

Nothing in them may be packed, shared, or there twice.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, NoReturn

from scarches_plus._limits import ARCHIVE_MEMBERS, PICKLE_NAME_BYTES
from scarches_plus._text import for_line

from ._records import UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What ``torch.save`` writes. Of other archives, torch makes TorchScript, which is code.
_MEMBER = re.compile(
    r"[^/]+/(data\.pkl|data/\d+|version|byteorder|\.data/serialization_id|\.format_version|\.storage_alignment)"
)
_END = struct.Struct("<4s4H2LH")
#: Bytes at the end of a file that tell an archive.
N_LAST = _END.size
_END_64 = struct.Struct("<4sQ2H2L4Q")
_PLACE_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x41
_LARGE = 0xFFFFFFFF


def members_of(contents: memoryview) -> dict[str, memoryview]:
    """Return the members of an archive by name without the folder, as parts of its bytes.

    Python's :mod:`zipfile` is not used because it takes what others wrote: comments, packed and overlapping members,
    and a directory of any size.

    Raises
    ------
    UnsafeFileError
        If it is no archive of ``torch.save``, or a member's checksum is another.
    """
    n_entries, start, size, shift = _directory(contents)
    if n_entries > ARCHIVE_MEMBERS or size > ARCHIVE_MEMBERS * (_ENTRY.size + PICKLE_NAME_BYTES):
        _refuse(f"is refused: it holds more than {ARCHIVE_MEMBERS} members")
    members: dict[str, memoryview] = {}
    at, end, total = start, start + size, 0
    while at < end:
        if len(members) == n_entries:
            _refuse("is damaged: its directory holds more members than it says")
        name, checksum, n_bytes, local, at = _entry(contents, at, end)
        name = name.partition("/")[2]
        if name in members:
            _refuse(f"is refused: it holds a member twice ({name})")
        total += n_bytes
        if total > len(contents):
            _refuse("is packed, as torch never does, or members share their bytes")
        members[name] = _member(contents, local + shift, n_bytes, name, before=start)
        if zlib.crc32(members[name]) != checksum:
            _refuse(f"is damaged: the checksum of {name} is another; fetch or copy the file again")
    if len(members) != n_entries:
        _refuse("is damaged: its directory holds fewer members than it says")
    return members


def require_end(last: bytes) -> None:
    """Refuse a file whose last :data:`N_LAST` bytes do not end an archive.

    Raises
    ------
    UnsafeFileError
        If they do not.
    """
    if not (len(last) == N_LAST and last.startswith(b"PK\x05\x06")):
        _refuse("was cut off, or is no archive of torch: its end is missing; fetch or copy the file again")


def _directory(contents: memoryview) -> tuple[int, int, int, int]:
    """Return number of entries, start and size of the directory, and the offset of the archive.

    The offset is how far what precedes the archive moved it.
    """
    at = len(contents) - _END.size
    require_end(bytes(contents[max(0, at) :]))
    _, _, _, _, n_entries, size, start, comment = _END.unpack_from(contents, at)
    if comment:
        _refuse("is refused: it has a comment, as torch never writes one")
    place = at - _PLACE_64.size
    if place >= 0 and _is(contents, place, b"PK\x06\x07"):
        at = place - _END_64.size
        if at < 0 or not _is(contents, at, b"PK\x06\x06"):
            _refuse("is damaged: its end does not agree with itself")
        _, _, _, _, _, _, _, n_entries, size, start = _END_64.unpack_from(contents, at)
    shift = at - size - start
    if size > at or shift < 0:
        _refuse("is damaged: its directory lies outside of it")
    return n_entries, at - size, size, shift


def _entry(contents: memoryview, at: int, end: int) -> tuple[str, int, int, int, int]:
    """Return name, checksum, size and place of a member, and where the next entry begins."""
    if at + _ENTRY.size > end or not _is(contents, at, b"PK\x01\x02"):
        _refuse("is damaged: its directory is cut off")
    (_, _, _, flags, method, _, _, checksum, packed, n_bytes, n_name, n_extra, n_comment, _, _, _, local) = (
        _ENTRY.unpack_from(contents, at)
    )
    following = at + _ENTRY.size + n_name + n_extra + n_comment
    if following > end or n_name > PICKLE_NAME_BYTES:
        _refuse("is damaged: its directory is cut off")
    place = at + _ENTRY.size
    try:
        name = bytes(contents[place : place + n_name]).decode()
    except UnicodeDecodeError:
        _refuse("is refused: it holds a member whose name is no text")
    large = _large(contents[place + n_name : place + n_name + n_extra])
    n_bytes, packed, local = (next(large, -1) if one == _LARGE else one for one in (n_bytes, packed, local))
    if not _MEMBER.fullmatch(name):
        _refuse(
            f"is refused: it holds {for_line(name)!r}, which torch.save does not write; TorchScript is code, and no "
            "model"
        )
    if method != 0 or packed != n_bytes or flags & _ENCRYPTED:
        _refuse(f"is packed, as torch never does ({name})")
    if min(n_bytes, local) < 0:
        _refuse(f"is damaged: {name} has no size")
    return name, checksum, n_bytes, local, following


def _large(extra: memoryview) -> Iterator[int]:
    """Return the 64-bit numbers of an entry, which stand in its extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, n_bytes = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + n_bytes]
            return (one for (one,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8]))
        at += 4 + n_bytes
    return iter(())


def _member(contents: memoryview, at: int, n_bytes: int, name: str, *, before: int) -> memoryview:
    """Return the bytes of a member, which its own header announces under the same name."""
    if at + _LOCAL.size > before or not _is(contents, at, b"PK\x03\x04"):
        _refuse(f"is damaged: {name} is not where its directory says")
    *_, n_name, n_extra = _LOCAL.unpack_from(contents, at)
    place = at + _LOCAL.size
    own = bytes(contents[place : place + n_name]).decode(errors="replace")
    start = place + n_name + n_extra
    if own.partition("/")[2] != name or start + n_bytes > before:
        _refuse(f"is damaged: {name} is not where its directory says")
    return contents[start : start + n_bytes]


def _is(contents: memoryview, at: int, signature: bytes) -> bool:
    return bytes(contents[at : at + len(signature)]) == signature


def _refuse(why: str) -> NoReturn:
    raise UnsafeFileError(why)

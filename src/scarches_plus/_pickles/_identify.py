"""Identify a file that is no model by its first bytes, and suggest a fix."""

from __future__ import annotations

#: Bytes to look at.
LOOKED_AT = 512
_TAR = slice(257, 262)
#: Beginnings of files, what they are, and what helps.
_KINDS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, and not the file it stands for: run `git lfs pull` in its repository",
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as h5ad and h5mu are: cells, and no model; give it as the cells"),
    (b"\x1f\x8b", "compressed with gzip: unpack it first (`gunzip`)"),
    (b"BZh", "compressed with bzip2: unpack it first (`bunzip2`)"),
    (b"\xfd7zXZ", "compressed with xz: unpack it first (`unxz`)"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first (`unzstd`)"),
    (b"\x93NUMPY", "an array of numpy, and no model"),
    (b"%PDF", "a PDF, and no model"),
    (b"\x80", "a bare pickle, and no file of torch: it has to be what `model.save` wrote"),
)
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


def describe(start: bytes, n_bytes: int) -> str | None:
    """Return what a file is that begins with these bytes, if that is known and no archive, and what helps.

    Parameters
    ----------
    start
        The first :data:`LOOKED_AT` bytes.
    n_bytes
        Size of the file.
    """
    if not n_bytes:
        return "empty (0 bytes): fetch or copy it again"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PAGES):
        return "a web page, and not the file: look at the address, or at your login, and download it again"
    if text.startswith((b"{", b"[")):
        return "text (JSON), and no model; an answer of a server, perhaps: download it again"
    if start[_TAR] == b"ustar":
        return "a tar archive: unpack it first (`tar xf`), and give the folder with model.pt"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < n_bytes:
        return "a safetensors file; of a bundle, perhaps: sp.hub.load_bundle opens the folder it lies in"
    for beginning, what in _KINDS:
        if start.startswith(beginning):
            return what
    if start.startswith(b"PK"):
        return None
    if not start.strip(b"\0"):
        return "nothing but zeros: fetch or copy it again"
    return "no file of torch: fetch or copy it again"

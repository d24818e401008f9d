"""Compute the unpacked size of arrays in a .zarr folder without unpacking them."""

from __future__ import annotations

import struct
import zlib
from math import prod
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: Text in memory: Python's object beside its letters.
_TEXT = 64
_PACKERS = {"blosc", "zstd", "gzip", "zlib", "lz4"}
#: Leave the size as it is, or are texts, whose number is looked at. Others, such as pickle, make what a file names.
_HARMLESS = {"bytes", "transpose", "crc32c", "shuffle", "delta", "vlen-utf8", "vlen-bytes"}
_TEXTS = {"vlen-utf8", "vlen-bytes"}
_SHARDS = "sharding_indexed"
DESCRIPTIONS = {"zarr.json", ".zarray", ".zattrs"}
_MISSING = 2**64 - 1
_HEADER = 18
_CHECKSUM = 4
_GZIP_OR_ZLIB = 47
_BLOCK = 2**20


def unpacked_bytes(folder: Path, described: Mapping[str, Any], most: int) -> int:
    """Return how many bytes of memory an array takes, counted up to ``most``.

    Parameters
    ----------
    folder
        Where its chunks lie.
    described
        Its description, of version 2 or 3.
    most
        Bytes that it may take.

    Raises
    ------
    ValueError
        If it is packed in a way that anndata does not use by default, or a chunk is damaged.
    """
    grid = described.get("chunk_grid", {}).get("configuration", {})
    shape, chunks = (_lengths(one) for one in (described["shape"], described.get("chunks", grid.get("chunk_shape"))))
    each = _bytes_of_value(described.get("data_type", described.get("dtype")))
    codecs = described.get("codecs") or [*(described.get("filters") or ()), described.get("compressor")]
    names = [_name(one) for one in codecs if one is not None]
    in_file, chunk_bytes = None, prod(chunks) * each
    if names == [_SHARDS]:
        inner, codecs = _shards(codecs[0]["configuration"], chunks)
        in_file = prod(-(-length // step) for length, step in zip(chunks, inner, strict=True))
        names, chunk_bytes = [_name(one) for one in codecs], prod(inner) * each
    packer = _packer(names)
    is_text = bool(_TEXTS & set(names))
    declared, unpacked = max(prod(shape) * each, prod(chunks) * each), 0
    for file in folder.rglob("*"):
        if declared > most:
            break
        if file.is_file() and file.name not in DESCRIPTIONS:
            for chunk in _chunks(file, in_file):
                size = _announced(packer, chunk, most) if packer else len(chunk)
                if not is_text and size > chunk_bytes + _CHECKSUM:
                    message = f"a chunk has {size} bytes and not the {chunk_bytes} it declares"
                    raise ValueError(message)
                unpacked += size + (_bytes_of_texts(packer, chunk, size) if is_text and size <= most else 0)
        declared = max(declared, unpacked)
    return declared


def _packer(names: list[str]) -> str | None:
    """Return by what chunks are packed, if they are."""
    if strange := [name for name in names if name not in _PACKERS | _HARMLESS]:
        message = f"it is packed by {strange[0]}; write it again with adata.write_zarr"
        raise ValueError(message)
    packers = [name for name in names if name in _PACKERS]
    if len(packers) > 1 or (packers and names[-1] not in {packers[0], "crc32c"}):
        message = f"it is packed by {', '.join(names)}, in an order that no library writes"
        raise ValueError(message)
    return packers[0] if packers else None


def _lengths(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(one) is int and one >= 0 for one in value):
        message = f"the shape {str(value)[:60]} is none"
        raise ValueError(message)
    return value


def _bytes_of_value(kind: Any) -> int:
    if isinstance(kind, dict):  # of version 3
        options = kind.get("configuration", {})
        return _bytes_of_value(options["fields"]) if "fields" in options else int(options.get("length_bytes", _TEXT))
    if isinstance(
        kind, list
    ):  # several fields: name, type and shape of each, as a list or (zarr 3.2 and later) a table
        fields: list[Any] = [[one.get("name"), one.get("data_type")] if isinstance(one, dict) else one for one in kind]
        return sum(_bytes_of_value(one[1]) * prod(_lengths(list(one[2]) if one[2:] else [])) for one in fields)
    try:
        dtype = np.dtype(kind)
    except TypeError:
        return _TEXT
    return _TEXT if dtype.hasobject or not dtype.itemsize else dtype.itemsize


def _name(codec: Any) -> str:
    return str(codec.get("name", codec.get("id"))) if isinstance(codec, dict) else str(codec)


def _shards(options: dict[str, Any], chunks: list[int]) -> tuple[list[int], list[Any]]:
    """Return the shape of the chunks that lie in one file, and how each is packed."""
    inner = _lengths(options["chunk_shape"])
    index = [_name(one) for one in options.get("index_codecs", ())]
    if (
        len(inner) != len(chunks)
        or 0 in inner
        or index != ["bytes", "crc32c"]
        or options.get("index_location", "end") != "end"
    ):
        message = "its shards are written as no library does by default; write it without shards"
        raise ValueError(message)
    return inner, options["codecs"]


def _chunks(file: Path, in_file: int | None) -> Iterator[memoryview]:
    contents = memoryview(file.read_bytes())
    if in_file is None:
        yield contents
        return
    size = in_file * 16
    if len(contents) < size + _CHECKSUM:
        message = f"{file.name} is damaged: its list of chunks is cut off"
        raise ValueError(message)
    for start, length in struct.iter_unpack("<2Q", contents[-size - _CHECKSUM : -_CHECKSUM]):
        if start == _MISSING:
            continue
        if start + length > len(contents):
            message = f"{file.name} is damaged: a chunk ends beyond it"
            raise ValueError(message)
        yield contents[start : start + length]


def _bytes_of_texts(packer: str | None, chunk: memoryview, size: int) -> int:
    """Return how much memory the texts of a chunk take beside their letters."""
    first = _first_bytes(packer, chunk)
    n_texts = int.from_bytes(first, "little")
    if len(first) < 4 or 4 + 4 * n_texts > size:
        message = "a chunk holds fewer texts than it says: it is damaged"
        raise ValueError(message)
    return n_texts * _TEXT


def _announced(packer: str, chunk: memoryview, most: int) -> int:
    start = bytes(chunk[:_HEADER])
    if packer in {"gzip", "zlib"}:
        return _size_of_deflated(chunk, most)
    if packer == "zstd":
        return _size_of_zstd(start)
    if packer == "lz4":
        return int.from_bytes(start[:4], "little") if len(start) >= 4 else _damaged()
    if len(start) < 16:
        _damaged()
    size, block, packed = struct.unpack_from("<3I", start, 4)
    if packed != len(chunk) or (size and not 0 < block <= size):
        _damaged()
    return size


def _size_of_deflated(chunk: memoryview, most: int) -> int:
    """Return how much is packed by gzip or zlib, which do not say so; counted up to ``most``."""
    unpacker, size, rest = zlib.decompressobj(_GZIP_OR_ZLIB), 0, bytes(chunk)
    try:
        while rest and size <= most and not unpacker.eof:
            size += len(unpacker.decompress(rest, _BLOCK))
            rest = unpacker.unconsumed_tail
    except zlib.error:
        _damaged()
    if size <= most and (not unpacker.eof or unpacker.unused_data):
        _damaged()
    return size


def _size_of_zstd(start: bytes) -> int:
    """Return the size in the header of a frame (RFC 8878, 3.1.1.1)."""
    if len(start) < 5 or start[:4] != b"\x28\xb5\x2f\xfd":
        _damaged()
    kind, single = start[4] >> 6, start[4] >> 5 & 1
    at = 5 + (1 - single) + (0, 1, 2, 4)[start[4] & 3]
    length = (single, 2, 4, 8)[kind]
    if not length:
        message = "a chunk does not say how large it is; write it with anndata's adata.write_zarr"
        raise ValueError(message)
    return int.from_bytes(start[at : at + length], "little") + (256 if kind == 1 else 0)


def _first_bytes(packer: str | None, chunk: memoryview) -> bytes:
    """Return the first four bytes of a chunk whose size has been looked at."""
    if packer is None:
        return bytes(chunk[:4])
    if packer in {"gzip", "zlib"}:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(chunk, 4)

    return bytes(memoryview(numcodecs.get_codec({"id": packer}).decode(bytes(chunk)))[:4])


def _damaged() -> Any:
    message = "a chunk is damaged: fetch or write it again"
    raise ValueError(message)

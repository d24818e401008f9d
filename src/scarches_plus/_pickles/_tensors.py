"""Build torch tensors from archive members whose sizes are checked first."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NoReturn

from scarches_plus._limits import ARRAY_DIMENSIONS

from ._records import FETCH, TRUST, Name, Tag, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

#: Storages to dtypes of torch; model files have no others.
_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip
_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1,
    "bool": 1,
}  # fmt: skip
_LARGEST = 2**48


def tensor_of(arguments: Any, storages: Mapping[str, memoryview], spend: Callable[[int], None]) -> Tensor | None:
    """Return the tensor that arguments of ``torch._utils._rebuild_tensor_v2`` describe, on the CPU.

    Parameters
    ----------
    arguments
        Storage, offset, size, strides, and what does not matter here.
    storages
        Key to bytes of all storages of the archive.
    spend
        Is called with the bytes of the tensor before they are taken.

    Returns
    -------
    ``None`` if it refers to no storage of an archive.

    Raises
    ------
    UnsafeFileError
        If the tensor reaches beyond its storage, or the storage is of another size or of an unknown type.
    """
    import torch

    if not isinstance(arguments, tuple) or len(arguments) < 4:
        _refuse("without a size")
    tag, offset, size, strides = arguments[:4]
    if not isinstance(tag, Tag):
        return None
    contents, dtype = _storage(tag.value, storages)
    _require_sizes(offset, size, strides)
    if 0 in size:
        return torch.empty(size, dtype=dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(size, strides, strict=True))
    if (last + 1) * dtype.itemsize > len(contents):
        _refuse(f"that reaches to value {last} of a storage of {len(contents) // dtype.itemsize}")
    spend(max(prod(size), last + 1 - offset) * dtype.itemsize)
    part = bytearray(contents[offset * dtype.itemsize : (last + 1) * dtype.itemsize])
    if dtype == torch.bool and part.translate(None, b"\x00\x01"):
        _refuse("of truth values that are neither true nor false")
    return torch.frombuffer(part, dtype=dtype).as_strided(size, strides).contiguous()


def _storage(tag: Any, storages: Mapping[str, memoryview]) -> tuple[memoryview, Any]:
    """Return the bytes and the dtype of a storage."""
    import torch

    _, key, n_values = parts_of_storage(tag)
    dtype = getattr(torch, _STORAGES[tag[1].name])
    if not isinstance(key, str) or key not in storages:
        _refuse("whose values are not in the file")
    if type(n_values) is not int or n_values * dtype.itemsize != len(storages[key]):
        _refuse(f"with a storage that has not the size it says (data/{key})")
    return storages[key], dtype


def parts_of_storage(tag: Any) -> tuple[int, Any, Any]:
    """Return the bytes of a value, the key and the number of values of what refers to a storage.

    Raises
    ------
    UnsafeFileError
        If it refers to something else, or to part of a storage, or to one of an unknown type.
    """
    if (
        not isinstance(tag, tuple)
        or len(tag) not in {5, 6}
        or tag[0] != "storage"
        or (len(tag) == 6 and tag[5] is not None)
    ):
        _refuse("without a storage")
    kind = tag[1]
    if not isinstance(kind, Name) or kind.module != "torch" or kind.name not in _STORAGES:
        _refuse(f"of an unknown type ({kind})", TRUST)
    return _BYTES[_STORAGES[kind.name]], tag[2], tag[4]


def _require_sizes(offset: Any, size: Any, strides: Any) -> None:
    if not isinstance(size, tuple) or not isinstance(strides, tuple) or len(size) != len(strides):
        _refuse("without a size")
    if len(size) > ARRAY_DIMENSIONS or any(
        type(one) is not int or not 0 <= one < _LARGEST for one in (offset, *size, *strides)
    ):
        _refuse("whose size, strides or offset are no whole numbers from 0 on")


def _refuse(what: str, why: str = FETCH) -> NoReturn:
    message = f"it holds a tensor {what}: {why}"
    raise UnsafeFileError(message)

"""Serialise tensors to safetensors bytes, and check names, types and shapes on reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from scarches_plus import _limits
from scarches_plus._json import parse_json
from scarches_plus.bundle._manifest import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_LENGTH = 8


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Return tensors as the contents of a file.

    Raises
    ------
    ValueError
        If one of them is not finite.
    """
    if (bad := _not_finite(tensors)) is not None:
        message = f"tensor {bad!r} holds values that are not finite, which nobody could use"
        raise ValueError(message)
    return save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()})  # type: ignore[no-any-return]


def unpack(contents: bytes, name: str) -> dict[str, Tensor]:
    """Return the tensors of a file.

    Raises
    ------
    BundleError
        If the contents are not what the format allows: a truncated header or data, overlaps, holes, a name twice. If
        values are not finite, or of a type that no model has.
    """
    size = int.from_bytes(contents[:_LENGTH], "little")
    if len(contents) < _LENGTH or size > len(contents) - _LENGTH:
        message = f"{name} is no safetensors file, or was cut off"
        raise BundleError(message)
    if size > _limits.TENSOR_HEADER_BYTES:
        message = f"{name} has a header of {size} bytes, more than any model needs ({_limits.TENSOR_HEADER_BYTES})"
        raise BundleError(message)
    try:
        header: Any = parse_json(contents[_LENGTH : _LENGTH + size])  # whoever reads the file reads a name once
        tensors = load(contents)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        message = f"{name} is no valid safetensors file: {error}"
        raise BundleError(message) from error
    if set(tensors) != set(header) - {"__metadata__"}:
        message = f"{name} is no valid safetensors file: its header names other tensors than it holds"
        raise BundleError(message)
    kinds = [key for key, value in tensors.items() if value.dtype not in _types()]
    if kinds:
        message = f"{name}: tensor {kinds[0]!r} is of {tensors[kinds[0]].dtype}, which no model has"
        raise BundleError(message)
    if (bad := _not_finite(tensors)) is not None:
        message = f"{name}: tensor {bad!r} holds values that are not finite"
        raise BundleError(message)
    return tensors  # type: ignore[no-any-return]


def _types() -> set[Any]:
    return {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64, torch.bool}


def _not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    return next((key for key, value in tensors.items() if not value.isfinite().all()), None)


def take(tensors: dict[str, Tensor], key: str, shape: tuple[int | None, ...], name: str, kind: str = "f") -> Tensor:
    """Return one of the tensors and leave the others.

    Parameters
    ----------
    tensors
        All that are left.
    key
        Name of the tensor.
    shape
        Its shape, ``None`` where any length will do.
    name
        Name of the file.
    kind
        ``"f"`` for float32, ``"d"`` for float64, ``"h"`` for float16 or float32, ``"i"`` for integers of 32 or 64 bits.

    Raises
    ------
    BundleError
        If there is no such tensor, or it is another.
    """
    if key not in tensors:
        message = f"{name} lacks the tensor {key!r}"
        raise BundleError(message)
    value = tensors.pop(key)
    types = {
        "f": {torch.float32},
        "d": {torch.float64},
        "h": {torch.float16, torch.float32},
        "i": {torch.int32, torch.int64},
    }[kind]
    fits = len(value.shape) == len(shape) and all(n in {None, m} for n, m in zip(shape, value.shape, strict=True))
    if not fits or value.dtype not in types:
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        message = (
            f"{name}: tensor {key!r} is {tuple(value.shape)} of {value.dtype}, not ({expected}) of "
            f"{sorted(map(str, types))}"
        )
        raise BundleError(message)
    return value


def require(holds: Tensor, name: str, key: str, what: str) -> None:
    """Refuse a tensor, unless something holds for all its values.

    Parameters
    ----------
    holds
        Where it holds, boolean.
    name, key
        Of the file and of the tensor.
    what
        What the tensor has to be.

    Raises
    ------
    BundleError
        If it does not hold somewhere.
    """
    if not bool(holds.all()):
        message = f"{name}: tensor {key!r} has to be {what}"
        raise BundleError(message)


def refuse_rest(tensors: Mapping[str, Tensor], name: str) -> None:
    """Refuse tensors that nobody asked for.

    Raises
    ------
    BundleError
        If any is left.
    """
    if tensors:
        message = f"{name} holds tensors that the manifest does not speak of: {sorted(tensors)[:5]}"
        raise BundleError(message)

"""Build numpy arrays and numbers from checked bytes of a pickle."""

from __future__ import annotations

import re
from math import prod
from typing import Any, NoReturn

import numpy as np

from scarches_plus._limits import ARRAY_DIMENSIONS

from ._records import FETCH, TRUST, Record, UnsafeFileError

_PLAIN = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|O8?|[US][0-9]{1,7}")
_BYTE_ORDERS = {"<", ">", "=", "|"}
_LAST_CHARACTER = 0x10FFFF
#: Where a dtype's state, which begins with its version, has the byte order.
_ORDER = 1
#: Where a dtype's state has a subtype, names and fields, none of which is allowed.
_FIELDS = slice(2, 5)


def dtype_of(record: Any) -> np.dtype:
    """Return the plain dtype that a record names; of its state only the byte order counts.

    Raises
    ------
    UnsafeFileError
        If it has fields, a subtype or metadata, or is of a type that a model does not need.
    """
    if (
        not isinstance(record, Record)
        or str(record.function) != "numpy.dtype"
        or not isinstance(record.arguments, tuple)
    ):
        _unknown("an array whose type is no dtype")
    name = record.arguments[0] if record.arguments else None
    if not isinstance(name, str) or not _PLAIN.fullmatch(name):
        _unknown(f"an array of type {str(name)[:40]!r}")
    state = record.state
    if state is None:
        return np.dtype(name)
    plain = (
        isinstance(state, tuple) and len(state) >= _FIELDS.stop and not any(one is not None for one in state[_FIELDS])
    )
    if not plain or not isinstance(state[_ORDER], str) or state[_ORDER] not in _BYTE_ORDERS:
        _unknown(f"an array of type {name!r} with fields or flags of its own")
    return np.dtype(name).newbyteorder(state[_ORDER] if state[_ORDER] != "|" else "=")


def array_of_bytes(contents: Any, dtype: np.dtype, shape: Any, *, fortran: bool) -> np.ndarray:
    """Return an array of numbers, truth values or texts from its bytes.

    Raises
    ------
    UnsafeFileError
        If shape and bytes do not go together, or values are none of the type.
    """
    n_values = number_of_values(shape)
    if (
        not isinstance(contents, bytes)
        or n_values * dtype.itemsize != len(contents)
        or (n_values and not dtype.itemsize)
    ):
        _refuse(f"an array of shape {shape} whose bytes are not as many")
    if dtype.kind == "b" and contents.translate(None, b"\x00\x01"):
        _refuse("truth values that are neither true nor false")
    if dtype.kind == "U" and contents:
        characters = np.frombuffer(contents, np.dtype("u4").newbyteorder(dtype.byteorder))
        if int(characters.max()) > _LAST_CHARACTER:
            _refuse("texts with characters that there are not")
    values = np.frombuffer(contents, dtype).reshape(shape, order="F" if fortran else "C")
    return values.astype(dtype.newbyteorder("="))


def array_of_objects(values: list[Any], shape: Any, *, fortran: bool) -> np.ndarray:
    """Return an array of plain values.

    Raises
    ------
    UnsafeFileError
        If shape and values do not go together, or one is not plain.
    """
    if number_of_values(shape) != len(values):
        _refuse(f"an array of shape {shape} with {len(values)} values")
    if not all(issubclass(one, str | int | float | np.generic | type(None)) for one in set(map(type, values))):
        _unknown("an array whose values are neither texts nor numbers")
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape, order="F" if fortran else "C")


def scalar(arguments: Any) -> Any:
    """Return a number or text of numpy.

    Raises
    ------
    UnsafeFileError
        If it is none.
    """
    if not isinstance(arguments, tuple) or len(arguments) != 2:
        _refuse("a number without its bytes")
    dtype = dtype_of(arguments[0])
    if dtype.hasobject:
        _refuse("a number of type object")
    return array_of_bytes(arguments[1], dtype, (1,), fortran=False)[0]


def number_of_values(shape: Any) -> int:
    """Return how many values an array of a shape has.

    Raises
    ------
    UnsafeFileError
        If it is no shape.
    """
    if not isinstance(shape, tuple) or len(shape) > ARRAY_DIMENSIONS:
        _refuse("an array without a shape")
    if any(type(one) is not int or not 0 <= one < 2**48 for one in shape):
        _refuse("an array whose shape is no row of whole numbers")
    return prod(shape)


def _unknown(what: str) -> NoReturn:
    message = f"it holds {what}, which a model does not need; {TRUST}"
    raise UnsafeFileError(message)


def _refuse(what: str) -> NoReturn:
    message = f"it holds {what}: {FETCH}"
    raise UnsafeFileError(message)

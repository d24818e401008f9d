"""Build the harmless values that pickle records describe, and refuse all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from scarches_plus._limits import PICKLE_DEPTH, PICKLE_EXPANSION

from ._arrays import array_of_bytes, array_of_objects, dtype_of, number_of_values, scalar
from ._records import TRUST, Items, Name, Pairs, Record, Tag, UnsafeFileError
from ._tables import Table, table_of
from ._tensors import tensor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Numbers below this are their own hash; larger ones can be chosen so that all have the same.
_LARGEST_KEY = 2**61 - 1
_PLAIN = {str, int, float, bool, bytes, type(None)}
#: Visits that a small file may take, whatever its number of steps.
_FEW = 1000


class Maker:
    """Makes values of records, no more of them than the file has room for.

    Parameters
    ----------
    n_bytes, n_steps
        Size of the file, and of its pickle.
    storages
        Key to bytes of the tensors' storages.
    """

    def __init__(self, n_bytes: int, n_steps: int, storages: Mapping[str, memoryview]) -> None:
        self._bytes_left = PICKLE_EXPANSION * n_bytes
        self._visits_left = PICKLE_EXPANSION * n_steps + _FEW
        self._storages = storages

    def make(self, one: Any, depth: int = 0) -> Any:
        """Return the value that a part of a pickle describes.

        Raises
        ------
        UnsafeFileError
            If it is damaged, circular, far larger than its file, or holds anything that is not known to be harmless.
        """
        if type(one) in _PLAIN:
            return one
        if depth > PICKLE_DEPTH:
            _refuse(f"it nests more than {PICKLE_DEPTH} deep, or in a circle")
        self._visits_left -= 1
        if isinstance(one, list | tuple):
            made = self._all(one, depth)
            return made if isinstance(one, list) else tuple(made)
        if isinstance(one, Pairs):
            return self._dict(one.pairs, depth)
        if isinstance(one, Items):
            return {_key(value) for value in self._all(one.items, depth)}
        if isinstance(one, Record) and isinstance(one.function, Name):
            known = _KNOWN.get((one.function.module, one.function.name))
            if known is not None:
                return known(self, one, depth + 1)
        return refuse_unknown(one)

    def _all(self, values: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        self._spend(len(values))
        return (
            list(values) if _PLAIN.issuperset(map(type, values)) else [self.make(value, depth + 1) for value in values]
        )

    def _dict(self, pairs: list[tuple[Any, Any]], depth: int) -> dict[Any, Any]:
        self._spend(len(pairs), len(pairs))
        return {_key(self.make(key, depth + 1)): self.make(value, depth + 1) for key, value in pairs}

    def _spend(self, n_bytes: int, n_visits: int = 0) -> None:
        self._bytes_left -= n_bytes
        self._visits_left -= n_visits
        if self._bytes_left < 0 or self._visits_left < 0:
            _refuse("its tensors, arrays or lists are far larger than the file")

    # --- what is known ---

    def _mapping(self, record: Record, depth: int) -> dict[Any, Any]:
        return self._dict(record.pairs, depth)

    def _set(self, record: Record, depth: int) -> Any:
        members = record.arguments[0] if isinstance(record.arguments, tuple) and record.arguments else []
        if not isinstance(members, list | tuple):
            return refuse_unknown(record)
        return {_key(value) for value in self._all([*members, *record.items], depth)}

    def _bytes(self, record: Record, _: int) -> Any:
        """Protocol 2 writes bytes as text in Latin 1, and no bytes as ``bytes()``."""
        arguments = record.arguments
        if arguments == ():
            return b""
        if len(arguments) != 2 or arguments[1] != "latin1" or not isinstance(arguments[0], str):
            return refuse_unknown(record)
        self._spend(len(arguments[0]))
        try:
            return arguments[0].encode("latin1")
        except UnicodeEncodeError:
            _refuse("it holds bytes with characters that are none")

    def _size(self, record: Record, depth: int) -> Any:
        return self.make(record.arguments[0], depth) if len(record.arguments) == 1 else refuse_unknown(record)

    def _array(self, record: Record, depth: int) -> Any:
        state = record.state
        if not isinstance(state, tuple) or len(state) != 5:
            return refuse_unknown(record)
        _version, shape, dtype, fortran, values = state
        return self._array_of(values, dtype, shape, depth, fortran=bool(fortran))

    def _buffer_array(self, record: Record, depth: int) -> Any:
        if not isinstance(record.arguments, tuple) or len(record.arguments) != 4:
            return refuse_unknown(record)
        values, dtype, shape, order = record.arguments
        return self._array_of(values, dtype, shape, depth, fortran=order == "F")

    def _array_of(self, values: Any, dtype: Any, shape: Any, depth: int, *, fortran: bool) -> Any:
        plain = dtype_of(dtype)
        if plain.hasobject:
            if not isinstance(values, list):
                _refuse("it holds an array of objects without its values")
            return array_of_objects(self._all(values, depth), shape, fortran=fortran)
        self._spend(number_of_values(shape) * plain.itemsize)
        return array_of_bytes(self.make(values, depth), plain, shape, fortran=fortran)

    def _scalar(self, record: Record, depth: int) -> Any:
        arguments = record.arguments
        if not isinstance(arguments, tuple) or len(arguments) != 2:
            return refuse_unknown(record)
        contents = self.make(arguments[1], depth)
        self._spend(len(contents) if isinstance(contents, bytes) else 0)
        return scalar((arguments[0], contents))

    def _tensor(self, record: Record, _: int) -> Any:
        made = tensor_of(record.arguments, self._storages, self._spend)
        return refuse_unknown(record) if made is None else made

    def _parameter(self, record: Record, depth: int) -> Any:
        return self.make(record.arguments[0], depth) if record.arguments else refuse_unknown(record)

    def _table(self, record: Record, depth: int) -> Table:
        table = table_of(record, lambda one: self.make(one, depth))
        if table is None:
            _refuse("it holds a table that is stored in an unknown way")
        return table


def _key(value: Any) -> Any:
    """Return a key of a dictionary, if it is plain: hashes of others can be chosen, and take any time."""
    if type(value) not in _PLAIN or (type(value) is int and not -_LARGEST_KEY < value < _LARGEST_KEY):
        _refuse("it has a key that is no plain value")
    return value


def is_mapping(record: Record) -> bool:
    """Return whether a record describes a dictionary of some kind."""
    function = record.function
    return isinstance(function, Name) and _KNOWN.get((function.module, function.name)) is Maker._mapping


def refuse_unknown(one: Any) -> Any:
    """Refuse a record of anything that is not known to be harmless."""
    if isinstance(one, Record):
        _refuse(f"it wants to call {one.function if isinstance(one.function, Name) else 'what another call returns'}")
    if isinstance(one, Name | Tag):
        _refuse(f"it names {one}" if isinstance(one, Name) else "it refers to something outside the file")


def _refuse(why: str) -> NoReturn:
    message = f"{why}; {TRUST}"
    raise UnsafeFileError(message)


_NUMPY = ("numpy.core", "numpy._core")
_KNOWN: dict[tuple[str, str], Callable[[Maker, Record, int], Any]] = {
    ("collections", "OrderedDict"): Maker._mapping,
    ("collections", "defaultdict"): Maker._mapping,
    ("_codecs", "encode"): Maker._bytes,
    **{(module, "bytes"): Maker._bytes for module in ("builtins", "__builtin__")},
    **{(module, name): Maker._set for module in ("builtins", "__builtin__") for name in ("set", "frozenset")},
    ("torch", "Size"): Maker._size,
    ("torch._utils", "_rebuild_tensor_v2"): Maker._tensor,
    ("torch._utils", "_rebuild_parameter"): Maker._parameter,
    **{(f"{numpy}.multiarray", "_reconstruct"): Maker._array for numpy in _NUMPY},
    **{(f"{numpy}.multiarray", "scalar"): Maker._scalar for numpy in _NUMPY},
    **{(f"{numpy}.numeric", "_frombuffer"): Maker._buffer_array for numpy in _NUMPY},
    ("pandas.core.frame", "DataFrame"): Maker._table,
    ("pandas", "DataFrame"): Maker._table,
}

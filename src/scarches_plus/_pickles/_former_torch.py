"""Read the pre-zip format of ``torch.save`` before torch 1.6.

Such a file is five pickles in a row, and then the values of every storage.
"""

from __future__ import annotations

import struct
from typing import Any, NoReturn

from ._opcodes import run
from ._records import FETCH, Pairs, UnsafeFileError
from ._tensors import parts_of_storage

#: The first of the pickles, a number.
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PROTOCOL = 1001
_COUNT = struct.Struct("<q")


def former_parts_of(contents: memoryview) -> tuple[Any, int, dict[str, memoryview]]:
    """Return what the file describes, the number of steps it took, and its storages by key, as parts of its bytes.

    Raises
    ------
    UnsafeFileError
        If it is damaged, or was written by a machine of another byte order.
    """
    whole = contents.obj if isinstance(contents.obj, bytes) else bytes(contents)
    at, found = len(MAGIC), []
    for _ in range(4):
        machine = run(whole, at)
        at = machine.at
        found.append(machine)
    protocol, system, described, keys = (machine.top() for machine in found)
    if protocol != _PROTOCOL:
        _refuse("its format is another")
    if not isinstance(system, Pairs) or dict(_plain(system.pairs)).get("little_endian") is not True:
        _refuse("it was written by a machine of another byte order")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        _refuse("it does not say which storages it holds")
    sizes: dict[str, int] = {}
    for tag in found[2].tags:
        n_bytes, key, n_values = parts_of_storage(tag.value)
        if not isinstance(key, str) or type(n_values) is not int or sizes.setdefault(key, n_bytes) != n_bytes:
            _refuse("it holds a storage of two types")
    storages = {}
    for key in keys:
        if key not in sizes:
            _refuse("it holds a storage that no tensor has")
        storages[key], at = _storage(contents, at, sizes[key])
    return described, sum(one.n_steps + one.n_values for one in found), storages


def _storage(contents: memoryview, at: int, n_bytes: int) -> tuple[memoryview, int]:
    """Return the values of a storage, and where the next begins."""
    if at + _COUNT.size > len(contents):
        _refuse("it ends too early")
    (n_values,) = _COUNT.unpack_from(contents, at)
    start = at + _COUNT.size
    end = start + n_values * n_bytes
    if n_values < 0 or end > len(contents):
        _refuse("it ends too early")
    return contents[start:end], end


def _plain(pairs: list[tuple[Any, Any]]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in pairs if isinstance(key, str)]


def _refuse(why: str) -> NoReturn:
    message = f"{why}: {FETCH}"
    raise UnsafeFileError(message)

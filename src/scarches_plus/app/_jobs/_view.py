"""Write and read numbers for the page: a header of JSON, and arrays after it."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES = {"f4": np.float32, "u2": np.uint16, "i4": np.int32}


def view_of(arrays: Mapping[str, np.ndarray], **header: Any) -> bytes:
    """Return arrays of 16- or 32-bit numbers as the page reads them, each at a multiple of four bytes.

    Parameters
    ----------
    arrays
        Name to array, of type float32, uint16 or int32.
    **header
        Plain values that go before them.
    """
    listed, parts = [], []
    for name, array in arrays.items():
        (kind,) = [kind for kind, dtype in _TYPES.items() if array.dtype == dtype]
        contents = np.ascontiguousarray(array).astype(f"<{kind}", copy=False).tobytes()
        listed.append({"name": name, "type": kind, "length": int(array.size)})
        parts.append(contents + b"\0" * (-len(contents) % 4))
    text = json.dumps({**header, "arrays": listed}).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def arrays_of(contents: bytes) -> dict[str, np.ndarray]:
    """Return the arrays that :func:`view_of` wrote, by their names."""
    (length,) = struct.unpack_from("<I", contents)
    at, arrays = 4 + length, {}
    for one in json.loads(contents[4:at])["arrays"]:
        kind = np.dtype(f"<{one['type']}")
        arrays[one["name"]] = np.frombuffer(contents, kind, one["length"], at).copy()
        at += one["length"] * kind.itemsize
        at += -at % 4
    return arrays

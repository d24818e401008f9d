"""Damage bytes, JSON, pickles, HDF5 files and sparse matrices at random, as a fuzz does."""

import io
import json
import pickletools
import struct
import zipfile
from copy import deepcopy

import h5py
import numpy as np

_SIZES = [0, 1, 2, 7, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**48, 2**63 - 1, 2**63, 2**64 - 1]
_VALUES = [
    None, True, False, 0, 1, -1, 2**31, 2**62, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308, 1e-320, "", "x", "0", "\0", "\x1b[31m",
    "../../x", "x" * 5000, "é\u202e", [], {}, [[]], [{}], {"": None}, [None], [0] * 1000, ["x", "x"], {"a": {"b": [1, {"c": 2}]}},
]  # fmt: skip
_NAMES = [
    b"os\nsystem", b"builtins\neval", b"builtins\ngetattr", b"numpy\ndtype", b"numpy.core.multiarray\nscalar",
    b"numpy._core.multiarray\n_reconstruct", b"numpy\nndarray", b"torch\nload", b"torch.storage\n_load_from_bytes",
    b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict", b"pandas\nDataFrame", b"scvi.model\nSCVI", b"a\nb",
]  # fmt: skip


def damage(contents, rng):
    """Return bytes with a few damages: bits, blocks and numbers."""
    found = bytearray(contents)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8, 30])):
        if not found:
            break
        at = rng.randrange(len(found))
        end = min(len(found), at + rng.choice([1, 4, 16, 100, 4000]))
        kind = rng.randrange(10)
        if kind < 3:
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 3:
            found[at] = rng.choice([0, 1, 127, 128, 255])
        elif kind == 4:
            width, code = rng.choice([(2, "<H"), (4, "<I"), (8, "<Q")])
            if at + width <= len(found):
                struct.pack_into(code, found, at, rng.choice(_SIZES) % 2 ** (8 * width))
        elif kind == 5:
            del found[at:end]
        elif kind == 6:
            found[at:at] = found[at:end]
        elif kind == 7:
            other = rng.randrange(len(found))
            found[at:end] = found[other : other + end - at]
        elif kind == 8:
            found[at:end] = bytes(end - at)
        else:
            del found[at:]
    return bytes(found)


def other_json(value, rng):
    """Return plain values with a few changes: other types, other numbers, keys and items more or less."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        places = list(_places(value))
        holder, key = rng.choice(places)
        kind = rng.randrange(7)
        if kind < 3:
            holder[key] = deepcopy(rng.choice(_VALUES))
        elif kind == 3:
            del holder[key]
        elif kind == 4:
            other, its = rng.choice(places)
            holder[key] = json.loads(json.dumps(other.get(its) if isinstance(other, dict) else other[its % len(other)]))
        elif isinstance(holder, list):
            holder[key:key] = holder[key : key + 1] * rng.choice([1, 2, 1000 if len(holder) < 1000 else 1])
        else:
            holder[rng.choice(["", "x", "cells", f"{key} ", key.upper()])] = deepcopy(rng.choice(_VALUES))
        if not value:
            break
    return value


def other_text(value, rng):
    """Return JSON of changed values, at times as text that no library writes."""
    text = json.dumps(other_json(value, rng))
    kind = rng.randrange(12)
    if kind == 0:
        return damage(text.encode(), rng)
    if kind == 1:
        return text.replace(
            rng.choice(["1", "0", '"']), rng.choice(["NaN", "1e999", "-", "[" * 500, "9" * 5000, "\\ud800"]), 1
        ).encode()
    if kind == 2:
        return text.replace("{", '{"x": 1, "x": 1, ', 1).encode()
    return text.encode()


def _places(value):
    """Yield every container and key in plain values."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        items = list(one.items()) if isinstance(one, dict) else list(enumerate(one[:50]))
        for key, inner in items:
            yield one, key
            if isinstance(inner, dict | list) and inner:
                waiting.append(inner)


def other_pickle(contents, rng):
    """Return a pickle with a few changed opcodes, arguments and names."""
    try:
        places = [place for _, _, place in pickletools.genops(contents)]
    except Exception:  # noqa: BLE001 (pickles may follow one another)
        return damage(contents, rng)
    pieces = [contents[a:b] for a, b in zip(places, [*places[1:], len(contents)], strict=True)]
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(pieces))
        kind = rng.randrange(7)
        if kind == 0:
            del pieces[at]
        elif kind == 1:
            pieces.insert(at, rng.choice(pieces))
        elif kind == 2:
            pieces[at] = rng.choice(pieces)
        elif kind == 3:
            pieces[at] = bytes([rng.choice(list(pickletools.code2op)).encode("latin1")[0]]) + pieces[at][1:]
        elif kind == 4:
            calls = [i for i, piece in enumerate(pieces) if piece[:1] == b"c"]
            pieces[rng.choice(calls) if calls else at] = b"c" + rng.choice(_NAMES) + b"\n"
        elif kind == 5:
            pieces[at] = pieces[at][:1] + struct.pack("<Q", rng.choice(_SIZES))[: len(pieces[at]) - 1]
        else:
            pieces.insert(
                at,
                rng.choice(
                    [b"r" + b"\0\0\0\x10", b"R", b"b", b"(d", b"Q", b"0", b"J\xff\xff\xff\xff", b"B\xff\xff\xff\x7f"]
                ),
            )
        if not pieces:
            break
    return b"".join(pieces)


def other_archive(contents, rng, change_pickle=other_pickle):
    """Return a zip archive of torch with a changed member and right checksums, or with damaged bytes."""
    if rng.random() < 0.3:
        return damage(contents, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(contents)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = next(name for name in names if name.endswith("data.pkl")) if rng.random() < 0.7 else rng.choice(names)
        for name in names:
            member = old.read(name)
            if name == chosen:
                member = change_pickle(member, rng) if name.endswith("data.pkl") else damage(member, rng)
                if rng.random() < 0.05:
                    continue
            new.writestr(name, member)
    return out.getvalue()


def other_hdf5(path, rng):
    """Change an HDF5 file by its library: types, sizes, attributes, links."""
    with h5py.File(path, "a") as file:
        objects = []
        file.visit(objects.append)
        for _ in range(rng.choice([1, 1, 2, 4])):
            name = rng.choice(objects)
            if name not in file:
                continue
            kind = rng.randrange(8)
            if kind == 0:
                del file[name]
            elif kind < 4 and isinstance(file[name], h5py.Dataset):
                _other_values(file, name, rng)
            elif kind == 4:
                other = rng.choice(objects)
                if other in file and not other.startswith(name) and not name.startswith(other):
                    del file[name]
                    file[name] = rng.choice([file.get(other, 1), h5py.SoftLink(f"/{other}"), 1])
            elif kind == 5:
                file.create_dataset(
                    f"uns/x{rng.randrange(99)}", data=rng.choice([1, "x", [1.0, 2.0], [b"a"], np.void(b"12345")])
                )
            else:
                _other_attribute(file[name], rng)


def _other_values(file, name, rng):
    one = file[name]
    attributes = dict(one.attrs)
    values = one[()]
    kind = rng.randrange(7)
    if kind == 0 and one.chunks and one.compression:
        chunk = one.id.read_direct_chunk((0,) * one.ndim)[1]
        one.id.write_direct_chunk((0,) * one.ndim, damage(chunk, rng))
        return
    if kind == 1 or not isinstance(values, np.ndarray) or not values.size:
        values = rng.choice(
            [
                0,
                -1,
                "x",
                np.zeros(0),
                np.ones((2, 2)),
                np.zeros((3, 0)),
                np.array([b"a", b"b"]),
                np.float16(1),
                h5py.Empty("f4"),
            ]
        )
    elif kind == 2:
        values = values[: rng.randrange(len(values) + 1)]
    elif kind == 3:
        values = np.concatenate([values, values])
    elif values.dtype.kind in "iu":
        values = values.astype("i8")
        values.flat[rng.randrange(values.size)] = rng.choice([-1, -(2**31), 2**31 - 1, 2**31, 2**62, 10**6, 3])
    elif values.dtype.kind == "f":
        values = values.astype(rng.choice(["f8", "f2", "i8", "S4"]))
    del file[name]
    file[name] = values
    file[name].attrs.update(attributes)


def _other_attribute(one, rng):
    if not len(one.attrs):
        return
    name = rng.choice(list(one.attrs))
    if rng.random() < 0.3:
        del one.attrs[name]
        return
    one.attrs[name] = rng.choice([
        "csr_matrix", "csc_matrix", "dataframe", "categorical", "array", "dict", "awkward-array", "nullable-integer", "x", "", 0, -1, 2.5,
        [1, 2], [2**40, 3], [-5, 5], [2**62, 2**62], ["a", "b"], np.void(b"123"), [[1, 2], [3, 4]],
    ])  # fmt: skip


def other_matrix(matrix, rng):
    """Return a sparse matrix with changed indices, which nobody has checked."""
    matrix = matrix.copy()
    for _ in range(rng.choice([1, 1, 2, 3])):
        part = rng.choice(["indices", "indices", "indptr", "data"])
        values = getattr(matrix, part).copy()
        kind = rng.randrange(6)
        if kind == 0:
            values = values[: rng.randrange(len(values) + 1)]
        elif kind == 1:
            values = np.concatenate([values, values])
        elif part == "data":
            values[rng.randrange(max(1, len(values)))] = (
                rng.choice([np.nan, np.inf, -1, 1e30, 0.5, 2**40]) if len(values) else 0
            )
        elif len(values):
            values = values.astype(rng.choice(["i4", "i8"]))
            number = rng.choice([-1, -(2**31), 2**31 - 1, 10**6, len(values), 0, rng.randrange(-100, 10**5)])
            values[rng.randrange(len(values))] = number
        setattr(matrix, part, values)
    if rng.random() < 0.1:
        matrix._shape = rng.choice([(matrix.shape[0], 3), (3, matrix.shape[1]), (10**6, matrix.shape[1])])
    return matrix

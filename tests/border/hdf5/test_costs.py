"""HDF5 files that would take far more time or memory than their size are refused before they are read."""

import re
import struct

import h5py
import numpy as np
import pytest

import scarches_plus as sp
from scarches_plus.hub import BundleError

pytestmark = pytest.mark.border


def put(key, **options):
    """Put a data set in the place of another."""

    def change(file):
        file.pop(key, None)
        file.create_dataset(key, **options)

    return change


def zeros(key, n, **options):
    return put(key, data=np.zeros(n, dtype="f8"), chunks=(2**16,), compression="gzip", compression_opts=9, **options)


def unallocated(file):
    put("X", shape=(16_000, 20_000), dtype="f8", chunks=(1000, 1000))(file)


def same_storage(file):
    """Let a hundred names stand for one data set of 2 MB."""
    file["layers/a"] = np.random.default_rng(0).random((120, 2000))
    for i in range(100):
        file[f"layers/b{i}"] = file["layers/a"]


def same_bytes(file):
    """Let a hundred data sets of 2 MB lie at one place."""
    first = file.create_dataset("layers/a", data=np.random.default_rng(0).random((120, 2000)))
    for i in range(100):
        file.create_dataset(f"layers/b{i}", first.shape, first.dtype)
    place, size = first.id.get_offset(), first.id.get_storage_size()

    def damage(path):
        nowhere = struct.pack("<QQ", 2**64 - 1, size)
        path.write_bytes(path.read_bytes().replace(nowhere, struct.pack("<QQ", place, size)))

    return damage


def huge_chunk(file):
    file.create_dataset("uns/x", (10,), "f8", chunks=(2**28,), maxshape=(None,), compression="gzip")


def packed_texts(file):
    """Let two million references to no text be 16 kB, where each takes 64 bytes in memory."""
    put("uns/t", shape=(2 * 10**6,), dtype=h5py.string_dtype(), chunks=(10**5,), compression="gzip")(file)


def doubled(file):
    """Double the groups thirty times by thirty pairs of names."""
    last = file.create_group("uns/last")
    for i in range(30):
        group = file.create_group(f"uns/g{i}")
        group["a"] = group["b"] = last
        last = group


def many_groups(file):
    for i in range(20_000):
        file.create_group(f"uns/many/{i}")


def many_attributes(file):
    group = file.create_group("uns/attributes", track_order=True)
    for i in range(60_000):
        group.attrs.create(str(i), 0, dtype="i1")


def deep(file):
    group = file["uns"]
    for _ in range(2000):
        group = group.create_group("g")


def shared_texts(file):
    """Let 2,000 texts all be the first one, of 300 kB: the file would be read as 600 MB."""
    values = np.array(["x" * 300_000, *(f"text {i}" for i in range(1999))], dtype=object)
    file.create_dataset("uns/t", data=values, dtype=h5py.string_dtype())
    return lambda path: share_first_text(path, 2000, 300_000)


def shared_attribute(file):
    values = np.array(["x" * 300_000, *(f"text {i}" for i in range(1999))], dtype=object)
    file["obs"].attrs.create("order", values, dtype=h5py.string_dtype())
    return lambda path: share_first_text(path, 2000, 300_000)


def share_first_text(path, n, length):
    contents = bytearray(path.read_bytes())
    heap = contents.index(b"x" * length)
    first = next(
        found.start()
        for found in re.finditer(re.escape(struct.pack("<I", length)), contents)
        if contents[found.end() : found.end() + 8] == struct.pack("<Q", contents.rindex(b"GCOL", 0, heap))
    )
    contents[first : first + 16 * n] = contents[first : first + 16] * n
    path.write_bytes(contents)


def heap_object(index, size):
    """Give the first text of the file another size: HDF5 then walks through its heap on the spot."""

    def damage(path):
        contents = bytearray(path.read_bytes())
        struct.pack_into("<HHIQ", contents, contents.index(b"GCOL") + 16, index, 0, 0, size)
        path.write_bytes(contents)

    return lambda file: damage


def long_heap(file):
    """Let a heap of texts be longer than the file."""

    def damage(path):
        contents = bytearray(path.read_bytes())
        struct.pack_into("<Q", contents, contents.index(b"GCOL") + 8, 2**40)
        path.write_bytes(contents)

    return damage


def huge_shape(file):
    """Let a matrix of columns be of 10^12 cells that nobody describes."""
    del file["X"], file["obs"], file["obsm"], file["layers"]
    write = file.create_group("X")
    write.attrs.update({"encoding-type": "csc_matrix", "encoding-version": "0.1.0", "shape": [10**12, 40]})
    write["data"], write["indices"] = np.ones(1), np.zeros(1, dtype="i8")
    write["indptr"] = np.r_[0, np.ones(40, dtype="i8")]


def no_text(file):
    h5py.h5g.create(file["uns"].id, b"\xff\xfe")


def ragged(file):
    file.create_dataset("uns/ragged", (2,), h5py.vlen_dtype("i8"))


def ragged_records(file):
    file.create_dataset("uns/ragged", (2,), [("a", "f8"), ("b", h5py.vlen_dtype("i8"))])


def ragged_attribute(file):
    file.attrs.create("sizes", [np.arange(3), np.arange(2)], (2,), h5py.vlen_dtype("i8"))


def wide_records(file):
    file.create_dataset("uns/wide", (100,), np.dtype([("a", "V4000000"), ("b", "f8")]), chunks=(1,))


A3 = {
    "chunks that are not stored": (unallocated, "/X: it declares more data"),
    "zeros packed 1000:1": (zeros("X", 16 * 10**6), "/X: it declares more data"),
    "zeros packed 1000:1, with shuffle": (zeros("uns/z", 16 * 10**6, shuffle=True), "/uns/z: it declares more data"),
    "one data set under a hundred names": (same_storage, "it declares more data"),
    "a hundred data sets at one place": (same_bytes, "data sets share their storage, and are larger than the file"),
    "a chunk of 2 GB": (huge_chunk, "/uns/x: it declares more data"),
    "two million empty texts": (packed_texts, "/uns/t: it declares more data"),
    "groups that double thirty times": (doubled, "lies in two places"),
    "20,000 groups": (many_groups, "has more than 10000 parts"),
    "60,000 attributes": (many_attributes, "/uns/attributes: it has more than 50000 attributes"),
    "groups 2,000 deep": (deep, "nests deeper than 32"),
    "texts that are all the same": (shared_texts, "/uns/t: texts share their storage"),
    "texts of an attribute that are all the same": (shared_attribute, "/obs (attribute 'order'): texts share their storage"),
    "a text of nearly 2^64 bytes": (heap_object(1, 2**64 - 16), "sizes of texts do not add up"),
    "a heap beyond the file": (long_heap, "it ends beyond the file"),
    "free space of no bytes": (heap_object(0, 0), "sizes of texts do not add up"),
    "a shape of 10^12 cells": (huge_shape, "/X: its sparse matrix has the shape (1000000000000, 40), larger"),
    "10^12 cells without columns": (put("X", shape=(10**12, 0), dtype="f4"), "/X: its shape is (1000000000000, 0)"),
    "a name that is no text": (no_text, "/uns: it holds b'\\xff\\xfe', whose name is no UTF-8 text"),
    "lists of any length": (ragged, "/uns/ragged: it holds values of variable length"),
    "records of lists of any length": (ragged_records, "/uns/ragged: it holds values of variable length"),
    "an attribute of lists of any length": (ragged_attribute, "/ (attribute 'sizes'): it holds values of variable length"),
    "records of 4 MB each": (wide_records, "/uns/wide: it declares more data"),
}  # fmt: skip


@pytest.mark.parametrize("case", A3)
def test_files_that_cost_too_much(border, changed, case):
    change, says = A3[case]
    folder = changed(change)
    border.in_child(
        lambda: sp.hub.import_reference(folder), BundleError, ("adata.h5ad is refused: ", says),
        kind="A3", case=f"h5ad: {case}", shown="sp.hub.import_reference(folder)",
    )  # fmt: skip

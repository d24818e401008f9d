"""HDF5 files that cost too much, reach out, or hold matrices that crash compiled code are refused before they are read."""

import re
import struct
import zlib

import h5py
import numpy as np
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from small_models import SCVI, cells, reference

import scarches_plus as sp
from scarches_plus._hdf5 import check_hdf5, read_checked
from scarches_plus.hub import BundleError

pytestmark = pytest.mark.border


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved model with its cells beside it."""
    folder = tmp_path_factory.mktemp("border") / "model"
    ref = cells(n_cells=120, n_batches=2)
    reference(SCVI, ref.copy()).save(folder)
    counts = AnnData(sparse.csr_matrix(ref.X), ref.obs, ref.var)
    counts.obsm["pca"] = np.ones((counts.n_obs, 3))
    counts.obsm["sparse"] = sparse.csc_matrix(np.eye(counts.n_obs, 4))
    counts.layers["counts"] = counts.X.copy()
    counts.uns["texts"] = np.array(["a", "b"], dtype=object)
    counts.write_h5ad(folder / "whole.h5ad")
    (folder / "adata.h5ad").write_bytes((folder / "whole.h5ad").read_bytes())
    sp.hub.import_reference(folder)  # what is imported once is no cost of the file
    return folder


@pytest.fixture
def changed(folder):
    """Return a folder whose cells were changed by h5py, or replaced."""
    path = folder / "adata.h5ad"

    def changed(change):
        path.write_bytes((folder / "whole.h5ad").read_bytes())
        with h5py.File(path, "a") as file:
            after = change(file)
        if after is not None:
            after(path)
        return folder

    return changed


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


def short_chunk(file):
    """Let 8 MB be packed as 8 bytes: HDF5 reads on in memory that is not the file's."""
    file.pop("obsm/pca")
    data = file.create_dataset("obsm/pca", (2**20,), "f8", chunks=(2**20,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(b"\1" * 8))


def long_chunk(file):
    """Let a chunk of 800 bytes unpack to 256 MB."""
    file.pop("obsm/pca")
    data = file.create_dataset("obsm/pca", (100,), "f8", chunks=(100,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(2**28), 9))


def huge_chunk(file):
    file.create_dataset("uns/x", (10,), "f8", chunks=(2**28,), maxshape=(None,), compression="gzip")


def packed_twice(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1000,))
    plist.set_deflate(9)
    plist.set_deflate(9)
    h5py.h5d.create(file["uns"].id, b"x", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((1000,)), plist)


def unknown_filter(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1000,))
    plist.set_filter(29_999, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file["uns"].id, b"x", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((1000,)), plist)


def packed_texts(file):
    """Let ten million references to no text be 40 kB."""
    put("uns/t", shape=(10**7,), dtype=h5py.string_dtype(), chunks=(10**5,), compression="gzip")(file)


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


def endless_heap(file):
    """Let the size of a text point into another: HDF5 walks on the spot."""

    def damage(path):
        contents = bytearray(path.read_bytes())
        place = contents.index(b"dict\0\0\0\0", contents.index(b"GCOL"))
        contents[place - 8] = 194
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


def wide_records(file):
    file.create_dataset("uns/wide", (100,), np.dtype([("a", "V4000000"), ("b", "f8")]), chunks=(1,))


A3 = {
    "chunks that are not stored": (unallocated, "/X: it declares more data"),
    "zeros packed 1000:1": (zeros("X", 16 * 10**6), "/X: it declares more data"),
    "zeros packed 1000:1, with shuffle": (zeros("uns/z", 16 * 10**6, shuffle=True), "/uns/z: it declares more data"),
    "one data set under a hundred names": (same_storage, "it declares more data"),
    "a chunk that unpacks to less": (short_chunk, "/obsm/pca: a chunk does not unpack"),
    "a chunk that unpacks to 256 MB": (long_chunk, "/obsm/pca: a chunk does not unpack"),
    "a chunk of 2 GB": (huge_chunk, "/uns/x: "),
    "data packed twice": (packed_twice, "/uns/x: its filters [1, 1]"),
    "a filter that nobody has": (unknown_filter, "/uns/x: it is packed by filter 29999"),
    "ten million empty texts": (packed_texts, "/uns/t: it declares more data"),
    "groups that double thirty times": (doubled, "lies in two places"),
    "20,000 groups": (many_groups, "has more than 10000 parts"),
    "60,000 attributes": (many_attributes, "/uns/attributes: it has more than"),
    "groups 2,000 deep": (deep, "nests deeper than 32"),
    "texts that are all the same": (shared_texts, "/uns/t: texts share their storage"),
    "texts of an attribute that are all the same": (shared_attribute, "/obs (attribute 'order'): texts share their storage"),
    "a heap without end": (endless_heap, "heap"),
    "a shape of 10^12 cells": (huge_shape, "/X: its sparse matrix has the shape (1000000000000, 40), larger"),
    "10^12 cells without columns": (put("X", shape=(10**12, 0), dtype="f4"), "/X: its shape is (1000000000000, 0)"),
    "a name that is no text": (no_text, "/uns: it holds b'\\xff\\xfe', whose name is no UTF-8 text"),
    "lists of any length": (ragged, "/uns/ragged: it holds values of variable length"),
    "records of 4 MB each": (wide_records, "/uns/wide: it declares more data"),
}  # fmt: skip


@pytest.mark.parametrize("case", A3)
def test_files_that_cost_too_much(border, changed, case):
    change, says = A3[case]
    folder = changed(change)
    border.in_child(
        lambda: sp.hub.import_reference(folder), BundleError, ("adata.h5ad is ", says),
        kind="A3", case=f"h5ad: {case}", shown="sp.hub.import_reference(folder)",
    )  # fmt: skip


def external_storage(file):
    file.create_dataset("uns/s", (25,), "f8", external=[("/etc/passwd", 0, 200)])


def virtual(file):
    layout = h5py.VirtualLayout((5,), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "X", (5,))
    file.create_virtual_dataset("uns/v", layout)


def link(one):
    def change(file):
        file["uns/link"] = one

    return change


def circle(file):
    file["uns/again"] = file["/"]


OUTSIDE = {
    "a link to another file": (
        link(h5py.ExternalLink("/etc/passwd", "/")),
        "/uns/link: it is a link to somewhere else",
    ),
    "a soft link": (link(h5py.SoftLink("/obs")), "/uns/link: it is a link to somewhere else"),
    "a virtual data set": (virtual, "/uns/v: it takes its data from other files"),
    "data in another file": (external_storage, "/uns/s: it takes its data from other files"),
    "a circle": (circle, "/uns/again: it nests in a circle"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_files_that_reach_out(border, changed, case):
    change, says = OUTSIDE[case]
    folder = changed(change)
    border.in_child(
        lambda: sp.hub.import_reference(folder), BundleError, ("adata.h5ad is refused", says),
        kind="A5", case=f"h5ad: {case}", shown="sp.hub.import_reference(folder)",
    )  # fmt: skip


def edited(key, edit):
    """Change the values of a data set."""

    def change(file):
        values = edit(file[key][:])
        attributes = dict(file[key].attrs)
        del file[key]
        file[key] = values
        file[key].attrs.update(attributes)

    return change


def at(place, value):
    def edit(values):
        values = values.astype("i8")
        values[place] = value
        return values

    return edit


def attribute(key, **values):
    def change(file):
        file[key].attrs.update(values)

    return change


A4 = {
    "an index beyond the columns": (edited("X/indices", at(3, 10**6)), "/X: its sparse matrix has the index 1000000"),
    "an index below 0": (edited("X/indices", at(3, -1)), "/X: its sparse matrix has the index -1"),
    "an index beyond 64 bits": (edited("X/indices", lambda one: np.full(len(one), 2**63, dtype="u8")), "/X"),
    "an index of a layer": (
        edited("layers/counts/indices", at(0, 2**31 - 1)),
        "/layers/counts: its sparse matrix has the index",
    ),
    "an index of obsm": (
        edited("obsm/sparse/indices", at(0, 500)),
        "/obsm/sparse: its sparse matrix has the index 500",
    ),
    "indptr that descends": (edited("X/indptr", at(5, 10**6)), "/X: indptr of its sparse matrix does not ascend"),
    "indptr below 0": (edited("X/indptr", at(0, -5)), "/X: indptr of its sparse matrix does not ascend"),
    "indptr that ends early": (edited("X/indptr", at(-1, 0)), "/X: indptr of its sparse matrix does not ascend"),
    "indptr of fewer rows": (edited("X/indptr", lambda one: one[: len(one) // 2]), "/X: indptr of its sparse matrix"),
    "indptr without rows": (edited("X/indptr", lambda one: one[:0]), "/X: indptr of its sparse matrix"),
    "fewer values than indices": (edited("X/data", lambda one: one[:-1]), "/X: its sparse matrix has"),
    "indices that are no integers": (edited("X/indices", lambda one: one.astype("f8")), "/X: indices of its sparse"),
    "a shape with fewer columns": (attribute("X", shape=[120, 2]), ""),
    "a shape below 0": (attribute("X", shape=[-120, 40]), "/X: its sparse matrix has the shape"),
    "a shape of three": (attribute("X", shape=[120, 40, 1]), "/X: its sparse matrix has the shape"),
    "codes without a category": (edited("obs/batch/codes", at(0, 99)), "codes"),
    "codes below -1": (edited("obs/batch/codes", at(0, -5)), "codes"),
    "a column that is too long": (
        edited("obs/batch/codes", lambda one: np.r_[one, one]),
        "Length of values (240) does not match",
    ),
    "an encoding that nobody knows": (attribute("X", **{"encoding-type": "csr_matrix_2"}), "csr_matrix_2"),
}


@pytest.mark.parametrize("case", A4)
def test_matrices_that_crash(border, changed, case):
    change, says = A4[case]
    folder = changed(change)
    border.in_child(
        lambda: sp.hub.import_reference(folder), BundleError, ("adata.h5ad", says),
        kind="A4", case=f"h5ad: {case}", shown="sp.hub.import_reference(folder)",
    )  # fmt: skip


def read_h5mu(path):
    import mudata

    return read_checked(path, mudata.read_h5mu)


def read_10x(path):
    import scanpy

    return read_checked(path, scanpy.read_10x_h5)


@pytest.fixture
def h5mu(tmp_path, folder):
    import anndata

    rna = anndata.read_h5ad(folder / "whole.h5ad")
    protein = rna[:, :5].copy()
    protein.var_names = [f"protein{i}" for i in range(5)]
    MuData({"rna": rna, "protein": protein}).write(tmp_path / "cells.h5mu")
    read_h5mu(tmp_path / "cells.h5mu")
    return tmp_path / "cells.h5mu"


@pytest.fixture
def tenx(tmp_path, folder):
    import anndata

    rna = anndata.read_h5ad(folder / "whole.h5ad")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        matrix = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            matrix[name] = getattr(rna.X, name)
        matrix["shape"] = np.array(rna.shape[::-1])
        matrix["barcodes"] = np.array(rna.obs_names, dtype="S")
        names = np.array(rna.var_names, dtype="S")
        for name in ("id", "name"):
            matrix[f"features/{name}"] = names
        for name in ("feature_type", "genome"):
            matrix[f"features/{name}"] = np.array([b"Gene Expression"] * len(names))
    read_10x(tmp_path / "raw.h5")
    return tmp_path / "raw.h5"


OTHERS = {
    "h5mu: an index beyond the columns": (
        "h5mu",
        edited("mod/rna/X/indices", at(0, 10**6)),
        "/mod/rna/X: its sparse matrix has the index",
    ),
    "h5mu: indptr that descends": ("h5mu", edited("mod/protein/X/indptr", at(2, 10**6)), "/mod/protein/X: indptr"),
    "10x: an index beyond the genes": (
        "tenx",
        edited("matrix/indices", at(0, 10**6)),
        "/matrix: its sparse matrix has the index",
    ),
    "10x: indptr that descends": ("tenx", edited("matrix/indptr", at(2, 10**6)), "/matrix: indptr"),
    "10x: a shape of 10^12 cells": ("tenx", edited("matrix/shape", at(1, 10**12)), "/matrix: its sparse matrix"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_hdf5_files(border, request, case):
    kind, change, says = OTHERS[case]
    path = request.getfixturevalue(kind)
    read = read_h5mu if kind == "h5mu" else read_10x
    with h5py.File(path, "a") as file:
        change(file)
    border.in_child(
        lambda: read(path),
        ValueError,
        (path.name, says),
        kind="A4",
        case=case,
        shown=f"read_checked({path.name!r}, ...)",
    )


NO_HDF5 = {
    "empty": (b"", "it is empty"),
    "a web page": (b"<!DOCTYPE html><html>", "it is a web page"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "packed": (zlib.compress(b"x", wbits=31), "gunzip"),
    "a zip archive": (b"PK\x03\x04" + bytes(100), "zip archive"),
    "random bytes": (np.random.default_rng(0).bytes(2000), "of another format"),
    "truncated": (None, "damaged"),
}


@pytest.mark.parametrize("case", NO_HDF5)
def test_no_hdf5(border, folder, tmp_path, case):
    contents, says = NO_HDF5[case]
    path = tmp_path / "cells.h5ad"
    path.write_bytes((folder / "whole.h5ad").read_bytes()[:20_000] if contents is None else contents)
    border.in_child(
        lambda: check_hdf5(path),
        ValueError,
        ("cells.h5ad", says),
        kind="C3",
        case=f"h5ad: {case}",
        shown="check_hdf5(path)",
    )

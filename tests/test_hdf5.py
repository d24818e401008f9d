"""Files that mean no harm pass the gate, whoever wrote them and however they are packed."""

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from scarches_plus._hdf5 import check_hdf5, read_h5ad


def varied(n_obs=50, n_vars=20):
    """Return cells with everything that anndata writes."""
    rng = np.random.default_rng(0)
    counts = sparse.random(n_obs, n_vars, 0.3, format="csr", random_state=0, dtype=np.float32)
    obs = pd.DataFrame(index=[f"zelle-ä-{i}" for i in range(n_obs)])
    obs["type"] = pd.Categorical(rng.choice(["a", "b", "ü"], n_obs))
    obs["none"] = pd.Categorical([None] * n_obs, categories=["a"])
    obs["flag"] = rng.random(n_obs) < 0.5
    obs["whole"] = pd.array([1, None] * (n_obs // 2), dtype="Int64")
    obs["maybe"] = pd.array([True, None] * (n_obs // 2), dtype="boolean")
    obs["text"] = [f"text {i % 7}" for i in range(n_obs)]
    adata = AnnData(counts, obs)
    adata.layers["dense"] = counts.toarray()
    adata.layers["zeros"] = np.zeros(counts.shape)
    adata.layers["csc"] = counts.tocsc()
    adata.obsm["table"] = pd.DataFrame({"x": np.arange(n_obs), "y": "z"}, index=obs.index)
    adata.obsm["empty"] = np.zeros((n_obs, 0))
    adata.obsp["graph"] = sparse.csr_matrix((n_obs, n_obs))
    adata.uns |= {
        "none": None, "number": 3, "text": "x" * 100_000, "texts": np.array(["a", ""], dtype=object), "list": ["a", "b"],
        "nested": {"a": {"b": {"c": 1.5}}}, "records": np.array([("a", 1.0)], dtype=[("name", "U5"), ("n", "f8")]),
        "array": np.zeros((0, 3)), "fixed": np.array([b"ab", b"c"]), "empty": {}, "bools": np.array([True, False]),
    }  # fmt: skip
    adata.raw = adata
    return adata


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"compression": "lzf"}])
def test_all_that_anndata_writes(tmp_path, options):
    adata = varied()
    adata.write_h5ad(tmp_path / "cells.h5ad", **options)
    again = read_h5ad(tmp_path / "cells.h5ad")
    assert again.obs["type"].tolist() == adata.obs["type"].tolist()
    assert (again.layers["csc"] != adata.layers["csc"]).nnz == 0
    assert set(again.uns) == set(adata.uns)


def test_no_cells(tmp_path):
    varied()[:0].copy().write_h5ad(tmp_path / "cells.h5ad", compression="gzip")
    assert read_h5ad(tmp_path / "cells.h5ad").shape == (0, 20)


def test_backed_cells_that_grew(tmp_path):
    """Files that were changed in place hold what nobody refers to, and chunks at their ends."""
    path = tmp_path / "cells.h5ad"
    adata = AnnData(np.random.default_rng(0).random((100, 30)).astype("f4"))
    adata.write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file["X"]
        data = file.create_dataset("X", (70, 30), "f4", chunks=(64, 7), maxshape=(None, 30), compression="gzip", shuffle=True,
                                   fletcher32=True)  # fmt: skip
        data[:] = 1.0
        data.resize((100, 30))
        data.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    assert read_h5ad(path).X[:70].min() == 1.0


@pytest.mark.parametrize("shuffle", [True, False])
def test_indices_in_packed_chunks(tmp_path, shuffle):
    """The last chunk is longer than what it holds, and what is beyond does not count."""
    path = tmp_path / "cells.h5ad"
    adata = AnnData(sparse.random(60, 40, 0.5, format="csr", random_state=1))
    adata.write_h5ad(path)
    with h5py.File(path, "a") as file:
        values = file["X/indices"][:]
        del file["X/indices"]
        data = file.create_dataset("X/indices", values.shape, "i4", chunks=(99,), compression="gzip", shuffle=shuffle,
                                   fillvalue=999)  # fmt: skip
        data[:] = values
    assert (read_h5ad(path).X != adata.X).nnz == 0
    with h5py.File(path, "a") as file:
        file["X/indices"][len(values) - 1] = 40
    with pytest.raises(ValueError, match=r"cells\.h5ad is refused: /X: its sparse matrix has the index 40"):
        check_hdf5(path)


def test_checksums_without_compression(tmp_path):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file.create_dataset("x", data=np.arange(100.0), chunks=(64,), fletcher32=True)
        file.create_dataset("y", data=np.arange(100.0), chunks=(64,), shuffle=True)
    check_hdf5(tmp_path / "cells.h5")


def test_records_of_texts(tmp_path):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file.create_dataset(
            "x", (3,), [("name", h5py.string_dtype()), ("pair", h5py.string_dtype(), (2,)), ("n", "f8", (2,))]
        )
    check_hdf5(tmp_path / "cells.h5")


def test_the_most_bytes_of_all_data_sets(tmp_path):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file["x"] = file["y"] = np.zeros(100)
    check_hdf5(tmp_path / "cells.h5", max_bytes=1600)
    with pytest.raises(ValueError, match=r"cells\.h5 is refused: /y: the file declares more than 1599 bytes of data"):
        check_hdf5(tmp_path / "cells.h5", max_bytes=1599)


def test_older_layouts(tmp_path):
    """Columns of one compound data set, categories by reference, and sparse matrices of h5sparse."""
    path = tmp_path / "old.h5ad"
    with h5py.File(path, "w") as file:
        obs = np.array([(b"c0", 0), (b"c1", 1)], dtype=[("index", "S2"), ("type", "i1")])
        file["obs"] = obs
        file["var"] = np.array([(b"g0",), (b"g1",), (b"g2",)], dtype=[("index", "S2")])
        file["uns/type_categories"] = np.array([b"a", b"b"])
        group = file.create_group("X")
        matrix = sparse.csr_matrix(np.eye(2, 3))
        group.attrs.update({"h5sparse_format": "csr", "h5sparse_shape": [2, 3]})
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        names = file.create_group("obs_named")
        names["type"] = np.array([0, 1], dtype="i1")
        names["__categories/type"] = np.array([b"a", b"b"])
        names["type"].attrs["categories"] = names["__categories/type"].ref
    check_hdf5(path)


def test_loom(tmp_path):
    with h5py.File(tmp_path / "cells.loom", "w") as file:
        file.create_dataset("matrix", data=np.zeros((40, 30)), chunks=(40, 30), compression="gzip")
        file["row_attrs/Gene"] = np.array([f"g{i}" for i in range(40)], dtype=object)
        file["col_attrs/CellID"] = np.array([f"c{i}" for i in range(30)], dtype=object)
        file.create_group("layers")
        file.create_group("row_graphs")
    check_hdf5(tmp_path / "cells.loom")

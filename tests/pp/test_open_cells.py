"""Cells open with their counts left on disk, or are refused by name."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from small_models import cells

import scarches_plus as sp

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2 data")  # the default of anndata 0.12


def written(adata, path):
    (adata.write_h5ad if path.suffix == ".h5ad" else adata.write_zarr)(path)
    return path


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_counts_stay_on_disk_and_the_rest_is_read(tmp_path, suffix, kind):
    adata = cells(60)
    adata.X = adata.X if kind == "sparse" else adata.X.toarray()
    adata.layers["counts"] = adata.X.copy()
    adata.obsm["X_pca"] = np.arange(120.0).reshape(60, 2)
    opened = sp.pp.open_cells(written(adata, tmp_path / f"cells{suffix}"))
    for matrix in (opened.X, opened.layers["counts"]):
        assert not isinstance(matrix, np.ndarray | type(cells(6).X))
    pd.testing.assert_frame_equal(opened.obs, adata.obs, check_dtype=False, check_categorical=False)
    np.testing.assert_array_equal(opened.obsm["X_pca"], adata.obsm["X_pca"])
    read = opened.to_memory()
    assert np.array_equal(read.X.toarray() if kind == "sparse" else read.X, cells(60).X.toarray())


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_checks_and_sums_read_it_as_they_read_memory(tmp_path, small_windows, suffix):
    adata = cells(120)
    opened = sp.pp.open_cells(written(adata, tmp_path / f"cells{suffix}"))
    assert str(sp.pp.check_query(opened)) == str(sp.pp.check_query(adata))
    one, other = (sp.tl.label_profiles(one, "cell_type", "batch") for one in (opened, adata))
    np.testing.assert_allclose(one.logs, other.logs, rtol=1e-6)
    part = np.arange(120)[::-3]
    assert str(sp.pp.check_query(opened[part, 5:])) == str(sp.pp.check_query(adata[part, 5:]))


def refusal(store):
    """What is said of a damaged store, when it is opened or before it is used."""
    try:
        report = sp.pp.check_query(sp.pp.open_cells(store))
    except ValueError as error:
        return str(error)
    assert not report.ok
    return str(report)


def test_other_kinds_are_refused(tmp_path):
    (tmp_path / "table.csv").write_text("cell,a,b\nx,1,2\n")
    with pytest.raises(ValueError, match=r"table.csv is table.*\.h5ad and \.zarr only"):
        sp.pp.open_cells(tmp_path / "table.csv")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        sp.pp.open_cells(tmp_path / "nowhere.h5ad")


def test_a_layer_without_any_count_is_opened(tmp_path):
    adata = cells(60)
    adata.layers["nothing"] = sparse.csr_matrix(adata.shape, dtype=np.float32)
    adata.write_zarr(tmp_path / "cells.zarr")
    opened = sp.pp.open_cells(tmp_path / "cells.zarr")
    assert opened.layers["nothing"][:5].nnz == 0
    assert (opened.X[:] != adata.X).nnz == 0


def test_a_store_that_lost_a_file_is_refused(tmp_path):
    store = sp.pp.write_store(cells(60), tmp_path / "store.zarr")
    for name in ("data", "indices", "indptr"):
        (file,) = (one for one in (store / "X" / name).rglob("*") if one.is_file() and one.name != "zarr.json")
        held = file.read_bytes()
        file.unlink()
        with pytest.raises(ValueError, match=rf"store.zarr cannot be opened.*X/{name} has 0 of its 1 files"):
            sp.pp.open_cells(store)
        file.write_bytes(held[: len(held) // 2])
        assert "damaged" in refusal(store)
        file.write_bytes(held)
    sp.pp.open_cells(store)


def test_counts_that_are_damaged_within_are_told_when_they_are_read(tmp_path):
    store = sp.pp.write_store(cells(60), tmp_path / "store.zarr")
    (file,) = (one for one in (store / "X" / "indices").rglob("*") if one.is_file() and one.name != "zarr.json")
    held = bytearray(file.read_bytes())
    held[40:200] = bytes(255 - one for one in held[40:200])
    file.write_bytes(held)
    assert "damaged" in refusal(store)

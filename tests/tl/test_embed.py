"""Embedding cells of known batches."""

import tracemalloc

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import scarches_plus as sp


def test_reference_cells_come_back_where_they_were(reference, model):
    again = reference[:, ::-1].copy()
    del again.obsm["X_scarches"]
    sp.tl.embed(again, model)
    # the genes' order is that of a sum
    np.testing.assert_allclose(again.obsm["X_scarches"], reference.obsm["X_scarches"], rtol=1e-5, atol=1e-6)
    record = again.uns["scarches_plus"]["embeddings"]["X_scarches"]
    assert record["space"] == model.state.space


def test_copy_and_key(reference, model):
    result = sp.tl.embed(reference, model, key_added="X_other", copy=True)
    assert "X_other" in result.obsm
    assert "X_other" not in reference.obsm


def test_from_a_folder(reference, model, tmp_path):
    model.save(tmp_path / "model")
    sp.tl.embed(reference, tmp_path / "model", key_added="X_other")
    np.testing.assert_array_equal(reference.obsm["X_other"], reference.obsm["X_scarches"])


def test_what_is_odd_is_said_once(reference, model):
    reference.X = reference.X * np.float32(0.3)
    with pytest.warns(UserWarning, match="counts multiplied by 0.3") as said:
        sp.tl.embed(reference, model)
    assert [warning.filename for warning in said] == [__file__]


def test_a_few_cells_of_known_batches_are_as_good_as_many(reference, model):
    few = reference[::60].copy()
    sp.tl.embed(few, model)  # warnings are errors
    np.testing.assert_allclose(few.obsm["X_scarches"], reference.obsm["X_scarches"][::60], rtol=1e-5, atol=1e-6)


def test_unknown_batches_are_refused(model, query):
    with pytest.raises(ValueError, match="map_query"):
        sp.tl.embed(query, model)


def test_memory_of_embedded_cells_is_released(reference, model):
    before = len(model._per_instance_manager_store[model.id]), len(type(model)._setup_adata_manager_store)
    for _ in range(3):
        sp.tl.embed(reference, model, key_added="X_other")
    assert (len(model._per_instance_manager_store[model.id]), len(type(model)._setup_adata_manager_store)) == before


def test_backed_cells(reference, model, tmp_path):
    expected = reference.obsm.pop("X_scarches")
    reference.write_h5ad(tmp_path / "cells.h5ad")
    before = (tmp_path / "cells.h5ad").read_bytes()
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    sp.tl.embed(backed, model)
    np.testing.assert_array_equal(backed.obsm["X_scarches"], expected)
    assert backed.isbacked
    assert backed.uns["scarches_plus"]["embeddings"]["X_scarches"]["space"] == model.state.space
    copied = sp.tl.embed(backed, model, key_added="X_other", copy=True)
    np.testing.assert_array_equal(copied.obsm["X_other"], expected)
    backed.file.close()
    assert (tmp_path / "cells.h5ad").read_bytes() == before


@pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray])
def test_backed_cells_are_not_loaded(reference, model, tmp_path, limits, kind):
    n_cells, n_more = 3000, 1500
    more = [f"more{i}" for i in range(n_more)]
    counts = np.tile(np.arange(3, dtype=np.float32), (n_cells, (n_more + reference.n_vars) // 3 + 1))
    names = [*more, *reference.var_names[::-1]]
    cells = AnnData(
        kind(counts[:, : len(names)]),
        obs=pd.DataFrame({"batch": np.resize(["batch0", "batch1"], n_cells)}, index=[f"c{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=names),
    )
    cells.write_h5ad(tmp_path / "cells.h5ad")
    size = (tmp_path / "cells.h5ad").stat().st_size
    limits(on_disk=50 * len(names))
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    tracemalloc.start()
    sp.tl.embed(backed, model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    backed.file.close()
    assert backed.obsm["X_scarches"].shape == (n_cells, 4)
    assert peak < size / 4

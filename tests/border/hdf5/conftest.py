"""Cells of a saved model, which a case changes."""

import h5py
import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse
from small_models import SCVI, cells, reference

import scarches_plus as sp


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

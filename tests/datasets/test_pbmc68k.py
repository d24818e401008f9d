import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from scarches_plus.datasets import pbmc68k


@pytest.fixture(scope="module")
def adata():
    return pbmc68k()


def test_holds_raw_counts(adata):
    assert adata.shape == (700, 765)
    assert isinstance(adata.X, sparse.csr_matrix)
    assert adata.X.dtype == np.float32
    assert adata.X.data.min() == 1
    np.testing.assert_array_equal(adata.X.data, np.round(adata.X.data))
    assert (adata.obs["n_counts"] >= adata.X.sum(axis=1).A1).all()


def test_normalising_the_counts_gives_what_scanpy_ships(adata):
    import scanpy as sc

    shipped = sc.datasets.pbmc68k_reduced().raw.X.toarray()
    again = np.log1p(adata.X.toarray() / adata.obs["n_counts"].to_numpy()[:, None] * 1e4)
    np.testing.assert_allclose(again, shipped, atol=6e-4)
    np.testing.assert_array_equal(again == 0, shipped == 0)


def test_annotations(adata):
    assert adata.obs["cell_type"].nunique() == 10
    assert adata.obs["cell_type"].dtype == "category"
    assert list(adata.obs["batch"].cat.categories) == [f"lane{i}" for i in range(1, 9)]
    assert (adata.obs["batch"].astype(str) == "lane" + adata.obs_names.str[-1]).all()
    assert len(adata.uns["cell_type_colors"]) == 10
    assert not adata.obsm
    assert adata.raw is None


def test_round_trip(adata, tmp_path):
    from anndata import read_h5ad

    adata.write_h5ad(tmp_path / "pbmc.h5ad")
    again = read_h5ad(tmp_path / "pbmc.h5ad")
    assert (again.X != adata.X).nnz == 0
    assert again.obs["cell_type"].astype(str).equals(adata.obs["cell_type"].astype(str))


def test_importing_datasets_is_light():
    heavy = ("torch", "scanpy", "matplotlib", "scvi", "pooch")
    code = f"import sys, scarches_plus.datasets; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

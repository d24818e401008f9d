"""The page on atlases, as far as scanpy draws what this one found."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scanpy as sc

import scarches_plus as sp

PAGE = (Path(__file__).parent.parent.parent / "docs" / "guide" / "atlas.md").read_text()


def block(containing):
    (found,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if containing in code]
    return found


@pytest.fixture
def atlas():
    adata = sp.datasets.simulate(400, 80, 4, rng=0)
    adata.obs["cluster"] = adata.obs["cell_type"].astype("category")
    adata.obsm["X_scarches"] = np.random.default_rng(0).normal(size=(400, 4))
    sp.tl.rank_genes(adata, "cluster", n_genes=adata.n_vars, min_total=0)
    return adata


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_scanpy_draws_the_markers(atlas):
    plt.switch_backend("agg")
    exec(block("rank_genes_groups_dotplot"), {"atlas": atlas, "sc": sc})  # noqa: S102 (the page's own code)
    assert "dendrogram_cluster" in atlas.uns
    assert len(plt.get_fignums()) == 2
    plt.close("all")

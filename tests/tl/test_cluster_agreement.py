"""Agreement of groupings on AnnData."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score

import scarches_plus as sp


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 200)
    b = np.where(rng.random(200) < 0.3, rng.integers(0, 4, 200), a)
    labels = pd.Series(b.astype(str)).where(rng.random(200) < 0.8)
    obs = pd.DataFrame({"a": pd.Categorical(a), "b": b, "labels": labels.to_numpy()})
    return AnnData(obs=obs.set_index(obs.index.astype(str)))


def test_equals_scikit_learn_without_cells_that_lack_a_label(adata):
    table = sp.tl.cluster_agreement(adata, ["a", "b"], ["labels", "b"])
    known = adata.obs["labels"].notna()
    assert table.shape == (2, 2)
    assert table.loc["a", "b"] == adjusted_rand_score(adata.obs["a"], adata.obs["b"])
    assert table.loc["a", "labels"] == adjusted_rand_score(adata.obs["a"][known], adata.obs["labels"][known])
    assert table.loc["b", "labels"] == 1
    assert table.loc["b", "b"] == 1


def test_names_do_not_matter(adata):
    adata.obs["renamed"] = adata.obs["a"].cat.rename_categories({0: 3, 1: 2, 2: 1, 3: 0}).astype(str) + "x"
    table = sp.tl.cluster_agreement(adata, ["a", "renamed"], "b")
    assert table.loc["a", "b"] == table.loc["renamed", "b"]


def test_wrong_input(adata):
    with pytest.raises(KeyError, match=r"\['nothing'\] not found.*labels"):
        sp.tl.cluster_agreement(adata, "a", "nothing")
    adata.obs["empty"] = np.nan
    with pytest.raises(ValueError, match="'empty'"):
        sp.tl.cluster_agreement(adata, "a", "empty")

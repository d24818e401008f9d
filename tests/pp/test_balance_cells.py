from collections import Counter

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scarches_plus.datasets import simulate
from scarches_plus.pp import balance_cells


def cells(**columns):
    obs = pd.DataFrame(columns)
    obs.index = [f"c{i}" for i in range(len(obs))]
    return AnnData(X=np.arange(len(obs), dtype=np.float32)[:, None], obs=obs)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, 2, 3]), st.booleans()), min_size=1),
    n=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_every_stratum_keeps_n_cells_or_all(rows, n, seed):
    study, tissue, cell_type = map(list, zip(*rows, strict=True))
    adata = cells(study=pd.Categorical(study, categories=["a", "b", "unused"]), tissue=tissue, cell_type=cell_type)
    kept = balance_cells(adata, ["study", "tissue", "cell_type"], n, rng=seed, copy=True)
    expected = {stratum: min(n, size) for stratum, size in Counter(rows).items()}
    assert Counter(kept.obs[["study", "tissue", "cell_type"]].itertuples(index=False, name=None)) == expected
    # the cells themselves, whole and in their order
    positions = kept.X[:, 0].astype(int)
    assert (np.diff(positions) > 0).all()
    assert kept.obs_names.tolist() == adata.obs_names[positions].tolist()


def test_works_in_place_as_scanpy_does():
    adata = simulate(500, 10, 4)
    untouched = adata.copy()
    copied = balance_cells(adata, ["batch", "cell_type"], n=10, copy=True)
    assert adata.n_obs == 500
    assert balance_cells(adata, ["batch", "cell_type"], n=10) is None
    assert adata.obs_names.equals(copied.obs_names)
    assert (adata.X != untouched[adata.obs_names].X).nnz == 0
    assert not copied.is_view
    assert adata.obs.value_counts(["batch", "cell_type"]).eq(10).all()


def test_one_key():
    adata = cells(study=list("aaaab"))
    balance_cells(adata, "study", 2)
    assert adata.obs["study"].tolist() == ["a", "a", "b"]


def test_view():
    adata = cells(study=list("aaaab"))
    view = adata[:4]
    balance_cells(view, "study", 2)
    assert view.n_obs == 2
    assert adata.n_obs == 5


def test_every_cell_is_as_likely_as_the_others_of_its_stratum():
    adata = cells(study=np.array(["a", "b"]).repeat([12, 30])[np.random.default_rng(0).permutation(42)])
    rng = np.random.default_rng(1)
    counts = sum(
        np.bincount(balance_cells(adata, "study", 3, rng=rng, copy=True).X[:, 0].astype(int), minlength=42)
        for _ in range(300)
    )
    for rows in adata.obs.groupby("study").indices.values():
        assert counts[rows].sum() == 900
        assert stats.chisquare(counts[rows]).pvalue > 1e-3


def test_seed():
    adata = cells(study=["a"] * 100)

    def kept(**rng):
        return balance_cells(adata, "study", 10, copy=True, **rng).obs_names.tolist()

    assert kept() == kept(rng=0) == kept(rng=np.random.default_rng(0))
    assert kept(rng=1) != kept(rng=2)
    assert kept(rng=None) != kept(rng=None)


def test_names_and_order_of_categories_do_not_matter():
    one = cells(study=pd.Categorical(list("aabbab") * 5))
    other = cells(study=pd.Categorical(list("yyxxyx") * 5))
    first, second = (balance_cells(adata, "study", 4, copy=True).obs_names.tolist() for adata in (one, other))
    assert first == second


def test_backed(tmp_path):
    from anndata import read_h5ad

    cells(study=list("aaaab")).write_h5ad(tmp_path / "cells.h5ad")
    backed = read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(NotImplementedError, match="copy=True"):
        balance_cells(backed, "study", 2)
    kept = balance_cells(backed, "study", 2, copy=True)
    assert kept.n_obs == 3
    assert not kept.isbacked
    backed.file.close()


@pytest.mark.parametrize("values", [["a", None, "b"], [1.0, np.nan, 2.0], pd.Categorical.from_codes([0, -1, 0], ["a"])])
def test_cells_without_a_stratum_are_refused(values):
    adata = cells(study=values, tissue=["x", "y", "z"])
    with pytest.raises(ValueError, match=r"missing values in adata.obs: \{'study': 1\}"):
        balance_cells(adata, ["tissue", "study"], 1)
    assert adata.n_obs == 3


def test_a_key_given_twice_counts_once():
    adata = cells(study=list("aaab"))
    balance_cells(adata, ["study", "study"], 1)
    assert adata.n_obs == 2


@pytest.mark.parametrize(
    ("keys", "n", "error", "part"),
    [
        (["study", "organ"], 1, KeyError, r"columns \['organ'\] not found"),
        ([], 1, ValueError, "keys is empty"),
        ("study", 0, ValueError, "n must be at least 1"),
        ("study", 1.5, ValueError, "n must be a whole number"),
        ("study", True, TypeError, "n must be a whole number"),
    ],
)
def test_unusable_arguments(keys, n, error, part):
    with pytest.raises(error, match=part):
        balance_cells(cells(study=list("ab")), keys, n)

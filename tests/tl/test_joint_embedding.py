"""Reference and query together."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData

import scarches_plus as sp

FAST = {"max_epochs": 1, "train_kwargs": {"enable_progress_bar": False}}


@pytest.fixture
def mapped(model, query):
    sp.tl.map_query(query, model, **FAST)
    return query


def test_holds_both(reference, mapped):
    reference.uns["cell_type_colors"] = ["#111111", "#222222", "#333333"]
    reference.obs["only_here"] = 1.5
    sp.tl.transfer_labels(mapped, reference, "cell_type")
    joint = sp.tl.joint_embedding(reference, mapped)
    n = reference.n_obs
    assert joint.obs["mapping_role"].tolist() == ["reference"] * n + ["query"] * mapped.n_obs
    np.testing.assert_array_equal(joint.obsm["X_scarches"][:n], reference.obsm["X_scarches"])
    np.testing.assert_array_equal(joint.obsm["X_scarches"][n:], mapped.obsm["X_scarches"])
    np.testing.assert_array_equal(joint.X.toarray()[n:], mapped.X.toarray())
    assert list(joint.uns["cell_type_colors"]) == ["#111111", "#222222", "#333333"]
    assert joint.obs["only_here"].isna().sum() == mapped.n_obs
    assert joint.obs["cell_type_pred"].isna().sum() == n
    assert joint.obs["batch"].dtype == "category"


def test_is_ready_for_scanpy(reference, mapped, tmp_path):
    joint = sp.tl.joint_embedding(reference, mapped)
    sc.pp.neighbors(joint, use_rep="X_scarches")
    joint.write_h5ad(tmp_path / "joint.h5ad")


def test_repeated_names_and_fewer_genes(reference, mapped):
    mapped.obs_names = reference.obs_names[: mapped.n_obs]
    joint = sp.tl.joint_embedding(reference, mapped[:, 3:].copy())
    assert joint.obs_names.is_unique
    assert joint.n_vars == 37


def test_a_reference_without_counts(reference, mapped):
    bare = AnnData(obs=reference.obs, obsm=dict(reference.obsm), uns=reference.uns)
    joint = sp.tl.joint_embedding(bare, mapped)
    assert joint.X is None
    assert joint.n_obs == reference.n_obs + mapped.n_obs


def test_inputs_stay(reference, mapped):
    before = reference.copy(), mapped.copy()
    sp.tl.joint_embedding(reference, mapped)
    for now, then in zip((reference, mapped), before, strict=True):
        assert now.obs.equals(then.obs)
        assert list(now.obs_names) == list(then.obs_names)


def test_different_spaces(reference, model, query):
    sp.tl.map_query(query, model, strategy="all", **FAST)
    with pytest.raises(ValueError, match="different latent spaces"):
        sp.tl.joint_embedding(reference, query)


def test_columns_of_different_types_survive_h5ad(reference, mapped, tmp_path):
    reference.obs["is_doublet"] = False
    reference.obs["sample"] = 3
    mapped.obs["sample"] = "s1"
    joint = sp.tl.joint_embedding(reference, mapped)
    joint.write_h5ad(tmp_path / "joint.h5ad")
    again = anndata.read_h5ad(tmp_path / "joint.h5ad")
    assert set(again.obs["sample"]) == {"3", "s1"}
    assert again.obs["is_doublet"].isna().sum() == mapped.n_obs


def test_a_column_without_values_takes_the_type_of_the_other(reference, mapped):
    reference.obs = reference.obs.assign(
        stage=pd.Categorical([None] * reference.n_obs), age=None, time=np.nan, pool=None
    )
    mapped.obs = mapped.obs.assign(stage=pd.Categorical(["late"] * mapped.n_obs), age=3, time=0.5, pool=None)
    obs = sp.tl.joint_embedding(reference, mapped).obs
    assert list(obs["stage"].cat.categories) == ["late"]
    assert [str(obs[name].dtype) for name in ("age", "time")] == ["Int64", "float64"]
    shared = ["stage", "age", "time", "pool"]
    assert obs.loc[reference.obs_names, shared].isna().all(axis=None)
    assert obs.loc[mapped.obs_names, shared].iloc[0].tolist()[:3] == ["late", 3, 0.5]

"""Cells of batches that a model never saw, embedded without training."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from small_models import SCANVI, SCVI, cells, reference, split, train

import scarches_plus as sp
from scarches_plus.pp import QueryError

COVARIATES = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"]}
BLIND = {
    "plain": {},
    "BA-scVI": {"batch_free_decoder_layer": True, "n_layers": 3},
    "batch norm": {"use_batch_norm": "both", "use_layer_norm": "none"},
    "modelled library": {"use_observed_lib_size": False},
    "batch embedding": {"batch_representation": "embedding"},
    "logistic normal": {"latent_distribution": "ln"},
}


def with_covariates(adata):
    adata.obs["donor"] = np.resize(["x", "y", "z"], adata.n_obs)
    adata.obs["age"] = np.linspace(-1, 1, adata.n_obs)
    return adata


@pytest.fixture(scope="module")
def parts():
    return split(with_covariates(cells()), "batch2")


@pytest.fixture(scope="module", params=[SCVI, SCANVI], ids=lambda cls: cls.__name__)
def model(request, parts):
    return reference(request.param, parts[0].copy(), setup_kwargs=COVARIATES, encode_covariates=False)


def bare(adata):
    """Counts with names, and nothing else."""
    return AnnData(adata.X.copy(), obs=pd.DataFrame(index=adata.obs_names), var=adata.var[[]])


def as_known(query):
    """Give the cells a batch and covariates that the model knows; which ones does not matter."""
    known = query.copy()
    known.obs = known.obs.assign(batch="batch0", donor="x", age=0.0, cell_type="type0")
    return known


@pytest.mark.parametrize("cls", [SCVI, SCANVI], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("network", BLIND.values(), ids=BLIND.keys())
def test_every_network_that_is_blind(cls, network, parts):
    if cls is SCANVI and "batch_representation" in network:
        pytest.skip("scVI's only")
    model = reference(cls, parts[0].copy(), setup_kwargs=COVARIATES, encode_covariates=False, **network)
    torch.manual_seed(0)
    embedded = model.embed(bare(parts[1]))
    tolerance = 0.03 if model.module.latent_distribution == "ln" else 1e-5  # 5,000 samples
    np.testing.assert_allclose(
        embedded, super(type(model), model).get_latent_representation(as_known(parts[1])), rtol=1e-5, atol=tolerance
    )


def test_columns_are_not_read(model, parts):
    expected = model.embed(bare(parts[1]))
    obs = parts[1].obs
    for columns in (
        obs.assign(batch="never seen"),
        obs.assign(batch=np.nan),
        obs.drop(columns="batch"),
        obs.assign(donor="never seen", age="no number"),
        obs.drop(columns=["donor", "age", "cell_type"]),
        obs.assign(batch=np.arange(len(obs))),
    ):
        query = parts[1].copy()
        query.obs = columns
        np.testing.assert_array_equal(model.embed(query), expected)
    np.testing.assert_array_equal(model.embed(parts[1], batch_key="no such column"), expected)


def test_missing_genes_are_zeros(model, parts):
    fewer = bare(parts[1])[:, ::-1][:, :30].copy()
    zeroed = parts[1].copy()
    zeroed.X = zeroed.X.multiply(zeroed.var_names.isin(fewer.var_names)).tocsr()
    np.testing.assert_allclose(model.embed(fewer), model.embed(bare(zeroed)), rtol=1e-5, atol=1e-6)


def test_from_a_folder_by_the_verb(model, parts, tmp_path):
    model.save(tmp_path / "model")
    expected = model.embed(parts[1])
    for query, kwargs in (
        (parts[1].copy(), {}),
        (bare(parts[1]), {}),
        (bare(parts[1]), {"batch_key": "no such column"}),
    ):
        sp.tl.embed(query, tmp_path / "model", **kwargs)
        np.testing.assert_array_equal(query.obsm["X_scarches"], expected)
        record = query.uns["scarches_plus"]["embeddings"]["X_scarches"]
        assert record["space"] == model.state.space
    assert list(query.obs) == []


def test_the_verb_still_checks_counts_and_genes(model, parts):
    logged = bare(parts[1])
    logged.X = np.log1p(logged.X.toarray())
    with pytest.raises(QueryError, match="log-normalised"):
        sp.tl.embed(logged, model)
    renamed = bare(parts[1])
    renamed.var_names = [f"other{i}" for i in range(renamed.n_vars)]
    with pytest.raises(QueryError, match="only 0 of"):
        sp.tl.embed(renamed, model)


@pytest.mark.parametrize("cls", [SCVI, SCANVI], ids=lambda cls: cls.__name__)
def test_an_encoder_that_sees_the_batch_needs_to_know_it(cls, parts):
    model = reference(cls, parts[0].copy())
    with pytest.raises(ValueError, match=r"knows no \['batch2'\].*map_query"):
        model.embed(parts[1])
    with pytest.raises(KeyError, match="batch"):
        model.embed(bare(parts[1]))
    with pytest.raises(QueryError, match="batch"):
        sp.tl.embed(bare(parts[1]), model)


def test_new_cells_lie_by_their_type():
    """Zero-shot is of use: types of a batch that was left out lie where the reference has them."""
    ref, query = split(cells(600, type_effect=1.0, inverse_dispersion=10), "batch2")
    model = reference(SCVI, ref, encode_covariates=False, batch_free_decoder_layer=True)
    train(model, 20, plan_kwargs={"lr": 5e-3})
    known, new = model.embed(ref), model.embed(bare(query))
    nearest = np.linalg.norm(new[:, None] - known[None], axis=2).argmin(1)
    labels = ref.obs["cell_type"].to_numpy(dtype=str)[nearest]
    assert (labels == query.obs["cell_type"].to_numpy(dtype=str)).mean() > 0.9

"""A model taken apart and put together again is the same model."""

import tracemalloc
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import scvi
import torch
from small_models import (
    MODALITIES,
    SCANVI,
    SCVI,
    STRATEGIES,
    TOTALVI,
    as_taken,
    cells,
    network,
    reference,
    split,
    train,
    with_proteins,
)

from scarches_plus.bundle._serialise._plausible import known_arguments, require_plausible_sizes
from scarches_plus.bundle._serialise._portable import put_together, take_apart

COVARIATES = {
    "categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"], "size_factor_key": "size",
    "layer": "counts",
}  # fmt: skip
SETUPS = {
    "SCVI": (SCVI, {}, {}),
    "SCVI, covariates": (SCVI, COVARIATES, {}),
    "SCVI, no batch": (SCVI, {"batch_key": None}, {}),
    "SCVI, labels": (SCVI, {"labels_key": "cell_type"}, {"dispersion": "gene-label"}),
    "SCVI, modelled library": (SCVI, {}, {"use_observed_lib_size": False}),
    "SCVI, batch norm": (SCVI, {}, {"use_batch_norm": "both"}),
    "SCANVI": (SCANVI, {}, {}),
    "SCANVI, covariates": (SCANVI, COVARIATES, {"dispersion": "gene-batch"}),
    "TOTALVI": (TOTALVI, {}, {}),
}


@pytest.fixture(scope="module")
def adata():
    adata = cells()
    adata.obs["donor"] = [f"donor{i % 2}" for i in range(adata.n_obs)]
    adata.obs["age"] = np.linspace(0, 1, adata.n_obs)
    adata.obs["size"] = 1.5
    adata.layers["counts"] = adata.X.copy()
    return adata


def require_equal(one, other, path=""):
    """Registries agree but for names drawn at random, and what does not apply to cells with counts."""
    if isinstance(one, dict):
        ignored = {"use_minified", "_scvi_uuid", "protein_batch_mask"}
        assert set(one) - ignored == set(other) - ignored, path
        for key in set(one) - ignored:
            require_equal(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, path
        assert one.tolist() == other.tolist(), path
    else:
        assert one == other, path


def require_same_model(again, model, adata):
    require_equal(again.registry_, model.registry_)
    assert again.spec == model.spec
    assert again.state == model.state
    np.testing.assert_array_equal(again.embed(adata), model.embed(adata))
    assert set(again.history) == set(model.history)
    for name, record in model.history.items():
        np.testing.assert_allclose(again.history[name], record.astype(float), rtol=1e-6)
        assert again.history[name].index.equals(record.index)


@pytest.mark.parametrize("case", SETUPS.values(), ids=SETUPS.keys())
def test_registry_and_embedding(case, adata):
    cls, setup, options = case
    ref = as_taken(cls, split(adata, "batch2")[0])
    model = reference(cls, ref, setup_kwargs=setup, **options)
    again = put_together(take_apart(model))
    assert type(again) is cls
    assert again.adata is None
    require_same_model(again, model, ref)
    assert again.init_params_ == model.init_params_


@pytest.fixture(scope="module")
def trained(adata):
    """A reference of a class, made once."""
    return cache(lambda cls: reference(cls, as_taken(cls, split(adata, "batch2")[0])))


@pytest.mark.parametrize("cls", [SCVI, SCANVI, TOTALVI])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_mapped_models(cls, strategy, adata, trained):
    some_genes = split(adata, "batch2")[1][:, 4:].copy()  # totalVI: no proteins either
    mapped = train(cls.load_query_data(some_genes, trained(cls), strategy=strategy))
    again = put_together(take_apart(mapped))
    require_same_model(again, mapped, some_genes)
    latents = []
    for source in (mapped, again):
        other = cells(n_batches=5, rng=2)
        other = as_taken(cls, other[other.obs["batch"] == "batch4"].copy())
        scvi.settings.seed = 0
        latents.append(train(cls.load_query_data(other, source), 2).get_latent_representation())
    np.testing.assert_array_equal(*latents)
    if cls is TOTALVI:
        assert again.protein_mask_ == mapped.protein_mask_
        assert not np.any(again.module.protein_batch_mask["2"])


def test_modality_of_batches(adata):
    joint = with_proteins(adata)
    joint.mod["rna"].obs["batch"] = joint.obs["batch"].to_numpy()
    TOTALVI.setup_mudata(joint, batch_key="batch", modalities={**MODALITIES, "batch_key": "rna"})
    model = train(TOTALVI(joint, **network(TOTALVI)))
    require_same_model(put_together(take_apart(model)), model, joint)


def test_proteins_that_only_some_batches_measured(adata):
    joint = with_proteins(adata)
    joint.mod["protein"].X[(joint.obs["batch"] == "batch1").to_numpy(), 2] = 0
    TOTALVI.setup_mudata(joint, batch_key="batch", modalities=MODALITIES)
    with pytest.warns(UserWarning, match="all 0 counts"):
        model = train(TOTALVI(joint, **network(TOTALVI)))
    parts = take_apart(model)
    assert parts.unmeasured_proteins == {"batch1": [2]}
    again = put_together(parts)
    assert {code: list(mask) for code, mask in again.module.protein_batch_mask.items()} == {
        code: list(mask) for code, mask in model.module.protein_batch_mask.items()
    }


def test_a_plain_model_of_scvi_tools_with_numbers_for_batches(adata):
    numbered = adata.copy()
    numbered.obs["batch"] = numbered.obs["batch"].astype(str).str[-1].astype(int).to_numpy()
    scvi.model.SCVI.setup_anndata(numbered, batch_key="batch")
    plain = train(scvi.model.SCVI(numbered, **network(SCVI)), log_every_n_steps=1, train_size=1.0)
    again = put_together(take_apart(plain))
    assert again.spec.batches == ("0", "1", "2")
    np.testing.assert_allclose(again.embed(numbered), plain.get_latent_representation(), rtol=1e-5, atol=1e-6)


def test_a_long_history_is_thinned(adata):
    model = reference(SCVI, split(adata, "batch2")[0])
    model.history_ = {"loss": pd.DataFrame({"loss": np.arange(1000.0)}, index=pd.Index(range(1000), name="epoch"))}
    epochs, values = take_apart(model).history["loss"]
    assert len(epochs) == 100
    assert epochs[0] == 0
    assert epochs[-1] == 999
    assert epochs == values
    assert len(model.history["loss"]) == 1000


def test_looking_draws_no_random_number_and_leaves_no_cells(adata):
    model = reference(SCVI, split(adata, "batch2")[0])
    managers = len(SCVI._setup_adata_manager_store)
    before = torch.get_rng_state()
    put_together(take_apart(model))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(SCVI._setup_adata_manager_store) == managers


# --- What does not go together ---


@pytest.fixture(scope="module")
def parts(adata):
    return take_apart(reference(SCVI, split(adata, "batch2")[0]))


def test_weights_of_another_network(parts):
    first = next(iter(parts.weights))
    others = {
        "there is no tensor": {name: value for name, value in parts.weights.items() if name != first},
        r"has no \['stray'\]": {**parts.weights, "stray": torch.zeros(1)},
        "has one of": {**parts.weights, first: torch.zeros(3)},
        "float64": {**parts.weights, first: parts.weights[first].double()},
    }
    for message, weights in others.items():
        with pytest.raises(ValueError, match=message):
            put_together(replace(parts, weights=weights))


def test_arguments_that_ask_for_the_impossible(parts):
    with pytest.raises(ValueError, match="larger than the weights"):
        put_together(replace(parts, arguments={**parts.arguments, "n_hidden": 10**9}))
    # within bounds, but no memory is taken before the weights are known to be others
    with pytest.raises(ValueError, match="has one of"):
        put_together(replace(parts, arguments={**parts.arguments, "n_hidden": 10_000, "n_latent": 10_000}))
    with pytest.raises(ValueError, match="no argument 'unheard_of'"):
        put_together(replace(parts, arguments={**parts.arguments, "unheard_of": 1}))
    put_together(replace(parts, arguments={**parts.arguments, "unheard_of": None}))


def test_what_is_no_plain_value_or_not_trained(adata):
    ref, _ = split(adata, "batch2")
    SCVI.setup_anndata(ref, batch_key="batch")
    model = SCVI(ref, **network(SCVI))
    with pytest.raises(ValueError, match="not trained"):
        take_apart(model)
    train(model, 1)
    model.init_params_["kwargs"]["kwargs"]["var_activation"] = torch.nn.functional.softplus
    with pytest.raises(TypeError, match="var_activation"):
        take_apart(model)


# --- Claims of a file are held against its weights, and cost nothing ---


@pytest.fixture(scope="module")
def parts_of():
    return {cls: take_apart(reference(cls, as_taken(cls, cells()))) for cls in (SCVI, TOTALVI)}


def names(n):
    return tuple(map(str, range(n)))


SIZES = {
    "var_names": names(10_000),
    "batches": names(1_000_000),
    "proteins": names(30_000),
    "labels": names(10_001),
    "continuous_covariates": names(100_000),
    "categorical_covariates": dict.fromkeys(names(100_000), ("a", "b")),
}


@pytest.mark.parametrize("cls", [SCVI, TOTALVI])
@pytest.mark.parametrize("name", [*SIZES, "categorical_covariates.donor"])
def test_sizes_beyond_the_weights_take_no_memory(parts_of, cls, name):
    whole = parts_of[cls]
    require_plausible_sizes(whole.spec, whole.weights)
    value = SIZES.get(name, {"donor": names(100_000)})
    spec = replace(whole.spec, **{name.split(".")[0]: value})
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"^{name}: .* more than the weights have room for"):
            put_together(replace(whole, spec=spec))
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_batches_times_proteins(parts_of):
    """A tensor as long as both leaves room for either, and not for all pairs."""
    whole = parts_of[TOTALVI]
    spec = replace(whole.spec, batches=names(30_000), proteins=names(30_000))
    with pytest.raises(ValueError, match="30000 categories and 30000 columns"):
        put_together(replace(whole, spec=spec, weights={**whole.weights, "long": torch.zeros(30_000)}))
    # nor do shapes that hold nothing
    spec = replace(whole.spec, batches=names(30_000))
    with pytest.raises(ValueError, match="batches: 30000"):
        put_together(replace(whole, spec=spec, weights={**whole.weights, "long": torch.zeros(30_000, 0)}))


ARGUMENTS = {
    "gene_likelihood": "gauss", "latent_distribution": 3, "dispersion": ["gene"], "use_batch_norm": True,
    "use_layer_norm": "all", "encode_covariates": "no", "n_layers": 2.5, "n_hidden": -1, "n_latent": "10",
    "dropout_rate": "high", "var_activation": "relu", "library_log_means": [1.0], "batch_representation": {},
    "extra_encoder_kwargs": "x", "y_prior": [1.0], "use_size_factor_key": 0, "extra_decoder_kwargs.n_layers": "x",
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_values_that_no_argument_has(name):
    option, _, part = name.partition(".")
    value = {part: ARGUMENTS[name]} if part else ARGUMENTS[name]
    with pytest.raises(ValueError, match=rf"^argument {name}=.* has to be"):
        known_arguments(SCANVI if option == "y_prior" else SCVI, {option: value}, {})

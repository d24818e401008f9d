"""Claims of a file are held against its weights, and cost nothing."""

import tracemalloc
from dataclasses import replace

import pytest
import torch
from small_models import SCANVI, SCVI, TOTALVI, as_taken, cells, reference

from scarches_plus.bundle._plain._plausible import known_arguments, require_plausible_sizes
from scarches_plus.bundle._plain._portable import put_together, take_apart


@pytest.fixture(scope="module")
def parts():
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
def test_sizes_beyond_the_weights_take_no_memory(parts, cls, name):
    whole = parts[cls]
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


def test_batches_times_proteins(parts):
    """A tensor as long as both leaves room for either, and not for all pairs."""
    whole = parts[TOTALVI]
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

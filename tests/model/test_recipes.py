"""Recipes hold what their papers say."""

import inspect

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse
from small_models import cells, for_recipe, split

import scarches_plus as sp
from scarches_plus import model as models
from scarches_plus.model import QUERY_RECIPES, RECIPES, Recipe
from scarches_plus.train import EWC, MMD, BatchAdversary


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_makes_a_reference_fit_for_mapping(name):
    recipe = RECIPES[name]
    # the encoder sees the batch, for surgery, or is blind to it, for cells of any batch
    blind = name.startswith("bascvi") or name.endswith("blind")
    assert recipe.model_kwargs["encode_covariates"] is not blind
    assert blind or recipe.model_kwargs["use_batch_norm"] == "none"
    network = sp.module.TOTALVAE if recipe.model == "TOTALVI" else sp.module.VAE
    accepted = set(inspect.signature(network).parameters)
    assert set(recipe.model_kwargs) <= accepted
    assert recipe.source
    assert hasattr(models, recipe.model)


def test_cvae_is_table_1():
    arguments = RECIPES["cvae"].model_kwargs
    assert (arguments["n_layers"], arguments["n_hidden"], arguments["n_latent"]) == (2, 128, 10)
    assert arguments["gene_likelihood"] == "nb"
    assert arguments["dropout_rate"] == 0.1
    assert arguments["deeply_inject_covariates"] is False
    assert RECIPES["cvae"].train_kwargs == {"gradient_clip_val": 3.0}


def test_recipes_are_values():
    assert Recipe("SCVI", "mine") == Recipe("SCVI", "mine")
    with pytest.raises(AttributeError):
        RECIPES["scvi"].max_epochs = 1


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_model_says_which_penalties_its_recipe_had(name):
    ref = for_recipe(name, split(cells(), "batch2")[0])
    options = {"max_epochs": 1, "model_kwargs": {"n_hidden": 8}, "train_kwargs": {"enable_progress_bar": False}}
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe=name, **options)
    assert {f"{penalty.name}_train" for penalty in RECIPES[name].penalties} <= set(model.history)
    assert model.state.penalties == tuple(penalty.options() for penalty in RECIPES[name].penalties)


def test_trvae_is_table_1_but_for_what_it_says():
    recipe = RECIPES["trvae"]
    assert recipe.penalties == (MMD(weight=recipe.penalties[0].weight, on="decoder"),)
    assert recipe.model_kwargs["dropout_rate"] == 0.05
    assert recipe.model_kwargs["n_latent"] == 10
    assert recipe.model_kwargs["dispersion"] == "gene-batch"
    assert recipe.model_kwargs["deeply_inject_covariates"] is False
    assert recipe.train_kwargs == {"gradient_clip_val": 5.0}


@pytest.mark.parametrize(
    ("name", "likelihood", "widths", "n_latent", "alpha", "beta", "eta", "dropout", "clip"),
    [
        ("trvae_mse", "mse", (128, 20), 10, 0.001, 20, 1000, 0.05, 5),
        ("trvae_sse", "sse", (128, 64, 20), 15, 0.0001, 50, 1, 0.1, 10),
    ],
)
def test_trvae_of_normalised_expression_is_table_1(name, likelihood, widths, n_latent, alpha, beta, eta, dropout, clip):
    recipe = RECIPES[name]
    ref, query = split(cells(), "batch2")
    model = sp.tl.build_reference(ref, "batch", recipe=name, max_epochs=2, train_kwargs={"enable_progress_bar": False})
    module = model.module
    encoder, decoder = (
        [block[0].out_features for block in stack.fc_layers]
        for stack in (module.z_encoder.encoder, module.decoder.px_decoder)
    )
    assert (encoder, decoder) == (list(widths), list(widths)[::-1])
    assert module.n_latent == n_latent
    assert module.gene_likelihood == likelihood
    assert module._reconstruction_weight == eta
    assert {part.p for part in module.z_encoder.modules() if isinstance(part, torch.nn.Dropout)} == {dropout}
    assert recipe.penalties == (MMD(weight=beta, on="decoder", reduction="sum"),)
    assert recipe.train_kwargs == {"gradient_clip_val": clip}
    assert model.history["kl_weight"].to_numpy(dtype=float) == pytest.approx(alpha)
    assert not recipe.model_kwargs["deeply_inject_covariates"]
    sp.tl.map_query(query, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    assert query.obsm["X_scarches"].shape == (query.n_obs, n_latent)


def test_bascvi_is_the_paper_but_for_what_it_says():
    recipe = RECIPES["bascvi"]
    arguments = recipe.model_kwargs
    assert (arguments["n_layers"], arguments["n_hidden"], arguments["n_latent"]) == (4, 512, 10)
    assert arguments["batch_free_decoder_layer"] is True
    assert arguments["gene_likelihood"] == "zinb"
    assert arguments["dropout_rate"] == 0.1
    (adversary,) = recipe.penalties
    assert isinstance(adversary, BatchAdversary)
    assert adversary.layers_read == ("encoder", "decoder")
    assert adversary.weight == 1
    assert adversary.lr == 1e-2
    assert recipe.plan_kwargs == {"lr": 1e-4, "weight_decay": 1e-5, "eps": 1e-8}
    assert recipe.train_kwargs == {"batch_size": 64, "gradient_clip_val": 5.0}


def test_bascvi_as_printed():
    recipe = RECIPES["bascvi_paper"]
    arguments = recipe.model_kwargs
    assert (arguments["n_layers"], arguments["n_hidden"], arguments["n_latent"]) == (4, 512, 10)
    assert (arguments["use_batch_norm"], arguments["dropout_rate"]) == ("both", 0.1)
    assert arguments["normalize_encoder_input"] is True
    assert arguments["use_observed_lib_size"] is False  # the loss has a KL term of the library
    assert recipe.plan_kwargs == {"lr": 5e-5, "weight_decay": 1e-5, "eps": 0.01, "n_epochs_kl_warmup": None}
    (adversary,) = recipe.penalties
    assert (adversary.weight, adversary.reduction, adversary.objective) == (10, "sum", "negative_cross_entropy")
    assert (adversary.lr, adversary.eps, adversary.weight_decay) == (1e-2, 0.01, 1e-5)
    assert recipe.train_kwargs == {"batch_size": 64, "early_stopping": True, "early_stopping_patience": 5}
    assert (recipe.max_epochs, recipe.epochs_for_any_size) == (100, True)


def test_bascvi_as_released():
    recipe = RECIPES["bascvi_code"]
    assert recipe.plan_kwargs["max_kl_weight"] == 0.2
    (adversary,) = recipe.penalties
    # one half of the sum over both layers is their mean
    assert (adversary.weight / 2, adversary.reduction) == (1, "mean")
    assert (adversary.lr, adversary.n_hidden, adversary.normalize_logits) == (1e-4, 512, True)


@pytest.mark.parametrize(
    ("name", "layers", "patience", "lr", "library", "encodes"),
    [
        ("scvi_2_layers", 2, 15, 1e-4, True, True),
        ("scvi_4_layers", 4, 5, 1e-4, True, True),
        ("scvi_4_layers_blind", 4, 5, 5e-5, False, False),
    ],
)
def test_tuned_scvi_is_what_the_paper_lists(name, layers, patience, lr, library, encodes):
    recipe = RECIPES[name]
    arguments = recipe.model_kwargs
    assert (arguments["n_layers"], arguments["n_hidden"], arguments["n_latent"]) == (layers, 512, 10)
    assert (arguments["use_observed_lib_size"], arguments["encode_covariates"]) == (not library, encodes)
    assert arguments["gene_likelihood"] == "zinb"
    assert recipe.plan_kwargs["lr"] == lr
    assert recipe.train_kwargs["early_stopping_patience"] == patience
    assert not recipe.penalties


@pytest.mark.filterwarnings("ignore:The default number of maximum epochs")  # scvi-tools says what it chose
@pytest.mark.parametrize("any_size", [False, True])
def test_epochs_of_many_cells(any_size, monkeypatch):
    """A budget of steps, those of 40,000 cells, leaves 13 of 30 epochs for 90,000."""
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, (90_000, 3)) + 1.0, dtype=np.float32)
    ref = AnnData(counts, obs={"batch": np.resize(["a", "b"], counts.shape[0])})
    ref.obs_names, ref.var_names = [f"cell{i}" for i in range(ref.n_obs)], ["INS", "GCG", "SST"]
    recipe = Recipe("SCVI", "mine", max_epochs=30, epochs_for_any_size=any_size, model_kwargs={"n_hidden": 8})
    asked = []
    monkeypatch.setattr(models.SCVI, "train", lambda _, max_epochs, **__: asked.append(max_epochs))
    monkeypatch.setattr(models.SCVI, "get_latent_representation", lambda _: np.zeros((ref.n_obs, 2)))
    monkeypatch.setattr(models.SCVI, "history", {"elbo_train": pd.DataFrame(index=[0])})
    sp.tl.build_reference(ref, "batch", recipe=recipe)
    sp.tl.build_reference(ref, "batch", recipe=recipe, max_epochs=2)
    assert asked == [30 if any_size else 13, 2]


def test_early_stopping_of_a_recipe_stops():
    ref, _ = split(cells(), "batch2")
    train = {"early_stopping": True, "early_stopping_patience": 1, "early_stopping_min_delta": 1e9}
    recipe = Recipe("SCVI", "mine", max_epochs=9, model_kwargs={"n_hidden": 8}, train_kwargs=train)
    model = sp.tl.build_reference(ref, "batch", recipe=recipe)
    assert len(model.history["elbo_train"]) == 2


def test_clcvae_has_the_weight_of_the_notebooks():
    strategy, (consolidation,) = QUERY_RECIPES["clcvae"]
    assert strategy == "all"
    assert consolidation == EWC(weight=156.0)
    assert consolidation.weight / 2 * 128 == pytest.approx(10_000, rel=0.01)


def test_penalties_of_a_recipe_can_be_replaced():
    ref, _ = split(cells(), "batch2")
    options = {"max_epochs": 1, "model_kwargs": {"n_hidden": 8}, "train_kwargs": {"enable_progress_bar": False}}
    none = sp.tl.build_reference(ref, "batch", recipe="trvae", penalties=(), **options)
    assert "mmd_train" not in none.history
    other = sp.tl.build_reference(
        ref, "batch", "cell_type", recipe="scanvi", penalties=[MMD(), BatchAdversary()], **options
    )
    assert {"mmd_train", "batch_adversary_train", "train_classification_loss"} <= set(other.history)

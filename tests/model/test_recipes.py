"""Recipes hold what their papers say."""

import inspect

import pytest
from small_models import cells, split

import scarches_plus as sp
from scarches_plus import model as models
from scarches_plus.model import QUERY_RECIPES, RECIPES, Recipe
from scarches_plus.train import EWC, MMD, BatchAdversary


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_makes_a_reference_fit_for_mapping(name):
    recipe = RECIPES[name]
    # the encoder sees the batch, for surgery, or is blind to it, for cells of any batch
    assert recipe.model_kwargs["encode_covariates"] is (name != "bascvi")
    assert recipe.model_kwargs["use_batch_norm"] == "none"
    accepted = set(inspect.signature(sp.module.VAE).parameters)
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
    ref, _ = split(cells(), "batch2")
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
    assert adversary.weight == 10
    assert adversary.lr == 1e-2
    assert recipe.plan_kwargs == {"lr": 1e-4, "weight_decay": 1e-5, "eps": 0.01}
    assert recipe.train_kwargs == {"batch_size": 64, "gradient_clip_val": 5.0}


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

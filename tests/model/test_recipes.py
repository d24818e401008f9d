"""Recipes hold what their papers say."""

import inspect

import pytest
import scvi

from scarches_plus import model as models
from scarches_plus.model import RECIPES, Recipe


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_makes_a_reference_fit_for_surgery(name):
    recipe = RECIPES[name]
    assert recipe.model_kwargs["encode_covariates"] is True
    assert recipe.model_kwargs["use_batch_norm"] == "none"
    accepted = set(inspect.signature(scvi.module.VAE).parameters)
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

"""Define recipes of scANVI."""

from __future__ import annotations

from ._recipe import FOR_SURGERY, Recipe

_NETWORK = "network as in recipe 'scvi'"

SCANVI_RECIPES = {
    "scanvi": Recipe(
        model="SCANVI",
        source="Xu et al. 2021: scVI first, then semi-supervised training",
        departures=(_NETWORK,),
        model_kwargs={**FOR_SURGERY, "n_layers": 2},
        semi_supervised_epochs=20,
        semi_supervised_kwargs={"n_samples_per_label": 100},
    ),
    "scanvi_alternating": Recipe(
        model="SCANVI",
        source=(
            "Xu et al. 2021, Suppl. Note 3, Algorithm 2: after each epoch of the ELBO, 100 epochs of the classifier "
            "alone, which has one layer of 128 (their setting for the transfer of labels)"
        ),
        departures=(_NETWORK,),
        model_kwargs={**FOR_SURGERY, "n_layers": 2},
        semi_supervised_epochs=20,
        semi_supervised_model_kwargs={"classifier_parameters": {"n_layers": 1, "n_hidden": 128}},
        semi_supervised_kwargs={"plan_kwargs": {"schedule": "alternating", "classifier_epochs": 100}},
    ),
}

"""Define recipes of scANVI."""

from __future__ import annotations

from ._recipe import FOR_SURGERY, Recipe

_NETWORK = "network as in recipe 'scvi'"
_FIT = "ends with a fit of the classifier alone, in which rare labels count for more than their cells"
_ELBO = "the ELBO takes every cell for unlabelled, as scvi-tools' does; labels_in_elbo=True is the paper's"
_CLASSES = "no class for types that no cell is labelled with (n_unobserved=0); the paper has one"
_CLASSIFIER_STEPS = 20

SCANVI_RECIPES = {
    "scanvi": Recipe(
        model="SCANVI",
        source="Xu et al. 2021: scVI first, then semi-supervised training, jointly (Suppl. Note 3, Algorithm 1)",
        departures=(
            _NETWORK,
            "joint instead of alternating, the paper's default: labels are better found, mixing is no worse (measured)",
            _FIT,
            _ELBO,
            _CLASSES,
        ),
        model_kwargs={**FOR_SURGERY, "n_layers": 2},
        semi_supervised_epochs=20,
        semi_supervised_kwargs={"n_samples_per_label": 100},
        classifier_steps=_CLASSIFIER_STEPS,
    ),
    "scanvi_alternating": Recipe(
        model="SCANVI",
        source=(
            "Xu et al. 2021, Suppl. Note 3, Algorithm 2: after each epoch of the ELBO, 100 epochs of the classifier "
            "alone, which has one layer of 128 (their setting for the transfer of labels)"
        ),
        departures=(_NETWORK, _ELBO, _CLASSES),
        model_kwargs={**FOR_SURGERY, "n_layers": 2},
        semi_supervised_epochs=20,
        semi_supervised_model_kwargs={"classifier_parameters": {"n_layers": 1, "n_hidden": 128}},
        semi_supervised_kwargs={"plan_kwargs": {"schedule": "alternating", "classifier_epochs": 100}},
    ),
    "scanvi_single_dataset": Recipe(
        model="SCANVI",
        source=(
            "Xu et al. 2021, Suppl. Note 3, Algorithm 2: after each epoch of the ELBO, one of the classifier alone, "
            "which has two layers of 256 (their setting for a single data set, such as seed labels)"
        ),
        departures=(_NETWORK, _ELBO, _CLASSES),
        model_kwargs={**FOR_SURGERY, "n_layers": 2},
        semi_supervised_epochs=20,
        semi_supervised_model_kwargs={"classifier_parameters": {"n_layers": 2, "n_hidden": 256}},
        semi_supervised_kwargs={"plan_kwargs": {"schedule": "alternating", "classifier_epochs": 1}},
    ),
}

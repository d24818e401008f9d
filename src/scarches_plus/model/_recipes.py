"""Reference models by the name of their paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What makes a network fit for surgery: the encoder sees the batch, and normalisation does not depend on the cells.
_SURGERY = {"encode_covariates": True, "use_layer_norm": "both", "use_batch_norm": "none"}


@dataclass(frozen=True)
class Recipe:
    """A reference model and how it is trained.

    Attributes
    ----------
    model
        Model class of :mod:`scarches_plus.model`.
    model_kwargs
        Arguments of the model class.
    plan_kwargs
        Arguments of the training plan.
    train_kwargs
        Further arguments of ``train``.
    max_epochs
        Epochs of training; of the unsupervised training where there are two.
    semi_supervised_epochs, semi_supervised_kwargs
        Epochs of scANVI's training after scVI's, and arguments of ``train`` for it.
    source
        Paper, and where this recipe departs from it.
    """

    model: Literal["SCVI", "SCANVI"]
    source: str
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    plan_kwargs: Mapping[str, Any] = field(default_factory=dict)
    train_kwargs: Mapping[str, Any] = field(default_factory=dict)
    max_epochs: int = 200
    semi_supervised_epochs: int = 0
    semi_supervised_kwargs: Mapping[str, Any] = field(default_factory=dict)


RECIPES: dict[str, Recipe] = {
    "scvi": Recipe(
        model="SCVI",
        source="Lopez et al. 2018, with the network that scArches recommends: two layers, layer norm, batch in encoder",
        model_kwargs={**_SURGERY, "n_layers": 2},
    ),
    "scanvi": Recipe(
        model="SCANVI",
        source="Xu et al. 2021: scVI first, then semi-supervised training; network as in recipe 'scvi'",
        model_kwargs={**_SURGERY, "n_layers": 2},
        semi_supervised_epochs=20,
        semi_supervised_kwargs={"n_samples_per_label": 100},
    ),
    "cvae": Recipe(
        model="SCVI",
        source=(
            "Lotfollahi et al. 2021, Table 1, CVAE with NB loss: layers [128, 128], latent 10, dropout 0.1, gradient "
            "clipping 3, conditions in the first layers only. Departures: layer norm instead of batch norm (as their "
            "released code; batch statistics would move the reference), weight of the KL term 1 instead of 0.0002 "
            "(the paper does not say over what its loss is averaged)"
        ),
        model_kwargs={
            **_SURGERY,
            "n_layers": 2,
            "n_hidden": 128,
            "n_latent": 10,
            "dropout_rate": 0.1,
            "gene_likelihood": "nb",
            "deeply_inject_covariates": False,
        },
        train_kwargs={"gradient_clip_val": 3.0},
    ),
}

"""Define the training recipes of published reference models by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from scarches_plus import _arguments as check
from scarches_plus.train import EWC, MMD, BatchAdversary, name_terms

from ._surgery._strategies import Strategy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scarches_plus.train import Penalty

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
    penalties
        Terms added to the loss.
    train_kwargs
        Further arguments of ``train``.
    max_epochs
        Epochs of training; of the unsupervised training where there are two.
    semi_supervised_epochs, semi_supervised_kwargs
        Epochs of scANVI's training after scVI's, and arguments of ``train`` for it.
    semi_supervised_model_kwargs
        Arguments that only scANVI's model class has.
    source
        Paper, and where this recipe departs from it.
    """

    model: Literal["SCVI", "SCANVI"]
    source: str
    model_kwargs: Mapping[str, Any] = field(default_factory=dict)
    plan_kwargs: Mapping[str, Any] = field(default_factory=dict)
    penalties: tuple[Penalty, ...] = ()
    train_kwargs: Mapping[str, Any] = field(default_factory=dict)
    max_epochs: int = 200
    semi_supervised_epochs: int = 0
    semi_supervised_kwargs: Mapping[str, Any] = field(default_factory=dict)
    semi_supervised_model_kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check.choice("model", self.model, ("SCVI", "SCANVI"))
        for name in (
            "model_kwargs",
            "plan_kwargs",
            "train_kwargs",
            "semi_supervised_kwargs",
            "semi_supervised_model_kwargs",
        ):
            check.mapping(name, getattr(self, name))
        name_terms(self.penalties)
        object.__setattr__(self, "max_epochs", check.whole("max_epochs", self.max_epochs, least=1))
        semi_supervised = check.whole("semi_supervised_epochs", self.semi_supervised_epochs, least=0)
        object.__setattr__(self, "semi_supervised_epochs", semi_supervised)


def _squared_error(
    likelihood: str,
    *,
    layer_widths: tuple[int, ...],
    n_latent: int,
    kl: float,
    mmd: float,
    eta: float,
    dropout: float,
    clip: float,
) -> Recipe:
    """Return a trVAE of normalised expression, a row of Table 1 of scArches."""
    return Recipe(
        model="SCVI",
        source=(
            f"Lotfollahi et al. 2021, Table 1, trVAE with {likelihood.upper()} loss: layers {list(layer_widths)}, "
            f"latent {n_latent}, alpha {kl:g}, beta {mmd:g}, eta {eta:g}, dropout {dropout:g}, gradient clipping "
            f"{clip:g}; MMD on the first layer of the decoder, summed over pairs of batches. Departure: layer norm"
        ),
        model_kwargs={
            **_SURGERY,
            "n_layers": len(layer_widths),
            "layer_widths": layer_widths,
            "n_latent": n_latent,
            "dropout_rate": dropout,
            "gene_likelihood": likelihood,
            "reconstruction_weight": eta,
            "deeply_inject_covariates": False,
        },
        plan_kwargs={"max_kl_weight": kl, "n_epochs_kl_warmup": None},
        penalties=(MMD(weight=mmd, on="decoder", reduction="sum"),),
        train_kwargs={"gradient_clip_val": clip},
    )


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
    "scanvi_alternating": Recipe(
        model="SCANVI",
        source=(
            "Xu et al. 2021, Suppl. Note 3, Algorithm 2: after each epoch of the ELBO, 100 epochs of the classifier "
            "alone, which has one layer of 128 (their setting for the transfer of labels); else as recipe 'scanvi'"
        ),
        model_kwargs={**_SURGERY, "n_layers": 2},
        semi_supervised_epochs=20,
        semi_supervised_model_kwargs={"classifier_parameters": {"n_layers": 1, "n_hidden": 128}},
        semi_supervised_kwargs={"plan_kwargs": {"schedule": "alternating", "classifier_epochs": 100}},
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
    "trvae": Recipe(
        model="SCVI",
        source=(
            "Lotfollahi et al. 2020 and 2021 (trVAE): MMD on the first layer of the decoder, conditions in the first "
            "layers only, dispersion per batch. Departures: NB counts, two layers of 128, MMD averaged over pairs of "
            "batches, with a weight that suits a loss summed over genes"
        ),
        model_kwargs={
            **_SURGERY,
            "n_layers": 2,
            "n_hidden": 128,
            "n_latent": 10,
            "dropout_rate": 0.05,
            "gene_likelihood": "nb",
            "dispersion": "gene-batch",
            "deeply_inject_covariates": False,
        },
        penalties=(MMD(weight=1.0, on="decoder"),),
        train_kwargs={"gradient_clip_val": 5.0},
    ),
    "trvae_mse": _squared_error(
        "mse", layer_widths=(128, 20), n_latent=10, kl=0.001, mmd=20.0, eta=1000.0, dropout=0.05, clip=5.0
    ),
    "trvae_sse": _squared_error(
        "sse", layer_widths=(128, 64, 20), n_latent=15, kl=0.0001, mmd=50.0, eta=1.0, dropout=0.1, clip=10.0
    ),
    "bascvi": Recipe(
        model="SCVI",
        source=(
            "BA-scVI (arXiv 2503.20730): encoder blind to the batch, first block of the decoder without covariates, "
            "four layers of 512, dropout 0.1, latent 10, ZINB, discriminators on both. Departures: layer norm (as the "
            "later code), library observed, learning rate 1e-4 (code; the paper's 5e-5 is for millions of cells), "
            "weight 1 (code; the paper's 10 costs accuracy), bounded objective"
        ),
        model_kwargs={
            "encode_covariates": False,
            "batch_free_decoder_layer": True,
            "use_layer_norm": "both",
            "use_batch_norm": "none",
            "n_layers": 4,
            "n_hidden": 512,
            "n_latent": 10,
            "dropout_rate": 0.1,
            "gene_likelihood": "zinb",
        },
        plan_kwargs={"lr": 1e-4, "weight_decay": 1e-5, "eps": 0.01},
        penalties=(BatchAdversary(weight=1.0, warmup_epochs=5, warmup="sigmoid"),),
        train_kwargs={"batch_size": 64, "gradient_clip_val": 5.0},
        max_epochs=100,
    ),
}

#: Ways of mapping by name: strategy of surgery, and penalties.
QUERY_RECIPES: dict[str, tuple[Strategy, tuple[Penalty, ...]]] = {
    **{strategy: (strategy, ()) for strategy in get_args(Strategy)},
    # the notebooks' 10,000 without the factor 1/2, on squared means over minibatches of 128
    "clcvae": ("all", (EWC(weight=156.0),)),
}

"""Define recipes of scArches' own models: CVAE and trVAE."""

from __future__ import annotations

from scarches_plus.train import MMD

from ._recipe import FOR_SURGERY, Recipe


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
            f"{clip:g}; MMD on the first layer of the decoder, summed over pairs of batches"
        ),
        departures=("layer norm",),
        model_kwargs={
            **FOR_SURGERY,
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


TRVAE_RECIPES = {
    "cvae": Recipe(
        model="SCVI",
        source=(
            "Lotfollahi et al. 2021, Table 1, CVAE with NB loss: layers [128, 128], latent 10, dropout 0.1, gradient "
            "clipping 3, conditions in the first layers only"
        ),
        departures=(
            "layer norm instead of batch norm (as their released code; batch statistics would move the reference)",
            "weight of the KL term 1 instead of 0.0002 (the paper does not say over what its loss is averaged)",
        ),
        model_kwargs={
            **FOR_SURGERY,
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
            "layers only, dispersion per batch"
        ),
        departures=(
            "NB counts",
            "two layers of 128",
            "MMD averaged over pairs of batches, with a weight that suits a loss summed over genes",
        ),
        model_kwargs={
            **FOR_SURGERY,
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
}

"""Define recipes of scVI."""

from __future__ import annotations

from typing import Any

from ._recipe import FOR_SURGERY, Recipe


def _tuned(layers: int, *, patience: int, library: bool = True, encode: bool = True, lr: str = "1e-4") -> Recipe:
    """Return scVI as the paper of BA-scVI tuned it."""
    blind: dict[str, Any] = {} if encode else {"encode_covariates": False}
    return Recipe(
        model="SCVI",
        source=(
            f"tuned scVI of the BA-scVI paper (arXiv 2503.20730): {layers} layers of 512, dropout 0.1, latent 10, "
            f"ZINB, normalised input, {'library learned' if library else 'no explicit library'}, "
            f"{'batch in encoder and decoder' if encode else 'encoder blind to the batch'}, Adam with learning rate "
            f"{lr}, weight decay 1e-5 and eps 0.01, 100 epochs, early stopping with patience {patience}"
        ),
        departures=(
            "layer norm instead of batch norm (batch statistics would move the reference)",
            "the library's encoder sees counts as they are: no size shows in normalised input"
            if library
            else "library observed (their decoder without a library gives shares, and the data are counts)",
        ),
        model_kwargs={
            **FOR_SURGERY,
            **blind,
            "n_layers": layers,
            "n_hidden": 512,
            "n_latent": 10,
            "dropout_rate": 0.1,
            "gene_likelihood": "zinb",
            "use_observed_lib_size": not library,
            "normalize_encoder_input": True,
        },
        plan_kwargs={"lr": float(lr), "weight_decay": 1e-5, "eps": 0.01, "n_epochs_kl_warmup": None},
        train_kwargs={"batch_size": 64, "early_stopping": True, "early_stopping_patience": patience},
        max_epochs=100,
        epochs_for_any_size=True,
    )


SCVI_RECIPES = {
    "scvi": Recipe(
        model="SCVI",
        source="Lopez et al. 2018",
        departures=("the network that scArches recommends: two layers, layer norm, batch in the encoder",),
        model_kwargs={**FOR_SURGERY, "n_layers": 2},
    ),
    "scvi_2_layers": _tuned(2, patience=15),
    "scvi_4_layers": _tuned(4, patience=5),
    "scvi_4_layers_blind": _tuned(4, patience=5, library=False, encode=False, lr="5e-5"),
}

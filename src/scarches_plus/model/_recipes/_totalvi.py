"""Define recipes of totalVI."""

from __future__ import annotations

from ._recipe import FOR_SURGERY, Recipe

TOTALVI_RECIPES = {
    "totalvi": Recipe(
        model="TOTALVI",
        source=(
            "Gayoso et al. 2021 (totalVI), as mapped onto in Lotfollahi et al. 2021 (scArches), Fig. 4: NB counts of "
            "genes, foreground and background of proteins, latent 20, layers of 256, dropout 0.2, learning rate 0.004, "
            "minibatches of 256, early stopping"
        ),
        departures=(
            "layer norm in place of batch norm (as scArches)",
            "400 epochs at most, fewer for more than 40,000 cells (scvi-tools: 20,000)",
        ),
        model_kwargs={**FOR_SURGERY, "n_layers_encoder": 2, "n_layers_decoder": 1, "n_hidden": 256, "n_latent": 20},
        plan_kwargs={"lr": 4e-3},
        train_kwargs={"batch_size": 256, "early_stopping": True, "reduce_lr_on_plateau": True},
        max_epochs=400,
    ),
}

"""Define recipes of scVI."""

from __future__ import annotations

from ._recipe import FOR_SURGERY, Recipe

SCVI_RECIPES = {
    "scvi": Recipe(
        model="SCVI",
        source="Lopez et al. 2018",
        departures=("the network that scArches recommends: two layers, layer norm, batch in the encoder",),
        model_kwargs={**FOR_SURGERY, "n_layers": 2},
    ),
}

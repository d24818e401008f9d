"""The models that come with the package, and the index that lists them."""

import json
from pathlib import Path

import scarches_plus as sp

INDEX = Path(sp.hub.__file__).parent / "references" / "index.json"
FOLDER = INDEX.parent
#: Recipes of the models that come with the package, as in references/build.py: one for each kind of network.
RECIPES = ("scvi", "scanvi", "scanvi_alternating", "cvae", "trvae", "trvae_mse", "trvae_sse", "bascvi")
NAMES = ["pbmc68k-scanvi", *(f"simulated-{recipe.replace('_', '-')}" for recipe in RECIPES)]


def entry_of(name):
    """Return what the index says about a model."""
    (entry,) = (one for one in json.loads(INDEX.read_text())["models"] if one["name"] == name)
    return entry

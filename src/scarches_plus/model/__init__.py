"""Model classes under scvi-tools' own names, surgery, and the recipes that name a model with its training.

What changes the network belongs into ``module``, what changes the loss into ``train``, what users type into ``tl``.
"""

from scarches_plus._load import load
from scarches_plus._reference import ReferenceSpec

from ._recipes import QUERY_RECIPES, RECIPES, Recipe
from ._scanvi import SCANVI
from ._scvi import SCVI
from ._state import ModelState, Surgery
from ._totalvi import TOTALVI

__all__ = [
    "QUERY_RECIPES",
    "RECIPES",
    "SCANVI",
    "SCVI",
    "TOTALVI",
    "ModelState",
    "Recipe",
    "ReferenceSpec",
    "Surgery",
    "load",
]

"""List the recipes of references, and the ways of mapping, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from scarches_plus.model._surgery._strategies import Strategy
from scarches_plus.train import EWC

from ._bascvi import BASCVI_RECIPES
from ._scanvi import SCANVI_RECIPES
from ._scvi import SCVI_RECIPES
from ._totalvi import TOTALVI_RECIPES
from ._trvae import TRVAE_RECIPES

if TYPE_CHECKING:
    from scarches_plus.train import Penalty

    from ._recipe import Recipe

RECIPES: dict[str, Recipe] = {
    **SCVI_RECIPES,
    **SCANVI_RECIPES,
    **TRVAE_RECIPES,
    **BASCVI_RECIPES,
    **TOTALVI_RECIPES,
}

#: Ways of mapping by name: strategy of surgery, and penalties.
QUERY_RECIPES: dict[str, tuple[Strategy, tuple[Penalty, ...]]] = {
    **{strategy: (strategy, ()) for strategy in get_args(Strategy)},
    # the notebooks' 10,000 without the factor 1/2, on squared means over minibatches of 128
    "clcvae": ("all", (EWC(weight=156.0),)),
}

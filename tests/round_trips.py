"""How far two models that should be one are apart: of cells of the reference, and of a query by each strategy."""

import numpy as np
import scvi
import torch

import scarches_plus as sp

STRATEGIES = ("condition", "input_layers", "all", "clcvae")


def deviations(model, again, cells):
    """Yield what was compared and the largest difference of latent coordinates."""
    yield "embedded", np.abs(model.embed(cells) - again.embed(cells)).max()
    for one in (model, again):
        one.remember(importance=_equal_importance(one))
    query = cells.copy()
    query.obs["batch"] = "new"
    for strategy in strategies_of(model):
        yield strategy, np.abs(_mapped(query, model, strategy) - _mapped(query, again, strategy)).max()


def strategies_of(model):
    """All but the first where the encoder has no columns of batches."""
    return STRATEGIES if model.module.encode_covariates else STRATEGIES[1:]


def _mapped(query, model, strategy):
    scvi.settings.seed = 0
    query = query.copy()
    sp.tl.map_query(query, model, strategy=strategy, max_epochs=2, train_kwargs={"enable_progress_bar": False})
    return query.obsm["X_scarches"]


def _equal_importance(model):
    """As if every weight were of equal importance: only that it is the same for both models matters here."""
    weights = {name: one.detach().clone() for name, one in model.module.named_parameters()}
    return sp.train.Importance({name: torch.ones_like(one) for name, one in weights.items()}, weights, 1, "hooks")

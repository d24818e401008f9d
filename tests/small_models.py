"""Small references and queries that train in a second."""

import scvi

from scarches_plus.datasets import simulate
from scarches_plus.model import SCANVI, SCVI

NETWORK = {
    "n_hidden": 12,
    "n_latent": 4,
    "n_layers": 2,
    "encode_covariates": True,
    "use_layer_norm": "both",
    "use_batch_norm": "none",
}


def cells(n_cells=240, **kwargs):
    return simulate(n_cells, 40, 3, **{"n_batches": 3, "mean_depth": 400.0, "rng": 0, **kwargs})


def split(adata, *query_batches):
    query = adata.obs["batch"].isin(query_batches).to_numpy()
    return adata[~query].copy(), adata[query].copy()


def setup(cls, adata, **kwargs):
    kwargs = {"batch_key": "batch", **kwargs}
    if cls.__name__ == "SCANVI":
        kwargs = {"labels_key": "cell_type", "unlabeled_category": "Unknown", **kwargs}
    cls.setup_anndata(adata, **kwargs)


def train(model, max_epochs=2, **kwargs):
    model.train(max_epochs=max_epochs, enable_progress_bar=False, **kwargs)
    return model


def reference(cls=SCVI, adata=None, *, setup_kwargs=None, **kwargs):
    adata = split(cells(), "batch2")[0] if adata is None else adata
    scvi.settings.seed = 0
    setup(cls, adata, **(setup_kwargs or {}))
    return train(cls(adata, **{**NETWORK, **kwargs}))


__all__ = ["NETWORK", "SCANVI", "SCVI", "cells", "reference", "setup", "split", "train"]

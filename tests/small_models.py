"""Small references and queries that train in a second."""

import hashlib

import mudata
import numpy as np
import pandas as pd
import scvi
import torch
from anndata import AnnData

from scarches_plus.datasets import simulate
from scarches_plus.model import RECIPES, SCANVI, SCVI, TOTALVI

if hasattr(mudata, "set_options"):
    mudata.set_options(pull_on_update=False)  # as it is from mudata 0.4 on
_SURGERY = {"encode_covariates": True, "use_layer_norm": "both", "use_batch_norm": "none"}
NETWORK = {"n_hidden": 12, "n_latent": 4, "n_layers": 2, **_SURGERY}
MODALITIES = {"rna_layer": "rna", "protein_layer": "protein"}
N_PROTEINS = 5
#: From the fewest entries that train to the most.
STRATEGIES = ("condition", "input_layers", "all")


def network(cls):
    if cls is TOTALVI:
        return {"n_hidden": 12, "n_latent": 4, "n_layers_encoder": 2, "n_layers_decoder": 2, **_SURGERY}
    return NETWORK


def cells(n_cells=240, **kwargs):
    return simulate(n_cells, 40, 3, **{"n_batches": 3, "mean_depth": 400.0, "rng": 0, **kwargs})


def with_proteins(adata):
    """The same cells as MuData, with proteins that tell their types, and batches in its own ``obs``."""
    types = adata.obs["cell_type"].astype("category").cat.codes.to_numpy()
    means = 3 + 8 * (types[:, np.newaxis] == np.arange(N_PROTEINS) % (types.max() + 1))
    counts = np.random.default_rng(adata.n_obs).poisson(means).astype(np.float32)
    names = pd.DataFrame(index=[f"protein{i}" for i in range(N_PROTEINS)])
    joint = mudata.MuData({"rna": adata.copy(), "protein": AnnData(counts, adata.obs[[]].copy(), names)})
    joint.obs["batch"] = adata.obs["batch"].to_numpy()
    return joint


def in_obsm(joint, key="protein", kind=pd.DataFrame):
    """Genes and proteins as AnnData with a table of proteins in ``obsm``, or with a matrix."""
    adata, proteins = joint.mod["rna"].copy(), joint.mod["protein"]
    adata.obs["batch"] = joint.obs["batch"].to_numpy()
    named = kind is pd.DataFrame
    adata.obsm[key] = kind(proteins.X, adata.obs_names, proteins.var_names) if named else kind(proteins.X)
    return adata


def as_taken(cls, adata):
    """Cells as a model class takes them."""
    return with_proteins(adata) if cls is TOTALVI else adata


def for_recipe(recipe, adata):
    """Cells as a recipe takes them: with proteins for totalVI, and labels where all verbs find them."""
    if RECIPES[recipe].model != "TOTALVI":
        return adata
    joint = with_proteins(adata)
    joint.obs["cell_type"] = adata.obs["cell_type"].to_numpy()
    return joint


def split(adata, *query_batches):
    query = adata.obs["batch"].isin(query_batches).to_numpy()
    return adata[~query].copy(), adata[query].copy()


def setup(cls, adata, **kwargs):
    kwargs = {"batch_key": "batch", **kwargs}
    if cls is TOTALVI:
        cls.setup_mudata(adata, modalities=MODALITIES, **kwargs)
        return
    if cls.__name__ == "SCANVI":
        kwargs = {"labels_key": "cell_type", "unlabeled_category": "Unknown", **kwargs}
    cls.setup_anndata(adata, **kwargs)


def train(model, max_epochs=2, **kwargs):
    if isinstance(model, TOTALVI):  # its own defaults are for long trainings
        kwargs = {"reduce_lr_on_plateau": False, "early_stopping": False, **kwargs}
    model.train(max_epochs=max_epochs, enable_progress_bar=False, **kwargs)
    return model


def reference(cls=SCVI, adata=None, *, setup_kwargs=None, **kwargs):
    adata = split(cells(), "batch2")[0] if adata is None else adata
    scvi.settings.seed = 0
    setup(cls, adata, **(setup_kwargs or {}))
    return train(cls(adata, **{**network(cls), **kwargs}))


def weight_change(model, mapped):
    """Largest change of any weight of a reference in a model mapped onto it, whose layers have grown."""
    now, changes = mapped.module.state_dict(), []
    for name, before in model.module.state_dict().items():
        after, where = now[name], mapped.surgery.entries.get(name)
        if where is not None and after.shape != before.shape:
            old = torch.ones(after.shape[where[0]], dtype=torch.bool)
            old[torch.as_tensor(where[1])] = False
            after = after.index_select(where[0], old.nonzero().flatten())
        after = after[tuple(slice(n) for n in before.shape)]
        changes.append(float((after.double() - before.double()).abs().max()) if before.numel() else 0.0)
    return max(changes)


def fingerprint(model):
    """A text that tells weights from others."""
    digest = hashlib.sha256()
    for name, value in sorted(model.module.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


__all__ = [
    "MODALITIES", "NETWORK", "N_PROTEINS", "SCANVI", "SCVI", "STRATEGIES", "TOTALVI", "as_taken", "cells", "fingerprint", "for_recipe", "in_obsm", "network", "reference",
    "setup", "split", "train", "weight_change", "with_proteins",
]  # fmt: skip

"""C5: what is promised to stay exactly the same stays so to the bit."""

import numpy as np
import pytest
import torch
from small_models import SCANVI, SCVI, TOTALVI, as_taken, cells, reference, split, train

pytestmark = pytest.mark.border
WIDE = cells(n_cells=400, n_batches=9)


def tensors_of(model, adata):
    """Cells as the module takes them, in one minibatch."""
    known = model._validate_anndata(adata)
    return next(iter(model._make_data_loader(adata=known, batch_size=adata.n_obs)))


def with_covariates(n_batches, n_continuous, n_categorical):
    """Return reference and query cells, and what to set up."""
    kept = WIDE.obs["batch"].isin([f"batch{i}" for i in range(n_batches)] + ["batch8"])
    adata, rng = WIDE[kept.to_numpy()].copy(), np.random.default_rng(0)
    keys = {}
    for kind, n in (("continuous", n_continuous), ("categorical", n_categorical)):
        for i in range(n):
            adata.obs[f"{kind}{i}"] = (
                rng.normal(size=adata.n_obs) if kind == "continuous" else rng.choice(["a", "b"], adata.n_obs)
            )
        if n:
            keys[f"{kind}_covariate_keys"] = [f"{kind}{i}" for i in range(n)]
    return *split(adata, "batch8"), keys


def taken(cls, adata):
    joint = as_taken(cls, adata)
    if cls is TOTALVI:
        for key in adata.obs.columns.difference(joint.obs.columns):
            joint.obs[key] = adata.obs[key].to_numpy()
    return joint


DEEP, WIDE_LAYERS = {"n_hidden": 64, "n_layers": 2}, {"n_hidden": 128}
CONFIGURATIONS = [
    (SCVI, 1, 0, 0, DEEP),
    (SCVI, 1, 1, 0, DEEP),
    (SCVI, 1, 3, 2, DEEP),
    (SCVI, 7, 0, 0, DEEP),
    (SCVI, 7, 1, 2, DEEP),
    (SCVI, 1, 1, 0, {"n_layers": 1}),
    (SCVI, 1, 1, 0, {"n_hidden": 128, "n_layers": 3}),
    (SCVI, 7, 1, 0, {"deeply_inject_covariates": False, "n_hidden": 64}),
    (SCANVI, 1, 0, 0, WIDE_LAYERS),
    (SCANVI, 1, 1, 0, WIDE_LAYERS),
    (SCANVI, 7, 1, 2, WIDE_LAYERS),
    (TOTALVI, 1, 0, 0, WIDE_LAYERS),
    (TOTALVI, 1, 1, 0, WIDE_LAYERS),
    (TOTALVI, 7, 1, 2, WIDE_LAYERS),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("cls", "n_batches", "n_continuous", "n_categorical", "network"), CONFIGURATIONS)
def test_a_reference_does_not_move(border, cls, n_batches, n_continuous, n_categorical, network):
    ref, query, keys = with_covariates(n_batches, n_continuous, n_categorical)
    model = reference(cls, taken(cls, ref), setup_kwargs=keys, **network)
    mapped = train(cls.load_query_data(taken(cls, query), model), 1)

    def moved():
        """Latent means from counts as stored, for some cells and for one, and by the module itself."""
        largest = 0.0
        for rows in (slice(None), slice(0, 60)) if cls is TOTALVI else (slice(None), slice(0, 17), slice(0, 1)):
            some = taken(cls, ref[rows].copy())
            largest = max(largest, np.abs(model.embed(some) - mapped.embed(some)).max())
        adata = taken(cls, ref[:64].copy())
        inputs = (
            [one.module._get_inference_input(tensors_of(one, adata)) for one in (model, mapped)]
            if cls is not TOTALVI
            else []
        )
        with torch.no_grad():
            found = [one.module.inference(**given)["qz"] for one, given in zip((model, mapped), inputs, strict=False)]
        if found:
            largest = max(
                largest,
                float((found[0].loc - found[1].loc).abs().max()),
                float((found[0].scale - found[1].scale).abs().max()),
            )
        return largest

    border.works(
        moved,
        lambda largest: largest == 0.0,
        kind="C5",
        case=f"{cls.__name__}, {n_batches} batches, {n_continuous} continuous and {n_categorical} categorical covariates",
        shown=f"load_query_data, {network}",
    )

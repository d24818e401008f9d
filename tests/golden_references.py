"""Cells that the references of the package were trained on, and of their queries, as references/build.py had them."""

import scarches_plus as sp

N_GOLDEN, N_MAPPED = 20, 60


def cells_of(name):
    """The first cells of a reference."""
    adata, inside = _split(name)
    return adata[inside][:N_GOLDEN].copy()


def query_of(name):
    """The first cells of its query."""
    adata, inside = _split(name)
    return adata[~inside][:N_MAPPED].copy()


def _split(name):
    if name.startswith("pbmc68k"):
        adata = sp.datasets.pbmc68k()
        batches = sorted(adata.obs["batch"].unique())[:5]
    else:
        n_batches = 8 if name == "simulated-bascvi" else 4
        adata = sp.datasets.simulate(300 * n_batches, 150, 6, n_batches=n_batches, mean_depth=2000.0, rng=0)
        batches = [f"batch{i}" for i in range(n_batches - 2)]
    return adata, adata.obs["batch"].isin(batches).to_numpy()

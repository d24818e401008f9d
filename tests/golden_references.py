"""Cells that the references of the package were trained on."""

import scarches_plus as sp

N_GOLDEN = 20


def cells_of(name):
    """The first cells of a reference, as references/build.py had them."""
    if name.startswith("pbmc68k"):
        adata = sp.datasets.pbmc68k()
        batches = sorted(adata.obs["batch"].unique())[:5]
    else:
        adata = sp.datasets.simulate(1200, 150, 6, n_batches=4, mean_depth=2000.0, rng=0)
        batches = ["batch0", "batch1"]
    return adata[adata.obs["batch"].isin(batches)][:N_GOLDEN].copy()

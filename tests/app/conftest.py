"""A query of the PBMC that scanpy carries, a server of this process, and one of its own."""

import numpy as np
import pytest
from app_jobs import Running

import scarches_plus as sp
from scarches_plus.datasets import pbmc68k

REFERENCE = "pbmc68k-scanvi"


@pytest.fixture(scope="session")
def pbmc_query():
    """The three lanes that the packaged reference has not seen."""
    adata = pbmc68k()
    lanes = sorted(adata.obs["batch"].unique())
    return adata[adata.obs["batch"].isin(lanes[5:])].copy()


@pytest.fixture(scope="session")
def turned(pbmc_query):
    """The same, every fourth cell of no type of the reference: a profile that is turned around."""
    adata = pbmc_query.copy()
    odd = np.arange(adata.n_obs) % 4 == 0
    counts = np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X)
    counts[odd] = counts[odd][:, ::-1]
    adata.X = counts
    return adata


@pytest.fixture(scope="session")
def query_file(pbmc_query, tmp_path_factory):
    file = tmp_path_factory.mktemp("cells") / "query.h5ad"
    pbmc_query.write_h5ad(file)
    return file


@pytest.fixture(scope="session")
def small_atlas(tmp_path_factory):
    """A bundle with cells and a picture of them, a file of a query, and the cells."""
    folder = tmp_path_factory.mktemp("atlas")
    model = sp.load("simulated-scanvi")
    adata = sp.datasets.simulate(1200, 150, 6, n_batches=4, mean_depth=2000.0, rng=0)
    inside = adata.obs["batch"].isin(model.spec.batches).to_numpy()
    cells, query = adata[inside].copy(), adata[~inside].copy()
    sp.tl.embed(cells, model)
    cells.obsm["X_umap"] = cells.obsm["X_scarches"][:, :2].astype(np.float32)
    sp.hub.save_bundle(
        model, folder / "atlas", reference=cells, include=["latent", "labels", "umap"], labels_key="cell_type"
    )
    query.write_h5ad(folder / "query.h5ad")
    return folder / "atlas", folder / "query.h5ad", cells


@pytest.fixture(scope="module")
def server(serve_page, tmp_path_factory):
    with serve_page(tmp_path_factory.mktemp("results")) as server:
        yield server


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Address of a server that runs, as ``scarches-plus app`` prints it."""
    folder = tmp_path_factory.mktemp("served")
    with Running(folder) as found:
        yield found

"""One small reference and its cells for all verbs."""

import pytest
import scvi
from small_models import cells, split

import scarches_plus as sp

FAST = {"enable_progress_bar": False}


@pytest.fixture(scope="session")
def adata():
    return cells(n_cells=360, n_batches=4)


@pytest.fixture(scope="session")
def built(adata):
    """Reference cells with their embedding, and the model."""
    scvi.settings.seed = 0
    ref, _ = split(adata, "batch2", "batch3")
    model = sp.tl.build_reference(
        ref,
        "batch",
        "cell_type",
        recipe="scvi",
        max_epochs=5,
        model_kwargs={"n_hidden": 16, "n_latent": 4},
        train_kwargs=FAST,
    )
    return ref, model


@pytest.fixture
def reference(built):
    return built[0].copy()


@pytest.fixture
def model(built):
    return built[1]


@pytest.fixture
def query(adata):
    return split(adata, "batch2", "batch3")[1]

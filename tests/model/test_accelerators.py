"""A reference, a mapping and an embedding on each kind of device there is: the same in all that matters."""

import numpy as np
import pytest
import scvi
import torch
from small_models import cells, split

import scarches_plus as sp

GPU = pytest.param("gpu", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))
OPTIONS = {"enable_progress_bar": False}


@pytest.fixture(scope="module", params=["cpu", GPU])
def built(request):
    """A reference with MMD, trained on one kind of device."""
    reference, query = split(cells(), "batch2")
    scvi.settings.seed = 0
    model = sp.tl.build_reference(
        reference,
        "batch",
        "cell_type",
        recipe="scanvi",
        max_epochs=5,
        penalties=[sp.train.MMD(weight=1.0)],
        train_kwargs={**OPTIONS, "accelerator": request.param},
    )
    return request.param, model, reference, query


@pytest.mark.parametrize("strategy", ["condition", "input_layers", "clcvae"])
def test_a_query_is_mapped(built, strategy):
    accelerator, model, reference, query = built
    query = query.copy()
    if strategy == "clcvae":
        sp.train.estimate_importance(model)
    before = model.get_latent_representation(reference.copy())
    mapped = sp.tl.map_query(
        query, model, strategy=strategy, max_epochs=3, train_kwargs={**OPTIONS, "accelerator": accelerator}
    )
    assert np.isfinite(query.obsm["X_scarches"]).all()
    np.testing.assert_array_equal(model.get_latent_representation(reference.copy()), before)
    if strategy == "condition":
        assert mapped.state.lineage[-1]["drift"]["weights"] == 0


def test_embeddings_are_those_of_the_cpu(built):
    _, model, reference, _ = built
    found = model.get_latent_representation(reference.copy())
    model.to_device("cpu")
    np.testing.assert_allclose(model.get_latent_representation(reference.copy()), found, rtol=1e-3, atol=1e-4)

import numpy as np
import pytest
import scvi
import torch
from small_models import SCANVI, SCVI, cells, reference, split, train

import scarches_plus as sp
from scarches_plus.train import MMD, LatentReplay, carry_anchors, store_anchors


@pytest.fixture(scope="module", params=[SCVI, SCANVI])
def built(request):
    ref, rest = split(cells(800, n_batches=4), "batch2", "batch3")
    model = train(reference(request.param, ref), 60)
    store_anchors(model, n_cells=300)
    return ref, rest, model


def test_anchors_lie_where_the_mapped_model_puts_the_reference(built):
    ref, rest, model = built
    query, _ = split(rest, "batch3")
    mapped = train(type(model).load_query_data(query, model, strategy="all"), 30, plan_kwargs={"lr": 0.01})
    carried = carry_anchors(model, mapped)
    assert carried.space == mapped.state.space == mapped.state.anchors.space
    before = store_anchors(model, n_cells=300)
    there = mapped.embed(ref)
    distance = {
        name: np.linalg.norm(there.mean(0) - one.z_mean.numpy().mean(0))
        for name, one in (("before", before), ("carried", carried))
    }
    assert distance["carried"] < 0.5 * distance["before"]
    assert not torch.equal(carried.activations["encoder"], before.activations["encoder"])
    assert carried.activations["decoder"].shape == before.activations["decoder"].shape


def test_where_nothing_moves_they_stay(built):
    _, rest, model = built
    mapped = train(type(model).load_query_data(rest, model), 1)
    assert carry_anchors(model, mapped) is not None
    torch.testing.assert_close(mapped.state.anchors.z_mean, model.state.anchors.z_mean)


def test_queries_in_sequence_without_any_reference_cell(built, tmp_path):
    _, rest, model = built
    model.save(tmp_path / "model", overwrite=True)
    current = sp.model.load(tmp_path / "model")
    assert current.adata is None
    for batch in ("batch2", "batch3"):
        query = rest[rest.obs["batch"] == batch].copy()
        scvi.settings.seed = 0
        current = sp.tl.map_query(
            query, current, strategy="all", penalties=[LatentReplay(), MMD(anchors=True)], max_epochs=2,
            train_kwargs={"enable_progress_bar": False},
        )  # fmt: skip
        assert {"latent_replay_train", "mmd_train"} <= set(current.history)
        assert current.state.anchors.space == current.state.space
    assert len(current.state.lineage) == 2


def test_without_anchors_of_this_latent_space():
    ref, query = split(cells(), "batch2")
    model = reference(SCVI, ref)
    mapped = SCVI.load_query_data(query, model)
    with pytest.raises(ValueError, match="store_anchors"):
        carry_anchors(model, mapped)
    store_anchors(model)
    train(model, 1)
    with pytest.raises(ValueError, match="once it is trained"):
        carry_anchors(model, mapped)
    silent = {"enable_progress_bar": False}
    current = sp.tl.map_query(query, model, strategy="all", max_epochs=1, train_kwargs=silent)
    assert current.state.anchors is None

import numpy as np
import pytest
import torch
from small_models import SCANVI, SCVI, cells, reference, split, train

from scarches_plus.model import load
from scarches_plus.train import store_anchors


@pytest.fixture(scope="module", params=[SCVI, SCANVI])
def model(request):
    return reference(request.param)


def test_what_is_kept_is_what_the_model_sees(model):
    anchors = store_anchors(model, n_cells=10_000)
    mean, variance = model.get_latent_representation(return_dist=True)
    np.testing.assert_allclose(anchors.z_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(anchors.z_var, variance, rtol=1e-4, atol=1e-5)
    counts = torch.as_tensor(model.adata.X.toarray())
    torch.testing.assert_close(anchors.library[:, 0], counts.sum(1).log())
    codes = anchors.codes("batch").numpy()
    assert [model.groupings["batch"].names[code] for code in codes] == model.adata.obs["batch"].tolist()
    batch = torch.as_tensor(codes)[:, None]
    with torch.no_grad():
        hidden = model.module.z_encoder.encoder(counts.log1p(), batch)
    torch.testing.assert_close(anchors.activations["encoder"], hidden, rtol=1e-4, atol=1e-5)
    assert anchors.activations["decoder"].shape == hidden.shape
    assert repr(anchors) == f"Anchors of {len(codes)} cells, {mean.shape[1]} latent dimensions, groups ['batch']"


def test_batches_give_alike():
    adata = cells([200, 100, 6], n_batches=3)
    model = reference(SCVI, adata)
    codes = store_anchors(model, n_cells=66).codes("batch")
    assert torch.bincount(codes).tolist() == [30, 30, 6]
    other = store_anchors(model, n_cells=66, rng=1)
    assert not torch.equal(other.z_mean, store_anchors(model, n_cells=66).z_mean)


def test_places(model):
    anchors = store_anchors(model, n_cells=30)
    rows = torch.tensor([4, 2])
    torch.testing.assert_close(anchors.at("z_mean", rows), anchors.z_mean[rows])
    torch.testing.assert_close(anchors.at("decoder", rows), anchors.activations["decoder"][rows])
    torch.manual_seed(0)
    many = torch.stack([anchors.at("z", rows) for _ in range(4000)])
    torch.testing.assert_close(many.mean(0), anchors.z_mean[rows], atol=0.1, rtol=0)
    torch.testing.assert_close(many.var(0), anchors.z_var[rows], atol=0.05, rtol=0.1)
    assert len(anchors) == 30


def test_anchors_travel_and_stay_behind_when_the_space_moves(model, tmp_path):
    _, query = split(cells(), "batch2")
    anchors = store_anchors(model, n_cells=20)
    model.save(tmp_path / "model", overwrite=True)
    kept = load(tmp_path / "model").state.anchors
    torch.testing.assert_close(kept.z_mean, anchors.z_mean)
    mapped = type(model).load_query_data(query, tmp_path / "model")
    torch.testing.assert_close(mapped.state.anchors.z_mean, anchors.z_mean)
    train(mapped, 1)
    assert mapped.state.anchors is not None
    elsewhere = train(type(model).load_query_data(query, model, strategy="all"), 1)
    another = cells(n_batches=4, rng=1)
    another = another[another.obs["batch"] == "batch3"].copy()
    assert type(model).load_query_data(another, mapped).state.anchors is not None
    assert type(model).load_query_data(another, elsewhere).state.anchors is None


def test_looking_changes_nothing(model):
    weights = {name: value.clone() for name, value in model.module.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    store_anchors(model, n_cells=10)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, weights[name]) for name, value in model.module.state_dict().items())
    assert not model.module.training


def test_refusals(model, tmp_path):
    with pytest.raises(ValueError, match="n_cells"):
        store_anchors(model, n_cells=0)
    model.save(tmp_path / "model", overwrite=True)
    with pytest.raises(ValueError, match="cells"):
        store_anchors(load(tmp_path / "model"))


def test_a_transformed_latent_space_is_refused():
    model = reference(SCVI, latent_distribution="ln")
    with pytest.raises(ValueError, match="latent_distribution='ln'"):
        store_anchors(model)


def test_forgotten_anchors_are_gone(tmp_path):
    model = reference()
    store_anchors(model, n_cells=30)
    model.forget("anchors", "summaries")
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").state.anchors is None
    with pytest.raises(ValueError, match="names must be one of"):
        model.forget("weights")

"""Hidden layers of different widths, and what everything else makes of them."""

import numpy as np
import pytest
import scvi
import torch
from small_models import SCANVI, SCVI, cells, reference, split, train, weight_change

from scarches_plus.model import load
from scarches_plus.module import VAE
from scarches_plus.train import EWC, MMD, LatentReplay, estimate_importance, store_anchors

WIDTHS = (12, 7, 5)
NETWORK = {"n_layers": 3, "layer_widths": WIDTHS}


@pytest.fixture(scope="module", params=[SCVI, SCANVI], ids=lambda cls: cls.__name__)
def pair(request):
    ref, query = split(cells(n_batches=4), "batch2", "batch3")
    return reference(request.param, ref, **NETWORK), query


def widths(stack):
    return [block[0].out_features for block in stack.fc_layers]


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("norms", ["both", "none"])
def test_layers_have_their_widths_and_the_decoder_mirrors_them(deep, norms):
    options = {"n_input": 30, "n_batch": 3, "n_layers": 3, "deeply_inject_covariates": deep, "encode_covariates": True}
    module = VAE(**options, use_layer_norm=norms, use_batch_norm=norms, layer_widths=WIDTHS, gene_likelihood="zinb")
    encoder, decoder = module.z_encoder.encoder, module.decoder.px_decoder
    assert (widths(encoder), widths(decoder)) == (list(WIDTHS), list(WIDTHS)[::-1])
    n_covariates = [3, 3 * deep, 3 * deep]
    assert [block[0].in_features for block in encoder.fc_layers] == [
        n + more for n, more in zip([30, 12, 7], n_covariates, strict=True)
    ]
    assert [block[0].in_features for block in decoder.fc_layers] == [
        n + more for n, more in zip([module.n_latent, 5, 7], n_covariates, strict=True)
    ]
    counts, batch = torch.randint(0, 5, (6, 30)).float(), torch.tensor([[0], [1], [2]] * 2)
    outputs = module({"X": counts, "batch": batch, "labels": torch.zeros_like(batch)})[2]
    assert torch.isfinite(outputs.loss)


def test_equal_widths_are_the_network_of_scvi_tools():
    options = {"n_input": 30, "n_batch": 3, "n_layers": 2, "n_hidden": 9, "encode_covariates": True}
    ours, theirs = VAE(**options, layer_widths=(9, 9)), scvi.module.VAE(**options)
    assert {name: value.shape for name, value in ours.state_dict().items()} == {
        name: value.shape for name, value in theirs.state_dict().items()
    }
    ours.load_state_dict(theirs.state_dict())
    counts, batch = torch.randint(0, 5, (6, 30)).float(), torch.tensor([[0], [1], [2]] * 2)
    tensors = {"X": counts, "batch": batch, "labels": torch.zeros_like(batch)}
    losses = []
    for module in (ours.eval(), theirs.eval()):
        torch.manual_seed(0)
        losses.append(module(tensors)[2].loss)
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("wrong", [(12,), (12, 7, 5, 3), (12, 7, 0), (12, 7, -1), (12, 7, 5.5)])
def test_wrong_widths_are_named(wrong):
    with pytest.raises(ValueError, match="layer_widths must be"):
        VAE(n_input=30, n_layers=3, layer_widths=wrong)


@pytest.mark.parametrize("engine", ["fast", "scvi"])
def test_surgery_leaves_the_reference_and_loads(pair, tmp_path, engine):
    model, query = pair
    before = model.embed(model.adata)
    mapped = train(type(model).load_query_data(query, model), 3, engine=engine)
    assert weight_change(model, mapped) == 0
    np.testing.assert_allclose(
        mapped.embed(model.adata), before, rtol=0, atol=2e-6
    )  # as other sums of the same numbers
    assert widths(mapped.module.z_encoder.encoder) == list(WIDTHS)
    mapped.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").embed(query), mapped.embed(query))


def test_penalties_read_the_layers(pair):
    model, query = pair
    estimate_importance(model, n_cells=30)
    store_anchors(model, n_cells=30)
    penalties = [EWC(), LatentReplay(), MMD(on="decoder"), MMD(on="encoder")]
    mapped = train(type(model).load_query_data(query, model, strategy="all"), 1, penalties=penalties)
    assert {"ewc_train", "latent_replay_train", "mmd_train", "mmd_2_train"} <= set(mapped.history)


def test_plain_scvi_tools_refuses_the_file(pair, tmp_path):
    model, _ = pair
    model.save(tmp_path / "model", save_anndata=True)
    with pytest.raises((TypeError, RuntimeError)):
        getattr(scvi.model, type(model).__name__).load(tmp_path / "model")


def test_from_scvi_model_keeps_them():
    ref, _ = split(cells(), "batch2")
    model = reference(SCVI, ref, **NETWORK)
    again = SCANVI.from_scvi_model(model, "Unknown", labels_key="cell_type")
    assert widths(again.module.z_encoder.encoder) == list(WIDTHS)

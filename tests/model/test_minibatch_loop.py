"""This package's loop over minibatches takes the steps of lightning's, bit for bit."""

import logging
import os
import signal

import lightning.pytorch
import numpy as np
import pytest
import scvi
import torch
from small_models import SCANVI, SCVI, cells, reference, setup, split, train

from scarches_plus.train import EWC, MMD, BatchAdversary, Penalty, estimate_importance

NETWORK = {"n_hidden": 12, "n_latent": 4, "n_layers": 2, "encode_covariates": True}


def some_cells():
    adata = cells()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    adata.obs.loc[adata.obs_names[::4], "cell_type"] = "Unknown"
    return adata


def new_model(cls, **network):
    adata = some_cells()
    setup(cls, adata)
    scvi.settings.seed = 0
    return cls(adata, **{**NETWORK, **network})


@pytest.fixture(scope="module")
def mapped_from():
    ref, query = split(cells(), "batch2")
    model = reference(SCVI, ref, gene_likelihood="nb")
    estimate_importance(model)
    return model, query


def query_model(mapped_from, strategy):
    model, query = mapped_from
    scvi.settings.seed = 0
    return SCVI.load_query_data(query.copy(), model, strategy=strategy)


def assert_same(one, other):
    """Whatever was learned is the same in every bit; means over an epoch are added up in another order."""
    weights, expected = one.module.state_dict(), other.module.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert list(one.history) == list(other.history)
    for name, table in other.history.items():
        assert one.history[name].index.equals(table.index), name
        assert one.history[name].index.name == table.index.name
        mine, theirs = (history[name].to_numpy(dtype=float) for history in (one.history, other.history))
        np.testing.assert_allclose(mine, theirs, rtol=2e-6, atol=1e-7, err_msg=name)
    for kind in ("train_indices", "validation_indices"):
        np.testing.assert_array_equal(getattr(one, kind), getattr(other, kind))


def on_both(make, max_epochs=3, **options):
    models = []
    for engine, remembered in (("auto", "loop"), ("scvi", "scvi")):
        model = make()
        scvi.settings.seed = 1
        train(model, max_epochs, engine=engine, batch_size=50, **options)
        assert model.state.engine == remembered
        models.append(model)
    assert_same(*models)
    return models


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
@pytest.mark.parametrize(
    "options",
    [
        {"gene_likelihood": "zinb", "dispersion": "gene-batch"},
        {"penalties": [MMD(on="decoder"), BatchAdversary()], "gradient_clip_val": 1.0},
        {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
        {"train_size": 0.6, "log_every_n_steps": 3, "plan_kwargs": {"optimizer": "AdamW", "weight_decay": 0.1}},
        {"plan_kwargs": {"n_epochs_kl_warmup": 2, "max_kl_weight": 0.5}, "shuffle_set_split": False, "devices": 1},
    ],
    ids=["gene-batch", "penalties", "clipped", "AdamW", "warm-up, one device"],
)
def test_references_are_the_same(cls, options):
    network = {name: options[name] for name in ("gene_likelihood", "dispersion") if name in options}
    if cls is SCANVI and "optimizer" in options.get("plan_kwargs", {}):
        options = {**options, "plan_kwargs": {"weight_decay": 0.1}}
    on_both(lambda: new_model(cls, **network), **{k: v for k, v in options.items() if k not in network})


@pytest.mark.parametrize("options", [{"plan_kwargs": {"schedule": "alternating"}}, {"n_samples_per_label": 9}])
def test_labels_are_drawn_alike(options):
    on_both(lambda: new_model(SCANVI), **options)


def test_batch_norm_and_covariate_effects_are_the_same():
    on_both(lambda: new_model(SCVI, use_batch_norm="both", use_layer_norm="none", use_observed_lib_size=False))


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("all", {}),
        ("all", {"penalties": [EWC(weight=5.0)]}),
        ("input_layers", {"plan_kwargs": {"weight_decay": 0.04}}),
        ("condition", {"module_mode": "train"}),
    ],
)
def test_queries_are_the_same(mapped_from, strategy, options):
    one, _ = on_both(lambda: query_model(mapped_from, strategy), **options)
    changed = {
        name
        for name, value in query_model(mapped_from, strategy).module.state_dict().items()
        if not torch.equal(value, one.module.state_dict()[name])
    }
    assert changed == set(one.surgery.entries)


def test_a_second_training_goes_on():
    one, other = (new_model(SCVI) for _ in range(2))
    for model, engine in ((one, "fast"), (other, "scvi")):
        for _ in range(2):
            scvi.settings.seed = 1
            train(model, 2, engine=engine, batch_size=50)
    assert_same(one, other)
    assert list(one.history["elbo_train"].index) == [0, 1, 2, 3]


def test_penalties_may_read_the_distribution_of_counts():
    class Expected(Penalty):
        name = "expected"

        def value(self, step):
            px = step.generative["px"]
            seen.append((px.mean.detach(), px.scale.sum(1).detach(), px.theta.shape))
            return px.mean.mean()

    seen = []
    model = new_model(SCVI, gene_likelihood="zinb")
    train(model, 1, penalties=[Expected()])
    mean, total, shape = seen[0]
    assert mean.shape == (len(total), model.adata.n_vars)
    assert shape[-1] == model.adata.n_vars
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"early_stopping": True}, "early_stopping"),
        ({"check_val_every_n_epoch": 1}, "check_val_every_n_epoch"),
        ({"callbacks": [lightning.pytorch.Callback()]}, "callbacks"),
        ({"max_steps": 2}, "max_steps"),
        ({"plan_kwargs": {"on_step": True}}, "on_step"),
        ({"plan_kwargs": {"reduce_lr_on_plateau": True}, "check_val_every_n_epoch": 1}, "reduce_lr_on_plateau"),
    ],
)
def test_what_only_lightning_can_do_is_left_to_it(caplog, options, reason):
    model = new_model(SCVI)
    with pytest.raises(ValueError, match=f"does not apply: .*{reason}"):
        train(model, 1, engine="fast", **options)
    assert not model.is_trained
    with caplog.at_level(logging.INFO, logger="scarches_plus"):
        train(model, 1, **options)
    assert reason in caplog.text
    assert model.state.engine == "scvi"
    assert isinstance(model.trainer, lightning.pytorch.Trainer)


def test_an_interrupt_keeps_the_steps_so_far():
    class PressCtrlC(Penalty):
        name = "press"

        def value(self, step):
            seen.append(1)
            if len(seen) == 20:
                os.kill(os.getpid(), signal.SIGINT)
            return step.inference["z"].sum() * 0

    seen = []
    model = new_model(SCVI)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    with pytest.raises(KeyboardInterrupt, match="holds the weights of the last step"):
        train(model, 50, penalties=[PressCtrlC()], batch_size=50)
    assert len(seen) == 20
    assert model.is_trained
    assert any(not torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    assert len(model.history["elbo_train"]) == (len(seen) - 1) // int(np.ceil(0.9 * model.adata.n_obs / 50))
    train(model, 1)
    assert np.isfinite(model.get_latent_representation()).all()

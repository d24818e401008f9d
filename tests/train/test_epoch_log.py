"""The history is the one scvi-tools writes, however seldom lightning is told."""

import numpy as np
import pytest
import scvi
from lightning.pytorch.callbacks import Callback
from scvi.train._callbacks import SubSampleLabels
from small_models import NETWORK, cells, setup, train

from scarches_plus import model as models


def histories(name, *, again=False, **kwargs):
    """History of our training and of scvi-tools', from the same weights and random numbers."""
    both = []
    for package in (models, scvi.model):
        cls = getattr(package, name)
        adata = cells()
        setup(cls, adata)
        scvi.settings.seed = 0
        model = cls(adata, **NETWORK)
        extra = {"batch_size": 32, "log_every_n_steps": 1, **kwargs}
        for _ in range(1 + again):
            model.module.train()  # which scvi-tools leaves to the first training
            if "callbacks" in extra and name == "SCANVI" and package is scvi.model:
                extra["callbacks"] = [*extra["callbacks"], SubSampleLabels()]
            scvi.settings.seed = 0
            train(model, **extra)
        both.append(model.history)
    return both


def assert_same(ours, theirs):
    assert list(ours) == list(theirs)
    for key, expected in theirs.items():
        assert ours[key].index.equals(expected.index), key
        assert ours[key].index.name == expected.index.name
        assert list(ours[key].columns) == list(expected.columns)
        mine, theirs = ours[key].to_numpy(dtype=float), expected.to_numpy(dtype=float)
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", ["SCVI", "SCANVI"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"check_val_every_n_epoch": 1},
        {"log_every_n_steps": 3, "plan_kwargs": {"n_steps_kl_warmup": 20, "n_epochs_kl_warmup": None}},
        {"accumulate_grad_batches": 2},
        {"plan_kwargs": {"n_epochs_kl_warmup": 2}, "max_epochs": 3},
        {"max_steps": 9},
        {"limit_train_batches": 3},
        {"again": True},
    ],
    ids=["plain", "validation", "steps", "accumulation", "warm-up", "stop within an epoch", "limit", "twice"],
)
def test_history_is_that_of_scvi_tools(name, options):
    if name == "SCANVI" and "n_steps_kl_warmup" in options.get("plan_kwargs", {}):
        options = {"log_every_n_steps": 3}
    assert_same(*histories(name, **options))


def test_history_per_step_is_left_to_lightning():
    assert_same(*histories("SCVI", plan_kwargs={"on_step": True}))


class Seen(Callback):
    def __init__(self):
        self.values = []

    def on_train_epoch_end(self, trainer, _):
        self.values.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize("name", ["SCVI", "SCANVI"])
def test_callbacks_see_the_epoch_when_it_ends(name):
    seen = Seen()
    ours, _ = histories(name, callbacks=[seen])
    mine, expected = seen.values[:2], seen.values[2:]
    assert len(mine) == len(expected) == 2
    for values, theirs in zip(mine, expected, strict=True):
        assert set(values) == set(theirs)
        assert values == pytest.approx(theirs, rel=2e-4, abs=1e-6)
    assert ours["train_loss"].iloc[-1].item() == pytest.approx(mine[-1]["train_loss"])

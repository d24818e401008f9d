import json
import re
from pathlib import Path

import pytest
import torch
from small_models import SCANVI, SCVI, cells, reference, setup, train

import scarches_plus as sp
from scarches_plus.train import EWC, MMD, BatchAdversary, Grouping, LatentReplay, Penalty, Setting, Step


class LatentNorm(Penalty):
    name = "latent_norm"

    def value(self, step):
        return step.inference["z"].square().sum(1).mean()


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
def test_a_penalty_of_ones_own(cls):
    norms = []
    for weight in (0.0, 100.0):
        model = train(reference(cls, cells(n_batches=2)), 10, penalties=[LatentNorm(weight=weight)])
        norms.append(float((model.get_latent_representation() ** 2).sum(1).mean()))
        assert len(model.history["latent_norm_train"]) == 10
    assert norms[1] < 0.5 * norms[0]


def test_the_example_in_the_docs_is_this_one():
    doc = sp.train.Penalty.__doc__
    assert "class LatentNorm(sp.train.Penalty):" in doc
    assert "return step.inference" in doc


def test_weight_rises_to_its_value():
    constant, linear = LatentNorm(weight=3.0), LatentNorm(weight=3.0, warmup_epochs=4)
    sigmoid = LatentNorm(weight=3.0, warmup_epochs=4, warmup="sigmoid")
    assert [constant.weight_at(epoch) for epoch in (0, 9)] == [3.0, 3.0]
    assert [linear.weight_at(epoch) for epoch in range(6)] == [0.0, 0.75, 1.5, 2.25, 3.0, 3.0]
    assert sigmoid.weight_at(2) == pytest.approx(1.5)
    assert sigmoid.weight_at(0) == pytest.approx(3 / (1 + torch.tensor(5.0).exp().item()))
    assert sigmoid.weight_at(4) == 3.0


def test_warmup_takes_part_in_the_loss():
    losses = []
    for warmup in (0, 2):
        model = reference(SCVI, cells(n_batches=2))
        torch.manual_seed(0)
        train(model, 3, penalties=[LatentNorm(weight=50.0, warmup_epochs=warmup)])
        history = model.history
        weights = [LatentNorm(weight=50.0, warmup_epochs=warmup).weight_at(epoch) for epoch in range(3)]
        # the loss is reconstruction, weighed KL term and weighed penalty
        own = history["train_loss"].to_numpy()[-3:, 0] - history["reconstruction_loss_train"].to_numpy()[-3:, 0]
        terms = history["latent_norm_train"].to_numpy()[-3:, 0]
        kl = history["kl_weight"].to_numpy()[-3:, 0] * history["kl_local_train"].to_numpy()[-3:, 0]
        losses.append((own - kl - weights * terms).tolist())
    for one in losses:
        assert one == pytest.approx([0, 0, 0], abs=0.05)


def test_several_of_a_kind_are_numbered():
    model = reference(SCVI, cells(n_batches=2))
    train(model, 1, penalties=[MMD(), MMD(on="decoder"), LatentNorm()])
    assert {"mmd_train", "mmd_2_train", "latent_norm_train"} <= set(model.history)


def test_options_are_plain_values():
    assert MMD(bandwidths=(1, 2)).options()["bandwidths"] == [1.0, 2.0]
    assert LatentNorm(weight=2).options() == {
        "name": "latent_norm", "weight": 2, "warmup_epochs": 0, "warmup": "linear",
    }  # fmt: skip
    assert MMD() == MMD()
    assert MMD(weight=2) != MMD()


@pytest.mark.parametrize(
    "penalty",
    [
        MMD(bandwidths=(1, 2), group="tech", warmup_epochs=3),
        BatchAdversary(layers_read="encoder", groups=["batch", "tech"], gradient_clip=None),
        EWC(weight=3),
        LatentReplay(n_cells=7),
        LatentNorm(weight=2),
    ],
    ids=lambda penalty: penalty.name,
)
def test_options_make_the_penalty_again(penalty):
    """Through JSON, as bundles hold them; a penalty of one's own, too."""
    assert Penalty.from_options(json.loads(json.dumps(penalty.options()))) == penalty


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"name": "mdm"}, ValueError, "no penalty 'mdm', only"),
        ({"weight": 2.0}, ValueError, "no penalty None, only"),
        ({"name": "mmd", "place": "z"}, TypeError, "penalty 'mmd' has no options"),
        ({"name": "cell_replay", "cells": "AnnData"}, TypeError, "cells"),
        ({"name": "mmd", "weight": -1}, ValueError, "weight"),
        ("mmd", TypeError, "options must be a dict"),
    ],
)
def test_options_that_make_no_penalty(options, error, says):
    with pytest.raises(error, match=says):
        Penalty.from_options(options)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="weight"):
        LatentNorm(weight=-1)
    with pytest.raises(ValueError, match="weight"):
        LatentNorm(weight=float("nan"))
    with pytest.raises(ValueError, match="warmup_epochs"):
        LatentNorm(warmup_epochs=-1)
    with pytest.raises(ValueError, match="warmup"):
        LatentNorm(warmup="cosine")


def test_what_is_no_penalty_is_named():
    class Nameless(Penalty):
        pass

    with pytest.raises(TypeError, match="name"):
        Nameless()

    class Silent(Penalty):
        name = "silent"

    model = reference(SCVI, cells(n_batches=2))
    with pytest.raises(NotImplementedError, match="Silent"):
        train(model, 1, penalties=[Silent()])
    with pytest.raises(TypeError, match="mmd"):
        train(model, 1, penalties=["mmd"])
    with pytest.raises(TypeError, match="setting"):
        sp.train.TrainingPlan(model.module, penalties=[LatentNorm()])


def test_groupings_of_a_model():
    adata = cells(n_batches=3)
    adata.obs["donor"] = ["a", "b"] * (adata.n_obs // 2)
    setup(SCVI, adata, categorical_covariate_keys=["donor"])
    groupings = SCVI(adata).groupings
    assert list(groupings) == ["batch", "donor"]
    assert groupings["batch"] == Grouping("batch", 0, ("batch0", "batch1", "batch2"), (0, 1, 2))
    assert groupings["donor"] == Grouping("extra_categorical_covs", 0, ("a", "b"), (0, 1))
    model = train(SCVI(adata), 1, penalties=[MMD(group="donor")])
    assert "mmd_train" in model.history


def test_codes_of_a_step():
    grouping = Grouping("covariates", 1, ("a", "b", "c"), (0, 1, 2))
    step = Step({"covariates": torch.tensor([[5.0, 2.0], [5.0, 0.0]])}, {}, {}, {}, torch.nn.Linear(1, 1))
    assert step.codes(grouping).tolist() == [2, 0]
    setting = Setting(torch.nn.Linear(1, 1), {"x": grouping})
    assert setting.choose(None) == {"x": grouping}
    with pytest.raises(KeyError, match="y"):
        setting.choose(["y"])


def test_the_examples_of_the_guide_train():
    page = (Path(__file__).parents[2] / "docs" / "guide" / "penalties.md").read_text()
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class " in block]
    assert len(blocks) == 2
    names = {"sp": sp, "model": reference(SCVI, cells(n_batches=2))}
    names["model"].train = lambda **kwargs: SCVI.train(names["model"], 1, enable_progress_bar=False, **kwargs)
    for block in blocks:
        exec(block, names)  # noqa: S102 (our own page)
    names["model"].train(penalties=[names["Correlation"](weight=10.0), names["Correlation"](on_mean=False)])
    values = names["model"].history["correlation_train"]
    assert 0 <= values.iloc[-1, 0] <= names["model"].module.n_latent
    assert {"latent_norm_train", "correlation_2_train"} <= set(names["model"].history)


class Huge(Penalty):
    name = "huge"

    def value(self, step):
        return step.inference["z"].sum() * 0 + 1e7


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
def test_validation_knows_no_penalties(cls):
    model = reference(cls)
    train(model, 1, penalties=[Huge()], check_val_every_n_epoch=1)
    assert model.history["train_loss_epoch" if "train_loss_epoch" in model.history else "train_loss"].iloc[-1, 0] > 1e6
    assert model.history["validation_loss"].iloc[-1, 0] < 1e5

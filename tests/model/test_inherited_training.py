"""Queries inherit the training of their reference."""

import json
import logging

import pytest
import scvi
import torch
from small_models import NETWORK, SCANVI, SCVI, TOTALVI, cells, reference, setup, split, train, with_proteins

import scarches_plus as sp
from scarches_plus.train import MMD, BatchAdversary, Penalty

REFERENCE, QUERY = split(cells(n_batches=4), "batch2", "batch3")
ONE_BATCH = QUERY[QUERY.obs["batch"] == "batch2"].copy()
TERM = MMD(weight=30.0, on="decoder")
PLAN = {"max_kl_weight": 0.01, "n_epochs_kl_warmup": None}
SIZES = {"batch_size": 32, "gradient_clip_val": 2.0}
SILENT = {"enable_progress_bar": False}
#: The reference's rules, said once more.
SAID = {"penalties": [TERM], "plan_kwargs": PLAN, "train_kwargs": {**SIZES, **SILENT}}
#: What mapping did before it inherited.
NOTHING = {
    "penalties": (),
    "plan_kwargs": {"max_kl_weight": 1.0, "n_epochs_kl_warmup": 400},
    "train_kwargs": {"batch_size": 128, "gradient_clip_val": None, **SILENT},
}


def build(**kwargs):
    scvi.settings.seed = 0
    given = {"penalties": [TERM], "plan_kwargs": PLAN, "train_kwargs": {**SIZES, **SILENT}, **kwargs}
    return sp.tl.build_reference(REFERENCE.copy(), "batch", max_epochs=2, model_kwargs=NETWORK, **given)


@pytest.fixture(scope="module")
def model():
    return build()


def mapped(model, query=QUERY, **kwargs):
    scvi.settings.seed = 1
    return sp.tl.map_query(query.copy(), model, max_epochs=3, **{"train_kwargs": SILENT, **kwargs})


def weights(model):
    return torch.cat([values.flatten() for values in model.module.state_dict().values()])


@pytest.mark.parametrize("query", [QUERY, ONE_BATCH], ids=["two batches", "one batch"])
@pytest.mark.parametrize("engine", ["scvi", "auto"])
def test_a_query_trains_by_its_references_rules(model, query, engine):
    inherited = mapped(model, query, engine=engine)
    torch.testing.assert_close(weights(inherited), weights(mapped(model, query, engine=engine, **SAID)), rtol=0, atol=0)
    assert (weights(inherited) - weights(mapped(model, query, engine=engine, **NOTHING))).abs().max() > 1e-4
    assert "mmd_train" in inherited.history
    assert inherited.state.penalties == (TERM.options(),)


def test_what_is_given_stands_above_what_is_inherited(model):
    without = mapped(model, penalties=())
    assert "mmd_train" not in without.history
    assert without.history["kl_weight"]["kl_weight"].max() == pytest.approx(0.01)
    other = mapped(model, penalties=[MMD(weight=2.0)], plan_kwargs={"max_kl_weight": 0.5})
    assert other.state.penalties == (MMD(weight=2.0).options(),)
    assert other.history["kl_weight"]["kl_weight"].max() == pytest.approx(0.5)


def test_the_record_says_what_was_inherited(model):
    record = json.loads(mapped(model).state.lineage[0]["inherited"])
    assert [one["name"] for one in record["penalties"]] == ["mmd"]
    assert record["plan_kwargs"] == PLAN
    assert record["train_kwargs"] == SIZES
    assert record["left_out"] == {}
    told = json.loads(mapped(model, **NOTHING).state.lineage[0]["inherited"])
    assert told == {"penalties": [], "plan_kwargs": {}, "train_kwargs": {}, "left_out": {}}


def test_the_rules_travel_with_files_bundles_and_mapped_models(model, tmp_path):
    model.save(tmp_path / "folder")
    sp.hub.save_bundle(model, tmp_path / "bundle", summary=False)
    first = mapped(model, ONE_BATCH)
    for one in (sp.load(tmp_path / "folder"), sp.load(tmp_path / "bundle"), first):
        assert one.state.training == model.state.training
    second = mapped(first, QUERY[QUERY.obs["batch"] == "batch3"].copy())
    assert second.state.penalties == (TERM.options(),)


def test_a_penalty_that_cannot_apply_is_named(model, tmp_path, caplog):
    """Bundles leave anchors out, and without them one batch has nothing to be compared with."""
    sp.hub.save_bundle(model, tmp_path / "bundle", summary=False)
    with caplog.at_level(logging.WARNING, "scarches_plus"):
        alone = mapped(tmp_path / "bundle", ONE_BATCH)
    assert "penalty 'mmd'" in caplog.text
    assert "penalties=() leaves it out" in caplog.text
    assert "store_anchors" in json.loads(alone.state.lineage[0]["inherited"])["left_out"]["mmd"]
    assert alone.history["kl_weight"]["kl_weight"].max() == pytest.approx(0.01)
    caplog.clear()
    mapped(tmp_path / "bundle", ONE_BATCH, penalties=())
    assert "penalty" not in caplog.text


def test_penalties_that_compare_with_anchors_bring_them(model):
    assert len(model.state.anchors) == REFERENCE.n_obs
    assert build(penalties=()).state.anchors is None
    assert build(penalties=[MMD(on="z")]).state.anchors is not None


def test_a_latent_variable_that_has_no_anchors_is_no_obstacle(caplog):
    with caplog.at_level(logging.WARNING, "scarches_plus"):
        model = sp.tl.build_reference(
            REFERENCE.copy(), "batch", penalties=[MMD()], max_epochs=1, train_kwargs=SILENT,
            model_kwargs={**NETWORK, "latent_distribution": "ln"},
        )  # fmt: skip
    assert model.state.anchors is None
    assert "carries no anchors" in caplog.text


def test_the_fast_path_keeps_to_clipping_and_the_kl_term(model):
    assert mapped(model).state.engine == "fast"
    adversarial = build(penalties=[BatchAdversary(weight=0.1)])
    slow = mapped(adversarial)
    assert slow.state.engine == "loop"
    assert "batch_adversary_train" in slow.history
    assert mapped(adversarial, penalties=()).state.engine == "fast"


def test_scanvis_schedule_is_inherited_where_labels_take_part():
    scvi.settings.seed = 0
    labelled = sp.tl.build_reference(
        REFERENCE.copy(), "batch", "cell_type", recipe="scanvi", max_epochs=2, model_kwargs=NETWORK,
        plan_kwargs={"schedule": "alternating", "classifier_epochs": 2, "classification_ratio": 7},
        train_kwargs=SILENT,
    )  # fmt: skip
    of_labels = {"schedule", "classifier_epochs", "classification_ratio"}
    for use_labels in (False, True):
        query_model = SCANVI.load_query_data(QUERY.copy(), labelled, use_query_labels=use_labels)
        assert of_labels & set(query_model.inherited_training().plan_kwargs) == (of_labels if use_labels else set())


def test_asking_draws_nothing():
    """Discriminators are drawn to see whether they apply; the training that follows must not notice."""
    query_model = SCVI.load_query_data(QUERY.copy(), build(penalties=[BatchAdversary()]))
    before = torch.get_rng_state()
    assert query_model.inherited_training().penalties == (BatchAdversary(),)
    assert torch.equal(torch.get_rng_state(), before)


class Against(Penalty):
    """A penalty of one's own with an option that files cannot hold."""

    name = "against"

    def __init__(self, direction):
        object.__setattr__(self, "direction", direction)

    def options(self):
        return {**super().options(), "direction": {"repr": repr(self.direction)}}

    def value(self, step):
        return (step.inference["z"] @ self.direction).square().mean()


def test_an_option_that_is_no_plain_value_leaves_the_penalty_out():
    left = mapped(build(penalties=[Against(torch.ones(4))]))
    assert "no plain values" in json.loads(left.state.lineage[0]["inherited"])["left_out"]["against"]


def test_training_on_is_what_queries_inherit(model, tmp_path, caplog):
    model.save(tmp_path / "model")
    ref = REFERENCE.copy()
    again = sp.load(tmp_path / "model", ref)
    with caplog.at_level(logging.WARNING, "scarches_plus"):
        train(again, 1)
    assert "no longer ['mmd']" in caplog.text
    assert again.state.training.penalties == ()


def test_models_from_before_say_that_nothing_is_inherited(tmp_path, caplog):
    scvi.settings.seed = 0
    ref = REFERENCE.copy()
    built = sp.tl.build_reference(
        ref, "batch", recipe="trvae", max_epochs=1, model_kwargs={"n_hidden": 8}, train_kwargs=SILENT
    )
    built.scarches_plus_["training"] = None
    with caplog.at_level(logging.WARNING, "scarches_plus"):
        assert mapped(built).state.penalties == ()
    assert "recipe 'trvae'" in caplog.text


def test_anchors_that_no_penalty_wants_are_not_stored():
    assert build(penalties=[MMD(anchors=False)]).state.anchors is None


def test_totalvi_inherits():
    ref, query = with_proteins(REFERENCE), with_proteins(QUERY)
    setup(TOTALVI, ref)
    model = TOTALVI(ref, n_hidden=12, n_latent=4, use_layer_norm="both", use_batch_norm="none")
    train(model, penalties=[MMD(weight=3.0)], plan_kwargs={"n_steps_kl_warmup": 7, "max_kl_weight": 0.1}, batch_size=64)
    inherited = TOTALVI.load_query_data(query, model).inherited_training()
    assert inherited.penalties == (MMD(weight=3.0),)
    assert inherited.plan_kwargs == {"n_steps_kl_warmup": 7, "max_kl_weight": 0.1}
    assert inherited.train_kwargs == {"batch_size": 64}


def test_nothing_is_inherited_from_a_model_that_others_trained(tmp_path):
    ref = REFERENCE.copy()
    scvi.model.SCVI.setup_anndata(ref, batch_key="batch")
    theirs = scvi.model.SCVI(ref, **NETWORK)
    theirs.train(max_epochs=1, enable_progress_bar=False, batch_size=64, log_every_n_steps=1)
    theirs.save(tmp_path / "model")
    assert SCVI.load_query_data(QUERY.copy(), tmp_path / "model").inherited_training().train_kwargs == {}
    ours = reference(SCVI, ref, setup_kwargs={"batch_key": "batch"})
    ours.save(tmp_path / "ours")
    again = scvi.model.SCVI.load(tmp_path / "ours", adata=ref)
    again.module.train()
    again.train(max_epochs=1, enable_progress_bar=False, log_every_n_steps=1)
    again.save(tmp_path / "again")
    assert sp.load(tmp_path / "again").state.training is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "of_a_later_release"}, "no penalty 'of_a_later_release'"),
        ({"name": "mmd", "sharpness": 3}, "no options ['sharpness']"),
        ({"name": "mmd", "weight": -1.0}, "weight"),
        ({"name": "cell_replay", "cells": "AnnData object", "weight": 1.0}, "cells"),
        ({}, "no penalty None"),
    ],
)
def test_a_record_that_makes_no_penalty_is_left_out_with_the_reason(model, options, reason, tmp_path):
    model.save(tmp_path / "model")
    other = sp.load(tmp_path / "model")
    other.scarches_plus_["training"]["penalties"] = [options, TERM.options()]
    sp.hub.save_bundle(other, tmp_path / "bundle", summary=False)
    left = mapped(tmp_path / "bundle")
    assert [one["name"] for one in left.state.penalties] == ["mmd"]
    (said,) = json.loads(left.state.lineage[0]["inherited"])["left_out"].values()
    assert reason in said

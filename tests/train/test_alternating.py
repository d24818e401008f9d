import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_models import SCANVI, SCVI, cells, reference, setup, split, train

import scarches_plus as sp

CLASSIFIER = "classifier."
ALTERNATING = {"schedule": "alternating", "classifier_epochs": 3}


@pytest.fixture(scope="module")
def adata():
    return cells(n_batches=2)


class Weights(Callback):
    """Weights before the first epoch, after its last step, and after its end."""

    def __init__(self):
        self.seen = []

    def keep(self, plan):
        self.seen.append({name: value.clone() for name, value in plan.module.named_parameters()})

    def on_train_epoch_start(self, _, plan):
        self.keep(plan)

    def on_train_batch_end(self, trainer, plan, *_):
        if trainer.is_last_batch:
            self.keep(plan)

    def on_train_end(self, _, plan):
        self.keep(plan)


def changed(one, other):
    return {name for name in one if not torch.equal(one[name], other[name])}


def test_steps_train_the_networks_and_epochs_end_with_the_classifier(adata):
    model, weights = reference(SCANVI, adata), Weights()
    train(model, 1, callbacks=[weights], plan_kwargs=ALTERNATING)
    start, after_steps, after_epoch = weights.seen
    moved = changed(start, after_steps)
    assert any(name.startswith("z_encoder") for name in moved)
    assert any(name.startswith("decoder") for name in moved)
    assert any(name.startswith("encoder_z2_z1") for name in moved)
    assert not any(name.startswith(CLASSIFIER) for name in moved)
    assert changed(after_steps, after_epoch) == {name for name in start if name.startswith(CLASSIFIER)}


def test_the_classifier_learns_from_labels_alone():
    adata = cells(n_batches=2, type_effect=1.0)
    model = reference(SCANVI, adata)
    train(model, 15, plan_kwargs={**ALTERNATING, "classifier_epochs": 30, "classifier_lr": 0.01})
    assert "classifier_loss_train" in model.history
    losses = model.history["classifier_loss_train"].to_numpy(dtype=float).ravel()
    shares = adata.obs["cell_type"].value_counts(normalize=True)
    assert losses[-1] < -(shares * np.log(shares)).sum()  # what a classifier without cells reaches
    z = torch.as_tensor(model.get_latent_representation())
    with torch.no_grad():
        best = model.module.classifier(z).argmax(1).numpy()
    names = np.array([model._code_to_label[code] for code in range(model.module.n_labels)])
    assert np.mean(names[best] == adata.obs["cell_type"]) > 0.6


def test_the_loss_of_a_step_is_the_elbo(adata):
    model = train(reference(SCANVI, adata), 1, plan_kwargs=ALTERNATING)
    history = {name: float(values.iloc[-1, 0]) for name, values in model.history.items()}
    # in the first epoch the KL term weighs nothing
    assert history["train_loss"] == pytest.approx(history["reconstruction_loss_train"], rel=1e-4)
    assert history["train_classification_loss"] > 0


def test_joint_is_what_scvi_tools_does(adata):
    losses = []
    for plan in ({}, {"schedule": "joint"}):
        model = reference(SCANVI, adata)
        torch.manual_seed(0)
        train(model, 2, plan_kwargs=plan)
        losses.append(model.history["train_loss"].to_numpy(dtype=float))
    np.testing.assert_array_equal(*losses)


def test_surgery_that_leaves_the_classifier_leaves_it():
    ref, query = split(cells(), "batch2")
    model = reference(SCANVI, ref)
    mapped = SCANVI.load_query_data(query, model, use_query_labels=True)
    before = {name: value.clone() for name, value in mapped.module.named_parameters()}
    train(mapped, 2, plan_kwargs=ALTERNATING, engine="scvi")
    assert changed(before, dict(mapped.module.named_parameters())) <= set(mapped.surgery.entries)
    free = SCANVI.load_query_data(query, model, use_query_labels=True, strategy="all")
    train(free, 1, plan_kwargs=ALTERNATING)
    assert "classifier_loss_train" in free.history


def test_checkpoints_hold_the_optimiser(adata, tmp_path):
    class Keep(Callback):
        def on_train_end(self, trainer, _):
            trainer.save_checkpoint(tmp_path / "kept.ckpt")

    class Look(Callback):
        def on_train_end(self, _, plan):
            state = plan._classifier_adam.state_dict()["state"]
            self.steps = {int(one["step"]) for one in state.values()}

    options = {"plan_kwargs": ALTERNATING}
    look = Look()
    train(reference(SCANVI, adata), 1, callbacks=[Keep(), look], **options)
    after_one = look.steps
    train(reference(SCANVI, adata), 2, callbacks=[look], ckpt_path=tmp_path / "kept.ckpt", **options)
    assert look.steps == {2 * steps for steps in after_one}


def test_with_penalties(adata):
    model = train(reference(SCANVI, adata), 2, plan_kwargs=ALTERNATING, penalties=[sp.train.MMD()])
    assert {"mmd_train", "classifier_loss_train"} <= set(model.history)


def test_the_record_is_the_mean_loss_over_the_last_epoch(adata):
    class Look(Callback):
        def on_train_epoch_end(self, trainer, plan):
            z, labels = plan._labelled_means()
            with torch.no_grad():
                self.before = torch.nn.functional.cross_entropy(plan.module.classifier(z), labels).item()

    look, model = Look(), reference(SCANVI, adata, dropout_rate=0.0)
    plan = {**ALTERNATING, "classifier_epochs": 1, "classifier_lr": 1e-9}
    train(model, 1, callbacks=[look], plan_kwargs=plan)
    assert model.history["classifier_loss_train"].iloc[-1, 0] == pytest.approx(look.before, rel=1e-5)


def test_several_processes_are_refused(adata):
    plan = SCANVI._training_plan_cls(reference(SCANVI, adata).module, 3, schedule="alternating")
    plan._trainer = type("Trainer", (), {"world_size": 2})()
    with pytest.raises(ValueError, match="one process"):
        plan.on_train_start()


def test_wrong_options_are_named(adata):
    model = reference(SCANVI, adata)
    for plan, message in (({"schedule": "in turns"}, "schedule"), ({"classifier_epochs": 0}, "classifier_epochs")):
        with pytest.raises(ValueError, match=message):
            train(model, 1, plan_kwargs=plan)


def test_unlabelled_cells_take_no_part():
    adata = cells(n_batches=2)
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    adata.obs.loc[adata.obs_names[::2], "cell_type"] = "Unknown"
    setup(SCVI, adata)
    model = reference(SCANVI, adata)

    class Count(Callback):
        def on_train_epoch_end(self, _, plan):
            self.labels = plan._labelled_means()[1]

    count = Count()
    train(model, 1, plan_kwargs=ALTERNATING, callbacks=[count], train_size=1.0)
    assert len(count.labels) == adata.n_obs // 2
    assert int(count.labels.max()) < model.module.n_labels

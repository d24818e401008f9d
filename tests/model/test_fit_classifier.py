"""The fit of scANVI's classifier alone, and the balance of labels."""

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_models import NETWORK, SCANVI, cells, reference, split, train

import scarches_plus as sp
from scarches_plus.module import SCANVAE
from scarches_plus.train import train_classifier


def uneven(n_rare=12, **kwargs):
    """Simulate three types, a rare one among them."""
    adata = cells(360, type_effect=2.0, **kwargs)
    rare = np.flatnonzero(adata.obs["cell_type"] == "type2")
    return adata[np.setdiff1d(np.arange(adata.n_obs), rare[n_rare:])].copy()


FAST = {"lr": 0.01}


@pytest.fixture(scope="module")
def adata():
    return uneven()


@pytest.fixture
def model(trained):
    again = SCANVI(trained.adata, **NETWORK)
    again.module.load_state_dict(trained.module.state_dict())
    again.module.eval()
    again.is_trained_ = True
    return again


@pytest.fixture(scope="module")
def trained(adata):
    return train(reference(SCANVI, adata.copy()), 20, plan_kwargs={**FAST, "classification_ratio": 0.0})


def recall(model, label="type2"):
    truth = model.adata.obs["cell_type"].to_numpy()
    return (model.predict()[truth == label] == label).mean()


def forget(model):
    torch.manual_seed(0)
    for layer in model.module.classifier.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()


def test_it_finds_a_rare_label_that_the_classifier_forgot(model):
    forget(model)
    with torch.no_grad():
        model.module.classifier.classifier[-1].bias[2] -= 1.0
    assert recall(model) == 0
    model.fit_classifier(steps=2000)
    assert recall(model) > 0.7


def test_only_the_classifier_changes_and_the_space_stays(adata, tmp_path):
    model = reference(SCANVI, adata)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    latent, state = model.embed(adata), model.state
    model.fit_classifier(steps=3)
    changed = {name for name, value in model.module.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("classifier.") for name in changed)
    np.testing.assert_array_equal(model.embed(adata), latent)
    assert model.state.space == state.space
    assert model.state.weights != state.weights
    assert not model.module.training
    model.save(tmp_path / "model")
    again = sp.model.load(tmp_path / "model")
    assert again.state == model.state  # and not one that somebody else trained
    np.testing.assert_array_equal(again.predict(adata), model.predict(adata))


def test_it_lowers_the_expected_cross_entropy(model, adata):
    forget(model)
    mean, variance = model.get_latent_representation(adata, return_dist=True)
    names = list(model.classes)
    codes = torch.tensor([names.index(name) for name in adata.obs["cell_type"]])

    def expected(generator):
        noise = torch.randn(50, *mean.shape, generator=generator)
        z = torch.as_tensor(mean) + torch.as_tensor(variance).sqrt() * noise
        with torch.no_grad():
            logits = model.module.classifier(z)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), codes.repeat(50)).item()

    before = expected(torch.Generator().manual_seed(0))
    model.fit_classifier(steps=400, label_balance=0.0)
    after = expected(torch.Generator().manual_seed(0))
    assert after < 0.8 * before


def test_balance_moves_the_prior_between_labels(adata):
    """Where nothing tells the labels apart, probabilities are shares: n ** (1 - balance), normalised."""
    for balance in (0.0, 0.5, 1.0):
        model = reference(SCANVI, adata.copy(), dropout_rate=0.0)
        for network in (model.module.z_encoder.mean_encoder, model.module.z_encoder.var_encoder):
            torch.nn.init.zeros_(network.weight)
            torch.nn.init.zeros_(network.bias)
        torch.manual_seed(0)
        model.fit_classifier(steps=1500, label_balance=balance)
        n_cells = adata.obs["cell_type"].value_counts()[list(model.classes)].to_numpy() ** (1 - balance)
        np.testing.assert_allclose(model.predict(soft=True).mean(), n_cells / n_cells.sum(), atol=0.06)


def test_the_same_seed_gives_the_same(adata):
    results = []
    for _ in range(2):
        model = reference(SCANVI, adata.copy())
        torch.manual_seed(1)
        model.fit_classifier(steps=5)
        results.append(model.predict(soft=True).to_numpy())
    np.testing.assert_array_equal(*results)


def test_labels_of_a_hierarchy(adata):
    adata = adata.copy()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    adata.obs.loc[adata.obs_names[::5], "cell_type"] = "common"
    tree = {"type0": "common", "type1": "common", "type2": None, "common": None}
    model = train(reference(SCANVI, adata, hierarchy=tree), 30, plan_kwargs=FAST)
    forget(model)
    z = torch.as_tensor(model.get_latent_representation())
    codes = torch.as_tensor(model.adata_manager.get_from_registry("labels").ravel().astype(int))
    losses = []
    for steps in (1, 300):
        model.fit_classifier(steps=steps, label_balance=0.0)
        with torch.no_grad():
            losses.append(model.module.label_loss(model.module.classifier(z), codes).item())
    assert losses[1] < 0.8 * losses[0]


def test_refusals(adata):
    ref, query = split(uneven(), "batch2")
    model = reference(SCANVI, ref)
    mapped = SCANVI.load_query_data(query, model, strategy="condition", use_query_labels=True)
    with pytest.raises(ValueError, match="strategy='all'"):
        mapped.fit_classifier()
    SCANVI.load_query_data(query, model, strategy="all", use_query_labels=True).fit_classifier(steps=1)
    with pytest.raises(ValueError, match="no labelled cells"):
        SCANVI.load_query_data(query, model, strategy="all").fit_classifier()
    with pytest.raises(ValueError, match="n_unobserved=1"):
        reference(SCANVI, partly(adata), n_unobserved=1).fit_classifier()
    for options in ({"steps": 0}, {"label_balance": 1.5}):
        with pytest.raises(ValueError, match=next(iter(options))):
            model.fit_classifier(**options)


def partly(adata):
    adata = adata.copy()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    adata.obs.loc[adata.obs_names[::2], "cell_type"] = "Unknown"
    return adata


class Losses(Callback):
    """Keeps what a training's classification loss makes of fixed logits."""

    def on_train_batch_end(self, _, plan, *__):
        logits, labels = torch.tensor([[1.0, 0.0, 0.0]] * 3), torch.tensor([0, 1, 2])
        self.value = plan.module.label_loss(logits, labels).item()


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_labels_weigh_as_said_in_both_schedules(adata, schedule, balance):
    keep = Losses()
    plan = {"schedule": schedule, "label_balance": balance}
    train(reference(SCANVI, adata.copy()), 1, plan_kwargs=plan, callbacks=[keep], train_size=1.0)
    n_cells = adata.obs["cell_type"].value_counts()[["type0", "type1", "type2"]].to_numpy()
    weights = n_cells.astype(float) ** -balance
    cross_entropy = np.log(np.e + 2) - np.array([1.0, 0.0, 0.0])
    assert keep.value == pytest.approx((weights * cross_entropy).sum() / weights.sum(), rel=1e-4)


def test_weights_end_with_the_next_training(adata):
    model = reference(SCANVI, adata.copy())
    keep = Losses()
    train(model, 1, plan_kwargs={"label_balance": 1.0})
    train(model, 1, callbacks=[keep])
    assert keep.value == pytest.approx((3 * np.log(np.e + 2) - 1) / 3, rel=1e-5)


def test_queries_without_labels_train_in_turns():
    ref, query = split(cells(), "batch2")
    mapped = SCANVI.load_query_data(query, reference(SCANVI, ref), strategy="all")
    train(mapped, 1, plan_kwargs={"schedule": "alternating", "label_balance": 0.5})
    assert "classifier_loss_train" not in mapped.history


def test_recipes_end_with_the_fit():
    adata = uneven()
    model = sp.tl.build_reference(
        adata, "batch", "cell_type", recipe="scanvi", max_epochs=20, train_kwargs={"enable_progress_bar": False}
    )
    assert recall(model) > 0.7
    assert list(model.state.summaries) == ["cell_type"]
    with pytest.raises(ValueError, match="classifier_steps"):
        sp.model.Recipe(model="SCANVI", source="", classifier_steps=-1)


def test_posteriors_as_wide_as_the_distance_of_labels_keep_the_classifier_unsure():
    """By Bayes, labels at -0.3 and 0.3 with variance 1 have odds of exp(0.18) at their means."""
    torch.manual_seed(0)
    module = SCANVAE(n_input=5, n_labels=2, n_latent=1, classifier_parameters={"dropout_rate": 0.0})
    labels = torch.arange(400) % 2
    means = (labels[:, None] - 0.5) * 0.6
    found = []
    for variance in (1.0, 1e-8):
        train_classifier(module, means, torch.full_like(means, variance), labels, steps=400, balance=0.5)
        with torch.no_grad():
            found.append(float(module.classifier.eval()(means).softmax(-1).gather(1, labels[:, None]).mean()))
    assert abs(found[0] - 1 / (1 + np.exp(-0.18))) < 0.05
    assert found[1] > 0.95

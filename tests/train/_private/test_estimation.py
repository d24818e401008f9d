"""What is estimated of a reference: rows of classifiers, mixtures, temperatures, moved summaries."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from scvi.module import SCANVAE, Classifier
from sklearn.mixture import GaussianMixture
from small_models import SCVI, reference, split, train
from small_models import cells as small_cells

from scarches_plus._temperature import best_temperature
from scarches_plus.module._layers._hierarchical_classifier import HierarchicalClassifier
from scarches_plus.pp import LabelTree
from scarches_plus.train import summarize_reference
from scarches_plus.train._estimation._fit_labels import fit_classifier, fit_conditional
from scarches_plus.train._estimation._fit_mixture import fit_mixture
from scarches_plus.train._estimation._held_out_temperature import held_out_temperature
from scarches_plus.train._memory.carry_summaries import _moved, _transport

# --- Fitting new rows and columns against scipy on the same objective, and against what has to stay ---


def cells(n=300, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    centers = rng.normal(size=(4, 5))
    return (centers[labels] + 0.8 * rng.normal(size=(n, 5))).astype(np.float32), labels


@pytest.mark.parametrize("logits", [True, False])
def test_rows_are_the_maximum_a_posteriori_whatever_they_start_from(logits):
    z, labels = cells()
    torch.manual_seed(0)
    classifier = Classifier(5, n_labels=4, n_hidden=0, n_layers=0, logits=logits)
    layer = classifier.classifier[0]
    start = {name: value.clone() for name, value in layer.state_dict().items()}
    where = torch.tensor([2, 3])
    entries = {"classifier.0.weight": (0, where), "classifier.0.bias": (0, where)}
    fit_classifier(classifier, torch.from_numpy(z), torch.eye(4, dtype=torch.bool)[labels], entries)
    for name, old in start.items():
        assert torch.equal(getattr(layer, name)[:2], old[:2])

    design = np.hstack([z, np.ones((len(z), 1))]).astype(np.float64)
    fixed = design @ np.column_stack([start["weight"][:2], start["bias"][:2]]).T

    def loss(rows):
        scores = np.hstack([fixed, design @ rows.reshape(2, -1).T])
        return (logsumexp(scores, axis=1) - scores[np.arange(len(z)), labels]).sum() + (rows**2).sum() / 20

    expected = minimize(loss, np.zeros(12), tol=1e-10).x.reshape(2, -1)
    found = torch.column_stack([layer.weight[2:], layer.bias[2:]]).detach()
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_a_label_that_stands_for_several_classes_counts_with_their_sum():
    z, labels = cells()
    tree = LabelTree({"a": "top", "b": "top", "c": "other", "d": "other"})
    torch.manual_seed(0)
    classifier = HierarchicalClassifier(Classifier(5, n_labels=4, n_hidden=8, logits=True), tree).eval()
    allowed = torch.eye(4, dtype=torch.bool)[labels]
    coarse = np.arange(len(z)) % 2 == 0
    allowed[coarse] = torch.from_numpy(tree.covers(["top", "other"]))[(labels[coarse] > 1).astype(int)]
    assert classifier.heads[1] == (2, ("a", "b", "c", "d"))
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    name = "levels.1.classifier.1"
    entries = {f"{name}.weight": (0, torch.tensor([3])), f"{name}.bias": (0, torch.tensor([3]))}

    def loss():
        with torch.no_grad():
            shares = classifier(torch.from_numpy(z)).exp()
        return -(shares * allowed).sum(-1).log().sum()

    start = loss()
    fit_classifier(classifier, torch.from_numpy(z), allowed, entries)
    assert loss() < start
    for tensor, old in before.items():
        new = classifier.state_dict()[tensor]
        if tensor in entries:
            new, old = new[:3], old[:3]
        assert torch.equal(new, old), tensor


def test_columns_learn_the_cells_of_a_class_and_nothing_else_moves():
    torch.manual_seed(0)
    module = SCANVAE(
        20, n_batch=2, n_labels=3, n_hidden=16, n_latent=5, n_layers=2, use_batch_norm="none", use_layer_norm="both"
    )
    module.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    where = torch.tensor([-1])
    entries = {}
    for name, tensor in module.named_parameters():
        if name.startswith(("encoder_z2_z1", "decoder_z1_z2")) and ".fc_layers." in name and name.endswith("weight"):
            entries[name] = (1, where % tensor.shape[1])
    assert len(entries) == 4
    center = torch.tensor([3.0, -2.0, 0.0, 1.0, 2.0])
    mean, variance = center + 0.1 * torch.randn(80, 5), torch.full((80, 5), 0.01)
    state = torch.get_rng_state()
    fit_conditional(
        module, mean, variance, torch.full((80,), 2), torch.ones(80, dtype=torch.bool), entries=entries, rng=0
    )
    assert torch.equal(torch.get_rng_state(), state)
    for name, old in before.items():
        new = module.state_dict()[name]
        assert torch.equal(*((new[:, :-1], old[:, :-1]) if name in entries else (new, old))), name
    after = {name: value.clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def objective(weights, z=mean, label=2):
        module.load_state_dict(weights)
        y = torch.full((len(z), 1), label)
        qz2, _ = module.encoder_z2_z1(z, y)
        decoded, spread = module.decoder_z1_z2(qz2.loc, y)
        divergence = 0.5 * (qz2.loc**2 + qz2.scale**2 - 1) - qz2.scale.log()
        misfit = 0.5 * ((z - decoded) ** 2 / spread + spread.log() + np.log(2 * np.pi))
        return float((divergence + misfit).sum(-1).mean())

    assert objective(after) < objective(before) - 3

    # no closer than an old class fits its cells
    module.load_state_dict(before)
    old = 0.85 * mean
    fit_conditional(
        module, torch.cat([mean, old]), torch.cat([variance, variance]), torch.tensor([2, 1]).repeat_interleave(80),
        torch.tensor([True, False]).repeat_interleave(80), entries=entries, rng=0,
    )  # fmt: skip
    stopped = {name: value.clone() for name, value in module.state_dict().items()}
    enough = objective(before, old, 1)
    assert objective(before) > enough
    assert enough - 1.5 < objective(stopped) < enough + 1
    assert objective(after) < objective(stopped) - 1


# --- Mixtures and temperatures ---


def test_no_component_stands_for_a_few_cells():
    rng = np.random.default_rng(0)
    clumps = np.concatenate([rng.normal(0, 0.1, (60, 2)), rng.normal(9, 0.1, (5, 2)), rng.normal(-9, 0.1, (40, 2))])
    for min_cells in (5, 20):
        means, covariances, shares = fit_mixture(
            clumps, max_components=4, min_cells=min_cells, regularization=1e-3, seed=0
        )
        assert shares.sum(0).min() >= min_cells
        assert len(means) == len(covariances) == shares.shape[1] <= len(clumps) // min_cells
        near = np.linalg.norm(means - [9, 9], axis=1).min()
        assert (near < 1) == (min_cells == 5)


def test_the_mixture_of_smallest_bic_is_taken():
    z = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([[0, 0], [8, 8], [0, 8]], 100, axis=0)
    means, *_ = fit_mixture(z, max_components=4, min_cells=20, regularization=1e-3, seed=0)
    bics = {n: GaussianMixture(n, random_state=0).fit(z).bic(z) for n in range(1, 5)}
    assert len(means) == min(bics, key=bics.get) == 3


RULES = {"max_components": 1, "min_cells": 20, "regularization": 1e-3, "seed": 0}


def shifted(n_batches, shift, rng):
    """Cells of two labels one apart, in batches that are shifted as a whole."""
    codes, batches = rng.integers(0, 2, 200 * n_batches), np.repeat(np.arange(n_batches), 200)
    centers = rng.normal(scale=shift, size=(n_batches, 2))
    return rng.normal(scale=0.3, size=(len(codes), 2)) + codes[:, None] + centers[batches], codes, batches


def loss_at(temperature, scores, codes):
    scores = scores / temperature
    return (logsumexp(scores, axis=1) - scores[np.arange(len(codes)), codes]).mean()


def test_the_temperature_is_that_of_held_out_batches():
    latent, codes, batches = shifted(3, 0.3, np.random.default_rng(0))
    scores = np.empty((len(codes), 2))
    for batch in range(3):
        others, held = batches != batch, batches == batch
        for label in range(2):
            of_label = latent[others & (codes == label)]
            fits = [
                GaussianMixture(1, covariance_type=kind, reg_covar=1e-3, random_state=0).fit(of_label)
                for kind in ("full", "diag")
            ]
            best = min(fits, key=lambda one: one.bic(of_label))
            covariance = best.covariances_[0]
            covariance = np.diag(covariance) if covariance.ndim == 1 else covariance
            density = multivariate_normal(best.means_[0], covariance).logpdf(latent[held])
            scores[held, label] = density + np.log(len(of_label))
    found = held_out_temperature(latent, codes, batches, **RULES)
    grid = np.exp(np.arange(0, 4, 0.001))
    assert found == pytest.approx(grid[np.argmin([loss_at(one, scores, codes) for one in grid])], rel=2e-3)
    assert found > 1.5


def test_it_is_the_larger_the_more_batches_differ_and_never_below_one():
    found = [held_out_temperature(*shifted(4, shift, np.random.default_rng(2)), **RULES) for shift in (0.0, 0.2, 0.5)]
    assert found[0] < 1.1 < found[1] < found[2]
    certain = np.array([[0.0, -5.0], [-5.0, 0.0]] * 30)
    assert best_temperature(certain, np.array([0, 1] * 30), hottest=20.0) == pytest.approx(1, abs=1e-3)


def test_many_batches_are_held_out_in_five_parts_and_a_single_one_in_fifths(monkeypatch):
    from scarches_plus.train._estimation import _held_out_temperature as module

    fits = []
    monkeypatch.setattr(
        module, "fit_mixture", lambda *args, **kw: (fits.append(len(args[0])), fit_mixture(*args, **kw))[1]
    )
    for n_batches in (12, 1):
        fits.clear()
        latent, codes, batches = shifted(n_batches, 0.2, np.random.default_rng(2))
        assert held_out_temperature(latent, codes, batches, **RULES) >= 1
        assert len(fits) == 5 * 2


def test_no_temperature_where_nothing_can_be_held_out():
    latent, codes, _ = shifted(2, 0.2, np.random.default_rng(3))
    assert held_out_temperature(latent, codes, codes, **RULES) is None  # each label in a batch of its own
    assert held_out_temperature(latent, np.zeros_like(codes), codes, **RULES) is None


# --- Summaries that are carried over ---


def test_where_nothing_moves_a_summary_stays():
    model = train(reference(SCVI, split(small_cells(800, n_batches=4), "batch2", "batch3")[0]), 60)
    summarize_reference(model, "cell_type")
    summary = model.state.summaries["cell_type"]
    again = _moved(summary, model.module, model.module, "elsewhere")
    torch.testing.assert_close(again.means, summary.means, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(again.covariances, summary.covariances, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(again.z_var, summary.z_var)


def test_an_affine_move_is_followed_exactly():
    rng = np.random.default_rng(0)
    mean, root, turn, shift = rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
    covariance = root @ root.T
    start = rng.multivariate_normal(mean, covariance, 50)
    end = start @ turn.T + shift
    found = _transport(*(torch.as_tensor(one) for one in (mean, covariance, start, end)))
    np.testing.assert_allclose(found[0], turn @ mean + shift, atol=1e-9)
    np.testing.assert_allclose(found[1], turn @ covariance @ turn.T, atol=1e-9)

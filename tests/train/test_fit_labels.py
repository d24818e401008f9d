"""Fitting new rows and columns against scipy on the same objective, and against what has to stay."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from scvi.module import SCANVAE, Classifier

from scarches_plus._label_tree import LabelTree
from scarches_plus.module._layers._hierarchical_classifier import HierarchicalClassifier
from scarches_plus.train._estimation._fit_labels import fit_classifier, fit_conditional


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

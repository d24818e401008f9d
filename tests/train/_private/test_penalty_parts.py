"""Parts of penalties: minibatches, kernels, drawn cells."""

import numpy as np
import pytest
import torch
from penalty_cases import GAMMAS, naive_mmd
from small_models import SCANVI, SCVI, reference, split, train
from small_models import cells as small_cells
from torch.distributions import Normal

from scarches_plus.train import MMD, Grouping, Penalty, Setting, Step, store_anchors
from scarches_plus.train._penalties._shared._kernel_distances import KernelSum, pair_coefficients, squared_distances
from scarches_plus.train._penalties._shared._over_minibatches import over_minibatches
from scarches_plus.train._penalties._shared._penalty_sum import PenaltySum
from scarches_plus.train._penalties._shared._sampled_cells import Rehearsal

# --- over minibatches ---


BATCH = Grouping("batch", 0, ("a", "b"), (0, 1))


class NormOfHidden(Penalty):
    """A mean over cells, so that dividing them changes nothing."""

    name = "norm"

    def value(self, step):
        return step.activations["decoder"].square().mean() + step.inference["qz"].scale.mean()


def step_of(n_cells):
    torch.manual_seed(0)
    mean = torch.randn(n_cells, 3)
    tensors = {"batch": (torch.arange(n_cells) % 2)[:, None], "extra": None}
    inference = {"z": mean + 0.1, "qz": Normal(mean, torch.rand(n_cells, 3) + 0.1)}
    return Step(tensors, inference, {}, {"decoder": torch.randn(n_cells, 4)}, torch.nn.Identity(), epoch=2)


def sum_of(*penalties):
    return PenaltySum(penalties, Setting(torch.nn.Identity(), {"batch": BATCH}))


@pytest.mark.parametrize(("n_cells", "batch_size"), [(40, 40), (40, 100), (40, 30), (60, 20), (50, 20), (3, 1)])
def test_a_mean_over_cells_is_the_same_divided_or_not(n_cells, batch_size):
    step = step_of(n_cells)
    total = over_minibatches(sum_of(NormOfHidden(weight=3.0)), step, batch_size)
    expected = NormOfHidden().value(step)
    torch.testing.assert_close(total, 3 * expected)
    torch.testing.assert_close(step.metrics["norm"], expected)


@pytest.mark.parametrize(("batch_size", "n_parts"), [(60, 1), (45, 1), (30, 2), (20, 3), (14, 4)])
def test_a_discrepancy_is_that_of_minibatches(batch_size, n_parts):
    step, penalty = step_of(60), MMD(bandwidths=GAMMAS, weight=2.0, warmup_epochs=4)
    torch.manual_seed(1)
    total = over_minibatches(sum_of(penalty), step, batch_size)
    torch.manual_seed(1)
    order = torch.randperm(60) if n_parts > 1 else torch.arange(60)
    values = []
    for rows in order.tensor_split(n_parts):
        inference = {"z": step.inference["z"][rows], "qz": step.inference["qz"]}
        part = Step({"batch": step.tensors["batch"][rows]}, inference, {}, {}, step.module)
        values.append(naive_mmd(penalty, part, None))
    expected = sum(values) / n_parts
    torch.testing.assert_close(step.metrics["mmd"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(total, 2 * 0.5 * expected, rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_cell():
    step = step_of(50)
    z = step.inference["z"].requires_grad_()
    over_minibatches(sum_of(MMD(bandwidths=GAMMAS)), step, 20).backward()
    assert (z.grad.abs().sum(1) > 0).all()


# --- Kernels ---


@pytest.mark.parametrize("unbiased", [False, True])
def test_gradient(unbiased):
    torch.manual_seed(0)
    x = torch.randn(12, 3, dtype=torch.float64, requires_grad=True)
    groups = torch.tensor([0] * 5 + [1] * 4 + [2] * 3)
    coefficients = pair_coefficients(groups, (1 - torch.eye(3)).double(), unbiased=unbiased)
    assert torch.autograd.gradcheck(lambda x: KernelSum.apply(x, coefficients, [0.2, 1.0]), x)


def test_distances_far_from_the_origin():
    x = torch.randn(50, 10) + 1000
    expected = torch.cdist(x.double(), x.double()).square().float()
    torch.testing.assert_close(squared_distances(x), expected, rtol=1e-3, atol=1e-2)
    assert not squared_distances(x).diagonal().any()


# --- Drawn cells ---


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
def test_drawn_cells_look_like_the_reference_and_are_not_its_cells(cls):
    ref, _ = split(small_cells(), "batch2")
    model = train(reference(cls, ref, gene_likelihood="nb"), 40, plan_kwargs={"lr": 0.01})
    store_anchors(model, n_cells=150)
    rehearsal = Rehearsal(model.state.anchors, model.module)
    counts = rehearsal._counts.numpy()
    assert (counts == np.round(counts)).all()
    assert (counts >= 0).all()
    assert counts.sum(1).mean() == pytest.approx(ref.X.toarray().sum(1).mean(), rel=0.15)
    assert np.corrcoef(counts.mean(0), ref.X.toarray().mean(0))[0, 1] > 0.9
    real = {tuple(row) for row in ref.X.toarray()}
    assert not any(tuple(row) in real for row in counts)

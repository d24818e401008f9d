import pytest
import torch
from penalty_cases import GAMMAS, naive_mmd
from torch.distributions import Normal

from scarches_plus.train import MMD, Grouping, Penalty, Setting, Step
from scarches_plus.train._penalty_parts._over_minibatches import over_minibatches
from scarches_plus.train._penalty_parts._penalty_sum import PenaltySum

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

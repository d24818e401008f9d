import numpy as np
import pytest
import torch

from scarches_plus.train import EWC, Importance, Setting, Step


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))


def importance_of(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    fisher = {name: torch.rand(value.shape, generator=generator) for name, value in values.items()}
    return Importance(fisher, values, 10, "per_cell")


def test_value_and_gradient_are_the_printed_ones():
    module = network()
    importance = importance_of(module)
    term = EWC().prepare(Setting(module, {}, importance=importance))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
    value = term(Step({}, {}, {}, {}, module))
    (3 * value).backward()
    expected = 0.0
    for name, parameter in module.named_parameters():
        difference = (parameter.detach() - importance.values[name]).numpy()
        expected += 0.5 * (importance.fisher[name].numpy() * difference**2).sum()
        np.testing.assert_allclose(parameter.grad, 3 * importance.fisher[name].numpy() * difference, rtol=1e-6)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-6)


def test_it_is_zero_where_nothing_moved():
    module = network()
    term = EWC().prepare(Setting(module, {}, importance=importance_of(module)))
    assert float(term(Step({}, {}, {}, {}, module)).detach()) == 0.0


def test_the_optimum_of_two_quadratics_lies_between_them_by_their_weights():
    """With a loss of curvature h at b and importance F at a, the optimum is (w F a + h b) / (w F + h)."""
    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(2.0)
    importance = Importance({"weight": torch.tensor([[3.0]])}, {"weight": torch.tensor([[2.0]])}, 1, "per_cell")
    weight, curvature, target = 0.5, 6.0, -1.0
    term = EWC(weight=weight).prepare(Setting(module, {}, importance=importance))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        penalty = weight * term(Step({}, {}, {}, {}, module))
        (penalty + 0.5 * curvature * (module.weight - target).square().sum()).backward()
        optimizer.step()
    assert module.weight.item() == pytest.approx((weight * 3 * 2.0 + curvature * target) / (weight * 3 + curvature))


def test_only_what_trains_and_matters_is_held():
    module = network()
    importance = importance_of(module)
    importance.fisher["2.bias"].zero_()
    trained = {"0.weight": (1, torch.tensor([2])), "2.bias": None, "2.weight": None}
    term = EWC().prepare(Setting(module, {}, trained=trained, importance=importance))
    assert term._names == ["0.weight", "2.weight"]
    importance.fisher["0.weight"][:, 2] = 0  # as a column of a new batch
    term = EWC().prepare(Setting(module, {}, trained=trained, importance=importance))
    assert term._names == ["2.weight"]


def test_refuses_where_it_could_do_nothing():
    module = network()
    with pytest.raises(ValueError, match="estimate_importance"):
        EWC().prepare(Setting(module, {}))
    importance = importance_of(module)
    importance.fisher["2.bias"].zero_()
    with pytest.raises(ValueError, match="no effect"):
        EWC().prepare(Setting(module, {}, trained={"2.bias": None}, importance=importance))

"""Only free entries move, whatever the optimiser does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from scarches_plus.train import FreeEntries


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 1))


def fit(module, entries, optimizer, steps=5):
    free = FreeEntries(module, entries)
    optimizer = optimizer(free.parameters())
    optimizer.register_step_post_hook(lambda *_: free.scatter_values())
    x, y = torch.randn(32, 5), torch.randn(32, 1)
    for _ in range(steps):
        optimizer.zero_grad()
        ((module(x) - y) ** 2).mean().backward()
        free.gather_gradients()
        optimizer.step()
    return free


@settings(max_examples=30, deadline=None)
@given(
    columns=st.sets(st.integers(0, 4), min_size=1),
    weight_decay=st.floats(0, 0.5),
    name=st.sampled_from(["SGD", "Adam", "AdamW"]),
    dim=st.sampled_from([0, 1]),
)
def test_other_entries_keep_every_bit(columns, weight_decay, name, dim):
    module = network()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    index = torch.tensor(sorted(column for column in columns if column < module[0].weight.shape[dim]))
    if not len(index):
        return
    optimizer = getattr(torch.optim, name)
    fit(module, {"0.weight": (dim, index), "2.bias": None}, lambda p: optimizer(p, lr=0.1, weight_decay=weight_decay))
    after = module.state_dict()
    assert {key for key in before if not torch.equal(before[key], after[key])} == {"0.weight", "2.bias"}
    fixed = torch.ones(before["0.weight"].shape[dim], dtype=bool)
    fixed[index] = False
    fixed = fixed.nonzero().flatten()
    assert torch.equal(before["0.weight"].index_select(dim, fixed), after["0.weight"].index_select(dim, fixed))


def test_same_steps_as_a_masked_gradient():
    columns = torch.tensor([1, 3])
    ours, theirs = network(), network()
    torch.manual_seed(1)
    fit(ours, {"0.weight": (1, columns)}, lambda p: torch.optim.Adam(p, lr=0.1))
    mask = torch.zeros(4, 5)
    mask[:, columns] = 1
    for name, parameter in theirs.named_parameters():
        parameter.requires_grad_(name == "0.weight")
    optimizer = torch.optim.Adam([theirs[0].weight], lr=0.1)
    torch.manual_seed(1)
    x, y = torch.randn(32, 5), torch.randn(32, 1)
    for _ in range(5):
        optimizer.zero_grad()
        ((theirs(x) - y) ** 2).mean().backward()
        theirs[0].weight.grad *= mask
        optimizer.step()
    torch.testing.assert_close(ours[0].weight, theirs[0].weight)


def test_sizes_and_flags():
    module = network()
    free = FreeEntries(module, {"0.weight": (1, torch.tensor([0, 2])), "2.weight": None})
    assert len(free) == 2 * 4 + 4
    assert {name for name, parameter in module.named_parameters() if parameter.requires_grad} == {
        "0.weight",
        "2.weight",
    }


def test_unknown_parameter():
    with pytest.raises(KeyError, match="nothing"):
        FreeEntries(network(), {"nothing": None})

"""The importance of weights as an object: plain values, and sums over queries."""

import pytest
import torch

from scarches_plus.train import Importance


def importance(fisher, values, n_cells=10, estimator="per_cell"):
    return Importance(
        {name: torch.tensor(one) for name, one in fisher.items()},
        {name: torch.tensor(one) for name, one in values.items()},
        n_cells,
        estimator,
    )


EARLIER = importance({"w": [4.0, 8.0], "r": [1.0]}, {"w": [0.0, 0.0], "r": [0.0]}, n_cells=30)
LATER = importance({"w": [1.0, 2.0], "r": [5.0]}, {"w": [7.0, 9.0], "r": [3.0]}, n_cells=10, estimator="batch")


def test_plain_values_and_back():
    plain = EARLIER.to_plain()
    assert all(type(one) in {dict, int, str} for one in plain.values())
    again = Importance.from_plain(plain)
    assert (again.n_cells, again.estimator) == (30, "per_cell")
    for name in EARLIER.fisher:
        assert torch.equal(again.fisher[name], EARLIER.fisher[name])
        assert torch.equal(again.values[name], EARLIER.values[name])


@pytest.mark.parametrize("decay", [1.0, 0.25, 0.0])
def test_sum_is_at_the_later_weights(decay):
    both = LATER.plus(EARLIER, decay=decay)
    assert both.fisher["w"].tolist() == [1 + 4 * decay, 2 + 8 * decay]
    assert both.fisher["r"].tolist() == [5 + decay]
    assert both.values["w"].tolist() == [7, 9]
    assert (both.n_cells, both.estimator) == (40, "batch")


def test_sum_changes_neither_part():
    LATER.plus(EARLIER)
    assert EARLIER.fisher["w"].tolist() == [4, 8]
    assert LATER.fisher["w"].tolist() == [1, 2]


def test_sum_over_three_queries_forgets_the_oldest_most():
    third = importance({"w": [1.0, 1.0], "r": [1.0]}, {"w": [1.0, 1.0], "r": [1.0]})
    total = third.plus(LATER.plus(EARLIER, decay=0.5), decay=0.5)
    assert total.fisher["w"].tolist() == [1 + 0.5 * (1 + 0.5 * 4), 1 + 0.5 * (2 + 0.5 * 8)]


def test_a_weight_new_to_the_later_model_keeps_its_own():
    earlier = importance({"w": [1.0, 1.0]}, {"w": [0.0, 0.0]})
    assert LATER.plus(earlier).fisher["r"].tolist() == [5]


def test_a_weight_that_only_the_earlier_model_has_is_kept():
    later = importance({"w": [1.0, 1.0]}, {"w": [2.0, 2.0]})
    both = later.plus(EARLIER, decay=0.5)
    assert both.fisher["r"].tolist() == [0.5]
    assert both.values["r"].tolist() == [0.0]

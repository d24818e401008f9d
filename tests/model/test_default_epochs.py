"""Epochs follow a budget of steps, with a floor."""

import pytest
from scvi.model._utils import get_max_epochs_heuristic

from scarches_plus.model import default_epochs


@pytest.mark.parametrize(
    ("n_cells", "most", "epochs"),
    [(100, 200, 200), (40_000, 200, 200), (80_000, 200, 100), (400_000, 100, 10), (1_200_000, 100, 10), (10**7, 4, 4)],
)
def test_many_cells_get_fewer_epochs_but_some(n_cells, most, epochs):
    assert default_epochs(n_cells, most) == epochs


@pytest.mark.parametrize("n_cells", [1, 39_999, 41_234, 77_777, 123_456, 399_999])
def test_up_to_ten_times_as_many_cells_it_is_the_rule_of_scvi_tools(n_cells):
    assert default_epochs(n_cells, 100) == get_max_epochs_heuristic(n_cells, epochs_cap=100, decay_at_n_obs=40_000)

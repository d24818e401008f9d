import matplotlib.pyplot as plt
import numpy as np
import pytest

import scarches_plus as sp


def record(rmsd, **more):
    return {"drift": {"weights": 0.1, "relative_rmsd": rmsd, "neighbor_preservation": 1 - rmsd, **more}}


def test_one_point_for_each_query():
    lineage = [record(0.1, total_relative_rmsd=0.1), {"drift": {"weights": 0.2}}, record(0.3, total_relative_rmsd=0.35)]
    ax = sp.pl.drift(lineage, ax=plt.figure().gca())
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_array_equal(lines["displacement / spread"], [0.1, np.nan, 0.3])
    np.testing.assert_array_equal(lines["displacement / spread, in all"], [0.1, np.nan, 0.35])
    np.testing.assert_array_equal(lines["neighbourhoods kept"], [0.9, np.nan, 0.7])
    assert "neighbours' labels kept" not in lines
    plt.close("all")


@pytest.mark.parametrize("lineage", [[], [{"drift": {"weights": 0.0}}]])
def test_nothing_to_draw_is_said(lineage):
    with pytest.raises(ValueError, match="drift_cells"):
        sp.pl.drift(lineage)

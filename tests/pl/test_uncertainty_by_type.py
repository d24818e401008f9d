import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from scarches_plus.pl import uncertainty_by_type

KNOWN_COLOR, UNSEEN_COLOR = "#56b4e9", "#d55e00"


def names(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def medians(ax):
    """Positions of the lines that cross a whole box."""
    return [line.get_xdata()[0] for line in ax.lines if np.ptp(line.get_ydata()) == pytest.approx(0.65)]


def test_types_sorted_by_median(query, assert_unchanged):
    assert_unchanged(query)
    ax = uncertainty_by_type(query, "cell_type", threshold=None)
    assert_unchanged(query)
    assert isinstance(ax, Axes)
    expected = query.obs.groupby("cell_type", observed=True)["cell_type_uncertainty"].agg(["median", "size"])
    expected = expected.sort_values("median")
    assert names(ax) == [f"{name} ({row['size']:.0f})" for name, row in expected.iterrows()]
    np.testing.assert_allclose(medians(ax), expected["median"])
    assert names(ax)[-1].startswith("delta")


def test_quartiles_and_percentiles(query):
    ax = uncertainty_by_type(query, "cell_type")
    values = query.obs.loc[query.obs["cell_type"] == "delta", "cell_type_uncertainty"].to_numpy()
    box = ax.patches[-1].get_path().vertices[:, 0]
    np.testing.assert_allclose([box.min(), box.max()], np.quantile(values, [0.25, 0.75]))


def test_types_the_reference_lacks(query):
    ax = uncertainty_by_type(query, "cell_type", known_labels=["alpha", "alpha", "beta", "ductal"])
    colors = [to_hex(box.get_facecolor()) for box in ax.patches]
    assert colors == [KNOWN_COLOR] * 3 + [UNSEEN_COLOR]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["in the reference", "not in the reference"]
    plain = uncertainty_by_type(query, "cell_type")
    assert {to_hex(box.get_facecolor()) for box in plain.patches} == {KNOWN_COLOR}
    assert plain.get_legend() is None


@pytest.mark.parametrize("threshold", [0.3, None])
def test_threshold(query, threshold):
    ax = uncertainty_by_type(query, "cell_type", threshold=threshold)
    dashed = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed == ([] if threshold is None else [threshold])


def test_cells_without_label_or_uncertainty_are_left_out(query):
    n_cells = query.n_obs
    query.obs.iloc[:3, query.obs.columns.get_loc("cell_type_uncertainty")] = np.nan
    query.obs.iloc[3:5, query.obs.columns.get_loc("cell_type")] = None
    ax = uncertainty_by_type(query, "cell_type")
    assert sum(int(name.split("(")[1].rstrip(")")) for name in names(ax)) == n_cells - 5


def test_ax_and_another_column(query):
    query.obs["doubt"] = 0.25
    figure, ax = plt.subplots()
    assert uncertainty_by_type(query, "cell_type", "doubt", ax=ax) is ax
    assert set(medians(ax)) == {0.25}
    assert ax.get_ylabel() == "cell_type (cells)"
    assert plt.get_fignums() == [figure.number]


def test_errors(query):
    with pytest.raises(KeyError, match="column 'type' not found"):
        uncertainty_by_type(query, "type")
    with pytest.raises(KeyError, match=r"column 'tech_uncertainty' not found.*; run sp.tl.transfer_labels"):
        uncertainty_by_type(query, "tech")
    query.obs["cell_type_uncertainty"] = np.nan
    with pytest.raises(ValueError, match="no cell has both"):
        uncertainty_by_type(query, "cell_type")

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import scarches_plus as sp
from scarches_plus.pl import abundance

FIRST, SECOND, UNSURE = "#d55e00", "#0072b2", "#7f7f7f"


def made(ratios, n=(10, 20)):
    """A table of low end, mean and high end for each label."""
    names = ["log2_ratio_low", "log2_ratio", "log2_ratio_high"]
    table = pd.DataFrame(ratios, index=names).T.astype(float)
    return table.assign(group1="disease", group2="healthy", n_cells1=n[0], n_cells2=n[1])


def points(ax):
    """Row to position, face and edge."""
    return {
        float(y): (float(x), to_hex(dots.get_facecolor()[0]), to_hex(dots.get_edgecolor()[0]))
        for dots in ax.collections
        if dots.get_label() in {"more in disease", "more in healthy", "not told apart"}
        for x, y in dots.get_offsets()
    }


def test_intervals_that_exclude_0_are_filled():
    ax = abundance(made({"T": [-0.5, 0.5, 1], "B": [0.5, 1, 2], "NK": [-3, -2, -1]}))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["NK (10, 20)", "T (10, 20)", "B (10, 20)"]
    assert points(ax) == {
        0: (-2, SECOND, SECOND),
        1: (0.5, "#ffffff", UNSURE),
        2: (1, FIRST, FIRST),
    }
    lines = [line for one in ax.collections if hasattr(one, "get_segments") for line in one.get_segments()]
    assert sorted(np.array(lines)[:, :, 0].tolist()) == [[-3, -1], [-0.5, 1], [0.5, 2]]
    assert ax.get_xlabel() == "log2 ratio of shares, disease over healthy"
    assert ax.get_xlim() == (-ax.get_xlim()[1], ax.get_xlim()[1])


def test_what_differential_abundance_finds():
    adata = sp.datasets.simulate(600, n_types=3, missing_types={"batch1": ["type2"]}, rng=0)
    table = sp.tl.differential_abundance(adata, "cell_type", "batch", groups=["batch1", "batch0"])
    ax = abundance(table)
    assert ax.get_yticklabels()[0].get_text().startswith("type2 (0, ")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "more in batch1", "more in batch0", "not told apart",
    ]  # fmt: skip


def test_intervals_without_a_finite_mean_and_far_ends():
    ax = abundance(made({"T": [-500, -np.inf, 1], "B": [-1, 0, 1]}))
    assert points(ax) == {1: (0, "#ffffff", UNSURE)}
    low, _ = ax.get_xlim()
    assert -10 < low < -1
    arrows = [one.get_offsets().tolist() for one in ax.collections if one.get_label().startswith("_child")]
    assert [[low, 0]] in arrows
    lines = [line for one in ax.collections if hasattr(one, "get_segments") for line in one.get_segments()]
    assert min(x for line in lines for x, _ in line) == low


def test_what_cannot_be_drawn():
    table = made({"T": [-1, 0, 1]})
    with pytest.raises(ValueError, match=r"lacks \['log2_ratio_low'\]: pass what sp.tl.differential_abundance"):
        abundance(table.drop(columns="log2_ratio_low"))
    with pytest.raises(ValueError, match="compares 2 pairs of groups"):
        abundance(pd.concat([table, table.assign(group1="other")]))
    with pytest.raises(ValueError, match="no label"):
        abundance(table.iloc[:0])
    with pytest.raises(ValueError, match="lacks intervals"):
        abundance(table.assign(log2_ratio_low=np.nan))

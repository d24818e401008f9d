import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

from scarches_plus.pl import novelty

KNOWN_COLOR, NOVEL_COLOR = "#56b4e9", "#d55e00"


@pytest.fixture
def looked_at():
    obs = pd.DataFrame(
        {
            "novel": [False] * 6 + [True] * 4,
            "novel_score": np.r_[np.linspace(0, 0.3, 6), np.linspace(0.5, 1, 4)],
            "novel_label": pd.Categorical(["T"] * 5 + ["B"] * 5),
            "other": ["x"] * 9 + [None],
        },
        index=[str(i) for i in range(10)],
    )
    return AnnData(obs=obs, uns={"scarches_plus": {"novel": {"novel": {"threshold": 0.4}}}})


def names(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def test_cells_without_a_score_are_left_out(looked_at):
    looked_at.obs.loc[["0", "9"], "novel_score"] = np.nan
    ax = novelty(looked_at)
    assert names(ax) == ["T (4)", "B (4)"]
    assert all(np.isfinite(line.get_xdata()).all() for line in ax.lines)


def test_nothing_is_drawn_where_nothing_was_judged(looked_at):
    looked_at.uns["scarches_plus"]["novel"]["novel"]["judged"] = False
    with pytest.raises(ValueError, match=r"nothing was judged.*novel_state"):
        novelty(looked_at)


def test_groups_by_median_with_the_threshold(looked_at, assert_unchanged):
    assert_unchanged(looked_at)
    ax = novelty(looked_at)
    assert_unchanged(looked_at)
    assert names(ax) == ["T (5)", "B (5)"]
    assert [to_hex(box.get_facecolor()) for box in ax.patches] == [KNOWN_COLOR, NOVEL_COLOR]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"] == [0.4]
    medians = [line.get_xdata()[0] for line in ax.lines if np.ptp(line.get_ydata()) == pytest.approx(0.65)]
    np.testing.assert_allclose(
        medians, looked_at.obs.groupby("novel_label", observed=True)["novel_score"].median()[["T", "B"]]
    )


def test_other_groups(looked_at):
    assert names(novelty(looked_at, groupby="other")) == ["x (9)"]
    looked_at.obs["other"] = None
    with pytest.raises(ValueError, match="no cell has a group"):
        novelty(looked_at, groupby="other")
    with pytest.raises(KeyError, match="detect_novel"):
        novelty(looked_at, "new")
    with pytest.raises(KeyError, match="give a column of groups"):
        novelty(looked_at, groupby="missing")
    looked_at.uns["scarches_plus"]["novel"]["novel"] = {
        "names": {"novel 1": "x"}
    }  # as name_novel leaves it where there was none
    with pytest.raises(KeyError, match="detect_novel"):
        novelty(looked_at)

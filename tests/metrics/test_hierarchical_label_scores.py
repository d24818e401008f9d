import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from scarches_plus.metrics import hierarchical_label_scores
from scarches_plus.pp import label_tree

TREE = label_tree({"lymphoid": {"T": ["CD4", "CD8"], "B": []}, "mono": []})
ABOVE = {
    "lymphoid": {"lymphoid"}, "T": {"lymphoid", "T"}, "CD4": {"lymphoid", "T", "CD4"}, "CD8": {"lymphoid", "T", "CD8"},
    "B": {"lymphoid", "B"}, "mono": {"mono"}, "Unknown": set(),
}  # fmt: skip


def test_by_hand():
    # common 2 of 3 and 3, 1 of 2 and 3 (true, predicted), 2 of 3 and 2, 0 of 1 and 0
    scores = hierarchical_label_scores(["CD4", "B", "CD8", "mono"], ["CD8", "CD4", "T", "Unknown"], TREE)
    assert scores.n_cells == 4
    assert scores.precision == pytest.approx((2 + 1 + 2 + 0) / (3 + 3 + 2 + 0))
    assert scores.recall == pytest.approx((2 + 1 + 2 + 0) / (3 + 2 + 3 + 1))
    assert scores.f1 == pytest.approx(2 * 5 / (8 + 9))
    assert scores.weighted_f1 == pytest.approx((2 * 2 / 6 + 2 * 1 / 5 + 2 * 2 / 5 + 0) / 4)
    assert scores.per_level["accuracy"].tolist() == [3 / 4, 2 / 4, 0]
    assert scores.per_level["predicted"].tolist() == [3 / 4, 3 / 4, 2 / 4]


@given(st.lists(st.tuples(st.sampled_from(sorted(ABOVE)), st.sampled_from(sorted(ABOVE))), min_size=1))
def test_equals_sets_of_ancestors(cells):
    cells = [(truth, found) for truth, found in cells if truth != "Unknown"]
    if not cells:
        return
    scores = hierarchical_label_scores(*zip(*cells, strict=True), TREE)
    common = sum(len(ABOVE[truth] & ABOVE[found]) for truth, found in cells)
    n_true, n_found = (sum(len(ABOVE[pair[i]]) for pair in cells) for i in (0, 1))
    assert scores.recall == pytest.approx(common / n_true)
    assert scores.precision == pytest.approx(common / n_found if n_found else np.nan, nan_ok=True)
    assert scores.f1 == pytest.approx(2 * common / (n_true + n_found))


@given(st.integers(0, 2**32 - 1))
def test_levels_equal_scikit_learn_on_cut_labels(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice(["CD4", "CD8", "B", "mono", "T", "lymphoid"], 40)
    found = rng.choice(["CD4", "CD8", "B", "mono", "T", "lymphoid", "Unknown"], 40)
    cuts = [
        {"CD4": "lymphoid", "CD8": "lymphoid", "T": "lymphoid", "B": "lymphoid"},
        {"CD4": "T", "CD8": "T", "lymphoid": None},
        {"T": None, "lymphoid": None},
    ]
    table = hierarchical_label_scores(truth, found, TREE).per_level
    for level, cut in enumerate(cuts, 1):
        true, pred = ([cut.get(label, label) for label in labels] for labels in (truth, found))
        rows = [i for i, label in enumerate(true) if label is not None]
        true, pred = [true[i] for i in rows], [pred[i] or "none" for i in rows]
        if not rows:
            continue
        names = sorted(set(true))
        row = table.loc[level]
        assert row["n_cells"] == len(rows)
        assert row["accuracy"] == pytest.approx(accuracy_score(true, pred))
        assert row["weighted_accuracy"] == pytest.approx(
            recall_score(true, pred, labels=names, average="macro", zero_division=0)
        )
        assert row["macro_f1"] == pytest.approx(f1_score(true, pred, labels=names, average="macro", zero_division=0))


def test_a_flat_hierarchy_gives_plain_accuracy():
    scores = hierarchical_label_scores(["a", "b", "b"], ["a", "b", "a"], label_tree({"a": None, "b": None}))
    assert scores.recall == scores.precision == scores.f1 == pytest.approx(2 / 3)
    assert scores.per_level.at[1, "accuracy"] == pytest.approx(2 / 3)


def test_cells_without_a_true_label_are_left_out():
    scores = hierarchical_label_scores(["B", None, np.nan, "Unknown"], ["B", "B", "B", "B"], TREE)
    assert (scores.n_cells, scores.f1) == (1, 1.0)


def test_series_and_text():
    scores = hierarchical_label_scores(["CD4", "B"], ["CD4", "T"], TREE)
    series = scores.to_series()
    assert series["accuracy_leaf"] == scores.per_level["accuracy"].iloc[-1]
    assert {"accuracy_1", "macro_f1_2", "weighted_f1"} <= set(series.index)
    assert "level" in repr(scores)


def test_errors():
    with pytest.raises(ValueError, match="2 entries and predictions 1"):
        hierarchical_label_scores(["B", "B"], ["B"], TREE)
    with pytest.raises(ValueError, match="missing for 1"):
        hierarchical_label_scores(["B"], [None], TREE)
    with pytest.raises(ValueError, match="no true label"):
        hierarchical_label_scores(["Unknown"], ["B"], TREE)
    with pytest.raises(ValueError, match=r"labels \['NK'\]"):
        hierarchical_label_scores(["NK"], ["B"], TREE)
    with pytest.raises(ValueError, match=r"predictions \['NK'\]"):
        hierarchical_label_scores(["B"], ["NK"], TREE)

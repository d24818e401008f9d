"""Score predicted labels along a hierarchy, by lowest common ancestors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._label_tree import LabelTree
from scarches_plus.metrics._shared._paired_labels import paired_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False, repr=False)
class HierarchicalLabelScores:
    """Scores of predicted labels of a hierarchy, made by :func:`hierarchical_label_scores`.

    Parameters
    ----------
    n_cells
        Cells with a true label; everything below is about them.
    precision, recall, f1
        Hierarchical precision, recall and their harmonic mean, each cell counting the same.
    weighted_f1
        The F1 score of the cells of every true label, averaged over labels: rare types count as much as frequent ones.
    per_level
        One row for each level, 1 the coarsest: `n_cells` and `n_labels` whose true label reaches the level, the share
        of them that is `predicted` that far, `accuracy`, `weighted_accuracy` (the mean over true labels) and
        `macro_f1`.
    """

    n_cells: int
    precision: float
    recall: float
    f1: float
    weighted_f1: float
    per_level: pd.DataFrame

    def to_series(self) -> pd.Series:
        """Return the single numbers, one entry each.

        Those of a level are ``"accuracy_1"`` and so on, and ``"accuracy_leaf"`` is that of the last.
        """
        values = {name: getattr(self, name) for name in ("n_cells", "precision", "recall", "f1", "weighted_f1")}
        for level, row in self.per_level.iterrows():
            suffix = "leaf" if level == self.per_level.index[-1] else level
            values |= {f"{name}_{suffix}": row[name] for name in ("accuracy", "weighted_accuracy", "macro_f1")}
        return pd.Series(values, name="hierarchical_labels", dtype=float)

    def __repr__(self) -> str:
        values = self.to_series()[["n_cells", "precision", "recall", "f1", "weighted_f1"]]
        per_level = self.per_level.to_string(float_format="{:.3f}".format)
        return f"Labels of a hierarchy\n{values.to_string(float_format='{:,.3f}'.format)}\n\n{per_level}"


def hierarchical_label_scores(
    labels: ArrayLike,
    predictions: ArrayLike,
    hierarchy: LabelTree | Mapping[str, str | None],
    *,
    unknown_category: str = "Unknown",
    unlabelled: Collection[Any] | None = None,
) -> HierarchicalLabelScores:
    r"""Compare predicted with true labels of a hierarchy: what is right down to the lowest common ancestor counts.

    Parameters
    ----------
    labels
        True labels at any level of the hierarchy, shape ``(n,)``. Cells whose label is missing or `unknown_category`
        are left out.
    predictions
        Predicted labels at any level, shape ``(n,)``, `unknown_category` for cells that were rejected.
    hierarchy
        Of :func:`scarches_plus.pp.label_tree`.
    unknown_category
        Prediction of rejected cells.
    unlabelled
        Words that are no true label, beside `unknown_category`, as they are spelt; ``()`` lets all count. ``None``:
        "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that occur.

    Returns
    -------
    HierarchicalLabelScores
        Single numbers, and a table with a row for each level.

    Raises
    ------
    ValueError
        If the shapes differ, no cell has a true label, a prediction is missing, or a label is not in the hierarchy.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    Let :math:`T_i` and :math:`P_i` be the true and the predicted label of a cell together with all that contain them; a
    rejected cell has :math:`P_i = \emptyset`. Then precision is :math:`\sum_i |T_i \cap P_i| / \sum_i |P_i|` and recall
    :math:`\sum_i |T_i \cap P_i| / \sum_i |T_i|`; the intersection holds the lowest common ancestor and all above it.

    At a level, a label stands for the one of that level that contains it, a leaf further up for itself. An inner label
    further up has none: as a true label it is left out there, as a prediction it is wrong there.

    References
    ----------
    Kiritchenko, Matwin, Nock and Famili, Learning and evaluation in the presence of class hierarchies (2006); Silla and
    Freitas, A survey of hierarchical classification across different application domains (2011), section 5.
    """
    check.texts(unknown_category=unknown_category)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    tree = LabelTree.of(hierarchy)
    truth, predicted, labelled = paired_labels(labels, predictions, unknown_category, unlabelled)
    truth, predicted = truth[labelled], predicted[labelled]
    tree.require(set(truth), "labels")
    tree.require(set(predicted) - {unknown_category}, "predictions")

    pairs = pd.Series(1, index=pd.MultiIndex.from_arrays([truth, predicted])).groupby(level=[0, 1]).sum()
    overlaps = {pair: _sizes(tree, *pair) for pair in pairs.index}
    counts = pd.DataFrame(overlaps, index=["common", "true", "predicted"]).T.mul(pairs, axis=0)
    total = counts.sum()
    by_label = counts.groupby(level=0).sum()
    return HierarchicalLabelScores(
        n_cells=len(truth),
        precision=_share(total["common"], total["predicted"]),
        recall=_share(total["common"], total["true"]),
        f1=2 * total["common"] / (total["true"] + total["predicted"]),
        weighted_f1=float((2 * by_label["common"] / (by_label["true"] + by_label["predicted"])).mean()),
        per_level=pd.DataFrame(
            [_at_level(tree, level, truth, predicted) for level in range(1, tree.n_levels + 1)],
            index=pd.RangeIndex(1, tree.n_levels + 1, name="level"),
        ),
    )


def _sizes(tree: LabelTree, truth: str, predicted: str) -> tuple[int, int, int]:
    true = set(tree.path(truth))
    found = set(tree.path(predicted)) if predicted in tree.parents else set()
    return len(true & found), len(true), len(found)


def _at_level(tree: LabelTree, level: int, truth: NDArray, predicted: NDArray) -> dict[str, float]:
    cut: dict[str, str | None] = {}
    for node in tree.nodes:
        path = tree.path(node)
        cut[node] = path[level - 1] if len(path) >= level else node if node in tree.leaves else None
    true, found = (pd.Series(values).map(cut).astype(object) for values in (truth, predicted))
    reaches = true.notna()
    true, found = true[reaches], found[reaches]
    right = (true == found).groupby(true).sum()
    n_true = true.value_counts().reindex(right.index)
    n_found = found.value_counts().reindex(right.index).fillna(0)
    return {
        "n_cells": len(true),
        "n_labels": len(right),
        "predicted": float(found.notna().mean()),
        "accuracy": _share(right.sum(), n_true.sum()),
        "weighted_accuracy": float((right / n_true).mean()),
        "macro_f1": float((2 * right / (n_true + n_found)).mean()),
    }


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")

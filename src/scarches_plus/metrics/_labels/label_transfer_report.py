"""Score label transfer against true labels, over known and unseen types."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus._cells import look_alike, texts_of
from scarches_plus._text import for_terminal
from scarches_plus.metrics._shared._paired_labels import paired_labels

from .reliability_curve import calibration_error

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False, repr=False)
class LabelTransferReport:
    """Scores of a label transfer, over cells whose true label is known to the user.

    "Known" types are those the reference has, "unseen" types those it lacks. A share of no cells is NaN.

    Parameters
    ----------
    n_cells
        Cells with a true label; everything below is about them.
    n_known
        Cells of known types.
    n_unseen
        Cells of unseen types.
    n_missing
        Cells without a true label, left out.
    accuracy
        Share of the cells of known types whose prediction is right. Calling such a cell unknown is wrong.
    weighted_accuracy
        The same per known type, averaged over types.
    macro_f1
        F1 score of each known type among the cells of known types, averaged over types.
    unknown_rate_known
        Share of the cells of known types called unknown.
    unknown_rate_unseen
        Share of the cells of unseen types called unknown.
    auroc_unseen
        Area under the ROC curve of the uncertainty as a detector of unseen types. NaN without uncertainty or without
        cells of either kind.
    calibration_error
        Expected calibration error of the cells of known types not called unknown. NaN without uncertainty.
    per_type
        One row per true type: `n`, `known`, `recall` (NaN for unseen types), `unknown_rate`, `confused_with` (the most
        frequent wrong label, ties by name; missing if there is none) and mean `uncertainty`.
    confusion
        Cell counts, true types by predicted labels; the unknown category is the last column.
    per_group
        With `by`, one row per group: `n` and the shares `correct`, `incorrect` and `unknown`, which sum to 1, and mean
        `uncertainty`.
    """

    n_cells: int
    n_known: int
    n_unseen: int
    n_missing: int
    accuracy: float
    weighted_accuracy: float
    macro_f1: float
    unknown_rate_known: float
    unknown_rate_unseen: float
    auroc_unseen: float
    calibration_error: float
    per_type: pd.DataFrame
    confusion: pd.DataFrame
    per_group: pd.DataFrame | None = None

    def to_series(self) -> pd.Series:
        """Return the single numbers, one entry each: rows of a table that compares mappings."""
        names = [field.name for field in fields(self) if field.name not in {"per_type", "confusion", "per_group"}]
        return pd.Series({name: getattr(self, name) for name in names}, name="label_transfer", dtype=float)

    def _values(self) -> pd.Series:
        values = {str(name): value for name, value in self.to_series().items()}
        return pd.Series({name: f"{x:,.0f}" if name.startswith("n_") else f"{x:.3f}" for name, x in values.items()})

    def _tables(self) -> list[pd.DataFrame]:
        return [table for table in (self.per_type, self.per_group) if table is not None]

    def __repr__(self) -> str:
        tables = [table.to_string(float_format="{:.3f}".format) for table in self._tables()]
        return for_terminal("\n\n".join([f"Label transfer\n{self._values().to_string()}", *tables]))

    def _repr_html_(self) -> str:
        values = self._values().to_frame("label transfer").to_html()
        return values + "".join(table.to_html(float_format="{:.3f}".format) for table in self._tables())


def label_transfer_report(
    labels: ArrayLike,
    predictions: ArrayLike,
    uncertainty: ArrayLike | None = None,
    *,
    known_labels: ArrayLike | None = None,
    unknown_category: str = "Unknown",
    unlabelled: Collection[Any] | None = None,
    by: ArrayLike | None = None,
    n_bins: int = 15,
) -> LabelTransferReport:
    r"""Compare transferred labels with true ones, over known and unseen types.

    Parameters
    ----------
    labels
        True labels, shape ``(n,)``. Cells whose label is missing or `unknown_category` are left out and counted. Labels
        are compared as strings.
    predictions
        Transferred labels, shape ``(n,)``, `unknown_category` where the cell was rejected.
    uncertainty
        Uncertainty of the transferred labels between 0 and 1, shape ``(n,)``.
    known_labels
        Labels that the reference has, repeats allowed: the label column of the reference will do. They cannot be read
        off the predictions, since a known type may never be predicted. By default every true label counts as known, so
        that no type is unseen and cells of types the reference lacks count as errors.
    unknown_category
        Prediction of rejected cells.
    unlabelled
        Words that are no true label, beside `unknown_category`, as they are spelt; ``()`` lets all count. ``None``:
        "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that occur.
    by
        Group of every cell, such as its tissue or donor, shape ``(n,)``: adds a table of correct, incorrect and unknown
        cells per group. Cells without a group are in none.
    n_bins
        Number of equally wide bins of the confidence for the calibration error.

    Returns
    -------
    Report with the numbers, a table per type and the confusion matrix.

    Raises
    ------
    ValueError
        If the shapes differ, no cell has a true label, a prediction or an uncertainty is missing, an uncertainty is
        outside of 0 to 1, or a predicted label is not among `known_labels`.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        If labels differ from known ones only in what nobody sees.

    Notes
    -----
    Accuracy and weighted accuracy are those of scANVI. The expected calibration error is
    :math:`\sum_m \frac{|B_m|}{n} |\mathrm{acc}(B_m) - \mathrm{conf}(B_m)|` over the bins
    :math:`(\frac{m-1}{M}, \frac m M]` of the confidence 1 - `uncertainty`.

    References
    ----------
    scANVI (Xu et al. 2019), Online Methods, "Weighted and unweighted accuracy"; scArches (Lotfollahi et al. 2020), eq.
    20 to 22 and Fig. 3g, for uncertainty, rejection and the table per group; Guo et al., On Calibration of Modern
    Neural Networks (2017), eq. 3.
    """
    known_labels = None if known_labels is None else check.names("known_labels", known_labels, of=object)
    check.texts(unknown_category=unknown_category)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    n_bins = check.whole("n_bins", n_bins, least=1, most=_limits.BINS)
    truth, predicted, labelled = paired_labels(labels, predictions, unknown_category, unlabelled)
    doubt = None if uncertainty is None else _checked_uncertainty(uncertainty, len(truth))
    groups = None if by is None else _groups(by, len(truth))[labelled]
    truth, predicted = truth[labelled], predicted[labelled]
    doubt = np.full(len(truth), np.nan) if doubt is None else doubt[labelled]

    types = sorted(set(truth))
    known = set(types) if known_labels is None else _known(known_labels, unknown_category)
    accepted = predicted != unknown_category
    if alike := look_alike({*types, *predicted}, {*known, unknown_category}):
        message = (
            f"labels {list(alike)[:5]} look like {list(alike.values())[:5]}, and are others: they differ in blanks or "
            f"characters that nobody sees. If they are the same, pass labels.astype(object).replace({alike})"
        )
        warn(message, UserWarning, stacklevel=2)
    if foreign := set(predicted[accepted]) - known if known_labels is not None else None:
        message = f"predictions has labels that known_labels lacks: {sorted(foreign)}. Give the reference's labels"
        raise ValueError(message)

    confusion = _confusion(truth, predicted, types, known, unknown_category)
    per_type = _per_type(confusion, known, unknown_category)
    per_type["uncertainty"] = pd.Series(doubt).groupby(truth).mean()
    of_known = pd.Series(truth).isin(known).to_numpy()
    right = truth == predicted
    seen = per_type.index[per_type["known"]]
    table = confusion.loc[seen]
    hits = np.diag(table[seen])

    return LabelTransferReport(
        n_cells=len(truth),
        n_known=int(of_known.sum()),
        n_unseen=int((~of_known).sum()),
        n_missing=int((~labelled).sum()),
        accuracy=_mean(right[of_known]),
        weighted_accuracy=_mean(per_type.loc[seen, "recall"]),
        macro_f1=_mean(2 * hits / (table.sum(axis=1) + table[seen].sum(axis=0))),
        unknown_rate_known=_mean(~accepted[of_known]),
        unknown_rate_unseen=_mean(~accepted[~of_known]),
        auroc_unseen=_auroc(doubt, ~of_known),
        calibration_error=calibration_error(1 - doubt[of_known & accepted], right[of_known & accepted], n_bins),
        per_type=per_type,
        confusion=confusion,
        per_group=None if groups is None else _per_group(groups, right, accepted, doubt),
    )


def _known(known_labels: ArrayLike, unknown_category: str) -> set[str]:
    names, missing = texts_of(pd.unique(np.asarray(known_labels, dtype=object)), "known_labels")
    return set(names[~missing]) - {unknown_category}


def _checked_uncertainty(uncertainty: ArrayLike, n_cells: int) -> NDArray[np.float64]:
    values = check.array("uncertainty", uncertainty)
    if values.shape != (n_cells,):
        message = f"uncertainty must have one entry for each of the {n_cells} cells; its shape is {values.shape}"
        raise ValueError(message)
    rounding = 1e-6
    if n_bad := int((~((values >= -rounding) & (values <= 1 + rounding))).sum()):
        message = f"uncertainty is missing or outside of 0 to 1 for {n_bad} cells"
        raise ValueError(message)
    return values.clip(0, 1)


def _confusion(truth: NDArray, predicted: NDArray, types: list[str], known: set[str], unknown: str) -> pd.DataFrame:
    columns = [*sorted((set(predicted) | (set(types) & known)) - {unknown}), unknown]
    rows = pd.Categorical(truth, categories=types).codes.astype(np.int64)
    cells = rows * len(columns) + pd.Categorical(predicted, categories=columns).codes
    counts = np.bincount(cells, minlength=len(types) * len(columns)).reshape(len(types), len(columns))
    return pd.DataFrame(counts, index=pd.Index(types, name="label"), columns=pd.Index(columns, name="prediction"))


def _per_type(confusion: pd.DataFrame, known: set[str], unknown: str) -> pd.DataFrame:
    types = confusion.index
    n = confusion.sum(axis=1)
    hits = pd.Series({name: confusion.at[name, name] for name in types if name in known}, dtype=float).reindex(types)
    wrong = confusion.copy()
    wrong[unknown] = 0
    for name in types.intersection(confusion.columns):
        wrong.at[name, name] = 0
    return pd.DataFrame(
        {
            "n": n,
            "known": types.isin(known),
            "recall": hits / n,
            "unknown_rate": confusion[unknown] / n,
            "confused_with": wrong.idxmax(axis=1).where(wrong.any(axis=1)),
        }
    )


def _groups(by: ArrayLike, n_cells: int) -> NDArray:
    """Return the group of each cell as a text, None where it is missing."""
    values = np.asarray(by, dtype=object)
    if values.shape != (n_cells,):
        message = f"by must have one entry for each of the {n_cells} cells; its shape is {values.shape}"
        raise ValueError(message)
    names, missing = texts_of(values, "by")
    texts = names.astype(object)
    texts[missing] = None
    return texts


def _per_group(groups: NDArray, right: NDArray, accepted: NDArray, doubt: NDArray) -> pd.DataFrame:
    outcomes = {"correct": right, "incorrect": accepted & ~right, "unknown": ~accepted, "uncertainty": doubt}
    grouped = pd.DataFrame(outcomes, dtype=float).groupby(pd.Series(groups, name="group"))
    return pd.concat([grouped.size().rename("n"), grouped.mean()], axis=1)


def _mean(values: ArrayLike) -> float:
    values = np.asarray(values, dtype=np.float64)
    return float(values.mean()) if len(values) else float("nan")


def _auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Share of pairs in which the positive has the higher score, ties counting half."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not (n_positive and n_negative):
        return float("nan")
    ranks = pd.Series(score).rank().to_numpy()
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))

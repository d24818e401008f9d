"""Pair true labels with predictions, and refuse what cannot be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus._cells import texts_of, without_label

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray


def paired_labels(
    labels: Any, predictions: Any, unknown_category: str, unlabelled: Collection[Any] | None
) -> tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.bool_]]:
    """Return true labels and predictions as text, shape ``(n_cells,)``, and which cells have a true label.

    Raises
    ------
    ValueError
        If the shapes differ, no cell has a true label, or a prediction is missing.
    """
    truth, no_truth = texts_of(labels, "labels")
    predicted, no_prediction = texts_of(predictions, "predictions")
    if truth.shape != predicted.shape:
        message = f"labels has {len(truth)} entries and predictions {len(predicted)}: they must be of the same cells"
        raise ValueError(message)
    if n_bad := int(no_prediction.sum()):
        message = f"predictions is missing for {n_bad} cells: use {unknown_category!r} for rejected cells"
        raise ValueError(message)
    truth[no_truth] = None
    labelled = ~without_label(truth, unlabelled, always=[unknown_category])
    if not labelled.any():
        message = (
            "labels has no true label: every entry is missing, the unknown category, or a word that means none "
            "(unlabelled=)"
        )
        raise ValueError(message)
    return truth, predicted, labelled

"""Load the classifier of expression of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._finding._read_part import read_part

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus._expression_classifier import ExpressionClassifier

_LACKING = (
    "no classifier: the bundle was saved without one. Where the reference's cells are: sp.hub.save_bundle(model, path, "
    "classifier=sp.tl.expression_classifier(reference, labels_key, batch_key=...))"
)


def load_classifier(path: str | Path) -> ExpressionClassifier:
    """Return the classifier of expression that a bundle carries, which labels cells without any reference cell.

    Parameters
    ----------
    path
        Folder or archive with the bundle, as :func:`pull` returns it for a model by name.

    Returns
    -------
    ExpressionClassifier
        What :func:`scarches_plus.tl.annotate` takes in the place of the reference, and
        :func:`scarches_plus.tl.transfer_labels` beside a model.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If the bundle carries no classifier, or anything is damaged.
    """
    return read_part(path, "classifier", _LACKING)  # type: ignore[no-any-return]

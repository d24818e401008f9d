"""Write predicted labels, their uncertainty and their probabilities into cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus import _colors, _keys
from scarches_plus._cells import name_of
from scarches_plus._logging import logger
from scarches_plus.tl._provenance.summary import tell_outcome

from ._neighbor_votes import best_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from scarches_plus._label_tree import LabelTree


def write_labels(
    adata: AnnData,
    key: str,
    shares_of: Callable[[slice], NDArray],
    labels: Sequence[str],
    answers: Sequence[str],
    *,
    tree: LabelTree | None,
    unknown_above: float | None,
    unknown_category: str,
    novel: NDArray[np.bool_] | None,
    probabilities: bool,
    record: Mapping[str, Any],
) -> None:
    """Write what :func:`transfer_labels` and :func:`annotate` write of one label column, and log it.

    Parameters
    ----------
    adata
        Cells.
    key
        First part of the names.
    shares_of
        Gives the probabilities of the labels for a slice of cells.
    labels
        Names of the labels.
    answers
        What :func:`label_answers` returned.
    tree
        Hierarchy.
    unknown_above, unknown_category
        Uncertainty above which a cell is unknown, and what it is called then.
    novel
        Cells that are unknown whatever their labels.
    probabilities
        Whether to write them.
    record
        What the labels are of (``"labels"``), what they were found by (``"by"``, for the log alone), and what else to
        record.
    """
    best, probability = best_labels(shares_of, adata.n_obs, labels, tree=tree, unknown_above=unknown_above)
    if novel is not None:
        best[novel] = -1
    if tree is not None:
        best = np.where(best < 0, -1, np.searchsorted(np.flatnonzero(np.isin(tree.nodes, answers)), best))
    adata.obs[_keys.predicted(key)] = _predictions(answers, best, unknown_category)
    adata.obs[_keys.uncertainty(key)] = np.clip(1.0 - probability, 0.0, 1.0)
    if _forget_probabilities(adata, key) and not probabilities:
        logger.info("probabilities of %r that an earlier call wrote are deleted", key)
    used = {name: value for name, value in record.items() if name != "by"}
    used |= {"unknown_above": -1.0 if unknown_above is None else float(unknown_above)}
    used |= {"unknown_category": unknown_category}
    adata.uns.setdefault(_keys.UNS, {}).setdefault(_keys.TRANSFER, {})[key] = used
    logger.info(
        "%s from %s by %s: %d of %d cells are unknown",
        _keys.predicted(key), record["labels"], record["by"], int((best < 0).sum()), adata.n_obs,
    )  # fmt: skip
    if probabilities:
        _write_probabilities(adata, key, labels, shares_of(slice(None)))
    tell_outcome(adata, _keys.TRANSFER, key)


def label_answers(labels: list[str], key: str, tree: LabelTree | None, unknown_category: str) -> list[str]:
    """Return the labels that cells may get, in the order of the hierarchy.

    These are the reference's labels and, with a hierarchy, those that contain them.
    """
    answers = labels
    if tree is not None:
        tree.require(labels, f"the reference's labels of {key!r}")
        named = {node for label in labels for node in tree.path(label)}
        answers = [node for node in tree.nodes if node in named]
    if unknown_category in answers:
        message = (
            f"{unknown_category!r} is a label of {key!r} and the name of cells without one: pass another "
            "unknown_category"
        )
        raise ValueError(message)
    return answers


def _predictions(names: Sequence[str], codes: np.ndarray, unknown_category: str) -> pd.Categorical:
    """Return labels by code, in the given order with unknown (code -1) last."""
    codes = np.where(codes < 0, len(names), codes)
    categories: Any = pd.Index([*names, unknown_category])
    return pd.Categorical.from_codes(codes.tolist(), categories=categories)


def _forget_probabilities(adata: AnnData, key: str) -> bool:
    """Delete what an earlier call wrote, and return whether there was any."""
    if adata.uns.get(_keys.UNS, {}).get(_keys.PROBABILITY_LABELS, {}).pop(key, None) is None:
        return False
    adata.obsm.pop(_keys.probabilities(key), None)
    return True


def _write_probabilities(adata: AnnData, key: str, names: Sequence[str], shares: np.ndarray) -> None:
    adata.obsm[_keys.probabilities(key)] = shares
    # not a table: column names with a slash, as cell types have them, cannot be written to h5ad
    adata.uns.setdefault(_keys.UNS, {}).setdefault(_keys.PROBABILITY_LABELS, {})[key] = list(names)


def write_colors(
    adata: AnnData, reference: AnnData, key: str, unknown_category: str, *, written: str | None = None
) -> None:
    """Give predicted labels the colours the reference draws them in; ``written`` is their key if it is another."""
    colors = reference.uns.get(_keys.colors(key))
    if colors is None or not hasattr(reference.obs[key], "cat"):
        return
    by_label = dict(zip(map(name_of, reference.obs[key].cat.categories), colors, strict=False)) | {
        unknown_category: _colors.GREY
    }
    predicted = _keys.predicted(key if written is None else written)
    adata.uns[_keys.colors(predicted)] = [
        by_label.get(label, _colors.GREY) for label in adata.obs[predicted].cat.categories
    ]

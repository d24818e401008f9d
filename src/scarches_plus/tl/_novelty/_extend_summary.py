"""Extend the summary of labels of a model without a classifier by new labels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from scarches_plus.tl._provenance._embedding_record import embedding_of, embedding_space

from ._labelled_cells import draw_cells, learned_from, nothing_new

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

    from scarches_plus.model import SCVI, TOTALVI
    from scarches_plus.train import LatentSummary


def extend_summary(
    model: SCVI | TOTALVI,
    adata: AnnData | MuData,
    labels_key: str,
    *,
    reference: AnnData | None,
    use_rep: str,
    labels_of: Callable[..., NDArray[np.object_]],
    rng: int,
) -> tuple[SCVI | TOTALVI, dict[str, Any]]:
    """Return a copy of the model whose summary of labels describes the new ones, too, and a record of what was done.

    Parameters
    ----------
    model
        Model; not changed.
    adata, labels_key, reference, use_rep, rng
        As in :func:`scarches_plus.tl.extend_reference`.
    labels_of
        Reads labels of cells, ``None`` for those without one.

    Raises
    ------
    TypeError
        If the model carries no summary.
    ValueError
        If it is not clear which summary is meant, or it is of another latent space, or no label is new.
    """
    from scarches_plus.model import teach_summary

    key = _summary_meant(model, labels_key)
    summary = model.state.summaries[key]
    labels_of = partial(labels_of, known=set(summary.labels))
    cells, of_cells = learned_from(model, adata, labels_of(adata, labels_key))
    new = sorted(set(of_cells) - set(summary.labels) - {None})
    if not new:
        raise nothing_new(adata, labels_key, of_cells, labels_of)
    means = _reference_means(summary, reference, use_rep, rng)

    named = np.array([label if label in set(new) else None for label in of_cells], dtype=object)
    extended, own = teach_summary(model, key, cells=cells, of_cells=named, rng=rng)
    if own.left_out:
        message = f"labels {list(own.left_out)} are left out: they have too few cells to describe"
        warn(message, UserWarning, stacklevel=3)
    best = extended.state.summaries[key].probabilities(means).argmax(axis=1)
    return extended, {
        "new_labels": {label: int((named == label).sum()) for label in own.labels},
        "summary": key,
        "reference_cells": len(means),
        "reference_changed": float((best >= len(summary.labels)).mean()),
    }


def _summary_meant(model: SCVI | TOTALVI, labels_key: str) -> str:
    """Return the name of the summary to extend: that of the column, or the only one."""
    summaries = model.state.summaries
    if not summaries:
        message = (
            f"a {type(model).__name__} has no classifier, and this one carries no summary of its labels: call "
            "sp.train.summarize_reference(model, labels_key) on the reference before mapping onto it, or take "
            "sp.tl.joint_embedding(reference, query), with the named labels in the column of labels, as the extended "
            "reference of sp.tl.transfer_labels"
        )
        raise TypeError(message)
    if labels_key not in summaries and len(summaries) > 1:
        message = (
            f"the model carries summaries of {sorted(summaries)}, and it is not clear which one obs[{labels_key!r}] "
            "extends: put the labels into a column of that name"
        )
        raise ValueError(message)
    key = labels_key if labels_key in summaries else next(iter(summaries))
    if summaries[key].space != model.state.space:
        message = (
            f"the model's summary of {key!r} is of another latent space, from before the model moved: call "
            "sp.train.carry_summaries(reference_model, model)"
        )
        raise ValueError(message)
    return key


def _reference_means(summary: LatentSummary, reference: AnnData | None, use_rep: str, rng: int) -> NDArray[np.float32]:
    """Return latent means of the reference's cells or, without these, of cells drawn from its summary."""
    if reference is None:
        return draw_cells(summary, list(summary.labels), rng).means
    if embedding_space(reference, use_rep) != summary.space:
        message = (
            f"obsm[{use_rep!r}] of the reference lies in another latent space than the model's; embed the reference "
            f"with it: sp.tl.embed(reference, model, key_added={use_rep!r})"
        )
        raise ValueError(message)
    return embedding_of(reference, use_rep, "reference")

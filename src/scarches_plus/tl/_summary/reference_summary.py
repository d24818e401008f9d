"""Summarise a reference: label profiles, a classifier of expression and a map in one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._label_profiles import FEWEST_CELLS
from scarches_plus._reference_summary import ReferenceSummary
from scarches_plus.tl._placement.reference_map import reference_map

from .expression_classifier import expression_classifier
from .label_profiles import label_profiles

if TYPE_CHECKING:
    from collections.abc import Collection

    from anndata import AnnData


def reference_summary(
    adata: AnnData,
    labels_key: str,
    batch_key: str,
    *,
    layer: str | None = None,
    use_rep: str | None = None,
    basis: str | None = "X_umap",
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    min_cells: int = FEWEST_CELLS,
    rng: int = 0,
) -> ReferenceSummary:
    """Summarise a reference, so that labels and novelty need none of its cells.

    The result travels in a bundle (:func:`scarches_plus.hub.save_bundle`, :func:`scarches_plus.hub.load_summary`) and
    stands in the place of the reference in :func:`detect_novel`, :func:`annotate` and :func:`place`, and beside it in
    :func:`transfer_labels`.

    Parameters
    ----------
    adata
        Reference cells with raw counts.
    labels_key, batch_key
        ``obs`` columns of labels and of batches. Cells without a label are left out.
    layer
        Layer with raw counts; ``None`` means ``X``.
    use_rep
        ``obsm`` slot of the reference's embedding, for a consensus of classifier and vote, and for the map.
    basis
        ``obsm`` slot of the picture that the map is made of, as :func:`reference_map` takes it: without an
        ``"X_umap"``, a UMAP is made. ``None`` makes no map.
    unknown_category
        Name of cells without a label.
    unlabelled
        Words that are no label of the reference, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    min_cells
        Labels with fewer cells are left out. Bundles take labels with at least 20 cells only.
    rng
        Seed of the classifier and of the UMAP.

    Returns
    -------
    ReferenceSummary

    Raises
    ------
    KeyError
        If a column, the layer or the embedding is missing.
    ValueError
        If counts are negative or not finite, names of genes are not unique, a labelled cell has no batch, or there are
        fewer than two labels.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        If there is one batch.

    See Also
    --------
    label_profiles, expression_classifier, reference_map : Its parts, with more choices.
    """
    check.texts_or_none(use_rep=use_rep, basis=basis)
    words: dict[str, Any] = {"unknown_category": unknown_category, "unlabelled": unlabelled}
    fewest = {**words, "min_cells": min_cells}
    profiles = label_profiles(adata, labels_key, batch_key, layer=layer, **fewest)
    classifier = expression_classifier(
        adata, labels_key, batch_key=batch_key, layer=layer, use_rep=use_rep, rng=rng, **fewest
    )
    picture = None
    if use_rep is not None and basis is not None:
        picture = reference_map(adata, basis=basis, use_rep=use_rep, labels_key=labels_key, rng=rng, **words)
    return ReferenceSummary(
        profiles=profiles, classifier=classifier, map=None if picture is None else picture.without_cells(rng)
    )

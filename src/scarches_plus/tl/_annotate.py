"""Annotate cells with the labels of a reference from expression, without any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import counts_layer, counts_of, require_writable
from scarches_plus._expression_classifier import ExpressionClassifier
from scarches_plus._label_tree import LabelTree
from scarches_plus._reference_summary import part_of
from scarches_plus.pp import require_counts

from ._novelty._novel_cells import novel_cells
from ._provenance._embedding_record import copy_of
from ._summary.expression_classifier import expression_classifier
from ._votes._write_labels import label_answers, write_colors, write_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from scarches_plus._reference_summary import ReferenceSummary

#: Fewer genes tell labels apart by chance.
_FEWEST_GENES = 50


def annotate(
    adata: AnnData,
    reference: AnnData | ReferenceSummary | ExpressionClassifier,
    labels_key: str | None = None,
    *,
    batch_key: str | None = None,
    layer: str | None = None,
    reference_layer: str | None = None,
    unknown_above: float | None = 0.5,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    hierarchy: LabelTree | Mapping[str, str | None] | None = None,
    novel_key: str | None = None,
    key_added: str | None = None,
    probabilities: bool = False,
    rng: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Give every cell the label that a classifier of expression finds, in seconds and without any model.

    Parameters
    ----------
    adata
        Query with raw counts. Receives, with ``key_added="cell_type"``, ``obs["cell_type_pred"]`` (categorical, in the
        reference's order and colours), ``obs["cell_type_uncertainty"]`` in [0, 1] and, on request,
        ``obsm["cell_type_probabilities"]``, as :func:`transfer_labels` writes them; and a record in
        ``uns["scarches_plus"]["transfer"]["cell_type"]``.
    reference
        Reference cells with raw counts, to which a classifier is fitted on the genes that they share with the query; or
        what :func:`reference_summary` or :func:`expression_classifier` returned, which a bundle can carry
        (:func:`scarches_plus.hub.load_summary`).
    labels_key
        ``obs`` column of the reference; not needed with a classifier.
    batch_key
        ``obs`` column of the reference's batches, which are held out in turn to choose genes and regularisation
        (recommended). ``None``: random thirds of the cells are.
    layer, reference_layer
        Layers with raw counts; ``None`` means ``X``.
    unknown_above
        Uncertainty above which a cell is called unknown; ``None`` never rejects.
    unknown_category
        Name of the rejected, and of reference cells without a label.
    unlabelled
        Words that are no label of the reference, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    hierarchy
        Hierarchy of the labels (:func:`scarches_plus.pp.label_tree`), as :func:`transfer_labels` takes it.
    novel_key
        ``obs`` column of :func:`detect_novel`: cells that it calls novel are unknown.
    key_added
        First part of the names; ``None`` means ``labels_key``, or that of the classifier.
    probabilities
        Also write the probabilities of the labels. Without, those that an earlier call wrote are deleted.
    rng
        Seed of the fit.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    KeyError
        If a column or a layer is missing.
    ValueError
        If counts are negative or not finite, names of genes are not unique or fewer than 50 of them shared, the
        reference has fewer than two labels, a label is not in the hierarchy, or arguments of reference cells come with
        a classifier.
    TypeError
        If the reference is neither cells nor a classifier, or cells are MuData.

    Warns
    -----
    UserWarning
        If counts are not whole numbers, or the reference has one batch.

    Notes
    -----
    A classifier knows no other labels than its own: cells of a type that the reference lacks get the label that they
    resemble most, often with confidence. See :func:`detect_novel`.

    Genes of a fitted classifier that the query lacks are inferred from those that it has, by the principal components
    of the reference. With the reference's cells at hand pass these: the fit then sees the shared genes only.
    """
    check.cells("adata", adata)
    check.texts_or_none(
        labels_key=labels_key, batch_key=batch_key, layer=layer, reference_layer=reference_layer, novel_key=novel_key
    )
    check.distinct(labels_key=labels_key, batch_key=batch_key)
    check.texts(unknown_category=unknown_category)
    if unknown_above is not None:
        check.number("unknown_above", unknown_above, least=0, most=1)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    if key_added is not None:
        check.slot("key_added", key_added)
    check.flags(probabilities=probabilities, copy=copy)
    check.seed("rng", rng, generator=False)
    for which, one in (("adata", adata), ("reference", reference)):
        if isinstance(one, MuData):
            message = f"{which} is MuData; labels are found in genes' counts: pass that modality, such as mdata['rna']"
            raise TypeError(message)
    require_writable(adata, copy=copy)
    tree = None if hierarchy is None else LabelTree.of(hierarchy)
    novel = None if novel_key is None else novel_cells(adata, novel_key)
    require_counts(adata, layer)
    classifier, source = _classifier(
        adata, reference, labels_key, batch_key=batch_key, layer=reference_layer, unknown_category=unknown_category,
        unlabelled=unlabelled, rng=rng,
    )  # fmt: skip
    key = key_added or check.slot("labels_key", classifier.labels_key, advice="pass key_added={new!r}")
    answers = label_answers(list(classifier.labels), key, tree, unknown_category)
    genes = list(map(str, adata.var_names))
    known = adata.var_names.isin(classifier.genes)
    counts = sparse.csr_matrix(counts_of(adata, counts_layer(layer, None)))[:, np.flatnonzero(known)]
    names = [gene for gene, one in zip(genes, known, strict=True) if one]

    adata = copy_of(adata) if copy else adata
    write_labels(
        adata, key, lambda rows: classifier.probabilities(counts[rows], names), classifier.labels, answers,
        tree=tree, unknown_above=unknown_above, unknown_category=unknown_category, novel=novel,
        probabilities=probabilities,
        record={
            "labels": source, "by": f"{len(names)} of {len(classifier.genes)} genes", "genes": len(names),
            "genes_inferred": len(classifier.genes) - len(names), "layer": layer or "X",
            "hierarchy": tree is not None, "novel_key": novel_key or "",
        },
    )  # fmt: skip
    if isinstance(reference, AnnData):
        write_colors(adata, reference, classifier.labels_key, unknown_category, written=key)
    return adata if copy else None


def _classifier(adata: AnnData, reference: Any, labels_key: str | None, **fit: Any) -> tuple[ExpressionClassifier, str]:
    """Return the classifier, fitted where the reference is cells, and what to call it."""
    reference = part_of(reference, "classifier")
    if isinstance(reference, ExpressionClassifier):
        if (labels_key, fit["batch_key"], fit["layer"], fit["unlabelled"]) != (None,) * 4:
            message = (
                "a classifier knows its labels and genes: leave out labels_key, batch_key, reference_layer and "
                "unlabelled (key_added names what is written)"
            )
            raise ValueError(message)
        _shared_genes(adata, reference.genes)
        return reference, f"a classifier of {reference.labels_key!r}"
    if not isinstance(reference, AnnData):
        message = (
            "reference must be cells with counts, or what sp.tl.expression_classifier returned, not "
            f"{check.shown(reference)}; labels by a model are transferred: sp.tl.transfer_labels"
        )
        raise TypeError(message)
    if labels_key is None:
        message = "name the reference's column of labels: labels_key=..."
        raise ValueError(message)
    if not reference.var_names.is_unique:
        message = "names of genes are not unique in the reference: reference.var_names_make_unique()"
        raise ValueError(message)
    shared = _shared_genes(adata, tuple(map(str, reference.var_names)))
    source = f"obs[{labels_key!r}] of {reference.n_obs} cells"
    return expression_classifier(reference[:, shared], labels_key, **fit), source


def _shared_genes(adata: AnnData, genes: tuple[str, ...]) -> list[str]:
    """Return those of some genes that the query has.

    Raises
    ------
    ValueError
        If names are not unique in the query, or too few are shared.
    """
    if not adata.var_names.is_unique:
        message = "names of genes are not unique in the query: adata.var_names_make_unique()"
        raise ValueError(message)
    own = set(map(str, adata.var_names))
    shared = [gene for gene in genes if gene in own]
    if len(shared) < min(_FEWEST_GENES, len(genes)):
        message = (
            f"query and reference share {len(shared)} of {len(genes)} genes, fewer than {_FEWEST_GENES}: see "
            "sp.pp.match_gene_names"
        )
        raise ValueError(message)
    return shared

"""Fit a classifier of expression to the labels of a reference, to be kept without its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import CountsOnDisk, column_of, counts_layer, missing, readable_counts
from scarches_plus._expression_classifier import ExpressionClassifier
from scarches_plus._logging import logger
from scarches_plus.pp import require_counts
from scarches_plus.tl._expression._fit_classifier import fit_classifier, held_out_scores
from scarches_plus.tl._expression._stack import held_out_votes, learn_stack
from scarches_plus.tl._provenance._embedding_record import embedding_of, embedding_space
from scarches_plus.tl._votes._neighbor_votes import KERNELS, Kernel
from scarches_plus.tl._votes._reference_labels import reference_labels

if TYPE_CHECKING:
    from collections.abc import Collection

    from anndata import AnnData
    from numpy.typing import NDArray


def expression_classifier(
    adata: AnnData,
    labels_key: str,
    *,
    batch_key: str | None = None,
    layer: str | None = None,
    use_rep: str | None = None,
    k: int = 50,
    kernel: Kernel = "paper",
    min_cells: int = 1,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    rng: int = 0,
) -> ExpressionClassifier:
    """Fit a logistic regression on expression that tells the labels of a reference apart.

    The result holds no cell: plain numbers, a few hundred kB. :func:`annotate` labels cells with it, without any model,
    and :func:`transfer_labels` takes it beside the vote. Genes (300 or 1,000), regularisation and temperature are those
    under which the labels of held-out batches are most probable.

    Parameters
    ----------
    adata
        Reference cells with raw counts.
    labels_key
        ``obs`` column of labels. Cells without a label are left out.
    batch_key
        ``obs`` column of batches, which are held out in turn. ``None``: all cells are one batch, of which random thirds
        are held out.
    layer
        Layer with raw counts; ``None`` means ``X``.
    use_rep
        ``obsm`` slot of the reference's embedding, to learn as well how much the vote of neighbours in it counts beside
        the classifier: for :func:`transfer_labels`.
    k, kernel
        Of that vote.
    min_cells
        Labels with fewer cells are left out. Bundles take classifiers of labels with at least 20 cells only.
    unknown_category
        Name of cells without a label.
    unlabelled
        Words that are no label of the reference, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    rng
        Seed of the draw of at most 20,000 cells to fit, evenly over labels and batches, and 4,000 to choose by.

    Returns
    -------
    ExpressionClassifier

    Raises
    ------
    KeyError
        If a column, the layer or the embedding is missing.
    ValueError
        If counts are negative or not finite, a labelled cell has no batch, names of genes are not unique, or
        there are fewer than two labels.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        If there is one batch: random thirds of it are held out, which is too easy. If no label is in two batches and
        ``use_rep`` is given: nothing is learned of the vote.

    Notes
    -----
    Genes are ranked by the share of their variance between labels within batches, so that genes that tell batches apart
    do not win. All labels weigh the same in the fit. Held-out cells whose label no other batch has are left out.

    The latent space has seen the batches that are held out, the classifier has not: the vote looks better there than it
    is on a query. It therefore counts at most 0.7 times as much as the classifier.
    """
    check.cells("adata", adata)
    check.texts(labels_key=labels_key, unknown_category=unknown_category)
    check.texts_or_none(batch_key=batch_key, layer=layer, use_rep=use_rep)
    check.distinct(labels_key=labels_key, batch_key=batch_key)
    k = check.whole("k", k, least=1)
    check.choice("kernel", kernel, KERNELS)
    min_cells = check.whole("min_cells", min_cells, least=1)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.seed("rng", rng, generator=False)
    if isinstance(adata, MuData):
        message = "adata is MuData; the classifier is of genes' counts: pass that modality, such as mdata['rna']"
        raise TypeError(message)
    labels = reference_labels(adata, labels_key, unknown_category, unlabelled)
    sizes = labels.value_counts()
    if len(few := sizes.index[sizes < min_cells]):
        logger.warning("the classifier leaves out %s, which have fewer than %d cells", list(few), min_cells)
        labels = labels.remove_categories(few)
    if len(labels.categories) < 2:
        message = (
            f"obs[{labels_key!r}] names {len(labels.categories)} label(s) of {min_cells} cells in the reference; to "
            "tell labels apart takes two"
        )
        raise ValueError(message)
    if not adata.var_names.is_unique:
        message = "names of genes are not unique in adata: adata.var_names_make_unique()"
        raise ValueError(message)
    codes = np.asarray(labels.codes, dtype=np.int64)
    labelled = np.flatnonzero(codes >= 0)
    batches = _batches(adata, batch_key, labelled)
    require_counts(adata, layer, batch_key=batch_key)
    space = None if use_rep is None else embedding_space(adata, use_rep)
    embedding = None if use_rep is None else embedding_of(adata, use_rep)[labelled]
    counts = _labelled_counts(readable_counts(adata, counts_layer(layer, None)), labelled)
    codes, n_labels = codes[labelled], len(labels.categories)
    numbers, genes, held = fit_classifier(counts, codes, batches, n_labels, rng)
    vote: dict[str, Any] | None = None
    if embedding is not None:
        if not len(held.cells):
            message = (
                f"no label of obs[{labels_key!r}] is in two batches: nothing says how much the vote counts beside the "
                "classifier, which can label by expression alone"
            )
            warn(message, UserWarning, stacklevel=2)
        else:
            shares = held_out_votes(embedding, codes, batches, held, n_labels=n_labels, k=k, kernel=kernel)
            vote = {**learn_stack(shares, held.logs, codes[held.cells]), "k": k, "kernel": kernel, "space": space or ""}
    classifier = ExpressionClassifier(
        labels=tuple(map(str, labels.categories)),
        genes=tuple(map(str, adata.var_names[genes])),
        n_cells=np.bincount(codes, minlength=n_labels),
        labels_key=labels_key,
        held_out={**numbers.pop("held_out"), **held_out_scores(held, codes[held.cells])},
        vote=vote,
        **numbers,
    )
    logger.info(
        "a classifier of %d labels by %d genes: %.3f of %d held-out cells are labelled as they were",
        n_labels, len(genes), classifier.held_out["accuracy"], classifier.held_out["n_cells"],
    )  # fmt: skip
    return classifier


def _labelled_counts(counts: Any, labelled: NDArray) -> Any:
    """Return the counts of labelled cells; on disk they stay there, and only the cells that are drawn are read."""
    if isinstance(counts, CountsOnDisk):
        return counts.on_cells(labelled)
    counts = sparse.csr_matrix(counts, dtype=np.float32)
    return counts if len(labelled) == counts.shape[0] else counts[labelled]


def _batches(adata: AnnData, batch_key: str | None, labelled: NDArray) -> NDArray[np.int64]:
    """Return the batches of labelled cells as whole numbers."""
    if batch_key is None:
        return np.zeros(len(labelled), dtype=np.int64)
    column = column_of(adata.obs, batch_key).iloc[labelled]
    if n := int(missing(column.to_numpy()).sum()):
        message = f"{n} labelled cells have no batch in obs[{batch_key!r}]: fill the column, or leave these cells out"
        raise ValueError(message)
    batches = pd.factorize(column)[0]
    if len(np.unique(batches)) == 1:
        message = (
            f"the reference has one batch in obs[{batch_key!r}]: random thirds of it are held out, which is too easy a "
            "test"
        )
        warn(message, UserWarning, stacklevel=3)
    return np.asarray(batches, dtype=np.int64)

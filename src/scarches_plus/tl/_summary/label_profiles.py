"""Compute label profiles of a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import column_of, complete_names, counts_layer, readable_counts, row_blocks
from scarches_plus._label_profiles import FEWEST_CELLS, FLOOR, SEVERAL, LabelProfiles
from scarches_plus._logging import logger
from scarches_plus.pp import require_counts
from scarches_plus.tl._groups._expression_sums import BLOCK, grouped_sums
from scarches_plus.tl._votes._reference_labels import reference_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from anndata import AnnData
    from numpy.typing import NDArray

#: A batch with fewer cells of a label says nothing about it.
_FEW = 5


def label_profiles(
    adata: AnnData,
    labels_key: str,
    batch_key: str,
    *,
    layer: str | None = None,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    min_cells: int = FEWEST_CELLS,
) -> LabelProfiles:
    """Summarise the expression of a reference's labels by batch.

    The result holds no cell and can travel with a model (:func:`scarches_plus.hub.save_bundle`): :func:`detect_novel`
    takes it in the place of the reference.

    Parameters
    ----------
    adata
        Reference cells with raw counts.
    labels_key, batch_key
        ``obs`` columns of labels and of batches. Cells without a label or without a count are left out.
    layer
        Layer with raw counts; ``None`` means ``X``.
    unknown_category
        Name of cells without a label.
    unlabelled
        Words that are no label of the reference, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    min_cells
        Groups of fewer cells of a label and a batch are left out; where every batch has fewer, the cells of all batches
        are one group. Labels with fewer cells in all are left out. Bundles take groups of at least 20 cells only.

    Returns
    -------
    LabelProfiles

    Raises
    ------
    KeyError
        If a column or the layer is missing.
    ValueError
        If counts are negative or not finite, names of genes are not unique, two labels read the same, a labelled cell
        has no batch, or there are fewer than two labels.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    How batches differ is measured between groups of one label. In a reference of one batch nothing is known about it.
    """
    check.cells("adata", adata)
    check.texts(labels_key=labels_key, batch_key=batch_key, unknown_category=unknown_category)
    check.distinct(labels_key=labels_key, batch_key=batch_key)
    check.texts_or_none(layer=layer)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    min_cells = check.whole("min_cells", min_cells, least=1)
    column_of(adata.obs, batch_key)
    if not adata.var_names.is_unique:
        message = "names of genes are not unique in the reference: reference.var_names_make_unique()"
        raise ValueError(message)
    require_counts(adata, layer, batch_key=batch_key)
    counts = readable_counts(adata, counts_layer(layer, None))
    totals = np.concatenate([np.asarray(block.sum(axis=1)).ravel() for block in row_blocks(counts)])
    names = pd.Series(reference_labels(adata, labels_key, unknown_category, unlabelled).astype(object), dtype=object)
    kept = names.notna().to_numpy() & (totals > 0)
    sizes = names[kept].value_counts()
    if left_out := sorted(sizes.index[sizes < min_cells]):
        logger.warning("the profiles leave out %s, which have fewer than %d cells", left_out, min_cells)
        kept = kept & ~names.isin(left_out).to_numpy()
    codes, labels = pd.factorize(names[kept], sort=True)
    if len(labels) < 2:
        message = (
            f"obs[{labels_key!r}] names {len(labels)} label(s) of {min_cells} cells in the reference; contrasts need "
            "two"
        )
        raise ValueError(message)
    batch_codes, batches = pd.factorize(pd.Series(complete_names(adata.obs[kept], batch_key), dtype=object), sort=True)
    of_label, of_batch, of_cell = _groups(codes, batch_codes, max(_FEW, min_cells))
    rows = np.flatnonzero(kept)
    n_cells = np.bincount(of_cell[of_cell >= 0], minlength=len(of_label))
    shares, _ = grouped_sums(_shares(counts, rows), of_cell, len(of_label), adata.n_vars)
    sums, squares = grouped_sums(_logs_of_shares(counts, rows), of_cell, len(of_label), adata.n_vars)
    means = sums / n_cells[:, None]
    within = np.maximum(squares - n_cells[:, None] * means**2, 0) / np.maximum(n_cells - 1, 1)[:, None]
    return LabelProfiles(
        labels=tuple(str(label) for label in labels),
        genes=tuple(map(str, adata.var_names)),
        of_label=of_label,
        of_batch=of_batch,
        logs=np.log(shares / n_cells[:, None] + FLOOR).astype(np.float32),
        variances=np.array(
            [
                np.average(within[of_label == one], axis=0, weights=n_cells[of_label == one])
                for one in range(len(labels))
            ]
        ).astype(np.float32),
        n_cells=n_cells,
        batches=tuple(map(str, batches)),
        left_out=tuple(map(str, left_out)),
    )


def _groups(labels: NDArray, batches: NDArray, fewest: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return the label and the batch of each group, and the group of each cell, -1 for cells of small groups."""
    cells = pd.DataFrame({"label": labels, "batch": batches})
    sizes = cells.groupby(["label", "batch"])["label"].transform("size").to_numpy()
    alone = sizes >= fewest
    joined = ~cells["label"].isin(set(labels[alone])).to_numpy()
    cells.loc[joined, "batch"] = SEVERAL
    in_group = alone | joined
    of_cell = np.full(len(cells), -1)
    of_cell[in_group], groups = pd.factorize(pd.MultiIndex.from_frame(cells[in_group]), sort=True)
    return groups.get_level_values(0).to_numpy(), groups.get_level_values(1).to_numpy(), of_cell


def _shares(counts: Any, rows: NDArray) -> Iterator[sparse.csr_matrix]:
    """Yield each cell's shares of its counts."""
    for start in range(0, len(rows), BLOCK):
        block = sparse.csr_matrix(counts[rows[start : start + BLOCK]], dtype=np.float64)
        total = np.asarray(block.sum(axis=1)).ravel()
        yield sparse.diags(np.divide(1, total, out=np.zeros_like(total), where=total > 0)) @ block


def _logs_of_shares(counts: Any, rows: NDArray) -> Iterator[sparse.csr_matrix]:
    """Yield ``log(share + 0.001)`` above that of no count, which is 0."""
    for block in _shares(counts, rows):
        block.data = np.log(block.data + FLOOR) - np.log(FLOOR)
        yield block

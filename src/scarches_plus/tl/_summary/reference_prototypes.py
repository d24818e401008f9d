"""Let prototypes stand for the cells of a large reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cell_groups import divide_cells
from scarches_plus._cells import complete_names, name_of
from scarches_plus._label_profiles import FEWEST_CELLS
from scarches_plus._logging import logger
from scarches_plus.tl._provenance._embedding_record import embedding_of, record_of
from scarches_plus.tl._votes._reference_labels import reference_labels
from scarches_plus.tl._votes._voters import N_CELLS, prototypes

if TYPE_CHECKING:
    from collections.abc import Collection

    from anndata import AnnData
    from numpy.typing import NDArray


def reference_prototypes(
    adata: AnnData,
    labels_key: str,
    batch_key: str,
    *,
    n_prototypes: int = 50_000,
    use_rep: str = _keys.EMBEDDING,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    rng: int | np.random.Generator | None = 0,
) -> AnnData:
    """Let prototypes stand for the cells of a large reference, so that it shrinks from millions of cells to thousands.

    A prototype is the mean in the latent space of at least 20 cells of one label and one batch that are near each
    other. Prototypes vote in :func:`transfer_labels` and :func:`explain_labels`, each for all of its cells, and are the
    points of a map (:func:`reference_map`), which votes as well and travels in a bundle. They have no counts:
    novelty and labels by expression take a summary (:func:`reference_summary`).

    Parameters
    ----------
    adata
        Reference cells with an embedding, counts are not read.
    labels_key, batch_key
        ``obs`` columns of labels and of batches.
    n_prototypes
        Prototypes at most; as many as there are groups of 20 cells, if these are fewer. Where labels and batches
        together are more, batches are joined.
    use_rep
        ``obsm`` slot of the embedding.
    unknown_category
        Name of cells without a label. They have prototypes without a label, which count among `n_prototypes`.
    unlabelled
        Words that are no label, as :func:`reference_summary` takes them.
    rng
        Seed or generator for the cells by which large groups are divided.

    Returns
    -------
    AnnData
        A row for each prototype, without genes: ``obsm[use_rep]``, ``obs[labels_key]`` and ``obs[batch_key]``
        (categorical; either may be missing), and ``obs["n_cells"]``, the number of cells that it stands for.

    Raises
    ------
    KeyError
        If a column or the embedding is missing.
    ValueError
        If no label has 20 cells, there are fewer prototypes than labels, a cell has no batch, or two labels read the
        same.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    Groups are divided by bisecting k-means, always the one with the largest sum of squares. Batches in which a label
    has fewer than 20 cells are joined, to each other or to its largest batch, and such prototypes have no batch. Labels
    with fewer than 20 cells are left out, and the log names them. How much a vote among prototypes differs from one
    among the cells is told in :doc:`/guide/neighbors`.

    References
    ----------
    Steinbach et al. 2000, A comparison of document clustering techniques (bisecting k-means).
    """
    check.cells("adata", adata)
    check.texts(labels_key=labels_key, batch_key=batch_key, use_rep=use_rep, unknown_category=unknown_category)
    check.distinct(labels_key=labels_key, batch_key=batch_key, column=N_CELLS)
    n_prototypes = check.whole("n_prototypes", n_prototypes, least=1)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.seed("rng", rng)
    latent = embedding_of(adata, use_rep)
    labels = reference_labels(adata, labels_key, unknown_category, unlabelled)
    batches = pd.Categorical(complete_names(adata.obs, batch_key))
    groups = _groups(labels.codes, batches.codes, FEWEST_CELLS)
    if len(groups) > n_prototypes:
        groups = _groups(labels.codes, np.zeros_like(batches.codes), FEWEST_CELLS)
    if (needed := sum(len(rows) >= FEWEST_CELLS for rows in groups)) > n_prototypes:
        message = f"n_prototypes is {n_prototypes}, and there are {needed} labels: each needs one at least"
        raise ValueError(message)
    parts = divide_cells(latent, groups, FEWEST_CELLS, n_prototypes, np.random.default_rng(rng))
    first = np.array([rows[0] for rows in parts], dtype=np.int64)
    named = labels[first].remove_unused_categories()
    if not len(named.categories):
        message = f"no label of obs[{labels_key!r}] has {FEWEST_CELLS} cells: there are no prototypes"
        raise ValueError(message)
    if left_out := [one for one in labels.categories if one not in set(named.categories)]:
        logger.warning("no prototypes of %s: they have fewer than %d cells", left_out, FEWEST_CELLS)
    of_batch = [codes[0] if (codes == codes[0]).all() else -1 for codes in (batches.codes[rows] for rows in parts)]
    n_cells = np.array([len(rows) for rows in parts])
    found = prototypes(
        np.array([latent[rows].mean(axis=0, dtype=np.float64) for rows in parts]),
        {labels_key: named, batch_key: pd.Categorical.from_codes(np.array(of_batch), batches.categories)},
        n_cells,
        use_rep,
        dict(record_of(adata, use_rep)),
    )
    colors, column = adata.uns.get(_keys.colors(labels_key)), adata.obs[labels_key]
    if colors is not None and hasattr(column, "cat") and len(colors) >= len(column.cat.categories):
        by_label = dict(zip(map(name_of, column.cat.categories), colors, strict=False))
        found.uns[_keys.colors(labels_key)] = [by_label[label] for label in named.categories]
    logger.info("%d prototypes stand for %d of %d cells", len(parts), n_cells.sum(), adata.n_obs)
    return found


def _groups(labels: NDArray, batches: NDArray, fewest: int) -> list[NDArray[np.int64]]:
    """Return the rows of each label and batch, batches with fewer cells of a label joined."""
    order = np.lexsort((batches, labels))
    groups = []
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        of_batch = np.split(rows, np.flatnonzero(np.diff(batches[rows])) + 1)
        large = sorted((one for one in of_batch if len(one) >= fewest), key=len)
        rest = np.concatenate([rows[:0], *(one for one in of_batch if len(one) < fewest)])
        if 0 < len(rest) < fewest and large:
            large[-1] = np.concatenate([large[-1], rest])
        elif len(rest):
            large.append(rest)
        groups += large
    return groups

"""Let prototypes stand for the cells of a large reference."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cell_groups import divide_cells
from scarches_plus._cells import complete_names
from scarches_plus._label_profiles import FEWEST_CELLS
from scarches_plus._logging import logger
from scarches_plus.tl._provenance._embedding_record import embedding_of, record_of
from scarches_plus.tl._votes._reference_labels import reference_labels

if TYPE_CHECKING:
    from collections.abc import Collection

#: Column that says how many cells a prototype stands for.
_N_CELLS = "n_cells"


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
    other. Prototypes take the reference's place wherever its embedding and labels are asked for:
    :func:`transfer_labels`, :func:`explain_labels`, :func:`reference_map`, :func:`place`, :func:`presence`, and the
    cells of a bundle (:func:`scarches_plus.hub.save_bundle`), which then shares no cell. They have no counts: novelty
    and labels by expression take a summary (:func:`reference_summary`).

    Parameters
    ----------
    adata
        Reference cells with an embedding, counts are not read.
    labels_key, batch_key
        ``obs`` columns of labels and of batches.
    n_prototypes
        Prototypes at most; as many as there are groups of 20 cells, if these are fewer.
    use_rep
        ``obsm`` slot of the embedding.
    unknown_category
        Name of cells without a label. They have prototypes without a label.
    unlabelled
        Words that are no label, as :func:`reference_summary` takes them.
    rng
        Seed or generator for the cells by which large groups are divided.

    Returns
    -------
    AnnData
        A row for each prototype, without genes: ``obsm[use_rep]``, ``obs[labels_key]`` and ``obs[batch_key]``
        (categorical; a label may be missing), and ``obs["n_cells"]``, the number of cells that it stands for.

    Raises
    ------
    KeyError
        If a column or the embedding is missing.
    ValueError
        If no label has 20 cells in a batch, a cell has no batch, or two labels read the same.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    Groups are divided by bisecting k-means, always the one with the most cells, so that prototypes stand for like
    numbers of cells and each may have one vote. Labels with fewer than 20 cells in each batch are left out, and the log
    names them. How much a vote among prototypes differs from one among the cells is told in :doc:`/guide/scale`.

    References
    ----------
    Steinbach et al. 2000, A comparison of document clustering techniques (bisecting k-means).
    """
    check.cells("adata", adata)
    check.texts(labels_key=labels_key, batch_key=batch_key, use_rep=use_rep, unknown_category=unknown_category)
    check.distinct(labels_key=labels_key, batch_key=batch_key, column=_N_CELLS)
    n_prototypes = check.whole("n_prototypes", n_prototypes, least=1)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.seed("rng", rng)
    latent = embedding_of(adata, use_rep)
    labels = reference_labels(adata, labels_key, unknown_category, unlabelled)
    batches = pd.Categorical(complete_names(adata.obs, batch_key))
    of_group = (labels.codes.astype(np.int64) + 1) * len(batches.categories) + batches.codes
    order = np.argsort(of_group, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(of_group[order])) + 1)
    parts = divide_cells(latent, groups, FEWEST_CELLS, n_prototypes, np.random.default_rng(rng), size=len)
    first = np.array([rows[0] for rows in parts], dtype=np.int64)
    described = labels[first].remove_unused_categories()
    if not len(described.categories):
        message = f"no label of obs[{labels_key!r}] has {FEWEST_CELLS} cells in a batch: there are no prototypes"
        raise ValueError(message)
    if left_out := [one for one in labels.categories if one not in set(described.categories)]:
        logger.warning("no prototypes of %s, which have fewer than %d cells in each batch", left_out, FEWEST_CELLS)
    n_cells = np.array([len(rows) for rows in parts])
    found = AnnData(
        obs=pd.DataFrame(
            {
                labels_key: described,
                batch_key: batches[first].remove_unused_categories(),
                _N_CELLS: n_cells,
            },
            index=[f"prototype {number}" for number in range(len(parts))],
        ),
        obsm={use_rep: np.array([latent[rows].mean(axis=0, dtype=np.float64) for rows in parts], dtype=np.float32)},
    )
    if record := record_of(adata, use_rep):
        found.uns[_keys.UNS] = {_keys.EMBEDDINGS: {use_rep: deepcopy(dict(record))}}
    logger.info("%d prototypes stand for %d of %d cells", len(parts), n_cells.sum(), adata.n_obs)
    return found

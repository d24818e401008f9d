"""Detect novel cells: cells of a query that no label of the reference explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import counts_layer, counts_of, require_writable
from scarches_plus._label_profiles import LabelProfiles
from scarches_plus._logging import logger
from scarches_plus.pp import require_counts

from ._groups._propagate import propagate, symmetric_graph
from ._label_profiles import label_profiles
from ._novelty._contrasts import Explanation, explain
from ._novelty._pools import POOL, Pools, pooled
from ._provenance._embedding_record import copy_of, versions

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

#: Pools that the query's centre is found from.
_SAMPLE = 5000
#: Pools that are looked at in one step.
_BLOCK = 4096
#: Fewer shared genes tell labels apart by chance.
_FEWEST_GENES = 50
#: Agreement of a label's anchors below which it explains nothing.
_HARDLY = 0.2


def detect_novel(
    adata: AnnData,
    reference: AnnData | LabelProfiles,
    labels_key: str | None = None,
    *,
    batch_key: str | None = None,
    alpha: float = 0.05,
    layer: str | None = None,
    reference_layer: str | None = None,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    key_added: str = "novel",
    rng: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Find the cells that no label of the reference explains, from counts, whatever the label vote says.

    The vote of neighbours (:func:`transfer_labels`) knows which labels are near, not whether any of them fits. Here
    each cell is pooled with its nearest neighbours within the query, and the pool's contrast (log expression less the
    query's centre) correlated with the contrasts of the reference's labels. The query's own shift is in every pool and
    drops out; so does variation that the cells of several labels share, such as donors. Novelty is what is missing from
    the agreement that the reference's own batches reach with one another. No model is needed, and the query's labels
    are not read.

    Parameters
    ----------
    adata
        Query with raw counts. Receives, with ``key_added="novel"``, ``obs["novel"]`` (is the cell novel),
        ``obs["novel_score"]`` (novelty: 0 like the best-known cells of the query, 1 and more without any agreement),
        ``obs["novel_label"]`` (the label that explains the cell best) and ``obs["novel_cluster"]`` (clusters most of
        whose cells are novel, named by size; missing for other cells); and a record in
        ``uns["scarches_plus"]["novel"]``.
    reference
        Reference cells with raw counts, or their :func:`label_profiles`, which a bundle can carry
        (:func:`scarches_plus.hub.load_profiles`).
    labels_key, batch_key
        ``obs`` columns of the reference; not needed with profiles.
    alpha
        Share of known cells that may be called novel. The threshold is the quantile ``1 - alpha`` over cells of the
        reference whose batch was held out (conformal calibration), counted from the best-known cells of the query.
    layer, reference_layer
        Layers with raw counts; ``None`` means ``X``.
    unknown_category
        Name of reference cells without a label.
    unlabelled
        Words that are no label of the reference, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    key_added
        First part of the names.
    rng
        Seed.
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
        If counts are negative or not finite, names of genes are not unique or fewer than 50 of them shared, the query
        has fewer than 17 cells, the reference fewer than two labels or no batch that can be held out, or ``alpha`` is
        not between 0 and 1.

    TypeError
        If the reference is neither cells nor profiles, but a model for instance, or cells are MuData.

    Warns
    -----
    UserWarning
        If counts are not whole numbers, or no label explains any cell.

    Notes
    -----
    The share of known cells called novel is ``alpha`` if the query differs from the reference as the reference's
    batches do from one another; the record says how it came out for each of them (``"held_out"``). A query of one known
    type has no contrast of its own: what sets all of its cells apart counts as shift.

    References
    ----------
    Contrasts of pooled cells: this package. Calibration on held-out batches: Vovk, Gammerman and Shafer 2005
    (conformal).
    """
    check.cells("adata", adata)
    check.texts_or_none(labels_key=labels_key, batch_key=batch_key, layer=layer, reference_layer=reference_layer)
    check.distinct(labels_key=labels_key, batch_key=batch_key)
    check.number("alpha", alpha, above=0, below=1)
    check.texts(unknown_category=unknown_category)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.slot("key_added", key_added)
    check.seed("rng", rng, generator=False)
    check.flags(copy=copy)
    for which, one in (("adata", adata), ("reference", reference)):
        if isinstance(one, MuData):
            message = f"{which} is MuData; novelty is found in genes' counts: pass that modality, such as mdata['rna']"
            raise TypeError(message)
    require_writable(adata, copy=copy)
    if not isinstance(reference, AnnData | LabelProfiles):
        message = (
            "novelty is found in counts: pass reference cells or their label_profiles (sp.hub.load_profiles(path), "
            f"where a bundle carries them), not {check.shown(reference)}"
        )
        raise TypeError(message)
    if isinstance(reference, LabelProfiles) and (labels_key, batch_key, reference_layer, unlabelled) != (None,) * 4:
        message = (
            "label profiles know labels, batches and counts: leave out labels_key, batch_key, reference_layer and "
            "unlabelled"
        )
        raise ValueError(message)
    if adata.n_obs <= POOL + 1:
        message = f"the query has {adata.n_obs} cells; pools need at least {POOL + 2}"
        raise ValueError(message)
    genes = _shared_genes(adata, reference)
    require_counts(adata, layer)
    counts = sparse.csr_matrix(counts_of(adata, counts_layer(layer, None)), dtype=np.float32)
    counts = counts[:, adata.var_names.get_indexer(genes)]
    depth = float(np.median(np.asarray(counts.sum(axis=1))))
    if not isinstance(reference, LabelProfiles):
        if labels_key is None or batch_key is None:
            message = "name the reference's columns: labels_key=... and batch_key=..., or pass its label_profiles"
            raise ValueError(message)
        reference = label_profiles(
            reference[:, genes], labels_key, batch_key, layer=reference_layer, unknown_category=unknown_category,
            unlabelled=unlabelled, depth=depth, min_cells=1, rng=rng,
        )  # fmt: skip
    expected, quantiles = reference.at_depth(depth)
    position = {gene: column for column, gene in enumerate(reference.genes)}
    profiles = reference.logs[:, [position[gene] for gene in genes]]
    cells = pooled(counts)
    state = _explained(cells, profiles, expected, rng)
    loss, label = _evaluated(cells, state)
    score = cells.smooth(loss) - state.least_loss
    threshold = float(np.quantile(quantiles, 1 - alpha))

    adata = copy_of(adata) if copy else adata
    novel = score > threshold
    columns = {key_added: novel, _keys.novel_score(key_added): score}
    columns |= _columns(key_added, reference.labels, label, _clusters(cells, novel))
    for name, values in columns.items():
        adata.obs[name] = values
    adata.uns.setdefault(_keys.UNS, {}).setdefault(_keys.NOVEL, {})[key_added] = {
        "alpha": alpha,
        "threshold": threshold,
        "shift": state.least_loss,
        "genes": len(genes),
        "layer": layer or "X",
        "depth": depth,
        "labels": list(reference.labels),
        "left_out": list(reference.left_out),
        "label_loss": state.losses,
        "expected": expected,
        "batches": list(reference.batches),
        "held_out": _held_out_rates(quantiles, alpha),
        "versions": versions(),
    }
    logger.info(
        "%s: %d of %d cells, by counts in %s on %d shared genes and %d labels%s",
        key_added, int(novel.sum()), adata.n_obs, layer or "X", len(genes), len(reference.labels),
        f" (left out, with few cells: {list(reference.left_out)})" if reference.left_out else "",
    )  # fmt: skip
    return adata if copy else None


def _shared_genes(adata: AnnData, reference: AnnData | LabelProfiles) -> list[str]:
    names = reference.genes if isinstance(reference, LabelProfiles) else tuple(map(str, reference.var_names))
    for which, cells in (("query", adata), ("reference", reference)):
        if not isinstance(cells, LabelProfiles) and not cells.var_names.is_unique:
            message = f"names of genes are not unique in the {which}: {which}.var_names_make_unique()"
            raise ValueError(message)
    own = set(map(str, adata.var_names))
    shared = [gene for gene in names if gene in own]
    if len(shared) < _FEWEST_GENES:
        all_of_one = len(shared) == min(len(names), len(own))
        advice = "pass cells with all measured genes" if all_of_one else "see sp.pp.match_gene_names"
        message = f"query and reference share {len(shared)} of {len(names)} genes, fewer than {_FEWEST_GENES}: {advice}"
        raise ValueError(message)
    return shared


def _explained(cells: Pools, profiles: NDArray, expected: NDArray, rng: int) -> Explanation:
    n = cells.counts.shape[0]
    rows = np.arange(n) if n <= _SAMPLE else np.sort(np.random.default_rng(rng).choice(n, _SAMPLE, replace=False))
    state = explain(cells.logs(rows), profiles, expected)
    reached = (expected - state.losses)[state.present]
    if not len(reached) or reached.max() < _HARDLY:
        message = (
            "no label of the reference explains any group of the query: are the genes' names, the species, the layer "
            "right?"
        )
        warn(message, UserWarning, stacklevel=4)
    return state


def _evaluated(cells: Pools, state: Explanation) -> tuple[NDArray, NDArray]:
    n = cells.counts.shape[0]
    parts = [state.evaluate(cells.logs(slice(start, start + _BLOCK))) for start in range(0, n, _BLOCK)]
    return np.concatenate([loss for loss, _ in parts]), np.concatenate([label for _, label in parts])


def _held_out_rates(quantiles: NDArray, alpha: float) -> NDArray:
    """Return the share of each held-out batch above the threshold that the OTHER batches set, NaN for a single one."""
    rates = np.full(len(quantiles), np.nan)
    for one in range(len(quantiles)) if len(quantiles) > 1 else ():
        rates[one] = (quantiles[one] > np.quantile(np.delete(quantiles, one, axis=0), 1 - alpha)).mean()
    return rates


def _clusters(cells: Pools, novel: NDArray) -> NDArray[np.int64]:
    """Return clusters most of whose cells are novel, numbered from the largest, -1 for other cells."""
    clusters = propagate(symmetric_graph(cells.neighbors.indices), max_sweeps=150, rng=0).labels
    mostly = np.bincount(clusters, novel) / np.bincount(clusters) > 0.5
    return np.where(mostly, np.cumsum(mostly) - 1, -1)[clusters]  # type: ignore[no-any-return]


def _columns(key: str, labels: tuple[str, ...], label: NDArray, clusters: NDArray) -> dict[str, Any]:
    names = [f"{key} {number + 1}" for number in range(clusters.max() + 1)]
    return {
        _keys.novel_label(key): pd.Categorical.from_codes(label.tolist(), categories=pd.Index(labels)),
        _keys.novel_cluster(key): pd.Categorical.from_codes(
            clusters.tolist(), categories=pd.Index(names, dtype=object)
        ),
    }

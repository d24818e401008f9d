"""Compute label profiles of a reference, and their agreement with held-out batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import column_of, counts_layer, counts_of, names_of, without_label
from scarches_plus._label_profiles import FEWEST_CELLS, N_QUANTILES, LabelProfiles
from scarches_plus._logging import logger
from scarches_plus.pp import require_counts

from ._novelty._contrasts import correlations, explain
from ._novelty._pools import FLOOR, pooled

if TYPE_CHECKING:
    from collections.abc import Collection

    from anndata import AnnData
    from numpy.typing import NDArray

#: A batch with fewer cells of a label says nothing about it.
_FEW = 5
#: A batch with fewer cells in all is not held out.
_BATCH = 50
#: Cells of a batch that are held out at most.
_HELD_OUT = 1500
#: A label's expected agreement is this quantile over its cells.
_QUANTILE = 0.8
#: It is drawn to the expected agreement of all labels as if by so many further cells.
_PRIOR = 30
_QUANTILES = np.linspace(0, 1, N_QUANTILES)
_SHALLOWEST = 250.0


def label_profiles(
    adata: AnnData,
    labels_key: str,
    batch_key: str,
    *,
    layer: str | None = None,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    depth: float | None = None,
    min_cells: int = FEWEST_CELLS,
    rng: int = 0,
) -> LabelProfiles:
    """Summarise the labels of a reference, and hold out its batches one by one to see how well they agree.

    The result holds no cell and can travel with a model (:func:`scarches_plus.hub.save_bundle`): :func:`detect_novel`
    takes it in the place of the reference.

    Parameters
    ----------
    adata
        Reference cells with raw counts.
    labels_key, batch_key
        ``obs`` columns of labels and of batches. Cells without a label are left out.
    layer
        Layer with raw counts; ``None`` means ``X``.
    unknown_category
        Name of cells without a label.
    unlabelled
        Words that are no label of the reference, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    depth
        Counts of a cell to thin held-out cells to. ``None``: the reference's own median, and a half, a quarter, ... of
        it down to 250, so that the result serves queries of any depth.
    min_cells
        Labels with fewer cells are left out. Bundles take profiles of labels with at least 20 cells only.
    rng
        Seed of thinning and of the draw of at most 1,500 cells of a batch.

    Returns
    -------
    LabelProfiles

    Raises
    ------
    KeyError
        If a column or the layer is missing.
    ValueError
        If counts are negative or not finite, a labelled cell has no batch, there are fewer than two labels, or no batch
        with 50 cells of two labels that other batches have.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Notes
    -----
    In a reference of one batch random halves stand in for batches: losses then know of no batch effect, and more known
    cells of a query are called novel than asked for.
    """
    from scarches_plus.model import as_text

    check.cells("adata", adata)
    check.texts(labels_key=labels_key, batch_key=batch_key, unknown_category=unknown_category)
    check.distinct(labels_key=labels_key, batch_key=batch_key)
    check.texts_or_none(layer=layer)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    depth = None if depth is None else check.number("depth", depth, above=0)
    min_cells = check.whole("min_cells", min_cells, least=1)
    check.seed("rng", rng, generator=False)
    column_of(adata.obs, batch_key)
    names = pd.Series(names_of(column_of(adata.obs, labels_key)), dtype=object)
    where = f"obs[{labels_key!r}]"
    kept = ~without_label(names.to_numpy(), unlabelled, always=[unknown_category], where=where)
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
    require_counts(adata, layer, batch_key=batch_key)
    counts = sparse.csr_matrix(counts_of(adata, counts_layer(layer, None)), dtype=np.float32)[np.flatnonzero(kept)]
    batches = as_text(adata.obs[kept], batch_key)
    generator = np.random.default_rng(rng)
    if len(set(batches)) == 1:
        batches = np.char.add("half ", generator.integers(1, 3, len(batches)).astype(str))
    cells = _Labelled(counts, codes, batches, len(labels))
    own = float(np.median(np.asarray(counts.sum(axis=1))))
    depths = _halvings(own) if depth is None else np.array([depth])
    held_out = [cells.hold_out(depth, own, generator) for depth in depths]
    if not held_out[0][2]:
        message = (
            f"no batch in obs[{batch_key!r}] has {_BATCH} cells of two labels that other batches have too: nothing can "
            "be held out. Pass another batch_key, or a reference with more cells"
        )
        raise ValueError(message)
    return LabelProfiles(
        labels=tuple(str(label) for label in labels),
        genes=tuple(map(str, adata.var_names)),
        logs=cells.profiles(),
        depths=depths,
        expected=np.array([expected for expected, _, _ in held_out]),
        losses=np.array([losses for _, losses, _ in held_out]),
        batches=held_out[0][2],
        n_cells=np.bincount(codes),
        left_out=tuple(map(str, left_out)),
    )


def _halvings(depth: float) -> NDArray:
    n = max(0, int(np.log2(depth / _SHALLOWEST))) if depth > _SHALLOWEST else 0
    return depth / 2.0 ** np.arange(n, -1, -1)


@dataclass(frozen=True, eq=False)
class _Labelled:
    """Labelled cells of a reference."""

    counts: sparse.csr_matrix
    codes: NDArray
    batches: NDArray
    n_labels: int

    def profiles(self, without: str | None = None) -> NDArray:
        """Return the mean log expression of labels over batches, NaN for labels that are left without cells."""
        shares = sparse.diags(1 / np.maximum(np.asarray(self.counts.sum(axis=1)).ravel(), 1)) @ self.counts
        profiles = np.full((self.n_labels, self.counts.shape[1]), np.nan, dtype=np.float32)
        for label in range(self.n_labels):
            of_label = (self.codes == label) & (self.batches != without)
            names, sizes = np.unique(self.batches[of_label], return_counts=True)
            groups = [of_label & (self.batches == name) for name in names[sizes >= _FEW]]
            if not groups and without is None:
                groups = [of_label]
            if groups:
                means = [np.asarray(shares[np.flatnonzero(group)].mean(axis=0)).ravel() for group in groups]
                profiles[label] = np.mean(np.log(np.array(means) + FLOOR), axis=0)
        return profiles

    def hold_out(
        self, depth: float, own_depth: float, generator: np.random.Generator
    ) -> tuple[NDArray, NDArray, tuple[str, ...]]:
        """Return expected agreement, quantiles of losses by batch, and the batches, at a depth."""
        folds = []
        agreement: list[list[NDArray]] = [[] for _ in range(self.n_labels)]
        for name in np.unique(self.batches):
            rows = np.flatnonzero(self.batches == name)
            if len(rows) > _HELD_OUT:
                rows = np.sort(generator.choice(rows, _HELD_OUT, replace=False))
            thinned = _thin(self.counts[rows], min(1.0, depth / own_depth), generator)
            seen = np.flatnonzero(np.asarray(thinned.sum(axis=1)).ravel() > 0)
            rows, thinned = rows[seen], thinned[seen]
            others = self.profiles(without=name)
            known = ~np.isnan(others[:, 0])
            codes = self.codes[rows]
            present = [one for one in np.flatnonzero(known) if (codes == one).sum() >= _FEW]
            if len(rows) < _BATCH or len(present) < 2:
                continue
            pool = pooled(thinned)
            logs = pool.logs()
            center = np.mean([logs[codes == one].mean(axis=0) for one in present], axis=0)
            contrasts = others[present] - others[present].mean(axis=0)
            correlation = correlations(logs - center, contrasts)
            for column, one in enumerate(present):
                agreement[one].append(correlation[codes == one, column])
            folds.append((str(name), pool, logs, others, np.flatnonzero(known), codes))
        if not folds:
            return np.zeros(self.n_labels), np.zeros((0, len(_QUANTILES))), ()
        expected = _shrunken(agreement)
        losses = []
        for _, pool, logs, others, known, codes in folds:
            state = explain(logs, others[known], expected[known])
            loss = pool.smooth(state.evaluate(logs)[0]) - state.least_loss
            losses.append(np.quantile(loss[np.isin(codes, known)], _QUANTILES))
        return expected, np.array(losses), tuple(name for name, *_ in folds)


def _thin(counts: sparse.csr_matrix, share: float, generator: np.random.Generator) -> sparse.csr_matrix:
    """Keep each count with a probability."""
    if share >= 1:
        return counts
    kept = generator.binomial(np.rint(counts.data).astype(np.int64), share).astype(np.float32)
    thinned = sparse.csr_matrix((kept, counts.indices, counts.indptr), counts.shape)
    thinned.eliminate_zeros()
    return thinned


def _shrunken(agreement: list[list[NDArray]]) -> NDArray:
    """Return each label's expected agreement, drawn towards the median of all labels where it has few cells."""
    values = [np.concatenate(parts) if parts else np.zeros(0) for parts in agreement]
    own = np.array([np.quantile(part, _QUANTILE) if len(part) else np.nan for part in values])
    common = np.nanmedian(own)
    sizes = np.array([len(part) for part in values])
    return (sizes * np.where(np.isnan(own), common, own) + _PRIOR * common) / (sizes + _PRIOR)  # type: ignore[no-any-return]

"""Find novel cells: from counts and label profiles to a verdict. No AnnData."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus.tl._groups._propagate import propagate, symmetric_graph

from ._evidence import Evidence, expected_agreement, weigh
from ._gene_weights import gene_weights, informative, usual_batch_variance
from ._pools import POOL, Pools, cluster_logs, pooled
from ._verdict import LEAST_AGREEMENT, LEAST_CONTRAST, novelty, query_shift, threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse

    from scarches_plus._label_profiles import LabelProfiles

#: Pools that examples of labels are found from.
_SAMPLE = 5000
#: Pools that are looked at in one step.
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Found:
    """Hold novelty scores, labels and the verdict on a query.

    Attributes
    ----------
    score
        Novelty, shape ``(n_cells,)``.
    novel
        Is it above the threshold, shape ``(n_cells,)``; nowhere where nothing could be judged.
    label, cluster
        Position of the best label, and number of the cluster of novel cells, -1 for none, shape ``(n_cells,)``.
    judged
        Has the query enough contrasts?
    contrast, agreement, expected, shift, threshold
        How much contrast it has, median agreement of its matched clusters with their labels and of the reference's
        batches with one another, agreement that its best cells lack, and novelty above which cells are novel.
    false_calls
        Shares of known cells called novel in nine of ten scenarios.
    hidden
        Label to the label that cells of the first would be taken for if the reference lacked it.
    """

    score: NDArray[np.float64]
    novel: NDArray[np.bool_]
    label: NDArray[np.int64]
    cluster: NDArray[np.int64]
    judged: bool
    contrast: float
    agreement: float
    expected: float
    shift: float
    threshold: float
    false_calls: tuple[float, float]
    hidden: dict[int, int]

    def among(self, rows: NDArray, n_cells: int) -> Found:
        """Return what was found in some rows of more cells; the others have no score, no label and no cluster."""

        def spread(values: NDArray, nothing: float) -> NDArray:
            whole = np.full(n_cells, nothing, dtype=values.dtype)
            whole[rows] = values
            return whole

        return replace(
            self,
            score=spread(self.score, np.nan),
            novel=spread(self.novel, False),  # noqa: FBT003
            label=spread(self.label, -1),
            cluster=spread(self.cluster, -1),
        )

    def record(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return what is written beside the columns, plain."""
        low, high = self.false_calls
        names = ("judged", "contrast", "agreement", "expected", "shift", "threshold")
        return {name: getattr(self, name) for name in names} | {
            "called": float(self.novel.mean()),
            "false_calls": {"low": low, "high": high},
            "may_hide": {
                "label": [labels[one] for one in self.hidden],
                "among": [labels[one] for one in self.hidden.values()],
            },
        }


def find_novel(counts: sparse.csr_matrix, profiles: LabelProfiles, alpha: float, rng: int) -> Found:
    """Find the cells of a query that no label explains.

    Parameters
    ----------
    counts
        Raw counts, cells x genes.
    profiles
        Labels on the same genes.
    alpha
        Share of known cells that may be called novel.
    rng
        Seed.
    """
    labels = profiles.over_batches()
    within, between_batches = profiles.within_variance(), profiles.batch_variance()
    one_batch = not between_batches.any()
    if one_batch:
        between_batches = usual_batch_variance(within)
    weights = gene_weights(labels, between_batches, within)
    genes = informative(labels, weights)
    pools = pooled(counts).on_genes(genes)
    labels, weights = labels[:, genes], weights[genes]
    expected = expected_agreement(profiles.logs[:, genes], profiles.of_label, profiles.of_batch, len(labels), weights)
    clusters, sizes = cluster_logs(pools, rng)
    evidence = weigh(
        pools.logs(_sample(len(pools.totals), rng)), clusters, sizes, labels=labels,
        variances=profiles.variances[:, genes], expected=expected, weights=weights, pool_size=POOL + 1,
    )  # fmt: skip
    missing, label = _evaluated(pools, evidence)
    missing = pools.smooth(missing)
    shift = query_shift(missing, label)
    limit, low, high = threshold(alpha, one_batch=one_batch)
    found = Found(
        score=novelty(missing, shift, evidence.typical),
        novel=np.zeros(len(missing), dtype=bool),
        label=np.full(len(missing), -1),
        cluster=np.full(len(missing), -1),
        judged=evidence.contrast >= LEAST_CONTRAST and evidence.typical >= LEAST_AGREEMENT * expected.mean(),
        contrast=evidence.contrast,
        agreement=evidence.typical,
        expected=float(expected.mean()),
        shift=shift,
        threshold=limit,
        false_calls=(low, high),
        hidden={},
    )
    if not found.judged:
        return found
    present, lacking, stand_in = evidence.stand_ins()
    called = novelty(lacking, shift, evidence.typical) > limit
    novel = found.score > limit
    return replace(
        found,
        novel=novel,
        label=label,
        cluster=_clusters(pools, novel),
        hidden=dict(zip(present[~called].tolist(), stand_in[~called].tolist(), strict=True)),
    )


def _sample(n: int, rng: int) -> NDArray[np.int64]:
    if n <= _SAMPLE:
        return np.arange(n)
    return np.sort(np.random.default_rng(rng).choice(n, _SAMPLE, replace=False))


def _evaluated(pools: Pools, evidence: Evidence) -> tuple[NDArray, NDArray]:
    starts = range(0, len(pools.totals), _BLOCK)
    parts = [evidence.evaluate(pools.logs(slice(start, start + _BLOCK))) for start in starts]
    return np.concatenate([missing for missing, _ in parts]), np.concatenate([label for _, label in parts])


def _clusters(pools: Pools, novel: NDArray) -> NDArray[np.int64]:
    """Return clusters most of whose cells are novel, numbered from the largest, -1 for other cells."""
    clusters = propagate(symmetric_graph(pools.neighbors.indices), max_sweeps=150, rng=0).labels
    mostly = np.bincount(clusters, novel) / np.bincount(clusters) > 0.5
    return np.where(mostly, np.cumsum(mostly) - 1, -1)[clusters]  # type: ignore[no-any-return]

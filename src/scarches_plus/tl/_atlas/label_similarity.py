"""Compare the labels of two atlases by their expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._label_profiles import LabelProfiles, on_genes
from scarches_plus._reference_summary import ReferenceSummary
from scarches_plus.tl._novelty._gene_weights import gene_weights, informative, usual_batch_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST_GENES = 50
#: Rounds in which centres are made of the labels that match; they settle in two or three.
_ROUNDS = 5


def label_similarity(
    first: LabelProfiles | ReferenceSummary, second: LabelProfiles | ReferenceSummary, *, n_genes: int = 1000
) -> pd.DataFrame:
    """Correlate every label of one atlas with every label of another, by expression alone.

    Compared are contrasts: a label's mean log expression less the mean over the labels that both atlases have, so that
    shifts between studies, technologies or species that all labels share drop out. Labels are taken to be in both where
    each is the other's best match; this is repeated until it settles.

    Parameters
    ----------
    first, second
        Profiles of labels (:func:`label_profiles`), or summaries that hold them (:func:`reference_summary`,
        :func:`scarches_plus.hub.load_summary`), with genes under the same names
        (:func:`scarches_plus.pp.map_orthologs` for another species). No cells are needed.
    n_genes
        Compare on so many of the shared genes, those that tell the labels of both best apart across batches.

    Returns
    -------
    pandas.DataFrame
        Pearson correlation weighted by gene, from -1 to 1, labels of ``first`` x labels of ``second``.
        ``attrs["matches"]`` lists the pairs that are each other's best match, the most similar first.

    Raises
    ------
    ValueError
        If fewer than 50 genes are shared, an atlas has fewer than three labels, or a summary has no profiles.
    TypeError
        If an argument is of another kind.

    Notes
    -----
    A label without a partner has a best match all the same: look at how similar it is, and whether it is mutual.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(900, 300, n_types=5, rng=0)
    >>> of = adata.obs["batch"] == "batch0"
    >>> one, other = (sp.tl.label_profiles(adata[some], "cell_type", "batch") for some in (of, ~of))
    >>> table = sp.tl.label_similarity(one, other)
    >>> (table.idxmax(axis=1) == table.index).all()
    np.True_
    """
    n_genes = check.whole("n_genes", n_genes, least=_FEWEST_GENES)
    atlases = [_profiles(name, given) for name, given in (("first", first), ("second", second))]
    shared = pd.Index(atlases[0].genes).intersection(pd.Index(atlases[1].genes), sort=False)
    if len(shared) < _FEWEST_GENES:
        message = (
            f"the atlases share {len(shared)} of {len(atlases[0].genes)} and {len(atlases[1].genes)} genes, fewer than "
            f"{_FEWEST_GENES}: give genes the same names with sp.pp.match_gene_names or sp.pp.map_orthologs"
        )
        raise ValueError(message)
    atlases = [on_genes(one, pd.Index(one.genes).get_indexer(shared)) for one in atlases]
    weights = np.sqrt(np.prod([_weights(one) for one in atlases], axis=0))
    logs = [one.over_batches() for one in atlases]
    spread = np.concatenate([one - one.mean(axis=0) for one in logs])
    genes = informative(spread, weights, n_genes)
    values, pairs = correlated_contrasts(logs[0][:, genes], logs[1][:, genes], weights[genes])
    table = pd.DataFrame(values, index=list(atlases[0].labels), columns=list(atlases[1].labels))
    order = sorted(pairs, key=lambda pair: -values[pair])
    table.attrs["matches"] = [(table.index[i], table.columns[j]) for i, j in order]
    return table


def correlated_contrasts(
    first: NDArray, second: NDArray, weights: NDArray
) -> tuple[NDArray[np.float64], list[tuple[int, int]]]:
    """Correlate contrasts of labels, centred on those that match, and return the pairs that do.

    Parameters
    ----------
    first, second
        Log expression, shapes ``(n_first, n_genes)`` and ``(n_second, n_genes)``.
    weights
        Of genes, shape ``(n_genes,)``.
    """
    chosen = np.arange(len(first)), np.arange(len(second))
    for _ in range(_ROUNDS):
        values = _correlations(
            (first - first[chosen[0]].mean(axis=0)) * weights, (second - second[chosen[1]].mean(axis=0)) * weights
        )
        best = values.argmax(axis=1)
        rows = np.flatnonzero(values.argmax(axis=0)[best] == np.arange(len(first)))
        pairs = [(int(i), int(best[i])) for i in rows]
        matched = rows, best[rows]
        if len(rows) < 2 or all(np.array_equal(*one) for one in zip(matched, chosen, strict=True)):
            break
        chosen = matched
    return values, pairs


def _correlations(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    parts = [one - one.mean(axis=1, keepdims=True) for one in (first, second)]
    lengths = [np.maximum(np.linalg.norm(one, axis=1, keepdims=True), np.finfo(float).tiny) for one in parts]
    return (parts[0] / lengths[0]) @ (parts[1] / lengths[1]).T  # type: ignore[no-any-return]


def _weights(profiles: LabelProfiles) -> NDArray[np.float64]:
    within = profiles.within_variance()
    batch = profiles.batch_variance()
    batch = batch if batch.any() else usual_batch_variance(within)
    return gene_weights(profiles.over_batches(), batch, within)


def _profiles(name: str, given: LabelProfiles | ReferenceSummary) -> LabelProfiles:
    profiles = given.profiles if isinstance(given, ReferenceSummary) else given
    if isinstance(given, ReferenceSummary) and profiles is None:
        message = f"{name} is a summary without profiles of labels: make it with sp.tl.reference_summary"
        raise ValueError(message)
    if not isinstance(profiles, LabelProfiles):
        message = (
            f"{name} must be label profiles (sp.tl.label_profiles) or a summary (sp.tl.reference_summary), not "
            f"{check.shown(given)}"
        )
        raise TypeError(message)
    if len(profiles.labels) < 3:
        message = f"{name} has {len(profiles.labels)} labels, and contrasts need three or more"
        raise ValueError(message)
    return profiles

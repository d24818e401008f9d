"""Compute a metric for several numbers of neighbours from one kNN search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._neighbors import dense
from scarches_plus.metrics._shared._nearest import nearest_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray


def over_k(
    metric: Callable[..., float | NDArray[np.float64] | pd.Series],
    embedding: ArrayLike,
    arguments: Sequence[ArrayLike] = (),
    *,
    ks: Iterable[int] = (10, 20, 30, 50, 100, 200, 300, 500),
    neighbors: ArrayLike | None = None,
) -> pd.Series:
    """Curve of a metric over the number of neighbours, from one search.

    Parameters
    ----------
    metric
        Function that takes the embedding, then `arguments`, ``k`` and ``neighbors``, and returns a number or one per
        cell or label, of which the mean is taken, NaN left out. For further parameters use :func:`functools.partial`.
    embedding
        Shape ``(n, d)``.
    arguments
        What the metric takes after the embedding: ``[batches]``, ``[labels]``, ``[batches, labels]``.
    ks
        Numbers of nearest other cells.
    neighbors
        Indices of the nearest other cells of every cell, nearest first, shape ``(n, at least the largest k)``, if they
        are known already. Must not contain the cell itself.

    Returns
    -------
    The score at each of `ks`, in their order.

    Raises
    ------
    ValueError
        If `ks` is empty, the largest exceeds the other cells, and as the metric.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Examples
    --------
    >>> sp.metrics.over_k(sp.metrics.entropy_batch_mixing, embedding, [batches], ks=(15, 25, 50, 100, 200, 300))

    References
    ----------
    scANVI (Xu et al. 2019) draws such curves for 10 to 500 neighbours, scArches (Lotfollahi et al. 2020) for 15 to 300.
    """
    if not callable(metric):
        message = f"metric must be a function of sp.metrics, not {check.shown(metric)}"
        raise TypeError(message)
    arguments = check.names("arguments", arguments, of=object)
    wanted = [check.whole("ks", k, least=1) for k in check.names("ks", ks, of=object, least=1)]
    n_others = len(dense(embedding)) - 1
    if max(wanted) > n_others:
        message = f"ks asks for {max(wanted)} neighbours and a cell has {n_others} others: leave out larger values"
        raise ValueError(message)
    indices = nearest_others(embedding, max(wanted), neighbors)
    found = [np.ravel(np.asarray(metric(embedding, *arguments, k=k, neighbors=indices))) for k in wanted]
    scores = [float(pd.Series(values).mean()) for values in found]
    return pd.Series(scores, index=pd.Index(wanted, name="k"), name=getattr(metric, "__name__", None))

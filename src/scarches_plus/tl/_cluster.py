"""Cluster cells by their embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args
from warnings import warn

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import require_writable
from scarches_plus._neighbors import dense, nearest_within

from ._groups._propagate import by_size, propagate, symmetric_graph
from ._provenance._embedding_record import copy_of, record_of, versions

if TYPE_CHECKING:
    from anndata import AnnData

Method = Literal["label_propagation", "kmeans"]
METHODS: tuple[str, ...] = get_args(Method)
#: In ``uns["scarches_plus"]``: ``obs`` column to how its clusters were found.
_CLUSTERS = "clusters"


def cluster(
    adata: AnnData,
    *,
    method: Method = "label_propagation",
    use_rep: str = _keys.EMBEDDING,
    k: int = 50,
    n_clusters: int | None = None,
    max_sweeps: int = 150,
    rng: int | np.random.Generator | None = 0,
    key_added: str = "cluster",
    copy: bool = False,
) -> AnnData | None:
    """Cluster cells by label propagation to convergence, or by k-means.

    Parameters
    ----------
    adata
        Cells with an embedding. Receives ``obs[key_added]``, categorical, named ``"0"``, ``"1"``, ... from the largest,
        and a record in ``uns["scarches_plus"]["clusters"][key_added]``.
    method
        ``"label_propagation"`` on the graph of nearest neighbours finds the number of clusters itself; ``"kmeans"`` of
        scikit-learn takes it.
    use_rep
        ``obsm`` slot of the embedding.
    k
        Label propagation: number of neighbours, all other cells of a smaller data set. Two cells are joined if one is
        among the nearest of the other.
    n_clusters
        k-means: number of clusters. ``None`` takes as many as label propagation found in the same embedding.
    max_sweeps
        Sweeps over the cells at most, iterations in k-means.
    rng
        Seed or generator; the same seed gives the same clusters. ``None`` draws a fresh seed.
    key_added
        ``obs`` column of the clusters.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    KeyError
        If there is no such embedding.
    ValueError
        If there is no such method, a number is out of range, coordinates are not finite or sparse, or it is open how
        many clusters k-means shall find.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        If clusters would still change after ``max_sweeps``.

    Notes
    -----
    Label propagation depends on the order in which cells are visited, so another seed gives other clusters where types
    are not well apart. :func:`cluster_agreement` says how different.

    References
    ----------
    Raghavan, Albert and Kumara 2007; BA-scVI (Díaz-Mejía et al. 2025), Methods: ``k = 50``, as many clusters and at
    most 150 iterations for k-means.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(1000, n_types=3)
    >>> model = sp.tl.build_reference(adata, "batch", recipe="scvi")
    >>> sp.tl.cluster(adata)
    >>> sp.tl.cluster(adata, method="kmeans", key_added="kmeans")
    >>> agreement = sp.tl.cluster_agreement(adata, ["cluster", "kmeans"], "cell_type")
    """
    check.cells("adata", adata)
    check.choice("method", method, METHODS)
    check.texts(use_rep=use_rep)
    k = check.whole("k", k, least=1)
    n_clusters = None if n_clusters is None else check.whole("n_clusters", n_clusters, least=1)
    max_sweeps = check.whole("max_sweeps", max_sweeps, least=1)
    check.seed("rng", rng)
    check.slot("key_added", key_added)
    check.flags(copy=copy)
    require_writable(adata, copy=copy)
    if use_rep not in adata.obsm:
        message = (
            f"embedding {use_rep!r} not found in adata.obsm, which holds {sorted(adata.obsm)}; name one with "
            "`use_rep=`, or embed the cells first: sp.tl.embed(adata, model)"
        )
        raise KeyError(message)
    embedding = dense(adata.obsm[use_rep], f"adata.obsm[{use_rep!r}]")
    record: dict[str, Any] = {"method": method, "use_rep": use_rep, "max_sweeps": max_sweeps}
    if method == "kmeans":
        labels, found = _kmeans(embedding, _n_clusters(adata, use_rep, n_clusters), max_sweeps, rng)
    elif n_clusters is not None:
        message = "label propagation finds the number of clusters itself: leave n_clusters out, or use method='kmeans'"
        raise ValueError(message)
    else:
        labels, found = _label_propagation(embedding, k, max_sweeps, rng)
    if not found["converged"]:
        message = f"{method} did not converge in {max_sweeps} sweeps, clusters would still change: raise max_sweeps"
        warn(message, UserWarning, stacklevel=2)

    adata = copy_of(adata) if copy else adata
    _write(adata, key_added, labels)
    record |= found | {"n_clusters": int(labels.max()) + 1, "versions": versions()}
    if isinstance(rng, int | np.integer):
        record["seed"] = int(rng)
    if "space" in (embedded := record_of(adata, use_rep)):
        record["space"] = embedded["space"]
    adata.uns.setdefault(_keys.UNS, {}).setdefault(_CLUSTERS, {})[key_added] = record
    return adata if copy else None


def _label_propagation(
    embedding: np.ndarray, k: int, max_sweeps: int, rng: int | np.random.Generator | None
) -> tuple[np.ndarray, dict[str, Any]]:
    if len(embedding) == 1:  # it has no neighbour
        return np.zeros(1, dtype=np.int64), {"k": 0, "sweeps": 0, "converged": True}
    k = min(k, len(embedding) - 1)
    graph = symmetric_graph(nearest_within(embedding, k).indices)
    found = propagate(graph, max_sweeps=max_sweeps, rng=rng)
    return found.labels, {"k": k, "sweeps": found.sweeps, "converged": found.converged}


def _kmeans(
    embedding: np.ndarray, n_clusters: int, max_sweeps: int, rng: int | np.random.Generator | None
) -> tuple[np.ndarray, dict[str, Any]]:
    from sklearn.cluster import KMeans

    if not 1 <= n_clusters <= len(embedding):
        message = f"n_clusters must lie between 1 and the number of cells, {len(embedding)}, not {n_clusters}"
        raise ValueError(message)
    seed = int(np.random.default_rng(rng).integers(2**31))
    model = KMeans(n_clusters, n_init=1, max_iter=max_sweeps, random_state=seed).fit(embedding)
    return by_size(model.labels_), {"sweeps": int(model.n_iter_), "converged": model.n_iter_ < max_sweeps}


def _n_clusters(adata: AnnData, use_rep: str, n_clusters: int | None) -> int:
    """Return the number of clusters asked for, else the one that label propagation found."""
    if n_clusters is not None:
        return n_clusters
    records = adata.uns.get(_keys.UNS, {}).get(_CLUSTERS, {})
    found = {
        key: int(record["n_clusters"])
        for key, record in records.items()
        if record["method"] == "label_propagation" and record["use_rep"] == use_rep
    }
    if len(set(found.values())) != 1:
        what = f"found {found}" if found else f"has not clustered obsm[{use_rep!r}] yet"
        message = f"k-means needs n_clusters: label propagation {what}"
        raise ValueError(message)
    return next(iter(found.values()))


def _write(adata: AnnData, key: str, labels: np.ndarray) -> None:
    names = pd.Index([str(i) for i in range(int(labels.max()) + 1)])
    adata.obs[key] = pd.Categorical.from_codes(labels.tolist(), categories=names)
    adata.uns.pop(_keys.colors(key), None)  # of other clusters

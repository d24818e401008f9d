"""Choose how neighbours are searched, and keep what takes long to build as plain arrays."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from scarches_plus._logging import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Method = Literal["exact", "faiss", "pynndescent", "cuml"]
METHODS: tuple[Method, ...] = get_args(Method)

#: Query cells x reference cells up to which the search is exact unless told otherwise: a million cells among
#: themselves. Measured in docs/guide/neighbors.md.
EXACT_PAIRS = 1e12

_CLASSES = {"exact": "Exact", "faiss": "Faiss", "pynndescent": "PyNNDescent", "cuml": "CuML"}
_INSTALL = {"faiss": "pip install 'scarches-plus[faiss]'", "cuml": "see https://docs.rapids.ai/install"}
_MOST_REGIONS = 2**16  # more than any method makes for 10^8 cells
_LOOKED_AT = 1000  # cells whose region tells whether an index is theirs
_AGREE = 0.99


class Searcher(Protocol):
    """Reference cells, ready to be searched.

    Made of cells of shape ``(n_reference, d)``, float32 or float64, a number of threads, and what :meth:`save` returned
    for the same cells, if it is at hand.
    """

    def __init__(
        self, reference: NDArray, n_jobs: int | None = None, saved: Mapping[str, NDArray] | None = None
    ) -> None: ...

    def save(self) -> dict[str, NDArray]:
        """Return what takes long to build: ``centers``, shape ``(n_regions, d)``, and ``regions``, of every cell.

        Plain arrays, which files of strangers may hold: wrong ones make a search slow or less complete, no more.
        Empty where a method has nothing of the kind.
        """
        ...

    def query(self, query: NDArray, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the `k` nearest reference cells, nearest first, and their distances in float64."""
        ...


def build_index(reference: NDArray, method: Method | Literal["auto"] = "auto", n_jobs: int | None = None) -> dict:
    """Return the index of some cells that :func:`searcher` takes: its method, and what :meth:`Searcher.save` gives."""
    method = choose(len(reference), len(reference)) if method == "auto" else method
    return {"method": method, **_class_of(method)(reference, n_jobs).save()}


def searcher(
    reference: NDArray, n_query: int, index: Mapping[str, Any] | None = None, n_jobs: int | None = None
) -> Searcher:
    """Return cells ready to be searched, by an index of theirs if there is one."""
    if index is not None and (why := _foreign(index, reference)):
        logger.warning("the neighbour index is left aside: %s; sp.tl.index_neighbors makes one anew", why)
        index = None
    if index is not None:
        try:
            made_by = _class_of(index["method"])
        except (ModuleNotFoundError, RuntimeError) as error:  # made where its library was
            logger.warning("the neighbour index is left aside: %s", error)
        else:
            return made_by(reference, n_jobs, index if "centers" in index else None)
    return _class_of(choose(n_query, len(reference)))(reference, n_jobs)


def choose(n_query: int, n_reference: int) -> Method:
    """Return how neighbours are searched unless told otherwise."""
    if n_query * n_reference <= EXACT_PAIRS:
        return "exact"
    method: Method = "faiss" if find_spec("faiss") and not _faiss_ends_process() else "pynndescent"
    logger.info("%d x %d pairs of cells: neighbours are approximate (%s)", n_query, n_reference, method)
    return method


def _faiss_ends_process() -> bool:
    """Return whether faiss would end this process: on macOS its OpenMP and torch's exclude each other."""
    return sys.platform == "darwin"


def _class_of(method: Method) -> type[Searcher]:
    if method == "faiss" and _faiss_ends_process():
        message = (
            "method='faiss' would end this process: on macOS the OpenMP of faiss clashes with torch's; "
            "choose 'exact' or 'pynndescent'"
        )
        raise RuntimeError(message)
    try:
        module = import_module(f"{__package__}._{method}")
    except ModuleNotFoundError as error:
        if method not in _INSTALL or (error.name or "").partition(".")[0] != method:
            raise
        message = f"method={method!r} needs {method}, which is not installed: {_INSTALL[method]}"
        raise ModuleNotFoundError(message, name=method) from error
    return getattr(module, _CLASSES[method])  # type: ignore[no-any-return]


def _foreign(index: Mapping[str, Any], reference: NDArray) -> str | None:
    """Return why an index cannot be that of some cells; ``None`` if it is."""
    if index.get("method") not in METHODS:
        return f"its method is {index.get('method')!r}"
    if "centers" not in index and "regions" not in index:
        return None
    centers, regions = (np.asarray(index.get(name, ())) for name in ("centers", "regions"))
    n, n_dims = reference.shape
    if centers.ndim != 2 or centers.shape[1] != n_dims or regions.shape != (n,):
        return f"it is of {len(regions)} cells, and there are {n}" if regions.ndim == 1 else "its shape is another"
    if regions.dtype.kind not in "iu" or not 0 <= regions.min() <= regions.max() < len(centers):
        return "it names regions that are not there"
    if len(centers) > _MOST_REGIONS:
        return f"it has {len(centers)} regions"
    if centers.dtype.kind != "f" or not np.isfinite(centers).all():
        return "its centres are not finite"
    rows = np.linspace(0, n - 1, min(n, _LOOKED_AT)).astype(int)
    cells, middle = reference[rows].astype(np.float64), centers.mean(axis=0, dtype=np.float64)
    scores = (cells - middle) @ (centers - middle).T - ((centers - middle) ** 2).sum(axis=1) / 2
    own = scores[np.arange(len(rows)), regions[rows]]
    tolerance = 1e-5 * abs(scores).max()
    if (own >= scores.max(axis=1) - tolerance).mean() < _AGREE:
        return "it is of other cells, or of these in another order"
    return None

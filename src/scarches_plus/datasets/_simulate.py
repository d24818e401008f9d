"""Simulate counts of cell types on a tree in several batches."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus import _limits

from ._sources._simulate_design import is_count, is_number, place_cells, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


#: Standard deviation over genes of the log program at the root.
_BASELINE = 1.0
#: Standard deviation of log depth over the cells of a batch.
_DEPTH_SPREAD = 0.3
#: Largest effect on the natural log scale.
_LARGEST_EFFECT = 100.0
#: Largest whole number below which float32 holds every other.
_LARGEST_COUNT = 2.0**24
#: Entries of the dense matrix held at a time.
_CHUNK = 2**20


def simulate(
    n_cells: int | Sequence[int] = 1000,
    n_genes: int = 500,
    n_types: int = 8,
    *,
    n_batches: int = 2,
    branching: int = 2,
    clades: Sequence[int] = (),
    type_effect: float = 0.3,
    batch_effect: float | Sequence[float] = 0.3,
    depth_effect: float = 0.3,
    type_shares: Mapping[str, float] | None = None,
    missing_types: Mapping[str, Sequence[str]] | None = None,
    trajectories: Mapping[tuple[str, str], float] | None = None,
    inverse_dispersion: float = 2.0,
    mean_depth: float = 1000.0,
    rng: int | np.random.Generator | None = 0,
) -> AnnData:
    r"""Simulate counts of cell types on a tree, in several batches, with everything known.

    The generative model is scVI's likelihood. Cell :math:`n` of type :math:`t` in batch :math:`b` has the counts

    .. math:: x_{ng} \sim \mathrm{NB}(\mu_{ng}, \theta), \qquad \mu_n = d_n \, \mathrm{softmax}(p_t + e_b)

    with mean :math:`\mu` and variance :math:`\mu + \mu^2 / \theta`. The log program :math:`p_t` is a baseline plus
    one normal draw per gene for every branch of the tree on the way from the root to the type, so types that part
    late are alike. The log batch effect :math:`e_b` is one normal draw per gene, and the depth :math:`d_n` is
    log-normal around the batch's depth (standard deviation 0.3 on the log scale).

    Parameters
    ----------
    n_cells
        Cells in all, spread evenly over the batches, or the cells of each batch.
    n_genes, n_types, n_batches
        How many genes, cell types (``"type0"``, ``"type1"``, ...) and batches (``"batch0"``, ...).
    branching
        Children of a node of the tree. ``branching >= n_types`` makes a flat tree.
    clades
        Nodes of each inner level instead, from the root, such as ``(39,)`` for types in 39 groups. Children are spread
        evenly.
    type_effect
        Standard deviation over genes of what one branch of the tree adds to the log program.
    batch_effect
        Standard deviation over genes of the log batch effects, for all batches or one per batch; 0 means none.
    depth_effect
        Log depth of the batches, spaced evenly from ``-depth_effect`` (first batch) to ``depth_effect`` (last) around
        ``mean_depth``; 0 means equally deep batches.
    type_shares
        Share of the cells for some types, such as ``{"type3": 0.01}`` for a rare one; the other types split the rest
        evenly. Shares hold in every batch to within one cell.
    missing_types
        Types to leave out of a batch, such as ``{"batch1": ["type0"]}``, along with the trajectories that touch them;
        the shares of the batch's other cells grow in proportion.
    trajectories
        Share of the cells that lie between two types, such as ``{("type0", "type1"): 0.2}``. Their pseudotime is
        uniform and interpolates the two log programs; their ``cell_type`` is the nearer end.
    inverse_dispersion
        :math:`\theta` of the negative binomial. Smaller is noisier.
    mean_depth
        Expected counts of a cell, in a batch without depth effect.
    rng
        Seed or generator; ``None`` draws a fresh seed. The same seed gives the same data with the same NumPy, and the
        programs depend on nothing else than ``n_genes``, ``n_types``, the tree and ``type_effect``: simulations
        that differ in cells or batches share their biology, and their first batches share their gene effects. A
        generator gives other data each time.

    Returns
    -------
    AnnData
        Counts as CSR float32 in ``X``, cells in random order, and the truth:

        - ``obs["cell_type"]``, ``obs["batch"]``; ``obs["clade_1"]``, ... for the inner levels of the tree, from the
          root; ``obs["depth"]`` for :math:`d_n`
        - ``obs["trajectory"]``, ``obs["pseudotime"]`` if there are trajectories, missing for cells on none
        - ``varm["log_programs"]`` (genes x types) and ``varm["log_batch_effects"]`` (genes x batches)
        - ``uns["simulate"]``: ``parents`` (node of the tree -> its parent, up to ``"root"``), ``levels`` (the ``obs``
          columns from coarse to fine) and ``parameters``

    Raises
    ------
    ValueError
        If an argument is out of range, names an unknown type or batch, or leaves a type without any cell.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(300, missing_types={"batch1": ["type0"]})
    >>> adata.shape
    (300, 500)
    """
    n_genes = check.whole("n_genes", n_genes, least=1, most=_limits.GENES)
    n_types = check.whole("n_types", n_types, least=1, most=_limits.ENTRIES // n_genes)
    n_batches = check.whole("n_batches", n_batches, least=1, most=_limits.ENTRIES // n_genes)
    branching = check.whole("branching", branching, least=2)
    check.number("type_effect", type_effect, least=0, most=_LARGEST_EFFECT)
    check.number("depth_effect", depth_effect, least=0, most=_LARGEST_EFFECT)
    check.number("inverse_dispersion", inverse_dispersion, above=0)
    check.number("mean_depth", mean_depth, above=0)
    clades = [check.whole("clades", size, least=1) for size in check.names("clades", clades, of=object)]
    if isinstance(n_cells, str) or not isinstance(n_cells, Iterable):
        n_cells = check.whole("n_cells", n_cells, least=1, most=_limits.ENTRIES // n_genes)
    else:
        listed = check.names("n_cells", n_cells, of=object, least=1)
        n_cells = [check.whole("n_cells", size, least=0, most=_limits.ENTRIES // n_genes) for size in listed]
    for name, given in {
        "type_shares": type_shares,
        "missing_types": missing_types,
        "trajectories": trajectories,
    }.items():
        check.mapping(name, given or {})
    for name, batches in (missing_types or {}).items():
        check.names(f"missing_types[{name!r}]", batches, or_one=True)
    check.seed("rng", rng)
    fix = f"lower it or depth_effect: mean_depth * exp(depth_effect) may not exceed {_LARGEST_COUNT:g}"
    require(mean_depth * np.exp(depth_effect) <= _LARGEST_COUNT, "mean_depth", mean_depth, fix)
    effect_of_batch = _per_batch(batch_effect, n_batches)
    sizes = [*clades, n_types]
    rising = sizes == sorted(sizes)
    require(rising, "clades", clades, f"pass whole numbers from 1 that do not fall, up to {n_types} types")
    program_rng, batch_rng, cell_rng, count_rng = _generator(rng).spawn(4)

    ancestors = _nested(sizes) if clades else _ancestors(n_types, branching)
    programs = _programs(ancestors, n_genes, type_effect, program_rng)
    batch_effects = effect_of_batch[:, None] * batch_rng.standard_normal((n_batches, n_genes))
    cells = place_cells(
        n_cells,
        n_types,
        n_batches,
        type_shares=type_shares or {},
        missing_types=missing_types or {},
        trajectories=trajectories or {},
        rng=cell_rng,
    )
    offset = np.linspace(-depth_effect, depth_effect, n_batches) if n_batches > 1 else np.zeros(1)
    spread = _DEPTH_SPREAD * cell_rng.standard_normal(len(cells.batch)) - _DEPTH_SPREAD**2 / 2
    depth = mean_depth * np.exp(offset[cells.batch] + spread)

    def means(rows: slice) -> np.ndarray:
        logits = programs[cells.start[rows]] + batch_effects[cells.batch[rows]]
        time = cells.time[rows, None]
        if time.any():
            logits += time * (programs[cells.end[rows]] - programs[cells.start[rows]])
        mu = np.exp(logits - logits.max(axis=1, keepdims=True))
        return mu * (depth[rows] / mu.sum(axis=1))[:, None]

    counts = _draw(means, (len(depth), n_genes), inverse_dispersion, count_rng)
    type_of_cell = np.where(cells.time < 0.5, cells.start, cells.end)
    node_names = [[f"clade{level}.{i}" for i in range(of.max() + 1)] for level, of in enumerate(ancestors[:-1], 1)]
    node_names.append(cells.types)
    levels = [f"clade_{level}" for level in range(1, len(ancestors))] + ["cell_type"]
    obs: dict[str, Any] = {
        level: _categorical(nodes[type_of_cell], names)
        for level, nodes, names in zip(levels, ancestors, node_names, strict=True)
    }
    obs |= {"batch": _categorical(cells.batch, cells.batches), "depth": depth}
    if cells.trajectories:
        obs["trajectory"] = _categorical(cells.trajectory, cells.trajectories)
        obs["pseudotime"] = np.where(cells.trajectory >= 0, cells.time, np.nan)
    genes = pd.Index([f"gene{i}" for i in range(n_genes)])
    return AnnData(
        X=counts,
        obs=pd.DataFrame(obs, index=pd.Index([f"cell{i}" for i in range(len(depth))])),
        var=pd.DataFrame(index=genes, columns=pd.Index([], dtype=str)),
        varm={
            "log_programs": pd.DataFrame(programs.T, index=genes, columns=cells.types),
            "log_batch_effects": pd.DataFrame(batch_effects.T, index=genes, columns=cells.batches),
        },
        uns={
            "simulate": {
                "levels": levels,
                "parents": _parents(ancestors, node_names),
                "parameters": {
                    "branching": branching,
                    "clades": list(clades),
                    "type_effect": type_effect,
                    "batch_effect": effect_of_batch,
                    "depth_effect": depth_effect,
                    "shares": cells.shares,
                    "inverse_dispersion": inverse_dispersion,
                    "mean_depth": mean_depth,
                },
            }
        },
    )


def _ancestors(n_types: int, branching: int) -> np.ndarray:
    """Return the node each type descends from, level by level below the root, shape ``(n_levels, n_types)``."""
    branching = max(2, min(branching, n_types))
    n_levels = 1
    while branching**n_levels < n_types:
        n_levels += 1
    leaf = np.arange(n_types) * branching**n_levels // n_types  # spread over the leaves of the full tree
    above = [leaf // branching ** (n_levels - level) for level in range(1, n_levels + 1)]
    return np.stack([np.unique(nodes, return_inverse=True)[1] for nodes in above])


def _nested(sizes: Sequence[int]) -> np.ndarray:
    """Return the same for so many nodes on every level."""
    nodes = [np.arange(sizes[-1])]
    for below, above in pairwise(reversed(sizes)):
        nodes.append(nodes[-1] * above // below)
    return np.stack(nodes[::-1])


def _parents(ancestors: np.ndarray, names: list[list[str]]) -> dict[str, str]:
    """Return the parent of every node."""
    parents: dict[str, str] = {}
    upper, upper_names = np.zeros_like(ancestors[0]), ["root"]
    for nodes, node_names in zip(ancestors, names, strict=True):
        parents |= {node_names[node]: upper_names[above] for node, above in zip(nodes, upper, strict=True)}
        upper, upper_names = nodes, node_names
    return parents


def _programs(ancestors: np.ndarray, n_genes: int, effect: float, rng: np.random.Generator) -> np.ndarray:
    """Return log programs: a baseline and the steps of all branches above a type, shape ``(n_types, n_genes)``."""
    programs = np.tile(_BASELINE * rng.standard_normal(n_genes), (ancestors.shape[1], 1))
    for nodes in ancestors:
        programs += effect * rng.standard_normal((nodes.max() + 1, n_genes))[nodes]
    return programs


def _draw(
    means: Callable[[slice], np.ndarray], shape: tuple[int, int], theta: float, rng: np.random.Generator
) -> sparse.csr_matrix:
    """Draw negative binomial counts around ``means(rows)``, holding few dense rows at a time."""
    n_cells, n_genes = shape
    step = max(1, _CHUNK // n_genes)
    data, indices, indptr = np.empty(0, np.float32), np.empty(0, np.int32), np.zeros(n_cells + 1, np.int64)
    for first in range(0, n_cells, step):
        last = min(first + step, n_cells)
        rates = means(slice(first, last))
        rates *= rng.standard_gamma(theta, size=rates.shape, dtype=np.float32)
        rates /= theta
        counts = rng.poisson(rates)
        present = np.flatnonzero(counts)
        indptr[first + 1 : last + 1] = indptr[first] + np.count_nonzero(counts, axis=1).cumsum()
        if indptr[last] > len(data):  # cells are in random order: the rows drawn tell how much room all will take
            room = int(1.02 * indptr[last] * n_cells / last) + 1
            data.resize(room, refcheck=False)
            indices.resize(room, refcheck=False)
        data[indptr[first] : indptr[last]] = counts.ravel()[present]
        indices[indptr[first] : indptr[last]] = present % n_genes
    data.resize(indptr[-1], refcheck=False)
    indices.resize(indptr[-1], refcheck=False)
    return sparse.csr_matrix((data, indices, indptr), shape=shape)


def _categorical(codes: np.ndarray, names: list[str]) -> Any:
    return pd.Categorical.from_codes(codes, pd.Index(names, dtype=str))


def _per_batch(batch_effect: float | Sequence[float], n_batches: int) -> np.ndarray:
    effects = list(batch_effect) if np.iterable(batch_effect) else [batch_effect] * n_batches
    valid = len(effects) == n_batches and all(_is_effect(effect) for effect in effects)
    fix = f"pass a number from 0 to {_LARGEST_EFFECT:g}, or one for each of {n_batches} batches"
    require(valid, "batch_effect", batch_effect, fix)
    return np.array(effects, dtype=np.float64)


def _is_effect(value: Any) -> bool:
    return is_number(value) and 0 <= value <= _LARGEST_EFFECT


def _generator(rng: int | np.random.Generator | None) -> np.random.Generator:
    valid = rng is None or isinstance(rng, np.random.Generator) or (is_count(rng) and rng >= 0)
    require(valid, "rng", rng, "pass a whole number of at least 0, a numpy.random.Generator or None")
    return np.random.default_rng(rng)

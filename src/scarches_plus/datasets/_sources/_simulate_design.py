"""Design a simulation: the number of cells of each type and trajectory in each batch."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Cells(NamedTuple):
    """Cells between a start and an end type; the two are the same, and time 0, for cells on no trajectory.

    The arrays have shape ``(n_cells,)`` and hold positions in the lists; ``trajectory`` is -1 for cells on none.
    """

    types: list[str]
    batches: list[str]
    trajectories: list[str]
    shares: dict[str, float]
    batch: np.ndarray
    start: np.ndarray
    end: np.ndarray
    time: np.ndarray
    trajectory: np.ndarray


def place_cells(
    n_cells: int | Sequence[int],
    n_types: int,
    n_batches: int,
    *,
    type_shares: Mapping[str, float],
    missing_types: Mapping[str, Sequence[str]],
    trajectories: Mapping[tuple[str, str], float],
    rng: np.random.Generator,
) -> Cells:
    """Check the arguments of ``simulate`` that name types and batches, and place the cells."""
    types = [f"type{i}" for i in range(n_types)]
    batches = [f"batch{i}" for i in range(n_batches)]
    sizes = _batch_sizes(n_cells, n_batches)
    shares = _shares(types, type_shares, trajectories)
    groups = list(shares)  # the types, then the trajectories
    ends = [(types.index(first), types.index(last)) for first, last in trajectories]
    start, end = np.array([*((i, i) for i in range(n_types)), *ends]).T
    missing = _missing(types, batches, missing_types)
    allowed = ~(missing[:, start] | missing[:, end])

    quota = _apportion(np.array(list(shares.values())) * allowed, sizes)
    empty = [name for name, total in zip(groups, quota.sum(axis=0), strict=True) if total == 0]
    fix = f"no cell is left for {empty}; raise it or their shares, and let no type be missing from every batch"
    require(not empty, "n_cells", n_cells, fix)

    order = rng.permutation(sizes.sum())
    group = np.repeat(np.tile(np.arange(len(groups)), n_batches), quota.ravel())[order]
    trajectory = np.where(group >= n_types, group - n_types, -1)
    return Cells(
        types=types,
        batches=batches,
        trajectories=groups[n_types:],
        shares=shares,
        batch=np.repeat(np.arange(n_batches), sizes)[order],
        start=start[group],
        end=end[group],
        time=np.where(trajectory >= 0, rng.random(len(order)), 0.0),
        trajectory=trajectory,
    )


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))


def require(valid: object, name: str, value: object, fix: str) -> None:
    """Raise a ``ValueError`` that names the argument, its value and the fix, unless ``valid``."""
    if not valid:
        message = f"{name}={value!r}: {fix}"
        raise ValueError(message)


def _batch_sizes(n_cells: Any, n_batches: int) -> np.ndarray:
    if is_count(n_cells):
        require(n_cells >= n_batches, "n_cells", n_cells, f"pass at least one cell for each of {n_batches} batches")
        return np.diff(np.arange(n_batches + 1) * int(n_cells) // n_batches)
    sizes = list(n_cells) if np.iterable(n_cells) else []
    valid = len(sizes) == n_batches and all(is_count(size) and size >= 1 for size in sizes)
    require(valid, "n_cells", n_cells, f"pass a whole number, or one of at least 1 for each of {n_batches} batches")
    return np.array(sizes, dtype=np.int64)


def _shares(
    types: list[str], type_shares: Mapping[str, float], trajectories: Mapping[tuple[str, str], float]
) -> dict[str, float]:
    """Return the share of every type, then of every trajectory."""
    for argument, shares in (("type_shares", type_shares), ("trajectories", trajectories)):
        for key, share in shares.items():
            require(is_number(share) and 0 < share <= 1, f"{argument}[{key!r}]", share, "pass a share in (0, 1]")
    for name in type_shares:
        require(name in types, "type_shares", name, f"name types among {types}")
    for ends in trajectories:
        known = isinstance(ends, tuple) and len(ends) == 2 and ends[0] != ends[1] and set(ends) <= set(types)
        require(known, "trajectories", ends, f"name a pair of different types among {types}")

    rest = 1.0 - sum(type_shares.values()) - sum(trajectories.values())
    unnamed = len(types) - len(type_shares)
    given: dict[Any, float] = {**type_shares, **trajectories}
    if unnamed:
        require(rest > 0, "type_shares and trajectories", given, f"let them sum to less than 1; {unnamed} types remain")
    else:
        require(abs(rest) < 1e-6, "type_shares and trajectories", given, "let them sum to 1; no other type remains")
    shares_of_types = {name: float(type_shares.get(name, rest / max(unnamed, 1))) for name in types}
    return shares_of_types | {f"{first}-{last}": float(share) for (first, last), share in trajectories.items()}


def _missing(types: list[str], batches: list[str], missing_types: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return which types each batch lacks, shape ``(n_batches, n_types)``."""
    missing = np.zeros((len(batches), len(types)), dtype=bool)
    for batch, lacks in missing_types.items():
        require(batch in batches, "missing_types", batch, f"name batches among {batches}")
        for name in [lacks] if isinstance(lacks, str) else lacks:
            require(name in types, f"missing_types[{batch!r}]", name, f"name types among {types}")
            missing[batches.index(batch), types.index(name)] = True
        require(
            not missing[batches.index(batch)].all(), f"missing_types[{batch!r}]", lacks, "leave it one type at least"
        )
    return missing


def _apportion(shares: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Round each batch's shares to whole cells, up or down as earlier batches fell short; ``(n_batches, n_groups)``."""
    targets = sizes[:, None] * shares / shares.sum(axis=1, keepdims=True)
    quota = np.floor(targets).astype(np.int64)
    short = np.zeros(shares.shape[1])
    for row, target, size in zip(quota, targets, sizes, strict=True):
        remainder = target - row
        short += remainder
        first = np.argsort(np.where(remainder > 0, -short, np.inf), kind="stable")[: size - row.sum()]
        row[first] += 1
        short[first] -= 1
    return quota

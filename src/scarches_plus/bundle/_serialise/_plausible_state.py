"""Check positions in a saved state against the weights and names that they index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus.model import STRATEGIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from scarches_plus._reference import ReferenceSpec
    from scarches_plus.model import ModelState, Surgery


def require_plausible_state(
    state: ModelState,
    spec: ReferenceSpec,
    weights: Mapping[str, Tensor],
    unmeasured_proteins: Mapping[str, Sequence[int]] | None = None,
) -> None:
    """Refuse a state whose positions of genes, proteins or columns are none.

    Parameters
    ----------
    state
        What a file remembers of a model.
    spec
        What its cells are like.
    weights
        Name to tensor.
    unmeasured_proteins
        Batch to positions of proteins.

    Raises
    ------
    ValueError
        If a position is beyond what it counts; the message names the field.
    """
    for batch, genes in state.unmeasured.items():
        _require_positions(f"unmeasured.{batch}", genes, len(spec.var_names))
    for batch, proteins in (unmeasured_proteins or {}).items():
        _require_positions(f"unmeasured_proteins.{batch}", proteins, len(spec.proteins))
    if state.surgery is not None:
        _require_surgery(state.surgery, weights)


def _require_surgery(surgery: Surgery, weights: Mapping[str, Tensor]) -> None:
    if surgery.strategy not in STRATEGIES:
        message = f"surgery.strategy: {surgery.strategy!r} is none of {STRATEGIES}"
        raise ValueError(message)
    for name, where in surgery.entries.items():
        if name not in weights:
            message = f"surgery.entries: {name!r} is no weight of the model"
            raise ValueError(message)
        if where is None:
            continue
        dim, columns = where
        _require_positions(f"surgery.entries.{name}", [dim], weights[name].ndim)
        _require_positions(f"surgery.entries.{name}", columns, weights[name].shape[dim])


def _require_positions(field: str, positions: Sequence[int], n: int) -> None:
    if len(positions) and not 0 <= min(positions) <= max(positions) < n:
        strange = min(positions) if min(positions) < 0 else max(positions)
        message = f"{field}: position {strange} is none of {n}"
        raise ValueError(message)

"""Teach a model's summary of labels further labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._logging import logger
from scarches_plus.train import summarize_reference

from ._copy_model import AnyModel, copy_model

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

    from scarches_plus.model._scanvi import SCANVI
    from scarches_plus.train import LatentSummary


def teach_summary(
    model: AnyModel, key: str, *, cells: AnnData | MuData, of_cells: NDArray, rng: int
) -> tuple[AnyModel, LatentSummary]:
    """Return a copy of a model whose summary also describes new labels, and what it says of these.

    Parameters
    ----------
    model
        Model of this package, which is not changed.
    key
        Name of the summary.
    cells
        Cells for the new model, if the old one has none.
    of_cells
        New label of each cell, ``None`` for those that have none.
    rng
        Seed.

    Raises
    ------
    ValueError
        If no label has enough cells.
    """
    extended = copy_model(model)
    if extended.adata is None:
        extended.take_cells(cells)
    return extended, _extend(extended, key, of_cells, rng)


def extend_summary(model: SCANVI, of_cells: NDArray, rng: int) -> None:
    """Add new labels to a model's summary of its labels, if it carries one.

    Parameters
    ----------
    model
        Model with the cells.
    of_cells, rng
        As in :func:`teach_summary`.
    """
    key, summaries = str(model.spec.labels_key), model.state.summaries
    if key not in summaries or summaries[key].space != model.state.space:
        return
    try:
        _extend(model, key, of_cells, rng)
    except ValueError as error:  # none has enough cells
        logger.warning("the summary of labels does not describe the new ones: %s", error)


def _extend(model: AnyModel, key: str, of_cells: NDArray, rng: int) -> LatentSummary:
    own = summarize_reference(model, key, labels=of_cells.tolist(), unlabelled=(), rng=rng, keep=False)
    summaries = model.state.summaries
    model.remember(summaries={**summaries, key: summaries[key].plus(own)})
    return own

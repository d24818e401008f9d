"""Store some reference cells with a model as anchors for penalties.

Penalties compare a query with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus.train._estimation._observe_cells import observe_cells
from scarches_plus.train._estimation._reference_model import require_model
from scarches_plus.train._penalties.penalty import LAYERS

from .anchors import Anchors

if TYPE_CHECKING:
    from scarches_plus.train._estimation._reference_model import ReferenceModel


def store_anchors(model: ReferenceModel, *, n_cells: int = 2000, rng: int | np.random.Generator = 0) -> Anchors:
    """Keep latent posteriors and hidden activations of some of a model's cells with the model.

    Cells are drawn from each batch alike. Counts are not kept, but anchors are data of single cells: a model that
    carries them tells more about its reference than one without. They belong to the model's latent space; once that
    moves, they are left behind.

    Parameters
    ----------
    model
        Reference model with its cells. It then carries the anchors through saving, loading and surgery.
    n_cells
        How many to keep, at most.
    rng
        Seed or generator of the choice.

    Returns
    -------
    Anchors
        What is kept.

    Raises
    ------
    ValueError
        If the model has no cells, or ``n_cells`` is not positive, or the latent distribution is not normal.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    require_model(model)
    n_cells = check.whole("n_cells", n_cells, least=1)
    check.seed("rng", rng)
    if model.adata is None:
        message = "anchors are taken from the model's cells, and this model came without them"
        raise ValueError(message)
    groupings = model.groupings
    batch = next(iter(groupings.values()))
    codes = np.asarray(model.adata_manager.get_from_registry(batch.tensor)).reshape(-1)
    rows = _drawn_alike(codes, n_cells, np.random.default_rng(rng))
    whole = observe_cells(model, rows, LAYERS)
    anchors = Anchors(
        z_mean=whole["z_mean"],
        z_var=whole["z_var"],
        library=whole["library"],
        activations={layer: whole[f"layer {layer}"] for layer in LAYERS},
        groups={name: whole[f"group {name}"] for name in groupings},
        space=model.state.space,
        continuous=whole.get("continuous"),
    )
    model.remember(anchors=anchors)
    return anchors


def _drawn_alike(codes: np.ndarray, n_cells: int, rng: np.random.Generator) -> list[int]:
    """Draw cells such that each group gives as many, or all it has."""
    order = rng.permutation(len(codes))
    shuffled = codes[order]
    rank = np.empty(len(codes), dtype=np.int64)  # of a cell among those of its group
    for code in np.unique(codes):
        members = np.flatnonzero(shuffled == code)
        rank[members] = np.arange(len(members))
    return np.sort(order[np.argsort(rank, kind="stable")[:n_cells]]).tolist()

"""Look up the label summaries that a model carries, for label transfer without cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus.tl._provenance._embedding_record import embedding_space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from scarches_plus.train import LatentSummary


def summaries_for(adata: AnnData, model: Any, labels_key: Sequence[str], key: str) -> dict[str, LatentSummary]:
    """Return the summaries of some labels.

    Parameters
    ----------
    adata
        Cells with an embedding in ``obsm[key]``.
    model
        Model of this package.
    labels_key
        Names of the summaries.
    key
        Name of the embedding.

    Raises
    ------
    TypeError
        If it is no model of this package.
    KeyError
        If the model carries no such summary, or the cells have no embedding.
    ValueError
        If embedding and summary belong to different latent spaces.
    """
    from scarches_plus.model import SCANVI, SCVI, TOTALVI

    check.supported_model(model)
    if not isinstance(model, SCVI | SCANVI | TOTALVI):
        message = (
            f"the reference must be an AnnData with an embedding in obsm[{key!r}], or a model of sp.model, not "
            f"{check.shown(model)}"
        )
        raise TypeError(message)
    summaries, space = model.state.summaries, embedding_space(adata, key)
    for name in labels_key:
        if name not in summaries:
            message = (
                f"the model carries no summary of {name!r}, only of {sorted(summaries)}; call "
                "sp.train.summarize_reference(model, labels_key) where the reference's cells are at hand, or pass an "
                "AnnData"
            )
            raise KeyError(message)
        if summaries[name].space != space:
            message = (
                f"obsm[{key!r}] and the model's summary of {name!r} lie in different latent spaces ({space} and "
                f"{summaries[name].space}); pass the model that the cells were mapped with, as sp.tl.map_query "
                "returned it"
            )
            raise ValueError(message)
    return {name: summaries[name] for name in labels_key}

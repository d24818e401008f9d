"""Look up what a model says of its labels, for label transfer without cells: summaries, or scANVI's classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus.tl._provenance._embedding_record import embedding_space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from scarches_plus.model import SCANVI
    from scarches_plus.train import LatentSummary


@dataclass(frozen=True)
class Classifier:
    """scANVI's classifier in the place of a summary of labels, for models that carry none."""

    model: SCANVI

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that it tells apart."""
        return self.model.classes

    @property
    def space(self) -> str:
        """Latent space that it is of."""
        return self.model.state.space

    def probabilities(self, latent: NDArray[Any]) -> NDArray[Any]:
        """Return the probabilities of the labels, shape ``(n_cells, n_labels)``."""
        return self.model.predict_embedding(latent)


def summaries_for(
    adata: AnnData, model: Any, labels_key: Sequence[str], key: str
) -> dict[str, LatentSummary | Classifier]:
    """Return the summaries of some labels, or scANVI's classifier where there is none of the labels it trained on.

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
    summaries: dict[str, LatentSummary | Classifier] = dict(model.state.summaries)
    if isinstance(model, SCANVI) and model.spec.labels_key is not None:
        summaries.setdefault(model.spec.labels_key, Classifier(model))
    space = embedding_space(adata, key)
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


def described_labels(summaries: Mapping[str, LatentSummary | Classifier], key: str) -> str:
    """Return what labels are found by."""
    return "the model's classifier" if isinstance(summaries[key], Classifier) else f"the model's summary {key!r}"

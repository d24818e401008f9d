"""Define the protocol of models that functions of this namespace take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from scarches_plus import _arguments as check

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from anndata import AnnData
    from scvi.data import AnnDataManager

    from scarches_plus.train._memory.anchors import Anchors
    from scarches_plus.train._memory.importance import Importance
    from scarches_plus.train._memory.latent_summary import LatentSummary
    from scarches_plus.train._penalties.penalty import Grouping


class ReferenceModel(Protocol):
    """A model of :mod:`scarches_plus.model`, as far as training needs to know it."""

    module: Any
    adata: AnnData | None
    adata_manager: AnnDataManager
    minified_data_type: str | None

    @property
    def device(self) -> torch.device:
        """Device of the module."""
        ...

    @property
    def state(self) -> Any:
        """State of the model."""
        ...

    @property
    def groupings(self) -> Mapping[str, Grouping]:
        """Batch and further categorical covariates."""
        ...

    def remember(
        self,
        *,
        importance: Importance | None = None,
        anchors: Anchors | None = None,
        summaries: Mapping[str, LatentSummary] | None = None,
    ) -> None:
        """Keep what was found out about the model with it."""
        ...

    def _make_data_loader(
        self, adata: AnnData | None, indices: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any: ...


def require_model(model: Any, name: str = "model") -> None:
    """Require a model of this package.

    Raises
    ------
    TypeError
        If it is none.
    """
    check.supported_model(model)
    if not hasattr(type(model), "remember"):
        message = f"{name} must be a model of sp.model (sp.model.load opens others), not {check.shown(model)}"
        raise TypeError(message)

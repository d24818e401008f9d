"""scANVI's module with a gene mask and a cheaper likelihood."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import scvi.module

from ._count_likelihood import CountLikelihoodMixin
from ._gene_mask import GeneMaskMixin

if TYPE_CHECKING:
    from scvi.model.base import BaseModelClass


class SCANVAE(GeneMaskMixin, CountLikelihoodMixin, scvi.module.SCANVAE):
    """:class:`scvi.module.SCANVAE` that can leave genes a batch did not measure out of the likelihood."""

    @wraps(scvi.module.SCANVAE.__init__)  # type: ignore[misc]  # scvi-tools reads the signature
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.idle_unused_layers()

    def on_load(self, model: BaseModelClass, **kwargs: Any) -> None:
        """Adapt weights of old versions, which scvi-tools does with the cells at hand only.

        Raises
        ------
        ValueError
            If the model was saved by scvi-tools before 1.1 and there are no cells.
        """
        if model.adata is not None:
            super().on_load(model, **kwargs)
            return
        version = str(model.registry_["scvi_version"])
        if tuple(map(int, version.split(".")[:2])) < (1, 1):
            message = f"the model was saved by scvi-tools {version}: load it once with its cells and save it again"
            raise ValueError(message)

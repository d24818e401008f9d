"""scANVI's module, adapted."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import scvi.module

from ._adapted import AdaptedMixin
from ._signature import extends
from ._unobserved_classes import UnobservedClassesMixin, whole_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scvi.model.base import BaseModelClass
    from torch import Tensor


class SCANVAE(UnobservedClassesMixin, AdaptedMixin, scvi.module.SCANVAE):
    """:class:`scvi.module.SCANVAE` with a gene mask, networks of trVAE and BA-scVI, and a cheaper likelihood.

    Genes a batch did not measure can be left out of the likelihood (:meth:`set_gene_mask`).

    Parameters
    ----------
    *args, **kwargs
        As in scvi-tools, with ``gene_likelihood`` as in :class:`VAE`.
    batch_free_decoder_layer, reconstruction_weight, layer_widths
        As in :class:`VAE`.
    n_unobserved
        Classes beyond the labels, for types that no cell is labelled with. To the outside they are one class, the last.
    """

    @extends(scvi.module.SCANVAE.__init__)
    def __init__(
        self,
        *args: Any,
        batch_free_decoder_layer: bool = False,
        reconstruction_weight: float = 1.0,
        layer_widths: Sequence[int] | None = None,
        n_unobserved: int = 0,
        **kwargs: Any,
    ) -> None:
        given = signature(super().__init__).bind(*args, **kwargs)
        given.arguments["n_labels"] = given.arguments.get("n_labels", 0) + whole_number(n_unobserved)
        super().__init__(*given.args, **given.kwargs)
        self.n_unobserved = n_unobserved
        self.adapt(
            batch_free_decoder_layer=batch_free_decoder_layer,
            reconstruction_weight=reconstruction_weight,
            layer_widths=layer_widths,
        )

    def classify(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Classify cells from their counts, as scvi-tools does."""
        return super().classify(self.encoded(x), *args, **kwargs)

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

"""Mask genes that a batch did not measure out of the likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scvi.module._constants import MODULE_KEYS

from ._count_likelihood import SummedLikelihood
from ._squared_error import SquaredError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributions import Distribution


class MeasuredGenes:
    """A likelihood whose ``log_prob`` is zero for genes that were not measured.

    Everything else (mean, samples, parameters) is the wrapped distribution's.

    Parameters
    ----------
    likelihood
        Distribution over genes, batch shape ``(..., n_cells, n_genes)``.
    measured
        Boolean, shape ``(n_cells, n_genes)``.
    """

    def __init__(self, likelihood: Distribution, measured: Tensor) -> None:
        self._likelihood = likelihood
        self._measured = measured

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-likelihood per cell and gene, 0 where the gene was not measured."""
        return self._likelihood.log_prob(value).masked_fill(~self._measured, 0.0)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked before __init__ ran, by copy or pickle
            raise AttributeError(name)
        return getattr(self._likelihood, name)


class GeneMaskMixin:
    """Leaves unmeasured genes out of the reconstruction term of an scvi-tools module (BA-scVI's gene mask).

    The mask is a buffer outside the state dict, so that saved weights open in plain scvi-tools; the model keeps it and
    sets it again after loading.
    """

    def set_gene_mask(self, measured: Tensor | None) -> None:
        """Set which genes each batch measured.

        Parameters
        ----------
        measured
            Boolean, shape ``(n_batches, n_genes)``; ``None`` when every batch measured every gene.
        """
        self.register_buffer("gene_mask", measured, persistent=False)  # type: ignore[attr-defined]

    def generative(  # noqa: PLR0917 (scvi-tools reads this signature)
        self,
        z: Tensor,
        library: Tensor,
        batch_index: Tensor,
        cont_covs: Tensor | None = None,
        cat_covs: Tensor | None = None,
        size_factor: Tensor | None = None,
        y: Tensor | None = None,
        transform_batch: Tensor | None = None,
    ) -> dict[str, Any]:
        """Run the generative process of scvi-tools and leave out what the cells' own batches did not measure."""
        outputs = super().generative(  # type: ignore[misc]
            z,
            library,
            batch_index,
            cont_covs=cont_covs,
            cat_covs=cat_covs,
            size_factor=size_factor,
            y=y,
            transform_batch=transform_batch,
        )
        mask = self._buffers.get("gene_mask")  # type: ignore[attr-defined]
        if mask is not None:
            measured = mask[batch_index.squeeze(-1).long()]
            px = outputs[MODULE_KEYS.PX_KEY]
            restricts = isinstance(px, SquaredError | SummedLikelihood)  # which sum over genes
            outputs[MODULE_KEYS.PX_KEY] = px.restricted_to(measured) if restricts else MeasuredGenes(px, measured)
        return outputs

"""Adapt totalVI's module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import scvi.module
import torch
from scvi import REGISTRY_KEYS
from scvi.distributions import NegativeBinomial, NegativeBinomialMixture, ZeroInflatedNegativeBinomial

from scarches_plus import _arguments as check
from scarches_plus._options import check_network, extends

from ._layers._summed_in_parts import sum_in_parts
from ._likelihoods._gene_mask import MeasuredGenes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from torch import Tensor
    from torch.distributions import Distribution


class TOTALVAE(scvi.module.TOTALVAE):
    """:class:`scvi.module.TOTALVAE` with a gene mask, and a protein mask for every batch.

    Parameters
    ----------
    *args, **kwargs
        As in scvi-tools.
    normalize_encoder_input
        Divide the counts that the encoder sees by one more than their mean in the cell, genes and proteins apart, as
        scvi-tools does from 1.3.1 on. Models of former releases were trained without.
    """

    protein_batch_mask: dict[str, np.ndarray] | None

    @extends(scvi.module.TOTALVAE.__init__)
    def __init__(self, *args: Any, normalize_encoder_input: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **check_network(kwargs, type(self), name="TOTALVAE"))
        sum_in_parts(self)
        self._counts: tuple[Tensor, Tensor] | None = None
        self.normalize_encoder_input = check.flag("normalize_encoder_input", normalize_encoder_input)
        if not normalize_encoder_input:
            self.encoder.register_forward_pre_hook(self._with_counts_as_they_are)

    def _regular_inference(self, x: Tensor, y: Tensor, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self._counts = (x, y)
        try:
            return super()._regular_inference(x, y, *args, **kwargs)  # type: ignore[no-any-return]
        finally:
            self._counts = None

    def _with_counts_as_they_are(self, _: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Replace normalised counts at the encoder's door; covariates behind them stay."""
        assert self._counts is not None
        normalized, *categories = inputs
        counts = torch.cat(self._counts, dim=-1).to(normalized)
        counts = torch.log1p(counts) if self.log_variational else counts
        return torch.cat((counts, normalized[..., counts.shape[-1] :]), dim=-1), *categories

    def set_gene_mask(self, measured: Tensor | None) -> None:
        """Set which genes each batch measured; the others leave the likelihood of its cells.

        Parameters
        ----------
        measured
            Boolean, shape ``(n_batches, n_genes)``; ``None`` when every batch measured every gene.
        """
        self.register_buffer("gene_mask", measured, persistent=False)

    def loss(  # scvi-tools reads this signature
        self,
        tensors: Mapping[str, Tensor],
        inference_outputs: Mapping[str, Any],
        generative_outputs: Mapping[str, Any],
        pro_recons_weight: float = 1.0,
        kl_weight: float = 1.0,
    ) -> Any:
        """Compute the loss of scvi-tools, without genes that the cells' batches did not measure."""
        mask = self._buffers.get("gene_mask")
        self._measured = None if mask is None else mask[tensors[REGISTRY_KEYS.BATCH_KEY].squeeze(-1).long()]
        try:
            return super().loss(tensors, inference_outputs, generative_outputs, pro_recons_weight, kl_weight)
        finally:
            self._measured = None

    def get_reconstruction_loss(
        self, x: Tensor, y: Tensor, px_dict: dict[str, Tensor], *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Return the negative log-likelihoods of genes and of proteins, shape ``(n_cells,)`` each."""
        genes, proteins = super().get_reconstruction_loss(x, y, px_dict, *args, **kwargs)
        if getattr(self, "_measured", None) is not None:
            genes = -MeasuredGenes(self._genes(px_dict), self._measured).log_prob(x).sum(-1)
        return genes, proteins

    def infer(
        self, counts: Tensor, batch_index: Tensor, cont_covs: Tensor | None, cat_covs: Tensor | None
    ) -> dict[str, Any]:
        """Return what ``inference`` makes of counts of genes, followed by those of proteins."""
        genes, proteins = counts.split([self.n_input_genes, self.n_input_proteins], dim=1)
        return self.inference(  # type: ignore[no-any-return]
            genes, proteins, batch_index=batch_index, panel_index=batch_index, cont_covs=cont_covs, cat_covs=cat_covs
        )

    def likelihood(
        self, z: Tensor, library: Tensor, batch_index: Tensor, cont_covs: Tensor | None, cat_covs: Tensor | None
    ) -> GenesAndProteins:
        """Return the distribution of counts for latent variables and logarithms of library sizes."""
        labels = torch.zeros_like(batch_index)
        out = self.generative(z, library.exp(), batch_index, labels, cont_covs=cont_covs, cat_covs=cat_covs)
        genes, proteins, efficiency = out["px_"], out["py_"], out["per_batch_efficiency"]
        mixture = NegativeBinomialMixture(
            mu1=efficiency * proteins["rate_back"],
            mu2=efficiency * proteins["rate_fore"],
            theta1=proteins["r"],
            mixture_logits=proteins["mixing"],
        )
        return GenesAndProteins(self._genes(genes), mixture, self._measured_proteins(batch_index))

    def _genes(self, px: Mapping[str, Tensor]) -> Distribution:
        if self.gene_likelihood == "zinb":
            return ZeroInflatedNegativeBinomial(
                mu=px["rate"], theta=px["r"], zi_logits=px["dropout"], scale=px["scale"]
            )
        return NegativeBinomial(mu=px["rate"], theta=px["r"], scale=px["scale"])

    def _measured_proteins(self, batch_index: Tensor) -> Tensor:
        everything = torch.ones(self.n_batch, self.n_input_proteins, device=batch_index.device)
        for batch, measured in (self.protein_batch_mask or {}).items():
            everything[int(batch)] = torch.as_tensor(measured, dtype=everything.dtype, device=everything.device)
        return everything[batch_index.squeeze(-1).long()]


class GenesAndProteins(NamedTuple):
    """Counts of genes, and of the proteins that a batch measured.

    Attributes
    ----------
    genes, proteins
        Distributions of shapes ``(n_cells, n_genes)`` and ``(n_cells, n_proteins)``.
    measured
        1 for proteins that the cell's batch measured, else 0, shape ``(n_cells, n_proteins)``.
    """

    genes: Any
    proteins: Any
    measured: Tensor

    @property
    def scale(self) -> Tensor:
        """Expected shares of the genes."""
        return self.genes.scale  # type: ignore[no-any-return]

    def sample(self) -> Tensor:
        """Draw counts; those of proteins that were not measured are 0, as in the data."""
        return torch.cat([self.genes.sample(), self.proteins.sample() * self.measured], dim=1)

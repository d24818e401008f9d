"""Speed up the log-probability of scvi-tools' count distributions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import scvi.distributions
import torch
from scvi import REGISTRY_KEYS
from scvi.distributions import Normal
from scvi.module._constants import MODULE_KEYS

from ._count_log_prob import count_log_prob
from ._trained_head import constant_terms, head_log_likelihood

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor


class _ClosedFormMixin:
    """The ``log_prob`` of scvi-tools' distribution in closed form, without its check that counts are whole numbers."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability per cell and gene."""
        parameters = [self.mu, self.theta, getattr(self, "zi_logits", None)]  # type: ignore[attr-defined]
        given = [value, *(parameter for parameter in parameters if parameter is not None)]
        alike = len({(tensor.shape, tensor.dtype, tensor.device) for tensor in given}) == 1
        if not alike or value.dim() != 2:  # several samples of one cell, mixed precision
            return super().log_prob(value)  # type: ignore[misc]
        return count_log_prob(value, *parameters)


class NegativeBinomial(_ClosedFormMixin, scvi.distributions.NegativeBinomial):
    """:class:`scvi.distributions.NegativeBinomial` with a log-probability in closed form."""


class ZeroInflatedNegativeBinomial(_ClosedFormMixin, scvi.distributions.ZeroInflatedNegativeBinomial):
    """:class:`scvi.distributions.ZeroInflatedNegativeBinomial` with a log-probability in closed form."""


class _IdleLinear(torch.nn.Linear):
    """The weights of a linear layer whose output nobody reads."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__(layer.in_features, layer.out_features, device="meta")  # draws no random numbers
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, _: Tensor) -> None:  # type: ignore[override]
        """Compute nothing."""


class SummedLikelihood:
    """Stands for the distribution of counts where only the sum of its ``log_prob`` over genes is wanted.

    Everything else (mean, samples, parameters) is the distribution's, which is made when asked for.

    Parameters
    ----------
    module
        Module of scvi-tools.
    hidden
        Last hidden layer of its decoder, shape ``(n_cells, n_hidden)``.
    size
        Library size, shape ``(n_cells, 1)``.
    group
        Column of the dispersion for each cell, shape ``(n_cells,)``; ``None`` where there is one.
    constant
        What the module's ``constant_terms`` returned for the cells, if it is known.
    """

    def __init__(
        self, module: Any, hidden: Tensor, size: Tensor, group: Tensor | None, constant: Tensor | None
    ) -> None:
        self._module, self._hidden, self._size, self._group = module, hidden, size, group
        self._constant = constant
        self._measured: Tensor | None = None
        self._full: Any = None

    def restricted_to(self, measured: Tensor) -> SummedLikelihood:
        """Leave out genes that were not measured."""
        self._measured = measured
        return self

    def log_prob(self, counts: Tensor) -> Tensor:
        """Return the log-likelihood of each cell, shape ``(n_cells, 1)``."""
        decoder = self._module.decoder
        layer = decoder.px_scale_decoder[0]
        zero = decoder.px_dropout_decoder if self._module.gene_likelihood == "zinb" else None
        value = head_log_likelihood(
            self._hidden,
            (layer.weight, layer.bias),
            dispersion_of(self._module),
            None if zero is None else (zero.weight, zero.bias),
            counts,
            size=self._size,
            group=self._group,
            measured=self._measured,
            constant=self._constant,
            trains=self._module.px_r.requires_grad,
        )
        return value.unsqueeze(1)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked before __init__ ran, by copy or pickle
            raise AttributeError(name)
        if self._full is None:
            self._full = self._distribution()
        return getattr(self._full, name)

    def _distribution(self) -> Any:
        decoder = self._module.decoder
        scale = decoder.px_scale_decoder(self._hidden)
        theta = dispersion_of(self._module)[0 if self._group is None else self._group]
        if self._module.gene_likelihood == "nb":
            return NegativeBinomial(mu=self._size * scale, theta=theta, scale=scale)
        zi_logits = decoder.px_dropout_decoder(self._hidden)
        return ZeroInflatedNegativeBinomial(mu=self._size * scale, theta=theta, zi_logits=zi_logits, scale=scale)


def dispersion_of(module: Any) -> Tensor:
    """Return a module's inverse dispersion, shape ``(n_groups, n_genes)``."""
    px_r = module.px_r
    return torch.exp(px_r.unsqueeze(0) if px_r.dim() == 1 else px_r.t())


class CountLikelihoodMixin:
    """Makes the likelihood of counts in an scvi-tools module cost less time; what it computes stays the same."""

    _sums_over_genes = False
    _constant: Tensor | None = None

    def idle_unused_layers(self) -> None:
        """Stop computing logits of zero inflation where the likelihood has none; the state dict stays the same."""
        decoder = self.decoder  # type: ignore[attr-defined]
        if self.gene_likelihood != "zinb":  # type: ignore[attr-defined]
            decoder.px_dropout_decoder = _IdleLinear(decoder.px_dropout_decoder)

    @contextmanager
    def summed_over_genes(self, constant: Tensor | None = None) -> Iterator[None]:
        """Let ``log_prob`` of the likelihood be one number per cell where that is cheaper (:class:`SummedLikelihood`).

        For training, whose loss needs no more.

        Parameters
        ----------
        constant
            What :meth:`constant_terms` returned for the cells.
        """
        self._sums_over_genes, self._constant = True, constant
        try:
            yield
        finally:
            self._sums_over_genes, self._constant = False, None

    @torch.no_grad()
    def constant_terms(self, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """Return what of each cell's log-likelihood does not change while the module trains.

        Parameters
        ----------
        tensors
            Cells as scvi-tools' data loader gives them.

        Returns
        -------
        Tensor or None
            Shape ``(n_cells,)``; ``None`` where the likelihood is not summed in closed form.
        """
        if not self._has_closed_form:
            return None
        batch = tensors[REGISTRY_KEYS.BATCH_KEY]
        group = self._group(batch, tensors.get(REGISTRY_KEYS.LABELS_KEY))
        mask = self._buffers.get("gene_mask")  # type: ignore[attr-defined]
        return constant_terms(
            tensors[REGISTRY_KEYS.X_KEY],
            dispersion_of(self),
            group,
            None if mask is None else mask[batch.squeeze(-1).long()],
            trains=self.px_r.requires_grad,  # type: ignore[attr-defined]
        )

    def generative(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run the generative process of scvi-tools."""
        z, *_ = args
        sums = self._sums_over_genes and self._has_closed_form and z.dim() == 2
        if sums and kwargs.get("transform_batch") is None and not torch.is_autocast_enabled(z.device.type):
            return self._summed(*args, **kwargs)
        outputs: dict[str, Any] = super().generative(*args, **kwargs)  # type: ignore[misc]
        px = outputs[MODULE_KEYS.PX_KEY]
        if type(px) is scvi.distributions.NegativeBinomial:
            px = NegativeBinomial(mu=px.mu, theta=px.theta, scale=px.scale)
        elif type(px) is scvi.distributions.ZeroInflatedNegativeBinomial:
            px = ZeroInflatedNegativeBinomial(mu=px.mu, theta=px.theta, zi_logits=px.zi_logits, scale=px.scale)
        outputs[MODULE_KEYS.PX_KEY] = px
        return outputs

    @property
    def _has_closed_form(self) -> bool:
        return (
            self.gene_likelihood in {"nb", "zinb"}  # type: ignore[attr-defined]
            and self.dispersion != "gene-cell"  # type: ignore[attr-defined]
            and self.use_observed_lib_size  # type: ignore[attr-defined]
            and not self.use_size_factor_key  # type: ignore[attr-defined]
            and self.batch_representation == "one-hot"  # type: ignore[attr-defined]
        )

    def _group(self, batch: Tensor, labels: Tensor | None) -> Tensor | None:
        """Return which dispersion each cell has, ``None`` where there is one."""
        code = {"gene-batch": batch, "gene-label": labels}.get(self.dispersion)  # type: ignore[attr-defined]
        return None if code is None else code.squeeze(-1).long()

    def _summed(  # noqa: PLR0917 (scvi-tools' signature)
        self,
        z: Tensor,
        library: Tensor,
        batch_index: Tensor,
        cont_covs: Tensor | None = None,
        cat_covs: Tensor | None = None,
        y: Tensor | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        inputs = z if cont_covs is None else torch.cat([z, cont_covs], dim=-1)
        covariates = () if cat_covs is None else torch.split(cat_covs, 1, dim=1)
        hidden = self.decoder.px_decoder(inputs, batch_index, *covariates, y)  # type: ignore[attr-defined]
        group = self._group(batch_index, y)
        return {
            MODULE_KEYS.PX_KEY: SummedLikelihood(self, hidden, library.exp(), group, self._constant),
            MODULE_KEYS.PL_KEY: None,
            MODULE_KEYS.PZ_KEY: Normal(torch.zeros_like(z), torch.ones_like(z)),
        }

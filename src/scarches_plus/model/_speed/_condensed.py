"""Condense a module to the terms that matter when only condition columns train."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import scvi.module
import torch
from scvi import REGISTRY_KEYS
from scvi.module._constants import MODULE_KEYS
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import linear

from scarches_plus.module import CountHead

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import ThreadPoolExecutor

    from scvi.module.base import LossOutput
    from torch import Tensor

_ENCODER = "z_encoder.encoder.fc_layers."
_DECODER = "decoder.px_decoder.fc_layers."
_FIRST = f"{_ENCODER}Layer 0.0.weight"


class Call(NamedTuple):
    """Record of one use of a :class:`ConditionedLinear` in a forward pass.

    Attributes
    ----------
    conditions
        Values of the free columns, shape ``(n_cells, n_free)``.
    contribution
        What the columns added to the output, shape ``(n_cells, n_out)``; holds its gradient, cell by cell.
    """

    conditions: Tensor
    contribution: Tensor


class ConditionedLinear(nn.Linear):
    """A linear layer of which only condition columns train.

    It stands in for a layer of :class:`scvi.nn.FCLayers`, whose input is features followed by conditions.

    Parameters
    ----------
    layer
        The layer; it is not changed.
    free
        Columns of ``layer`` that train.
    n_features
        Columns before the conditions.
    n_projected
        Of the features, so many at the front come as their finished product with the weights, bias included.
    """

    def __init__(self, layer: nn.Linear, free: Tensor, n_features: int, n_projected: int = 0) -> None:
        nn.Module.__init__(self)
        weight = layer.weight.detach()
        self._projected = len(weight) if n_projected else 0
        self._width = self._projected + n_features - n_projected
        self._features = weight[:, n_projected:n_features].clone()
        self._bias = None if n_projected else layer.bias.detach()
        self._fixed = weight[:, n_features:].clone()
        self._free = free - n_features
        self._fixed[:, self._free] = 0.0
        self.columns = weight[:, free].clone()
        self.calls: list[Call] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the layer's output; while gradients are on, remember what the free columns contributed."""
        features, conditions = inputs[:, : self._width], inputs[:, self._width :]
        fixed = linear(conditions, self._fixed)
        if self._projected:
            fixed = fixed + features[:, : self._projected]
            features = features[:, self._projected :]
        if features.shape[1]:
            fixed = fixed + linear(features, self._features, self._bias)
        contribution = linear(conditions[:, self._free], self.columns)
        if torch.is_grad_enabled():
            contribution.requires_grad_()
            self.calls.append(Call(conditions[:, self._free], contribution))
        return fixed + contribution


class Condensed:
    r"""The objective of a module of which only condition columns train, at a fraction of the cost.

    The product of expression with the encoder's first layer is a constant of each cell (:meth:`project`); the decoder's
    last layer and the likelihood are one step with a closed-form gradient (:class:`CountHead`). Everything between is
    the module's own code, and so is the loss. The free columns of each layer are a tensor of their own.

    Parameters
    ----------
    module
        Module in evaluation mode; it is not changed until :meth:`write_back`.
    entries
        What trains: names of weights with ``(1, columns)``.
    workers
        Threads for the likelihood; ``None`` means the caller's.

    Notes
    -----
    Exact where the encoder's first layer, the decoder's last layer and the dispersion are frozen, library sizes are
    observed and the dispersion is not per cell: see :func:`obstacle_to_condensing`.
    """

    def __init__(
        self,
        module: nn.Module,
        entries: Mapping[str, tuple[int, Tensor] | None],
        workers: ThreadPoolExecutor | None = None,
    ) -> None:
        self._module = module
        self._light: Any = copy.copy(module)
        self._light._modules = dict(module._modules)
        self._light._buffers = dict(module._buffers)
        self._light.log_variational = self._light.encodes_normalized = False  # cells come projected
        encoder = copy.copy(module.z_encoder)
        encoder._modules = dict(encoder._modules)
        self.layers: dict[str, ConditionedLinear] = {}
        encoder.encoder = self._stand_in(encoder.encoder, _ENCODER, entries)
        self._light.z_encoder = encoder
        decoder = copy.copy(module.decoder)
        decoder._modules = dict(decoder._modules)
        decoder.px_decoder = self._stand_in(decoder.px_decoder, _DECODER, entries)
        self._light.decoder = decoder
        inflated = decoder.px_dropout_decoder if module.gene_likelihood == "zinb" else None
        self._head = CountHead(
            decoder.px_scale_decoder[0].weight,
            decoder.px_scale_decoder[0].bias,
            module.px_r.detach().reshape(module.px_r.shape[0], -1).t().exp(),
            *(() if inflated is None else (inflated.weight, inflated.bias)),
            workers=workers,
        )

    @property
    def network(self) -> nn.Module:
        """The reduced module, with the hidden layers of the module it stands for."""
        return self._light  # type: ignore[no-any-return]

    def project(self, counts: Tensor) -> Tensor:
        """Return the product of the cells' expression with the encoder's first layer, bias included.

        Parameters
        ----------
        counts
            Shape ``(n_cells, n_genes)``.
        """
        layer = self._module.z_encoder.encoder.fc_layers[0][0]
        expression = self._module.encoded(counts)
        expression = torch.log1p(expression) if self._module.log_variational else expression
        return torch.addmm(layer.bias.detach(), expression, layer.weight.detach()[:, : counts.shape[1]].t())

    def constant(self, cells: Mapping[str, Tensor]) -> Tensor:
        """Return the part of each cell's log-likelihood that nothing here changes, shape ``(n_cells,)``."""
        counts = cells[REGISTRY_KEYS.X_KEY]
        cell, gene = torch.nonzero(counts, as_tuple=True)
        terms = self._head.constant(counts[cell, gene], gene, self._group(cells)[cell])
        mask = self._gene_mask(cells)
        if mask is not None:
            terms *= mask[cell, gene]
        return counts.new_zeros(len(counts)).index_add_(0, cell, terms)

    def loss(
        self,
        cells: Mapping[str, Tensor],
        projected: Tensor,
        constant: Tensor,
        *,
        labelled: Mapping[str, Tensor] | None = None,
        labelled_projected: Tensor | None = None,
        **loss_kwargs: Any,
    ) -> tuple[dict[str, Any], LossOutput]:
        """Return what the module's ``inference`` gives for a minibatch (``"z"``, ``"qz"`` ...), and its loss.

        Parameters
        ----------
        cells
            What scvi-tools' data loader gives for the cells.
        projected, constant
            What :meth:`project` and :meth:`constant` return for them.
        labelled, labelled_projected
            Cells for scANVI's classification loss, and what :meth:`project` returns for them.
        **loss_kwargs
            Further arguments of the module's loss, such as ``kl_weight``.
        """
        light = self._light
        inference: dict[str, Any] = light.inference(
            **{**light._get_inference_input(cells), MODULE_KEYS.X_KEY: projected},
        )
        size = cells[REGISTRY_KEYS.X_KEY].sum(1, keepdim=True)
        inference[MODULE_KEYS.LIBRARY_KEY] = size.log()
        generated = {
            MODULE_KEYS.PX_KEY: _Likelihood(
                self, self._decode(inference[MODULE_KEYS.Z_KEY], cells), cells, size, constant
            ),
            MODULE_KEYS.PL_KEY: None,
            MODULE_KEYS.PZ_KEY: Normal(torch.zeros_like(inference[MODULE_KEYS.Z_KEY]), 1.0),
        }
        if labelled is not None:
            loss_kwargs["labelled_tensors"] = {**labelled, REGISTRY_KEYS.X_KEY: labelled_projected}
        return inference, light.loss(cells, inference, generated, **loss_kwargs)

    def write_back(self) -> None:
        """Write the free columns into the module."""
        parameters = dict(self._module.named_parameters())
        with torch.no_grad():
            for name, layer in self.layers.items():
                width = parameters[name].shape[1] - layer._fixed.shape[1]
                parameters[name].index_copy_(1, layer._free + width, layer.columns)

    def _stand_in(self, stack: nn.Module, prefix: str, entries: Mapping[str, tuple[int, Tensor] | None]) -> nn.Module:
        """Return the stack of layers with its conditioned layers replaced; what does not train is shared."""
        stack = copy.copy(stack)
        stack._modules = dict(stack._modules)
        blocks = copy.copy(stack.fc_layers)
        blocks._modules = dict(blocks._modules)
        stack.fc_layers = blocks
        for key, block in list(blocks._modules.items()):
            name = f"{prefix}{key}.0.weight"
            if name not in entries and name != _FIRST:
                continue
            layer, where = block[0], entries.get(name)
            n_conditions = sum(stack.n_cat_list)
            free = torch.empty(0, dtype=torch.long) if where is None else where[1]
            stand_in = ConditionedLinear(
                layer,
                free.to(layer.weight.device),
                n_features=layer.in_features - n_conditions,
                n_projected=self._module.decoder.px_scale_decoder[0].out_features if name == _FIRST else 0,
            )
            self.layers[name] = stand_in
            blocks._modules[key] = nn.Sequential()
            blocks._modules[key]._modules = {**block._modules, "0": stand_in}
        return stack

    def _decode(self, z: Tensor, cells: Mapping[str, Tensor]) -> Tensor:
        """Return the decoder's last hidden layer."""
        continuous, categorical = cells.get(REGISTRY_KEYS.CONT_COVS_KEY), cells.get(REGISTRY_KEYS.CAT_COVS_KEY)
        inputs = z if continuous is None else torch.cat([z, continuous], dim=-1)
        covariates = () if categorical is None else torch.split(categorical, 1, dim=1)
        hidden: Tensor = self._light.decoder.px_decoder(
            inputs, cells[REGISTRY_KEYS.BATCH_KEY], *covariates, cells[REGISTRY_KEYS.LABELS_KEY]
        )
        return hidden

    def _group(self, cells: Mapping[str, Tensor]) -> Tensor:
        """Return which dispersion each cell has."""
        key = {"gene-label": REGISTRY_KEYS.LABELS_KEY, "gene-batch": REGISTRY_KEYS.BATCH_KEY}.get(
            self._module.dispersion
        )
        if key is None:
            return torch.zeros(len(cells[REGISTRY_KEYS.X_KEY]), dtype=torch.long, device=self._module.device)
        return cells[key].squeeze(1).long()

    def _gene_mask(self, cells: Mapping[str, Tensor]) -> Tensor | None:
        mask = self._module._buffers.get("gene_mask")
        return None if mask is None else mask[cells[REGISTRY_KEYS.BATCH_KEY].squeeze(1).long()]


class _Likelihood:
    """Stands for scvi-tools' likelihood where its ``log_prob`` is only summed over genes."""

    def __init__(
        self, condensed: Condensed, hidden: Tensor, cells: Mapping[str, Tensor], size: Tensor, constant: Tensor
    ) -> None:
        self._condensed, self._hidden, self._cells = condensed, hidden, cells
        self._size, self._constant = size, constant

    def log_prob(self, counts: Tensor) -> Tensor:
        """Return the log-likelihood of each cell, shape ``(n_cells, 1)``."""
        condensed, cells = self._condensed, self._cells
        likelihood = condensed._head.log_likelihood(
            self._hidden, counts, self._size, condensed._group(cells), condensed._gene_mask(cells)
        )
        return (likelihood + self._constant).unsqueeze(1)


def obstacle_to_condensing(module: nn.Module, entries: Mapping[str, tuple[int, Tensor] | None]) -> str | None:
    """Say why :class:`Condensed` cannot stand for a module; ``None`` if it can."""
    if not isinstance(module, scvi.module.VAE):
        return f"there is no reduced objective of {type(module).__name__}"
    reasons = {
        f"gene_likelihood is {module.gene_likelihood!r}": module.gene_likelihood not in {"nb", "zinb"},
        "library sizes are learned": not module.use_observed_lib_size,
        "size factors are given": bool(module.use_size_factor_key),
        "the dispersion is per gene and cell": module.dispersion == "gene-cell",
        "batches are embedded": getattr(module, "batch_representation", "one-hot") != "one-hot",
        "the cells are minified": module.minified_data_type is not None,
    }
    others = sorted(
        name
        for name, where in entries.items()
        if where is None or not name.startswith((_ENCODER, _DECODER)) or not name.endswith(".0.weight")
    )
    reasons[f"more than condition columns trains ({', '.join(others)})"] = bool(others)
    return next((reason for reason, holds in reasons.items() if holds), None)

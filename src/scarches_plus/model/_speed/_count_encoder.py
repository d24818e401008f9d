"""Encode sparse or dense counts with the encoder of an scvi-tools module."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from scvi import REGISTRY_KEYS
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import embedding_bag, softmax

from scarches_plus.module import sum_of_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

#: Samples that scvi-tools averages where the mean has no closed form, and cells it does so at once.
_MC_SAMPLES = 5_000
_MC_CELLS = 128


class CountEncoder:
    """Latent means of blocks of counts, as a module of scvi-tools computes them.

    The first layer is linear in the genes, so that a sparse block needs products with its non-zeros only. What they add
    up to goes through the module's own layers in place of the genes: covariates, norms and activations are
    scvi-tools' code.

    Parameters
    ----------
    module
        :class:`scvi.module.VAE` or a subclass. Its weights are read now: make a new encoder once they changed.
    genes
        For each column of the blocks the module's gene, -1 if it has none; ``None`` if the columns are its genes.

    Attributes
    ----------
    n_latent
        Width of the latent space.
    in_parts
        Whether threads may encode parts of a block at the same time.
    """

    def __init__(self, module: Any, genes: np.ndarray | None = None) -> None:
        self._module = module
        self._device = module.device
        self.n_latent = int(module.n_latent)
        self._network = deepcopy(module.z_encoder).eval()
        layers = self._network.encoder.fc_layers[0]
        first = layers[0]
        layers[0] = _AfterGenes(first, module.n_input, self._network.encoder.n_cat_list)
        weights = first.weight.detach()[:, : module.n_input].t()
        # other devices than these lack the sparse product
        self._weights = weights.to(self._device if self._device.type == "cuda" else "cpu").contiguous()
        scaled_to = getattr(module, "target_sum", None)
        self._target_sum = None if scaled_to is None else float(scaled_to)
        self._genes = genes
        # samples must be drawn in order, and another device has its own threads
        self.in_parts = self._device.type == "cpu" and module.latent_distribution != "ln"
        self._used = None if genes is None or (genes >= 0).all() else np.flatnonzero(genes >= 0)

    @torch.inference_mode()
    def __call__(self, block: Any, covariates: Mapping[str, Tensor]) -> Tensor:
        """Return the latent means of a block of cells.

        Parameters
        ----------
        block
            Counts, CSR or dense, shape ``(n_cells, n_columns)``; not changed.
        covariates
            Tensors of these cells under the keys of scvi-tools' registry, ``(n_cells, n_covariates)`` each. Not read
            where the module's encoder does not see them.

        Returns
        -------
        Tensor
            Shape ``(n_cells, n_latent)``, on the CPU. For a logistic-normal latent distribution the means of samples.
        """
        added_up = self._sparse(block) if sparse.issparse(block) else self._dense(block)
        cells = {key: value.to(self._device) for key, value in covariates.items()}
        hidden = self._hidden(added_up.to(self._device), cells)
        mean = self._network.mean_encoder(hidden)
        if self._module.latent_distribution == "ln":
            variance = self._network.var_activation(self._network.var_encoder(hidden)) + self._network.var_eps
            mean = _logistic_normal_mean(mean, variance.sqrt())
        return mean.cpu()

    def _sparse(self, block: Any) -> Tensor:
        if not _is_canonical(block):  # logarithms must see the sum of entries of one place
            block = block.copy()
            block.sum_duplicates()
        values, columns, offsets = block.data, block.indices, block.indptr
        if self._genes is not None:
            columns = self._genes.take(columns)
        if self._used is not None:
            kept = np.flatnonzero(columns >= 0)
            values, columns, offsets = values.take(kept), columns.take(kept), np.searchsorted(kept, offsets)
        if self._target_sum is not None:
            rows = np.repeat(np.arange(block.shape[0]), np.diff(offsets))
            values = values * _factors(np.bincount(rows, values, block.shape[0]), self._target_sum)[rows]
        whole = np.int64 if columns.dtype == np.int64 else np.int32  # one type for both, as torch wants it
        return embedding_bag(
            self._tensor(columns, whole),
            self._weights,
            self._tensor(offsets, whole),
            mode="sum",
            per_sample_weights=self._log(self._tensor(values, np.float32)),
            include_last_offset=True,
        )

    def _dense(self, block: np.ndarray) -> Tensor:
        weights = self._weights
        if self._used is not None:
            block = block[:, self._used]
        if self._target_sum is not None:
            block = block * _factors(block.sum(axis=1, dtype=np.float64), self._target_sum)[:, np.newaxis]
        if self._genes is not None:
            weights = weights[torch.from_numpy(self._genes[self._genes >= 0]).to(weights.device)]
        return self._log(self._tensor(block, np.float32)) @ weights

    def _tensor(self, array: np.ndarray, dtype: Any) -> Tensor:
        return torch.from_numpy(np.require(array, dtype, ("C", "W"))).to(self._weights.device)

    def _log(self, values: Tensor) -> Tensor:
        return torch.log1p(values) if self._module.log_variational else values

    def _hidden(self, added_up: Tensor, cells: Mapping[str, Tensor]) -> Tensor:
        """Put covariates where :meth:`scvi.module.VAE._regular_inference` does."""
        module = self._module
        if not module.encode_covariates:
            return self._network.encoder(added_up)
        batch, categorical = cells[REGISTRY_KEYS.BATCH_KEY], ()
        if REGISTRY_KEYS.CONT_COVS_KEY in cells:
            added_up = torch.cat((added_up, cells[REGISTRY_KEYS.CONT_COVS_KEY]), dim=-1)
        if REGISTRY_KEYS.CAT_COVS_KEY in cells:
            categorical = torch.split(cells[REGISTRY_KEYS.CAT_COVS_KEY], 1, dim=1)
        if module.batch_representation == "embedding":
            represented = module.compute_embedding(REGISTRY_KEYS.BATCH_KEY, batch)
            return self._network.encoder(torch.cat((added_up, represented), dim=-1), *categorical)
        return self._network.encoder(added_up, batch, *categorical)


def _factors(sizes: np.ndarray, target_sum: float) -> np.ndarray:
    """Return what brings the counts of each cell to a sum; cells without counts keep none."""
    return np.divide(target_sum, sizes, out=np.zeros_like(sizes), where=sizes != 0)


def _is_canonical(block: Any) -> bool:
    """Tell whether columns rise in every row, as ``has_canonical_format`` does at several times the cost."""
    falls = block.indices[1:] <= block.indices[:-1]
    starts = block.indptr[(block.indptr > 0) & (block.indptr < len(block.indices))]
    falls[starts - 1] = False
    return not falls.any()


class _AfterGenes(nn.Linear):
    """A first layer of which the genes' part has been done: its input begins with what they add up to."""

    def __init__(self, first: nn.Linear, n_genes: int, n_categories: Sequence[int]) -> None:
        nn.Module.__init__(self)
        self.weight = nn.Parameter(first.weight.detach()[:, n_genes:])
        self.bias = first.bias
        self.in_features, self.out_features = first.in_features - n_genes, first.out_features
        self._sizes = [self.in_features - sum(n_categories), *filter(None, n_categories)]

    def forward(self, added_up: Tensor) -> Tensor:
        genes, others = added_up[:, : self.out_features], added_up[:, self.out_features :]
        return genes + sum_of_parts(others, self.weight, self.bias, self._sizes)


def _logistic_normal_mean(loc: Tensor, scale: Tensor) -> Tensor:
    parts = zip(loc.split(_MC_CELLS), scale.split(_MC_CELLS), strict=True)
    return torch.cat([softmax(Normal(*part).sample((_MC_SAMPLES,)), dim=-1).mean(dim=0) for part in parts])

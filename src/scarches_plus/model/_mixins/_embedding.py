"""Embed cells by the encoder's latent means, without training."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scvi import REGISTRY_KEYS
from scvi.data._utils import _get_adata_minify_type

from scarches_plus import _arguments as check
from scarches_plus._cells import counts_layer, is_in_memory, row_blocks, stored_counts
from scarches_plus._progress import progress_bar
from scarches_plus.model._registration._query_columns import prepare_obs
from scarches_plus.model._speed._count_encoder import CountEncoder
from scarches_plus.model._speed._threads import threads_for_chunks
from scarches_plus.pp import COUNTS, kinds_of, locate_genes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mudata import MuData
    from torch import Tensor

    from scarches_plus._reference import ReferenceSpec
    from scarches_plus.model._state import Surgery

_COVARIATES = (REGISTRY_KEYS.BATCH_KEY, REGISTRY_KEYS.CONT_COVS_KEY, REGISTRY_KEYS.CAT_COVS_KEY)
#: Seconds without a progress bar.
_PATIENCE = 5
#: Cells that are not worth a thread.
_FEWEST_CELLS = 256
#: Cells that are looked at before a warning that they have no counts.
_LOOKED_AT = 200


class EmbeddingMixin:
    """``embed`` and ``get_latent_representation``: latent means straight from counts as they are stored."""

    if TYPE_CHECKING:

        @property
        def spec(self) -> ReferenceSpec: ...

        @property
        def surgery(self) -> Surgery | None: ...

    def embed(self, adata: AnnData, *, layer: str | None = None, batch_key: str | None = None) -> np.ndarray:
        """Return the latent means of cells, without training.

        A model whose encoder sees the batch must know the batches of the cells. One whose encoder does not
        (``encode_covariates=False``, as in BA-scVI) takes cells of any batch, and reads no column of ``adata.obs``.

        Counts on disk (``anndata.read_h5ad(path, backed="r")``, or an ``AnnData`` whose matrix is a dataset of an HDF5
        or zarr file) are read a few thousand cells at a time, the next ones while these are embedded, and never held
        as a whole.

        Parameters
        ----------
        adata
            Cells with raw counts; not changed. Genes may be in any order.
        layer, batch_key
            Where the cells keep counts (``"X"`` for ``adata.X``) and batches, if not where the reference does. Batches
            are not read where the encoder does not see them.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_cells, n_latent)``.

        Raises
        ------
        ValueError
            If the encoder sees a batch or category that the model does not know; map such cells first.
        TypeError
            If an argument is of another kind, such as a text where a list is meant.
        """
        check.cells("adata", adata)
        check.texts_or_none(layer=layer, batch_key=batch_key)
        if self.spec.counts:
            _warn_unless_counts(stored_counts(adata, counts_layer(layer, self.spec.layer)))
        return self._means_of_checked(adata, layer, batch_key)

    def _means_of_checked(self, adata: AnnData, layer: str | None, batch_key: str | None) -> np.ndarray:
        if self.surgery is None:  # a query model is of use before it is trained, by its reference's weights
            self._check_if_trained(warn=False)  # type: ignore[attr-defined]
        spec = self.spec
        covariates = {}
        if spec.encodes_batch:
            covariates = covariates_of(prepare_obs(adata.obs, spec, batch_key=batch_key), spec)
        genes = _genes_of_columns(adata.var_names, spec.var_names)
        counts = stored_counts(adata, counts_layer(layer, spec.layer))
        return _latent_means(CountEncoder(self.module, genes), counts, covariates)  # type: ignore[attr-defined]

    def get_latent_representation(  # noqa: PLR0917 (scvi-tools' signature)
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        give_mean: bool = True,  # noqa: FBT001, FBT002
        mc_samples: int = 5_000,
        batch_size: int | None = None,
        return_dist: bool = False,  # noqa: FBT001, FBT002
        dataloader: Any = None,
        **data_loader_kwargs: Any,
    ) -> Any:
        """Return the latent representation of registered cells, as scvi-tools does, means several times faster.

        Parameters
        ----------
        adata, indices, give_mean, mc_samples, batch_size, return_dist, dataloader, **data_loader_kwargs
            As in scvi-tools. Means of all cells, or of some cells in memory, come straight from the counts as they are
            stored; everything else comes from scvi-tools.

        Returns
        -------
        numpy.ndarray or tuple
            Means of shape ``(n_cells, n_latent)``, with ``return_dist`` means and variances.
        """
        check.cells("adata", adata, mudata=True, or_none=True)
        check.flags(give_mean=give_mean, return_dist=return_dist)
        mc_samples = check.whole("mc_samples", mc_samples, least=1)
        batch_size = None if batch_size is None else check.whole("batch_size", batch_size, least=1)
        cells = self.adata if adata is None else adata  # type: ignore[attr-defined]
        if cells is None and dataloader is None:
            message = "this model came without cells: pass adata=, or embed cells, sp.tl.embed(adata, model)"
            raise ValueError(message)
        module = self.module  # type: ignore[attr-defined]
        means_only = give_mean and not return_dist and dataloader is None and not data_loader_kwargs
        if (
            means_only
            and isinstance(cells, AnnData)
            and module.minified_data_type is None
            and _get_adata_minify_type(cells) is None
            and module.latent_distribution != "ln"
            and not module.training
        ):
            self._check_if_trained(warn=False)  # type: ignore[attr-defined]
            cells = self._validate_anndata(cells)  # type: ignore[attr-defined]
            manager = self.get_anndata_manager(cells, required=True)  # type: ignore[attr-defined]
            counts, covariates = stored_counts(cells, self.spec.layer), _registered_covariates(manager)
            if indices is None:
                return _latent_means(CountEncoder(module), counts, covariates, batch_size)
            if is_in_memory(counts):
                rows = _positions(indices)
                some = {key: values[rows] for key, values in covariates.items()}
                return _latent_means(CountEncoder(module), counts[rows], some, batch_size)
        return super().get_latent_representation(  # type: ignore[misc]
            adata, indices, give_mean, mc_samples, batch_size, return_dist, dataloader, **data_loader_kwargs
        )


def embed_checked(
    model: Any, adata: AnnData | MuData, *, layer: str | None = None, batch_key: str | None = None
) -> np.ndarray:
    """Return the latent means of cells that passed the query check, without looking at their values again."""
    return model._means_of_checked(adata, layer, batch_key)  # type: ignore[no-any-return]


def _latent_means(
    encode: CountEncoder, counts: Any, covariates: Mapping[str, Tensor], n_rows: int | None = None
) -> np.ndarray:
    """Embed a block of cells at a time, parts of it in several threads."""
    means: list[Tensor] = []
    done = 0
    n_threads = torch.get_num_threads()
    with (
        threads_for_chunks() if encode.in_parts else nullcontext() as workers,
        progress_bar(counts.shape[0], "Embedding", unit=" cells", patience=_PATIENCE) as progress,
    ):
        for block in row_blocks(counts, n_rows):
            size = block.shape[0]
            some = {key: values[done : done + size] for key, values in covariates.items()}
            if workers is None:
                means.append(encode(block, some))
            else:
                n_parts = min(n_threads, ceil(size / _FEWEST_CELLS))
                cuts = np.linspace(0, size, n_parts + 1).astype(int)
                parts = [slice(*ends) for ends in pairwise(cuts.tolist())]
                cells = [{key: values[part] for key, values in some.items()} for part in parts]
                means += workers.map(encode, (block[part] for part in parts), cells)
            done += size
            progress.update(size)
    if not means:
        return np.empty((0, encode.n_latent), dtype=np.float32)
    return torch.cat(means).numpy()


def _registered_covariates(manager: Any) -> dict[str, Tensor]:
    keys = [key for key in _COVARIATES if key in manager.data_registry]
    arrays = manager.create_torch_dataset(data_and_attributes=keys)[:]
    return {key: torch.from_numpy(np.require(array, requirements="W")) for key, array in arrays.items()}


def covariates_of(obs: pd.DataFrame, spec: ReferenceSpec) -> dict[str, Tensor]:
    """Encode covariates as scvi-tools does when it registers cells: categories by their place in the model.

    Raises
    ------
    ValueError
        If the model knows not all categories.
    """
    batch = np.zeros(len(obs), dtype=np.int64) if spec.batch_key is None else _codes(obs, spec.batch_key, spec.batches)
    encoded = {REGISTRY_KEYS.BATCH_KEY: batch[:, np.newaxis]}
    if spec.categorical_covariates:
        codes = [_codes(obs, key, categories) for key, categories in spec.categorical_covariates.items()]
        encoded[REGISTRY_KEYS.CAT_COVS_KEY] = np.column_stack(codes)
    if spec.continuous_covariates:
        encoded[REGISTRY_KEYS.CONT_COVS_KEY] = obs[list(spec.continuous_covariates)].to_numpy(dtype=np.float32)
    return {key: torch.from_numpy(np.require(array, requirements="W")) for key, array in encoded.items()}


def _codes(obs: pd.DataFrame, key: str, categories: Sequence[str]) -> np.ndarray:
    codes = pd.Index(list(categories)).get_indexer(pd.Index(obs[key]))
    if (codes < 0).any():
        unknown = sorted(set(obs[key][codes < 0]))
        message = (
            f"the model knows no {unknown} in obs[{key!r}], only {list(categories)}; map these cells with "
            "sp.tl.map_query first"
        )
        raise ValueError(message)
    return codes.astype(np.int64)


def _positions(indices: Any) -> np.ndarray:
    indices = np.asarray(indices)
    return np.flatnonzero(indices) if indices.dtype == bool else indices.astype(np.int64)


def _genes_of_columns(query: pd.Index, var_names: Sequence[str]) -> np.ndarray | None:
    """Return for each gene of a query its position in the model, -1 if it has none; ``None`` if all agree."""
    source = locate_genes(query, var_names)
    if len(source) == len(query) and np.array_equal(source, np.arange(len(source))):
        return None
    genes = np.full(len(query), -1, dtype=np.int32)
    measured = np.flatnonzero(source >= 0)
    genes[source[measured]] = measured
    return genes


def _warn_unless_counts(counts: Any) -> None:
    first = next(row_blocks(counts, _LOOKED_AT), None)
    if first is not None and (found := sorted(kinds_of(first) - {COUNTS.what})):
        message = (
            f"these are no raw counts, which the model was trained on, but probably {' and '.join(found)}; name the "
            "layer that holds them with `layer=`"
        )
        warn(message, UserWarning, stacklevel=3)

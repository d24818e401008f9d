"""Embedding of cells whose batches a model knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from scvi.data._constants import _SCVI_UUID_KEY
from scvi.dataloaders import AnnDataLoader
from scvi.module._constants import MODULE_KEYS

from ._prepare import prepare_cells

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

    from scarches_plus._reference import ReferenceSpec

    from ._state import Surgery

#: Cells per step; no gradients are kept, so a large one only saves overhead.
_BATCH_SIZE = 1024


class EmbeddingMixin:
    """``embed``: latent means without changing the cells or keeping them."""

    if TYPE_CHECKING:

        @property
        def spec(self) -> ReferenceSpec: ...

        @property
        def surgery(self) -> Surgery | None: ...

    def embed(self, adata: AnnData, *, layer: str | None = None, batch_key: str | None = None) -> np.ndarray:
        """Return the latent means of cells whose batches the model knows.

        Parameters
        ----------
        adata
            Cells with raw counts; not changed. Genes are put into the model's order.
        layer, batch_key
            Where the cells keep counts (``"X"`` for ``adata.X``) and batches, if not where the reference does.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_cells, n_latent)``.

        Raises
        ------
        ValueError
            If the model knows a batch or category of these cells not; map them first.
        """
        if self.surgery is None:  # a query model is of use before it is trained, by its reference's weights
            self._check_if_trained(warn=False)  # type: ignore[attr-defined]
        spec = self.spec
        prepared = prepare_cells(adata, spec, layer=layer, batch_key=batch_key)
        known = dict(spec.categorical_covariates)
        if spec.batch_key is not None:
            known[spec.batch_key] = spec.batches
        for key, categories in known.items():
            unknown = sorted(set(prepared.obs[key]) - set(categories))
            if unknown:
                message = (
                    f"the model knows no {unknown} in obs[{key!r}], only {list(categories)}; map these cells with "
                    "sp.tl.map_query first"
                )
                raise ValueError(message)
        cls = type(self)
        cls.setup_anndata(prepared, source_registry=self.registry_, **self.registry_["setup_args"])  # type: ignore[attr-defined]
        manager = cls._setup_adata_manager_store.pop(prepared.uns[_SCVI_UUID_KEY])  # type: ignore[attr-defined]
        loader = AnnDataLoader(manager, shuffle=False, batch_size=_BATCH_SIZE)
        module = self.module.eval()  # type: ignore[attr-defined]
        minified, module.minified_data_type = module.minified_data_type, None  # these cells have counts
        try:
            with torch.inference_mode():
                means = [
                    module.inference(**module._get_inference_input(cells))[MODULE_KEYS.QZ_KEY].loc for cells in loader
                ]
        finally:
            module.minified_data_type = minified
        return torch.cat(means).cpu().numpy()

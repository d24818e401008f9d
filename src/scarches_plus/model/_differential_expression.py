"""Differential expression of cells of any origin, where the decoder predicts normalised expression as well."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from scvi.data._utils import _get_adata_minify_type

from scarches_plus.module._expression_likelihood import SQUARED_ERRORS, TARGET_SUM

from ._prepare import missing_column, prepare_cells
from ._surgery import forget_cells

if TYPE_CHECKING:
    import pandas as pd

#: A share of counts at which expression, the logarithm of ``1 + TARGET_SUM * share``, begins to tell shares apart.
PSEUDOCOUNT = 1 / TARGET_SUM
#: Column for the groups in the cells as the model takes them.
_GROUPS = "_scarches_plus_groups"
_CELLS = ("idx1", "idx2", "subset_idx")


class DifferentialExpressionMixin:
    """``differential_expression`` of any cells, with the pseudocounts of the likelihood."""

    def differential_expression(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Test genes for differential expression, as scvi-tools does, among any cells whose batches the model knows.

        Parameters
        ----------
        *args, **kwargs
            As in scvi-tools. ``adata`` may join reference and query cells for a mapped model (``anndata.concat``, of what
            was given to :func:`~scarches_plus.tl.build_reference` and :func:`~scarches_plus.tl.map_query`): genes are put in order,
            labels that the model does not know are no obstacle, and ``adata`` is not changed. ``batch_correction=True`` decodes
            every cell as if in each batch in turn, or in those of ``batchid1`` and ``batchid2``; without it, differences
            between batches count as differences between groups. With ``gene_likelihood`` ``"mse"`` or ``"sse"``, ``mode="change"``
            compares predicted expression: ``pseudocounts`` are 1e-4 by default, and log fold changes contain them. scvi-tools
            would estimate far smaller ones, and predictions of exactly 0 would become fold changes of a billion.

        Returns
        -------
        pandas.DataFrame
            As in scvi-tools, one row per gene of the model and comparison.

        Raises
        ------
        ValueError
            If the model does not know a batch or category of the cells.
        KeyError
            If a column is missing.
        """
        parent = super().differential_expression  # type: ignore[misc]
        given = signature(parent).bind_partial(*args, **kwargs).arguments
        given |= given.pop("kwargs", {})
        given = {**self._options_of_likelihood(), **given}
        adata = given.get("adata")
        own = adata is None or adata is self.adata  # type: ignore[attr-defined]
        if own or not isinstance(adata, AnnData) or _get_adata_minify_type(adata) is not None:
            return parent(**given)  # type: ignore[no-any-return]
        cells = prepare_cells(adata, self.spec)  # type: ignore[attr-defined]
        given["adata"] = cells
        for name in _CELLS:
            if isinstance(given.get(name), str):  # a query of obs, which the model's cells have other labels in
                given[name] = adata.obs.index.isin(adata.obs.query(given[name]).index)
        if (groupby := given.get("groupby")) is not None:
            if groupby not in adata.obs:
                raise KeyError(missing_column(adata.obs, groupby))
            cells.obs[_GROUPS] = adata.obs[groupby].to_numpy()
            given["groupby"] = _GROUPS
        try:
            return parent(**given)  # type: ignore[no-any-return]
        finally:
            forget_cells(self, cells)

    def _options_of_likelihood(self) -> dict[str, Any]:
        """Return arguments that suit predictions of normalised expression."""
        if self.module.gene_likelihood in SQUARED_ERRORS:  # type: ignore[attr-defined]
            return {"pseudocounts": PSEUDOCOUNT, "change_fn": _change}
        return {}


def _change(x: np.ndarray, y: np.ndarray, pseudocounts: float) -> np.ndarray:
    pseudocounts = max(pseudocounts, PSEUDOCOUNT)  # scvi-tools reports changes with a thousandth of them
    return np.log2(x + pseudocounts) - np.log2(y + pseudocounts)

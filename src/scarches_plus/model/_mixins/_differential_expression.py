"""Test differential expression between cells of any origin.

The decoder may predict normalised expression as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from scvi.data._utils import _get_adata_minify_type

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus._cells import column_of
from scarches_plus._options import or_none
from scarches_plus._settings import settings
from scarches_plus.model._registration._query_columns import prepare_cells
from scarches_plus.model._surgery._query_model import forget_cells
from scarches_plus.module import SQUARED_ERRORS, TARGET_SUM

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

#: A share of counts at which expression, the logarithm of ``1 + TARGET_SUM * share``, begins to tell shares apart.
PSEUDOCOUNT = 1 / TARGET_SUM
#: Columns for the groups in the cells as the model takes them, and for the position of cells.
_GROUPS = "_scarches_plus_groups"
_ROWS = "_scarches_plus_rows"
_CELLS = ("idx1", "idx2", "subset_idx")
_COUNT = or_none(partial(check.whole, least=1, most=_limits.DRAWS))
_RULES: dict[str, Callable[[str, Any], Any]] = {
    "groupby": or_none(check.text),
    "mode": partial(check.choice, options=("vanilla", "change")),
    "delta": partial(check.number, above=0),
    "fdr_target": partial(check.number, above=0, below=1),
    "batch_size": _COUNT,
    "n_samples_overall": _COUNT,
    "batch_correction": check.flag,
    "all_stats": check.flag,
    "silent": check.flag,
}


class DifferentialExpressionMixin:
    """``differential_expression`` of any cells, with the pseudocounts of the likelihood."""

    def differential_expression(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Test genes for differential expression, as scvi-tools does, among any cells whose batches the model knows.

        Parameters
        ----------
        *args, **kwargs
            As in scvi-tools. ``adata`` may join reference and query cells for a mapped model (``anndata.concat``, of
            what was given to :func:`~scarches_plus.tl.build_reference` and :func:`~scarches_plus.tl.map_query`): genes
            are put in order, labels that the model does not know are no obstacle, and ``adata`` is not changed.
            ``batch_correction=True`` decodes every cell as if in each batch in turn, or in those of ``batchid1`` and
            ``batchid2``; without it, differences between batches count as differences between groups. With
            ``gene_likelihood`` ``"mse"`` or ``"sse"``, ``mode="change"`` compares predicted expression:
            ``pseudocounts`` are 1e-4 by default, and log fold changes contain them. scvi-tools would estimate far
            smaller ones, and predictions of exactly 0 would become fold changes of a billion.

        Returns
        -------
        pandas.DataFrame
            As in scvi-tools, one row per gene of the model and comparison.

        Raises
        ------
        ValueError
            If the model does not know a batch or category of the cells, or no cell is in a group.
        KeyError
            If a column is missing.
        """
        parent = super().differential_expression  # type: ignore[misc]
        given = signature(parent).bind_partial(*args, **kwargs).arguments
        given |= given.pop("kwargs", {})
        given = {**self._options_of_likelihood(), **given}
        given = {name: _RULES[name](name, value) if name in _RULES else value for name, value in given.items()}
        if not settings.shows_progress(sys.stdout):  # where scvi-tools draws
            given["silent"] = True
        adata = given.get("adata")
        check.cells("adata", adata, mudata=True, or_none=True)
        own = adata is None or adata is self.adata  # type: ignore[attr-defined]
        adata = self.adata if own else adata  # type: ignore[attr-defined]
        if not isinstance(adata, AnnData) or (not own and _get_adata_minify_type(adata) is not None):
            return parent(**given)  # type: ignore[no-any-return]
        for name in _CELLS:
            if isinstance(given.get(name), str):  # scvi-tools looks for names, which several cells may share
                given[name] = _selected(adata.obs, given[name])
        groupby = given.get("groupby")
        if groupby is not None:
            _require_groups(adata.obs, groupby, given)
        if own:
            return parent(**given)  # type: ignore[no-any-return]
        cells = prepare_cells(adata, self.spec)  # type: ignore[attr-defined]
        given["adata"] = cells
        if groupby is not None:
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


def _selected(obs: pd.DataFrame, query: str) -> np.ndarray:
    """Return which cells a query of ``obs`` selects."""
    rows = obs.assign(**{_ROWS: np.arange(len(obs))}).query(query)[_ROWS]
    return np.isin(np.arange(len(obs)), rows)


def _require_groups(obs: pd.DataFrame, groupby: str, given: Mapping[str, Any]) -> None:
    """Check that the groups to compare have cells.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If a group has none.
    """
    column = column_of(obs, groupby)
    if given.get("idx1") is not None:
        return
    subset = given.get("subset_idx")
    if subset is not None:  # as scvi-tools has it
        inside = np.zeros(len(obs), dtype=bool)
        inside[np.asarray(subset).ravel()] = True
        column = column.astype(str).where(inside, "other")
    first, second = given.get("group1"), given.get("group2")
    first = [first] if isinstance(first, str) or not isinstance(first, Iterable) else first
    if empty := [group for group in (*first, second) if group is not None and not (column == group).any()]:
        message = (
            f"no cell has {empty} in obs[{groupby!r}], which holds {sorted(column.dropna().unique().tolist(), key=str)}"
        )
        raise ValueError(message)


def _change(x: np.ndarray, y: np.ndarray, pseudocounts: float) -> np.ndarray:
    pseudocounts = max(pseudocounts, PSEUDOCOUNT)  # scvi-tools reports changes with a thousandth of them
    return np.log2(x + pseudocounts) - np.log2(y + pseudocounts)

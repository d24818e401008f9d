"""Differential expression where the decoder predicts normalised expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus.module._expression_likelihood import SQUARED_ERRORS, TARGET_SUM

if TYPE_CHECKING:
    import pandas as pd

#: A share of counts at which expression, the logarithm of ``1 + TARGET_SUM * share``, begins to tell shares apart.
PSEUDOCOUNT = 1 / TARGET_SUM


class DifferentialExpressionMixin:
    """``differential_expression`` with the pseudocounts of the likelihood."""

    def differential_expression(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Test genes for differential expression, as scvi-tools does.

        Parameters
        ----------
        *args, **kwargs
            As in scvi-tools. With ``gene_likelihood`` ``"mse"`` or ``"sse"``, ``mode="change"`` compares predicted expression:
            ``pseudocounts`` are 1e-4 by default, and log fold changes contain them. scvi-tools would estimate far smaller
            ones, and predictions of exactly 0 would become fold changes of a billion.

        Returns
        -------
        pandas.DataFrame
            As in scvi-tools.
        """
        if self.module.gene_likelihood in SQUARED_ERRORS:  # type: ignore[attr-defined]
            kwargs = {"pseudocounts": PSEUDOCOUNT, "change_fn": _change, **kwargs}
        return super().differential_expression(*args, **kwargs)  # type: ignore[misc]


def _change(x: np.ndarray, y: np.ndarray, pseudocounts: float) -> np.ndarray:
    pseudocounts = max(pseudocounts, PSEUDOCOUNT)  # scvi-tools reports changes with a thousandth of them
    return np.log2(x + pseudocounts) - np.log2(y + pseudocounts)

"""Test differential expression between labels instead of cells."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse
from scvi import REGISTRY_KEYS
from scvi.model.base._de_core import _de_core

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus._settings import settings
from scarches_plus.model._registration._registry import categories

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from scarches_plus._reference import ReferenceSpec

#: Absolute Bayes factor from which on the paper calls a gene differentially expressed.
STRONG_EVIDENCE = 3
_COVARIATES = {
    "cont_covs": (REGISTRY_KEYS.CONT_COVS_KEY, np.float32),
    "cat_covs": (REGISTRY_KEYS.CAT_COVS_KEY, np.int64),
}


class LabelExpressionMixin:
    """``label_differential_expression``: scANVI's own differential expression."""

    if TYPE_CHECKING:

        @property
        def spec(self) -> ReferenceSpec: ...

    def label_differential_expression(
        self,
        group1: str | Sequence[str] | None = None,
        group2: str | None = None,
        *,
        mode: Literal["vanilla", "change"] = "vanilla",
        delta: float = 0.25,
        batchid1: Sequence[str] | None = None,
        batchid2: Sequence[str] | None = None,
        n_samples_overall: int = 5000,
        fdr_target: float = 0.05,
        silent: bool = True,
        **kwargs: Any,
    ) -> pd.DataFrame:
        r"""Test genes for differential expression between labels, without choosing cells.

        Where :meth:`differential_expression` compares cells, this compares what the model expects of labels. No cell
        needs a label, and none a certain one:

        .. math::
            p(H_1 \mid c_a, c_b) = \frac{1}{S} \sum_s \iint P\big(f(z_a, s) > f(z_b, s)\big) \,
            dp(z_a \mid u_a, c_a) \, dp(z_b \mid u_b, c_b) \, dp(u_a) \, dp(u_b)

        with :math:`f(z, s)` the expression decoded as if in batch :math:`s`, and a Bayes factor of
        :math:`\log p(H_1) / (1 - p(H_1))`.

        Parameters
        ----------
        group1
            Labels to test, each by itself; ``None`` means all, but for ``group2``.
        group2
            Label to compare with; ``None`` means all others, each as probable.
        mode, delta
            As in scvi-tools: ``"vanilla"`` tests the formula above, ``"change"`` log fold changes beyond ``delta``.
        batchid1, batchid2
            Batches to decode for each side, which weigh the same; ``None`` means all of the model.
        n_samples_overall
            Samples of each side, over all batches.
        fdr_target
            Expected share of false discoveries, in ``mode="change"``.
        silent
            Show no progress bar.
        **kwargs
            Passed to the Bayes factors of scvi-tools, such as ``pseudocounts``, ``test_mode`` or
            ``cred_interval_lvls``.

        Returns
        -------
        pandas.DataFrame
            As :meth:`differential_expression` returns, without statistics of raw counts; with ``mode="vanilla"`` also
            ``is_de_bf_3``, whether the Bayes factor is above 3 or below -3 (an odds ratio of 20), as the paper calls
            genes.

        Raises
        ------
        ValueError
            If a label or batch is unknown, or cells are needed and the model holds none.
        TypeError
            If an argument is of another kind, such as a text where a list is meant.

        Notes
        -----
        The paper averages over batches by their frequency, and this, as scvi-tools, over batches. Further covariates
        are those of random cells of the model, the same on both sides. With ``mode="change"`` and no ``pseudocounts``
        given, scvi-tools estimates them from genes without counts; counts of a label are here those of all cells of the
        model, weighted by the label's probability.

        References
        ----------
        Xu et al. 2021 (scANVI), "Bayesian differential expression".
        """
        check.choice("mode", mode, ("vanilla", "change"))
        check.number("delta", delta, above=0)
        check.texts_or_none(group2=group2)
        group1 = None if group1 is None else check.names("group1", group1, or_one=True, least=1)
        batchid1 = None if batchid1 is None else check.names("batchid1", batchid1, least=1)
        batchid2 = None if batchid2 is None else check.names("batchid2", batchid2, least=1)
        n_samples_overall = check.whole("n_samples_overall", n_samples_overall, least=1, most=_limits.DRAWS)
        check.number("fdr_target", fdr_target, above=0, below=1)
        check.flags(silent=silent)
        labels: tuple[str, ...] = self.classes  # type: ignore[attr-defined]
        if group1 is None:
            group1 = [label for label in labels if label != group2]
        named = list(group1)
        if unknown := [label for label in [*named, *filter(None, [group2])] if label not in labels]:
            message = f"the model knows no label {unknown}, only {list(labels)}"
            raise ValueError(message)
        if group2 in named:
            message = f"{group2!r} cannot be compared with itself"
            raise ValueError(message)
        batches = categories(self, REGISTRY_KEYS.BATCH_KEY)  # type: ignore[arg-type]
        if unknown := sorted({*(batchid1 or ()), *(batchid2 or ())} - set(batches)):
            message = f"the model knows no batch {unknown}, only {list(batches)}"
            raise ValueError(message)
        kwargs = {**self._options_of_likelihood(), **kwargs}  # type: ignore[attr-defined]
        with_counts = mode == "change" and kwargs.get("pseudocounts") is None
        if with_counts and self.adata is None:  # type: ignore[attr-defined]
            message = (
                "the model holds no cells to estimate pseudocounts from: pass pseudocounts=..., or load it with its "
                "cells"
            )
            raise ValueError(message)
        table = _de_core(
            _LabelManager(labels, batches, _mean_counts(self) if with_counts else None),
            _LabelSampler(self, batches, n_samples_overall),
            None,
            "label",
            named,
            group2,
            None,
            None,
            False,  # noqa: FBT003 (scvi-tools' signature)
            None,
            self.spec.var_names,
            mode,
            batchid1,
            batchid2,
            delta,
            True,  # noqa: FBT003
            fdr_target,
            silent or not settings.shows_progress(sys.stdout),
            n_samples_overall=n_samples_overall,
            **kwargs,
        )
        if mode == "vanilla":
            table[f"is_de_bf_{STRONG_EVIDENCE}"] = table["bayes_factor"].abs() > STRONG_EVIDENCE
        return table


class _LabelManager:
    """AnnData manager of labels in place of cells for scvi-tools: one row per label."""

    def __init__(self, labels: Sequence[str], batches: Sequence[str], counts: np.ndarray | None) -> None:
        names = pd.Index(labels)
        self.adata = AnnData(obs=pd.DataFrame({"label": list(labels)}, index=names))
        self.categorical_mapping = np.array(batches, dtype=object)
        self._counts = counts

    def get_state_registry(self, _: str) -> _LabelManager:
        """Return what holds the batches."""
        return self

    def get_from_registry(self, _: str) -> np.ndarray | None:
        """Return the mean counts of every label, shape ``(n_labels, n_genes)``."""
        return self._counts


class _LabelSampler:
    """Draws normalised expression of labels, in place of scvi-tools' ``get_normalized_expression`` of cells."""

    def __init__(self, model: Any, batches: Sequence[str], n_samples: int) -> None:
        self._module, self._batches = model.module, list(batches)
        self._covariates = _covariates_of_random_cells(model, n_samples)

    @torch.inference_mode()
    def __call__(self, _: AnnData, *, indices: np.ndarray, transform_batch: str, n_samples_overall: int) -> np.ndarray:
        """Return expression of labels that are as probable as each other, shape ``(n_samples_overall, n_genes)``."""
        module, n = self._module, n_samples_overall
        device = module.device
        y = torch.from_numpy(indices)[torch.randint(len(indices), (n,))].unsqueeze(1).to(device)
        u = torch.randn(n, module.n_latent, device=device)
        mean, variance = module.decoder_z1_z2(u, y)
        z = mean + variance.sqrt() * torch.randn_like(mean)
        batch = torch.full((n, 1), self._batches.index(str(transform_batch)), device=device)
        covariates = {name: values[:n].to(device) for name, values in self._covariates.items()}
        px = module.likelihood(z, z.new_zeros(n, 1), batch_index=batch, **covariates)
        return px.get_normalized("scale").cpu().numpy()  # type: ignore[no-any-return]


def _covariates_of_random_cells(model: Any, n: int) -> dict[str, Tensor]:
    """Return further covariates of cells drawn at random, the same for both sides; none if the model has none.

    Raises
    ------
    ValueError
        If the model has covariates and no cells.
    """
    spec = model.spec
    if not spec.categorical_covariates and not spec.continuous_covariates:
        return {}
    if model.adata is None:
        message = "the model has further covariates, whose values are those of its cells: load it with its cells"
        raise ValueError(message)
    registered = model.adata_manager.data_registry
    rows = torch.randint(model.adata.n_obs, (n,)).numpy()
    return {
        name: torch.from_numpy(np.asarray(model.adata_manager.get_from_registry(key), dtype=dtype)[rows])
        for name, (key, dtype) in _COVARIATES.items()
        if key in registered
    }


def _mean_counts(model: Any) -> np.ndarray:
    """Return the mean counts of the model's cells by label, weighted by its probability.

    The result has shape ``(n_labels, n_genes)``.
    """
    weights = model.predict(soft=True).iloc[:, : len(model.classes)].to_numpy(dtype=np.float64)
    counts = model.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
    sums = (sparse.csr_matrix(counts).T @ weights).T
    return sums / np.maximum(weights.sum(axis=0)[:, None], np.finfo(np.float64).tiny)  # type: ignore[no-any-return]

"""Rank marker genes of clusters by Welch's t-test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import column_of, counts_layer, name_of, require_writable, row_blocks, stored_counts
from scarches_plus._logging import logger
from scarches_plus.pp import require_counts

from ._groups._expression_sums import BLOCK, grouped_sums, log_normalized
from ._groups._welch import mean_and_variance, welch
from ._provenance._embedding_record import copy_of
from ._votes._reference_labels import categorical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

_TYPES = {"names": "O", "scores": "f4", "pvals": "f8", "pvals_adj": "f8", "logfoldchanges": "f4"}


def rank_genes(
    adata: AnnData,
    groupby: str,
    *,
    groups: Sequence[str] | None = None,
    layer: str | None = None,
    reference_std_factor: float = 10.0,
    max_cells: int | None = 2000,
    min_total: float = 20.0,
    n_genes: int | None = None,
    rng: int | np.random.Generator | None = 0,
    key_added: str = "rank_genes_groups",
    copy: bool = False,
) -> AnnData | None:
    r"""Rank genes by Welch's t of each group against all cells, the group included.

    With :math:`m, s^2, n` mean, variance and number of cells of the group, and :math:`m_0, s_0^2, n_0` of all sampled
    cells, on :math:`\log(1 + 10^4 x / \sum x)` of raw counts,

    .. math:: t = \frac{m - m_0}{\sqrt{s^2 / n + (f s_0)^2 / n_0}}

    A factor :math:`f > 1` favours genes of large effect over genes that differ little but surely.

    Parameters
    ----------
    adata
        Cells with raw counts. Receives ``uns[key_added]`` as scanpy writes it, for
        :func:`scanpy.get.rank_genes_groups_df` and scanpy's plots; these need a layer of log-normalised counts
        (:doc:`/guide/new_labels`).
    groupby
        ``obs`` column of the groups. Cells without one are left out.
    groups
        Groups to rank genes of; ``None`` means all. All cells that have a group are compared with.
    layer
        Layer with raw counts; ``None`` or ``"X"`` means ``X``.
    reference_std_factor
        ``f``; 1 is Welch's test.
    max_cells
        Cells sampled of each group at most; ``None`` takes all. ``n_0`` is what the groups give together.
    min_total
        Leave out genes whose normalised expression sums to less over all sampled cells; the default is the paper's. 0
        keeps all genes.
    n_genes
        Genes to write, best first; ``None`` means all.
    rng
        Seed or generator of the sample. ``None`` draws a fresh seed.
    key_added
        ``uns`` slot of the result.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    KeyError
        If the column or the layer does not exist.
    ValueError
        If a group has one cell only or is not there, no gene passes ``min_total``, counts are negative or missing, or a
        number is out of range.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        If counts are not whole numbers.

    Notes
    -----
    With a factor other than 1 ``pvals`` are no probabilities: they only order genes. The cells of a group are among
    those it is compared with, which costs power where the group is a large part of all cells. Fold changes are of the
    means of logarithms, as in scanpy.

    References
    ----------
    BA-scVI (Díaz-Mejía et al. 2025), Methods, "Differential Gene Expression".

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(200, n_types=3)
    >>> sp.tl.rank_genes(adata, "cell_type", n_genes=25)
    """
    check.cells("adata", adata)
    check.texts(groupby=groupby)
    check.texts_or_none(layer=layer)
    groups = None if groups is None else check.names("groups", groups, of=object, least=1)
    check.number("reference_std_factor", reference_std_factor, above=0)
    max_cells = None if max_cells is None else check.whole("max_cells", max_cells, least=2)
    check.number("min_total", min_total, least=0)
    n_genes = None if n_genes is None else check.whole("n_genes", n_genes, least=1)
    check.seed("rng", rng)
    check.slot("key_added", key_added)
    check.flags(copy=copy)
    require_writable(adata, copy=copy)
    if key_added == _keys.UNS:
        message = f"uns[{key_added!r}] holds the records of this package: pass another key_added"
        raise ValueError(message)
    codes, names = _coded(adata, groupby)
    if "" in names:  # numpy would name its column anew
        message = f"a group of obs[{groupby!r}] has no name (''): name it, or make it missing"
        raise ValueError(message)
    ranked = _ranked(names, np.bincount(codes[codes >= 0], minlength=len(names)), groups, groupby)
    cells = _sample(codes, max_cells, np.random.default_rng(rng))
    require_counts(adata, layer, scaled="warning")
    counts = stored_counts(adata[cells], counts_layer(layer, None))
    n_cells = np.bincount(codes[cells], minlength=len(names))
    sums, squares = grouped_sums(log_normalized(row_blocks(counts, BLOCK)), codes[cells], len(names), adata.n_vars)

    tested = sums.sum(axis=0) >= min_total
    if not tested.any():
        message = (
            f"no gene has a normalised expression of at least min_total={min_total} in all cells together: lower it"
        )
        raise ValueError(message)
    sums, squares = sums[:, tested], squares[:, tested]
    mean, variance = mean_and_variance(sums[ranked], squares[ranked], n_cells[ranked])
    totals = sums.sum(axis=0, keepdims=True), squares.sum(axis=0, keepdims=True)
    mean_all, variance_all = mean_and_variance(*totals, n_cells.sum(keepdims=True))
    scores, pvals = welch(
        (mean, variance, n_cells[ranked, None]), (mean_all, reference_std_factor**2 * variance_all, n_cells.sum())
    )
    result = _result(adata.var_names.to_numpy()[tested], scores, pvals, _log_fold(mean, mean_all), n_genes)

    adata = copy_of(adata) if copy else adata
    params = {
        "groupby": groupby,
        "reference": "all cells",
        "method": "t-test",
        "use_raw": False,
        "layer": counts_layer(layer, None),
        "corr_method": "benjamini-hochberg",
        "reference_std_factor": reference_std_factor,
        "min_total": min_total,
        "n_cells": len(cells),
    }
    logger.info(
        "genes of obs[%r] are ranked by counts in %s of %d of %d cells, at most %s of each group; %d genes with a "
        "normalised expression of less than min_total=%g in all are left out",
        groupby, params["layer"] or "X", len(cells), adata.n_obs, max_cells or "all", (~tested).sum(), min_total,
    )  # fmt: skip
    fields = [names[i] for i in ranked]
    adata.uns[key_added] = {"params": params} | {
        key: np.rec.fromarrays(list(values), dtype=[(field, _TYPES[key]) for field in fields])
        for key, values in result.items()
    }
    return adata if copy else None


def _coded(adata: AnnData, key: str) -> tuple[np.ndarray, list[str]]:
    """Return the group of every cell, -1 for none, and the names of the groups that have cells, in their order."""
    column = categorical(column_of(adata.obs, key))
    if not len(column.categories):
        message = f"no cell has a group in obs[{key!r}]"
        raise ValueError(message)
    return np.asarray(column.codes, dtype=np.int64), column.categories.tolist()


def _ranked(names: list[str], n_cells: np.ndarray, groups: Sequence[str] | None, key: str) -> np.ndarray:
    """Return the groups to rank genes of."""
    if isinstance(groups, str):
        groups = [groups]
    wanted = names if groups is None else [name_of(group) for group in groups]
    if unknown := [name for name in wanted if name not in names]:
        message = f"groups {unknown} not found in obs[{key!r}], which holds {names}"
        raise ValueError(message)
    ranked = np.array([i for i, name in enumerate(names) if name in set(wanted)], dtype=np.int64)
    if not len(ranked):
        message = "groups is empty: name groups, or pass None for all"
        raise ValueError(message)
    if single := [names[i] for i in ranked if n_cells[i] < 2]:
        message = f"groups {single} of obs[{key!r}] have one cell only, no variance: name the others with `groups=`"
        raise ValueError(message)
    return ranked


def _sample(codes: np.ndarray, max_cells: int | None, rng: np.random.Generator) -> np.ndarray:
    """Return at most so many random cells of every group, in their order."""
    order = rng.permutation(np.flatnonzero(codes >= 0))
    if max_cells is not None:
        order = order[pd.Series(order).groupby(codes[order]).cumcount().to_numpy() < max_cells]
    return np.sort(order)


def _log_fold(mean: np.ndarray, mean_all: np.ndarray) -> np.ndarray:
    return np.log2((np.expm1(mean) + 1e-9) / (np.expm1(mean_all) + 1e-9))  # scanpy's


def _result(
    genes: np.ndarray, scores: np.ndarray, pvals: np.ndarray, log_fold: np.ndarray, n_genes: int | None
) -> dict[str, Any]:
    """Return what scanpy writes, arrays of groups x genes, best gene first."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :n_genes]
    adjusted = false_discovery_control(pvals, axis=1)
    values = {"scores": scores, "pvals": pvals, "pvals_adj": adjusted, "logfoldchanges": log_fold}
    ranked = {name: np.take_along_axis(value, best, axis=1) for name, value in values.items()}
    return {"names": genes.astype(object)[best], **ranked}

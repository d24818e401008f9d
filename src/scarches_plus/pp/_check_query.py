"""Find everything that would go wrong before anything is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus._reference import ReferenceSpec

from ._check_genes import FEW_GENES, TOO_FEW_GENES, check_genes
from ._counts import counts_layer, row_blocks, stored_counts, stored_values
from ._measured import read_record
from ._query_report import Problem, QueryReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from anndata import AnnData

    class HasSpec(Protocol):
        @property
        def spec(self) -> ReferenceSpec: ...


_SMALL_BATCH = 20


def check_query(
    adata: AnnData,
    model: HasSpec | ReferenceSpec,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    shared_batches: Sequence[str] = (),
) -> QueryReport:
    """Find every problem that mapping a query onto a reference would meet, with its fix.

    Parameters
    ----------
    adata
        Query with raw counts. It is not changed. Counts on disk are read once, a block of cells at a time, and never
        held as a whole.
    model
        Reference model of this package (:func:`scarches_plus.model.load` opens others), or its ``spec``.
    layer, batch_key
        Where the query keeps counts (``"X"`` for ``adata.X``) and batches, if not where the reference does.
    shared_batches
        Batches of the query that are the reference's own batches of the same name.

    Returns
    -------
    QueryReport
        Printable; ``.ok`` tells whether mapping may go on, ``.problems`` holds each problem.

    Raises
    ------
    TypeError
        If ``adata`` is no AnnData or ``model`` has no ``spec``.
    """
    check.cells("adata", adata)
    check.texts_or_none(layer=layer, batch_key=batch_key)
    shared_batches = check.names("shared_batches", shared_batches)
    spec = model if isinstance(model, ReferenceSpec) else getattr(model, "spec", None)
    if not isinstance(spec, ReferenceSpec):
        message = f"expected a model of scarches_plus (sp.model.load opens others), not {check.shown(model)}"
        raise TypeError(message)

    batch_key = batch_key or spec.batch_key
    batches = _present(adata.obs, batch_key)
    labels = _present(adata.obs, spec.labels_key)
    problems = [
        *_check_shape(adata),
        *check_genes(adata, spec),
        *_check_studies(adata, spec),
        *check_counts(adata, spec, counts_layer(layer, spec.layer)),
        *_check_batches(adata.obs, spec, batch_key, shared_batches),
        *_check_covariates(adata.obs, spec),
    ]
    order = {"fatal": 0, "error": 1, "warning": 2}
    return QueryReport(
        problems=tuple(sorted(problems, key=lambda problem: order[problem.severity])),
        n_cells=adata.n_obs,
        n_genes=adata.n_vars,
        n_reference_genes=len(spec.var_names),
        n_genes_found=int(pd.Index(spec.var_names).isin(adata.var_names).sum()),
        new_batches=tuple(batch for batch in batches if batch not in spec.batches),
        shared_batches=tuple(batch for batch in batches if batch in spec.batches),
        unknown_labels=tuple(
            label for label in labels if label not in spec.labels and label != spec.unlabeled_category
        ),
    )


def _present(obs: pd.DataFrame, key: str | None) -> list[str]:
    return [] if key is None or key not in obs else sorted(set(obs[key].dropna().astype(str)))


def _check_shape(adata: AnnData) -> Iterator[Problem]:
    if adata.n_obs == 0 or adata.n_vars == 0:
        yield Problem("fatal", f"the query has {adata.n_obs} cells and {adata.n_vars} genes", "pass a query with cells")
    elif adata.n_obs < _SMALL_BATCH:
        yield Problem(
            "warning", f"the query has only {adata.n_obs} cells", "expect an uncertain correction of its batch"
        )


def _check_studies(adata: AnnData, spec: ReferenceSpec) -> Iterator[Problem]:
    """Find studies of a joined query that measured few of the genes (studies of a reference to be may differ)."""
    record = read_record(adata)
    if record is None or record[0] not in adata.obs or not spec.batches:
        return
    present = record[1].columns.isin(adata.obs[record[0]])
    share = record[1].loc[adata.var_names.isin(spec.var_names), present].sum() / len(spec.var_names)
    few = share[share < FEW_GENES].sort_values()
    if len(few):
        yield Problem(
            "error" if few.iloc[0] < TOO_FEW_GENES else "warning",
            f"studies {few.index[:5].tolist()} measured as little as {few.iloc[0]:.0%} of the reference's genes",
            "leave them out, or join them again with all genes they measured",
        )


def check_counts(adata: AnnData, spec: ReferenceSpec, layer: str | None) -> Iterator[Problem]:
    """Find what is wrong with counts: with their values, and with cells that have none on the reference's genes."""
    try:
        stored = stored_counts(adata, layer)
    except KeyError as error:
        yield Problem("fatal", str(error.args[0]), "name the layer that holds raw counts with `layer=`")
        return
    genes = adata.var_names.isin(spec.var_names)
    found = _summarize([_look_at(block, genes) for block in row_blocks(stored)])
    if found.n_impossible:
        yield Problem(
            "fatal", f"{found.n_impossible} cells have missing or infinite values", "remove these cells or values"
        )
        return
    if not spec.counts or not found.n_values:
        return
    if found.smallest < 0:
        yield Problem("fatal", "there are negative values", "pass raw counts, for example layer='counts'")
        return
    if found.n_fractional:
        fractional = found.n_fractional / found.n_values
        looks_logged = found.largest < np.log1p(1e5) and fractional > 0.5
        yield Problem(
            "error" if looks_logged else "warning",
            f"{fractional:.0%} of the stored values are not integers"
            + (" and none is large: this looks like log-normalised data" if looks_logged else ""),
            "pass raw counts, for example layer='counts' or adata.raw",
        )
    if found.n_empty and genes.any():
        yield Problem(
            "error",
            f"{found.n_empty} cells have no counts on the reference's genes, and would get a label nevertheless",
            "remove them, for example with sc.pp.filter_cells(adata, min_counts=1)",
        )


class _Values(NamedTuple):
    """What stored values are like; cells are impossible with missing or infinite ones, empty without any on the genes."""

    smallest: float = 0.0
    largest: float = 0.0
    n_values: int = 0
    n_fractional: int = 0
    n_impossible: int = 0
    n_empty: int = 0


def _look_at(block: Any, genes: np.ndarray) -> _Values:
    values = stored_values(block)
    smallest, largest = float(values.min(initial=0)), float(values.max(initial=0))
    if not np.isfinite([smallest, largest]).all():
        return _Values(n_impossible=_rows_with(block, lambda values: ~np.isfinite(values)))
    n_fractional = np.count_nonzero(values != np.rint(values)) if values.dtype.kind == "f" else 0
    n_empty = np.count_nonzero(block @ genes.astype(np.float32) == 0)
    return _Values(smallest, largest, len(values), int(n_fractional), 0, int(n_empty))


def _summarize(blocks: list[_Values]) -> _Values:
    columns = list(zip(*blocks, strict=True)) or [(0,)] * len(_Values._fields)
    return _Values(min(columns[0]), max(columns[1]), *map(sum, columns[2:]))


def _rows_with(matrix: Any, test: Any) -> int:
    if sparse.issparse(matrix):
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        return len(np.unique(rows[test(matrix.data)]))
    return int(test(np.asarray(matrix)).any(axis=1).sum())


def _check_batches(
    obs: pd.DataFrame, spec: ReferenceSpec, batch_key: str | None, shared: Sequence[str]
) -> Iterator[Problem]:
    if spec.batch_key is None or batch_key is None:
        return
    yield from _check_column(obs, batch_key, "pass batch_key=..., or add the column (one value if it is one batch)")
    sizes = obs[batch_key].dropna().astype(str).value_counts() if batch_key in obs else pd.Series(dtype=int)
    reused = sorted((set(sizes.index) & set(spec.batches)) - set(shared))
    if reused:
        yield Problem(
            "fatal",
            f"batches {reused} have the names of batches of the reference",
            f"pass shared_batches={reused} if they are the same batches, else rename them in obs[{batch_key!r}]",
        )
    small = sizes[sizes < _SMALL_BATCH]
    if len(small):
        yield Problem(
            "warning",
            f"{len(small)} batches have fewer than {_SMALL_BATCH} cells, for example {small.index[:3].tolist()}",
            "join them with similar batches if they are technical replicates",
        )


def _check_covariates(obs: pd.DataFrame, spec: ReferenceSpec) -> Iterator[Problem]:
    for key in (*spec.categorical_covariates, *spec.continuous_covariates, *filter(None, [spec.size_factor_key])):
        yield from _check_column(obs, key, "the reference was trained with this covariate: add it")
    for key in (*spec.continuous_covariates, *filter(None, [spec.size_factor_key])):
        if key in obs and obs[key].dtype.kind not in "biuf":
            yield Problem("fatal", f"obs[{key!r}] is not numeric", f"obs[{key!r}] = obs[{key!r}].astype(float)")
        elif key in obs and np.isinf(obs[key].to_numpy(dtype=float)).any():
            yield Problem("fatal", f"obs[{key!r}] has infinite values", "replace them or remove these cells")


def _check_column(obs: pd.DataFrame, key: str, fix_missing: str) -> Iterator[Problem]:
    if key not in obs:
        yield Problem(
            "fatal", f"column {key!r} not found in adata.obs ({obs.columns.astype(str).tolist()})", fix_missing
        )
        return
    n_missing = int(obs[key].isna().sum())
    if n_missing:
        yield Problem("fatal", f"obs[{key!r}] has {n_missing} missing values", "fill them in or remove these cells")

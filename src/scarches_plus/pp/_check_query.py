"""Check a query against a reference, and report every problem before anything is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol
from warnings import warn

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._cells import (
    counts_layer,
    gene_cells,
    in_modality,
    is_mudata,
    matrix_of,
    name_of,
    names_of,
    read_record,
)
from scarches_plus._reference import ReferenceSpec

from ._checks._columns import SMALL_BATCH, check_batches, check_column, check_covariates, check_spelling, present
from ._checks._counts import check_counts
from ._checks._genes import FEW_GENES, TOO_FEW_GENES, check_genes
from ._checks._opened import opened
from ._checks._proteins import check_proteins
from ._query_report import Problem, QueryError, QueryReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

    class HasSpec(Protocol):
        @property
        def spec(self) -> ReferenceSpec: ...


def check_query(
    adata: AnnData | MuData,
    model: HasSpec | ReferenceSpec | str | Path | None = None,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    shared_batches: Sequence[str] = (),
) -> QueryReport:
    """Find every problem that mapping a query onto a reference would meet, with its fix.

    Values that are no raw counts are named as what they probably are (log1p of counts per 10,000, log2, CPM, binarised,
    scaled, ...), with the figure that gives them away, each batch by itself.

    Parameters
    ----------
    adata
        Query with raw counts, MuData for a totalVI model. It is not changed. Counts on disk are read once, a block of
        cells at a time, and never held as a whole.
    model
        Reference model of this package, what :func:`scarches_plus.load` opens, or a model's ``spec``. ``None``: only
        what is wrong with any model is found, such as values that are no counts.
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
        If ``adata`` is no AnnData or MuData, or ``model`` has no ``spec``, or MuData meets a model of genes alone.
    """
    check.cells("adata", adata, mudata=True)
    check.texts_or_none(layer=layer, batch_key=batch_key)
    shared_batches = check.names("shared_batches", shared_batches, of=object)
    model = opened(model)
    check.supported_model(model)
    spec = model if model is None or isinstance(model, ReferenceSpec) else getattr(model, "spec", None)
    if model is not None and not isinstance(spec, ReferenceSpec):
        message = f"expected a model of scarches_plus (sp.model.load opens others), not {check.shown(model)}"
        raise TypeError(message)
    if spec is None:
        if is_mudata(adata):
            message = "without a model, pass a modality of the MuData, such as mdata.mod['rna']"
            raise TypeError(message)
        return _check_alone(adata, counts_layer(layer, None), batch_key)  # type: ignore[arg-type]

    batch_key = batch_key or spec.batch_key
    problems: list[Problem] = []
    try:
        cells = gene_cells(adata, spec, batch_key)
    except (KeyError, ValueError) as error:
        problems = [
            Problem("fatal", str(error.args[0]), "give the cells every modality and column that the model reads")
        ]
        return QueryReport(tuple(problems), adata.n_obs, adata.n_vars, len(spec.var_names), 0, (), (), ())
    genes = cells.var_names.isin(spec.var_names)
    batches = present(cells.obs, batch_key)
    labels = present(cells.obs, spec.labels_key)
    problems = [
        *_check_shape(cells, corrected=bool(set(batches) - set(map(name_of, shared_batches)))),
        *check_genes(cells, spec),
        *_check_studies(cells, spec),
        *check_counts(cells, counts_layer(layer, spec.layer), genes=genes, batch_key=batch_key, counts=spec.counts),
        *check_proteins(adata, spec),
        *check_batches(cells.obs, spec, batch_key, shared_batches),
        *check_spelling(cells.obs, spec.labels_key, (*spec.labels, *filter(None, [spec.unlabeled_category]))),
        *check_covariates(cells.obs, spec),
    ]
    if cells is not adata:
        problems = [replace(one, fix=in_modality(one.fix, spec.modalities["genes"])) for one in problems]
    return QueryReport(
        problems=_worst_first(problems),
        n_cells=cells.n_obs,
        n_genes=cells.n_vars,
        n_reference_genes=len(spec.var_names),
        n_genes_found=int(pd.Index(spec.var_names).isin(cells.var_names).sum()),
        new_batches=tuple(batch for batch in batches if batch not in spec.batches),
        shared_batches=tuple(batch for batch in batches if batch in spec.batches),
        unknown_labels=tuple(
            label for label in labels if label not in spec.labels and label != spec.unlabeled_category
        ),
    )


def require_counts(
    adata: AnnData,
    layer: str | None = None,
    *,
    batch_key: str | None = None,
    scaled: Literal["error", "warning"] = "error",
    stacklevel: int = 3,
) -> None:
    """Refuse cells whose values are no raw counts, for verbs that read counts without a model.

    Parameters
    ----------
    adata
        Cells; not changed.
    layer
        Layer with counts; ``None`` and ``"X"`` mean ``X``.
    batch_key
        ``obs`` column of batches, each of which is judged by itself.
    scaled
        How bad counts are that were only normalised or multiplied: a verb that normalises by itself does not mind.
    stacklevel
        Of warnings; 3 is the caller of the verb.

    Raises
    ------
    KeyError
        If there is no such layer.
    QueryError
        If the values are no counts, naming what they probably are.
    """
    layer = counts_layer(layer, None)
    matrix_of(adata, layer)
    problems = [problem for problem in _check_shape(adata) if problem.severity != "warning"]
    problems += list(check_counts(adata, layer, batch_key=batch_key, empty=None, scaled=scaled))
    if blocking := [problem for problem in problems if problem.severity != "warning"]:
        message = "these cells cannot be used as they are:\n" + "\n".join(f"- {problem}" for problem in blocking)
        raise QueryError(message)
    for problem in problems:
        warn(str(problem), UserWarning, stacklevel=stacklevel)


def _check_alone(adata: AnnData, layer: str | None, batch_key: str | None) -> QueryReport:
    """Find what is wrong with cells whatever the model."""
    columns = (
        [] if batch_key is None else check_column(adata.obs, batch_key, "name another column, or leave batch_key out")
    )
    problems = [
        *_check_shape(adata),
        *check_genes(adata, None),
        *check_counts(adata, layer, batch_key=batch_key),
        *_check_obs(adata.obs),
        *columns,
    ]
    return QueryReport(
        _worst_first(problems), adata.n_obs, adata.n_vars, 0, 0, tuple(present(adata.obs, batch_key)), (), ()
    )


def _worst_first(problems: list[Problem]) -> tuple[Problem, ...]:
    order = {"fatal": 0, "error": 1, "warning": 2}
    return tuple(sorted(problems, key=lambda problem: order[problem.severity]))


def _check_shape(adata: AnnData, *, corrected: bool = True) -> Iterator[Problem]:
    if adata.n_obs == 0 or adata.n_vars == 0:
        yield Problem("fatal", f"there are {adata.n_obs} cells and {adata.n_vars} genes", "pass cells, and genes")
    elif corrected and adata.n_obs < SMALL_BATCH:
        yield Problem("warning", f"there are only {adata.n_obs} cells", "expect an uncertain correction of its batch")


def _check_obs(obs: pd.DataFrame) -> Iterator[Problem]:
    """Find columns that share a name."""
    repeated = obs.columns[obs.columns.duplicated()].unique().astype(str).tolist()
    if repeated:
        yield Problem(
            "warning",
            f"adata.obs has several columns named {repeated[:5]}",
            "keep the first of each: adata.obs = adata.obs.loc[:, ~adata.obs.columns.duplicated()].copy()",
        )


def _check_studies(adata: AnnData, spec: ReferenceSpec) -> Iterator[Problem]:
    """Find studies of a joined query that measured few of the genes (studies of a reference to be may differ)."""
    record = read_record(adata)
    if record is None or record[0] not in adata.obs or not spec.batches:
        return
    here = record[1].columns.isin(names_of(adata.obs[record[0]]))
    share = record[1].loc[adata.var_names.isin(spec.var_names), here].sum() / len(spec.var_names)
    few = share[share < FEW_GENES].sort_values()
    if len(few):
        yield Problem(
            "error" if few.iloc[0] < TOO_FEW_GENES else "warning",
            f"studies {few.index[:5].tolist()} measured as little as {few.iloc[0]:.0%} of the reference's genes",
            "leave them out, or join them again with all genes they measured",
        )

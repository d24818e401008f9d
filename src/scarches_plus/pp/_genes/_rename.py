"""Rename genes, and sum the counts of those that come to share a name."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scarches_plus._arguments import choice
from scarches_plus._cells import counts_layer, counts_of, read_record, write_record
from scarches_plus._logging import logger
from scarches_plus.pp._check_query import require_counts
from scarches_plus.pp._gene_report import GeneReport

from ._match import other_names
from ._names import as_text, strip_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


ManyToOne = Literal["raise", "sum"]
OneToMany = Literal["raise", "first", "drop"]
Unmapped = Literal["drop", "keep"]


def check_options(many_to_one: str | None, one_to_many: str, unmapped: str) -> None:
    """Refuse unknown options."""
    choice("many_to_one", many_to_one, ("raise", "sum", None))
    choice("one_to_many", one_to_many, ("raise", "first", "drop"))
    choice("unmapped", unmapped, ("drop", "keep"))


def rename_genes(
    adata: AnnData,
    pairs: pd.DataFrame,
    *,
    many_to_one: ManyToOne,
    one_to_many: OneToMany,
    unmapped: Unmapped,
    strip_versions: bool,
    layer: str | None,
    table: str | None = None,
) -> tuple[AnnData, GeneReport]:
    """Do the work of ``map_gene_ids`` and ``map_orthologs`` with the pairs that ``read_table`` returns."""
    check_options(many_to_one, one_to_many, unmapped)
    names = as_text(adata.var_names)
    ids = pd.Series([strip_version(name) for name in names] if strip_versions else names, dtype=object)
    if not pairs["source"].isin(ids).any():
        message = (
            "the table names none of the genes of adata; is its first column of adata's kind (symbols or Ensembl ids, "
            "with or without versions) and species?"
            + other_names(
                names, pairs["source"], "sp.pp.match_gene_names(adata, names), with the old names of the table"
            )
        )
        raise ValueError(message)
    pairs = pairs[pairs["source"].isin(ids)]
    chosen, ambiguous = _choose(pairs, one_to_many)
    known = ids.isin(pairs["source"]).to_numpy()
    target = ids.map(chosen)
    if unmapped == "keep":
        target = target.where(known, names)
    return sum_genes(
        adata,
        [None if pd.isna(name) else name for name in target],
        known & target.notna().to_numpy(),
        kept=~known if unmapped == "keep" else np.zeros(len(names), dtype=bool),
        many_to_one=many_to_one,
        layer=layer,
        ambiguous=ambiguous,
        table=table,
    )


def sum_genes(
    adata: AnnData,
    targets: Sequence[str | None],
    mapped: np.ndarray,
    *,
    kept: np.ndarray,
    many_to_one: ManyToOne,
    layer: str | None,
    ambiguous: Mapping[str, tuple[str, ...]] | None = None,
    changes: Mapping[str, int] | None = None,
    table: str | None = None,
) -> tuple[AnnData, GeneReport]:
    """Give each gene its new name, add the counts of those that share one, and leave out those without.

    Parameters
    ----------
    adata
        Cells with raw counts. It is not changed.
    targets
        New name of each gene; ``None`` leaves the gene out.
    mapped, kept
        Booleans for each gene, for the report: it got a name of the table, it kept its own.
    many_to_one, layer
        As :func:`map_gene_ids` takes them.
    ambiguous, changes, table
        For the report.
    """
    names = pd.Series(as_text(adata.var_names), dtype=object)
    target = pd.Series(list(targets), dtype=object)
    taken = np.flatnonzero(target.notna())
    codes, result = pd.factorize(target.iloc[taken])
    parts: dict[str, list[str]] = {}
    for name, new in zip(names.iloc[taken], target.iloc[taken], strict=True):
        parts.setdefault(str(new), []).append(name)
    merged = {new: tuple(part) for new, part in parts.items() if len(part) > 1}
    if merged and many_to_one == "raise":
        new, part = next(iter(merged.items()))
        message = (
            f"{len(merged)} new names stand for several genes each, for example {new!r} for {list(part[:5])}; "
            "many_to_one='sum' adds their counts, or take these genes out of the table"
        )
        raise ValueError(message)

    source = counts_layer(layer, None)
    if merged and adata.n_obs:
        require_counts(adata, source, scaled="warning", stacklevel=4)
    counts = counts_of(adata, source)
    summed = counts @ _indicator(taken, codes, (adata.n_vars, len(result)), counts.dtype)
    _, first = np.unique(codes, return_index=True)
    renamed = AnnData(
        X=summed,
        obs=adata.obs,
        var=adata.var.iloc[taken[first]].set_axis(pd.Index(result, dtype=str)),
        obsm={key: adata.obsm[key].copy() for key in adata.obsm},
        uns=deepcopy(dict(adata.uns)),
        layers=None if source is None else {source: summed},
    )
    record = read_record(adata)
    if record is not None:  # a sum was measured where all its parts were
        write_record(renamed, record[0], record[1].iloc[taken].groupby(codes).all())
    lost = np.setdiff1d(np.arange(adata.n_vars), taken)
    sums = np.asarray(counts.sum(axis=0, dtype=float)).ravel()
    report = GeneReport(
        n_genes=adata.n_vars,
        n_mapped=int(mapped.sum()),
        n_result=len(result),
        lost=tuple(names[lost]),
        kept=tuple(names[kept]),
        merged=merged,
        ambiguous=ambiguous or {},
        lost_counts=float(sums[lost].sum() / max(sums.sum(), 1)),
        changes=changes or {},
        table=table,
    )
    logger.info("%s", report)
    return renamed, report


def _choose(pairs: pd.DataFrame, one_to_many: OneToMany) -> tuple[pd.Series, dict[str, tuple[str, ...]]]:
    """Return one new name per gene, and the genes that have several."""
    several = pairs[pairs["source"].duplicated(keep=False)]
    ambiguous = {str(source): tuple(targets) for source, targets in several.groupby("source", sort=False)["target"]}
    if ambiguous and one_to_many == "raise":
        source, targets = next(iter(ambiguous.items()))
        message = (
            f"the table has several new names for {len(ambiguous)} genes, for example {list(targets[:5])} for "
            f"{source!r}; one_to_many='first' takes the first, 'drop' leaves these genes out"
        )
        raise ValueError(message)
    chosen = pairs.drop_duplicates("source", keep="first" if one_to_many == "first" else False)
    return chosen.set_index("source")["target"], ambiguous


def _indicator(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], dtype: np.dtype) -> sparse.csr_matrix:
    """Return ones at rows and columns, in a type in which sums of counts do not overflow."""
    kind = dtype if dtype.kind == "f" else np.promote_types(dtype, np.int32)
    return sparse.csr_matrix((np.ones(len(rows), dtype=kind), (rows, columns)), shape=shape)

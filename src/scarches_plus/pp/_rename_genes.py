"""Give genes other names, and sum those that come to share one."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from scarches_plus._logging import logger

from ._counts import counts_layer, counts_of
from ._gene_names import strip_version
from ._gene_report import GeneReport
from ._measured import read_record, write_record

if TYPE_CHECKING:
    from anndata import AnnData

ManyToOne = Literal["raise", "sum"]
OneToMany = Literal["raise", "first", "drop"]
Unmapped = Literal["drop", "keep"]


def rename_genes(
    adata: AnnData,
    pairs: pd.DataFrame,
    *,
    many_to_one: ManyToOne,
    one_to_many: OneToMany,
    unmapped: Unmapped,
    strip_versions: bool,
    layer: str | None,
) -> tuple[AnnData, GeneReport]:
    """Do the work of ``map_gene_ids`` and ``map_orthologs`` with the pairs that ``read_table`` returns."""
    from anndata import AnnData

    names = pd.Series(adata.var_names.astype(str), dtype=object)
    ids = names.map(strip_version) if strip_versions else names
    pairs = pairs[pairs["source"].isin(ids)]
    chosen, ambiguous = _choose(pairs, one_to_many)
    known = ids.isin(pairs["source"])
    target = ids.map(chosen)
    if unmapped == "keep":
        target = target.where(known, names)
    taken = np.flatnonzero(target.notna())
    codes, result = pd.factorize(target.iloc[taken])
    parts = names.iloc[taken].groupby(codes).agg(tuple)
    merged = {str(new): part for new, part in zip(result, parts, strict=True) if len(part) > 1}
    if merged and many_to_one == "raise":
        new, part = next(iter(merged.items()))
        message = (
            f"{len(merged)} new names stand for several genes each, for example {new!r} for {list(part[:5])}; "
            "many_to_one='sum' adds their counts, or take these genes out of the table"
        )
        raise ValueError(message)

    source = counts_layer(layer, None)
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
        n_mapped=int((known & target.notna()).sum()),
        n_result=len(result),
        lost=tuple(names[lost]),
        kept=tuple(names[~known]) if unmapped == "keep" else (),
        merged=merged,
        ambiguous=ambiguous,
        lost_counts=float(sums[lost].sum() / max(sums.sum(), 1)),
    )
    logger.info("%s", report)
    return renamed, report


def _choose(pairs: pd.DataFrame, one_to_many: OneToMany) -> tuple[pd.Series, dict[str, tuple[str, ...]]]:
    """Return one new name per gene, and the genes that have several."""
    if pairs.empty:
        message = (
            "the table names none of the genes of adata; is its first column of adata's kind (symbols or Ensembl ids, "
            "with or without versions) and species?"
        )
        raise ValueError(message)
    several = pairs[pairs["source"].duplicated(keep=False)]
    ambiguous = {str(source): tuple(targets) for source, targets in several.groupby("source", sort=False)["target"]}
    if ambiguous and one_to_many == "raise":
        source, targets = next(iter(ambiguous.items()))
        message = (
            f"the table has several new names for {len(ambiguous)} genes, for example {list(targets[:5])} for {source!r}; "
            "one_to_many='first' takes the first, 'drop' leaves these genes out"
        )
        raise ValueError(message)
    chosen = pairs.drop_duplicates("source", keep="first" if one_to_many == "first" else False)
    return chosen.set_index("source")["target"], ambiguous


def _indicator(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], dtype: np.dtype) -> sparse.csr_matrix:
    """Return ones at rows and columns, in a type in which sums of counts do not overflow."""
    kind = dtype if dtype.kind == "f" else np.promote_types(dtype, np.int32)
    return sparse.csr_matrix((np.ones(len(rows), dtype=kind), (rows, columns)), shape=shape)

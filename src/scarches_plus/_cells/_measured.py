"""Record which study measured which gene, and read that record.

``concat_studies`` writes it, training and surgery read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys

from ._names import name_of, names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

#: In ``uns["scarches_plus"]``: ``obs`` column that names a cell's study, a column of ``varm["measured"]``.
STUDY_KEY = "study_key"


def write_record(adata: AnnData, study_key: str, measured: pd.DataFrame) -> None:
    """Record which study measured which gene (boolean, genes x studies)."""
    adata.varm[_keys.MEASURED] = measured.set_axis(adata.var_names)
    adata.uns[_keys.UNS] = {**adata.uns.get(_keys.UNS, {}), STUDY_KEY: study_key}


def read_record(adata: AnnData) -> tuple[str, pd.DataFrame] | None:
    """Return the ``obs`` column of studies, and which study measured which gene.

    ``None`` if this is not recorded.
    """
    study_key = adata.uns.get(_keys.UNS, {}).get(STUDY_KEY)
    return None if study_key is None or _keys.MEASURED not in adata.varm else (study_key, adata.varm[_keys.MEASURED])


def measured_genes(adata: AnnData, batches: Sequence[str] | np.ndarray) -> pd.DataFrame | None:
    """Return which genes each batch measured, as ``concat_studies`` recorded it.

    Parameters
    ----------
    adata
        Cells.
    batches
        Batch of every cell, shape ``(n_cells,)``.

    Returns
    -------
    DataFrame or None
        Boolean, genes x batches; ``None`` if nothing is recorded.

    Raises
    ------
    KeyError
        If the column of studies is gone.
    ValueError
        If it names a study that is not recorded, or a batch spans studies that measured different genes.
    """
    record = read_record(adata)
    if record is None:
        return None
    study_key, measured = record
    if study_key not in adata.obs:
        message = (
            f"obs[{study_key!r}] is gone, by which varm[{_keys.MEASURED!r}] tells the genes that a cell's study "
            "measured"
        )
        raise KeyError(message)
    pairs = pd.DataFrame({"batch": np.asarray(batches), "study": names_of(adata.obs[study_key])}).drop_duplicates()
    unknown = pairs["study"][~pairs["study"].isin(measured.columns)].unique().tolist()
    if unknown:
        message = (
            f"obs[{study_key!r}] holds {unknown[:5]}, but varm[{_keys.MEASURED!r}] knows {list(measured.columns)[:5]}"
        )
        raise ValueError(message)
    by_batch = {}
    for batch, studies in pairs.groupby("batch", sort=False)["study"]:
        columns = measured[studies.tolist()].to_numpy()
        by_batch[batch] = columns[:, 0]
        if (columns != columns[:, :1]).any():
            message = (
                f"batch {batch!r} spans the studies {studies.tolist()[:5]}, which measured different genes; keep "
                f"batches within studies, for example obs['batch'] = obs[{study_key!r}].astype(str) + '-' + "
                "obs['batch'].astype(str)"
            )
            raise ValueError(message)
    return pd.DataFrame(by_batch, index=adata.var_names)


def unmeasured_genes(
    prepared: AnnData,
    batches: Sequence[str] | np.ndarray,
    gene_mask: Literal["auto"] | pd.DataFrame | Mapping[str, Sequence[str]] | None = "auto",
) -> dict[str, list[int]]:
    """Return the genes that each batch did not measure.

    Parameters
    ----------
    prepared
        Cells as :func:`align_genes` returns them.
    batches
        Batch of every cell as text, shape ``(n_cells,)``.
    gene_mask
        ``"auto"``: what ``concat_studies`` recorded. Else the batches and the genes they measured, as
        :func:`scarches_plus.tl.build_reference` takes them; a batch not named measured every gene. ``None``: every
        batch measured every gene.

    Returns
    -------
    dict
        Batch to positions of genes, of batches that lack any.

    Raises
    ------
    ValueError
        If a batch or gene is unknown, or a batch measured none of the genes.
    """
    measured: pd.DataFrame | None
    if isinstance(gene_mask, str):
        if gene_mask != "auto":
            message = (
                "gene_mask must be 'auto', None, a mapping of batch to measured genes or a DataFrame, not "
                f"{gene_mask!r}"
            )
            raise ValueError(message)
        measured = measured_genes(prepared, batches)
        if measured is None:
            here = prepared.var[_keys.MEASURED].to_numpy(dtype=bool)
            measured = pd.DataFrame(dict.fromkeys(pd.unique(np.asarray(batches)), here))
    else:
        measured = _given(gene_mask, prepared.var_names, set(batches))
    unmeasured = {str(batch): np.flatnonzero(~measured[batch].to_numpy(dtype=bool)).tolist() for batch in measured}
    empty = [batch for batch, genes in unmeasured.items() if len(genes) == prepared.n_vars]
    if empty:
        message = (
            f"batches {empty[:5]} measured none of the {prepared.n_vars} genes; leave them out, or keep genes of theirs"
        )
        raise ValueError(message)
    return {batch: genes for batch, genes in unmeasured.items() if genes}


def _given(
    gene_mask: pd.DataFrame | Mapping[str, Sequence[str]] | None, genes: pd.Index, batches: set[str]
) -> pd.DataFrame:
    """Return which of the genes each named batch measured."""
    if gene_mask is None:
        return pd.DataFrame(index=genes)
    if isinstance(gene_mask, pd.DataFrame):
        missing = genes.difference(gene_mask.index, sort=False)
        if len(missing) or not gene_mask.index.is_unique:
            message = (
                f"gene_mask needs exactly one row for every gene; it lacks {len(missing)}, for example "
                f"{missing[:5].tolist()}"
            )
            raise ValueError(message)
        lists = {name_of(batch): gene_mask.index[column.to_numpy(dtype=bool)] for batch, column in gene_mask.items()}
        named = gene_mask.index
    elif isinstance(gene_mask, Mapping):
        lists = {
            name_of(batch): pd.Index(check.names(f"gene_mask[{batch!r}]", measured))
            for batch, measured in gene_mask.items()
        }
        named = pd.Index([gene for measured in lists.values() for gene in measured])
    else:
        message = f"gene_mask must be 'auto', None, a mapping or a DataFrame, not {check.shown(gene_mask)}"
        raise TypeError(message)
    for what, unknown, known in (
        ("batches", sorted(set(lists) - batches), sorted(batches)),
        ("genes", named.difference(genes, sort=False).tolist(), genes.tolist()),
    ):
        if unknown:
            message = (
                f"gene_mask names {what} {unknown[:5]} ({len(unknown)} in all) that are not among {known[:5]}, ..."
            )
            raise ValueError(message)
    return pd.DataFrame({batch: genes.isin(measured) for batch, measured in lists.items()}, index=genes)

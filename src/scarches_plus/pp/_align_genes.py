"""Align the genes of a query with a reference's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import CountsOnDisk, counts_of, matrix_of, read_record, take_columns, write_record

from ._genes._match import other_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


def align_genes(adata: AnnData, var_names: Sequence[str], *, layer: str | None = None) -> AnnData:
    """Return the counts of the cells on a reference's genes, in its order.

    Genes the reference lacks are left out, genes the query lacks are filled with zeros without ever storing them
    and marked in ``var["measured"]``, so that the likelihood can leave them out. Where the genes agree already, the
    matrix is shared with ``adata``, not copied.

    Parameters
    ----------
    adata
        Query. It is not changed.
    var_names
        Genes of the reference, in order.
    layer
        Layer with raw counts; ``None`` means ``X``. The result holds the counts under the same name.

    Returns
    -------
    AnnData
        Shape ``(n_cells, n_reference_genes)``, with a copy of ``obs``, what :func:`concat_studies` recorded, and
        nothing else of ``adata``.

    Raises
    ------
    KeyError
        If the layer does not exist.
    ValueError
        If gene names are not unique, or none of the reference's genes is in the query.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.cells("adata", adata)
    var_names = check.names("var_names", var_names, least=1)
    check.texts_or_none(layer=layer)
    source = locate_genes(adata.var_names, var_names)
    stored = matrix_of(adata, layer)
    lazily = isinstance(stored, CountsOnDisk)
    counts = stored.on_genes(source) if lazily else take_columns(counts_of(adata, layer), source)
    obs = adata.obs.copy()
    obs.index = obs.index.astype(str)
    var = pd.DataFrame({_keys.MEASURED: source >= 0}, index=pd.Index(var_names, dtype=str))
    aligned = AnnData(X=counts, obs=obs, var=var, layers=None if layer is None else {layer: counts})
    record = read_record(adata)
    if record is not None:
        study_key, measured = record
        write_record(aligned, study_key, measured.reindex(var.index, fill_value=False))
    return aligned


def locate_genes(query: pd.Index, var_names: Sequence[str]) -> np.ndarray:
    """Return where a query has each gene of a reference, -1 where it lacks it.

    Raises
    ------
    ValueError
        If gene names are not unique, or none of the reference's genes is in the query.
    """
    for owner, names in (("adata.var_names", query), ("var_names of the reference", pd.Index(var_names))):
        if not names.is_unique:
            repeated = names[names.duplicated()].unique()[:5].tolist()
            message = (
                f"{owner} are not unique, for example {repeated}; sum or rename them (adata.var_names_make_unique())"
            )
            raise ValueError(message)
    source = query.get_indexer(pd.Index(var_names))
    if not (source >= 0).any():
        message = (
            f"none of the reference's genes (for example {list(var_names[:3])}) is among the query's "
            f"(for example {query[:3].tolist()}); are both gene symbols, or both Ensembl ids, of one species?"
            + other_names(query, var_names, "sp.pp.match_gene_names(adata, var_names)")
        )
        raise ValueError(message)
    return source

"""Concatenate studies that measured different genes, and record which measured which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

from scarches_plus._cells import counts_layer, write_record

from ._studies._join_studies import join_studies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from anndata.experimental import AnnCollection


def concat_studies(
    adatas: Mapping[str, AnnData | str | Path] | Sequence[AnnData | str | Path] | AnnCollection,
    *,
    keys: Sequence[str] | None = None,
    study_key: str = "study",
    min_studies: int = 1,
    layer: str | None = None,
) -> AnnData:
    """Join the cells of studies that measured different genes, and record which study measured which gene.

    Genes that a study did not measure are filled with zeros without ever storing them. Counts on disk stay there.
    :func:`scarches_plus.tl.build_reference` reads the record and leaves these genes out of the likelihood of the
    study's batches; :func:`scarches_plus.tl.map_query` does so for queries. The record lies in ``varm["measured"]``, so
    it stays right when genes or cells are left out, and is written to h5ad.

    Parameters
    ----------
    adatas
        Studies by name, or in a sequence: AnnData, or paths of .h5ad files and .zarr folders, which are opened
        (:func:`open_cells`). They are not changed. A study may be a part of cells joined before: of those, the genes it
        measured count. Or an ``anndata.experimental.AnnCollection``: its parts on its genes, with its columns of
        ``obs`` and its names of cells; ``convert`` must be ``None``.
    keys
        Names of the studies of a sequence; ``None`` takes the names of files, and numbers from ``"0"`` where there are
        none. Parts of a collection that has ``study_key`` as its label are called as there.
    study_key
        New ``obs`` column of the study's name.
    min_studies
        Keep genes that at least so many studies measured. BA-scVI [1]_ kept genes common to 30 data sets or more.
    layer
        Layer with raw counts; ``None`` means ``X``. The result holds the counts in ``X`` and under the same name.

    Returns
    -------
    AnnData
        Counts as CSR, studies one after the other, genes in the order in which the studies bring them; all columns of
        ``obs`` that hold any value, missing where a study has none; ``varm["measured"]`` (boolean, genes x studies).
        If the counts of any study lie on disk, so do these: they are read from the files of the studies when they are
        needed, so keep these files. ``to_memory()`` loads them, and :func:`write_store` writes them into one.
        Names of cells get ``-<study>`` appended if two studies share any. Nothing else of the studies is kept: what
        belongs to genes or to an embedding of one study holds for that study only.

    Raises
    ------
    QueryError
        If a study holds no raw counts (:func:`check_query` has the rules).
    ValueError
        If there are no studies, one has no cells, names of studies, genes or cells are used twice, no gene is left, or
        studies share no genes.
    TypeError
        If an argument is of another kind, such as a text where a list is meant, or a part of a collection.
    OSError
        If a file cannot be read.

    References
    ----------
    .. [1] Díaz-Mejía et al. (2025), Adversarial learning enables unbiased organism-wide cross-species alignment of
       single-cell RNA data at scale.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> cells = sp.datasets.simulate(200, 100)
    >>> joined = sp.pp.concat_studies({"a": cells[:100, :80], "b": cells[100:, 20:]}, min_studies=2)
    >>> joined.shape
    (200, 60)
    """
    joined = join_studies(adatas, keys=keys, study_key=study_key, min_studies=min_studies, layer=layer, stacklevel=3)
    counts = joined.counts()
    source = counts_layer(layer, None)
    layers = None if source is None else {source: counts}
    cells = AnnData(X=counts, obs=joined.obs, var=pd.DataFrame(index=joined.measured.index), layers=layers)
    write_record(cells, joined.study_key, joined.measured)
    return cells

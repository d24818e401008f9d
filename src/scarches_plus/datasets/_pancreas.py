"""Load the human pancreatic islets data set of nine technologies."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from scipy import sparse

from scarches_plus import _keys

from ._sources._download import RemoteFile, fetch, read_published

if TYPE_CHECKING:
    import os

    import pandas as pd
    from anndata import AnnData

_FIGSHARE_ID = 24539828
_FILES = {
    "cells": RemoteFile(
        name="human_pancreas_norm_complexBatch.h5ad",
        sha256="97e6dfd65553e4d10aa3ef5d904362970a75c677c31d70fabc9234191a09db8c",
        page=f"https://figshare.com/ndownloader/files/{_FIGSHARE_ID}",
        mirrors=(
            f"https://ndownloader.figshare.com/files/{_FIGSHARE_ID}",
            f"https://api.figshare.com/v2/file/download/{_FIGSHARE_ID}",
            f"https://figshare.com/ndownloader/files/{_FIGSHARE_ID}",
        ),
        size="about 300 MB",
    )
}


def pancreas(*, cache_dir: str | os.PathLike[str] | None = None) -> AnnData:
    """Load human pancreatic islets: 16,382 cells by nine technologies.

    The pancreas task of the scIB benchmark [1]_, on which CLCVAE was evaluated [2]_. The scArches preprint of 2020 took
    other cells: five studies, 15,681 cells, from Scanorama's data. About 300 MB, downloaded from figshare on first use
    and kept.

    Parameters
    ----------
    cache_dir
        Folder for the file. ``None`` means the environment variable ``SCARCHES_PLUS_CACHE``, or the platform's cache
        folder where it is not set.

    Returns
    -------
    AnnData
        16,382 cells x 19,093 genes. ``layers["counts"]`` holds counts: pass ``layer="counts"`` to models. ``X`` holds
        the benchmark's log-normalised values. ``obs["batch"]`` (9 technologies) and ``obs["cell_type"]`` (14 types)
        are copies of the benchmark's ``obs["tech"]`` and ``obs["celltype"]``.

    Warns
    -----
    UserWarning
        Naming the technologies whose counts are not whole numbers. They are kept as published.

    Raises
    ------
    OSError
        If the file is not in the cache and cannot be downloaded. The message says where to place it by hand.

    References
    ----------
    .. [1] Luecken et al. (2022), Benchmarking atlas-level data integration in single-cell genomics, Nature Methods 19,
       41-50, https://doi.org/10.1038/s41592-021-01336-8. Data: https://doi.org/10.6084/m9.figshare.12420968
    .. [2] Continual learning for single-cell reference mapping with elastic weight consolidation, ICML Workshop on
       Computational Biology 2022, Fig. 1.
    """
    adata = _load(_FILES["cells"], cache_dir)
    fractional = _fractional_batches(adata.layers["counts"], adata.obs["batch"])
    if fractional:
        message = (
            f"layers['counts'] holds fractional values for {', '.join(fractional)}: estimates of expected counts, kept "
            "as published. Count likelihoods are defined for whole numbers: round these cells' counts or leave them out"
        )
        warnings.warn(message, UserWarning, stacklevel=2)
    return adata


def _load(file: RemoteFile, cache_dir: str | os.PathLike[str] | None) -> AnnData:
    adata = read_published(fetch(file, cache_dir))
    for key, published in (("batch", "tech"), ("cell_type", "celltype")):
        adata.obs[key] = adata.obs[published].astype("category")
        if _keys.colors(published) in adata.uns:
            adata.uns[_keys.colors(key)] = adata.uns[_keys.colors(published)]
    return adata


def _fractional_batches(counts: Any, batches: pd.Series) -> list[str]:
    """Return the batches in which some count is not a whole number."""

    def is_fractional(rows: Any) -> bool:
        values = rows.data if sparse.issparse(rows) else rows
        return bool((values % 1 != 0).any())

    rows_of = batches.groupby(batches, observed=True).indices
    return [str(name) for name, rows in rows_of.items() if is_fractional(counts[rows])]

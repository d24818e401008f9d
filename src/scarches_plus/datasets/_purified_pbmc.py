"""Load blood cells that were sorted by surface markers before sequencing (Zheng et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ._sources._download import RemoteFile, fetched, read_published
from ._sources._standard import columns_of, standard

if TYPE_CHECKING:
    import os

    from anndata import AnnData

_FILES = {
    "cells": RemoteFile(
        name="PurifiedPBMCDataset.h5ad",
        sha256=None,
        page="https://github.com/YosefLab/scVI-data/blob/master/PurifiedPBMCDataset.h5ad",
        mirrors=("https://github.com/YosefLab/scVI-data/raw/master/PurifiedPBMCDataset.h5ad",),
    )
}


def purified_pbmc(*, cache_dir: str | os.PathLike[str] | None = None) -> AnnData:
    """Load blood cells sorted by surface markers: labels by experiment, not by computation.

    scANVI's PBMC-sorted (Fig. 5 and 6), as its authors' group publishes it for scvi-tools. Downloaded on first use and
    kept. Never fetched from here: the address is that of ``scvi.data.purified_pbmc_dataset``; no checksum is
    published, so that the file is pinned on first use.

    Parameters
    ----------
    cache_dir
        Folder for the file. ``None`` means the environment variable ``SCARCHES_PLUS_CACHE``, or the platform's cache
        folder where it is not set.

    Returns
    -------
    AnnData
        Counts in ``X``. ``obs["cell_type"]`` is the sorted population (``"regulatory_t"``, ``"naive_t"``,
        ``"memory_t"``, ``"naive_cytotoxic"``, ``"b_cells"``, ...); ``obs["batch"]`` is ``"sorted"``: each population
        was a run of its own, so that no column can tell a run from a type.

    Raises
    ------
    OSError
        If the file is not in the cache and cannot be downloaded; the message says where to place it by hand. Or if its
        contents are not what is described here.

    References
    ----------
    Zheng et al. (2017), Massively parallel digital transcriptional profiling of single cells, Nature Communications 8,
    14049, https://doi.org/10.1038/ncomms14049
    """
    file = _FILES["cells"]
    with fetched(file, cache_dir) as path:
        adata = read_published(path)
        (labels,) = columns_of(adata, ("cell_types",), file.name)
        return standard(adata, pd.Series("sorted", adata.obs_names), labels, source=file.name)

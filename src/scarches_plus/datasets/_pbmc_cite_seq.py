"""Load blood cells with surface proteins, by 10x Genomics (CITE-seq)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd

from ._sources._download import RemoteFile, fetch, read_published
from ._sources._standard import standard

if TYPE_CHECKING:
    import os

    from anndata import AnnData

_FILES = {
    f"PBMC{size}": RemoteFile(
        name=f"pbmc_{size}_protein_v3.h5ad",
        sha256=sha256,
        page=f"https://github.com/YosefLab/scVI-data/blob/master/pbmc_{size}_protein_v3.h5ad",
        mirrors=(
            f"https://exampledata.scverse.org/scvi-tools/pbmc_{size}_protein_v3.h5ad",
            f"https://github.com/YosefLab/scVI-data/raw/master/pbmc_{size}_protein_v3.h5ad",
        ),
        size=megabytes,
    )
    for size, sha256, megabytes in (
        ("10k", "5f08b8575febf9e04b209b94eb43f6335f1e33b0985cdcf44adf7320f6243c69", "25 MB"),
        ("5k", "a1bf51e070d24b39627ea4de9b3e489a4637ff795e1061e0733e26c3baec8847", "18 MB"),
    )
}


def pbmc_cite_seq(*, cache_dir: str | os.PathLike[str] | None = None) -> AnnData:
    """Load blood cells with 14 surface proteins, two runs of 10x Genomics: 10,849 cells.

    The example data of totalVI. They stand in for scANVI's PBMC-CITE (Fig. 5; 8,617 other cells, GSE100866), to which
    no file with genes, proteins and labels together could be named. Two files, 43 MB, downloaded on first use and
    kept. Never fetched from here: addresses and checksums are those that scvi-tools and others publish.

    Parameters
    ----------
    cache_dir
        Folder for the files. ``None`` means the environment variable ``SCARCHES_PLUS_CACHE``, or the platform's cache
        folder where it is not set.

    Returns
    -------
    AnnData
        The genes and proteins of both runs; counts in ``X``, proteins in ``obsm["protein_expression"]`` (a DataFrame,
        which recipe ``"totalvi"`` takes). ``obs["batch"]`` is the run. No label is published: ``obs["cell_type"]`` is
        missing for all cells.

    Raises
    ------
    OSError
        If a file is not in the cache and cannot be downloaded; the message says where to place it by hand. Or if its
        contents are not what is described here.

    References
    ----------
    Gayoso et al. (2021), Joint probabilistic modeling of single-cell multi-omic data with totalVI, Nature Methods 18,
    272-282, https://doi.org/10.1038/s41592-020-01050-x
    """
    runs = {name: _with_protein_names(read_published(fetch(file, cache_dir)), file) for name, file in _FILES.items()}
    adata = anndata.concat(runs, label="batch", index_unique="-")
    absent = pd.Series(np.full(adata.n_obs, None, dtype=object), adata.obs_names, name="cell_type")
    return standard(adata, adata.obs["batch"], absent, source="pbmc_*_protein_v3.h5ad")


def _with_protein_names(adata: AnnData, file: RemoteFile) -> AnnData:
    proteins, names = adata.obsm.get("protein_expression"), adata.uns.get("protein_names")
    if proteins is None or names is None or len(names) != np.shape(proteins)[1]:
        message = f"{file.name} has no named proteins; it is another file than is known here"
        raise OSError(message)
    adata.obsm["protein_expression"] = pd.DataFrame(np.asarray(proteins), adata.obs_names, [str(one) for one in names])
    return adata

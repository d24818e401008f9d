"""Load blood cells of eight donors, with and without interferon beta (Kang et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._sources._download import RemoteFile, fetch, read_published
from ._sources._standard import columns_of, standard

if TYPE_CHECKING:
    import os

    from anndata import AnnData

_FILES = {
    "cells": RemoteFile(
        name="kang_2018.h5ad",
        sha256="e6a5adac64dcdeb36eaba27db49b63e0c64bb0ed4a64c6705971506b41c39830",
        page="https://figshare.com/ndownloader/files/34464122",
        mirrors=(
            "https://exampledata.scverse.org/pertpy/kang_2018.h5ad",
            "https://ndownloader.figshare.com/files/34464122",
        ),
        size="38 MB",
    )
}


def kang(*, cache_dir: str | os.PathLike[str] | None = None) -> AnnData:
    """Load blood cells of eight donors, one half stimulated by interferon beta: 24,673 cells.

    The case-control setting of the guide's tables, of which the sets ``kang_*`` are parts
    (``benchmarks/data/build.py`` cuts them). 38 MB, downloaded on first use and kept. Never fetched from here: the
    addresses and the checksum are those that pertpy and others publish.

    Parameters
    ----------
    cache_dir
        Folder for the file. ``None`` means the environment variable ``SCARCHES_PLUS_CACHE``, or the platform's cache
        folder where it is not set.

    Returns
    -------
    AnnData
        24,673 cells x 15,706 genes, counts in ``X``. ``obs["batch"]`` is ``"ctrl"`` or ``"stim"``, ``obs["cell_type"]``
        has 8 types, and ``obs["replicate"]`` names the donor.

    Raises
    ------
    OSError
        If the file is not in the cache and cannot be downloaded; the message says where to place it by hand. Or if its
        contents are not what is described here.

    References
    ----------
    Kang et al. (2018), Multiplexed droplet single-cell RNA-sequencing using natural genetic variation, Nature
    Biotechnology 36, 89-94, https://doi.org/10.1038/nbt.4042. GEO: GSE96583.
    """
    file = _FILES["cells"]
    adata = read_published(fetch(file, cache_dir))
    stimulation, labels = columns_of(adata, ("label", "cell_type"), file.name)
    return standard(adata, stimulation, labels, source=file.name)

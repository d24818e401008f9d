"""Load Tabula Muris Senis: mice from 1 to 30 months, many tissues, by Smart-seq2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._sources._download import RemoteFile, fetched, read_published
from ._sources._standard import columns_of, standard

if TYPE_CHECKING:
    import os

    from anndata import AnnData

_FILES = {
    "facs": RemoteFile(
        name="tabula-muris-senis-facs-processed-official-annotations.h5ad",
        sha256=None,
        page="https://figshare.com/ndownloader/files/23937842",
        mirrors=(
            "https://ndownloader.figshare.com/files/23937842",
            "https://figshare.com/ndownloader/files/23937842",
        ),
        size="some GB",
    )
}


def tabula_muris_senis(*, cache_dir: str | os.PathLike[str] | None = None) -> AnnData:
    """Load Tabula Muris Senis: mice of 1 to 30 months by tissue (Smart-seq2); those of 3 months are Tabula Muris.

    The atlas on which scArches maps Tabula Muris (Fig. 3a-g); the paper takes the droplet half as well, whose address
    could not be verified. Some GB, downloaded from figshare on first use and kept. Never fetched from here: the
    address is that of several public scripts, the columns are those that users of the file read; no checksum is
    published, so that the file is pinned on first use.

    Parameters
    ----------
    cache_dir
        Folder for the file. ``None`` means the environment variable ``SCARCHES_PLUS_CACHE``, or the platform's cache
        folder where it is not set.

    Returns
    -------
    AnnData
        Counts in ``X`` (the file's ``raw``). ``obs["batch"]`` is the age (``"3m"``, ...), ``obs["cell_type"]`` the
        class of the Cell Ontology, ``obs["tissue"]`` the tissue, ``obs["mouse.id"]`` the animal.

    Raises
    ------
    OSError
        If the file is not in the cache and cannot be downloaded; the message says where to place it by hand. Or if its
        contents are not what is described here.

    References
    ----------
    The Tabula Muris Consortium (2020), A single-cell transcriptomic atlas characterizes ageing tissues in the mouse,
    Nature 583, 590-595, https://doi.org/10.1038/s41586-020-2496-1. Data:
    https://doi.org/10.6084/m9.figshare.8273102
    """
    file = _FILES["facs"]
    with fetched(file, cache_dir) as path:
        adata = read_published(path)
        if adata.raw is not None:
            whole = adata.raw.to_adata()
            adata = whole if whole.n_obs == adata.n_obs else adata
        age, _, labels = columns_of(adata, ("age", "tissue", "cell_ontology_class"), file.name)
        return standard(adata, age, labels, source=file.name)

"""Load scMARK, a benchmark of human studies with standardised labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._files import private_folder

from ._sources._archive import unpack_files
from ._sources._download import RemoteFile, fetched, read_published
from ._sources._standard import columns_of, standard

if TYPE_CHECKING:
    import os

    from anndata import AnnData

_FILES = {
    "studies": RemoteFile(
        name="scmark_v2.tar.bz2",
        sha256=None,
        page="https://zenodo.org/records/7795653",
        mirrors=("https://zenodo.org/records/7795653/files/scmark_v2.tar.bz2?download=1",),
        size="400 MB",
        beginning=b"BZh",
    )
}


def scmark(*, cache_dir: str | os.PathLike[str] | None = None) -> dict[str, AnnData]:
    """Load human studies of many tissues with labels in one vocabulary, on which BA-scVI was developed.

    About 400 MB, downloaded from Zenodo on first use and kept, and unpacked at each call, which takes a minute or two.
    Never fetched from here: address and names of columns are those of a public script of BA-scVI's authors; Zenodo's
    checksum could not be read, so that the file is pinned on first use.

    Parameters
    ----------
    cache_dir
        Folder for the file. ``None`` means the environment variable ``SCARCHES_PLUS_CACHE``, or the platform's cache
        folder where it is not set.

    Returns
    -------
    dict of str to AnnData
        Study to its cells, with the genes that it measured, for :func:`scarches_plus.pp.concat_studies`. Counts in
        ``X``; ``obs["batch"]`` is the sample, ``obs["study"]`` the study, ``obs["cell_type"]`` the standardised label.

    Raises
    ------
    OSError
        If the file is not in the cache and cannot be downloaded; the message says where to place it by hand. Or if its
        contents are not what is described here.

    References
    ----------
    Díaz-Mejía et al. (2025), BA-scVI, https://arxiv.org/abs/2503.20730. Data: https://doi.org/10.5281/zenodo.7795653
    """
    file = _FILES["studies"]
    studies = {}
    with fetched(file, cache_dir) as archive, private_folder(archive) as folder:
        for name, path in unpack_files(archive, folder, (".h5ad",)).items():
            adata = read_published(path)
            study, sample, labels = columns_of(
                adata, ("study_name", "sample_name", "standard_true_celltype"), f"{name} of {file.name}"
            )
            if "gene" in adata.var:
                adata.var_names = adata.var["gene"].astype(str)
            adata.obs["study"] = study.astype(str)
            studies[name.removesuffix(".h5ad")] = standard(adata, sample, labels, source=f"{name} of {file.name}")
    return studies

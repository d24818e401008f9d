"""Load 10x Genomics' PBMC 3k with scanpy's labels."""

from __future__ import annotations

from shutil import copyfile
from typing import TYPE_CHECKING

from scarches_plus._cell_files import read_cells
from scarches_plus._files import private_folder

from ._sources._archive import unpack_files
from ._sources._download import RemoteFile, fetch, read_published
from ._sources._standard import columns_of, standard

if TYPE_CHECKING:
    import os

    from anndata import AnnData

_COMMIT = "68dfbcc2eb675e96c6a5e2a6b7a0d3465ccf46bc"
_FILES = {
    "counts": RemoteFile(
        name="pbmc3k_filtered_gene_bc_matrices.tar.gz",
        sha256="847d6ebd9a1ec9a768f2be7e40ca42cbfe75ebeb6d76a4c24167041699dc28b5",
        page="https://www.10xgenomics.com/datasets/3-k-pbm-cs-from-a-healthy-donor-1-standard-1-1-0",
        mirrors=("https://cf.10xgenomics.com/samples/cell-exp/1.1.0/pbmc3k/pbmc3k_filtered_gene_bc_matrices.tar.gz",),
        size="8 MB",
    ),
    "labels": RemoteFile(
        name="pbmc3k_processed.h5ad",
        sha256="0db367b991dd95809732b218539ede489bea99113807f62ebd7ccc970025fe38",
        page="https://github.com/chanzuckerberg/cellxgene/blob/main/example-dataset/pbmc3k.h5ad",
        mirrors=(
            f"https://raw.githubusercontent.com/chanzuckerberg/cellxgene/{_COMMIT}/example-dataset/pbmc3k.h5ad",
            "https://raw.githubusercontent.com/chanzuckerberg/cellxgene/main/example-dataset/pbmc3k.h5ad",
        ),
        size="25 MB",
    ),
}
#: Files of a folder of 10x Genomics.
_MATRIX = ("matrix.mtx", "barcodes.tsv", "genes.tsv")


def pbmc3k(*, cache_dir: str | os.PathLike[str] | None = None) -> AnnData:
    """Load blood cells of one donor by 10x Genomics: 2,638 cells with scanpy's labels.

    Counts are 10x Genomics' own, labels those of scanpy's tutorial: clusters named by their markers. Two files, 33 MB,
    downloaded on first use and kept. Never fetched from here: addresses and checksums are those that scanpy and others
    publish.

    Parameters
    ----------
    cache_dir
        Folder for the files. ``None`` means the environment variable ``SCARCHES_PLUS_CACHE``, or the platform's cache
        folder where it is not set.

    Returns
    -------
    AnnData
        2,638 of the 2,700 cells (those that the tutorial keeps) x 32,738 genes, counts in ``X``. ``obs["batch"]`` is
        ``"pbmc3k"``, ``obs["cell_type"]`` has 8 types.

    Raises
    ------
    OSError
        If a file is not in the cache and cannot be downloaded; the message says where to place it by hand. Or if its
        contents are not what is described here.

    References
    ----------
    10x Genomics, "3k PBMCs from a Healthy Donor"; Wolf et al. (2018), SCANPY, Genome Biology 19, 15,
    https://doi.org/10.1186/s13059-017-1382-0
    """
    counts, labels = _FILES["counts"], _FILES["labels"]
    archive, processed = fetch(counts, cache_dir), read_published(fetch(labels, cache_dir))
    with private_folder(archive) as folder:
        for name, path in unpack_files(archive, folder, (".mtx", ".tsv")).items():
            if name in _MATRIX:
                copyfile(path, folder / name)
        adata = read_cells(folder)
    barcodes = processed.obs_names.astype(str)
    if missing := len(barcodes.difference(adata.obs_names)):
        message = f"{counts.name} lacks {missing} cells of {labels.name}; they are other files than are known here"
        raise OSError(message)
    adata = adata[barcodes].copy()
    (clusters,) = columns_of(processed, ("louvain",), labels.name)
    adata.uns.update({key: value for key, value in processed.uns.items() if key == "louvain_colors"})
    adata.obs["batch"] = "pbmc3k"
    return standard(adata, adata.obs["batch"], clusters, source=counts.name)

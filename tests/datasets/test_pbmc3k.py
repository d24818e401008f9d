import tarfile

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from scipy.io import mmwrite

import scarches_plus as sp

BARCODES = [f"AAAC{letters}-1" for letters in ("AA", "CC", "GG", "TT")]


@pytest.fixture
def files(tmp_path):
    """The two files of the data set, of four cells and three genes; one cell has no label."""
    folder = tmp_path / "filtered_gene_bc_matrices" / "hg19"
    folder.mkdir(parents=True)
    counts = np.arange(12).reshape(4, 3)
    mmwrite(folder / "matrix.mtx", sparse.coo_matrix(counts.T))
    (folder / "barcodes.tsv").write_text("".join(f"{one}\n" for one in BARCODES))
    (folder / "genes.tsv").write_text("".join(f"ENSG{i}\tGENE{i}\n" for i in range(3)))
    archive = tmp_path / "counts.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "filtered_gene_bc_matrices", "filtered_gene_bc_matrices")
    order = [BARCODES[i] for i in (2, 0, 1)]
    processed = AnnData(
        np.ones((3, 2), np.float32),
        pd.DataFrame({"louvain": pd.Categorical(["B cells", "NK cells", "B cells"])}, order),
    )
    processed.uns["louvain_colors"] = np.array(["#000000", "#111111"])
    processed.write_h5ad(tmp_path / "labels.h5ad")
    return {"counts": archive, "labels": tmp_path / "labels.h5ad"}


def test_labels_of_one_file_and_counts_of_the_other(publish_data, files):
    publish_data("pbmc3k", **files)
    adata = sp.datasets.pbmc3k()
    assert adata.obs_names.tolist() == [BARCODES[i] for i in (2, 0, 1)]
    np.testing.assert_array_equal(adata.X.toarray(), np.arange(12).reshape(4, 3)[[2, 0, 1]])
    assert adata.var_names.tolist() == ["GENE0", "GENE1", "GENE2"]
    assert adata.obs["cell_type"].tolist() == ["B cells", "NK cells", "B cells"]
    assert set(adata.obs["batch"]) == {"pbmc3k"}
    assert list(adata.uns["cell_type_colors"]) == ["#000000", "#111111"]


def test_what_is_no_archive(publish_data, files, tmp_path):
    (tmp_path / "broken").write_bytes(files["counts"].read_bytes()[:200])
    publish_data("pbmc3k", counts=tmp_path / "broken", labels=files["labels"])
    with pytest.raises(OSError, match=r"pbmc3k_filtered\S+ is damaged \("):
        sp.datasets.pbmc3k()


def test_an_archive_of_something_else(publish_data, files, tmp_path):
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as tar:
        tar.add(files["labels"], "readme.txt")
    publish_data("pbmc3k", counts=tmp_path / "other.tar.gz", labels=files["labels"])
    with pytest.raises(OSError, match=r"has no file that ends with \.mtx or \.tsv"):
        sp.datasets.pbmc3k()

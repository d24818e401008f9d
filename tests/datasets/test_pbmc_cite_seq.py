import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import scarches_plus as sp


def run(folder, name, genes, proteins):
    rng = np.random.default_rng(len(name))
    adata = AnnData(
        sparse.csr_matrix(rng.poisson(1.0, (5, len(genes))).astype(np.float32)),
        pd.DataFrame(index=[f"AAAC{i}-1" for i in range(5)]),
        pd.DataFrame(index=genes),
    )
    adata.obsm["protein_expression"] = rng.poisson(9.0, (5, len(proteins)))
    if proteins:
        adata.uns["protein_names"] = np.array(proteins, dtype=object)
    adata.write_h5ad(folder / name)
    return folder / name


def test_genes_and_proteins_of_both_runs(publish_data, tmp_path):
    ten = run(tmp_path, "10k", ["A", "B", "C"], ["CD3", "CD4"])
    five = run(tmp_path, "5k_", ["B", "C", "D"], ["CD4", "CD3", "CD19"])
    publish_data("pbmc_cite_seq", PBMC10k=ten, PBMC5k=five)
    adata = sp.datasets.pbmc_cite_seq()
    assert adata.var_names.tolist() == ["B", "C"]
    assert adata.obs["batch"].tolist() == ["PBMC10k"] * 5 + ["PBMC5k"] * 5
    assert adata.obs["cell_type"].isna().all()
    proteins = adata.obsm["protein_expression"]
    assert list(proteins.columns) == ["CD3", "CD4"]
    rng = np.random.default_rng(3)
    rng.poisson(1.0, (5, 3))
    expected = rng.poisson(9.0, (5, 3))[:, [1, 0]]  # of the second run, by their names
    np.testing.assert_array_equal(proteins.iloc[5:], expected)


def test_a_file_without_names_of_proteins(publish_data, tmp_path):
    ten = run(tmp_path, "10k", ["A"], [])
    publish_data("pbmc_cite_seq", PBMC10k=ten, PBMC5k=ten)
    with pytest.raises(OSError, match=r"pbmc_10k_protein_v3.h5ad has no named proteins"):
        sp.datasets.pbmc_cite_seq()

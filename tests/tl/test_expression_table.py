"""Mean expression by two annotations on AnnData."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import scarches_plus as sp


@pytest.fixture
def adata():
    adata = sp.datasets.simulate(200, 30, 3, rng=0)
    adata.obs["tissue"] = pd.Categorical(np.random.default_rng(0).choice(["lung", "gut"], 200), ["lung", "gut", "skin"])
    return adata


def test_equals_scanpy_and_pandas(adata):
    table = sp.tl.expression_table(adata, "cell_type", "tissue", genes=["gene7", "gene0"])
    theirs = adata.copy()
    sc.pp.normalize_total(theirs, target_sum=1e4)
    sc.pp.log1p(theirs)
    frame = sc.get.obs_df(theirs, ["cell_type", "tissue", "gene7", "gene0"])
    expected = frame.groupby(["cell_type", "tissue"], observed=True)
    assert list(table.columns) == ["n_cells", "gene7", "gene0"]
    assert list(table.index.names) == ["cell_type", "tissue"]
    assert list(table.index) == list(expected.size().index)
    assert (table["n_cells"] == expected.size()).all()
    np.testing.assert_allclose(table[["gene7", "gene0"]], expected.mean(), rtol=1e-5)
    assert table["gene0"].unstack().shape == (3, 2)


def test_cells_without_a_value_and_small_combinations(adata):
    adata.obs.loc[adata.obs["cell_type"] == "type1", "tissue"] = np.nan
    adata.obs.loc[adata.obs_names[:2], ["cell_type", "tissue"]] = ["type1", "skin"]
    table = sp.tl.expression_table(adata, "cell_type", "tissue", genes="gene0")
    assert table.loc[("type1", "skin"), "n_cells"] == 2
    assert table["n_cells"].sum() == adata.obs["tissue"].notna().sum()
    kept = sp.tl.expression_table(adata, "cell_type", "tissue", genes="gene0", min_cells=3)
    pd.testing.assert_frame_equal(kept, table.drop(index=("type1", "skin")), check_categorical=False)


def test_layers_and_files(adata, tmp_path):
    expected = sp.tl.expression_table(adata, "cell_type", "tissue", genes="gene0")
    adata.layers["counts"], adata.X = adata.X, None
    got = sp.tl.expression_table(adata, "cell_type", "tissue", genes="gene0", layer="counts")
    pd.testing.assert_frame_equal(got, expected)
    adata.X = adata.layers.pop("counts")
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    pd.testing.assert_frame_equal(sp.tl.expression_table(backed, "cell_type", "tissue", genes="gene0"), expected)
    backed.file.close()


def test_wrong_input(adata):
    with pytest.raises(KeyError, match=r"\['organ'\] not found.*tissue"):
        sp.tl.expression_table(adata, "cell_type", "organ", genes="gene0")
    with pytest.raises(KeyError, match=r"\['C1QA'\] not found.*gene0"):
        sp.tl.expression_table(adata, "cell_type", "tissue", genes=["gene0", "C1QA"])
    with pytest.raises(ValueError, match="both 'tissue'"):
        sp.tl.expression_table(adata, "tissue", "tissue", genes="gene0")
    adata.var_names = ["gene0"] * adata.n_vars
    with pytest.raises(ValueError, match="var_names_make_unique"):
        sp.tl.expression_table(adata, "cell_type", "tissue", genes="gene0")


@pytest.mark.parametrize(
    ("rename", "column", "genes", "says"),
    [
        ({"tissue": "n_cells"}, "n_cells", ["gene0"], r"obs\['n_cells'\] would be .* rename the column"),
        ({"gene0": "n_cells"}, "tissue", ["gene1", "n_cells"], r"genes \['n_cells'\] are called as"),
        ({"tissue": "gene0"}, "gene0", ["gene0"], r"genes \['gene0'\] are called as .* rename the obs column"),
    ],
)
def test_names_that_the_table_has_already(adata, rename, column, genes, says):
    adata.obs = adata.obs.rename(columns=rename)
    adata.var_names = [rename.get(gene, gene) for gene in adata.var_names]
    adata.X = None  # refused before counts are read
    with pytest.raises(ValueError, match=says):
        sp.tl.expression_table(adata, "cell_type", column, genes=genes)

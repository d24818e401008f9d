"""Genes of one species under the names of another."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scarches_plus.pp import concat_studies, map_gene_ids, map_orthologs

MOUSE = ["Gapdh", "Trp53", "Xist", "Cyp2d9", "Cyp2d10", "H2-Ab1"]
#: As Ensembl BioMart has it, with further columns, gaps and genes that are not one to one.
BIOMART = pd.DataFrame(
    {
        "Gene name": ["Gapdh", "Trp53", "Xist", "Cyp2d9", "Cyp2d10", "H2-Ab1", "H2-Ab1", "Actb"],
        "Human gene name": ["GAPDH", "TP53", "", "CYP2D6", "CYP2D6", "HLA-DQB1", "HLA-DQB2", "ACTB"],
        "type": "any",
    }
)
COLUMNS = ["Gene name", "Human gene name"]


def mouse(genes=MOUSE):
    counts = np.random.default_rng(0).poisson(2.0, (5, len(genes))).astype(np.float32)
    return AnnData(counts, var=pd.DataFrame(index=genes))


def test_every_gene_is_accounted_for():
    adata = mouse()
    with pytest.raises(ValueError, match=r"'H2-Ab1'.*one_to_many"):
        map_orthologs(adata, BIOMART, columns=COLUMNS)
    with pytest.raises(ValueError, match=r"'CYP2D6' for .*many_to_one"):
        map_orthologs(adata, BIOMART, columns=COLUMNS, one_to_many="drop")
    human, report = map_orthologs(adata, BIOMART, columns=COLUMNS, one_to_many="drop", many_to_one="sum")
    assert human.var_names.tolist() == ["GAPDH", "TP53", "CYP2D6"]
    expected = pd.DataFrame(adata.X, columns=MOUSE)
    np.testing.assert_array_equal(human.X[:, 2], expected["Cyp2d9"] + expected["Cyp2d10"])
    np.testing.assert_array_equal(human.X[:, :2], expected[["Gapdh", "Trp53"]])
    assert report.lost == ("Xist", "H2-Ab1")
    assert report.merged == {"CYP2D6": ("Cyp2d9", "Cyp2d10")}
    assert report.ambiguous == {"H2-Ab1": ("HLA-DQB1", "HLA-DQB2")}
    human, _ = map_orthologs(adata, BIOMART, columns=COLUMNS, one_to_many="first", many_to_one="sum", unmapped="keep")
    assert human.var_names.tolist() == ["GAPDH", "TP53", "Xist", "CYP2D6", "HLA-DQB1"]


def test_options_are_those_of_map_gene_ids():
    ids = ["ENSMUSG00000000001.4", "ENSMUSG00000000002.1"]
    table = {"ENSMUSG00000000001": "ENSG00000000001", "ENSMUSG00000000002": "ENSG00000000002"}
    adata = mouse(ids)
    adata.layers["counts"] = adata.X
    one, other = (
        function(adata, table, strip_version=True, layer="counts") for function in (map_orthologs, map_gene_ids)
    )
    assert one[1] == other[1]
    assert one[0].var_names.tolist() == list(table.values())
    np.testing.assert_array_equal(one[0].layers["counts"], other[0].X)


class TestTablesOfThePackage:
    def test_symbols(self):
        for table in ("mouse", None):
            human, report = map_orthologs(mouse(), table)
            assert human.var_names.tolist() == ["GAPDH", "TP53", "XIST", "HLA-DQB1"]
            assert report.lost == ("Cyp2d9", "Cyp2d10")
            assert "GENCODE" in str(report)

    def test_ids_stay_ids(self):
        adata = mouse(["ENSMUSG00000057666.15", "ENSMUSG00000059552"])
        assert map_orthologs(adata)[0].var_names.tolist() == ["ENSG00000111640", "ENSG00000141510"]
        assert map_orthologs(adata, to="symbol")[0].var_names.tolist() == ["GAPDH", "TP53"]
        assert map_orthologs(mouse(["Gapdh"]), to="ensembl")[0].var_names.tolist() == ["ENSG00000111640"]

    def test_there_and_back(self):
        human, _ = map_orthologs(mouse(["Gapdh", "Trp53", "Cd8a", "Marchf1"]), "mouse")
        assert human.var_names.tolist() == ["GAPDH", "TP53", "CD8A", "MARCHF1"]
        back, _ = map_orthologs(human, "human")
        assert back.var_names.tolist() == ["Gapdh", "Trp53", "Cd8a", "Marchf1"]

    def test_paralogs_are_added_if_asked_for(self):
        adata = mouse(["Ins1", "Ins2", "Gcg"])
        human, report = map_orthologs(adata, "mouse")
        assert human.var_names.tolist() == ["INS", "GCG"]
        assert report.lost == ("Ins1",)
        human, report = map_orthologs(adata, "mouse", many_to_one="sum")
        assert report.merged == {"INS": ("Ins1", "Ins2")}
        np.testing.assert_array_equal(human[:, "INS"].X.ravel(), adata.X[:, :2].sum(axis=1))

    def test_older_and_newer_names_of_a_gene_are_added(self):
        human, report = map_orthologs(mouse(["Fam46c", "Tent5c", "Gapdh"]), "mouse")
        assert report.merged == {"TENT5C": ("Fam46c", "Tent5c")}
        assert human.var_names.tolist() == ["TENT5C", "GAPDH"]

    @pytest.mark.parametrize("genes", [["GAPDH", "TP53", "ACTB"], ["ENSG00000111640", "ENSG00000141510"]])
    def test_another_species_than_the_one_named(self, genes):
        with pytest.raises(ValueError, match="are of human, not of mouse; pass 'human'"):
            map_orthologs(mouse(genes), "mouse")

    def test_unknown_species(self):
        with pytest.raises(ValueError, match=r"not known to the tables.*species='human' or 'mouse', or a table"):
            map_orthologs(mouse(["a", "b"]))
        with pytest.raises(ValueError, match=r"another species \(ENSRNOG"):
            map_orthologs(mouse(["ENSRNOG00000018630", "ENSRNOG00000010756"]))

    def test_options_that_have_no_use(self):
        with pytest.raises(ValueError, match="columns has no use"):
            map_orthologs(mouse(), "mouse", columns=COLUMNS)
        with pytest.raises(ValueError, match="to has no use"):
            map_orthologs(mouse(), BIOMART, columns=COLUMNS, to="symbol")


def test_species_join():
    human = mouse(["ACTB", "GAPDH", "TP53"])
    with pytest.raises(ValueError, match=r"share no gene.*map_orthologs"):
        concat_studies({"human": human, "mouse": mouse()})
    renamed, _ = map_orthologs(mouse(), BIOMART, columns=COLUMNS, one_to_many="drop", many_to_one="sum")
    joined = concat_studies({"human": human, "mouse": renamed})
    assert joined.varm["measured"].all(axis=1).to_dict() == {
        "ACTB": False,
        "GAPDH": True,
        "TP53": True,
        "CYP2D6": False,
    }

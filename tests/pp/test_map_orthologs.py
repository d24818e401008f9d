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


def test_without_a_table_symbols_are_upper_cased():
    human, report = map_orthologs(mouse())
    assert human.var_names.tolist() == [gene.upper() for gene in MOUSE]
    assert (report.n_mapped, report.lost) == (len(MOUSE), ())
    with pytest.raises(ValueError, match=r"'GAPDH' for .*'Gapdh', 'GAPDH'"):
        map_orthologs(mouse(["Gapdh", "GAPDH"]))
    assert map_orthologs(mouse(["Gapdh", "GAPDH"]), many_to_one="sum")[0].var_names.tolist() == ["GAPDH"]


def test_ensembl_ids_need_a_table():
    with pytest.raises(ValueError, match="Ensembl ids, whose orthologues only a table can tell"):
        map_orthologs(mouse(["ENSMUSG00000000001", "ENSMUSG00000000002"]))


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

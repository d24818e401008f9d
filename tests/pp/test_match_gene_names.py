"""Genes get the names of a reference, whichever side has the odd ones, and no count is lost in silence."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus.model import ReferenceSpec
from scarches_plus.pp import check_query, match_gene_names

SYMBOLS = ["GAPDH", "TP53", "HLA-DRB1", "RP11-34P13.7", "NKX2-1", "C1orf43"]
IDS = ["ENSG00000111640", "ENSG00000141510", "ENSG00000196126", "ENSG00000238009", "ENSG00000136352", "ENSG00000143612"]


def cells(genes, n_cells=4):
    counts = np.random.default_rng(0).poisson(2.0, (n_cells, len(genes))).astype(np.float32)
    return AnnData(sparse.csr_matrix(counts), var=pd.DataFrame(index=pd.Index(list(genes), dtype=object)))


def names(adata, reference, **options):
    return match_gene_names(adata, reference, **options)[0].var_names.tolist()


#: How names get odd: one gene's name to another spelling of it.
SPELLINGS = {
    "blank after": lambda name, i: f"{name} ",
    "blank before": lambda name, i: f"\t{name}",
    "no-break space": lambda name, i: f"{name}\u00a0",
    "zero width": lambda name, i: f"\ufeff{name}\u200b",
    "quotes": lambda name, i: f'"{name}"',
    "genome": lambda name, i: f"GRCh38_{name}",
    "genomes of Cell Ranger": lambda name, i: f"GRCh38______{name}",
    "lower case": lambda name, i: name.lower(),
    "R": lambda name, i: name.replace("-", "."),
    "joined before": lambda name, i: f"{IDS[i]}_{name}",
    "joined after": lambda name, i: f"{name}|{IDS[i]}.3",
    "Entrez": lambda name, i: f"{name}|{i + 1}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("odd", ["query", "reference"])
def test_spellings_on_both_sides(spelling, odd):
    changed = [SPELLINGS[spelling](name, i) for i, name in enumerate(SYMBOLS)]
    query, reference = (changed, SYMBOLS) if odd == "query" else (SYMBOLS, changed)
    adata = cells(query)
    renamed, report = match_gene_names(adata, reference)
    assert renamed.var_names.tolist() == reference
    assert (renamed.X != adata.X).nnz == 0
    assert report.n_mapped == len(SYMBOLS)
    assert sum(report.changes.values()) == sum(one != other for one, other in zip(query, reference, strict=True))


@pytest.mark.parametrize(
    "ids",
    [
        IDS,
        ["ENSMUSG00000057666", "ENSMUSG00000059552"],
        ["ENST00000229239", "ENST00000269305"],
        ["ENSDARG00000043457", "ENSDARG00000035559"],
        ["WBGene00001683", "WBGene00000467"],
        ["FBgn0001092", "FBgn0039044"],
        ["NM_002046", "NM_000546"],
        ["AT1G13440", "AT3G04120"],
    ],
)
def test_versions_of_any_kind_of_id_on_both_sides(ids):
    versioned = [f"{one}.{i + 1}" for i, one in enumerate(ids)]
    newer = [f"{one}.{i + 9}" for i, one in enumerate(ids)]
    for query, reference in ((versioned, ids), (ids, versioned), (versioned, newer)):
        renamed, report = match_gene_names(cells(query), reference)
        assert renamed.var_names.tolist() == reference
        assert report.changes == {"versions of ids": len(ids)}


@pytest.mark.parametrize(
    "name", ["AC012345.6", "RP11-34P13.7", "HLA-DRB1", "NKX2-1", "CTD-2501E16.2", "MIR7-1", "H2-K1"]
)
def test_what_belongs_to_a_name_is_not_cut(name):
    stem = name.rsplit("." if "." in name else "-", 1)[0]
    renamed, report = match_gene_names(cells(["GAPDH", name]), ["GAPDH", stem])
    assert renamed.var_names.tolist() == ["GAPDH", name]
    assert report.changes == {}


def test_older_symbols_and_the_other_kind():
    reference = ["MARCHF1", "SEPTIN2", "TENT5C", "GAPDH"]
    assert names(cells(["MARCH1", "SEPT2", "FAM46C", "GAPDH"]), reference) == reference
    assert names(cells(reference), ["MARCH1", "SEPT2", "FAM46C", "GAPDH"]) == ["MARCH1", "SEPT2", "FAM46C", "GAPDH"]
    assert names(cells(IDS), SYMBOLS) == SYMBOLS
    assert names(cells(SYMBOLS), [f"{one}.2" for one in IDS]) == [f"{one}.2" for one in IDS]


def test_dates_that_are_clear():
    adata = cells(["2-Sep", "Mar-05", "1-Mar", "2023-09-07", "GAPDH"])
    reference = ["SEPTIN2", "MARCHF5", "MARCHF1", "MTARC1", "SEPTIN7", "GAPDH"]
    assert names(adata, reference) == ["SEPTIN2", "MARCHF5", "1-Mar", "SEPTIN7", "GAPDH"]


def test_a_column_of_var_that_holds_the_names():
    adata = cells(["a", "b", "c"])
    adata.var["gene_ids"], adata.var["n"] = ["X1.", "X2.", None], [1, 2, 3]
    renamed, report = match_gene_names(adata, ["X1.", "X2."])
    assert renamed.var_names.tolist() == ["X1.", "X2.", "c"]
    assert report.changes == {"adata.var['gene_ids'] holds them": 2}


@pytest.mark.parametrize(
    ("query", "reference"),
    [
        (["Gapdh", "Trp53", "Actb"], ["GAPDH", "TP53", "ACTB"]),
        (["GAPDH", "TP53", "ACTB"], ["Gapdh", "Trp53", "Actb"]),
        (["Gene1", "Gene2"], ["GENE1", "GENE2"]),
        (["ENSMUSG00000057666"], ["ENSG00000111640"]),
        (["a"], ["b"]),
    ],
)
def test_another_species_is_no_match(query, reference):
    with pytest.raises(ValueError, match=r"has none of the genes"):
        match_gene_names(cells(query), reference)


def test_cells_of_two_species():
    genes = ["GRCh38_GAPDH", "GRCh38_PISD", "mm10___PISD", "mm10___Gapdh"]
    assert names(cells(genes), ["GAPDH", "PISD", "TP53"]) == ["GAPDH", "PISD", "mm10___PISD", "mm10___Gapdh"]
    wanted = ["Gapdh", "PISD", "Trp53", "Actb", "Cd3e"]
    assert names(cells(genes), wanted) == ["GRCh38_GAPDH", "GRCh38_PISD", "PISD", "Gapdh"]
    assert names(cells(["GAPDH", "TP53", "shared"]), ["Gapdh", "mine", "shared"]) == ["GAPDH", "TP53", "shared"]


def test_genes_that_differ_in_letter_case_only():
    assert names(cells(["dl", "nanos", "gt"]), ["Dl", "nanos", "gt"]) == ["dl", "nanos", "gt"]  # dorsal is not Delta


def test_names_that_may_be_several():
    renamed, report = match_gene_names(cells(["gene", "third"]), ["GENE", "Gene", "THIRD"])
    assert renamed.var_names.tolist() == ["gene", "THIRD"]
    assert report.ambiguous == {"gene": ("GENE", "Gene")}


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_genes_that_become_one_are_summed():
    adata = cells(["ENSG00000111640.1", "ENSG00000111640.2", "TP53 ", "TP53", "TP53", "other"])
    renamed, report = match_gene_names(adata, ["ENSG00000111640", "TP53"])
    assert renamed.var_names.tolist() == ["ENSG00000111640", "TP53", "other"]
    x = adata.X.toarray()
    np.testing.assert_array_equal(renamed.X.toarray(), np.stack([x[:, :2].sum(1), x[:, 2:5].sum(1), x[:, 5]], axis=1))
    assert report.merged["ENSG00000111640"] == ("ENSG00000111640.1", "ENSG00000111640.2")


def test_made_unique():
    assert names(cells(["mine-1", "other"]), ["mine", "other", "absent"]) == ["mine", "other"]
    assert names(cells(["mine", "other"]), ["mine-1", "other", "absent"]) == ["mine-1", "other"]
    assert names(cells(["mine-1", "mine", "other"]), ["mine", "other", "absent"]) == ["mine-1", "mine", "other"]
    assert names(cells(["mine-1", "other"]), ["mine-2", "other"]) == ["mine-1", "other"]


def test_genes_without_a_name_are_lost_and_reported():
    for missing in (np.nan, None, "", "nan", "NA"):
        adata = cells(["GAPDH", missing, "TP53 "])
        renamed, report = match_gene_names(adata, ["GAPDH", "TP53"])
        assert renamed.var_names.tolist() == ["GAPDH", "TP53"]
        assert len(report.lost) == 1
        assert report.lost_counts > 0
    assert names(cells(["nan", "iav"]), ["nan", "iav", "wtrw"]) == ["nan", "iav"]  # a gene of the fly


def test_what_a_reference_may_be():
    adata, spec = cells(["TP53 "]), ReferenceSpec(var_names=("TP53",))

    class Model:
        pass

    model = Model()
    model.spec = spec
    for reference in (spec, model, cells(["TP53"]), ["TP53"], ("TP53",), pd.Index(["TP53"]), np.array(["TP53"])):
        assert names(adata, reference) == ["TP53"]
    for reference in (None, 3, {"TP53": 1}):
        with pytest.raises(TypeError, match="must be a model"):
            match_gene_names(adata, reference)
    with pytest.raises(KeyError, match="no index lists a model 'TP53'"):
        match_gene_names(adata, "TP53")


def test_options():
    assert names(cells(["TP53 ", "x"]), ["TP53"], unmapped="drop") == ["TP53"]
    with pytest.raises(ValueError, match="unmapped must be one of"):
        match_gene_names(cells(["TP53"]), ["TP53"], unmapped="raise")
    with pytest.raises(KeyError, match="counts"):
        match_gene_names(cells(["TP53"]), ["TP53"], layer="counts")


@settings(max_examples=150, deadline=None)
@given(
    genes=st.lists(st.sampled_from([*SYMBOLS, *IDS, "mine", "nan", "", "1-Mar"]), min_size=1, max_size=8),
    spellings=st.lists(st.sampled_from([*SPELLINGS, "same"]), min_size=8, max_size=8),
    reference=st.lists(st.sampled_from([*SYMBOLS, *IDS, "mine", "his"]), unique=True, min_size=1),
    unmapped=st.sampled_from(["keep", "drop"]),
)
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_every_gene_and_count_is_accounted_for(genes, spellings, reference, unmapped):
    known = {name: i % len(IDS) for i, name in enumerate([*SYMBOLS, *IDS])}
    spelt = [
        SPELLINGS[spelling](gene, known.get(gene, 0)) if spelling in SPELLINGS and gene in known else gene
        for gene, spelling in zip(genes, spellings, strict=False)
    ]
    adata = cells(spelt)
    before = adata.X.toarray().copy()
    try:
        renamed, report = match_gene_names(adata, reference, unmapped=unmapped)
    except ValueError:
        return
    assert report.n_genes == len(spelt) == report.n_mapped + len(report.kept) + len(report.lost)
    assert renamed.X.sum() + report.lost_counts * before.sum() == pytest.approx(before.sum())
    assert renamed.var_names.is_unique
    assert set(renamed.var_names) <= set(reference) | set(report.kept)
    np.testing.assert_array_equal(adata.X.toarray(), before)
    assert set(reference) & set(spelt) <= set(renamed.var_names)
    again, second = match_gene_names(renamed, reference, unmapped=unmapped)
    assert again.var_names.tolist() == renamed.var_names.tolist()
    assert second.lost == ()


def test_what_is_found_leaves_fewer_names_for_the_others():
    """The same as matching again what was matched: of two names that might be meant, one is taken."""
    names = ["TP53 ", "gapdh", "ENSG00000111640_GAPDH"]
    renamed, _ = match_gene_names(cells(names), ["GAPDH", "ENSG00000111640", "TP53"])
    assert renamed.var_names.tolist() == ["TP53", "GAPDH", "ENSG00000111640"]


def fix_of(adata, spec):
    (problem,) = [one for one in check_query(adata, spec).problems if "gene" in one.message]
    return problem


@pytest.mark.parametrize("odd", ["query", "reference"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_fix_of_the_check_works(spelling, odd):
    import scarches_plus as sp

    changed = [SPELLINGS[spelling](name, i) for i, name in enumerate(SYMBOLS)]
    query, reference = (changed, SYMBOLS) if odd == "query" else (SYMBOLS, changed)
    adata, model = cells(query, 30), ReferenceSpec(var_names=tuple(reference))
    if query == reference:
        return
    problem = fix_of(adata, model)
    scope = {"adata": adata, "model": model, "sp": sp}
    exec(problem.fix, scope)  # noqa: S102
    assert [one for one in check_query(scope["adata"], model).problems if "gene" in one.message] == []

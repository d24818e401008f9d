"""Genes get other names, and nothing is lost or added in silence."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus.pp import concat_studies, map_gene_ids, match_gene_names

KINDS = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "csr_array": sparse.csr_array, "dense": np.asarray}
TABLE = {"a": "A", "b": "B", "c": "C"}


def cells(genes, kind="csr", n_cells=4):
    counts = np.random.default_rng(0).poisson(2.0, (n_cells, len(genes))).astype(np.float32)
    return AnnData(KINDS[kind](counts), var=pd.DataFrame(index=list(genes)))


def frame(adata):
    matrix = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    return pd.DataFrame(matrix, index=adata.obs_names, columns=adata.var_names)


@settings(max_examples=80, deadline=None)
@given(
    genes=st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1),
    table=st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("VWXYZab"), min_size=1),
    unmapped=st.sampled_from(["drop", "keep"]),
    kind=st.sampled_from(list(KINDS)),
)
def test_sums_are_those_of_a_group_by(genes, table, unmapped, kind):
    adata = cells(genes, kind)
    before = frame(adata)
    if not set(genes) & set(table):
        with pytest.raises(ValueError, match="names none of the genes"):
            map_gene_ids(adata, table, unmapped=unmapped)
        return
    renamed, report = map_gene_ids(adata, table, many_to_one="sum", unmapped=unmapped)

    new = {gene: table.get(gene, gene if unmapped == "keep" else None) for gene in genes}
    expected = before.T.groupby(new, sort=False).sum().T
    pd.testing.assert_frame_equal(frame(renamed), expected, check_names=False)
    assert sparse.issparse(renamed.X) == (kind != "dense")
    pd.testing.assert_frame_equal(frame(adata), before)

    # every gene is mapped, kept or lost, and counts are in the result or lost
    assert report.n_genes == len(genes) == report.n_mapped + len(report.kept) + len(report.lost)
    assert report.n_mapped == len(set(genes) & set(table))
    assert report.n_result == renamed.n_vars
    unknown = tuple(gene for gene in genes if gene not in table)
    assert (report.lost, report.kept) == ((unknown, ()) if unmapped == "drop" else ((), unknown))
    assert report.lost_counts * before.to_numpy().sum() == pytest.approx(before[list(report.lost)].to_numpy().sum())
    assert renamed.X.sum() + before[list(report.lost)].to_numpy().sum() == before.to_numpy().sum()
    shared = {name: tuple(gene for gene in genes if new[gene] == name) for name in renamed.var_names}
    assert report.merged == {name: group for name, group in shared.items() if len(group) > 1}
    if report.merged:
        with pytest.raises(ValueError, match=f"{len(report.merged)} new names stand for several genes"):
            map_gene_ids(adata, table, unmapped=unmapped)
    else:
        assert (map_gene_ids(adata, table, unmapped=unmapped)[0].X != renamed.X).sum() == 0


class TestTables:
    expected = frame(cells("abc")).set_axis(list("ABC"), axis=1)

    @pytest.mark.parametrize(
        ("table", "columns"),
        [
            (TABLE, None),
            (pd.Series(TABLE), None),
            (pd.Series(list("ABC"), index=list("abc"), dtype="category"), None),
            (pd.DataFrame({"id": list("abc"), "symbol": list("ABC")}), None),
            (pd.DataFrame({"symbol": list("ABC"), "kind": 1, "id": list("abc")}), ["id", "symbol"]),
            (pd.DataFrame({"id": list("aabcbd"), "symbol": ["A", "A", "B", "C", None, ""]}), None),
        ],
    )
    def test_kinds(self, table, columns):
        renamed, report = map_gene_ids(cells("abc"), table, columns=columns)
        pd.testing.assert_frame_equal(frame(renamed), self.expected)
        assert report.lost == ()

    @pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.txt", "table.csv.gz"])
    def test_files(self, tmp_path, name):
        table = pd.DataFrame({"id": ["a", "b", "nan", "d"], "symbol": ["A", "NA", "C", ""]})
        table.to_csv(tmp_path / name, sep="," if ".csv" in name else "\t", index=False)
        adata = cells("abcd")
        adata.var_names = ["a", "b", "nan", "d"]
        for path in (tmp_path / name, str(tmp_path / name)):
            renamed, report = map_gene_ids(adata, path)
            assert renamed.var_names.tolist() == ["A", "NA", "C"]
            assert report.lost == ("d",)

    @pytest.mark.parametrize(
        "first", ["ENSG00000111640.1,GAPDH", "Gapdh,GAPDH", "ENSG00000111640,GAPDH,Gene Expression"]
    )
    def test_files_without_a_header(self, tmp_path, first):
        (tmp_path / "table.csv").write_text(f"{first}\nENSG00000141510,TP53\n")
        with pytest.raises(ValueError, match=r"first line of .*table.csv holds genes.*names of the columns"):
            map_gene_ids(cells(["ENSG00000141510"]), tmp_path / "table.csv")

    def test_files_of_spreadsheets(self, tmp_path):
        (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbfold,new\na,A\n")
        assert map_gene_ids(cells("a"), tmp_path / "table.csv", columns=["old", "new"])[0].var_names.tolist() == ["A"]

    def test_names_that_a_table_spells_in_another_way(self):
        adata, table = (
            cells(["ENSG00000111640.1", "ENSG00000141510.2"]),
            {"ENSG00000111640": "A", "ENSG00000141510": "B"},
        )
        with pytest.raises(ValueError, match=r"names none.*\(versions of ids: 2\).*match_gene_names"):
            map_gene_ids(adata, table)
        assert map_gene_ids(match_gene_names(adata, list(table))[0], table)[0].var_names.tolist() == ["A", "B"]

    def test_a_column_of_var(self):
        adata = cells("abc")
        adata.var["symbol"] = ["A", "B", np.nan]
        renamed, report = map_gene_ids(adata, adata.var["symbol"])
        assert renamed.var_names.tolist() == ["A", "B"]
        assert report.lost == ("c",)

    @pytest.mark.parametrize(
        ("table", "columns", "error", "message"),
        [
            (TABLE, ["id", "symbol"], ValueError, "columns has no use"),
            (
                pd.DataFrame({"x": ["a"], "y": ["A"], "z": ["B"]}),
                None,
                ValueError,
                r"name two columns.*\['x', 'y', 'z'\]",
            ),
            (pd.DataFrame({"x": ["a"], "y": ["A"]}), ["x", "w"], KeyError, r"\['w'\] not found.*\['x', 'y'\]"),
            ({"a": None, "b": ""}, None, ValueError, "holds no pair"),
            (["a"], None, TypeError, "not \\['a'\\]"),
            ({"x": "A"}, None, ValueError, "names none of the genes"),
        ],
    )
    def test_that_cannot_be(self, table, columns, error, message):
        with pytest.raises(error, match=message):
            map_gene_ids(cells("abc"), table, columns=columns)


class TestSeveralNewNames:
    table = pd.DataFrame({"id": list("abbc"), "symbol": list("AXBC")})

    def test_refused(self):
        with pytest.raises(ValueError, match=r"several new names for 1 genes, for example \['X', 'B'\] for 'b'"):
            map_gene_ids(cells("abc"), self.table)
        assert map_gene_ids(cells("ac"), self.table)[0].var_names.tolist() == ["A", "C"]

    def test_first_or_none(self):
        renamed, report = map_gene_ids(cells("abc"), self.table, one_to_many="first")
        assert renamed.var_names.tolist() == ["A", "X", "C"]
        assert report.ambiguous == {"b": ("X", "B")}
        assert (report.n_mapped, report.lost) == (3, ())
        for unmapped in ("drop", "keep"):
            renamed, report = map_gene_ids(cells("abc"), self.table, one_to_many="drop", unmapped=unmapped)
            assert renamed.var_names.tolist() == ["A", "C"]
            assert report.ambiguous == {"b": ("X", "B")}
            assert (report.n_mapped, report.lost, report.kept) == (2, ("b",), ())


def test_versions():
    ids = ["ENSG00000000001.3", "ENSG00000000001.12", "ENSG00000000002", "AC004556.1"]
    adata = cells(ids)
    table = {"ENSG00000000001.3": "A", "ENSG00000000002.1": "B", "AC004556.1": "C"}
    renamed, report = map_gene_ids(adata, table, strip_version=True, many_to_one="sum", unmapped="keep")
    assert renamed.var_names.tolist() == ["A", "B", "C"]
    assert report.merged == {"A": tuple(ids[:2])}
    np.testing.assert_array_equal(frame(renamed)["A"], frame(adata)[ids[:2]].sum(axis=1))
    renamed, report = map_gene_ids(adata, table)
    assert renamed.var_names.tolist() == ["A", "C"]


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_genes_of_the_same_name_are_summed_as_well():
    adata = cells("aab")
    with pytest.raises(ValueError, match=r"'A' for \['a', 'a'\]"):
        map_gene_ids(adata, TABLE)
    renamed, report = map_gene_ids(adata, TABLE, many_to_one="sum")
    assert renamed.var_names.tolist() == ["A", "B"]
    assert report.merged == {"A": ("a", "a")}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("kind", ["csr", "dense"])
def test_sums_do_not_overflow(dtype, kind):
    adata = AnnData(KINDS[kind](np.full((2, 2), 200, dtype)), var=pd.DataFrame(index=list("ab")))
    renamed, _ = map_gene_ids(adata, {"a": "A", "b": "A"}, many_to_one="sum")
    assert frame(renamed)["A"].tolist() == [400, 400]
    assert renamed.X.dtype.kind == np.dtype(dtype).kind or dtype.startswith("u")
    if dtype.startswith("float"):
        assert renamed.X.dtype == dtype


def test_what_is_kept(tmp_path):
    adata = cells("abcd")
    adata.layers["counts"], adata.layers["scaled"] = adata.X.copy(), adata.X.toarray()
    adata.X = -adata.X
    adata.obs["batch"], adata.obsm["X_pca"], adata.uns["note"] = "x", np.ones((4, 2)), {"k": [1]}
    adata.var["length"] = [1, 2, 3, 4]
    for one in (adata, adata[:, list("abcd")]):
        renamed, _ = map_gene_ids(one, {"a": "A", "c": "A", "d": "D"}, many_to_one="sum", layer="counts")
        assert renamed.X.min() >= 0
        assert (renamed.layers["counts"] != renamed.X).nnz == 0
        assert set(renamed.layers) - {None} == {"counts"}
        assert renamed.obs["batch"].tolist() == ["x"] * 4
        assert renamed.var["length"].to_dict() == {"A": 1, "D": 4}
        renamed.obsm["X_pca"][:], renamed.obs["batch"], renamed.uns["note"]["k"] = 0, "y", 2
    assert adata.obsm["X_pca"].min() == 1
    assert adata.obs["batch"].tolist() == ["x"] * 4
    assert adata.uns["note"] == {"k": [1]}
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    again, _ = map_gene_ids(backed, {"a": "A", "c": "A", "d": "D"}, many_to_one="sum", layer="counts")
    backed.file.close()
    pd.testing.assert_frame_equal(frame(again), frame(renamed))


def test_a_sum_was_measured_where_all_its_parts_were():
    joined = concat_studies({"x": cells("abc"), "y": cells("bcd")})
    joined.uns["scarches_plus"]["embeddings"] = {"X_scarches": {"role": "reference"}}
    renamed, _ = map_gene_ids(joined, {"a": "A", "c": "A", "b": "B", "d": "D"}, many_to_one="sum")
    assert renamed.varm["measured"].T.to_dict("list") == {"A": [True, False], "B": [True, True], "D": [False, True]}
    assert renamed.uns == joined.uns


@pytest.mark.parametrize("option", ["many_to_one", "one_to_many", "unmapped"])
def test_unknown_options(option):
    with pytest.raises(ValueError, match=f"{option} must be one of .*not 'mean'"):
        map_gene_ids(cells("abc"), TABLE, **{option: "mean"})


def test_no_such_layer():
    with pytest.raises(KeyError, match="counts"):
        map_gene_ids(cells("abc"), TABLE, layer="counts")


class TestTablesOfThePackage:
    @pytest.mark.parametrize(
        ("genes", "ids"),
        [
            (["GAPDH", "TP53"], ["ENSG00000111640", "ENSG00000141510"]),
            (["Gapdh", "Trp53"], ["ENSMUSG00000057666", "ENSMUSG00000059552"]),
            (["MARCH1", "SEPT2", "FAM46C"], ["ENSG00000145416", "ENSG00000168385", "ENSG00000183508"]),  # older symbols
            (["March1", "Sept2", "Fam46c"], ["ENSMUSG00000036469", "ENSMUSG00000026276", "ENSMUSG00000044468"]),
            (["RP11-34P13.7", "HLA-DRB1"], ["ENSG00000238009", "ENSG00000196126"]),
            (
                ["GAPDH ", "GRCh38_TP53", "C1ORF43", "2-Sep"],
                ["ENSG00000111640", "ENSG00000141510", "ENSG00000143612", "ENSG00000168385"],
            ),
        ],
    )
    def test_symbols_to_ids_and_back(self, genes, ids):
        adata = cells(genes)
        renamed, report = map_gene_ids(adata)
        assert renamed.var_names.tolist() == ids
        assert report.lost == ()
        np.testing.assert_array_equal(frame(renamed).to_numpy(), frame(adata).to_numpy())
        back, _ = map_gene_ids(renamed)
        assert map_gene_ids(back)[0].var_names.tolist() == ids

    def test_ids_to_symbols(self):
        ids = ["ENSG00000111640.15", "ensg00000141510", "ENSG00000145416_MARCH1", "ENSG99999999999"]
        renamed, report = map_gene_ids(cells(ids))
        assert renamed.var_names.tolist() == ["GAPDH", "TP53", "MARCHF1"]
        assert report.lost == ("ENSG99999999999",)

    def test_symbols_brought_up_to_date(self):
        renamed, report = map_gene_ids(
            cells(["MARCH1", "MARCHF1", "GAPDH", "Y_RNA", "mine"]), to="symbol", unmapped="keep"
        )
        assert renamed.var_names.tolist() == ["MARCHF1", "GAPDH", "Y_RNA", "mine"]
        assert report.merged == {"MARCHF1": ("MARCH1", "MARCHF1")}
        assert report.kept == ("mine",)
        with pytest.raises(ValueError, match="many_to_one"):
            map_gene_ids(cells(["MARCH1", "MARCHF1"]), to="symbol", many_to_one="raise")

    def test_species(self):
        with pytest.raises(ValueError, match=r"'a', 'b'.*not known to the tables"):
            map_gene_ids(cells("ab"))
        renamed, _ = map_gene_ids(cells(["gene1", "gene2", "gene3", "GAPDH"]), species="human")
        assert renamed.var_names.tolist() == ["ENSG00000111640"]
        with pytest.raises(ValueError, match="are of mouse, not of human"):
            map_gene_ids(cells(["Gapdh", "Trp53"]), species="human")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"to": "entrez"}, "to must be one of"),
            ({"species": "rat"}, "species must be one of"),
            ({"columns": ["a", "b"]}, "columns has no use"),
            ({"table": TABLE, "to": "symbol"}, "no use with a table of yours"),
            ({"table": TABLE, "species": "human"}, "no use with a table of yours"),
            ({"unmapped": "mean"}, "unmapped must be one of"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            map_gene_ids(cells(["GAPDH", "TP53"]), **options)

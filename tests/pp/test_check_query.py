"""Every problem is found and named with its fix, and nothing is touched."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from scarches_plus.model import ReferenceSpec
from scarches_plus.pp import QueryError, check_query

GENES = tuple(f"GENE{i}" for i in range(50))
SPEC = ReferenceSpec(
    var_names=GENES,
    batch_key="batch",
    batches=("a", "b"),
    labels_key="cell_type",
    labels=("T", "B"),
    unlabeled_category="Unknown",
    categorical_covariates={"donor": ("d1",)},
    continuous_covariates=("age",),
)


def query(n_cells=30, genes=GENES):
    counts = np.random.default_rng(0).poisson(1.0, (n_cells, len(genes))).astype(np.float32)
    counts[:, 0] += 1
    obs = pd.DataFrame(
        {"batch": "c", "cell_type": "T", "donor": "d2", "age": 1.0}, index=[f"cell{i}" for i in range(n_cells)]
    )
    return AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=list(genes)))


def problems(adata, spec=SPEC, **kwargs):
    return check_query(adata, spec, **kwargs).problems


def only(adata, spec=SPEC, **kwargs):
    (problem,) = problems(adata, spec, **kwargs)
    return problem


def test_a_good_query_has_no_problems():
    report = check_query(query(), SPEC)
    assert report.problems == ()
    assert report.ok
    assert report.new_batches == ("c",)
    assert report.n_genes_found == 50
    assert "no problems" in str(report)
    report.raise_for_problems()


@pytest.mark.parametrize("kind", ["csr", "csc", "csr_array", "dense", "int", "float64"])
def test_any_storage_of_counts(kind):
    adata = query()
    counts = adata.X
    adata.X = {
        "csr": counts,
        "csc": counts.tocsc(),
        "csr_array": sparse.csr_array(counts),
        "dense": counts.toarray(),
        "int": counts.astype(np.int64),
        "float64": counts.astype(float),
    }[kind]
    assert problems(adata) == ()


class TestGenes:
    def test_extra_and_shuffled_genes_are_fine(self):
        assert problems(query(genes=(*reversed(GENES), "OTHER"))) == ()

    def test_a_few_missing_genes_are_fine(self):
        assert problems(query(genes=GENES[5:])) == ()

    def test_many_missing_genes_warn(self):
        assert only(query(genes=GENES[:30])).severity == "warning"

    def test_nearly_all_genes_missing(self):
        problem = only(query(genes=(*GENES[:5], "X", "Y")))
        assert problem.severity == "error"
        assert "only 5 of the reference's 50 genes" in problem.message

    def test_ensembl_against_symbols(self):
        ids = tuple(f"ENSG{i:011d}" for i in range(50))
        problem = only(query(genes=ids))
        assert problem.severity == "fatal"
        assert "the query has Ensembl ids, the reference gene symbols" in problem.message
        reverse = only(query(), ReferenceSpec(var_names=ids))
        assert "the query has gene symbols, the reference Ensembl ids" in reverse.message

    def test_the_column_that_matches_is_named(self):
        adata = query(genes=tuple(f"ENSG{i:011d}" for i in range(50)))
        adata.var["gene_symbols"] = GENES
        assert "adata.var['gene_symbols']" in only(adata).fix

    def test_version_suffixes(self):
        ids = tuple(f"ENSG{i:011d}" for i in range(50))
        problem = only(
            query(genes=tuple(f"{name}.{i % 9 + 1}" for i, name in enumerate(ids))), ReferenceSpec(var_names=ids)
        )
        assert "version" in problem.fix
        some = tuple(f"{name}.1" if i < 8 else name for i, name in enumerate(ids))
        assert only(query(genes=some), ReferenceSpec(var_names=ids)).severity == "error"
        few = tuple(f"{name}.1" if i < 2 else name for i, name in enumerate(ids))
        assert only(query(genes=few), ReferenceSpec(var_names=ids)).severity == "warning"

    def test_other_species_case(self):
        problem = only(query(genes=tuple(name.capitalize() for name in GENES)))
        assert problem.severity == "fatal"
        assert "case" in problem.fix

    @pytest.mark.filterwarnings("ignore:Variable names are not unique")
    def test_duplicates(self):
        assert (
            "GENE1"
            in next(p for p in problems(query(genes=(*GENES, "GENE1"))) if "more than once" in p.message).message
        )


class TestCounts:
    def test_log_normalised(self):
        adata = query()
        adata.X = sparse.csr_matrix(np.log1p(adata.X.toarray() * 1.37))
        problem = only(adata)
        assert problem.severity == "error"
        assert "log-normalised" in problem.message

    def test_a_few_cells_that_happen_to_be_whole_are_as_the_others(self):
        adata = query()
        values = np.log1p(adata.X.toarray() * 1.37)
        for n_whole, of in ((2, ""), (10, "20 of 30 cells (batches ['c']): ")):
            values[:n_whole] = np.sign(values[:n_whole])
            adata.X = sparse.csr_matrix(values)
            found = [problem.message for problem in problems(adata) if "log-normalised" in problem.message]
            assert [message.startswith(f"{of}100% of the non-zero values") for message in found] == [True]

    def test_fractional_counts_warn(self):
        adata = query()
        adata.X = adata.X * np.float32(1000.5)
        assert only(adata).severity == "warning"

    @pytest.mark.parametrize(("value", "message"), [(np.nan, "infinite"), (np.inf, "infinite"), (-1.0, "negative")])
    def test_impossible_values(self, value, message):
        for dense in (False, True):
            adata = query()
            adata.X.data[0] = value
            if dense:
                adata.X = adata.X.toarray()
            problem = only(adata)
            assert problem.severity == "fatal"
            assert message in problem.message

    def test_empty_cells(self):
        adata = query()
        counts = adata.X.toarray()
        counts[:3] = 0
        adata.X = sparse.csr_matrix(counts)
        problem = only(adata)
        assert "3 cells have no counts" in problem.message
        assert problem.severity == "error"

    def test_cells_empty_on_the_reference_genes(self):
        adata = query(genes=(*GENES, "OTHER"))
        counts = adata.X.toarray()
        counts[:2, :50] = 0
        counts[:2, 50] = 9
        adata.X = sparse.csr_matrix(counts)
        assert "2 cells have no counts" in only(adata).message

    def test_layers(self):
        adata = query()
        adata.layers["counts"] = adata.X.copy()
        adata.X = -adata.X
        assert only(adata).severity == "fatal"
        assert problems(adata, layer="counts") == ()
        assert "raw" in only(adata, layer="raw").message

    def test_values_of_other_likelihoods_are_free(self):
        adata = query()
        adata.X = adata.X * -0.5
        assert problems(adata, ReferenceSpec(var_names=GENES, counts=False)) == ()


class TestOnDisk:
    @pytest.mark.parametrize("value", [3.0, np.nan, np.inf, -1.0, 1.5])
    @pytest.mark.parametrize("dense", [False, True])
    def test_the_same_report_block_by_block(self, tmp_path, limits, value, dense):
        adata = query(n_cells=90, genes=(*GENES[5:], "OTHER"))
        counts = adata.X.toarray()
        counts[:40, 3] += 1
        counts[40:43] = 0
        counts[[50, 80], 7] = value
        adata.X = counts if dense else sparse.csr_matrix(counts)
        adata.write_h5ad(tmp_path / "query.h5ad")
        backed = anndata.read_h5ad(tmp_path / "query.h5ad", backed="r")
        limits(on_disk=46 * 13)
        assert problems(backed) == problems(adata) != ()
        backed.file.close()


class TestColumns:
    def test_batch_names_of_the_reference(self):
        adata = query()
        adata.obs["batch"] = "a"
        assert "shared_batches=['a']" in only(adata).fix
        assert problems(adata, shared_batches=["a"]) == ()

    def test_no_batch_column(self):
        adata = query()
        adata.obs["sample"] = adata.obs.pop("batch")
        assert only(adata).severity == "fatal"
        assert problems(adata, batch_key="sample") == ()

    def test_missing_batches(self):
        adata = query()
        adata.obs.loc["cell0", "batch"] = np.nan
        assert "1 missing values" in only(adata).message

    def test_numbers_as_batches(self):
        adata = query()
        adata.obs["batch"] = 3
        assert check_query(adata, SPEC).new_batches == ("3",)

    def test_many_small_batches(self):
        adata = query()
        adata.obs["batch"] = [f"s{i}" for i in range(30)]
        assert only(adata).severity == "warning"

    def test_covariates(self):
        adata = query()
        del adata.obs["donor"]
        adata.obs["age"] = "old"
        found = problems(adata)
        assert len(found) == 2
        assert all(problem.severity == "fatal" for problem in found)

    def test_unknown_labels_are_reported_only(self):
        adata = query()
        adata.obs["cell_type"] = ["NK"] * 10 + ["Unknown"] * 10 + [np.nan] * 10
        report = check_query(adata, SPEC)
        assert report.ok
        assert report.unknown_labels == ("NK",)


class TestReport:
    def test_every_problem_at_once(self):
        adata = query(genes=GENES[:5])
        adata.obs["batch"] = "a"
        del adata.obs["age"]
        with pytest.raises(QueryError) as error:
            check_query(adata, SPEC).raise_for_problems()
        for part in ("genes", "shared_batches", "age"):
            assert part in str(error.value)

    def test_errors_can_be_overruled_and_fatal_ones_not(self):
        report = check_query(query(genes=(*GENES[:5], "X")), SPEC)
        with pytest.raises(QueryError, match="on_problem='warn'"):
            report.raise_for_problems(offer_warn=True)
        with pytest.raises(QueryError, match="only 5 of") as error:
            report.raise_for_problems()
        assert "on_problem" not in str(error.value)
        report.raise_for_problems("warn")
        adata = query()
        adata.obs["batch"] = "a"
        with pytest.raises(QueryError):
            check_query(adata, SPEC).raise_for_problems("warn")
        with pytest.raises(ValueError, match="on_problem"):
            report.raise_for_problems("ignore")

    def test_tiny_and_empty(self):
        assert {problem.severity for problem in problems(query(5))} == {"warning"}
        assert problems(query()[:0].copy())[0].severity == "fatal"

    def test_nothing_is_touched(self):
        adata = query()
        before = adata.copy()
        check_query(adata, SPEC)
        assert adata.obs.equals(before.obs)
        assert (adata.X != before.X).nnz == 0

    @pytest.mark.parametrize(("adata", "model"), [(None, SPEC), (query(), 3)])
    def test_types(self, adata, model):
        with pytest.raises(TypeError):
            check_query(adata, model)

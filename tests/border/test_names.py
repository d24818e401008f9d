"""The same label, batch or column reads the same however a table holds it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from border_cells import FAST, QUICK, mapped, model, query, ref

import scarches_plus as sp
from scarches_plus.pp import QueryError, check_query

pytestmark = pytest.mark.border


def _numbered(adata, key="number", gap=False):
    adata.obs[key] = adata.obs["cell_type"].astype(str).str[-1].astype(int)
    if gap:
        adata.obs.loc[adata.obs_names[:5], key] = np.nan
    return adata


def test_a_report_of_labels_with_a_gap(border):
    reference, adata = _numbered(ref()), _numbered(mapped(), gap=True)
    sp.tl.transfer_labels(adata, reference, "number", unknown_above=None)
    border.works(
        lambda: sp.metrics.label_transfer_report(
            adata.obs["number"], adata.obs["number_pred"], known_labels=reference.obs["number"]
        ),
        lambda report: report.n_known == adata.n_obs - 5 and report.accuracy > 0.3, kind="B2",
        case="labels 0, 1, 2, one missing", shown="label_transfer_report(query.obs['number'], ...)",
    )  # fmt: skip


def test_a_joint_embedding_keeps_types(border):
    reference, adata = _numbered(ref()), _numbered(mapped(), gap=True)
    reference.obs["only_here"], adata.obs["flag"] = 7, True
    border.works(
        lambda: sp.tl.joint_embedding(reference, adata).obs,
        lambda obs: (obs["number"].dtype, obs["only_here"].dtype, obs["flag"].dtype) == ("Int64", "Int64", "boolean"),
        kind="B2", case="columns with gaps in a joint embedding", shown="joint_embedding(reference, query).obs.dtypes",
    )  # fmt: skip


def test_batches_that_became_floats(border):
    adata = ref()
    adata.obs["batch"] = adata.obs["batch"].astype(str).str[-1].astype(float)
    trained = sp.tl.build_reference(adata, "batch", max_epochs=1, train_kwargs=QUICK)
    adata.obs["batch"] = adata.obs["batch"].astype(int)
    border.works(
        lambda: sp.tl.embed(adata, trained), lambda _: trained.spec.batches == ("0", "1"), kind="B2",
        case="batches 0.0, 1.0 of the reference, 0, 1 here", shown="embed(cells, model)",
    )  # fmt: skip
    adata.obs["batch"] = pd.Categorical(adata.obs["batch"].astype(float))
    border.refused(
        lambda: sp.tl.map_query(adata, trained, **FAST), QueryError, "shared_batches=['0', '1']", kind="B2",
        case="batches 0.0, 1.0 of the query", shown="map_query(query, model)",
    )  # fmt: skip


def test_labels_that_became_floats_train(border):
    reference, adata = _numbered(ref()), _numbered(query(), gap=True)
    trained = sp.tl.build_reference(
        reference, "batch", "number", recipe="scanvi", max_epochs=1, train_kwargs=QUICK,
        model_kwargs={"n_hidden": 8, "n_latent": 3},
    )  # fmt: skip
    border.works(
        lambda: sp.tl.map_query(adata, trained, use_query_labels=True, **FAST).adata.obs["number"].astype(str),
        lambda labels: set(labels) == {"0", "1", "2", "Unknown"}, kind="B2", case="labels 0.0, 1.0 of the query",
        shown="map_query(query, model, use_query_labels=True)",
    )  # fmt: skip


def test_plots_and_scores(border):
    reference, adata = _numbered(ref()), _numbered(mapped(), gap=True)
    sp.tl.transfer_labels(adata, reference, "number", unknown_above=None)
    border.works(
        lambda: sp.pl.confusion_matrix(adata, "number"),
        lambda ax: [text.get_text().split(" ")[0] for text in ax.get_yticklabels()] == ["0", "1", "2"], kind="B2",
        case="labels 0.0, 1.0 in a plot", shown="pl.confusion_matrix(query, 'number')",
    )  # fmt: skip


def test_a_column_that_is_not_there(border):
    adata = query()
    for call, shown in (
        (lambda: sp.tl.build_reference(ref(), "batch", "celltype"), "build_reference(adata, 'batch', 'celltype')"),
        (lambda: sp.tl.label_profiles(adata, "CellType", "batch"), "label_profiles(adata, 'CellType', 'batch')"),
        (
            lambda: sp.metrics.evaluate(mapped(), "X_scarches", "batch", labels_key="cell_typ"),
            "evaluate(..., 'cell_typ')",
        ),
        (lambda: sp.tl.rank_genes(adata, "cell type"), "rank_genes(adata, 'cell type')"),
        (lambda: sp.pp.balance_cells(adata, ["cell_types"], 5), "balance_cells(adata, ['cell_types'], 5)"),
    ):
        border.refused(
            call, KeyError, ("not found in adata.obs", "did you mean 'cell_type'?"), kind="B2",
            case="a column that is nearly there", shown=shown,
        )  # fmt: skip


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_duplicates_and_gaps(border):
    def twice():
        adata = query()
        adata.obs = pd.concat([adata.obs, adata.obs[["batch"]]], axis=1)
        return adata

    for call, shown in (
        (lambda: sp.tl.map_query(twice(), model(), **FAST), "map_query(query, model)"),
        (lambda: sp.tl.embed(twice(), model()), "embed(query, model)"),
        (lambda: sp.tl.build_reference(twice(), "batch", max_epochs=1), "build_reference(query, 'batch')"),
        (lambda: sp.tl.label_profiles(twice(), "cell_type", "batch"), "label_profiles(query, 'cell_type', 'batch')"),
        (lambda: model().embed(twice()), "model.embed(query)"),
    ):
        border.refused(
            call, ValueError, ("2 columns of adata.obs are named 'batch'", "duplicated()"), kind="B4",
            case="the batch column twice", shown=shown,
        )  # fmt: skip
    both = mapped()
    both.obs = pd.concat([both.obs, both.obs[["depth"]]], axis=1)
    border.refused(
        lambda: sp.tl.joint_embedding(ref(), both), ValueError, "2 columns of query.obs are named 'depth'", kind="B4",
        case="a column twice in a joint embedding", shown="joint_embedding(reference, query)",
    )  # fmt: skip
    adata = query()
    adata.var_names = [*adata.var_names[:-1], adata.var_names[0]]
    for call, shown in (
        (lambda: sp.tl.map_query(adata, model(), **FAST), "map_query(query, model)"),
        (lambda: check_query(adata).raise_for_problems(), "check_query(query)"),
    ):
        border.refused(
            call,
            QueryError,
            ("gene names occur more than once", "'gene0'"),
            kind="B4",
            case="a gene twice",
            shown=shown,
        )
    with_embedding = mapped()
    with_embedding.var_names = adata.var_names
    border.refused(
        lambda: sp.tl.joint_embedding(ref(), with_embedding), ValueError, "query.var_names_make_unique()", kind="B4",
        case="a gene twice in a joint embedding", shown="joint_embedding(reference, query)",
    )  # fmt: skip


@pytest.mark.parametrize("names", ["nan", "numbers"])
def test_names_of_genes_that_are_none(border, names):
    adata = query()
    index = adata.var_names.to_numpy(dtype=object).copy()
    index[3] = np.nan
    adata.var.index = pd.Index(index) if names == "nan" else pd.RangeIndex(adata.n_vars)
    says = ("1 genes have no name", "unnamed") if names == "nan" else ("names of genes are integer", "astype(str)")
    border.refused(
        lambda: sp.tl.map_query(adata, model(), **FAST), QueryError, says, kind="B4",
        case=f"names of genes are {names}", shown="map_query(query, model)",
    )  # fmt: skip


def test_cells_of_one_name(border):
    adata = query()
    adata.obs.index = pd.Index(["cell"] * adata.n_obs)
    border.warned(
        lambda: sp.tl.map_query(adata, model(), **FAST), "Observation names are not unique", kind="B4",
        case="all cells have one name: works, and anndata says so", shown="map_query(query, model)",
    )  # fmt: skip
    assert adata.obsm["X_scarches"].shape == (adata.n_obs, 4)


def test_batches_that_once_were_missing(border):
    adata = query()
    adata.obs["batch"] = adata.obs["batch"].astype(object)
    adata.obs.loc[adata.obs_names[:30], "batch"] = np.nan
    adata.obs["batch"] = [str(value) for value in adata.obs["batch"]]
    border.warned(
        lambda: sp.tl.map_query(adata, model(), **FAST), "batches are named ['nan']", kind="B4", case="batch 'nan'",
        shown="map_query(query, model)",
    )  # fmt: skip
    empty = AnnData(adata.X, pd.DataFrame(index=adata.obs_names), adata.var)
    border.refused(
        lambda: sp.tl.map_query(empty, model(), **FAST), QueryError, "column 'batch' not found in adata.obs", kind="B4",
        case="no columns at all", shown="map_query(query, model)",
    )  # fmt: skip


@pytest.mark.parametrize("verb", ["rank_genes", "expression_table", "balance_cells", "map_query", "label_profiles"])
def test_values_that_are_no_names(border, verb):
    adata = query()
    key = "batch" if verb == "map_query" else "cell_type"
    adata.obs[key] = [["a", "b"]] * adata.n_obs
    call = {
        "rank_genes": lambda: sp.tl.rank_genes(adata, "cell_type"),
        "expression_table": lambda: sp.tl.expression_table(adata, "cell_type", "batch", genes=["gene1"]),
        "balance_cells": lambda: sp.pp.balance_cells(adata, "cell_type", 3),
        "map_query": lambda: sp.tl.map_query(adata, model(), **FAST),
        "label_profiles": lambda: sp.tl.label_profiles(adata, "cell_type", "batch"),
    }[verb]
    border.refused(
        call,
        ValueError,
        (repr(key), "no names"),
        kind="B4",
        case=f"a column of lists, {verb}",
        shown=f"{verb}(query, ...)",
    )


def test_batches_named_by_number(border):
    adata = ref()
    adata.obs["batch"] = adata.obs["batch"].astype(str).str[-1].astype(float)
    trained = sp.tl.build_reference(adata, "batch", max_epochs=1, train_kwargs=QUICK)
    border.works(
        lambda: sp.tl.map_query(adata.copy(), trained, shared_batches=[0, 1.0], strategy="all", **FAST),
        lambda found: found.spec.batches == ("0", "1"), kind="B2", case="shared_batches as numbers",
        shown="map_query(query, model, shared_batches=[0, 1.0])",
    )  # fmt: skip


ALIKE = {
    "a trailing blank": lambda name: f"{name} ",
    "a no-break space": lambda name: f"\u00a0{name}",
    "a zero-width space": lambda name: f"{name}\u200b",
    "letters with their accents apart": lambda name: name.replace("é", "e\u0301"),
    "a tab": lambda name: f"{name}\t",
}


@pytest.mark.parametrize("case", ALIKE)
@pytest.mark.parametrize("key", ["batch", "cell_type"])
def test_names_that_look_alike(border, case, key):
    if (case, key) == ("letters with their accents apart", "batch"):
        pytest.skip("its batches have no accents")
    known, adata = ref("scanvi"), query()
    spec = model("scanvi").spec
    if "accents" in case:
        spec = replace(spec, labels=("Zellé", *spec.labels[1:]))
    name = (spec.batches if key == "batch" else spec.labels)[0]
    adata.obs[key] = adata.obs[key].astype(object)
    adata.obs.loc[adata.obs_names[:30], key] = ALIKE[case](name)
    told = [one for one in check_query(adata, spec).problems if "nobody sees" in one.message]
    border.works(
        lambda: str(told[0]), lambda text: name in text, kind="B4", case=f"{case} in {key}",
        shown="check_query(query, model)",
    )  # fmt: skip
    exec(told[0].fix.partition(": ")[2], {"adata": adata})  # noqa: S102
    assert (adata.obs[key][:30] == name).all()
    assert not [one for one in check_query(adata, spec).problems if "nobody sees" in one.message]
    assert known.n_obs == 240


def test_two_batches_that_look_alike(border):
    adata = ref()
    adata.obs["batch"] = np.where(np.arange(adata.n_obs) < 60, "batch1 ", adata.obs["batch"].astype(str))
    border.warned(
        lambda: sp.tl.build_reference(adata, "batch", max_epochs=1, train_kwargs=QUICK), ("'batch1 '", "nobody sees"),
        kind="B4", case="a batch with a trailing blank besides itself", shown="build_reference(adata, 'batch')",
    )  # fmt: skip


def test_a_report_of_labels_that_look_alike(border):
    truth = pd.Series(["T ", "B"] * 5)
    border.warned(
        lambda: sp.metrics.label_transfer_report(truth, ["T", "B"] * 5, known_labels=["T", "B"]),
        ("'T '", "nobody sees"), kind="B2", case="true labels with a trailing blank",
        shown="label_transfer_report(labels, predictions, known_labels=...)",
    )  # fmt: skip
    assert sp.metrics.label_transfer_report(truth.replace({"T ": "T"}), ["T", "B"] * 5).accuracy == 1


def test_groups_that_read_the_same(border):
    adata = ref()
    adata.obs["flag"] = pd.Series([True, "True", "no"] * 80, adata.obs_names, dtype=object)
    border.refused(
        lambda: sp.tl.rank_genes(adata, "flag"), ValueError, "read the same", kind="B2", case="True and 'True'",
        shown="rank_genes(adata, 'flag')",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["datetime64[ns]", "timedelta64[ns]", "period"])
def test_times_in_a_joint_embedding_can_be_written(border, tmp_path, kind):
    reference = ref()
    days = pd.Series(np.arange(reference.n_obs), reference.obs_names).astype("timedelta64[s]")
    times = pd.Timestamp("2020-01-01") + days
    reference.obs["when"] = {"timedelta64[ns]": days, "datetime64[ns]": times, "period": times.dt.to_period("D")}[kind]
    border.works(
        lambda: sp.tl.joint_embedding(reference, mapped()).write_h5ad(tmp_path / "joint.h5ad"), lambda _: True,
        kind="B2", case=f"a column of {kind}", shown="joint_embedding(reference, query).write_h5ad(...)",
    )  # fmt: skip


def test_tables_of_texts(border):
    summary = pd.DataFrame({"n_cells": [4], "accepted": [2], "uncertain": [1], "novel": [1]}, index=["T"])
    bad = {
        "texts": (summary.astype(str), "has no numbers in ['n_cells'"),
        "a column twice": (pd.concat([summary, summary], axis=1), "several columns named ['n_cells'"),
        "no cells": (summary * 0, "missing, negative or above n_cells"),
        "negative": (-summary, "missing, negative or above n_cells"),
        "a gap": (summary * np.nan, "missing, negative or above n_cells"),
    }
    for case, (table, says) in bad.items():
        border.refused(
            lambda table=table: sp.pl.label_summary(table), ValueError, (says, "sp.tl.label_summary"), kind="B4",
            case=case, shown="pl.label_summary(table)",
        )  # fmt: skip
    curve = pd.DataFrame({"confidence": ["a"], "accuracy": ["b"], "n_cells": ["c"]})
    border.refused(
        lambda: sp.pl.reliability(curve), ValueError, "has no numbers in ['confidence'", kind="B4", case="texts",
        shown="pl.reliability(table)",
    )  # fmt: skip
    explanation = pd.DataFrame({"label": ["a"], "reason": ["accepted"], "probability": ["high"]})
    border.refused(
        lambda: sp.tl.label_summary(explanation), ValueError, "has no numbers in ['probability']", kind="B4",
        case="texts", shown="tl.label_summary(table)",
    )  # fmt: skip


@pytest.mark.parametrize("method", ["get_latent_representation", "get_elbo", "get_normalized_expression", "predict"])
def test_methods_of_models(border, method):
    call = getattr(model("scanvi"), method)
    border.refused(
        lambda: call(ref("scanvi")[:0].copy()), ValueError, "0 cells", kind="B7", case=f"no cells in {method}",
        shown=f"model.{method}(cells[:0])",
    )  # fmt: skip
    border.refused(
        lambda: call(query()), ValueError, ("batch2", "map_query"), kind="B4", case=f"another batch in {method}",
        shown=f"model.{method}(query)",
    )  # fmt: skip

"""The matrix of benchmarks/matrix: what it runs, what it keeps, what it makes of it."""

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from benchmarks.matrix._config import METHODS
from benchmarks.matrix._data import reference_and_query
from benchmarks.matrix._figures import FIGURES, write_figures
from benchmarks.matrix._plan import run_matrix, runs_of
from benchmarks.matrix._read_matrix import read_matrix
from benchmarks.matrix._rows import COLUMNS, KEY, Rows, key_of, read_rows
from benchmarks.matrix._scores import SCORES
from benchmarks.matrix._study import Study
from benchmarks.matrix._table import aggregate, correlations, differences, interval, write_tables
from benchmarks.matrix._umap import write_umaps
from scipy import stats

HERE = Path(__file__).parents[2] / "benchmarks" / "matrix"
MINI = {
    "data": {
        "sim": {
            "builtin": "simulated",
            "parameters": {"n_cells": 150, "n_genes": 40, "n_types": 3, "n_batches": 3},
            "query": ["batch2"],
            "hold_out": ["type2"],
        }
    },
    "methods": {
        "scvi": {"run": "surgery", "recipe": "scvi", "model_kwargs": {"n_hidden": 8, "n_latent": 4}},
        "broken": {"run": "surgery", "recipe": "scvi", "model_kwargs": {"n_latent": -1}},
        "PCA, projected": {"run": "pca_projected", "n_comps": 5},
    },
    "seeds": [0],
    "epochs": 1,
    "scores": ["silhouette of labels"],
    "baseline": "scvi",
}


def matrix(folder, **changes):
    path = folder / "matrix.yaml"
    path.write_text(yaml.safe_dump({**MINI, **changes}, sort_keys=False))
    return read_matrix(path)


def row(method, seed=0, **values):
    return {"data": "sim", "method": method, "seed": seed, "epochs": 1, "fraction": 1.0, "settings": "s", **values}


# --- What a matrix file says ---


@pytest.mark.parametrize("name", ["matrix.yaml", "matrix_shipped.yaml", "matrix_de_novo.yaml"])
def test_the_matrices_of_the_repository_are_valid(name):
    assert runs_of(read_matrix(HERE / name), None, Path("cache"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": "many"}, "seeds"),
        ({"epochs": 0}, "epochs"),
        ({"colour": 1}, "colour"),
        ({"data": {"sim": {"builtin": "simulated"}}}, "data.sim.query"),
        ({"data": {"sim": {"query": ["batch2"]}}}, "data.sim: needs either 'file' or 'builtin'"),
        ({"methods": {"x": {"run": "magic"}}}, "methods.x: there is no run: magic"),
        ({"methods": {"x": {"run": "surgery", "recipe": "scvi", "stratgy": "all"}}}, "stratgy"),
        ({"methods": {"x": {"run": "surgery"}}}, r"methods.x: surgery needs the options \['recipe'\]"),
        ({"baseline": "nobody"}, r"baseline: there are no methods \['nobody'\]"),
        ({"figures": {"portrait": []}}, "figures"),
        ({"scores": ["beauty"]}, "scores"),
        ({"sizes": {"data": ["sim"], "methods": ["scvi"], "fractions": [2]}}, "sizes.fractions"),
        ({"sizes": {"data": ["other"], "methods": ["scvi"], "fractions": [0.5]}}, "sizes.data"),
    ],
)
def test_errors_of_a_matrix_file_name_the_field(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        matrix(tmp_path, **changes)


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "matrix.yaml").write_text("data: [")
    with pytest.raises(ValueError, match=r"matrix\.yaml is no YAML"):
        read_matrix(tmp_path / "matrix.yaml")


def test_sizes_add_runs_of_some_methods(tmp_path):
    sizes = {"data": ["sim"], "methods": ["scvi"], "fractions": [0.5]}
    runs = runs_of(matrix(tmp_path, sizes=sizes), None, tmp_path)
    assert [(one.method_name, one.fraction) for one in runs] == [
        *((name, 1.0) for name in MINI["methods"]),
        ("scvi", 0.5),
    ]


# --- Cells ---


def test_types_are_held_out_of_the_reference_alone(tmp_path):
    reference, query = reference_and_query(matrix(tmp_path).data["sim"], None, seed=0)
    assert set(reference.obs["cell_type"]) == {"type0", "type1"}
    assert set(query.obs["cell_type"]) == {"type0", "type1", "type2"}
    assert set(query.obs["batch"]) == {"batch2"}
    assert (reference.var_names == query.var_names).all()


def test_files_lose_their_labels_of_unlabelled_cells_and_their_dull_genes(tmp_path):
    from scarches_plus.datasets import simulate

    cells = simulate(120, 60, 3, n_batches=2)
    cells.obs["donor"] = cells.obs["batch"].astype(str)
    cells.obs["type"] = cells.obs["cell_type"].astype(str).replace("type0", "?")
    cells.obs.loc[cells.obs_names[:5], "type"] = np.nan
    cells.write_h5ad(tmp_path / "cells.h5ad")
    data = {
        "file": "cells.h5ad",
        "batch": "donor",
        "labels": "type",
        "unlabelled": "?",
        "query": ["batch1"],
        "genes": 30,
    }
    reference, query = reference_and_query(matrix(tmp_path, data={"x": data}).data["x"], tmp_path, seed=0)
    types = pd.concat([reference.obs, query.obs])["cell_type"].reindex(cells.obs_names)
    unlabelled = (cells.obs["type"] == "?").to_numpy() | (np.arange(120) < 5)
    assert ((types == "Unknown").to_numpy() == unlabelled).all()
    assert reference.n_vars == 30


def test_a_share_is_drawn_of_every_batch_anew_with_each_seed(tmp_path):
    data = matrix(
        tmp_path, data={"x": {**MINI["data"]["sim"], "parameters": {"n_cells": 300, "n_batches": 3, "rng": 0}}}
    )
    draws = [reference_and_query(data.data["x"], None, seed, 0.5) for seed in (0, 0, 1)]
    names = [set(query.obs_names) for _, query in draws]
    assert {len(one) for one in names} == {50}
    assert names[0] == names[1] != names[2]


# --- Runs ---


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matrix")
    run_matrix(matrix(folder), folder / "runs.csv", cache=folder / "references")
    return folder


def test_a_failing_method_is_recorded_and_others_go_on(ran):
    rows = read_rows(ran / "runs.csv").set_index("method")
    assert set(rows.index) == set(MINI["methods"])
    assert "n_latent must be at least 1" in rows.loc["broken", "error"]
    assert rows.drop("broken")["error"].isna().all()
    complete = rows.drop("broken")
    for column in (
        "total",
        "KNI",
        "label accuracy",
        "neighbour preservation",
        "transfer AUROC",
        "silhouette of labels",
    ):
        assert complete[column].between(0, 1).all(), column
    assert (complete["reference drift"] < 1e-5).all()  # rounding
    assert (complete[["query seconds", "reference seconds", "MiB"]] > 0).all(axis=None)
    assert complete.loc["scvi", "trained parameters"] > 0


def test_runs_that_are_there_are_not_repeated(ran, capsys):
    before = (ran / "runs.csv").read_bytes()
    run_matrix(matrix(ran), ran / "runs.csv", cache=ran / "references")
    assert (ran / "runs.csv").read_bytes() == before
    assert "0 to do" in capsys.readouterr().out


@pytest.mark.slow
def test_failed_runs_are_tried_again_on_request_and_other_settings_are_told(ran, tmp_path, capsys):
    table = tmp_path / "runs.csv"
    table.write_bytes((ran / "runs.csv").read_bytes())
    mended = {**MINI["methods"], "broken": {"run": "pca", "n_comps": 3}}
    run_matrix(matrix(tmp_path, methods=mended), table, cache=ran / "references", retry=True)
    rows = read_rows(table).set_index("method")
    assert rows["error"].isna().all()
    assert np.isnan(rows.loc["broken", "reference drift"])
    assert len(table.read_text().splitlines()) == 1 + len(mended) + 1
    assert "other settings" in capsys.readouterr().out


def test_peers_that_are_not_installed_are_skipped_with_a_note(tmp_path, capsys, monkeypatch):
    from benchmarks.matrix import _plan

    monkeypatch.setattr(_plan, "installed", lambda _: False)
    run_matrix(
        matrix(tmp_path, methods={"Harmony": {"run": "harmony"}}, baseline=None), tmp_path / "runs.csv", cache=tmp_path
    )
    assert "Harmony: skipped, harmonypy is not installed" in capsys.readouterr().out


def test_integrating_anew_does_not_see_the_labels_of_the_query(tmp_path):
    """Whatever they are, the result is the same; and every cell gets its place."""
    data = matrix(tmp_path).data["sim"]
    found = {}
    for name in ("own", "swapped"):
        reference, query = reference_and_query(data, None, 0)
        if name == "swapped":
            query.obs["cell_type"] = query.obs["cell_type"].to_numpy()[::-1]
        study = Study(reference, query, 0, 1, {"name": "sim", "seed": 0}, tmp_path)
        small = {"n_hidden": 8, "n_latent": 4}
        anew = METHODS["de_novo"].map(study, recipe="scanvi", model_kwargs=small)
        plain = METHODS["combat"].map(study, n_comps=5)
        assert (anew.reference.shape, anew.query.shape) == ((reference.n_obs, 4), (query.n_obs, 4))
        assert (plain.reference.shape, plain.query.shape) == ((reference.n_obs, 5), (query.n_obs, 5))
        assert set(anew.labels) <= set(reference.obs["cell_type"])
        assert len(anew.labels) == query.n_obs
        assert anew.trained > 40 * 8  # every weight, not those of a batch alone
        assert anew.before is None  # the reference did not stay
        assert study.costs["query CPU seconds"] > 0
        assert "reference seconds" not in study.costs
        found[name] = anew.query, plain.query
    for one, other in zip(*found.values(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_dask_workers_run_the_same(ran, tmp_path):
    pytest.importorskip("distributed")  # noqa: TID251 (group bench)
    run_matrix(matrix(tmp_path), tmp_path / "runs.csv", cache=tmp_path / "references", jobs=2, dask="local")
    here, there = (read_rows(folder / "runs.csv").set_index("method").sort_index() for folder in (ran, tmp_path))
    columns = ["error", "total", "KNI", "transfer accuracy", "trained parameters"]
    pd.testing.assert_frame_equal(here[columns], there[columns])


# --- Rows ---


def test_rows_are_one_line_each(tmp_path):
    rows = Rows(tmp_path / "runs.csv")
    rows.append(row("a", error="first line\nsecond, line", total=0.5))
    rows.append(row("b", total=float("nan")))
    lines = list(csv.reader((tmp_path / "runs.csv").read_text().splitlines()))
    assert lines[0] == list(COLUMNS)
    assert len(lines) == 3
    table = read_rows(tmp_path / "runs.csv").set_index("method")
    assert table.loc["a", "error"] == "first line second, line"
    assert table["total"].isna().tolist() == [False, True]


def test_a_line_that_was_cut_off_does_not_count_and_goes_away(tmp_path):
    path = tmp_path / "runs.csv"
    rows = Rows(path)
    rows.append(row("a", total=0.5))
    whole = path.read_text()
    path.write_text(whole + "sim,b,0,1,1,s,,0.1")
    assert read_rows(path)["method"].tolist() == ["a"]
    Rows(path).append(row("b"))
    assert path.read_text().startswith(whole)
    assert read_rows(path)["method"].tolist() == ["a", "b"]


def test_a_table_of_other_columns_is_brought_up_to_date(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(",".join([*KEY, "total", "old score"]) + "\nsim,a,0,1,1,0.5,1\n")
    Rows(path).append(row("b", total=0.25))
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    assert read_rows(path)["total"].tolist() == [0.5, 0.25]


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no table of this benchmark"):
        Rows(path)
    assert path.read_text() == "a,b\n1,2\n"


def test_the_latest_row_of_a_run_counts(tmp_path):
    rows = Rows(tmp_path / "runs.csv")
    rows.append(row("a", error="broken"))
    rows.append(row("a", total=0.5))
    table = read_rows(tmp_path / "runs.csv")
    assert table["total"].tolist() == [0.5]
    assert table["error"].isna().all()


@pytest.mark.slow
def test_a_matrix_that_is_killed_goes_on_where_it_was(tmp_path):
    methods = {"PCA": {"run": "pca", "n_comps": 5}, "PCA, projected": MINI["methods"]["PCA, projected"]}
    one = matrix(tmp_path, methods=methods, seeds=[0, 1, 2], baseline=None)
    table, words = tmp_path / "runs.csv", ["run", "--config", tmp_path / "matrix.yaml", "--out", tmp_path]
    with subprocess.Popen([sys.executable, "-m", "benchmarks.matrix", *words], cwd=HERE.parents[1]) as process:
        while len(read_rows(table)) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    there = table.read_text()
    run_matrix(one, table, cache=tmp_path / "references")
    assert table.read_text().startswith(there[: there.rfind("\n") + 1])
    assert len(table.read_text().splitlines()) == 1 + 6
    assert read_rows(table)["error"].isna().all()


def test_the_shipped_results_are_those_of_the_shipped_matrix():
    rows = read_rows(HERE.parent / "results" / "shipped" / "runs.csv")
    runs = runs_of(read_matrix(HERE / "matrix_shipped.yaml"), None, Path("cache"))
    settings = {key_of(one): one["settings"] for one in rows.to_dict("records")}
    assert {key_of(one.key): one.settings for one in runs} == settings
    assert rows["error"].isna().all()


# --- Tables and figures ---


def results(tmp_path, n_seeds=4):
    rng = np.random.default_rng(0)
    rows = Rows(tmp_path / "runs.csv")
    for method, shift in {"scvi": 0.0, "PCA, projected": 0.2}.items():
        for seed in range(n_seeds):
            scores = dict.fromkeys(SCORES, 0.3)
            scores |= {"total": 0.5 + shift + 0.1 * rng.random(), "transfer AUROC": 0.7, "trained parameters": 10.0}
            for fraction in (1.0, 0.5):
                sizes = {"reference cells": 100 * fraction, "query cells": 50 * fraction}
                rows.append(row(method, seed, **scores, **sizes) | {"fraction": fraction})
    rows.append(row("broken", error="RuntimeError: no"))
    return read_rows(tmp_path / "runs.csv")


def test_intervals_are_those_of_scipy(tmp_path):
    rows = results(tmp_path)
    means = aggregate(rows).set_index(["method", "fraction", "score"])
    values = rows[(rows["method"] == "scvi") & (rows["fraction"] == 1)]["total"]
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    line = means.loc[("scvi", 1.0, "total")]
    np.testing.assert_allclose([line["n"], line["mean"], line["sd"], line["low"], line["high"]],
                               [4, values.mean(), values.std(), low, high])  # fmt: skip
    assert "broken" not in means.index.get_level_values("method")


def test_differences_are_paired_by_seed(tmp_path):
    rows = results(tmp_path)
    compared = differences(rows, "scvi").set_index(["method", "fraction", "score"])
    totals = rows[rows["fraction"] == 1].pivot_table(index="seed", columns="method", values="total")
    test = stats.ttest_rel(totals["PCA, projected"], totals["scvi"])
    line = compared.loc[("PCA, projected", 1.0, "total")]
    np.testing.assert_allclose([line["low"], line["high"]], test.confidence_interval(0.95))
    assert "scvi" not in compared.index.get_level_values("method")
    with pytest.raises(ValueError, match="baseline 'nobody'"):
        differences(rows, "nobody")


def test_correlations_are_those_of_scipy_over_methods():
    """Of the means over seeds; a data set of few methods does not count, nor does a score that never varies."""
    rng = np.random.default_rng(0)
    rows = [
        row(f"method {number}", seed, data=data, KNI=rng.random(), EBM=rng.random(), kBET=1.0, error=np.nan)
        for data, n_methods in (("a", 8), ("b", 6), ("few", 3))
        for number in range(n_methods)
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows)
    found = correlations(table)
    assert list(found.index) == ["EBM"]
    means = table.groupby(["data", "method"])[["KNI", "EBM"]].mean()
    each = [stats.spearmanr(*means.loc[data].to_numpy().T).statistic for data in ("a", "b")]
    assert found.loc["EBM"].tolist() == pytest.approx([np.mean(each), min(each), max(each), 2])
    assert correlations(table[table["data"] == "few"]).empty


@pytest.mark.slow
def test_a_panel_for_every_embedding(ran, capsys):
    """Of the references that are there; CellTypist would have none, and what is not installed is left out."""
    some = {name: MINI["methods"][name] for name in ("scvi", "PCA, projected")}
    write_umaps(matrix(ran, methods=some), ran, data_dir=None, cache=ran / "references")
    assert "sim / PCA, projected" in capsys.readouterr().out
    assert (ran / "umap_sim.png").stat().st_size > 10_000


def test_one_seed_has_no_interval():
    assert interval([0.5])[0] == 0.5
    assert np.isnan(interval([0.5])[1])
    assert np.isnan(interval([])[0])


def test_tables_and_figures_are_written(tmp_path):
    results(tmp_path)
    one = matrix(tmp_path)
    write_tables(one, tmp_path / "runs.csv", tmp_path)
    text = (tmp_path / "tables.md").read_text()
    assert "### sim (4 seeds, 1 epochs)" in text
    assert "### sim, 0.5 of the cells" in text
    assert "- sim / broken, 1 runs: RuntimeError: no" in text
    assert set(pd.read_csv(tmp_path / "aggregated.csv")["method"]) == {"scvi", "PCA, projected"}
    write_figures(one, tmp_path / "runs.csv", tmp_path)
    drawn = {file.stem for file in tmp_path.glob("*.png")}
    assert drawn == set(FIGURES)

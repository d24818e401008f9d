"""What goes to the standard output: results for people, or one JSON object for programs."""

import json
import subprocess

import anndata
import pandas as pd
import pytest
from border_rows import run_command

import scarches_plus as sp
from scarches_plus import cli

HUB = ["hub", "list", "--offline"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A query and a reference whose types differ clearly."""
    folder = tmp_path_factory.mktemp("cells")
    adata = sp.datasets.simulate(300, 60, 3, n_batches=3, type_effect=0.6)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    adata[~query].copy().write_h5ad(folder / "reference.h5ad")
    adata[query].copy().write_h5ad(folder / "query.h5ad")
    return folder


@pytest.fixture
def annotate(folder, tmp_path, monkeypatch):
    """Annotate with options, and return status, output and what stands on the standard error."""
    monkeypatch.chdir(folder)

    def annotate(*options):
        words = ["annotate", "query.h5ad", "--reference", "reference.h5ad", "--labels-key", "cell_type"]
        words += ["--batch-key", "batch", "--out", str(tmp_path / "labelled.h5ad")]
        return run_command(cli.main, [*words, *options])

    return annotate


def test_for_people(annotate, tmp_path):
    status, out, err = annotate()
    assert status == 0
    found = anndata.read_h5ad(tmp_path / "labelled.h5ad")
    assert out.splitlines()[0] == repr(sp.tl.summary(found)).splitlines()[-1]
    assert f"type0      {(found.obs['cell_type_pred'] == 'type0').sum()}" in out
    assert out.splitlines()[-1] == f"wrote {tmp_path / 'labelled.h5ad'}"
    assert "note: " in err


def test_quiet(annotate):
    status, out, err = annotate("--quiet")
    assert (status, err) == (0, "")
    assert out.startswith("cell_type_pred")
    assert "wrote" not in out
    assert sp.settings.verbosity == "progress"
    assert "note: " in annotate()[2]


@pytest.mark.parametrize("quiet", [False, True])
def test_json(annotate, tmp_path, quiet):
    status, out, err = annotate("--json", *(["--quiet"] if quiet else []))
    assert (err == "") == quiet
    said = json.loads(out)
    found = anndata.read_h5ad(tmp_path / "labelled.h5ad")
    assert status == 0
    assert said["ok"] is True
    assert said["wrote"] == [str(tmp_path / "labelled.h5ad")]
    assert said["labels"] == found.obs["cell_type_pred"].value_counts().to_dict()
    assert said["outcomes"] == sp.tl.summary(found).to_dicts()


def test_json_before_the_command():
    status, out, _ = run_command(cli.main, ["--json", *HUB])
    table = sp.hub.list_models(offline=True)
    assert status == 0
    assert [one["name"] for one in json.loads(out)["models"]] == table["name"].tolist()


def test_json_of_what_fails(annotate):
    status, out, err = annotate("--json", "--unknown-above", "2")
    assert status == 2
    assert json.loads(out)["ok"] is False
    assert f"error: {json.loads(out)['error']}\n" == err
    status, out, _ = annotate("--json", "--novel-key", "nowhere")
    assert status == 2
    assert "column 'nowhere' not found" in json.loads(out)["error"]
    status, out, _ = annotate()
    assert out.startswith("labelled")


def test_json_of_a_check_that_finds_something(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    bad = anndata.read_h5ad("query.h5ad")
    bad.X = -bad.X
    bad.write_h5ad(tmp_path / "bad.h5ad")
    status, out, _ = run_command(cli.main, ["check", str(tmp_path / "bad.h5ad"), "--json"])
    said = json.loads(out)
    assert status == 2
    assert said["report"]["n_cells"] == bad.n_obs
    assert said["report"]["problems"][0]["fix"]
    assert "cannot be used as it is" in said["error"]


def test_warnings_are_in_json(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    query = anndata.read_h5ad("query.h5ad")
    query[query.obs["cell_type"] == "type0"].copy().write_h5ad(tmp_path / "one.h5ad")
    words = ["novel", str(tmp_path / "one.h5ad"), "--reference", "reference.h5ad", "--labels-key", "cell_type"]
    words += ["--batch-key", "batch", "--out", str(tmp_path / "novel.h5ad"), "--json"]
    _, out, err = run_command(cli.main, words)
    (warned,) = json.loads(out)["warnings"]
    assert "not judged" in warned
    assert f"warning: {warned}\n" in err


@pytest.mark.parametrize("words", [["app"], ["hub", "push", "bundle", "--publish"]])
def test_what_cannot_answer_with_json_says_so(words, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    if words[0] == "hub":
        shipped = sp.hub.pull("simulated-scvi@1", offline=True)
        words = ["hub", "push", str(shipped), "--publish"]
    status, out, _ = run_command(cli.main, [*words, "--json"])
    assert status == 2
    assert "--json answers when a command has ended" in json.loads(out)["error"]


def test_help_lists_what_every_command_takes():
    for words in (["--help"], ["novel", "--help"]):
        status, out, _ = run_command(cli.main, words)
        assert status == 0
        assert "--quiet" in out
        assert "--json" in out


def test_help_is_grouped_by_task():
    _, out, _ = run_command(cli.main, ["--help"])
    titles = ["Start", "Map and annotate", "New types", "Compare", "Judge", "Build and share", "Shell", "Every command"]
    places = [out.index(f"─ {title} ─") for title in titles]
    assert places == sorted(places)
    before = out[: out.index("─ New types ─")]
    assert " annotate " in before
    assert " novel " not in before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["annotate", "q.h5ad"], "annotate needs --reference and --out. See scarches-plus annotate --help."),
        (["annotate", "q.h5ad", "--reference=r"], "annotate needs --out. See scarches-plus annotate --help."),
        (["markers", "q.h5ad", "--out", "m.csv"], "markers needs --groupby. See scarches-plus markers --help."),
        (["map", "--model", "m"], "needs QUERY and --out"),
        (["build"], "build needs REFERENCES and --batch-key."),
        (["build", "a.h5ad"], "build needs --batch-key."),
        (["markers"], "markers needs CELLS, --groupby and --out."),
        (["novel", "q.h5ad", "--out", "o.h5ad", "--reference"], "--reference requires an argument"),
    ],
)
def test_all_that_a_command_needs_is_told_at_once(words, said):
    status, _, err = run_command(cli.main, words)
    assert status == 2
    assert said in err


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["transferr"], "transfer"),
        (["novel", "q.h5ad", "--refrence", "r", "--out", "o.h5ad"], "--reference"),
        (["map", "q.h5ad", "--model", "m", "--out", "o.h5ad", "--strategy", "conditon"], "condition"),
        (["build", "q.h5ad", "--batch-key", "b", "--out", "m", "--penalty", "mdd"], "mmd"),
        (["build", "q.h5ad", "--batch-key", "b", "--out", "m", "--penalty", "mmd:wieght=1"], "weight"),
        (["hub", "info", "simulated-svi", "--offline"], "simulated-scvi"),
        (["markers", "query.h5ad", "--groupby", "celltype", "--out", "m.csv"], "cell_type"),
        (["demo", "--data", "query.h5ad", "--reference-batches", "batch22"], "batch2"),
    ],
)
def test_errors_name_the_nearest(words, near, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    status, _, err = run_command(cli.main, words)
    assert status == 2
    told = err.casefold()
    assert any(f"{offer} {quote}{near}" in told for offer in ("did you mean", "near it:") for quote in ("", "'", '"'))


def test_markers(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    words = ["markers", "reference.h5ad", "--groupby", "cell_type", "--n-genes", "3", "--out", str(tmp_path / "m.csv")]
    status, out, err = run_command(cli.main, words)
    assert status == 0, err
    adata = anndata.read_h5ad("reference.h5ad")
    sp.tl.rank_genes(adata, "cell_type", n_genes=3)
    ranked = adata.uns["rank_genes_groups"]
    table = pd.read_csv(tmp_path / "m.csv")
    assert table["group"].tolist() == [f"type{one}" for one in range(3) for _ in range(3)]
    for group, rows in table.groupby("group"):
        assert rows["gene"].tolist() == list(ranked["names"][group])
        assert rows["score"].to_numpy() == pytest.approx(ranked["scores"][group], rel=1e-5)
        assert rows["log2_fold_change"].to_numpy() == pytest.approx(ranked["logfoldchanges"][group], rel=1e-5)
        assert rows["p_value_adjusted"].to_numpy() == pytest.approx(ranked["pvals_adj"][group])
    assert ", ".join(ranked["names"]["type1"]) in out
    status, out, _ = run_command(cli.main, [*words, "--groups", "type1", "--json"])
    assert {row["group"] for row in json.loads(out)["markers"]} == {"type1"}


def test_expression(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    words = ["expression", "reference.h5ad", "--groupby", "cell_type", "batch", "--genes", "gene0", "gene7"]
    words += ["--out", str(tmp_path / "e.csv")]
    status, _, err = run_command(cli.main, words)
    assert status == 0, err
    adata = anndata.read_h5ad("reference.h5ad")
    expected = sp.tl.expression_table(adata, "cell_type", "batch", genes=["gene0", "gene7"])
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "e.csv", index_col=[0, 1]), expected, check_dtype=False, check_index_type=False,
        check_categorical=False,
    )  # fmt: skip
    words[words.index("batch")] = "cell_type"
    status, _, err = run_command(cli.main, words)
    assert status == 2
    assert "--groupby" in err


@pytest.mark.filterwarnings("ignore")  # scores of few cells
def test_joint_is_what_evaluate_reads(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("reference", "query"):
        cells = anndata.read_h5ad(folder / f"{name}.h5ad")
        cells.obsm["X_scarches"] = cells.X.toarray()[:, :10]
        cells.write_h5ad(tmp_path / f"{name}.h5ad")
    words = ["joint", "query.h5ad", "--reference", "reference.h5ad", "--out", "joint.h5ad"]
    status, _, err = run_command(cli.main, words)
    assert status == 0, err
    joint = anndata.read_h5ad("joint.h5ad")
    assert joint.obs["mapping_role"].value_counts().to_dict() == {"reference": 200, "query": 100}
    words = ["evaluate", "joint.h5ad", "--batch-key", "batch", "--labels-key", "cell_type", "--json"]
    status, out, err = run_command(cli.main, words)
    assert status == 0, err
    scores = {row["score"]: row["value"] for row in json.loads(out)["scores"]}
    mask = (joint.obs["mapping_role"] == "reference").to_numpy()
    expected = sp.metrics.evaluate(joint, "X_scarches", "batch", labels_key="cell_type", reference_mask=mask)
    expected = expected.scores.set_index("score")["value"]
    assert scores["label accuracy"] == pytest.approx(expected["label accuracy"])


def test_a_query_alone_is_not_evaluated(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    words = ["evaluate", "query.h5ad", "--batch-key", "batch", "--out", str(tmp_path / "out")]
    status, _, err = run_command(cli.main, words)
    assert status == 2
    assert "scarches-plus joint query.h5ad --reference REFERENCE --out joint.h5ad" in err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(shell, tmp_path):
    status, out, _ = run_command(cli.main, ["completion", shell])
    assert status == 0
    assert "annotate" in out
    assert "--unknown-above" in out
    if shell == "bash":
        script = tmp_path / "script"
        script.write_text(
            f"{out}\nCOMP_WORDS=(scarches-plus trans)\nCOMP_CWORD=1\n"
            "$(complete -p scarches-plus | sed 's/.*-F \\([^ ]*\\).*/\\1/')\necho \"${COMPREPLY[@]}\"\n"
        )
        done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
        assert done.stdout.split() == ["transfer"], done.stderr

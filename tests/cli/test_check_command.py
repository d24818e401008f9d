"""The command check: a report on stdout, and a status that scripts can read."""

import re
import shlex

import numpy as np
import pytest
from border_rows import run_command
from small_models import cells, reference, split

import scarches_plus as sp
from scarches_plus.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reference model, its query, and the query as logarithms with other names of genes."""
    folder = tmp_path_factory.mktemp("check")
    ref, query = split(cells(), "batch2")
    reference(adata=ref).save(folder / "model")
    query.write_h5ad(folder / "query.h5ad")
    query.X = np.log1p(query.X)
    query.write_h5ad(folder / "logs.h5ad")
    return folder


def check(*words):
    return run_command(main, ["check", *map(str, words)])


def test_a_query_that_can_be_mapped(folder):
    status, out, _ = check(folder / "query.h5ad", "--model", folder / "model")
    assert status == 0
    assert "40 of the reference's 40 genes found" in out
    assert "no problems found" in out


def test_without_a_model(folder):
    assert check(folder / "query.h5ad")[0] == 0
    status, out, err = check(folder / "logs.h5ad")
    assert status == 2
    assert "log" in out
    assert "Fix:" in out
    assert "Traceback" not in err


def test_batches_of_the_reference(folder):
    status, out, _ = check(
        folder / "model" / ".." / "query.h5ad", "--model", folder / "model", "--batch-key", "nothing"
    )
    assert status == 2
    assert "'nothing' not found" in out


def test_fixes_are_commands_that_run(tmp_path, monkeypatch):
    """Ensembl ids and logarithms, as scanpy's users have them; the fixes as they are printed, with names of files."""
    monkeypatch.chdir(tmp_path)
    adata, _ = sp.pp.map_gene_ids(sp.datasets.pbmc68k()[::4].copy(), to="ensembl")
    adata.layers["raw_counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X)
    adata.write_h5ad("mine.h5ad")
    status, out, _ = check("mine.h5ad", "--model", "pbmc68k-scanvi", "--batch-key", "batch")
    assert status == 2
    assert "sp.pp" not in out
    rename = re.search(r"scarches-plus (genes FILE --model MODEL --out NEW_FILE)", out)[1]
    layer = re.search(r"--layer \S+(?=,)", out)[0]
    for name, value in {"NEW_FILE": "named.h5ad", "FILE": "mine.h5ad", "MODEL": "pbmc68k-scanvi"}.items():
        rename = rename.replace(name, value)
    status, _, err = run_command(main, rename.split())  # of X, which has no counts
    assert (status, f"pass {layer}" in err) == (2, True)
    assert run_command(main, f"{rename} {layer}".split())[0] == 0
    batches = ["--shared-batches", *sorted(set(adata.obs["batch"]) & set(sp.load("pbmc68k-scanvi").spec.batches))]
    words = ["named.h5ad", "--model", "pbmc68k-scanvi", "--batch-key", "batch", *layer.split(), *batches]
    assert check(*words)[0] == 0


def test_batches_and_layers_of_any_name_are_told_as_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = sp.datasets.simulate(200, 60, 3, n_batches=2, mean_depth=800.0, rng=0)
    cells.obs["batch"] = cells.obs["batch"].cat.rename_categories({"batch0": "d'1", "batch1": "b]c"})
    model = sp.tl.build_reference(cells, "batch", max_epochs=1, train_kwargs={"enable_progress_bar": False})
    model.save("model")
    query = cells.copy()
    query.layers["raw counts"] = query.X.copy()
    query.X = np.log1p(query.X)
    query.write_h5ad("query.h5ad")
    _, out, _ = check("query.h5ad", "--model", "model")
    layer = shlex.split(re.search(r"--layer '[^']*'", out)[0])
    assert layer == ["--layer", "raw counts"]
    batches = shlex.split(re.search(r"--shared-batches (?:'[^ ]*|b\]c)(?: '[^ ]*| b\]c)*", out)[0].rstrip(".,;)"))
    assert sorted(batches[1:]) == ["b]c", "d'1"]
    assert check("query.h5ad", "--model", "model", *layer, *batches)[0] == 0


def test_files_of_one_name_are_refused_with_what_a_shell_can_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        sp.datasets.simulate(60, 30, 2, rng=0).write_h5ad(f"{folder}/same.h5ad")
    files = ["one/same.h5ad", "two/same.h5ad"]
    status, _, err = run_command(main, ["build", *files, "--batch-key", "study", "--out", "model"])
    assert (status, "rename one" in err, "dict" in err) == (2, True, False)

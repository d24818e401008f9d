"""The command check: a report on stdout, and a status that scripts can read."""

import re

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

"""The command check: a report on stdout, and a status that scripts can read."""

import numpy as np
import pytest
from border_rows import run_command
from small_models import cells, reference, split

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

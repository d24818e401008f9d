"""The command assess: a report on stdout and as a page, and a status that scripts can read."""

import json

import numpy as np
import pytest
from anndata import read_h5ad
from border_rows import run_command
from small_models import cells

import scarches_plus as sp
from scarches_plus.cli import app, main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the command build, its cells with an embedding and counts, and the same with a wrong study."""
    folder = tmp_path_factory.mktemp("assess")
    reference = cells(360, batch_effect=0.0, type_effect=0.6)
    reference.write_h5ad(folder / "ref.h5ad")
    columns = ["--batch-key", "batch", "--labels-key", "cell_type", "--recipe", "scanvi", "--max-epochs", "30"]
    words = ["build", folder / "ref.h5ad", *columns, "--out", folder / "model"]
    app([str(word) for word in words], result_action="return_value", exit_on_error=False, print_error=False)
    query = reference[::2, :20].copy()
    query.obs["batch"] = "new"
    query.write_h5ad(folder / "query.h5ad")
    wrong = {"type0": "type1", "type1": "type0"}
    here = (reference.obs["batch"] == "batch1").to_numpy()
    labels = reference.obs["cell_type"].astype(str).to_numpy()
    reference.obs["cell_type"] = np.where(here, [wrong.get(label, label) for label in labels], labels)
    sp.tl.embed(reference, folder / "model")
    reference.write_h5ad(folder / "wrong.h5ad")
    return folder


def assess(*words):
    return run_command(main, ["assess", *map(str, words)])


def test_a_folder_of_build(folder):
    status, out, err = assess(folder / "model")
    assert status == 0, err
    assert "Traceback" not in err
    assert out.startswith(("good", "usable with care"))


def test_json_has_rows_where_the_report_has_tables(folder):
    words = [folder / "wrong.h5ad", "--batch-key", "batch", "--labels-key", "cell_type"]
    _, out, _ = assess(*words, "--json")
    said = json.loads(out)["assessment"]
    report = sp.tl.assess_reference(read_h5ad(folder / "wrong.h5ad"), batch_key="batch", labels_key="cell_type")
    for name in ("studies", "labels", "disagreements", "confusable"):
        table = getattr(report, name)
        assert said[name] == table.astype(object).where(table.notna(), None).to_dict("records")
    assert said["studies"]
    assert said["findings"][0]["severity"] == "error"


def test_cells_and_a_query_and_a_page(folder, tmp_path):
    words = [folder / "ref.h5ad", "--model", folder / "model", "--query", folder / "query.h5ad"]
    status, out, err = assess(*words, "--out", tmp_path / "report.html")
    assert status == 0, err
    assert "genes covered: 20" in out
    assert "only 20 of the reference's 40 genes" in " ".join(out.split())
    assert "genes covered" in (tmp_path / "report.html").read_text()


def test_labels_that_were_swapped(folder, tmp_path):
    status, out, err = assess(
        folder / "wrong.h5ad", "--batch-key", "batch", "--labels-key", "cell_type", "--out", tmp_path / "report.html"
    )
    assert status == 2
    assert "the other way round" in " ".join(out.split())
    assert "not ready" in " ".join(err.split())
    assert "the other way round" in (tmp_path / "report.html").read_text()


def test_what_makes_no_sense(folder, tmp_path):
    assert assess(folder / "wrong.h5ad")[0] == 2
    assert "not found" in assess(folder / "model", "--labels-key", "nothing")[2]
    assert ".html" in assess(folder / "model", "--out", tmp_path / "report.txt")[2]
    assert "X_scarches" in assess(folder / "ref.h5ad", "--batch-key", "batch", "--labels-key", "cell_type")[2]

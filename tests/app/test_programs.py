"""The guide's programs, in curl, Python and R, against a server that runs. Run with ``make test-app``."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import pandas as pd
import pytest
from scipy.io import mmwrite
from scipy.sparse import csr_matrix

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide" / "app.md").read_text()
pytestmark = pytest.mark.app


def block(language, containing):
    (found,) = [one for one in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if containing in one]
    return found


@pytest.fixture
def at_hand(query_file, tmp_path, monkeypatch):
    """A folder with query.h5ad, which is the working folder."""
    shutil.copy(query_file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(address, at_hand):
    base, token = address.split("/?token=")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block("bash", "curl")],
        env={**os.environ, "ADDRESS": base, "TOKEN": token}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"status": "done"' in done.stdout
    table = pd.read_csv("cells.csv", index_col=0)
    cells = anndata.read_h5ad("result.h5ad")
    assert list(table["cell_type_pred"]) == list(cells.obs["cell_type_pred"])
    assert len(table) == 264


def test_python(address, at_hand):
    code = f"address = {address!r}\n{block('python', 'client')}\nlabels.to_csv('labels.csv')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = pd.read_csv("labels.csv")["cell_type_pred"].value_counts().to_dict()
    assert str(found) in done.stdout


def has_r():
    if shutil.which("Rscript") is None:
        return False
    code = 'quit(status = !all(c("httr2", "Matrix") %in% rownames(installed.packages())))'
    return subprocess.run(["Rscript", "-e", code], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not has_r(), reason="needs R: apt-get install r-base-core r-cran-httr2 r-cran-matrix")
def test_r(address, at_hand, pbmc_query):
    mmwrite("counts.mtx", csr_matrix(pbmc_query.X).T)
    Path("cells.txt").write_text("\n".join(pbmc_query.obs_names))
    Path("genes.txt").write_text("\n".join(pbmc_query.var_names))
    code = f"""
        source("{ROOT / "docs" / "_static" / "map_cells.R"}")
        counts <- as(readMM("counts.mtx"), "CsparseMatrix")
        dimnames(counts) <- list(readLines("genes.txt"), readLines("cells.txt"))
        labels <- map_cells(counts, "{address}", "pbmc68k-scanvi", max_epochs = 20)
        stopifnot(identical(rownames(labels), colnames(counts)))
        write.csv(labels, "labels.csv")
        told <- tryCatch(map_cells(counts[1:100, ], "{address}", "pbmc68k-scanvi"), error = conditionMessage)
        writeLines(as.character(told), "told.txt")
    """
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    labels = pd.read_csv("labels.csv", index_col=0)
    assert list(labels.index) == list(pbmc_query.obs_names)
    right = labels["cell_type_pred"].astype(str) == pbmc_query.obs["cell_type"].astype(str).to_numpy()
    assert right.mean() > 0.6  # what the reference's card says of these lanes is 0.77
    assert "genes" in Path("told.txt").read_text()

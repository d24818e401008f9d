"""Commands that need no model load neither scvi-tools nor what comes with it."""

import subprocess
import sys

import pytest

import scarches_plus as sp
from scarches_plus.datasets import pbmc68k

CODE = """
import sys
from scarches_plus.cli import main

sys.argv[0] = "scarches-plus"
try:
    main()
except SystemExit as stop:
    assert stop.code in {0, None}, stop.code
loaded = {"scvi", "lightning", "jax"} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reference and a query of PBMC, both in the latent space of a model."""
    folder = tmp_path_factory.mktemp("cells")
    cells = pbmc68k()
    cells = cells[cells.obs["batch"].isin([f"lane{lane}" for lane in range(1, 6)])].copy()
    sp.tl.embed(cells, "pbmc68k-scanvi")
    of_query = cells.obs["batch"].isin(["lane4", "lane5"]).to_numpy()
    cells[~of_query].copy().write_h5ad(folder / "reference.h5ad")
    cells[of_query].copy().write_h5ad(folder / "query.h5ad")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "annotate query.h5ad --reference pbmc68k-scanvi --by expression --out annotated.h5ad",
        "novel query.h5ad --reference pbmc68k-scanvi --out novel.h5ad",
        "novel query.h5ad --reference reference.h5ad --labels-key cell_type --batch-key batch --out novel_too.h5ad",
        "transfer query.h5ad --reference reference.h5ad --labels-key cell_type --out labelled.h5ad",
        "check query.h5ad",
        "genes query.h5ad --to ensembl --out renamed.h5ad",
        "hub list --offline",
    ],
    ids=lambda command: " ".join(command.split()[:2]),
)
def test_no_model_no_library_of_models(folder, command):
    code = [sys.executable, "-W", "ignore", "-c", CODE, *command.split()]
    done = subprocess.run(code, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "scarches_plus", "markers"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "markers needs" in done.stderr
    assert "scarches-plus markers --help" in done.stderr

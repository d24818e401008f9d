"""What a newcomer types: the code blocks of the first pages, run as they stand, in their order."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import anndata
import pandas as pd
import pytest

import scarches_plus as sp

START = Path(__file__).parent.parent.parent / "docs" / "start"
_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PROGRAM = "import matplotlib; matplotlib.use('agg')\n"


def replay(page, folder):
    """Type all blocks of a page; return what each printed, and the seconds of a processor they took."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    python, printed, begun = _PROGRAM, {}, _processor_seconds()
    for language, code in _BLOCK.findall((START / page).read_text()):
        python += code if language == "python" else ""
        command = ["bash", "-ec", code] if language == "bash" else [sys.executable, "-W", "ignore", "-c", python]
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=900, check=False, env=environment
        )
        assert ended.returncode == 0, f"{code}\n{ended.stdout}\n{ended.stderr}"
        printed[code] = ended.stdout
    return printed, _processor_seconds() - begun


def _processor_seconds():
    """Seconds of processors that ended processes took, which other work on the machine does not change."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_annotate_your_data_in_five_minutes(tmp_path):
    cells = sp.datasets.pbmc68k()
    cells[cells.obs["batch"].isin(["lane1", "lane2"])].copy().write_h5ad(tmp_path / "reference.h5ad")
    printed, seconds = replay("annotate.md", tmp_path)
    assert any("CD14+ Monocyte" in text for text in printed.values())
    mine = anndata.read_h5ad(tmp_path / "labelled_mine.h5ad").obs["cell_type_pred"].astype(str)
    assert (mine == cells.obs.loc[mine.index, "cell_type"].astype(str)).mean() > 0.6  # of Ensembl ids, ten types
    assert (tmp_path / "report" / "report.html").is_file()
    assert seconds < 600


@pytest.mark.slow
def test_map_onto_a_folder_and_name_what_it_lacks(tmp_path):
    _, seconds = replay("unknown.md", tmp_path)
    markers = pd.read_csv(tmp_path / "markers.csv")
    first = markers[markers.iloc[:, 0] == "novel 1"].iloc[:10].to_string()
    assert any(gene in first for gene in ("CD79A", "MS4A1", "CD79B"))
    named = anndata.read_h5ad(tmp_path / "named.h5ad")
    truth = sp.datasets.pbmc68k().obs.loc[named.obs_names, "cell_type"]
    is_b = (truth == "CD19+ B").to_numpy()
    called = (named.obs["novel_named"] == "B cell").to_numpy()
    assert called[is_b].mean() > 0.6
    assert called[~is_b].mean() < 0.05
    later = anndata.read_h5ad(tmp_path / "labelled_next.h5ad")
    is_b = (sp.datasets.pbmc68k().obs.loc[later.obs_names, "cell_type"] == "CD19+ B").to_numpy()
    taught = (later.obs[next(one for one in later.obs if one.endswith("_pred"))] == "B cell").to_numpy()
    assert taught[is_b].mean() > 0.5
    assert taught[~is_b].mean() < 0.1
    theirs = anndata.read_h5ad(tmp_path / "labelled_scvi.h5ad").obs["cell_type_pred"]
    truth = sp.datasets.pbmc68k().obs.loc[theirs.index, "cell_type"].astype(str)
    assert (theirs.astype(str) == truth).mean() > 0.5
    assert seconds < 600

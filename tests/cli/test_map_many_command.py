"""The page about many queries: its module for Snakemake does what the command annotate does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import pytest
from small_models import SCVI, cells, split
from small_models import reference as small_reference

import scarches_plus as sp

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "many.md"


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="needs Snakemake on the PATH")
def test_the_module_for_snakemake(tmp_path):
    (module,) = re.findall(r"```text\n(NAMES.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in module.splitlines() if line]) <= 10
    ref, query = split(cells(), "batch2")
    sp.hub.save_bundle(small_reference(SCVI, ref), tmp_path / "bundle", labels_key="cell_type")
    (tmp_path / "queries").mkdir()
    query.write_h5ad(tmp_path / "queries" / "one.h5ad")
    (tmp_path / "Snakefile").write_text(module)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    words = ["snakemake", "--cores", "1", "--config", f"reference={tmp_path / 'bundle'}"]
    subprocess.run(words, cwd=tmp_path, env={**os.environ, "PATH": path}, check=True, capture_output=True)
    mapped = anndata.read_h5ad(tmp_path / "mapped" / "one.h5ad")
    assert {"X_scarches", "cell_type_pred"} <= {*mapped.obsm, *mapped.obs}

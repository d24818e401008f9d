"""What a newcomer types: the code blocks of the first pages, run as they stand, in their order."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

START = Path(__file__).parent.parent.parent / "docs" / "start"
_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PROGRAM = "import matplotlib; matplotlib.use('agg')\n"


def blocks(page):
    return _BLOCK.findall((START / page).read_text())


def run(command, folder):
    bin_folder = str(Path(sys.executable).parent)
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False, env={**_environment(bin_folder)}
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def _environment(bin_folder):
    import os

    return {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONWARNINGS": "default"}


@pytest.mark.slow
def test_annotate_your_data_in_five_minutes(tmp_path):
    python, printed = _PROGRAM, ""
    for language, code in blocks("annotate.md"):
        if language == "bash" and "reference.h5ad" not in code:
            printed = run(["bash", "-ec", code], tmp_path)
        elif language == "python":
            python += code
            printed = run([sys.executable, "-c", python], tmp_path)
    assert "CD14+ Monocyte" in printed
    assert (tmp_path / "report" / "report.html").is_file()

"""The tutorials as they are stored: run once from top to bottom, quiet, with pictures, and found from the gallery."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
WIDEST_CODE = 75
WIDEST_PICTURE = 1400
MOST_KB = 450


def cells_of(notebook, kind):
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == kind]


def outputs_of(notebook):
    return [output for cell in cells_of(notebook, "code") for output in cell["outputs"]]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_was_run_from_top_to_bottom(notebook):
    counts = [cell["execution_count"] for cell in cells_of(notebook, "code")]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output["output_type"] for output in outputs_of(notebook)}
    assert kinds <= {"display_data", "execute_result", "stream"}
    assert json.loads(notebook.read_text())["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_is_quiet(notebook):
    """One switch silences everything; what is printed names no place of the machine it ran on."""
    first = "".join(cells_of(notebook, "code")[0]["source"])
    assert "sp.settings.verbosity" in first
    assert "filterwarnings" not in first
    for output in outputs_of(notebook):
        assert output.get("name") != "stderr", output["text"]
        shown = json.dumps({kind: text for kind, text in output.get("data", {}).items() if "image" not in kind})
        text = shown + "".join(output.get("text", []))
        assert not re.search(r"/tmp/|/home/|/work/|/root/|site-packages", text), text[:300]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_fits_its_page(notebook):
    wide = [
        line.rstrip("\n")
        for cell in cells_of(notebook, "code")
        for line in cell["source"]
        if len(line.rstrip("\n")) > WIDEST_CODE
    ]
    assert not wide
    assert any("image/png" in output.get("data", {}) for output in outputs_of(notebook))
    widths = [
        output["metadata"].get("image/png", {}).get("width", 0) for output in outputs_of(notebook) if "data" in output
    ]
    assert max(widths, default=0) <= WIDEST_PICTURE
    assert notebook.stat().st_size < MOST_KB * 1000


def test_the_gallery_has_every_tutorial():
    page = (ROOT / "docs" / "tutorials.md").read_text()
    links = re.findall(r"^:link: tutorials/(\w+)$", page, re.MULTILINE)
    assert sorted(links) == [path.stem for path in NOTEBOOKS]
    assert sorted(re.findall(r"^tutorials/(\w+)$", page, re.MULTILINE)) == sorted(links)
    for link in links:
        title = "".join(cells_of(ROOT / "tutorials" / f"{link}.ipynb", "markdown")[0]["source"]).partition("\n")[0]
        assert title.startswith("# ")

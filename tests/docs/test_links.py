"""Links inside the project lead somewhere: files, headings, pages, names of the API, scripts that a command runs."""

import json
import os
import re
from functools import cache
from operator import attrgetter
from pathlib import Path

import pytest

import scarches_plus as sp

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
#: Written when the documentation is built.
GENERATED = {DOCS / "module_map.md", DOCS / "recipes.md"}
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))
PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "experiments" / "README.md",
    *sorted(
        page
        for page in DOCS.rglob("*.md")
        if page not in GENERATED and not {"_build", "generated", "tutorials"} & set(page.relative_to(DOCS).parts)
    ),
    *NOTEBOOKS,
]
_BLOCK = re.compile(r"^(`{3,})\w+\n.*?^\1$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^)\s>]*)>?\)")
_DOC = re.compile(
    r"\{(?:doc|download)\}`(?:[^`<]*<)?([^`>]+)>?`|^:link: (\S+)$|^`{3,}\{(?:image|include)\} (\S+)$", re.MULTILINE
)
_NAME = re.compile(r"\{(?:func|class|meth|attr|mod)\}`~?scarches_plus\.([\w.]+)`")
_FILE = re.compile(r"(?<![\w./])(?:benchmarks|deploy|docs|experiments|references|tests|tutorials)/[\w./-]*[\w/](?!\w)")


def name(page):
    return str(page.relative_to(ROOT))


@cache
def text_of(page):
    """Return the prose of a page; of a notebook that of its cells."""
    if page.suffix != ".ipynb":
        return page.read_text()
    cells = json.loads(page.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def prose_of(page):
    return _BLOCK.sub("", text_of(page))


@cache
def anchors_of(page):
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    found = []
    for heading in re.findall(r"^#{1,6} +(.*?)\s*$", prose_of(page), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return {*found, *re.findall(r"^\(([\w-]+)\)=$", text_of(page), re.MULTILINE)}


def home_of(page):
    """Return the folder from which links of a page are read: notebooks are copied below docs/."""
    return DOCS / "tutorials" if page in NOTEBOOKS else page.parent


def file_at(page, target):
    """Return the file that a link names, with or without the ending of a page; nothing if there is none."""
    start = DOCS if target.startswith("/") else home_of(page)
    path = Path(os.path.normpath(start / target.lstrip("/")))
    if path.is_relative_to(DOCS / "tutorials"):
        path = ROOT / path.relative_to(DOCS)
    for file in (path, *(path.with_name(path.name + ending) for ending in (".md", ".ipynb"))):
        if file.exists() or file in GENERATED:
            return file
    return None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page):
    prose = prose_of(page)
    targets = [target for target in _LINK.findall(prose) if not re.match(r"[a-z]+:", target)]
    targets += ["".join(found) for found in _DOC.findall(text_of(page))]
    for target in filter(lambda one: not re.match(r"https?:", one), targets):
        path, _, anchor = target.partition("#")
        file = file_at(page, path) if path else page
        assert file is not None, f"no file: {target}"
        assert not anchor or anchor in anchors_of(file), f"no heading: {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names_of_the_api_are_there(page):
    for dotted in _NAME.findall(text_of(page)):
        assert attrgetter(dotted)(sp) is not None


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name)
def test_files_that_are_named_are_there(page):
    """Commands run scripts of this repository. What these, and the documentation, write is not there yet."""
    named = {
        file for file in _FILE.findall(text_of(page)) if not file.startswith(("benchmarks/results/", "docs/_build"))
    }
    files = {file for file in named if Path(file).suffix != ".png"}
    assert [file for file in sorted(files) if not (ROOT / file).exists() and file_at(page, file) is None] == []


def test_pages_that_the_source_names_are_there():
    for file in sorted((ROOT / "src").rglob("*.py")):
        for page in re.findall(r":doc:`(?:[^`<]*<)?/([\w/]+)>?`|docs/([\w/]+)\.md", file.read_text()):
            assert (DOCS / f"{''.join(page)}.md").exists(), (file, page)


def test_anchors_are_those_of_github_and_of_the_site():
    assert {"columns-of-runscsv", "bring-your-cells"} <= {
        *anchors_of(DOCS / "guide" / "benchmarks.md"),
        *anchors_of(DOCS / "start" / "annotate.md"),
    }

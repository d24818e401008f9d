"""Documentation: sphinx-book-theme, MyST pages, one generated page per public name. Builds offline, with -W."""

import ast
import base64
import inspect
import json
import logging
import os
import re
import shutil
from importlib.metadata import version as installed_version
from io import BytesIO
from pathlib import Path

import yaml
from PIL import Image, ImageOps
from sphinx.application import Sphinx

from scarches_plus.model import RECIPES

HERE = Path(__file__).parent
#: Pixels of a picture in the gallery.
GALLERY = (480, 300)

# Notebooks live in tutorials/, where people look for them; Sphinx reads only below docs/.
shutil.rmtree(HERE / "tutorials", ignore_errors=True)
shutil.copytree(
    HERE.parent / "tutorials",
    HERE / "tutorials",
    ignore=shutil.ignore_patterns(".*", "*.py", "*.h5ad"),
)

# The gallery shows the first picture of each notebook, its left part if it is wide.
for notebook in (HERE / "tutorials").glob("*.ipynb"):
    outputs = [one for cell in json.loads(notebook.read_text())["cells"] for one in cell.get("outputs", [])]
    png = next(one["data"]["image/png"] for one in outputs if "image/png" in one.get("data", {}))
    picture = Image.open(BytesIO(base64.b64decode(png))).convert("RGB")
    width = min(picture.width, round(picture.height * GALLERY[0] / GALLERY[1]))
    ImageOps.pad(picture.crop((0, 0, width, picture.height)), GALLERY, color="white").save(notebook.with_suffix(".png"))

# The module map is made of the first line of each module.
PACKAGE = HERE.parent / "src" / "scarches_plus"
MAP = ["# Module map"]
for folder in sorted({file.parent for file in PACKAGE.rglob("*.py")}):
    lines = {
        file.name: (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]
        for file in sorted(folder.glob("*.py"))
    }
    MAP += [f"## `{folder.relative_to(PACKAGE.parent).as_posix()}`", lines.pop("__init__.py", "")]
    if lines:
        MAP += [
            "| file | what it does |\n|---|---|\n" + "\n".join(f"| `{name}` | {line} |" for name, line in lines.items())
        ]
(HERE / "module_map.md").write_text("\n\n".join(MAP) + "\n")

# The recipes and where they depart from their papers, which guide/references.md includes.
LINES = [
    line
    for name, recipe in RECIPES.items()
    for line in (f'- **`"{name}"`**: {recipe.source}. It departs in:', *(f"  - {one}" for one in recipe.departures))
]
(HERE / "recipes.md").write_text("\n".join(LINES) + "\n")

# The papers to cite, which CITATION.cff has; pages cite them by the first word of the note: {cite:p}`scarches`.
ENTRIES = []
for paper in yaml.safe_load((HERE.parent / "CITATION.cff").read_text())["references"]:
    names = [one.get("name") or f"{one['family-names']}, {one['given-names']}" for one in paper["authors"]]
    fields = {
        "author": " and ".join(names),
        "title": f"{{{paper['title']}}}",
        "year": paper["year"],
        "journal": paper.get("journal") or paper["collection-title"],
        "volume": paper.get("volume"),
        "pages": "--".join(str(paper[end]) for end in ("start", "end") if end in paper),
        "doi": paper.get("doi"),
        "url": paper.get("url") or paper.get("repository-code"),
    }
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    key = re.split(r"\W", paper["notes"].replace("-", ""))[0].lower()
    ENTRIES.append(f"@article{{{key},\n" + ",\n".join(lines) + "\n}\n")
(HERE / "references.bib").write_text("\n".join(ENTRIES))

# What programs that read documentation ask for (llmstxt.org): every page by name, with its first sentence.
SITE = "https://scarches-plus.readthedocs.io/en/latest"
PAGES = ["# scarches_plus", "> Reference mapping of single-cell data on scvi-tools.", ""]
FOLDERS = [HERE / name for name in (".", "start", "guide", "evidence", "api")]
for page in sorted(page for folder in FOLDERS for page in folder.glob("*.md") if page.name != "recipes.md"):
    text = page.read_text()
    if included := re.match(r"```\{include\} (\S+)", text):
        text = (page.parent / included[1]).read_text()
    title, _, text = re.sub(r"^(`{3,}|:{3,}).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE).partition("\n")
    prose = [part for part in text.split("\n\n") if re.match(r"[A-Z{*`]", part.strip())]
    said = " ".join(re.sub(r"[*`]", "", prose[0] if prose else "").split()).partition(". ")[0].rstrip(".")
    where = page.relative_to(HERE).with_suffix(".html")
    PAGES.append(f"- [{title.lstrip('# ')}]({SITE}/{where}): {said}")
(HERE / "_extra").mkdir(exist_ok=True)
(HERE / "_extra" / "llms.txt").write_text("\n".join(PAGES) + "\n")

# Pages that have moved: their old addresses lead to the new ones.
MOVED = {"guide/benchmark_results": "evidence/benchmark_results", "guide/speed": "evidence/speed"}
for old, new in MOVED.items():
    (HERE / "_extra" / old).parent.mkdir(exist_ok=True)
    (HERE / "_extra" / old).with_suffix(".html").write_text(
        f'<!doctype html><title>Moved</title><a href="../{new}.html">This page has moved.</a>\n'
        f'<script>location.replace("../{new}.html" + location.hash)</script>\n'
    )

project = "scarches_plus"
author = "scarches_plus developers"
copyright = "2026, scarches_plus developers"
version = release = installed_version("scarches-plus")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "_extra", "_static", "recipes.md"]
bibtex_bibfiles = ["references.bib"]

# Links to the documentation of others need the network: only where the site is built.
if os.environ.get("READTHEDOCS") or os.environ.get("DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
        "scvi": ("https://docs.scvi-tools.org/en/stable/", None),
        "torch": ("https://pytorch.org/docs/stable/", None),
    }
# What the docstrings name of this package has to be there. Types of signatures, and names of others, are not checked.
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj)", ".*"), ("py:.*", r"(anndata|functools|pandas|scanpy|scvi|torch)\..*")]
linkcheck_ignore = [r"http://127\.0\.0\.1", r"https?://([\w-]+\.)*example\.(com|org)"]
templates_path = ["_templates"]

# Notebooks are stored with their outputs.
nb_execution_mode = "off"
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints = "description"  # types beside the parameters, which the docstrings describe without them
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
napoleon_google_docstring = False

html_static_path = ["_static"]
html_extra_path = ["_extra"]
html_css_files = ["narrow.css"]
html_theme = "sphinx_book_theme"
html_title = "scarches_plus"
html_theme_options = {
    "repository_url": "https://github.com/scarches-plus/scarches_plus",
    "repository_branch": "main",
    "use_repository_button": True,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},  # beside the title of notebooks
    "path_to_docs": "docs",
}

# guide/ and tutorials/ may be empty. Sphinx gives the warning about it a subtype but no type, which suppress_warnings
# cannot name.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: getattr(record, "subtype", None) != "empty_glob"
)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("autodoc-process-docstring", show_picture)


def show_picture(_app: Sphinx, _what: str, name: str, _member: object, _options: object, lines: list[str]) -> None:
    """Show what a figure looks like below its first lines (docs/api_pictures.py draws them)."""
    module, _, function = name.rpartition(".")
    if module == "scarches_plus.pl" and (HERE / "_static" / "pl" / f"{function}.png").is_file():
        place = next((number for number, line in enumerate(lines) if line.startswith(":")), len(lines))
        lines[place:place] = [f".. image:: /_static/pl/{function}.png", f"   :alt: Picture of {function}", ""]


def skip_foreign(_app: Sphinx, _what: str, _name: str, member: object, *_: object) -> bool | None:
    """Leave out what classes inherit from scvi-tools, torch or Python; it is documented there."""
    function = getattr(member, "fget", member)
    module = getattr(function, "__module__", None) or ""
    foreign = inspect.isroutine(function) and not module.startswith("scarches_plus")
    return True if foreign else None

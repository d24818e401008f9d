"""Documentation: sphinx-book-theme, MyST pages, one generated page per public name. Builds offline, with -W."""

import ast
import inspect
import logging
import shutil
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

from scarches_plus.model import RECIPES

HERE = Path(__file__).parent

# Notebooks live in tutorials/, where people look for them; Sphinx reads only below docs/.
shutil.rmtree(HERE / "tutorials", ignore_errors=True)
shutil.copytree(
    HERE.parent / "tutorials",
    HERE / "tutorials",
    ignore=shutil.ignore_patterns(".*", "*.py", "*.h5ad"),
)

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
]
exclude_patterns = ["_build", "_static", "recipes.md"]
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
html_css_files = ["tables.css"]
html_theme = "sphinx_book_theme"
html_title = "scarches_plus"
html_theme_options = {
    "repository_url": "https://github.com/scarches-plus/scarches_plus",
    "use_repository_button": True,
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


def skip_foreign(_app: Sphinx, _what: str, _name: str, member: object, *_: object) -> bool | None:
    """Leave out what classes inherit from scvi-tools, torch or Python; it is documented there."""
    function = getattr(member, "fget", member)
    module = getattr(function, "__module__", None) or ""
    foreign = inspect.isroutine(function) and not module.startswith("scarches_plus")
    return True if foreign else None

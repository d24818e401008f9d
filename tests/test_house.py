"""How the house is kept: where files lie, who imports whom, and figures that may only fall."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "src" / "scarches_plus"
#: Test files, and what they share, that import private modules of the package. The number may only fall: test through
#: public names, and put what patches the package into a fixture of conftest.py.
PRIVATE = 35
#: Imports of private modules across packages. The list may only shrink: let the package offer the name in its
#: ``__init__``, or move it to where it belongs.
ACROSS: frozenset[tuple[str, str]] = frozenset()
#: Names that packages offer to each other beside their public ones. The number may only fall.
OFFERED = 54
#: Imports inside functions; only of torch, scvi-tools, matplotlib and the like, and of packages that load these.
INSIDE = 75
#: What takes long to import: these libraries, what comes with them, and packages of ours that import them.
SLOW = {
    "torch", "scvi", "lightning", "matplotlib", "jax", "scanpy", "sklearn", "scib_metrics", "pynndescent",
    "huggingface_hub", "pooch", "umap",
}  # fmt: skip
SLOW_OURS = {"model", "module", "train", "_load", "bundle", "hub"}
#: Files in a folder, and in a folder of helpers, ``__init__`` aside.
MOST_FILES = 21
MOST_HELPERS = 12

_DOTTED = re.compile(r"scarches_plus(\.\w+)+")
MODULES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = ("app", "cli", "datasets", "hub", "bundle", "metrics", "model", "module", "pl", "pp", "tl", "train")


def imported(file):
    """Dotted names that a file imports of the package, or patches by their name, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.fullmatch(node.value):
            names = [node.value]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (
            name for name in names if name.split(".")[0] == "scarches_plus" and not name.endswith(".__version__")
        )


def is_private(name):
    return any(part.startswith("_") for part in name.split("."))


def inside_functions(file):
    """Imports that a function makes."""
    tree, found = ast.parse(file.read_text()), set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= {node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)}
    return found


def place(file):
    return str(file.relative_to(PACKAGE))


def first_line(file):
    return (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]


def test_few_test_files_import_private_modules():
    """Who rearranges a private room has few tests to change."""
    found = [
        str(file.relative_to(TESTS)) for file in sorted(TESTS.rglob("*.py")) if any(map(is_private, imported(file)))
    ]
    assert len(found) <= PRIVATE, "\n".join(["files that import private modules:", *found])


def test_private_modules_are_imported_by_their_own_package():
    across = set()
    for file in MODULES:
        own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scarches_plus."):
                _, package, *rest = node.module.split(".")
                if package != own and any(part.startswith("_") for part in rest):
                    across.add((place(file), node.module))
    assert across == ACROSS


def test_packages_offer_few_names_beside_their_public_ones():
    offered = [
        f"{package}.{alias.name}"
        for package in PACKAGES
        for node in ast.parse((PACKAGE / package / "__init__.py").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    ]
    assert len(offered) <= OFFERED, offered


def test_imports_inside_functions_are_of_what_takes_long():
    found = [(file, node) for file in MODULES for node in inside_functions(file)]
    assert len(found) <= INSIDE
    for file, node in found:
        parts = (node.names[0].name if isinstance(node, ast.Import) else node.module or "").split(".")
        relative = isinstance(node, ast.ImportFrom) and node.level
        ours = parts[0] == "scarches_plus" and (parts[1:] or [node.names[0].name])[0] in SLOW_OURS
        own_room = relative and file.relative_to(PACKAGE).parts[0].removesuffix(".py") in SLOW_OURS | {"__init__"}
        assert parts[0] in SLOW or ours or own_room, f"{place(file)}:{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "cli"])
def test_a_folder_shows_its_public_names_and_nothing_else(package):
    """``tl/_embed.py`` is public, and helpers lie in folders that say what they are for."""
    tree = ast.parse((PACKAGE / package / "__init__.py").read_text())
    (public,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    homes = {
        node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level and {alias.name for alias in node.names} & set(public)
    }
    assert {file.stem for file in (PACKAGE / package).glob("_[a-z]*.py")} <= homes


def test_no_folder_is_crowded():
    for folder in {file.parent for file in MODULES}:
        helpers = folder.name.startswith("_")
        files = [file.name for file in folder.glob("*.py") if file.name != "__init__.py"]
        assert len(files) <= (MOST_HELPERS if helpers else MOST_FILES), f"{folder.name}: {len(files)} files"


@pytest.mark.parametrize("file", MODULES, ids=place)
def test_a_module_says_in_one_line_what_it_does(file):
    line = first_line(file)
    assert line.endswith("."), "a sentence"
    first = line.split()[0]
    assert first not in {"What", "How", "Which", "Whether", "Where", "A", "An", "The"}, "a verb and the field's noun"
    assert not first.endswith("s") or first.endswith("ss"), f"{first} is a noun: begin with a verb"
    assert len(line) <= 110

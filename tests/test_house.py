"""How the house is kept: figures that may only fall."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent
#: Test files, and what they share, that import private modules of the package. The number may only fall: test through public
#: names, and put what patches the package into a fixture of conftest.py.
PRIVATE = 34


def imported(file):
    """Dotted names that a file imports of the package, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
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


def test_few_test_files_import_private_modules():
    """Who rearranges a private room has few tests to change."""
    found = [
        str(file.relative_to(TESTS)) for file in sorted(TESTS.rglob("*.py")) if any(map(is_private, imported(file)))
    ]
    assert len(found) <= PRIVATE, "\n".join(["files that import private modules:", *found])

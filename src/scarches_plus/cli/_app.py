"""Define the command-line program, its commands, and checked types of their options."""

from __future__ import annotations

import ast
from collections.abc import Sequence  # noqa: TC003 (cyclopts reads annotations)
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter, Token

from scarches_plus import _limits

app = App(
    name="scarches-plus",
    help="Map single-cell data onto reference models: from files of cells to .h5ad files.",
    version=version("scarches-plus"),
    suppress_keyboard_interrupt=False,
)
HUB_HELP = "Find, fetch and check models that are shared as bundles."
#: Commands by file; a command's function is imported when it is called, or its help is shown.
_COMMANDS = {
    "_demo": {"demo": "demo"},
    "_building": {"store": "store", "build": "build"},
    "_mapping": {"map": "map_", "map-many": "map_many"},
    "_models": {"embed": "embed", "bundle": "bundle"},
    "_check": {"check": "check_"},
    "_genes": {"genes": "genes"},
    "_annotate": {"annotate": "annotate"},
    "_annotation": {"seeds": "seeds", "transfer": "transfer", "abundance": "abundance"},
    "_novelty": {"novel": "novel", "name": "name", "extend": "extend"},
    "_scoring": {"report": "report", "evaluate": "evaluate"},
    "_hub": {"hub": "hub"},
    "_page": {"app": "app_"},
}


def _help_of(file: str) -> dict[str, str]:
    """Return what the functions of a file say they do, read from its source so that nothing is imported."""
    tree = ast.parse((Path(__file__).parent / "_commands" / f"{file}.py").read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return {node.name: (ast.get_docstring(node) or "").partition("\nParameters\n")[0].strip() for node in functions}


for _file, _functions in _COMMANDS.items():
    _help = _help_of(_file)
    for _name, _function in _functions.items():
        app.command(f"scarches_plus.cli._commands.{_file}:{_function}", name=_name, help=_help.get(_function, HUB_HELP))


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    try:
        return int(tokens[0].value)
    except ValueError:
        message = f"{tokens[0].value!r} is not a whole number"
        raise ValueError(message) from None


def _between(least: float, most: float = float("inf"), *, ends: bool = True) -> Any:
    """Return a validator of numbers."""
    limits = f"at least {least:,}" if most == float("inf") else f"between {least:,} and {most:,}"

    def check(_: Any, value: float | None) -> None:
        if value is not None and not (least <= value <= most and (ends or value not in {least, most})):
            message = f"It must be {limits}."
            raise ValueError(message)

    return check


Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]
#: Words that are no label; an empty text alone lets all count.
Unlabelled = Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True)]
Count = Annotated[int, Parameter(converter=_whole, validator=_between(1))]
Jobs = Annotated[int | None, Parameter(converter=_whole, validator=_between(1))]
Epochs = Annotated[int | None, Parameter(converter=_whole, validator=_between(1, _limits.EPOCHS))]
Whole = Annotated[int, Parameter(converter=_whole, validator=_between(0, 2**32 - 1))]
Share = Annotated[float, Parameter(validator=_between(0, 1))]
Alpha = Annotated[float, Parameter(validator=_between(0.005, 0.3))]


def _recipe_names() -> tuple[str, ...]:
    """Return the names in ``scarches_plus.model.RECIPES``, read from its sources: its import takes seconds."""
    tables: dict[str, Any] = {}
    for file in sorted((Path(__file__).parent.parent / "model" / "_recipes").glob("_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                tables[ast.unparse(target)] = node.value
    papers = [tables[ast.unparse(paper)] for paper in tables["RECIPES"].values]
    return tuple(ast.literal_eval(name) for table in papers for name in table.keys)


if TYPE_CHECKING:
    Recipe = str
else:
    Recipe = Literal[_recipe_names()]


@Parameter(name="*")
@dataclass(frozen=True)
class Reading:
    """Options for reading the first file of cells.

    Parameters
    ----------
    transpose
        Take a table of counts the other way round (genes in rows or in columns) than its names say.
    modality
        Modality of an .h5mu file; by default that of the genes.
    columns
        Table (.csv, .tsv) with columns of the cells, such as batches and cell types; its first column names the cells.
    """

    transpose: bool = False
    modality: str | None = None
    columns: Path | None = None


AS_IT_IS = Reading()

"""Define the command-line program, its commands, and checked types of their options."""

from __future__ import annotations

import ast
from collections.abc import Sequence  # noqa: TC003 (cyclopts reads annotations)
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Group, Parameter, Token

from scarches_plus import _limits

from ._console import console

app = App(
    name="scarches-plus",
    help="Map single-cell data onto reference models: from files of cells to .h5ad files.",
    version=version("scarches-plus"),
    suppress_keyboard_interrupt=False,
)
HUB_HELP = "Find, fetch and check models that are shared as bundles."
#: Options that every command takes.
OF_ALL = Group("Every command", sort_key=9)
#: Task to its commands, and where their functions are; these are imported when they are called, or their help is shown.
_COMMANDS = {
    "Start": {"demo": "_demo:demo", "check": "_checking:check_", "genes": "_checking:genes", "app": "_page:app_"},
    "Map and annotate": {
        "annotate": "_annotate:annotate",
        "map": "_mapping:map_",
        "map-many": "_mapping:map_many",
        "embed": "_models:embed",
        "transfer": "_annotation:transfer",
    },
    "New types": {
        "novel": "_novelty:novel",
        "name": "_novelty:name",
        "extend": "_novelty:extend",
        "seeds": "_annotation:seeds",
    },
    "Compare": {
        "markers": "_expression:markers",
        "expression": "_expression:expression",
        "abundance": "_annotation:abundance",
    },
    "Judge": {
        "assess": "_scoring:assess",
        "report": "_scoring:report",
        "joint": "_scoring:joint",
        "evaluate": "_scoring:evaluate",
    },
    "Build and share": {
        "labels": "_checking:labels",
        "store": "_building:store",
        "build": "_building:build",
        "prototypes": "_building:prototypes",
        "bundle": "_models:bundle",
        "hub": "_hub:hub",
    },
}


def _help_of(file: str) -> dict[str, str]:
    """Return what the functions of a file say they do, read from its source so that nothing is imported."""
    tree = ast.parse((Path(__file__).parent / "_commands" / f"{file}.py").read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return {node.name: (ast.get_docstring(node) or "").partition("\nParameters\n")[0].strip() for node in functions}


def _add_commands() -> None:
    for place, (task, commands) in enumerate(_COMMANDS.items()):
        group = Group(task, sort_key=place)
        for name, home in commands.items():
            file, _, function = home.partition(":")
            text = _help_of(file).get(function, HUB_HELP)
            app.command(f"scarches_plus.cli._commands.{home}", name=name, help=text, group=group)


_add_commands()


@app.command(group=Group("Shell", sort_key=len(_COMMANDS)))
def completion(shell: Literal["bash", "zsh", "fish", "powershell"]) -> None:
    """Print a script by which a shell completes commands, options and their values.

    Save it where the shell looks for such scripts, for example for bash: scarches-plus completion bash >
    ~/.local/share/bash-completion/completions/scarches-plus

    Parameters
    ----------
    shell
        The shell.
    """
    script = app.generate_completion(shell=shell)
    console.result("script", script, script)


for _flag in ("--help", "--version"):
    app[_flag].group = (OF_ALL,)


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
Genes = Annotated[int | None, Parameter(converter=_whole, validator=_between(1))]
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

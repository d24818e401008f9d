"""Define the command-line program, its commands, and checked types of their options."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 (cyclopts reads annotations)
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path  # noqa: TC003
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter, Token

from scarches_plus import _limits

app = App(
    name="scarches-plus",
    help="Map single-cell data onto reference models: from files of cells to .h5ad files.",
    version=version("scarches-plus"),
    suppress_keyboard_interrupt=False,
)
#: Name of a command to its function, which is imported when the command is called, and its line of help.
_COMMANDS = {
    "demo": ("_mapping:demo", "Build a reference from some batches, map the others, label, score and draw them."),
    "build": ("_mapping:build", "Train a reference model and embed the reference."),
    "map": ("_mapping:map_", "Map query cells into the latent space of a reference model."),
    "embed": (
        "_models:embed",
        "Embed cells without training: of batches that the model knows, or of any if its encoder does not see batches.",
    ),
    "bundle": (
        "_models:bundle",
        "Write a model as a bundle: plain files to share, that the commands hub push and hub verify take.",
    ),
    "check": ("_check:check_", "Say what is wrong with cells and how to mend it, before anything is trained."),
    "genes": (
        "_genes:genes",
        "Rename genes: symbols and Ensembl ids, orthologs of human and mouse, or the names that a model has.",
    ),
    "seeds": ("_annotation:seeds", "Label the cells that markers single out, for training with recipe scanvi."),
    "transfer": ("_annotation:transfer", "Transfer labels from a reference to mapped cells."),
    "abundance": (
        "_annotation:abundance",
        "Compare which share of the cells each label has in two groups, with intervals.",
    ),
    "novel": ("_novelty:novel", "Find the cells of a query that no label of the reference explains."),
    "name": ("_novelty:name", "Name clusters of novel cells."),
    "extend": ("_novelty:extend", "Teach a scANVI model the labels of mapped cells that it does not know."),
    "report": ("_scoring:report", "Score and draw a mapped and labelled query."),
    "evaluate": (
        "_scoring:evaluate",
        "Score embeddings: mixing of batches, conservation of biology, types of one batch, mapping.",
    ),
    "hub": ("_hub:hub", "Find, fetch and check models that are shared as bundles."),
}
for _name, (_function, _help) in _COMMANDS.items():
    app.command(f"scarches_plus.cli._commands.{_function}", name=_name, help=_help)


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
Count = Annotated[int, Parameter(converter=_whole, validator=_between(1))]
Epochs = Annotated[int | None, Parameter(converter=_whole, validator=_between(1, _limits.EPOCHS))]
Whole = Annotated[int, Parameter(converter=_whole, validator=_between(0, 2**32 - 1))]
Share = Annotated[float, Parameter(validator=_between(0, 1))]
ShareBetween = Annotated[float, Parameter(validator=_between(0, 1, ends=False))]
#: Names in scarches_plus.model.RECIPES, whose import takes seconds.
Recipe = Literal["scvi", "scanvi", "scanvi_alternating", "cvae", "trvae", "trvae_mse", "trvae_sse", "bascvi"]


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

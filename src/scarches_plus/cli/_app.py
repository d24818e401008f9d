"""The program that commands belong to."""

from importlib.metadata import version
from typing import Annotated

from cyclopts import App, Parameter

app = App(
    name="scarches-plus",
    help="Map single-cell data onto reference models: from .h5ad files to .h5ad files.",
    version=version("scarches-plus"),
)
Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]

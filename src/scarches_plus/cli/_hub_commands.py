"""The commands of ``scarches-plus hub``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads annotations)

from cyclopts import App

from ._app import Words, app
from ._steps import console

hub = App(name="hub", help="Find, fetch and check models that are shared as bundles.")
app.command(hub)


@hub.command(name="list")
def list_(*, index: Words = (), offline: bool = False) -> None:
    """Show the models that all indexes list.

    Parameters
    ----------
    index
        Further indexes: addresses, files or folders.
    offline
        Fetch nothing.
    """
    from scarches_plus.hub import list_models

    table = list_models(index=index, offline=offline)
    shown = table[["name", "version", "species", "tissue", "recipe", "cells", "genes", "license", "doi", "bytes"]]
    print(shown.to_string(index=False))  # noqa: T201


@hub.command
def info(name: str, *, index: Words = (), offline: bool = False) -> None:
    """Show what a model says about itself, as JSON.

    Parameters
    ----------
    name
        name@version, or the folder of a bundle.
    index
        Further indexes.
    offline
        Fetch nothing.
    """
    from scarches_plus import hub as models

    print(models.info(name, index=index, offline=offline).model_dump_json(indent=1))  # noqa: T201


@hub.command
def pull(name: str, *, index: Words = (), allow_latest: bool = False, offline: bool = False) -> None:
    """Fetch a model, and say where it lies.

    Parameters
    ----------
    name
        name@version.
    index
        Further indexes.
    allow_latest
        Take the newest version if none is named.
    offline
        Fetch nothing.
    """
    from scarches_plus import hub as models

    print(models.pull(name, index=index, allow_latest=allow_latest, offline=offline))  # noqa: T201


@hub.command
def verify(bundle: Path) -> None:
    """Check every file of a bundle, and that its model can be built.

    Parameters
    ----------
    bundle
        Folder.
    """
    from scarches_plus.hub import verify_bundle

    manifest = verify_bundle(bundle)
    console.print(f"{bundle} is whole: {manifest.model.class_name}, {len(manifest.cells.var_names)} genes")


@hub.command
def card(bundle: Path) -> None:
    """Show the card of a bundle.

    Parameters
    ----------
    bundle
        Folder.
    """
    from scarches_plus.hub import info as info_of
    from scarches_plus.hub._card import card_text

    print(card_text(info_of(bundle).model_dump()))  # noqa: T201

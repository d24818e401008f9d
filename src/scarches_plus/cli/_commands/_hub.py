"""Define the commands of ``scarches-plus hub``: list, info, pull, push, verify, card."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (cyclopts reads annotations)
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from scarches_plus import hub as models
from scarches_plus._text import for_json, for_message
from scarches_plus.bundle import card_text
from scarches_plus.cli._app import HUB_HELP, Words
from scarches_plus.cli._console import console
from scarches_plus.hub import info as info_of
from scarches_plus.hub import list_models, verify_bundle

if TYPE_CHECKING:
    import pandas as pd

hub = App(name="hub", help=HUB_HELP)


@hub.command(name="list")
def list_(*, known: bool = False, index: Words = (), offline: bool = False) -> None:
    """Show the models that all indexes list.

    Parameters
    ----------
    known
        Show references that others published instead, and where they lie.
    index
        Further indexes: addresses, files or folders.
    offline
        Fetch nothing.
    """
    table = list_models(known=known, index=index, offline=offline)
    if known:
        columns = [
            "name",
            "species",
            "tissue",
            "model",
            "gene_ids",
            "cells",
            "genes",
            "license",
            "openable",
            "verified",
            "address",
        ]
        shown = _as_text(table[columns].assign(openable=table["openable"].map({True: "yes", False: "no"})))
        console.result(
            "models",
            table,
            f"{shown}\n\nTo open one: sp.load(ADDRESS), such as "
            "sp.load('hf://scvi-tools/human-lung-cell-atlas-scanvi'), or --model ADDRESS."
            "\nsp.hub.list_models(known=True) has titles, citations, notes, and the source of each fact.",
        )
        return
    columns = [
        "name",
        "version",
        "species",
        "tissue",
        "recipe",
        "cells",
        "genes",
        "n_labels",
        "license",
        "doi",
        "bytes",
    ]
    console.result("models", table, _as_text(table[columns].rename(columns={"n_labels": "labels"})))


def _as_text(table: pd.DataFrame) -> str:
    cells = table.astype(object).map(lambda value: for_message(value, 100) if isinstance(value, str) else value)
    return cells.to_string(index=False, na_rep="")


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
    manifest = models.info(name, index=index, offline=offline)
    console.result("manifest", manifest.model_dump(mode="json"), for_json(manifest.model_dump_json(indent=1)))


@hub.command
def pull(
    name: str, *, index: Words = (), allow_latest: bool = False, offline: bool = False, with_cells: bool = False
) -> None:
    """Fetch a model, and say where it lies.

    Parameters
    ----------
    name
        name@version; a DOI, the address of a record of Zenodo, or hf://owner/repository, which need no index.
    index
        Further indexes.
    allow_latest
        Take the newest version if none is named.
    offline
        Fetch nothing.
    with_cells
        Fetch the cells beside a model of a record or repository, too.
    """
    path = models.pull(name, index=index, allow_latest=allow_latest, offline=offline, with_cells=with_cells)
    console.result("path", str(path), path)


@hub.command
def push(
    bundle: Path,
    *,
    backend: Literal["zenodo", "huggingface"] = "zenodo",
    sandbox: bool = True,
    publish: bool = False,
    yes: bool = False,
    new_version_of: str | None = None,
    restricted: bool = False,
    creators: Words = (),
    allow_cells: bool = False,
) -> None:
    """Send a bundle to Zenodo or Hugging Face as a draft, and publish it if asked to.

    The token is read from ZENODO_SANDBOX_TOKEN, ZENODO_TOKEN or HF_TOKEN. A call that broke off is repeated, and goes
    on.

    Parameters
    ----------
    bundle
        Folder.
    backend
        Where to.
    sandbox
        Zenodo's sandbox; --no-sandbox for what stays.
    publish
        Publish it, after a question.
    yes
        Ask nothing.
    new_version_of
        Id or DOI of the record, or name of the repository, of which this is the next version.
    restricted
        Let the owner decide who sees the files.
    creators
        Who is cited: "Family, Given" for people, other names are groups.
    allow_cells
        Send data of single cells as well.
    """
    card = models.info(bundle).card
    if publish and not yes:
        console.require_text("asks before it publishes; add --yes")
        where = f"Zenodo's {'sandbox' if sandbox else 'archive'}" if backend == "zenodo" else "Hugging Face"
        name = f"{card.name}@{card.version}"
        console.print(f"{name} becomes public at {where}, for good. To confirm, type {name}: ", end="")
        try:
            answer = input()
        except EOFError:  # nobody is there
            answer = ""
        if answer.strip() != name:
            message = "not confirmed, and nothing was sent; --yes asks nothing"
            raise ValueError(message)
    sent = models.upload(
        bundle,
        backend=backend,
        sandbox=sandbox,
        publish=publish,
        new_version_of=new_version_of,
        restricted=restricted,
        creators=creators,
        allow_cells=allow_cells,
    )
    console.result("upload", sent, "\n".join(filter(None, [sent.state, sent.doi, sent.url])))


@hub.command
def verify(bundle: str) -> None:
    """Check every file of a bundle, and that its model can be built.

    Parameters
    ----------
    bundle
        Folder or archive of a bundle, or name@version.
    """
    manifest = verify_bundle(bundle)
    console.print(f"{bundle} is whole: {manifest.model.class_name}, {len(manifest.cells.var_names)} genes")


@hub.command
def card(bundle: str) -> None:
    """Show the card of a bundle.

    Parameters
    ----------
    bundle
        Folder or archive of a bundle, or name@version.
    """
    text = card_text(info_of(bundle).model_dump())
    console.result("card", text, text)

"""Write the bundles that commands make."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (cyclopts reads annotations)
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from scarches_plus import _keys, tl
from scarches_plus._logging import logger
from scarches_plus.cli._console import console
from scarches_plus.hub import save_bundle

from ._inputs import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

    from scarches_plus._reference_summary import ReferenceSummary
    from scarches_plus.model import SCANVI, SCVI


@Parameter(name="*")
@dataclass(frozen=True)
class About:
    """Describe the model in the card of its bundle.

    Parameters
    ----------
    card
        A JSON file of what people want to know, such as {"title": "...", "license": "CC-BY-4.0", "citation": "..."}.
    name
        Name of the model, for hub push.
    version
        Version of the model, for hub push.
    license
        SPDX identifier of the licence, such as CC-BY-4.0, for hub push.
    """

    card: Path | None = None
    name: str | None = None
    version: str | None = None
    license: str | None = None

    def read(self) -> dict[str, Any]:
        """Return the card: that of the file, with what was given beside it."""
        card = (
            {}
            if self.card is None
            else read_json(self.card, "the card", example='{"title": "...", "license": "CC-BY-4.0"}')
        )
        given = {"name": self.name, "version": self.version, "license": self.license}
        return card | {key: value for key, value in given.items() if value is not None}


NOTHING_SAID = About()


def summary_of(
    adata: AnnData, labels_key: str, batch_key: str, layer: str | None, unlabelled: tuple[str, ...] | None
) -> ReferenceSummary | bool:
    """Return the summary of a reference, and ``True`` (saying why) if its cells make none but that of the model."""
    embedded = _keys.EMBEDDING if _keys.EMBEDDING in adata.obsm else None
    try:
        return tl.reference_summary(adata, labels_key, batch_key, layer=layer, use_rep=embedded, unlabelled=unlabelled)
    except ValueError as error:
        console.print(f"the bundle gets no summary for the commands novel and annotate: {error}")
        return True


@contextmanager
def model_kept(model: SCVI | SCANVI, out: Path, *, saved: Path | None) -> Iterator[None]:
    """Keep a trained model beside the bundle that could not be made of it, if it is not saved yet.

    Parameters
    ----------
    model
        Trained model.
    out
        Folder of the bundle.
    saved
        Where the model is saved already.
    """
    try:
        yield
    except BaseException:
        if saved is None:
            kept = out.with_name(f"{out.name}-{secrets.token_hex(4)}")
            model.save(kept)
            logger.info("the trained model is kept as %s: make a bundle of it with scarches-plus bundle %s", kept, kept)
        raise


def write_bundle(model: SCVI | SCANVI, out: Path, **options: Any) -> None:
    """Write a bundle, and say so.

    Parameters
    ----------
    model
        Trained model.
    out
        Folder of the bundle.
    **options
        Options of :func:`scarches_plus.hub.save_bundle`.
    """
    save_bundle(model, out, **options)
    console.wrote(out)

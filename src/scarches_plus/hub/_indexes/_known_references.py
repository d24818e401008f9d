"""List published references by others: what they are and where they lie.

Their files are not part of the list.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from scarches_plus._http import check_address
from scarches_plus._json import parse_json
from scarches_plus.bundle import Count, StrictModel

_FILE = Path(__file__).parent / "known_references.json"
#: What the package fetches by itself: a DOI, a repository of Hugging Face.
_FETCHED = re.compile(r"10\.\d{4,9}/\S+|hf://[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(?:@[\w.-]+)?", re.ASCII)
_BUCKET = re.compile(r"s3://[a-z0-9.-]+(?:/[\w.-]+)+", re.ASCII)


def _is_place(address: str) -> str:
    if not _FETCHED.fullmatch(address) and not _BUCKET.fullmatch(address):
        check_address(address)
    return address


class KnownReference(StrictModel):
    """A published reference: a row of :func:`list_models` with ``known=True``.

    Cells and genes are ``None`` where nobody says how many; other facts are ``"unknown"``.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    species: str
    tissue: str
    model: str
    gene_ids: Literal["symbol", "ensembl", "unknown"]
    cells: Count | None
    genes: Count | None
    address: Annotated[str, AfterValidator(_is_place)]
    license: str
    citation: str
    openable: bool
    #: How near the file itself anybody came.
    verified: Literal["file opened", "layout tested, file never fetched", "file never fetched", "not openable"]
    note: str
    #: Where the facts of this row are from.
    source: str

    @property
    def fetched(self) -> bool:
        """True if the package fetches it by itself."""
        return _FETCHED.fullmatch(self.address) is not None


class _KnownReferences(StrictModel):
    schema_version: Literal[1]
    references: list[KnownReference]


def known_references() -> list[KnownReference]:
    """Return the published references that the package knows of."""
    return _KnownReferences.model_validate(parse_json(_FILE.read_bytes())).references

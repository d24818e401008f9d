"""Parse DOIs in any of their spellings."""

from __future__ import annotations

import re

_DOI = re.compile(r"(?:https://(?:dx\.)?doi\.org/|doi:)?(10\.\d{4,9}/\S+)", re.IGNORECASE)


def doi_of(text: str) -> str | None:
    """Return the DOI that a text is, in small letters; ``None`` if it is none.

    The text is the DOI as such, as ``doi:...`` or as an address.
    """
    found = _DOI.fullmatch(text)
    return found[1].lower() if found else None

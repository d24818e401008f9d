"""Convert a model card to the metadata of a Zenodo record (InvenioRDM)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scarches_plus._http import AddressError, check_address
from scarches_plus._text import for_html

if TYPE_CHECKING:
    from scarches_plus.bundle import Card

    from ._parcel import Parcel

_DIGEST = re.compile(r"sha256 of manifest\.json: ([0-9a-f]{64})")


def record_metadata(parcel: Parcel) -> dict[str, Any]:
    """Return the metadata of a record.

    InvenioRDM's schema: title, creators, date, type, licence, version; the description ends in the hash by which the
    bundle is found again.
    """
    card = parcel.manifest.card
    subjects = [card.species, card.tissue, parcel.manifest.state.recipe, "single-cell", "reference mapping"]
    metadata = {
        "title": card.title or card.name,
        "version": card.version,
        "publication_date": datetime.now(UTC).date().isoformat(),
        "resource_type": {"id": "model"},
        "creators": [{"person_or_org": _person_or_group(name)} for name in parcel.creators],
        "description": _description(card, parcel),
        "rights": [{"id": card.license.lower()}],
        "publisher": "Zenodo",
        "subjects": [{"subject": subject} for subject in subjects if subject],
    }
    if _is_web_page(card.data_url):
        metadata["related_identifiers"] = [
            {"identifier": card.data_url, "scheme": "url", "relation_type": {"id": "isderivedfrom"}}
        ]
    return metadata


def digest_in(description: str) -> str:
    """Return the hash in the description of a record, or nothing."""
    found = _DIGEST.search(description)
    return found[1] if found else ""


def _is_web_page(address: str) -> bool:
    try:
        return bool(check_address(address))
    except AddressError:
        return False


def _description(card: Card, parcel: Parcel) -> str:
    cells = parcel.manifest.cells
    paragraphs = [
        card.description,
        f"{parcel.manifest.model.class_name}: {parcel.manifest.training.n_cells} cells, {len(cells.var_names)} genes. "
        "Labels: " + (", ".join(cells.labels) or "none"),
        card.citation,
        f"A bundle of scarches_plus, name {card.name}: put the files into one folder, and open it with "
        "scarches_plus.hub.load_bundle(folder).",
        f"sha256 of manifest.json: {parcel.digest}",
    ]
    return "".join(f"<p>{for_html(text)}</p>" for text in paragraphs if text)


def _person_or_group(name: str) -> dict[str, str]:
    """Return ``"Family, Given"`` as a person, and anything else as a group."""
    family, comma, given = (part.strip() for part in name.partition(","))
    if comma and family and given:
        return {"type": "personal", "family_name": family, "given_name": given}
    return {"type": "organizational", "name": name.strip()}

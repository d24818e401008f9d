"""Zenodo: drafts, files and records by the REST API of InvenioRDM.

https://inveniordm.docs.cern.ch/reference/rest_api_drafts_records/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from pydantic import BaseModel, Field, ValidationError

from scarches_plus._logging import logger

from ._index import FILE
from ._parcel import Upload
from ._record_files import send_files
from ._record_metadata import digest_in, record_metadata
from ._session import Session, reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._parcel import Parcel
    from ._services import Token

_PAGE = 100
#: InvenioRDM shows no more than 10,000 results.
_MOST_PAGES = 100
_OF_DOI = re.compile(r".*zenodo\.(\d+)", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9-]{1,40}")


class _Pid(BaseModel):
    identifier: Annotated[str, Field(pattern=r"^10\.\d{4,9}/[!-~]{1,200}$")]


class _Pids(BaseModel):
    doi: _Pid | None = None


class _Parent(BaseModel):
    pids: _Pids = _Pids()


class _Metadata(BaseModel):
    title: str = ""
    version: str = ""
    description: str = ""


class _Record(BaseModel):
    """What is used of a record or draft."""

    id: Annotated[str, Field(pattern=rf"^{_ID.pattern}$")]
    is_published: bool = False
    metadata: _Metadata = _Metadata()
    pids: _Pids = _Pids()
    parent: _Parent = _Parent()


class _Hits(BaseModel):
    hits: list[dict[str, Any]]


class _Results(BaseModel):
    """A page of a list of records."""

    hits: _Hits


class Zenodo:
    """Uploads of one account."""

    def __init__(self, name: str, address: str, token: Token) -> None:
        self._name, self._address = name, address
        self._session = Session(f"{address}/api", token)

    def __enter__(self) -> Zenodo:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.__exit__()

    def uploads(self) -> Iterator[Upload]:
        """Return all records and drafts, newest first."""
        seen: set[str] = set()
        for page in range(1, _MOST_PAGES + 1):
            params = {"page": page, "size": _PAGE, "sort": "newest", "allversions": "true"}
            found = self._session.ask("GET", "user/records", params=params)
            try:
                hits = _Results.model_validate(found).hits.hits
            except ValidationError:
                self._raise_strange("a list of records")
            new = [one for one in map(self._upload, hits) if one.id not in seen]
            yield from new
            seen |= {one.id for one in new}
            if not new or len(hits) < _PAGE:
                return

    def send(self, parcel: Parcel) -> Upload:
        """Return a draft with all files, or the published record if this bundle is there already."""
        known = next((one for one in self.uploads() if one.manifest == parcel.digest), None)
        if known is not None and known.state == "published":
            return known
        upload = known or self._new(parcel)
        logger.info("%s: draft %s of %s is %s", self._name, upload.id, upload.title, "resumed" if known else "made")
        self._describe(upload, parcel)
        upload = self._with_doi(upload)
        send_files(self._session, f"records/{upload.id}/draft/files", parcel)
        return upload

    def publish(self, upload: Upload, _parcel: Parcel) -> Upload:
        """Publish a draft. This cannot be undone."""
        published = self._upload(self._session.ask("POST", f"records/{upload.id}/draft/actions/publish"))
        logger.info("%s: %s is published as %s", self._name, published.id, published.doi)
        return published

    def delete_draft(self, name: str) -> None:
        """Delete a draft that was never published."""
        draft = self._upload(self._session.ask("GET", f"records/{_record_id(name)}/draft"))
        if draft.state == "published":
            message = f"{draft.id} is published, and stays; to correct it, upload a new version"
            raise ValueError(message)
        self._session.ask("DELETE", f"records/{draft.id}/draft")
        logger.info("%s: draft %s is deleted", self._name, draft.id)

    def _new(self, parcel: Parcel) -> Upload:
        if parcel.new_version_of is None:
            return self._upload(self._session.ask("POST", "records", values=_values(parcel)))
        # the service gives the same draft again if there is one
        return self._upload(self._session.ask("POST", f"records/{_record_id(parcel.new_version_of)}/versions"))

    def _describe(self, upload: Upload, parcel: Parcel) -> None:
        draft = self._session.ask("PUT", f"records/{upload.id}/draft", values=_values(parcel))
        errors = draft.get("errors") if isinstance(draft, dict) else None
        if errors:
            message = f"{self._name} does not take the card of {parcel.folder}: {reason({'errors': errors})}"
            raise ValueError(message)

    def _with_doi(self, upload: Upload) -> Upload:
        """Reserve a DOI, if none is."""
        draft = self._upload(self._session.ask("GET", f"records/{upload.id}/draft"))
        if not draft.doi:
            draft = self._upload(self._session.ask("POST", f"records/{upload.id}/draft/pids/doi"))
            logger.info("%s: %s is reserved", self._name, draft.doi)
        return draft

    def _upload(self, values: Any) -> Upload:
        try:
            record = _Record.model_validate(values)
        except ValidationError:
            self._raise_strange("a record")
        place = f"{self._address}/api/records/{record.id}/files/{FILE}/content"
        return Upload(
            backend=self._name,
            id=record.id,
            state="published" if record.is_published else "draft",
            title=record.metadata.title,
            version=record.metadata.version,
            doi=record.pids.doi.identifier if record.pids.doi else "",
            concept_doi=record.parent.pids.doi.identifier if record.parent.pids.doi else "",
            url=f"{self._address}/{'records' if record.is_published else 'uploads'}/{record.id}",
            files=place,
            manifest=digest_in(record.metadata.description),
        )

    def _raise_strange(self, what: str) -> NoReturn:
        message = f"{self._address} answers something else than {what}"
        raise OSError(message) from None


def _values(parcel: Parcel) -> dict[str, Any]:
    return {
        "access": {"record": "public", "files": "restricted" if parcel.restricted else "public"},
        "files": {"enabled": True},
        "metadata": record_metadata(parcel),
    }


def _record_id(text: str) -> str:
    """Return the id of a record, given as such or as the DOI of a version."""
    of_doi = _OF_DOI.fullmatch(text)
    name = of_doi[1] if of_doi else text
    if not _ID.fullmatch(name):
        message = f"{text!r} is no id of a record, such as '1234567', nor a DOI of Zenodo"
        raise ValueError(message)
    return name

"""Upload drafts, files and records to Zenodo by the REST API of InvenioRDM.

https://inveniordm.docs.cern.ch/reference/rest_api_drafts_records/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from pydantic import BaseModel, Field, ValidationError

from scarches_plus._http import address_below
from scarches_plus._limits import MOST_RECORDS
from scarches_plus._logging import logger
from scarches_plus._text import for_message
from scarches_plus.hub._indexes._index import FILE
from scarches_plus.hub._web._session import Session, reason

from ._parcel import Upload
from ._record_files import send_files
from ._record_metadata import digest_in, record_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scarches_plus.hub._web._services import Token

    from ._parcel import Parcel

_PAGE = 100
_OF_DOI = re.compile(r".*zenodo\.(\d+)", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9-]{1,40}")


class _Pid(BaseModel):
    identifier: Annotated[str, Field(pattern=r"^10\.\d{4,9}/[!-~]{1,200}$")]


class _Pids(BaseModel):
    doi: _Pid | None = None


class _Parent(BaseModel):
    """Fields that all versions share."""

    id: str = ""
    pids: _Pids = _Pids()


class _Metadata(BaseModel):
    title: str | None = None
    version: str | None = None
    description: str | None = None


class _Access(BaseModel):
    files: str = "public"


class _Record(BaseModel):
    """Fields of a record or draft that are used."""

    id: Annotated[str, Field(pattern=rf"^{_ID.pattern}$")]
    is_published: bool = False
    metadata: _Metadata = _Metadata()
    access: _Access = _Access()
    pids: _Pids = _Pids()
    parent: _Parent = _Parent()


class _Hits(BaseModel):
    hits: list[dict[str, Any]]
    total: int = MOST_RECORDS


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
        """Return all records and drafts, newest first; those of other software that make no sense are left out."""
        for values in self._listed():
            try:
                record = _Record.model_validate(values)
            except ValidationError as error:
                odd = [one["loc"] for one in error.errors(include_url=False)]
                logger.debug("%s: record %.40r is left out, with an odd %s", self._name, values.get("id"), odd)
            else:
                yield self._shown(record)

    def send(self, parcel: Parcel) -> Upload:
        """Return a draft with all files, or the published record if this bundle is there already.

        Raises
        ------
        ValueError
            If what is there is no version of ``new_version_of``, or published with other access.
        """
        known = self._known(parcel)
        if known is not None:
            self._require_asked(known, parcel)
            if known.is_published:
                return self._shown(known)
        record = known or self._new(parcel)
        done = "resumed" if known else "made"
        logger.info("%s: draft %s of %s is %s", self._name, record.id, record.metadata.title or "", done)
        self._describe(record.id, parcel)
        record = self._with_doi(record.id)
        send_files(self._session, f"records/{record.id}/draft/files", parcel)
        return self._shown(record)

    def publish(self, upload: Upload, _parcel: Parcel) -> Upload:
        """Publish a draft. This cannot be undone."""
        published = self._shown(self._record(self._session.ask("POST", f"records/{upload.id}/draft/actions/publish")))
        logger.info("%s: %s is published as %s", self._name, published.id, published.doi)
        return published

    def delete_draft(self, name: str) -> None:
        """Delete a draft that was never published."""
        draft = self._record(self._session.ask("GET", f"records/{_record_id(name)}/draft"))
        if draft.is_published:
            message = f"{draft.id} is published, and stays; to correct it, upload a new version"
            raise ValueError(message)
        self._session.ask("DELETE", f"records/{draft.id}/draft")
        logger.info("%s: draft %s is deleted", self._name, draft.id)

    def _listed(self) -> Iterator[dict[str, Any]]:
        """Return what the service lists of the account."""
        seen: set[str] = set()
        for page in range(1, MOST_RECORDS // _PAGE + 1):
            params = {"page": page, "size": _PAGE, "sort": "newest", "allversions": "true"}
            found = self._session.ask("GET", "user/records", params=params)
            try:
                hits = _Results.model_validate(found).hits
            except ValidationError:
                self._raise_strange("a list of records")
            new = {name: one for one in hits.hits if (name := str(one.get("id"))) not in seen}
            yield from new.values()
            seen |= new.keys()
            if not new or len(seen) >= hits.total:
                return

    def _known(self, parcel: Parcel) -> _Record | None:
        """Return the record of a bundle, or else its draft.

        A draft of its next version is born with its description, hash included.
        """
        draft = None
        for values in self._listed():
            if digest_in(str(values.get("metadata"))) != parcel.digest:
                continue
            record = self._record(values)
            if record.is_published:
                return record
            if draft is None and record.metadata.version == parcel.manifest.card.version:
                draft = record
        return draft

    def _require_asked(self, known: _Record, parcel: Parcel) -> None:
        what = f"{'record' if known.is_published else 'draft'} {known.id} holds this bundle"
        if parcel.new_version_of is not None:
            other = self._record(self._session.ask("GET", f"records/{_record_id(parcel.new_version_of)}"))
            if other.parent.id != known.parent.id:
                first = "" if known.is_published else f"delete it first, delete_draft({known.id!r}), or "
                message = f"{what}, and is no version of {parcel.new_version_of}; {first}leave new_version_of out"
                raise ValueError(message)
        if known.is_published and known.access.files != _access(parcel):
            message = (
                f"{what}, its files are {known.access.files}; pass restricted={not parcel.restricted}, or change it "
                "there"
            )
            raise ValueError(message)

    def _new(self, parcel: Parcel) -> _Record:
        if parcel.new_version_of is None:
            return self._record(self._session.ask("POST", "records", values=_values(parcel)))
        # the service gives the same draft again if there is one
        return self._record(self._session.ask("POST", f"records/{_record_id(parcel.new_version_of)}/versions"))

    def _describe(self, name: str, parcel: Parcel) -> None:
        draft = self._session.ask("PUT", f"records/{name}/draft", values=_values(parcel))
        errors = draft.get("errors") if isinstance(draft, dict) else None
        if errors:
            message = (
                f"{self._name} does not take the card of {parcel.folder}: "
                f"{for_message(reason({'errors': errors}), 1000)}"
            )
            raise ValueError(message)

    def _with_doi(self, name: str) -> _Record:
        """Reserve a DOI, if none is."""
        draft = self._record(self._session.ask("GET", f"records/{name}/draft"))
        if not draft.pids.doi:
            draft = self._record(self._session.ask("POST", f"records/{name}/draft/pids/doi"))
            logger.info("%s: %s is reserved", self._name, draft.pids.doi.identifier if draft.pids.doi else "no DOI")
        return draft

    def _record(self, values: Any) -> _Record:
        try:
            return _Record.model_validate(values)
        except ValidationError:
            self._raise_strange("a record")

    def _shown(self, record: _Record) -> Upload:
        place = address_below(self._address, "api", "records", record.id, "files")
        return Upload(
            backend=self._name,
            id=record.id,
            state="published" if record.is_published else "draft",
            title=record.metadata.title or "",
            version=record.metadata.version or "",
            doi=record.pids.doi.identifier if record.pids.doi else "",
            concept_doi=record.parent.pids.doi.identifier if record.parent.pids.doi else "",
            url=address_below(self._address, "records" if record.is_published else "uploads", record.id),
            files=f"{place}/{FILE}/content",
            manifest=digest_in(record.metadata.description or ""),
        )

    def _raise_strange(self, what: str) -> NoReturn:
        message = f"{self._address} answers something else than {what}"
        raise OSError(message) from None


def _values(parcel: Parcel) -> dict[str, Any]:
    return {
        "access": {"record": "public", "files": _access(parcel)},
        "files": {"enabled": True},
        "metadata": record_metadata(parcel),
    }


def _access(parcel: Parcel) -> str:
    return "restricted" if parcel.restricted else "public"


def _record_id(text: str) -> str:
    """Return the id of a record, given as such or as the DOI of a version."""
    of_doi = _OF_DOI.fullmatch(text)
    name = of_doi[1] if of_doi else text
    if not _ID.fullmatch(name):
        message = f"{text!r} is no id of a record, such as '1234567', nor a DOI of Zenodo"
        raise ValueError(message)
    return name

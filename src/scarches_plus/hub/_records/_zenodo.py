"""List the files of a Zenodo record by its public API.

Zenodo answers in two forms: its own (``files`` is a list, ``conceptrecid`` the number of all versions), and that of
InvenioRDM (``files.entries``, ``parent.id``): https://inveniordm.docs.cern.ch/reference/rest_api_drafts_records/. Where
files are not public, neither lists them, and ``/files`` asks for a token. The number of all versions leads to the
newest, or is unknown there (https://github.com/zenodo/zenodo/issues/2499), and is searched for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, Field

from scarches_plus._http import address_below
from scarches_plus._limits import RECORD_FILES
from scarches_plus._text import for_message
from scarches_plus.bundle import BundleError, Count

from ._listing import Listing, Text, answer_of, as_list, listing_of

if TYPE_CHECKING:
    from ._place import Place


class _File(BaseModel):
    key: Text
    size: Count
    checksum: Text


_Files = Annotated[list[_File], Field(max_length=RECORD_FILES, fail_fast=True)]
_Number = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,19})?$", coerce_numbers_to_str=True)]


class _Listed(BaseModel):
    entries: Annotated[_Files, BeforeValidator(as_list)] = []


class _Parent(BaseModel):
    id: _Number = ""


class _Record(BaseModel):
    id: _Number
    conceptrecid: _Number = ""
    parent: _Parent = _Parent()
    files: Annotated[
        _Listed, BeforeValidator(lambda files: {"entries": files} if isinstance(files, list) else files)
    ] = _Listed()


class _Hits(BaseModel):
    hits: Annotated[list[_Record], Field(max_length=RECORD_FILES, fail_fast=True)]


class _Results(BaseModel):
    hits: _Hits


def list_record(place: Place) -> Listing:
    """Return the files of a record; those of the newest version if its number stands for all.

    Raises
    ------
    OSError
        If the service does not answer, or the record is not public.
    BundleError
        If it answers something else.
    """
    place = place.whole
    record = _record(place)
    if place.name not in {record.id, record.conceptrecid, record.parent.id}:
        message = f"{place}: the answer is about another record, {for_message(record.id)}"
        raise BundleError(message)
    found = replace(place, name=record.id)
    files = record.files.entries
    if not files:
        files = answer_of(address_below(place.address, "api", "records", record.id, "files"), found, _Listed).entries
    return listing_of(found, ((one.key, one.size, one.checksum) for one in files))


def _record(place: Place) -> _Record:
    url = address_below(place.address, "api", "records")
    try:
        return answer_of(address_below(url, place.name), place, _Record)
    except FileNotFoundError:
        found = answer_of(f"{url}?q=conceptrecid:{place.name}&sort=mostrecent&size=1", place, _Results).hits.hits
        if not found:
            raise
        return found[0]


def address_of(place: Place, path: str) -> str:
    """Return where a file of a record lies; links of answers are not followed."""
    return address_below(place.address, "api", "records", place.name, "files", path, "content")

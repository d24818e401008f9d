"""List the files of a Hugging Face repository by its public API.

https://huggingface.co/docs/hub/api: ``blobs=true`` gives each file its size, its git id, and its sha256 if it is in
Git LFS.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import BaseModel, Field

from scarches_plus._http import address_below
from scarches_plus._limits import RECORD_FILES
from scarches_plus.bundle import BundleError, Count, Sha256

from ._listing import Listing, Text, answer_of, listing_of
from ._place import COMMIT, Place

_Id = Annotated[str, Field(pattern=rf"^{COMMIT.pattern}$")]


class _Large(BaseModel):
    sha256: Sha256


class _File(BaseModel):
    rfilename: Text
    size: Count | None = None
    blob_id: _Id | None = Field(default=None, alias="blobId")
    lfs: _Large | None = None

    @property
    def checksum(self) -> str | None:
        if self.lfs:
            return f"sha256:{self.lfs.sha256}"
        return f"git:{self.blob_id}" if self.blob_id else None


class _Repository(BaseModel):
    sha: _Id
    siblings: Annotated[list[_File], Field(max_length=RECORD_FILES, fail_fast=True)] = []


def list_repository(place: Place) -> Listing:
    """Return the files of a repository, with the commit that its revision stands for.

    Raises
    ------
    OSError
        If the service does not answer, or the repository is not public.
    BundleError
        If it answers something else.
    """
    place = place.whole
    url = address_below(place.address, "api", "models", *place.name.split("/"), "revision", place.revision)
    found = answer_of(f"{url}?blobs=true", place, _Repository)
    if COMMIT.fullmatch(place.revision) and found.sha != place.revision:
        message = f"{place}: the answer is about another commit, {found.sha}"
        raise BundleError(message)
    return listing_of(
        replace(place, revision=found.sha), ((one.rfilename, one.size, one.checksum) for one in found.siblings)
    )


def address_of(place: Place, path: str) -> str:
    """Return where a file of a repository lies."""
    return address_below(place.address, *place.name.split("/"), "resolve", place.revision, *path.split("/"))

"""Parse the DOI or address of a record or repository."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from scarches_plus._http import AddressError, address_below, is_address, segments_below, shown
from scarches_plus._limits import FILE_NAME_BYTES
from scarches_plus._text import for_message
from scarches_plus.hub._names._doi import doi_of
from scarches_plus.hub._web._services import SERVICES

HUGGING_FACE = "huggingface"
#: Beginnings of the DOIs of each service.
DOIS = {"zenodo": "10.5281/zenodo.", "zenodo sandbox": "10.5072/zenodo."}
COMMIT = re.compile(r"[0-9a-f]{40}")
_SCHEME = "hf://"
_MAIN = "main"
_NUMBER = re.compile(r"[1-9][0-9]{0,19}")
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_]|[.-](?![.-]))*"
_REPOSITORY = re.compile(rf"(?=.{{3,97}}$){_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.)){0,99}")
_KNOWN = (
    "https://zenodo.org/records/123, https://sandbox.zenodo.org/records/123, https://huggingface.co/OWNER/REPOSITORY "
    "and hf://OWNER/REPOSITORY"
)


@dataclass(frozen=True)
class Place:
    """A record or repository, and what of it is meant.

    Parameters
    ----------
    service
        A key of ``SERVICES``.
    name
        Number of the record, or ``owner/repository``.
    revision
        Branch, tag or commit of a repository.
    within
        The file that is meant, or the folder of a repository; empty for the whole.
    """

    service: str
    name: str
    revision: str = ""
    within: str = ""

    def __str__(self) -> str:
        if self.service == HUGGING_FACE:
            revision = "" if self.revision == _MAIN else f"@{self.revision}"
            return f"{_SCHEME}{self.name}{revision}" + (f"/{self.within}" if self.within else "")
        record = address_below(SERVICES[self.service].address, "records", self.name)
        return address_below(record, "files", *self.within.split("/")) if self.within else record

    @property
    def whole(self) -> Place:
        """The record or repository itself."""
        return replace(self, within="")

    @property
    def address(self) -> str:
        """Address of the service."""
        return SERVICES[self.service].address

    @property
    def key(self) -> str:
        """Name of files and folders in the cache."""
        if self.service == HUGGING_FACE:
            name = f"hf-{self.name.replace('/', '--')}"
            return f"{name}-{self.revision[:12]}" if COMMIT.fullmatch(self.revision) else f"{name}@{self.revision}"
        return f"{self.service.replace(' ', '-')}-{self.name}"


def place_of(text: str) -> Place | None:
    """Return the place that a DOI of Zenodo or an address means.

    ``None`` for any other DOI, and for what is no address.

    Raises
    ------
    AddressError
        If it is an address of anything else.
    """
    if doi := doi_of(text):
        return next(
            (
                Place(service, number)
                for service, start in DOIS.items()
                if _NUMBER.fullmatch(number := doi.removeprefix(start))
            ),
            None,
        )
    if text.startswith(_SCHEME):
        return _of_repository(text, text.removeprefix(_SCHEME).split("/"))
    if not is_address(text):
        return None
    for service, one in SERVICES.items():
        parts = segments_below(text, one.address)
        if parts is not None:
            return _of_page(text, parts) if service == HUGGING_FACE else _of_record(text, service, parts)
    raise AddressError(_unknown(text))


def is_plain(path: str) -> bool:
    """Return whether a path of a record or repository is a plain file name on any system.

    The file may lie below folders.
    """
    return path.isprintable() and all(
        one not in {"", ".", ".."} and len(one.encode()) <= FILE_NAME_BYTES and not set("\\:") & set(one)
        for one in path.split("/")
    )


def _of_record(text: str, service: str, parts: list[str]) -> Place:
    start, number, files, *within = [*parts, "", "", ""][: max(3, len(parts))]
    path = "/".join(within).strip("/")
    if (
        start in {"record", "records"}
        and _NUMBER.fullmatch(number)
        and files in {"", "files"}
        and (not path or is_plain(path))
    ):
        return Place(service, number, within=path)
    raise AddressError(_unknown(text))


def _of_page(text: str, parts: list[str]) -> Place:
    """Return the place of a page of a repository.

    The page is the repository's own, that of a folder (``tree``), or of a file (``blob``, ``resolve``).
    """
    owner, name, kind, revision, *within = [*parts, *[""] * 4][: max(4, len(parts))]
    if kind not in {"", "tree", "blob", "resolve"}:
        raise AddressError(_unknown(text))
    return _of_repository(text, [owner, f"{name}@{revision}" if revision else name, *within])


def _of_repository(text: str, parts: list[str]) -> Place:
    owner, second, *rest = [*parts, ""][: max(2, len(parts))]
    name, at, revision = second.partition("@")
    within = "/".join(rest).strip("/")
    if (
        not _REPOSITORY.fullmatch(f"{owner}/{name}")
        or (at and not _REVISION.fullmatch(revision))
        or (within and not is_plain(within))
    ):
        message = (
            f"{for_message(text)} is no repository, such as hf://OWNER/REPOSITORY, "
            "hf://OWNER/REPOSITORY@REVISION/FOLDER"
        )
        raise AddressError(message)
    return Place(HUGGING_FACE, f"{owner}/{name}", revision or _MAIN, within)


def _unknown(text: str) -> str:
    return (
        f"{shown(text)} is no address of a record or repository, such as {_KNOWN}; to use another file, fetch it "
        "yourself and pass its path"
    )

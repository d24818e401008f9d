"""Describe an upload: the bundle to send, and its record at a registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scarches_plus.bundle import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus.bundle import FileEntry, Manifest


@dataclass(frozen=True)
class Upload:
    """A bundle that lies at a registry, or is on its way there.

    Attributes
    ----------
    backend
        ``"zenodo"``, ``"zenodo sandbox"`` or ``"huggingface"``.
    id
        Of the record, or of the repository.
    state
        ``"draft"``: only its owner sees it. ``"published"``: for good.
    title, version
        As the registry shows them.
    doi
        Of this version; reserved while it is a draft. Empty where a registry gives none.
    concept_doi
        Of all versions; known once one is published.
    url
        Page for people.
    files
        Where the files lie once it is published, ``{file}`` standing for a file's name.
    manifest
        sha256 of ``manifest.json``, by which :func:`upload` and :func:`write_index` know the bundle; empty for other
        records.
    """

    backend: str
    id: str
    state: Literal["draft", "published"]
    title: str = ""
    version: str = ""
    doi: str = ""
    concept_doi: str = ""
    url: str = ""
    files: str = ""
    manifest: str = ""


@dataclass(frozen=True)
class Parcel:
    """A bundle to be sent: checked, and all its files with sizes and hashes."""

    folder: Path
    manifest: Manifest
    files: dict[str, FileEntry]
    creators: list[str]
    publish: bool
    restricted: bool
    new_version_of: str | None
    progress: bool

    @property
    def digest(self) -> str:
        """The hash of its manifest, which identifies the bundle."""
        return self.files[MANIFEST].sha256

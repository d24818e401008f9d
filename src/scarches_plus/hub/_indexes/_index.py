"""Parse and search indexes: models with the address, size and hash of each file."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator

from scarches_plus import _arguments as check
from scarches_plus._arguments import at_home
from scarches_plus._files import cache_folder, open_regular
from scarches_plus._http import Expected, is_address, join_address, origin_of, quoted_path, require_step, shown
from scarches_plus._json import first_problem, parse_json
from scarches_plus._limits import (
    ADDRESS_CHARACTERS,
    CHECKSUM_BYTES,
    INDEX_BYTES,
    MANIFEST_BYTES,
    MOST_MIRRORS,
    MOST_MODELS,
    README_BYTES,
)
from scarches_plus._text import for_message, for_terminal
from scarches_plus.bundle import MANIFEST, README, BundleError, Count, FileEntry, FileName, StrictModel, Texts
from scarches_plus.hub._names._doi import doi_of

from ._cached_index import cached_index

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Further indexes, separated by spaces.
INDEX_VARIABLE = "SCARCHES_PLUS_HUB_INDEX"
#: The models that come with the package.
EMBEDDED = Path(__file__).parents[1] / "references" / "index.json"
INDEX = "index.json"
#: What stands for a file's name in an address.
FILE = "{file}"
#: What is fetched before anybody knows how large the model is.
_MOST_BYTES = {MANIFEST: MANIFEST_BYTES, "SHA256SUMS": CHECKSUM_BYTES, README: README_BYTES}
_MOST_NAMES = 20


def check_mirror(mirror: str) -> str:
    """Return a mirror that is a folder, or an address whose host does not depend on the file.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if is_address(mirror):
        if len({origin_of(mirror.replace(FILE, name)) for name in ("a", "b")}) > 1:
            message = f"{FILE} is part of the host"
            raise ValueError(message)
    elif "\\" in mirror or mirror.startswith("//") or not mirror.isprintable():
        message = (
            f"{for_message(mirror)} is neither an address nor a folder: it begins with //, or holds a backslash or a "
            "control character"
        )
        raise ValueError(message)
    return mirror


class IndexEntry(StrictModel):
    """One version of a model: what :func:`list_models` shows, and the files it consists of."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,49}$")]
    title: str = ""
    species: str = ""
    tissue: str = ""
    recipe: str = ""
    model: str = ""
    cells: Count = 0
    genes: Count = 0
    labels: Texts = Field(default_factory=list)
    license: str = ""
    doi: str = ""
    concept_doi: str = ""
    mirrors: list[Annotated[str, Field(max_length=ADDRESS_CHARACTERS), AfterValidator(check_mirror)]] = Field(
        min_length=1, max_length=MOST_MIRRORS, fail_fast=True
    )
    files: dict[FileName | Literal["manifest.json", "SHA256SUMS"], FileEntry]

    @field_validator("files")
    @classmethod
    def _is_a_bundle(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        lacking = sorted({"manifest.json", "SHA256SUMS", "weights.safetensors"} - set(files))
        if lacking:
            message = f"lacks {lacking[0]}, which every bundle has"
            raise ValueError(message)
        for name, most in _MOST_BYTES.items():
            if name in files and files[name].size > most:
                message = f"{name} has {files[name].size} bytes, more than any bundle has ({most})"
                raise ValueError(message)
        return files


class Index(StrictModel):
    """A list of models: ``index.json``."""

    schema_version: Literal[1]
    models: list[IndexEntry] = Field(max_length=MOST_MODELS, fail_fast=True)


@dataclass(frozen=True)
class Listed:
    """An entry, and the index that it is from."""

    entry: IndexEntry
    source: str

    def addresses(self, name: str) -> list[str]:
        """Return where a file of the model may lie: folders and addresses, in the order to try them."""
        return [_address(mirror, name, self.source) for mirror in self.entry.mirrors]

    def expected(self, name: str) -> Expected:
        """Return what a file of the model has to be."""
        file = self.entry.files[name]  # type: ignore[index]
        return Expected(f"sha256:{file.sha256}", file.size)

    def folder(self, cache_dir: str | Path | None) -> Path:
        """Return where the files of the model are to lie: in the package, if it comes with it, else in the cache."""
        if self.embedded:
            return EMBEDDED.parent / self.entry.mirrors[0]
        entry = self.entry
        digest = entry.files[MANIFEST].sha256  # type: ignore[index]
        return cache_folder(cache_dir) / "hub" / f"{entry.name}-{entry.version}-{digest[:12]}"

    @property
    def embedded(self) -> bool:
        """True if the model comes with the package; it is then read in place."""
        return self.source == str(EMBEDDED)


@dataclass(frozen=True)
class Listing:
    """The models of all indexes that could be read, and why the others could not."""

    models: list[Listed]
    unread: list[str]

    def warn(self) -> None:
        """Warn of indexes that could not be read."""
        for why in self.unread:
            warnings.warn(f"an index is left out: {for_terminal(why)}", UserWarning, stacklevel=3)


def read_indexes(
    index: Sequence[str | Path] | str | Path = (), *, cache_dir: str | Path | None = None, offline: bool = False
) -> Listing:
    """Return the models of all indexes: those given, those of the environment, and those of the package.

    Raises
    ------
    BundleError
        If a file that was given is no index.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.flags(offline=offline)
    if cache_dir is not None:
        check.path("cache_dir", cache_dir)
    listed = check.names("index", [index] if isinstance(index, str | Path) else index, of=object)
    for one in listed:
        check.path("index", one)
    given = [str(one) for one in listed]
    files = {one for one in [*given, str(EMBEDDED)] if not is_address(one)}
    sources = [*given, *os.environ.get(INDEX_VARIABLE, "").split(), str(EMBEDDED)]
    models: list[Listed] = []
    unread: list[str] = []
    for source in dict.fromkeys(sources):
        try:
            models += _read(source, cache_dir=cache_dir, offline=offline)
        except (OSError, BundleError) as error:
            if isinstance(error, BundleError) and source in files:
                raise
            name = shown(source)
            unread.append(str(error) if name in str(error) else f"{name}: {error}")
    return Listing(models, unread)


def find(name: str, listing: Listing, *, allow_latest: bool = False) -> Listed:
    """Return a model by ``"name@version"`` or the DOI of a version, or by its name if there is one version only.

    Raises
    ------
    KeyError
        If there is no such model, or it is not clear which.
    OSError
        If there is no such model, and some index could not be read.
    """
    listed = listing.models
    if doi := doi_of(name):
        return _find_doi(doi, listing, allow_latest=allow_latest)
    wanted, _, version = name.partition("@")
    matches = [one for one in listed if one.entry.name == wanted]
    known = sorted({one.entry.version for one in matches}, key=_order)
    if not matches:
        names = sorted({one.entry.name for one in listed})
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        message = f"no index lists a model {wanted!r}, only {names[:_MOST_NAMES]}{more}{check.nearest(wanted, names)}"
        raise _not_found(message, listing)
    if not version:
        if len(known) > 1 and not allow_latest:
            message = (
                f"{wanted!r} has versions {known}; name one, such as '{wanted}@{known[-1]}', or pass allow_latest=True"
            )
            raise KeyError(message)
        version = known[-1]
    chosen = [one for one in matches if one.entry.version == version]
    if not chosen:
        message = f"{wanted!r} has no version {version!r}, only {known}"
        raise _not_found(message, listing)
    return chosen[0]


def lists_doi(doi: str, listing: Listing) -> bool:
    """Return whether an index lists a DOI, of a version or of all versions."""
    return any(doi in {one.entry.doi.lower(), one.entry.concept_doi.lower()} for one in listing.models)


def says_version(name: str, entry: IndexEntry) -> bool:
    """Return whether a name (in any spelling of a DOI) stands for this version and no other."""
    if doi := doi_of(name):
        return doi == entry.doi.lower()
    return name == f"{entry.name}@{entry.version}"


def _not_found(message: str, listing: Listing) -> Exception:
    if not listing.unread:
        return KeyError(message)
    return OSError("\n".join([f"{message}; and these could not be read:", *(f"  {why}" for why in listing.unread)]))


def _find_doi(doi: str, listing: Listing, *, allow_latest: bool) -> Listed:
    listed = listing.models
    for one in listed:
        if one.entry.doi.lower() == doi:
            return one
    versions = sorted(
        (one for one in listed if one.entry.concept_doi.lower() == doi), key=lambda one: _order(one.entry.version)
    )
    if not versions:
        message = (
            f"no index lists a model with the DOI {doi}; without an index, only DOIs of Zenodo are known "
            "(10.5281/zenodo.123)"
        )
        raise _not_found(message, listing)
    if not allow_latest:
        known = {one.entry.version: one.entry.doi for one in versions}
        message = f"{doi} is the DOI of all versions; take that of one of them, {known}, or pass allow_latest=True"
        raise KeyError(message)
    return versions[-1]


def _read(source: str, *, cache_dir: str | Path | None, offline: bool) -> list[Listed]:
    if is_address(source):
        found = cached_index(source, parse_index, at_most=INDEX_BYTES, cache_dir=cache_dir, offline=offline)
    else:
        path = at_home(source).absolute()
        source = str(path / INDEX if path.is_dir() else path)
        with open_regular(Path(source).resolve()) as file:
            found = parse_index(file.read(INDEX_BYTES + 1), source)
        return [Listed(entry, source) for entry in found.models]
    for mirror in (one for entry in found.models for one in entry.mirrors if is_address(one)):
        require_step(source, mirror.replace(FILE, ""))
    return [Listed(entry, source) for entry in found.models]


def parse_index(text: bytes, source: str) -> Index:
    """Return an index.

    Raises
    ------
    BundleError
        If it is none, or larger than any.
    """
    if len(text) > INDEX_BYTES:
        message = f"{source} is larger than any index ({INDEX_BYTES} bytes)"
        raise BundleError(message)
    try:
        return Index.model_validate(parse_json(text))
    except ValidationError as error:
        message = f"{source} is no index: {first_problem(error)}"
        raise BundleError(message) from None
    except ValueError as error:
        message = f"{source} is no index: {error}"
        raise BundleError(message) from error


def _address(mirror: str, name: str, source: str) -> str:
    if not is_address(mirror) and not is_address(source):
        return str(Path(source).parent / mirror / name)
    place = mirror.replace(FILE, name) if FILE in mirror else f"{mirror.rstrip('/')}/{name}"
    return place if is_address(mirror) else join_address(source, f"./{quoted_path(place.lstrip('/'))}")


def _order(version: str) -> list[tuple[int, int, str]]:
    """Return a sort key of versions, by which ``1.10`` comes after ``1.9``."""
    parts = version.replace("-", ".").replace("+", ".").split(".")
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]

"""Find models by file names, in a folder or an archive."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scarches_plus._pickles import FORMER_FILES
from scarches_plus.bundle._manifest import CHECKSUMS, MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePosixPath

#: What scvi-tools calls the file of a model, and those of its cells.
MODEL_FILE = "model.pt"
CELL_FILES = ("adata.h5ad", "mdata.h5mu")
#: What was found is named up to so many times.
_MOST_SHOWN = 10

BUNDLE = "bundle"
SCVI_TOOLS = "scvi-tools"
FORMER = "scvi-tools before 0.15"


@dataclass(frozen=True)
class Place:
    """Place of a model among files.

    Attributes
    ----------
    layout
        One of :data:`BUNDLE`, :data:`SCVI_TOOLS` and :data:`FORMER`.
    folder
        Its folder, below the one that was searched.
    prefix
        What the names of its files begin with.
    file
        Name of its first file, where it is not the usual one.
    """

    layout: str
    folder: PurePosixPath
    prefix: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        """Name of its first file."""
        usual = {BUNDLE: MANIFEST, SCVI_TOOLS: MODEL_FILE, FORMER: FORMER_FILES[0]}[self.layout]
        return self.file or f"{self.prefix}{usual}"

    def __str__(self) -> str:
        return str(self.folder / self.name)


def places_in(names: Iterable[str], folder: PurePosixPath) -> list[Place]:
    """Return the models in one folder, going by the names of its files."""
    names = set(names)
    if MANIFEST in names and (CHECKSUMS in names or MODEL_FILE not in names):
        return [Place(BUNDLE, folder)]
    of_today = [name.removesuffix(MODEL_FILE) for name in names if name.endswith(MODEL_FILE)]
    former = [
        name.removesuffix(FORMER_FILES[0])
        for name in names
        if name.endswith(FORMER_FILES[0])
        and {f"{name.removesuffix(FORMER_FILES[0])}{other}" for other in FORMER_FILES} <= names
    ]
    found = [Place(SCVI_TOOLS, folder, prefix) for prefix in sorted(of_today)]
    return found + [Place(FORMER, folder, prefix) for prefix in sorted(set(former) - set(of_today))]


def nearest_places(files: Iterable[PurePosixPath]) -> list[Place]:
    """Return the models among files that lie least deep."""
    folders: dict[PurePosixPath, list[str]] = defaultdict(list)
    for file in files:
        folders[file.parent].append(file.name)
    levels: dict[int, list[Place]] = defaultdict(list)
    for folder, names in sorted(folders.items()):
        levels[len(folder.parts)] += places_in(names, folder)
    return next((levels[depth] for depth in sorted(levels) if levels[depth]), [])


def only_one(
    places: list[Place], prefix: str | None, where: str, *, advice: str = "name one of them by its path"
) -> Place | None:
    """Return the model that is meant, ``None`` if there is none.

    Parameters
    ----------
    places
        What was found.
    prefix
        What the names of its files have to begin with.
    where, advice
        What was searched and what to do if there are several, for the message.

    Raises
    ------
    ValueError
        If there are several; the message names them.
    """
    meant = [place for place in places if prefix is None or place.prefix == prefix]
    if prefix is None and len({place.folder for place in meant}) == 1:
        meant = [place for place in meant if not place.prefix] or meant
    if len(meant) > 1:
        more = f" and {len(meant) - _MOST_SHOWN} more" if len(meant) > _MOST_SHOWN else ""
        names = [str(place) for place in meant[:_MOST_SHOWN]]
        message = f"{where} holds {len(meant)} models, {names}{more}: {advice}"
        raise ValueError(message)
    return meant[0] if meant else None

"""Choose the files of the model among those of a record or repository."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from scarches_plus._text import for_message
from scarches_plus.bundle import CELL_FILES, CHECKSUMS, FORMER_FILES, MANIFEST, MODEL_FILE, README, WEIGHTS, FileName

from ._place import HUGGING_FACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._place import Place

_BUNDLE = (MANIFEST, CHECKSUMS, *get_args(FileName))
#: What scvi-hub puts beside a model.
_BESIDE = ("_scvi_required_metadata.json", README)
_SINGLE = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", MODEL_FILE)
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Choice:
    """The files of a model: one that is the model by itself, or those of a folder.

    Parameters
    ----------
    paths
        In the record or repository.
    is_folder
        Whether they make a folder.
    """

    paths: tuple[str, ...]
    is_folder: bool


def choose(place: Place, paths: Iterable[str], *, left_out: int = 0, with_cells: bool = False) -> Choice:
    """Return the files of the model: those of a bundle, else of a saved model, else the only archive.

    Raises
    ------
    ValueError
        If there is none, or there are several; the message names them, and how to choose.
    """
    known = sorted(paths)
    if place.within in known:
        return Choice((place.within,), is_folder=False)
    start = f"{place.within}/" if place.within else ""
    here = {one.removeprefix(start) for one in known if one.startswith(start) and "/" not in one.removeprefix(start)}
    beside = [*_BESIDE, *(CELL_FILES if with_cells else ())]
    for needed, also in (((MANIFEST, CHECKSUMS, WEIGHTS), _BUNDLE), ((MODEL_FILE,), beside), (FORMER_FILES, beside)):
        if here.issuperset(needed):
            return Choice(tuple(start + one for one in dict.fromkeys([*needed, *also]) if one in here), is_folder=True)
    single = [start + one for one in sorted(here) if one.lower().endswith(_SINGLE)]
    if len(single) == 1:
        return Choice((single[0],), is_folder=False)
    raise ValueError(_advice(place, known, single, left_out))


def _advice(place: Place, known: list[str], single: list[str], left_out: int) -> str:
    folders = {
        one.rpartition("/")[0] for one in known if one.rpartition("/")[2] in {MANIFEST, MODEL_FILE, *FORMER_FILES}
    }
    folders = folders - {place.within, ""} if place.service == HUGGING_FACE else set()
    for what, choices in (("several files that may be the model", single), ("models in folders", sorted(folders))):
        if choices:
            named = for_message(replace(place, within=choices[0]), 1000)
            return f"{place.whole} holds {what}: {_shown(choices)}; name one, such as {named}"
    more = f", and {left_out} files that cannot be fetched" if left_out else ""
    where = f"{place.whole} holds no {for_message(place.within, 100)!r}" if place.within else f"{place} holds no model"
    return f"{where} ({MODEL_FILE}, a bundle, or an archive), only {_shown(known)}{more}"


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"{[for_message(one, 100) for one in names[:_MOST_SHOWN]]}{more}"

"""Choose colours of labels that readers with any colour vision tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

#: Cells without a label and cells that are not novel: light, so that all others stand out.
GREY = "#b3b3b3"
#: Cells that lie behind others.
BEHIND = "#e2e2e2"
#: What could not be told, such as cells that were not judged.
UNSURE = "#7f7f7f"
#: Okabe and Ito 2008, ordered so that neighbours differ most to deuteranopes and no red is beside the green; then
#: colours of scanpy's palettes (neither pale, dark, grey nor glaring), each the farthest from those before it, to
#: normal and to red-green blind eyes (Machado et al. 2009).
LABELS = (
    "#0072b2", "#e69f00", "#009e73", "#56b4e9", "#f0e442", "#cc79a7", "#d55e00", "#000000",
    "#dbdb8d", "#004d43", "#023fa5", "#575329", "#324e72", "#0086ed", "#1ce6ff", "#8c6d31", "#a1c299", "#bec459",
    "#17becf", "#0cbd66", "#7a4900", "#00846f", "#3b9700", "#886f4c", "#ff913f", "#e07b91", "#7d87b9", "#72418f",
    "#9edae5", "#8e063b", "#885578", "#00489c", "#a30059", "#8dd593", "#eec3ff", "#00a6aa", "#8c564b", "#8fb0ff",
    "#b5bbe3", "#b5bd61", "#ff90c9", "#ffbb78", "#d33f6a", "#f7b6d2", "#b77b68", "#8595e1", "#7b4f4b", "#d157a0",
    "#6a3a4c", "#f0b98d", "#00c2a0", "#922329", "#006fa6", "#4a6fe3", "#336600", "#cb7e98", "#b79762", "#bb7784",
    "#fad09f", "#0fcfc0", "#9b9700", "#a05837", "#f6c4e1", "#f79cd4", "#a77500", "#c5b0d5", "#b05b6f", "#cc0744",
)  # fmt: skip
QUERY = LABELS[0]
KNOWN = LABELS[3]
NOVEL = LABELS[6]
#: Whether a cell is novel, in the words of :func:`~scarches_plus.tl.detect_novel`, or is what a column asks.
_STATES = {"novel": NOVEL, "known": GREY, "not novel": GREY, "not judged": UNSURE, "True": NOVEL, "False": GREY}


def color_at(place: int) -> str:
    """Return the colour of the label at a place in its list; far down, colours come again."""
    return LABELS[place % len(LABELS)]


def colors_of(names: Iterable[str], stored: Sequence[object] = (), grey: Collection[str] = ()) -> dict[str, str]:
    """Return a colour for each name: the user's if there is one for each, else by its place.

    Parameters
    ----------
    names
        Names in their order.
    stored
        The user's colours, as in ``uns``.
    grey
        Names that stand for no label.
    """
    names = list(names)
    if len(stored) >= len(names):
        return {name: str(color) for name, color in zip(names, stored, strict=False)}
    if set(names) <= set(_STATES):
        return {name: _STATES[name] for name in names}
    colors = {name: color_at(place) for place, name in enumerate(one for one in names if one not in grey)}
    return {name: colors.get(name, GREY) for name in names}

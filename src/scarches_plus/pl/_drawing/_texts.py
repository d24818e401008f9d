"""Draw texts of figures literally, without mathtext or TeX."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plain_texts(ax: Axes) -> Axes:
    """Take all texts of Axes as they are, without mathematics between dollars and without TeX, and return the Axes."""
    from matplotlib.text import Text

    for text in ax.findobj(Text):
        text.set_parse_math(False)
        text.set_usetex(False)
    return ax

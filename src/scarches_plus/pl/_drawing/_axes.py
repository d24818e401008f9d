"""Check the matplotlib Axes that users pass, and make new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus._settings import settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def axes_or_none(name: str, value: Any) -> None:
    """Require matplotlib Axes or ``None``.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if value is not None and not hasattr(value, "get_legend_handles_labels"):
        message = f"{name} must be matplotlib Axes (_, ax = plt.subplots()) or None, not {check.shown(value)}"
        raise TypeError(message)


def new_axes(width: float, height: float) -> Axes:
    """Return the Axes of a new figure, by its size in inches unless the user set another."""
    import matplotlib.pyplot as plt

    size = settings.figure_size or (width, height)
    return plt.subplots(figsize=size, dpi=settings.figure_dpi, layout="constrained")[1]

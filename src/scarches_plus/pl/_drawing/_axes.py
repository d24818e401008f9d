"""Check the matplotlib Axes that users pass."""

from __future__ import annotations

from typing import Any

from scarches_plus import _arguments as check


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

"""Draw progress bars where a person looks."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeVar

from ._settings import settings

with warnings.catch_warnings():  # of notebooks without ipywidgets, where bars are text
    warnings.simplefilter("ignore")
    from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterable

_T = TypeVar("_T")


def progress_bar(
    total: int | None, description: str, *, unit: str, shown: bool = True, patience: float = 0, **options: Any
) -> tqdm[Any]:
    """Return a progress bar, which is hidden where nobody looks or wants one (:class:`Settings`).

    Parameters
    ----------
    total
        Units of the whole work, if known.
    description
        What is done.
    unit
        Name of a unit.
    shown
        Whether the caller wants one.
    patience
        Seconds that pass without it.
    **options
        Of tqdm.
    """
    hidden = not (shown and settings.shows_progress())
    return tqdm(total=total, desc=description, unit=unit, disable=hidden, delay=patience, **options)


def with_progress(
    items: Iterable[_T], description: str, *, total: int | None = None, shown: bool = True
) -> Iterable[_T]:
    """Draw a progress bar while items are taken, as :func:`progress_bar` does."""
    return tqdm(items, desc=description, total=total, disable=not (shown and settings.shows_progress()))

"""Wrap functions that take a model's path, so that they take names, DOIs and addresses."""

from __future__ import annotations

from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar, cast

from scarches_plus._arguments import at_home

from ._local import local_path

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., Any]")


def by_name(function: Function, *, with_cells: bool = False) -> Function:
    """Return a function whose first argument may also be a name, a DOI or an address.

    It takes what :func:`scarches_plus.load` takes.

    Parameters
    ----------
    function
        Takes a path first.
    with_cells
        Fetch the cells as well.
    """
    first = next(iter(signature(function).parameters))

    @wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        what = args[0] if args else options.get(first)
        try:
            return function(*args, **options)
        except FileNotFoundError:  # after all arguments were checked
            if not isinstance(what, str) or at_home(what).exists():
                raise
        path = local_path(what, with_cells=with_cells)
        return function(path, *args[1:], **options) if args else function(**{**options, first: path})

    return cast("Function", wrapper)

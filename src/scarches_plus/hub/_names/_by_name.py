"""Let functions that take the path of a model take whatever names one."""

from __future__ import annotations

from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ._local import local_path

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., Any]")


def by_name(function: Function, *, with_cells: bool = False) -> Function:
    """Return a function whose first argument may also be a name, a DOI or an address, as :func:`scarches_plus.load` takes it.

    Parameters
    ----------
    function
        Takes a path first.
    with_cells
        Fetch the cells as well.
    """
    first = next(iter(signature(function).parameters))

    def path_of(what: Any) -> Any:
        return local_path(what, with_cells=with_cells) if isinstance(what, str) else what

    @wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        if args:
            args = (path_of(args[0]), *args[1:])
        elif first in options:
            options[first] = path_of(options[first])
        return function(*args, **options)

    return cast("Function", wrapper)

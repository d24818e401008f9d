"""Check that options are known and valid, and bind positional arguments to names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from inspect import Parameter, signature
from typing import Any

from scarches_plus import _arguments as check


def check_options(
    name: str, value: Any, known: Iterable[str], rules: Mapping[str, Callable[[str, Any], Any]]
) -> dict[str, Any]:
    """Return options by name, such as ``plan_kwargs``, for what knows these; the message names the nearest.

    Parameters
    ----------
    name, value
        The argument; ``None`` means no options.
    known
        Names of options.
    rules
        Option to what checks its value.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        message = f"{name} must be a dict of options by name, not {check.shown(value)}"
        raise TypeError(message)
    there = sorted(known)
    for key in value:
        if key not in there:
            message = f"{name} has {key!r}, which is no option{check.nearest(key, there) or f': they are {there}'}"
            raise TypeError(message)
    return {key: rules[key](key, one) if key in rules else one for key, one in value.items()}


def by_name(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by name, as a function with these parameters takes them."""
    positional = signature(function).bind_partial(*args).arguments
    if twice := sorted(set(positional) & set(kwargs)):
        message = f"{function.__name__} got two values for {', '.join(twice)}"
        raise TypeError(message)
    return {**positional, **kwargs}


def or_none(rule: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a rule that takes ``None``, too."""
    return lambda name, value: None if value is None else rule(name, value)


@cache
def parameters_of(*functions: Callable[..., Any]) -> frozenset[str]:
    """Return the names of parameters; of a class those of its constructor and of the constructors of its bases."""
    found: set[str] = set()
    for function in functions:
        constructors = (
            [vars(base)["__init__"] for base in function.__mro__ if "__init__" in vars(base)]
            if isinstance(function, type)
            else [function]
        )
        for constructor in constructors:
            kinds = {one.name: one.kind for one in signature(constructor).parameters.values()}
            found |= {
                one for one, kind in kinds.items() if kind not in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}
            }
    return frozenset(found - {"self"})

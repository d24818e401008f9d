"""Extend the signature of a scvi-tools constructor by keyword-only parameters."""

from __future__ import annotations

from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def extends(parent: Callable[..., None]) -> Callable[[Callable[..., None]], Any]:
    """Give a constructor its parent's signature, followed by its own keyword-only parameters.

    scvi-tools reads the signature of a module when it builds one from saved arguments.

    Parameters
    ----------
    parent
        Constructor that takes the arguments not named by the new one.
    """

    def extend(constructor: Callable[..., None]) -> Any:
        theirs = list(signature(parent).parameters.values())
        ours = [one for one in signature(constructor).parameters.values() if one.kind is Parameter.KEYWORD_ONLY]
        n_before = sum(one.kind is not Parameter.VAR_KEYWORD for one in theirs)
        extended: Any = wraps(parent)(constructor)
        parameters = [*theirs[:n_before], *ours, *theirs[n_before:]]
        vars(extended)["__signature__"] = signature(parent).replace(parameters=parameters)
        return extended

    return extend

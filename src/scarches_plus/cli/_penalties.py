"""Parse penalties from command-line words such as ``mmd:on=decoder,weight=1``."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from scarches_plus._arguments import nearest

from ._words import parse_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scarches_plus.train import Penalty


def parse_penalties(words: Sequence[str]) -> tuple[Penalty, ...] | None:
    """Make penalties of words such as ``mmd``, ``mmd:on=decoder,weight=1`` and ``ewc:weight=100``.

    No word at all is ``None``, which leaves the choice to the recipe or the reference; the word ``none`` means no
    penalty.
    """
    if not words:
        return None
    if list(words) == ["none"]:
        return ()
    if "none" in words:
        message = "none means no penalty at all and stands alone: leave it out, or the others"
        raise ValueError(message)
    known = _penalties_of_words()
    penalties = []
    for word in words:
        name, _, options = word.partition(":")
        if name not in known:
            near = nearest(name, known)
            message = f"there is no penalty {name!r}; choose from {sorted(known)}, or none{near}"
            raise ValueError(message)
        allowed = {field.name for field in fields(known[name])}
        arguments: dict[str, Any] = {}
        for option in filter(None, options.split(",")):
            key, equals, text = option.partition("=")
            if not equals or key not in allowed:
                message = (
                    f"{option!r} is not an option of penalty {name}; write option=value, with one of {sorted(allowed)}"
                    f"{nearest(key, allowed)}"
                )
                raise ValueError(message)
            arguments[key] = parse_value(text)
        try:
            penalties.append(known[name](**arguments))
        except (TypeError, ValueError) as error:
            message = f"penalty {word!r}: {error}"
            raise ValueError(message) from error
    return tuple(penalties)


def _penalties_of_words() -> dict[str, type[Penalty]]:
    """Return the penalties of ``sp.train`` by name that words can make: no option of theirs has to be given."""
    from scarches_plus import train

    public = [getattr(train, name) for name in train.__all__]
    kinds = [
        one for one in public if isinstance(one, type) and issubclass(one, train.Penalty) and one is not train.Penalty
    ]
    optional = {
        cls: all((field.default, field.default_factory) != (MISSING, MISSING) for field in fields(cls)) for cls in kinds
    }
    return {cls.name: cls for cls in kinds if optional[cls]}

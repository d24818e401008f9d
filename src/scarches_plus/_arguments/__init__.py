"""Check arguments of public functions, with errors that name the argument.

Public functions call these by name at their head, before any work: ``from scarches_plus import _arguments as check``,
then ``k = check.whole("k", k, least=1)``. All raise ``TypeError`` for a value of another kind, and ``ValueError`` for
one out of range. ``None`` is refused except where a function says so.
"""

from ._messages import nearest, shown
from ._models import SUPPORTED, supported_model, unsupported
from ._names import choice, distinct, names, slot, text, texts, texts_or_none
from ._numbers import array, flag, flags, number, seed, whole
from ._objects import at_home, cells, mapping, path, table

__all__ = [
    "SUPPORTED",
    "array",
    "at_home",
    "cells",
    "choice",
    "distinct",
    "flag",
    "flags",
    "mapping",
    "names",
    "nearest",
    "number",
    "path",
    "seed",
    "shown",
    "slot",
    "supported_model",
    "table",
    "text",
    "texts",
    "texts_or_none",
    "unsupported",
    "whole",
]

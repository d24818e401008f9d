"""Write advice on arguments in Python as options of the command line."""

from __future__ import annotations

import re
import shlex
from ast import literal_eval
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: How messages name arguments, and what their options are called.
_OPTIONS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\bpenalties=\(\)", "--penalty none"),
    (r"\bunlabelled=\(\)", '--unlabelled ""'),
    (r"\b(model|plan)_kwargs=\{'(\w+)': ([^{}]*)\}", r"--\1-kwarg \2=\3"),
    (r"\b(model|plan)_kwargs\b", r"--\1-kwarg"),
    (
        r"\badata, report = sp\.pp\.match_gene_names\(adata, model\)",
        "scarches-plus genes FILE --model MODEL --out NEW_FILE",
    ),
    (r"\blayer=('[^']+'|\"[^\"]+\")", lambda found: f"--layer {shlex.quote(literal_eval(found[1]))}"),
    (
        r"""\bshared_batches=(\[(?:(?:'[^']*'|"[^"]*")(?:, )?)+\])""",
        lambda found: f"--shared-batches {shlex.join(literal_eval(found[1]))}",
    ),
    (
        r"pass another study_key \(of sp\.pp\.concat_studies, whose result is taken wherever cells are\)",
        "join the files with scarches-plus store --study-key COLUMN, and take what it writes",
    ),
    (r"rename one, or pass them by name, a dict such as \{[^}]*\}", "rename one"),
    (r"\bbatch_key=\.\.\.", "--batch-key COLUMN"),
    (
        r"transfer_labels without a classifier, sp\.tl\.annotate\b",
        "transfer without --consensus, annotate --by expression",
    ),
)


def in_options(text: str) -> str:
    """Return a message with options in the place of arguments that are given in another way there."""
    for argument, option in _OPTIONS:
        text = re.sub(argument, option, text)
    return text

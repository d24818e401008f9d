"""Set up the package's logger, silent until the user configures logging, and quiet libraries."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ._settings import CHATTER, hushed, say, settings
from ._text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class _Plain(logging.Filter):
    """Takes from messages what would act on a terminal: they name what stands in foreign files."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every message pass, as plain text."""
        record.msg, record.args = for_terminal(record.getMessage()), None
        return True


#: Beginnings of warnings that are for developers of lightning.
_FOR_DEVELOPERS = (r"`?isinstance\(treespec, LeafSpec\)", "The '.*_dataloader' does not have many workers")

logger = logging.getLogger("scarches_plus")
logger.addHandler(logging.NullHandler())
logger.addFilter(_Plain())


def tell(line: str, outcome: Mapping[str, object]) -> None:
    """Say in one line what a verb did: in the log, or where a person looks and nobody reads the log.

    Parameters
    ----------
    line
        The line.
    outcome
        Its numbers; handlers of the log find them in ``record.outcome``.
    """
    logger.info("%s", line, extra={"outcome": dict(outcome)})
    if settings.shows_progress() and not logger.isEnabledFor(logging.INFO):
        say(for_terminal(line))


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """Keep lightning and scvi-tools from telling of machines, files and tips, unless the user wants all of it."""
    if settings.verbosity == "info":
        yield
        return
    with hushed(), warnings.catch_warnings():
        for message in _FOR_DEVELOPERS:
            warnings.filterwarnings("ignore", message)
        yield


def quiet_libraries() -> None:
    """Turn down the chatter of libraries, in a process that is ours."""
    for name in CHATTER:
        logging.getLogger(name).setLevel(logging.WARNING)

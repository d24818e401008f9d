"""Run the command line: each command calls a verb on files.

One command a function in a file of commands of one kind (``_commands``); ``_app`` lists them all. What commands read
and write is in ``_files``, penalties as words in ``_penalties``, and how a command ends in ``_terminal``.
"""

import contextlib
import os
import sys
from typing import Annotated

from cyclopts import Parameter

from scarches_plus._settings import settings

from ._app import OF_ALL, app
from ._console import console
from ._terminal import run

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line. The exit status is 2 after an error, which is told in one message, and 130 after Ctrl-C."""
    # threads that spin while they wait make training ten times slower as soon as another process wants a core
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if status := run(_call):
        sys.exit(status)


def _call() -> None:
    command, options, _ = app.meta.parse_args(sys.argv[1:], exit_on_error=False, print_error=False)
    command(*options.args, **options.kwargs)


@app.meta.default
def _command(
    *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    quiet: Annotated[bool, Parameter(group=OF_ALL, negative="", show_default=False)] = False,
    json: Annotated[bool, Parameter(group=OF_ALL, negative="", show_default=False)] = False,
) -> None:
    """Run a command as all commands can be run.

    Parameters
    ----------
    words
        The command and its options.
    quiet
        Show results, warnings and errors alone: no progress, no notes, no lines on what was done.
    json
        Print one JSON object on the standard output, and nothing else there.
    """
    console.begin(quiet=quiet, as_json=json)
    command, options, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    ours = command.__module__.startswith(__name__)  # help and version are not
    said = settings.override(verbosity="quiet") if quiet else contextlib.nullcontext()
    with console.alone() if ours else contextlib.nullcontext(), said:
        command(*options.args, **options.kwargs)

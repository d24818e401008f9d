"""Run the command line: each command calls a verb on files.

One command a function in a file of commands of one kind (``_commands``); ``_app`` lists them all. What commands read
and write is in ``_files``, penalties as words in ``_penalties``, and how a command ends in ``_terminal``.
"""

import contextlib
import os
import sys

from ._app import app
from ._console import console
from ._terminal import run

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line. The exit status is 2 after an error, which is told in one message, and 130 after Ctrl-C."""
    # threads that spin while they wait make training ten times slower as soon as another process wants a core
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if status := run(_command):
        sys.exit(status)


def _command() -> None:
    command, options, _ = app.parse_args(sys.argv[1:], exit_on_error=False, print_error=False)
    ours = command.__module__.startswith(__name__)  # help and version are not
    with console.alone() if ours else contextlib.nullcontext():
        command(*options.args, **options.kwargs)

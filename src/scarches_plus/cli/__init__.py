"""The command line: thin calls of the verbs, from files to files.

One command a function in a file of commands of one kind (``_commands``: demo, build, map); files are read by ``_inputs`` and written by
``_outputs``, what a command draws or prints is in ``_report``, and how it ends in ``_terminal``.
"""


def main() -> None:
    """Run the command line. The exit status is 2 after an error, which is told in one message, and 130 after Ctrl-C."""
    import os
    import sys

    # threads that spin while they wait make training ten times slower as soon as another process wants a core
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from ._terminal import run

    if status := run(_command):
        sys.exit(status)


def _command() -> None:
    import contextlib
    import sys

    from ._app import app
    from ._commands import (
        _annotation as _annotation_commands,
    )
    from ._commands import (
        _check as _check_command,
    )
    from ._commands import (
        _genes as _gene_commands,
    )
    from ._commands import (
        _hub as _hub_commands,
    )
    from ._commands import (
        _mapping as _commands,
    )
    from ._commands import (
        _models as _model_commands,
    )
    from ._commands import (
        _novelty as _novelty_commands,
    )
    from ._commands import (
        _scoring as _scoring_commands,
    )
    from ._console import console

    command, options, _ = app.parse_args(sys.argv[1:], exit_on_error=False, print_error=False)
    ours = command.__module__.startswith(__name__)  # help and version are not
    with console.alone() if ours else contextlib.nullcontext():
        command(*options.args, **options.kwargs)


__all__ = ["main"]

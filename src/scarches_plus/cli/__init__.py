"""The command line: thin calls of the verbs, from files to files.

One command a function in ``_commands`` (build, map), ``_annotation_commands`` (transfer, novel) or ``_scoring_commands``; what a command draws or prints is in ``_report``.
"""


def main() -> None:
    """Run the command line: errors that users cause become one line, and the libraries' own chatter is turned down.

    Everything else keeps its traceback. The exit status is 2 after an error.
    """
    import logging
    import os
    import sys
    import warnings

    from scarches_plus._text import for_terminal

    from . import (  # noqa: F401 (they register themselves)
        _annotation_commands,
        _commands,
        _gene_commands,
        _hub_commands,
        _novelty_commands,
        _scoring_commands,
    )
    from ._app import app

    # threads that spin while they wait make training ten times slower as soon as another process wants a core
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    # lightning 2.6 with torch 2.13 and later
    warnings.filterwarnings("ignore", message=".isinstance.treespec, LeafSpec", category=FutureWarning)
    try:
        app()
    except (OSError, ValueError, KeyError, TypeError) as error:  # what users can cause; each says what to do
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"error: {for_terminal(text)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


__all__ = ["main"]

"""The command line: thin calls of the verbs, from files to files.

One command a function in ``_commands``; what a command draws or prints is in ``_report``.
"""


def main() -> None:
    """Run the command line, with the libraries' own chatter turned down and their threads asleep when they wait."""
    import logging
    import os
    import warnings

    from ._commands import app

    # threads that spin while they wait make training ten times slower as soon as another process wants a core
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    # lightning 2.6 with torch 2.13 and later
    warnings.filterwarnings("ignore", message=".isinstance.treespec, LeafSpec", category=FutureWarning)
    app()


__all__ = ["main"]

"""Define the command that lets a shell complete commands and options: completion."""

from __future__ import annotations

from typing import Literal

from scarches_plus.cli._app import app
from scarches_plus.cli._console import console


def completion(shell: Literal["bash", "zsh", "fish", "powershell"]) -> None:
    """Print a script by which a shell completes commands, options and their values.

    Save it where the shell looks for such scripts, for example for bash: scarches-plus completion bash >
    ~/.local/share/bash-completion/completions/scarches-plus

    Parameters
    ----------
    shell
        The shell.
    """
    script = app.generate_completion(shell=shell)
    console.result("script", script, script)

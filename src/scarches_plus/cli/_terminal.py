"""Run commands with one-line errors and warnings instead of tracebacks."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import re
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import CycloptsError, MissingArgumentError

from scarches_plus._errors import is_for_users
from scarches_plus._logging import logger, quiet_libraries
from scarches_plus._text import for_line, for_terminal

from ._advice import in_options
from ._console import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What this command has read: errors of the work on cells name these.
files_read: list[Path] = []
#: Exit status after bad input or a failure; all are as shells have them.
FAILED = 2
#: Exit status after Ctrl-C.
INTERRUPTED = 130
#: Exit status if the reader of the output is gone (128 + SIGPIPE).
NO_READER = 141
_SECRET = re.compile(
    r"(?i)((?:bearer|token|access_token|api_key|password|secret)[\"']?\s*[:= ]\s*[\"']?)[^\s\"'&,;)]{6,}"
)
_SECRET_NAME = re.compile(r"(?i)token|secret|password|api_?key|credential")
#: Whose texts speak of code, not of what users did.
_SAYS_NOTHING = (TypeError, AttributeError, NameError, LookupError, AssertionError)
_REPORT = "please report it with that file: https://github.com/scarches-plus/scarches_plus/issues"
#: Of libraries, for developers; users cannot act on them.
_FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, ResourceWarning)


def run(call: Callable[[], object]) -> int:
    """Run a command, and return its exit status; whatever fails ends in one message on stderr."""
    with _quiet():
        try:
            _require_here()
            call()
            console.finish()
            sys.stdout.flush()
        except CycloptsError as error:
            return _fail(_of_usage(error))
        except KeyboardInterrupt:
            return _interrupted()
        except SystemExit as end:
            return _status(end)
        except BrokenPipeError:  # head has seen enough
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return NO_READER
        except MemoryError as error:
            return _fail(
                f"out of memory{_where(error)}; take fewer cells or genes, or a machine with more memory{_files('')}"
            )
        except Exception as error:  # noqa: BLE001 (the last resort)
            status = _fail(_message(error))
            if _is_of_writing_hdf5(error):  # HDF5 2.0 crashes at the end of a process that could not write a file
                with contextlib.suppress(OSError, ValueError):
                    sys.stdout.flush()
                os._exit(status)
            return status
    return 0


def _of_usage(error: CycloptsError) -> str:
    """Say what is wrong with the words of a command, and name all options that it lacks, not the first alone."""
    told = " ".join(str(error).split())
    command = " ".join(error.command_chain or ())
    if isinstance(error, MissingArgumentError) and error.argument and error.target and "Did you mean" not in told:
        given = {token.partition("=")[0] for token in error.root_input_tokens or ()}
        takes = list(inspect.signature(error.target).parameters.values())
        needed = [one.name for one in takes if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
        options = [f"--{name.replace('_', '-')}" for name in needed]
        first = error.argument.name
        if first not in given:  # an option without its value is told as it is
            first = first if first in options else first.lstrip("-").upper()
            files = [one.name.upper() for one in takes if one.kind is one.VAR_POSITIONAL and given == {command}]
            lacking = dict.fromkeys([*files, first, *(option for option in options if option not in given)])
            *others, last = lacking
            told = f"{command} needs {' and '.join(filter(None, (', '.join(others), last)))}."
    return f"{told} See {' '.join(filter(None, ('scarches-plus', command, '--help')))}."


def _is_of_writing_hdf5(error: BaseException) -> bool:
    """Return whether an error, or what it comes from, was raised by HDF5 while a file was written."""
    for one in (error, error.__cause__):
        frames = traceback.walk_tb(one.__traceback__ if one else None)
        names = {str(frame.f_globals.get("__name__")) for frame, _ in frames}
        written = any(name.startswith("scarches_plus._files._write_") for name in names)
        if written and any(name.partition(".")[0] == "h5py" for name in names):
            return True
    return False


def _require_here() -> None:
    try:
        Path.cwd()
    except OSError as error:
        message = "the working folder is no longer there; change to another one (cd)"
        raise FileNotFoundError(message) from error


def _message(error: Exception) -> str:
    """Return what users read of an error."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    elif not (isinstance(error, OSError) or is_for_users(error)):
        detail = "" if isinstance(error, _SAYS_NOTHING) or not str(error) else f": {for_line(text)}"
        return without_secrets(
            f"an unexpected {type(error).__name__}{_files(text)}{detail}; {_where(error)}; {_REPORT}"
        )
    return without_secrets(f"{in_options(for_terminal(text))}{_files(text)}")


def _files(text: str) -> str:
    """Return which files the command had read, if the message names none of them."""
    if not files_read or any(path.name in text for path in files_read):
        return ""
    return f" (read: {', '.join(for_line(path) for path in files_read)})"


def _where(error: BaseException) -> str:
    """Save the traceback, and return a note of where."""
    try:
        handle, name = tempfile.mkstemp(prefix="scarches-plus-", suffix=".txt")  # random name, for the user only
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(without_secrets("".join(traceback.format_exception(error))))
    except OSError:
        return "its traceback could not be saved"
    return f"its traceback is in {name}"


def without_secrets(text: str) -> str:
    """Return text without the values of tokens and passwords."""
    for name, value in os.environ.items():
        if len(value) > 5 and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return _SECRET.sub(r"\1***", text)


def _status(end: SystemExit) -> int:
    if end.code == 1 and isinstance(end.__context__, KeyboardInterrupt):  # lightning's
        return _interrupted()
    if end.code == 1 and isinstance(end.__context__, BrokenPipeError):  # rich's
        return NO_READER
    if isinstance(end.code, str):
        return _fail(end.code)
    return int(end.code or 0)


def _fail(text: str) -> int:
    _finish(text)
    return _say(f"error: {text}")


def _interrupted() -> int:
    _finish("interrupted")
    return _say("interrupted", INTERRUPTED)


def _finish(error: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        console.finish(error)


def _say(text: str, status: int = FAILED) -> int:
    with contextlib.suppress(OSError, ValueError):  # a terminal that is gone
        print(text, file=sys.stderr, flush=True)  # noqa: T201
    return status


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = in_options(for_line(record.getMessage()))
        outcome = getattr(record, "outcome", None)
        if outcome is not None:
            console.outcome(text, outcome)
        elif record.levelno >= logging.WARNING:
            _warn(text)
        elif not console.quiet:
            _say(f"note: {text}")


def _warn(text: str) -> None:
    console.warned(text)
    _say(f"warning: {text}")


def _ignored(*_: object) -> None:
    pass


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Print notes of the package and warnings as one line each, and turn down the chatter of libraries."""
    files_read.clear()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed: a file that is opened later must not get its number
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        with contextlib.suppress(AttributeError, ValueError):
            getattr(sys, name).reconfigure(errors="backslashreplace")
    quiet_libraries()
    handler, level = _Lines(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    seen: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = in_options(for_line(message))
        if text not in seen and category.__name__ != "PossibleUserWarning":  # lightning's advice on speed
            seen.add(text)
            _warn(text)

    hooks = sys.excepthook, sys.unraisablehook
    # errors that end nothing: HDF5 has one for each object that it cannot write to a full disk
    sys.excepthook = sys.unraisablehook = _ignored
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            for category in _FOR_DEVELOPERS:
                warnings.simplefilter("ignore", category)
            warnings.showwarning = show
            yield
    finally:
        sys.excepthook, sys.unraisablehook = hooks
        logger.removeHandler(handler)
        logger.setLevel(level)

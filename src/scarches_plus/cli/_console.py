"""Print results to the standard output: text without markup or control characters, or one JSON object."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from scarches_plus._json import finite
from scarches_plus._text import for_json, for_terminal

from ._plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import TextIO

    import pandas as pd


class Console:
    """Prints results to the standard output, which is theirs alone."""

    def __init__(self) -> None:
        self.quiet = False
        self._file: TextIO | None = None
        self._error: OSError | None = None
        self._collected: dict[str, Any] | None = None

    def begin(self, *, quiet: bool = False, as_json: bool = False) -> None:
        """Set how a command prints.

        Parameters
        ----------
        quiet
            Print results alone, not what was done.
        as_json
            Print one JSON object in the end, and nothing else.
        """
        self.quiet, self._collected = quiet, {} if as_json else None

    def require_text(self, why: str) -> None:
        """Refuse a command that cannot answer in one JSON object.

        Raises
        ------
        ValueError
            If JSON is asked for.
        """
        if self._collected is not None:
            message = f"--json answers when a command has ended, and this one {why}, or leave --json out"
            raise ValueError(message)

    def print(self, text: object = "", *, end: str = "\n") -> None:
        """Print text of anybody. If it cannot be printed, the work goes on."""
        if self._collected is not None:
            self._collected.setdefault("text", []).append(for_terminal(text))
            return
        self._write(for_terminal(text), end)

    def result(self, name: str, value: Any, text: object) -> None:
        """Print a result: as text or, in JSON, as a value.

        Parameters
        ----------
        name
            Name of the value.
        value
            Table, dataclass or plain value.
        text
            The same for people.
        """
        if self._collected is None:
            self.print(text)
        else:
            self._collected[name] = plain(value)

    def table(self, name: str, table: pd.DataFrame | pd.Series) -> None:
        """Print a table, or numbers by name."""
        self.result(name, table, table.to_string())

    def wrote(self, *paths: Path) -> None:
        """Say which files were written."""
        if self._collected is not None:
            self._collected.setdefault("wrote", []).extend(map(str, paths))
        elif not self.quiet:
            self.print(f"wrote {' and '.join(map(str, paths))}")

    def outcome(self, line: str, numbers: Mapping[str, Any]) -> None:
        """Say what a verb did."""
        if self._collected is not None:
            self._collected.setdefault("outcomes", []).append(plain(numbers))
        elif not self.quiet:
            self.print(line)

    def warned(self, text: str) -> None:
        """Keep a warning, which stands on the standard error, for JSON."""
        if self._collected is not None:
            self._collected.setdefault("warnings", []).append(text)

    def finish(self, error: str | None = None) -> None:
        """Print the JSON object, if one is asked for, and begin anew.

        Parameters
        ----------
        error
            Why the command failed.
        """
        collected = self._collected
        self.begin()
        if collected is not None:
            ended = {"ok": True} if error is None else {"ok": False, "error": error}
            self._write(for_json(json.dumps(finite({**ended, **collected}), ensure_ascii=False)), "\n")
            if self._error is not None:
                raise self._error

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Send what else is printed, such as progress, to the standard error, where it may fail.

        Raises
        ------
        OSError
            In the end, if a result could not be printed.
        """
        self._file, self._error = sys.stdout, None
        others: Any = _Unfailing(sys.stderr)
        try:
            with contextlib.redirect_stdout(others), contextlib.redirect_stderr(others):
                yield
        finally:
            self._file = None
        if isinstance(self._error, BrokenPipeError):
            raise self._error
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror, "the standard output") from self._error

    def _write(self, text: str, end: str) -> None:
        try:
            print(text, end=end, file=self._file, flush=True)
        except OSError as error:
            self._error = error


class _Unfailing:
    """Writes to a stream as long as that works: a full disk of a log ends no training."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


console = Console()

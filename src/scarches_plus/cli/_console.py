"""Print results to the standard output, without markup or control characters."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from scarches_plus._text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


class Console:
    """Prints results to the standard output, which is theirs alone."""

    def __init__(self) -> None:
        self._file: TextIO | None = None
        self._error: OSError | None = None

    def print(self, text: object = "", *, end: str = "\n") -> None:
        """Print text of anybody. If it cannot be printed, the work goes on."""
        try:
            print(for_terminal(text), end=end, file=self._file, flush=True)
        except OSError as error:
            self._error = error

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

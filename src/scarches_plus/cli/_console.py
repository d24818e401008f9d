"""Print results: text as it is, without markup, and without what would act on a terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from scarches_plus._text import for_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


class Console:
    """Prints results to the standard output, which is theirs alone."""

    def __init__(self) -> None:
        self.file: TextIO | None = None

    def print(self, text: object = "", *, end: str = "\n") -> None:
        """Print text of anybody."""
        print(for_terminal(text), end=end, file=self.file, flush=True)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Send what else is printed, such as progress, to the standard error."""
        self.file = sys.stdout
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        finally:
            self.file = None


console = Console()

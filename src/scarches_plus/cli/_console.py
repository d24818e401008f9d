"""Print results: text as it is, without markup, and without what would act on a terminal."""

from __future__ import annotations

from scarches_plus._text import for_terminal


class Console:
    """Prints to the standard output."""

    def print(self, text: object = "", *, end: str = "\n") -> None:
        """Print text of anybody."""
        print(for_terminal(text), end=end)  # noqa: T201


console = Console()

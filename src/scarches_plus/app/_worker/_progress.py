"""Tell how far a job is, and how long it may take."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: What tqdm and lightning write of a share done.
_PERCENT = re.compile(r"(\d{1,3})%\|")
#: Seconds between two lines.
_EVERY = 0.2


class Progress:
    """Tells the steps of a job, which take known shares of it.

    Parameters
    ----------
    tell
        Is given the step, the share of the job that is done, and the seconds left.
    shares
        Step to its usual share of the time.
    """

    def __init__(self, tell: Callable[[str, float, float | None], None], shares: Mapping[str, float]) -> None:
        self._tell = tell
        total = sum(shares.values())
        self._shares = {step: share / total for step, share in shares.items()}
        self._done = 0.0
        self._start = time.monotonic()
        self._told = 0.0
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Do one step; bars that libraries draw meanwhile tell how far it is."""
        begun = time.monotonic()
        self._say(name, 0.0, begun, always=True)
        bars = _Bars(sys.stderr, lambda part: self._say(name, part, begun))
        with contextlib.redirect_stderr(bars), contextlib.redirect_stdout(bars):
            yield
        self.seconds[name] = time.monotonic() - begun
        self._done += self._shares[name]

    def _say(self, name: str, part: float, begun: float, *, always: bool = False) -> None:
        now = time.monotonic()
        if not always and now - self._told < _EVERY:
            return
        self._told = now
        done = self._done + part * self._shares[name]
        self._tell(name, done, self._left(done, part, now - begun, self._shares[name]))

    def _left(self, done: float, part: float, here: float, share: float) -> float | None:
        """Return the seconds left: this step's by its own pace, the later ones' by the pace of what is done."""
        if part > 0.05:
            return here / part * (1 - part) + (here / part) * max(0.0, 1 - self._done - share) / share
        if done > 0.2:
            return (time.monotonic() - self._start) / done * (1 - done)
        return None


class _Bars(io.TextIOBase):
    """Passes on what is written, and reads shares out of it."""

    def __init__(self, stream: TextIO, say: Callable[[float], None]) -> None:
        self._stream, self._say = stream, say

    def write(self, text: str) -> int:
        found = _PERCENT.findall(text)
        if found:
            self._say(min(int(found[-1]), 100) / 100)
        else:
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        """Ask libraries for bars, which they draw only where a person looks."""
        return True

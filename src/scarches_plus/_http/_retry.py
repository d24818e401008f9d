"""Retry HTTP requests with exponential back-off."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeVar

from scarches_plus._limits import LONGEST_WAIT

from ._send import TryLaterError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

TRIES = 4
#: Seconds before the second try; doubled for each further one.
WAIT = 1.0


def retry(once: Callable[[], T], *, tries: int = TRIES, longest: float = LONGEST_WAIT) -> T:
    """Call again, with growing waits of ``longest`` seconds at most, while it raises :class:`TryLaterError`.

    urllib3's ``Retry`` does not do it: it repeats no answer that breaks off, knows no resume, and waits inside a
    request, under its deadline.
    """
    for attempt in range(tries - 1):
        try:
            return once()
        except TryLaterError as error:
            wait = error.wait
        seconds = WAIT * 2**attempt if wait is None or not math.isfinite(wait) else wait
        time.sleep(min(longest, max(0.0, seconds)))
    return once()

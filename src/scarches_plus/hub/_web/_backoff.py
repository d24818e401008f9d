"""Retry HTTP requests with exponential back-off."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from scarches_plus._http import TryLaterError
from scarches_plus._limits import LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

TRIES = 4
#: Seconds before the second try; doubled for each further one.
WAIT = 1.0
#: HTTP statuses of a server that is overloaded; those from ``SERVER_ERROR`` on are its own errors.
TOO_MANY = 429
SERVER_ERROR = 500
UNAVAILABLE = 503


def patiently(once: Callable[[], T], *, longest: float = LONGEST_WAIT) -> T:
    """Call a function up to ``TRIES`` times while it raises :class:`TryLaterError`.

    Waits between calls are of ``longest`` seconds at most.
    """
    for attempt in range(TRIES - 1):
        try:
            return once()
        except TryLaterError as error:
            wait = error.wait
        pause(attempt, wait, longest)
    return once()


def is_overloaded(status: int) -> bool:
    """Return whether a status says that the same request may succeed later."""
    return status == TOO_MANY or status >= SERVER_ERROR


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a server wants to be left alone, if it says so.

    It says so by ``Retry-After``, or by Zenodo's ``X-RateLimit-Reset``.
    """
    given = headers.get("Retry-After", "").strip()
    if given.isdecimal():
        return float(given)
    if given:
        try:
            return (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    reset = headers.get("X-RateLimit-Reset", "").strip()
    return float(reset) - time.time() if reset.isdecimal() and headers.get("X-RateLimit-Remaining") == "0" else None


def pause(attempt: int, asked: float | None = None, longest: float = LONGEST_WAIT) -> None:
    """Wait before the next try: as long as asked, or twice as long each time.

    It never waits longer than ``longest`` seconds.
    """
    seconds = WAIT * 2**attempt if asked is None or not math.isfinite(asked) else asked
    time.sleep(min(longest, max(0.0, seconds)))

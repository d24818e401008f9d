"""Fetch public files over HTTP, or private ones with the token of the environment."""

from __future__ import annotations

import os

from scarches_plus import _limits
from scarches_plus._http import Answer, TryLaterError, chunks, follow
from scarches_plus.bundle import BundleError

from . import _backoff
from ._services import Token, service_of

OFFLINE_VARIABLE = "SCARCHES_PLUS_OFFLINE"
#: HTTP statuses of a whole file, and of the rest of one.
OK = 200
PARTIAL = 206
#: How services answer who may not see a file.
_NOT_PUBLIC = {401, 403}
#: How they answer for what is not there, or no longer.
_NOT_THERE = {404, 410}


def is_offline(*, offline: bool = False) -> bool:
    """Return whether nothing may be fetched, by the argument or the environment."""
    return offline or os.environ.get(OFFLINE_VARIABLE, "") not in {"", "0"}


def fetch_small(url: str, *, at_most: int, offline: bool = False) -> bytes:
    """Return what an address answers, asked again after a while if it is overloaded.

    Raises
    ------
    OSError
        If it does not answer, or nothing may be fetched.
    BundleError
        If the answer is larger than allowed.
    """
    if is_offline(offline=offline):
        message = f"{url} is not fetched: offline"
        raise OSError(message)
    return _backoff.patiently(lambda: _whole(url, at_most), longest=_limits.LONGEST_INDEX_WAIT)


def _whole(url: str, at_most: int) -> bytes:
    contents = bytearray()
    with get(url, {}, within=_limits.INDEX_SECONDS) as answer:
        require_success(answer)
        for chunk in chunks(answer):
            contents += chunk
            if len(contents) > at_most:
                message = f"{url} sends more than {at_most} bytes"
                raise BundleError(message)
    return bytes(contents)


def get(url: str, headers: dict[str, str], *, within: float = float("inf")) -> Answer:
    """Ask for a file; once more with the token of the environment if it is not public.

    The token is sent only if the file lies at the service that it is for.
    """
    answer = follow(url, headers, within=within)
    service = service_of(url)
    if answer.status_code not in _NOT_PUBLIC or service is None:
        return answer
    answer.close()
    if not os.environ.get(service.variable):
        message = f"answers {answer.status_code}: it is not public; set {service.variable} if you may see it"
        raise PermissionError(message)
    return follow(url, headers, Token(os.environ[service.variable], service.address), within=within)


def require_success(answer: Answer) -> None:
    """Raise unless an answer holds what was asked for: a file, or the rest of one."""
    status = answer.status_code
    message = f"answers {status}"
    if _backoff.is_overloaded(status):
        raise TryLaterError(message, _backoff.asked_wait(answer.headers))
    if status not in {OK, PARTIAL}:
        raise FileNotFoundError(message) if status in _NOT_THERE else OSError(message)

"""Get public files, and those that the token of the environment may see."""

from __future__ import annotations

import os

from scarches_plus import _limits
from scarches_plus._http import Answer, follow, retry
from scarches_plus.bundle import BundleError

from ._services import Token, service_of

OFFLINE_VARIABLE = "SCARCHES_PLUS_OFFLINE"
#: How services answer who may not see a file.
_NOT_PUBLIC = {401, 403}


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

    def once() -> bytes:
        with get(url, {}, within=_limits.INDEX_SECONDS) as answer:
            answer.require_success()
            return answer.whole(at_most)

    contents = retry(once, longest=_limits.LONGEST_INDEX_WAIT)
    if len(contents) > at_most:
        message = f"{url} sends more than {at_most} bytes"
        raise BundleError(message)
    return contents


def get(url: str, headers: dict[str, str], *, within: float = float("inf")) -> Answer:
    """Ask for a file; once more with a token if it is not public and lies at the token's service."""
    answer, service = follow(url, headers, within=within), service_of(url)
    if answer.status_code not in _NOT_PUBLIC or service is None:
        return answer
    with answer:
        if not os.environ.get(service.variable):
            message = f"answers {answer.status_code}: it is not public; set {service.variable} if you may see it"
            raise PermissionError(message)
    return follow(url, headers, Token(os.environ[service.variable], service.address), within=within)

"""Send GET requests over HTTP, checking every redirect; nothing but the request is sent, to nobody else."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import requests
from requests import RequestException
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from scarches_plus import _limits
from scarches_plus._text import for_message

from ._addresses import join_address, origin_of, require_https, require_step
from ._watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: What is lost of a transfer that breaks off.
_CHUNK = 2**14
_TIMEOUT = (_limits.CONNECT_SECONDS, _limits.WINDOW_SECONDS)
REDIRECTS = range(300, 400)
_DELIVERED = {200, 206}
#: How services answer for what is not there, or no longer.
_NOT_THERE = {404, 410}
_TOO_MANY, _SERVER_ERROR = 429, 500
#: More digits than the size of any file.
_DIGITS = 20


class TransferError(OSError):
    """A server cannot be reached, or sends something unusable."""


class TryLaterError(TransferError):
    """The same request may succeed later; ``wait`` says after how many seconds, if the server does."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Answer(AbstractContextManager["Answer"]):
    """An answer whose contents have not been read; to be used in a ``with`` statement.

    Parameters
    ----------
    response
        Of requests.
    watch
        Ends the transfer if it is too slow.
    """

    def __init__(self, response: Any, watch: Watch) -> None:
        self._response, self._watch = response, watch
        self.status_code: int = response.status_code
        self.headers: Mapping[str, str] = response.headers

    @property
    def is_overloaded(self) -> bool:
        """True if the same request may succeed later."""
        return self.status_code == _TOO_MANY or self.status_code >= _SERVER_ERROR

    @property
    def asked_wait(self) -> float | None:
        """Seconds that the server asks to wait: ``Retry-After``, or Zenodo's ``X-RateLimit-Reset``."""
        with suppress(HTTPError, ValueError, OverflowError):  # what is neither a number nor a date
            if "Retry-After" in self.headers:
                return Retry().parse_retry_after(self.headers["Retry-After"])
            if self.headers.get("X-RateLimit-Remaining") == "0":
                return float(self.headers.get("X-RateLimit-Reset", "")) - time.time()
        return None

    @property
    def length(self) -> int | None:
        """Bytes that are announced, if any are."""
        announced = self.headers.get("Content-Length", "")
        return int(announced) if announced.isdecimal() and len(announced) < _DIGITS else None

    def require_success(self) -> None:
        """Raise unless this is what was asked for: a file, or the rest of one.

        Raises
        ------
        OSError
            :class:`TryLaterError` if the server is overloaded, ``FileNotFoundError`` if it has no such file, and
            :class:`TransferError` if it answers anything else.
        """
        message = f"answers {self.status_code}"
        if self.is_overloaded:
            raise TryLaterError(message, self.asked_wait)
        if self.status_code not in _DELIVERED:
            raise FileNotFoundError(message) if self.status_code in _NOT_THERE else TransferError(message)

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._watch.stop()
        self._response.close()

    def read(self, n_bytes: int) -> bytes:
        """Return at most so many bytes of what comes next, as they were sent; nothing at the end.

        Raises
        ------
        TransferError
            If the contents are packed, which nobody asked for, or too slow; :class:`TryLaterError` if the connection
            breaks off.
        """
        packing = self.headers.get("Content-Encoding", "identity").strip().lower()
        if packing not in {"", "identity"}:
            message = f"sends contents packed as {for_message(packing, 40)}, which was not asked for"
            raise TransferError(message)
        why = ""
        try:
            contents: bytes = self._response.raw.read(n_bytes, decode_content=False) or b""
        except (RequestException, HTTPError, OSError) as error:
            why = type(error).__name__
        if self._watch.broken:
            raise TransferError(self._watch.broken)
        if why:
            message = f"the connection broke off ({why})"
            raise TryLaterError(message)
        self._watch.moved(len(contents))
        return contents

    def whole(self, at_most: int) -> bytes:
        """Return all contents, or a byte more than ``at_most`` of what is larger; errors as in :meth:`read`."""
        contents = bytearray()
        for chunk in chunks(self):
            contents += chunk
            if len(contents) > at_most:
                break
        return bytes(contents[: at_most + 1])


def chunks(answer: Answer) -> Iterator[bytes]:
    """Return what arrives, piece by piece; errors as in :meth:`Answer.read`."""
    while chunk := answer.read(_CHUNK):
        yield chunk


def new_session(address: str, watch: Watch) -> Any:
    """Return a session of requests for an address.

    It leaves redirects to us, as it would read all of their bodies and follow them anywhere; takes no password from
    ``.netrc``; and uses no proxy for what is not encrypted, which is on this machine.
    """
    session = requests.Session()
    session.headers.update({"User-Agent": f"scarches_plus/{version('scarches-plus')}", "Accept-Encoding": "identity"})
    session.get_redirect_target = lambda _: None  # type: ignore[method-assign, assignment]
    session.auth = _send_nothing
    session.trust_env = origin_of(address).scheme == "https"
    watch.mount(session)
    return session


def follow(
    url: str, headers: Mapping[str, str], auth: Callable[[Any], Any] | None = None, *, within: float = float("inf")
) -> Answer:
    """Return the answer at the end of redirects.

    Parameters
    ----------
    url, headers
        What to ask for.
    auth
        Adds a token to a request; it goes no further than the origin that was asked first.
    within
        Seconds for the whole transfer. Besides, an answer has to begin, and its contents to move on, as ``_limits``
        says.

    Raises
    ------
    AddressError
        If an address may not be asked, or one leads where it may not.
    TransferError
        If there is no answer in time, or no end of redirects.
    """
    require_https(url)
    watch = Watch(_limits.WINDOW_SECONDS, within)
    watch.start()
    try:
        for _ in range(_limits.MOST_REDIRECTS):
            response = _send(url, headers, auth, watch)
            place = response.headers.get("Location") if response.status_code in REDIRECTS else None
            if place is None:
                watch.answered()
                return Answer(response, watch)
            response.close()
            target = join_address(url, place)
            require_step(url, target)
            if origin_of(target) != origin_of(url):
                auth = None
            url = target
    except BaseException:
        watch.stop()
        raise
    watch.stop()
    message = "is sent from place to place"
    raise TransferError(message)


def _send(url: str, headers: Mapping[str, str], auth: Any, watch: Watch) -> Any:
    """Return the answer to one request.

    Errors of the library hold the request with its headers; those that are raised here do not.
    """
    with new_session(url, watch) as session:
        try:
            return session.get(url, headers=headers, stream=True, timeout=_TIMEOUT, auth=auth)
        except requests.RequestException as error:
            why = type(error).__name__
    if watch.broken:
        raise TransferError(watch.broken)
    message = f"no answer ({why})"
    raise TryLaterError(message)


def _send_nothing(request: Any) -> Any:
    return request

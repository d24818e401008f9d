"""Ask servers for files: no redirect is followed unseen, and nothing is told to anybody who was not asked."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ._addresses import join_address, origin_of, require_https, require_step
from ._limits import MOST_REDIRECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: What is lost of a transfer that breaks off.
_CHUNK = 2**14
_TIMEOUT = (10, 60)
REDIRECTS = range(300, 400)


class TransferError(OSError):
    """A server does not deliver."""


class TryLaterError(TransferError):
    """The same request may succeed later; ``wait`` is how many seconds the server wants to be left alone, if it says so."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def new_session(address: str) -> Any:
    """Return a session of requests for an address.

    It leaves redirects to us, as it would read all of their bodies and follow them anywhere; takes no password from ``.netrc``; and
    uses no proxy for what is not encrypted, which is on this machine.
    """
    import requests

    session = requests.Session()
    session.headers.update({"User-Agent": user_agent(), "Accept-Encoding": "identity"})
    session.get_redirect_target = lambda _: None  # type: ignore[method-assign, assignment]
    session.auth = _send_nothing
    session.trust_env = origin_of(address).scheme == "https"
    return session


def follow(url: str, headers: Mapping[str, str], auth: Callable[[Any], Any] | None = None) -> Any:
    """Return the answer at the end of redirects; ``auth`` goes no further than the origin that was asked first.

    Raises
    ------
    AddressError
        If an address may not be asked, or one leads where it may not.
    TransferError
        If there is no answer, or no end of redirects.
    """
    require_https(url)
    for _ in range(MOST_REDIRECTS):
        response = _ask(url, headers, auth)
        place = response.headers.get("Location") if response.status_code in REDIRECTS else None
        if place is None:
            return response
        response.close()
        target = join_address(url, place)
        require_step(url, target)
        if origin_of(target) != origin_of(url):
            auth = None
        url = target
    message = "is sent from place to place"
    raise TransferError(message)


def chunks(response: Any) -> Iterator[bytes]:
    """Return what arrives; errors as in :func:`_ask`."""
    import requests

    try:
        yield from response.iter_content(_CHUNK)
    except requests.RequestException as error:
        why = type(error).__name__
    else:
        return
    message = f"the connection broke off ({why})"
    raise TryLaterError(message)


def user_agent() -> str:
    """Return what servers know this package by."""
    return f"scarches_plus/{version('scarches-plus')}"


def _ask(url: str, headers: Mapping[str, str], auth: Any) -> Any:
    """Return the answer to one request. Errors of the library hold the request with its headers; those that are raised here do not."""
    import requests

    with new_session(url) as session:
        try:
            return session.get(url, headers=headers, stream=True, timeout=_TIMEOUT, auth=auth)
        except requests.RequestException as error:
            why = type(error).__name__
    message = f"no answer ({why})"
    raise TryLaterError(message)


def _send_nothing(request: Any) -> Any:
    return request

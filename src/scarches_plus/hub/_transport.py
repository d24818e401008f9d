"""Requests for what anybody may fetch, or who has the token of the environment."""

from __future__ import annotations

import os
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from . import _backoff
from ._manifest import BundleError
from ._services import Token, origin, service_of

if TYPE_CHECKING:
    from collections.abc import Iterator

OFFLINE_VARIABLE = "SCARCHES_PLUS_OFFLINE"
#: What is lost of a transfer that breaks off.
_CHUNK = 2**14
_TIMEOUT = (10, 60)
OK, PARTIAL = 200, 206
REDIRECTS = range(300, 400)
_MOST_REDIRECTS = 10
#: How services answer who may not see a file.
_NOT_PUBLIC = {401, 403}


def is_url(address: str) -> bool:
    """Whether an address is one of the web."""
    return address.startswith(("http://", "https://"))


def is_offline(*, offline: bool = False) -> bool:
    """Whether nothing may be fetched."""
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
    return _backoff.patiently(lambda: _whole(url, at_most))


def _whole(url: str, at_most: int) -> bytes:
    contents = bytearray()
    with get(url, {}) as response:
        require_success(response)
        for chunk in chunks(response):
            contents += chunk
            if len(contents) > at_most:
                message = f"{url} sends more than {at_most} bytes"
                raise BundleError(message)
    return bytes(contents)


def user_agent() -> str:
    """Return what servers know this package by."""
    return f"scarches_plus/{version('scarches-plus')}"


def require_https(url: str) -> None:
    """Raise if others could read along.

    Raises
    ------
    OSError
        If an address is none, or neither https nor on this machine.
    """
    try:
        scheme, host, _ = origin(url)
    except ValueError as error:
        message = f"{url} is no address: {error}"
        raise OSError(message) from error
    if scheme != "https" and not _is_loopback(host or ""):
        message = f"{url} is not fetched: only https is"
        raise OSError(message)


def new_session() -> Any:
    """Return a session of requests that leaves redirects to us: it would read all of their bodies, and follow them anywhere."""
    import requests

    session = requests.Session()
    session.headers.update({"User-Agent": user_agent(), "Accept-Encoding": "identity"})
    session.get_redirect_target = lambda _: None  # type: ignore[method-assign, assignment]
    return session


def get(url: str, headers: dict[str, str]) -> Any:
    """Ask for a file; once more with the token of the environment if it is not public and lies at the service that it is for."""
    response = _follow(url, headers, None)
    service = service_of(url)
    if response.status_code not in _NOT_PUBLIC or service is None:
        return response
    response.close()
    if not os.environ.get(service.variable):
        message = f"answers {response.status_code}: it is not public; set {service.variable} if you may see it"
        raise PermissionError(message)
    return _follow(url, headers, Token(os.environ[service.variable]))


def _follow(url: str, headers: dict[str, str], token: Token | None) -> Any:
    """Return the answer at the end of redirects; the token goes no further than the host that it is for."""
    with new_session() as session:
        for _ in range(_MOST_REDIRECTS):
            require_https(url)
            response = _ask(session, url, headers, token)
            if response.status_code not in REDIRECTS or "Location" not in response.headers:
                return response
            response.close()
            place = response.headers["Location"]
            try:
                target = urljoin(url, place)
                token = token if origin(target) == origin(url) else None
            except ValueError as error:
                message = f"sends us to {place!r}, which is no address: {error}"
                raise OSError(message) from error
            url = target
    message = "is sent from place to place"
    raise OSError(message)


def _ask(session: Any, url: str, headers: dict[str, str], token: Token | None) -> Any:
    """Return the answer to one request. Errors of the library hold the request with its headers; those that are raised here do not."""
    import requests

    try:
        return session.get(url, headers=headers, stream=True, timeout=_TIMEOUT, auth=token)
    except requests.RequestException as error:
        why = type(error).__name__
    message = f"no answer ({why})"
    raise _backoff.TryLaterError(message)


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
    raise _backoff.TryLaterError(message)


def require_success(response: Any) -> None:
    """Raise unless an answer holds what was asked for: a file, or the rest of one."""
    status = response.status_code
    message = f"answers {status}"
    if _backoff.is_overloaded(status):
        raise _backoff.TryLaterError(message, _backoff.asked_wait(response.headers))
    if status not in {OK, PARTIAL}:
        raise OSError(message)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

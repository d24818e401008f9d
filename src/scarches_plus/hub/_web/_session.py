"""Send requests to a service with the token of the user."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import requests

from scarches_plus import _limits
from scarches_plus._http import (
    REDIRECTS,
    AddressError,
    Answer,
    TransferError,
    TryLaterError,
    Watch,
    address_below,
    join_address,
    new_session,
    origin_of,
    require_https,
    retry,
)
from scarches_plus._json import parse_json
from scarches_plus._limits import ANSWER_BYTES
from scarches_plus._text import for_message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from ._services import Token

_TIMEOUT = (_limits.CONNECT_SECONDS, _limits.REGISTRY_SECONDS)
_FAILED, _UNKNOWN, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _UNAVAILABLE = 400, 401, 403, 404, 429, 503
_BINARY = {"Content-Type": "application/octet-stream"}
#: What may be repeated without doing it twice.
_REPEATABLE = {"GET", "PUT", "DELETE"}
_MOST_TEXT = 300


class Session:
    """Requests to one service. The token goes into the header, to this service only: no redirect is followed."""

    def __init__(self, address: str, token: Token) -> None:
        require_https(address)
        self._address, self._token = address.rstrip("/"), token
        self._watch = Watch(_limits.REGISTRY_SECONDS)
        self._requests = new_session(address, self._watch)
        self._requests.headers["Accept"] = "application/vnd.inveniordm.v1+json, application/json;q=0.9"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        values: Any = None,
        params: Mapping[str, Any] | None = None,
        opened: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> Any:
        """Return what the service answers, as plain values; again after a while if it is overloaded.

        Parameters
        ----------
        method, path, params
            What to ask for.
        values
            Plain values to send.
        opened
            Opens the file to send instead; it is streamed, and read again if it has to be sent again.

        Raises
        ------
        OSError
            If the service cannot be reached or refuses, with its reason; ``PermissionError`` and ``FileNotFoundError``
            if it says so.
        """
        return retry(lambda: self._once(method, path, values, params, opened))

    def _once(self, method: str, path: str, values: Any, params: Any, opened: Any) -> Any:
        """Ask once.

        Errors of the library hold the request with its headers. They end here, as does a token that the service
        repeats.
        """
        url, what = address_below(self._address, *path.split("/")), f"{method} {self._address}/{path}"
        self._watch.start()
        try:
            with opened() if opened else nullcontext() as file:
                sent = {"json": values} if file is None else {"data": _Watched(file, self._watch), "headers": _BINARY}
                response = self._requests.request(
                    method, url, params=params, auth=self._token, stream=True, timeout=_TIMEOUT, **sent
                )
            with Answer(response, self._watch) as answer:
                text = self._token.hidden_in(answer.whole(ANSWER_BYTES))
            why = ""
        except requests.RequestException as error:
            why = self._watch.broken or f"no answer ({type(error).__name__})"
        except TransferError as error:
            why = str(error)
        finally:
            self._watch.stop()
        if why:  # of a slow service, once is enough
            message = f"{what}: {why}"
            raise (TryLaterError if method in _REPEATABLE and not self._watch.broken else OSError)(message)
        if len(text) > ANSWER_BYTES:
            message = f"{what}: sends more than {ANSWER_BYTES} bytes"
            raise OSError(message)
        return self._understood(method, what, answer, text)

    def _understood(self, method: str, what: str, answer: Answer, text: bytes) -> Any:
        status = answer.status_code
        if status in REDIRECTS:
            place = self._host(answer.headers.get("Location", ""))
            message = f"{what}: sends us to {place}, where the token does not go"
            raise OSError(message)
        try:
            values = parse_json(text) if text else None
        except ValueError:
            page = "a web page" if b"<html" in text[:1000].lower() else "no JSON"
            values = f"the answer is {page}"
            if status < _FAILED:
                message = f"{what}: {values}"
                raise OSError(message) from None
        if status < _FAILED:
            return values
        kind = {_UNKNOWN: PermissionError, _FORBIDDEN: PermissionError, _NOT_FOUND: FileNotFoundError}.get(
            status, OSError
        )
        hint = "; is the token of this service, and may it do this?" if kind is PermissionError else ""
        message = f"{what}: {status} {for_message(reason(values), 1000)}{hint}"
        if answer.is_overloaded and _may_repeat(method, status):
            raise TryLaterError(message, answer.asked_wait)
        raise kind(message)

    def _host(self, place: str) -> str:
        try:
            return origin_of(join_address(self._address, place)).host if place else "another address"
        except AddressError:
            return "another address"


class _Watched:
    """A file that is sent; it reports to the watch how much of it was."""

    def __init__(self, file: Any, watch: Watch) -> None:
        self._file, self._watch = file, watch

    def __len__(self) -> int:
        return len(self._file)

    def read(self, size: int = -1) -> bytes:
        chunk: bytes = self._file.read(size)
        self._watch.moved(len(chunk))
        return chunk


def reason(values: Any) -> str:
    """Return why a service refused: its message, and what it says of each field."""
    if not isinstance(values, dict):
        return str(values or "")[:_MOST_TEXT]
    parts = [str(values.get("message", ""))[:_MOST_TEXT]]
    errors = values.get("errors")
    for one in errors if isinstance(errors, list) else []:
        if isinstance(one, dict):
            said = one.get("messages", one.get("message", ""))
            parts.append(f"{one.get('field', '')}: {said}"[:_MOST_TEXT])
    return "; ".join(filter(None, parts))


def _may_repeat(method: str, status: int) -> bool:
    """Return whether a request may be repeated: it was not carried out, or carrying it out again changes nothing."""
    return method in _REPEATABLE or status in {_TOO_MANY, _UNAVAILABLE}

"""Let in only who knows the token, under the server's own name and from its own page."""

from __future__ import annotations

from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from secrets import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ._settings import Settings

#: Nothing but what the server itself sends: no scripts or styles within pages, no frames, no forms, no other hosts.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_SAFE = {"GET", "HEAD"}
_ASK = (
    "this address lacks the token: open the address that scarches-plus app printed, or send Authorization: Bearer TOKEN"
)


class Guard:
    """Checks Host, Origin and token of every request, and adds headers to every answer.

    Parameters
    ----------
    app
        What answers those who pass.
    settings
        Token and names of the server.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        # what the browser keeps opens this page, but is not the token that programs send
        self._pass = sha256(b"browser " + settings.token.encode()).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refused(scope)
        await (self._app if refused is None else refused)(scope, receive, send_with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        """Return the answer to a request that does not pass, ``None`` for one that does."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self._settings.hosts or len(headers.getlist("host")) != 1:
            return _error(403, "this server is not visited under that name; see --allowed-host")
        origin = headers.get("origin")
        if origin is not None and not _is_of(origin, host):
            return _error(403, "requests from other pages are not answered")
        sent = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and sent:
            return self._welcome(sent, host, secure=headers.get("x-forwarded-proto", "").lower() == "https")
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer.strip()):
            return None
        if not _same(_cookie(headers, cookie_name(host)), self._pass):
            return _unknown(scope["path"])
        same_origin = origin is not None or headers.get("sec-fetch-site") == "same-origin"
        if scope["method"] not in _SAFE and not same_origin:
            return _error(403, "requests that change something have to say that they come from this page")
        if headers.get("sec-fetch-site") == "cross-site" and scope["path"] != "/":
            return _error(403, "requests from other pages are not answered")
        return None

    def _welcome(self, token: str, host: str, *, secure: bool) -> Response:
        """Take the token out of the address, and give the browser a cookie instead."""
        if not self._is_token(token):
            return _unknown("/")
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(cookie_name(host), self._pass, httponly=True, samesite="lax", path="/", secure=secure)
        return answer

    def _is_token(self, given: str) -> bool:
        return _same(given, self._settings.token)


def _same(given: str, wanted: str) -> bool:
    return compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def cookie_name(host: str) -> str:
    """Return the name of the cookie: browsers share cookies among all ports of a host."""
    port = host.rpartition(":")[2]
    return f"scarches_plus_{port if port.isdigit() else 'page'}"


def _is_of(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _unknown(path: str) -> Response:
    return _error(401, _ASK) if path.startswith("/api/") else PlainTextResponse(_ASK, status_code=401)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)

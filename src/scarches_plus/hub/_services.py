"""Where models are published, and whose secrets go where."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_SECRET = re.compile(r"[\x21-\x7e]+")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Service:
    """An address, and the environment variable with the token for it."""

    address: str
    variable: str


SERVICES = {
    "zenodo": Service("https://zenodo.org", "ZENODO_TOKEN"),
    "zenodo sandbox": Service("https://sandbox.zenodo.org", "ZENODO_SANDBOX_TOKEN"),
    "huggingface": Service("https://huggingface.co", "HF_TOKEN"),
}


class Token:
    """A secret that no message, log or traceback shows; requests takes it as ``auth``, and drops it where it is sent elsewhere.

    Raises
    ------
    ValueError
        If it cannot stand in a header; without showing it.
    """

    def __init__(self, text: str) -> None:
        self._text = text.strip() if isinstance(text, str) else ""
        del text  # errors show local variables
        if not _SECRET.fullmatch(self._text):
            message = "a token is one word of letters, digits and signs; copy it again"
            raise ValueError(message) from None

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._text}"
        return request

    def __repr__(self) -> str:
        return "Token(hidden)"

    def reveal(self) -> str:
        """Return the secret, for a library that sends it."""
        return self._text

    def hidden_in(self, text: bytes) -> bytes:
        """Return a text without the secret, should a server repeat it."""
        return text.replace(self._text.encode(), b"[token]")


def token_for(service: Service, token: Token | None) -> Token:
    """Return the token that was given, or that of the environment.

    Raises
    ------
    ValueError
        If there is none.
    """
    if token is not None:
        return token
    if not os.environ.get(service.variable):
        message = f"{service.address} asks for a token: make one there, and pass token= or set {service.variable}"
        raise ValueError(message)
    return Token(os.environ[service.variable])


def service_of(url: str) -> Service | None:
    """Return the service that an address belongs to."""
    return next((one for one in SERVICES.values() if origin(url) == origin(one.address)), None)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return what a token is for: scheme, host and port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)

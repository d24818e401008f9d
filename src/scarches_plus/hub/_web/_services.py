"""Look up access tokens of services, each sent to its own service only."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from scarches_plus._http import Origin, origin_of

_SECRET = re.compile(r"[\x21-\x7e]+")


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
    """A secret that no message, log or traceback shows; requests takes it as ``auth``.

    Parameters
    ----------
    text
        The secret.
    address
        Address of the service that it is for; it is sent nowhere else, and nowhere at all without.

    Raises
    ------
    ValueError
        If it cannot stand in a header; without showing it.
    """

    def __init__(self, text: str, address: str | None = None) -> None:
        self._text = text.strip() if isinstance(text, str) else ""
        self._origin: Origin | None = None if address is None else origin_of(address)
        del text  # errors show local variables
        if not _SECRET.fullmatch(self._text):
            message = "a token is one word of letters, digits and signs; copy it again"
            raise ValueError(message) from None

    def __call__(self, request: Any) -> Any:
        """Put the secret into the header of a prepared request, if it goes where the secret is for.

        Raises
        ------
        PermissionError
            If it goes anywhere else.
        """
        there = origin_of(request.url)
        if there != self._origin:
            message = f"the token is not sent to {there.host}: it is for another service"
            raise PermissionError(message)
        request.headers["Authorization"] = f"Bearer {self._text}"
        return request

    def __repr__(self) -> str:
        return "Token(hidden)"

    def at(self, address: str) -> Token:
        """Return the token for a service."""
        return Token(self._text, address)

    def reveal(self) -> str:
        """Return the secret, for a library that sends it."""
        return self._text

    def hidden_in(self, text: bytes) -> bytes:
        """Return a text without the secret, should a server repeat it."""
        return text.replace(self._text.encode(), b"[token]")


def token_for(service: Service, token: Token | None) -> Token:
    """Return the token that was given, or that of the environment, for a service and no other.

    Raises
    ------
    ValueError
        If there is none.
    """
    if token is not None:
        return token.at(service.address)
    if not os.environ.get(service.variable):
        message = f"{service.address} asks for a token: make one there, and pass token= or set {service.variable}"
        raise ValueError(message)
    return Token(os.environ[service.variable], service.address)


def service_of(url: str) -> Service | None:
    """Return the service that an address belongs to."""
    return next((one for one in SERVICES.values() if origin_of(url) == origin_of(one.address)), None)

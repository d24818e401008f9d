"""Define the interface of registries that models are uploaded to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, get_args

from scarches_plus import _arguments as check
from scarches_plus.hub._web._services import SERVICES, token_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scarches_plus.hub._web._services import Token

    from ._parcel import Parcel, Upload

Backend = Literal["zenodo", "huggingface"]


class Registry(Protocol):
    """Lists, sends, publishes and deletes the uploads of an account."""

    def __enter__(self) -> Registry: ...

    def __exit__(self, *_: object) -> None: ...

    def uploads(self) -> Iterator[Upload]:
        """Return all uploads."""

    def send(self, parcel: Parcel) -> Upload:
        """Return a draft with all files of a bundle, going on where an earlier call broke off."""

    def publish(self, upload: Upload, parcel: Parcel) -> Upload:
        """Publish a draft."""

    def delete_draft(self, name: str) -> None:
        """Delete a draft."""


def open_registry(backend: Backend, token: Token | None, *, sandbox: bool) -> Registry:
    """Return a registry, to be used in a ``with`` statement.

    Raises
    ------
    ValueError
        If there is no such registry, or no token for it.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.choice("backend", backend, get_args(Backend))
    if backend == "huggingface":
        from ._huggingface import HuggingFace

        if sandbox:
            message = "Hugging Face has no sandbox; pass sandbox=False (a repository is private until publish=True)"
            raise ValueError(message)
        service = SERVICES[backend]
        return HuggingFace(backend, service.address, token_for(service, token))
    from ._zenodo import Zenodo

    name = "zenodo sandbox" if sandbox else "zenodo"
    return Zenodo(name, SERVICES[name].address, token_for(SERVICES[name], token))

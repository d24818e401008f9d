"""Delete an unpublished draft from a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._registries._registry import open_registry
from ._web._services import Token

if TYPE_CHECKING:
    from ._registries._registry import Backend


def delete_draft(name: str, *, token: str | None = None, backend: Backend = "zenodo", sandbox: bool = True) -> None:
    """Delete a draft and its files from a registry. What is published stays.

    Parameters
    ----------
    name
        ``id`` of an :class:`Upload`.
    token, backend, sandbox
        As in :func:`upload`.

    Raises
    ------
    ValueError
        If it is published, or there is no token.
    OSError
        If there is no such draft, or the registry cannot be reached or refuses.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    try:
        secret = None if token is None else Token(token)
    finally:
        del token  # errors show local variables
    check.texts(name=name)
    check.flags(sandbox=sandbox)
    with open_registry(backend, secret, sandbox=sandbox) as registry:
        registry.delete_draft(name)

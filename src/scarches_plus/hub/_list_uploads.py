"""List the uploads of an account at a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check

from ._registries._registry import open_registry
from ._web._services import Token

if TYPE_CHECKING:
    from ._registries._parcel import Upload
    from ._registries._registry import Backend


def list_uploads(*, token: str | None = None, backend: Backend = "zenodo", sandbox: bool = True) -> list[Upload]:
    """Return all records of an account, drafts included, newest first.

    Parameters
    ----------
    token, backend, sandbox
        As in :func:`upload`.

    Returns
    -------
    list of Upload
        At Hugging Face the repositories that hold a bundle, each as it is now.

    Raises
    ------
    OSError
        If the registry cannot be reached or refuses.
    ValueError
        If there is no token.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    try:
        secret = None if token is None else Token(token)
    finally:
        del token  # errors show local variables
    check.flags(sandbox=sandbox)
    with open_registry(backend, secret, sandbox=sandbox) as registry:
        return list(registry.uploads())

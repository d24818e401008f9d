"""Upload a bundle to a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from scarches_plus import _arguments as check
from scarches_plus._files import current
from scarches_plus._logging import logger
from scarches_plus.bundle import all_files, verify_bundle

from ._registries._parcel import Parcel, Upload
from ._registries._registry import Backend, open_registry
from ._web._services import Token

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scarches_plus.bundle import Manifest

__all__ = ["Upload", "upload"]


def upload(
    bundle: str | Path,
    *,
    token: str | None = None,
    backend: Backend = "zenodo",
    sandbox: bool = True,
    publish: bool = False,
    new_version_of: str | None = None,
    restricted: bool = False,
    creators: Sequence[str] = (),
    allow_cells: bool = False,
    progress: bool = True,
) -> Upload:
    """Send a bundle to Zenodo or Hugging Face: as a draft, or for good with ``publish=True``.

    The bundle is verified, sent file by file, and compared with what arrived. A call that broke off is repeated: what
    is there already is known by its hash and not sent again, whether it is a draft or published. The DOI of a draft is
    reserved; it is not written into the bundle, whose files are pinned, but returned, and kept by :func:`write_index`.

    Parameters
    ----------
    bundle
        Folder of a bundle whose card has a name, a version and a license.
    token
        Access token of the registry, with scopes ``deposit:write`` and ``deposit:actions`` at Zenodo. By default that
        of the environment: ``ZENODO_SANDBOX_TOKEN``, ``ZENODO_TOKEN`` or ``HF_TOKEN``. It is sent in a header, to the
        registry only, and never shown.
    backend
        ``"zenodo"`` (DOIs, citable) or ``"huggingface"`` (needs huggingface_hub: ``scarches-plus[huggingface]``).
    sandbox
        Use Zenodo's sandbox, which has its own accounts and whose DOIs lead nowhere. Hugging Face has none.
    publish
        Make it public. At Zenodo this cannot be undone, and the files never change again: look at the draft first.
    new_version_of
        Id or DOI of a published record, or name of a repository, of which this is the next version.
    restricted
        Show the record to all, and its files only to those whom its owner lets in.
    creators
        Who is cited: ``"Family, Given"`` for people, anything else is a group. By default the contacts of the card,
        without addresses.
    allow_cells
        Send data of single cells (anchors, reference cells) as well, if the bundle holds any.
    progress
        Show progress.

    Returns
    -------
    Upload
        Where it lies, and its DOI.

    Raises
    ------
    BundleError
        If the bundle is damaged.
    ValueError
        If the card lacks what the registry asks for, cells would be sent unasked, there is no token, or the registry
        does not take it; if it is there already, but is no version of ``new_version_of``, or is published with other
        access than ``restricted`` says.
    OSError
        If the registry cannot be reached or refuses; the next call goes on.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    try:
        secret = None if token is None else Token(token)
    finally:
        del token  # errors show local variables
    check.choice("backend", backend, get_args(Backend))
    check.texts_or_none(new_version_of=new_version_of)
    check.flags(sandbox=sandbox, publish=publish, restricted=restricted, allow_cells=allow_cells, progress=progress)
    creators = check.names("creators", creators, or_one=True)
    folder = current(check.path("bundle", bundle).absolute())
    if folder.is_file():
        message = f"{folder} is a file: unpack it, since a bundle is sent file by file"
        raise ValueError(message)
    manifest = verify_bundle(folder)
    parcel = Parcel(
        folder=folder,
        manifest=manifest,
        files=all_files(folder, manifest),
        creators=_creators(manifest, creators),
        publish=publish,
        restricted=restricted,
        new_version_of=new_version_of,
        progress=progress,
    )
    _require_fit(parcel, allow_cells=allow_cells)
    with open_registry(backend, secret, sandbox=sandbox) as registry:
        sent = registry.send(parcel)
        if sent.state == "published" or not publish:
            logger.info("%s %s is %s: %s", manifest.card.name, manifest.card.version, sent.state, sent.url)
            return sent
        return registry.publish(sent, parcel)


def _creators(manifest: Manifest, given: Sequence[str]) -> list[str]:
    """Return who is cited; addresses of contacts stay in the card."""
    contacts = [
        " ".join(word for word in one.split() if "@" not in word).strip(" ,;") for one in manifest.card.contacts
    ]
    return [one for one in given or contacts if one]


def _require_fit(parcel: Parcel, *, allow_cells: bool) -> None:
    card, folder = parcel.manifest.card, parcel.folder
    missing = [name for name in ("name", "version", "license") if not getattr(card, name)]
    if missing:
        message = f"the card of {folder} needs {missing}: save_bundle(..., card={{{missing[0]!r}: ...}})"
        raise ValueError(message)
    if not parcel.creators:
        message = f"nobody is cited: pass creators=['Family, Given', ...], or give the card of {folder} contacts"
        raise ValueError(message)
    held = [name for name in ("anchors", "reference") if getattr(parcel.manifest, name) is not None]
    if held and not allow_cells:
        message = f"{folder} holds data of single cells ({', '.join(held)}); save it without, or pass allow_cells=True"
        raise ValueError(message)

"""Upload bundles to Hugging Face with huggingface_hub.

A model is a repository, a version a commit and a tag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from scarches_plus._http import address_below
from scarches_plus._limits import MANIFEST_BYTES
from scarches_plus._logging import logger
from scarches_plus._text import for_message
from scarches_plus.bundle import CHECKSUMS, MANIFEST, read_file, sha256_of
from scarches_plus.hub._indexes._index import FILE

from ._parcel import Upload

if TYPE_CHECKING:
    from collections.abc import Container

    from scarches_plus.bundle import Card
    from scarches_plus.hub._web._services import Token

    from ._parcel import Parcel


class HuggingFace:
    """Repositories of one account. A private one is a draft."""

    def __init__(self, name: str, address: str, token: Token) -> None:
        try:
            from huggingface_hub import HfApi
        except ImportError as error:
            message = "backend='huggingface' needs huggingface_hub: pip install 'scarches-plus[huggingface]'"
            raise ImportError(message) from error
        self._name, self._address, self._token = name, address, token
        self._api: Any = HfApi(endpoint=address, token=token.reveal(), library_name="scarches_plus")

    def __enter__(self) -> HuggingFace:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def uploads(self) -> Iterator[Upload]:
        """Return the repositories that hold a bundle, as they are now."""
        for one in self._ask("list_models", author=self._ask("whoami")["name"]):
            info = self._info(one.id)
            if _is_bundle(info):
                yield self._upload(info, self._digest(info))

    def send(self, parcel: Parcel) -> Upload:
        """Return the repository with all files: private, unless it is public already.

        Raises
        ------
        ValueError
            If the repository holds something else, or is public and nothing is to be published, or is open to some and
            to be open to all.
        """
        card = parcel.manifest.card
        name = parcel.new_version_of or f"{self._ask('whoami')['name']}/{card.name}"
        if parcel.new_version_of is None:
            self._ask("create_repo", name, private=True, exist_ok=True)
        info = self._info(name)
        commit = info.sha
        tags = {one.name for one in self._ask("list_repo_refs", name).tags}
        different = self._different(name, commit, parcel)
        if different:
            self._require_room(info, parcel, tags)
        if not info.private:
            self._restrict(info, parcel)
        if different:
            commit = self._commit(name, parcel)
        if card.version not in tags:
            self._ask("create_tag", name, tag=card.version, revision=commit)
        return self._upload(self._info(name, commit), parcel.digest, card)

    def publish(self, upload: Upload, parcel: Parcel) -> Upload:
        """Make a repository public, to all or to whom its owner lets in."""
        gated = "manual" if parcel.restricted else False
        self._ask("update_repo_settings", upload.id, private=False, gated=gated)
        logger.info("%s: %s is public", self._name, upload.id)
        card = parcel.manifest.card
        return self._upload(self._info(upload.id, card.version), parcel.digest, card)

    def delete_draft(self, name: str) -> None:
        """Delete a private repository that holds a bundle."""
        info = self._info(name)
        if not info.private or not _is_bundle(info):
            message = f"{name} is {'no bundle' if info.private else 'public'}, and is not deleted here"
            raise ValueError(message)
        self._ask("delete_repo", name)
        logger.info("%s: %s is deleted", self._name, name)

    def _require_room(self, info: Any, parcel: Parcel, tags: Container[str]) -> None:
        version = parcel.manifest.card.version
        if parcel.new_version_of is None and _files(info):
            message = f"{info.id} holds something else; to add a version to its bundle, pass new_version_of={info.id!r}"
        elif parcel.new_version_of is not None and not _is_bundle(info):
            message = f"{info.id} holds no bundle"
        elif version in tags:
            message = f"{info.id} has a version {version} already, with other files; give the card another"
        elif not info.private and not parcel.publish:
            message = f"{info.id} is public: what is added is public at once; pass publish=True"
        else:
            return
        raise ValueError(message)

    def _restrict(self, info: Any, parcel: Parcel) -> None:
        """Make a public repository gated, if that is asked for: its owner then decides who may see it."""
        if info.gated and not parcel.restricted:
            message = f"{info.id} is open only to whom you let in; pass restricted=True, or open it there"
            raise ValueError(message)
        if parcel.restricted and not info.gated:
            self._ask("update_repo_settings", info.id, gated="manual")
            logger.info("%s: %s is open only to whom its owner lets in, from now on", self._name, info.id)

    def _commit(self, name: str, parcel: Parcel) -> str:
        """Send all files, and return the commit."""
        card = parcel.manifest.card
        commit: str = self._ask(
            "upload_folder",
            repo_id=name,
            folder_path=parcel.folder,
            allow_patterns=list(parcel.files),
            delete_patterns=["*.safetensors"],  # of the version before
            commit_message=f"{card.name} {card.version}",
        ).oid
        if different := self._different(name, commit, parcel):
            message = f"{name} has another {different[0]} than was sent; call again"
            raise OSError(message)
        logger.info("%s: %s has all %d files, the same on both sides", self._name, name, len(parcel.files))
        return commit

    def _digest(self, info: Any) -> str:
        """Return the sha256 of the manifest at a commit; git lists another hash."""
        with TemporaryDirectory() as folder:
            self._ask("hf_hub_download", info.id, MANIFEST, revision=info.sha, local_dir=folder)
            return sha256_of(read_file(Path(folder), MANIFEST, at_most=MANIFEST_BYTES))

    def _different(self, name: str, commit: str, parcel: Parcel) -> list[str]:
        """Return the files that are not the same at a commit."""
        found = {one.path: one for one in self._ask("get_paths_info", name, list(parcel.files), revision=commit)}
        return [file for file in parcel.files if not _is_same(found.get(file), parcel, file)]

    def _info(self, name: str, commit: str | None = None) -> Any:
        return self._ask("model_info", name, revision=commit)

    def _upload(self, info: Any, digest: str, card: Card | None = None) -> Upload:
        page = address_below(self._address, *info.id.split("/"))
        return Upload(
            backend=self._name,
            id=info.id,
            state="draft" if info.private else "published",
            title=(card.title or card.name) if card else info.id.split("/")[-1],
            version=card.version if card else "",
            url=page,
            files=f"{address_below(page, 'resolve', str(info.sha))}/{FILE}",
            manifest=digest,
        )

    def _ask(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        """Call the library.

        Its errors, and those below it, hold the request with its headers; those that are raised here do not.
        """
        try:
            answer = getattr(self._api, verb)(*args, **kwargs)
            return list(answer) if isinstance(answer, Iterator) else answer
        except Exception as error:  # noqa: BLE001
            said = f"{self._name}: {str(error) or type(error).__name__}".encode(errors="replace")
        raise OSError(for_message(self._token.hidden_in(said).decode(), 1000))


def _files(info: Any) -> set[str]:
    return {one.rfilename for one in info.siblings or ()} - {".gitattributes"}


def _is_bundle(info: Any) -> bool:
    return {MANIFEST, CHECKSUMS} <= _files(info)


def _is_same(found: Any, parcel: Parcel, name: str) -> bool:
    """Return whether a file has the hash that git (or Git LFS) lists for it."""
    if found is None or found.size != parcel.files[name].size:
        return False
    if found.lfs is not None:
        return found.lfs.sha256 == parcel.files[name].sha256
    contents = (parcel.folder / name).read_bytes()
    of_git = hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False)
    return found.blob_id == of_git.hexdigest()

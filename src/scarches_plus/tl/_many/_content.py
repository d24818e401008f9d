"""Hash the contents of files and folders, to tell whether a query or a reference has changed."""

from __future__ import annotations

import hashlib
import json
from glob import escape
from typing import TYPE_CHECKING

from scarches_plus.bundle import BUNDLE, MANIFEST, layout_at

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def hash_of_contents(path: Path) -> str:
    """Return a hash of a file, of all files in a folder, or of those whose names begin so."""
    if path.is_dir():
        return _hash_of((str(file.relative_to(path)), file) for file in sorted(path.rglob("*")) if file.is_file())
    files = [path] if path.is_file() else sorted(path.parent.glob(f"{escape(path.name)}*"))
    return _hash_of((file.name.removeprefix(path.name), file) for file in files if file.is_file())


def hash_of_reference(path: Path) -> str:
    """Return a hash of a reference; of a bundle, whose manifest has those of its files, without the date in it."""
    if layout_at(path) != BUNDLE:
        return hash_of_contents(path)
    manifest = json.loads((path / MANIFEST).read_bytes())
    manifest.pop("created", None)
    manifest.get("files", {}).pop("README.md", None)  # which says the date, too
    return hash_of_text(json.dumps(manifest, sort_keys=True))


def hash_of_text(*texts: str) -> str:
    """Return a hash of texts in their order."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _hash_of(files: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, file in files:
        with file.open("rb") as contents:
            digest.update(f"{name}\0{hashlib.file_digest(contents, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()

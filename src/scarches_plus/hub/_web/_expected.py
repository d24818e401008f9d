"""Verify the size and checksum of a fetched file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scarches_plus._text import for_message
from scarches_plus.bundle import BundleError, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable


def _git_id(contents: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest()


def _md5(contents: bytes) -> str:
    return hashlib.md5(contents, usedforsecurity=False).hexdigest()


_HASHES: dict[str, Callable[[bytes], str]] = {"sha256": sha256_of, "md5": _md5, "git": _git_id}


@dataclass(frozen=True)
class Expected:
    """Size and checksum that a file must have.

    Parameters
    ----------
    size
        In bytes.
    checksum
        Kind and digits: ``"sha256:..."``, ``"md5:..."`` or, as git names a file, ``"git:..."``.

    Raises
    ------
    BundleError
        If it is a checksum of another kind.
    """

    size: int
    checksum: str

    def __post_init__(self) -> None:
        if self.kind not in _HASHES:
            message = f"has a checksum of a kind that is not known here: {for_message(self.checksum, 60)!r}"
            raise BundleError(message)

    @property
    def kind(self) -> str:
        """Name of the hash."""
        return self.checksum.partition(":")[0]

    def fits(self, contents: bytes) -> bool:
        """Return whether contents have the size and the checksum."""
        return len(contents) == self.size and _HASHES[self.kind](contents) == self.checksum.partition(":")[2]

"""Download files: resume them, compare size and checksum, put them in place in one step.

pooch downloads into a temporary that begins anew each time, and compares there: a kill or Ctrl-C meanwhile loses all
that has arrived. So what arrives is gathered in a ``.part`` beside the file, and compared where it lies.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from scarches_plus._files import open_part, open_regular, place_part
from scarches_plus._progress import progress_bar
from scarches_plus._text import for_message

from ._retry import retry
from ._send import Answer, TransferError, TryLaterError, chunks, follow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PARTIAL, _BEYOND = 206, 416
#: Hashes by their names in a checksum; git names a file by one that begins with its size, which pooch does not know.
_HASHES: dict[str, Callable[[int], Any]] = {
    "sha256": lambda _: hashlib.sha256(),
    "md5": lambda _: hashlib.md5(usedforsecurity=False),
    "git": lambda size: hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False),
}


class WrongFileError(TransferError):
    """A server sends something else than the file."""


@dataclass(frozen=True)
class Expected:
    """Checksum and size that a file must have.

    Parameters
    ----------
    checksum
        Kind and digits: ``"sha256:..."``, ``"md5:..."`` or, as git names a file, ``"git:..."``.
    size
        In bytes, if it is known.

    Raises
    ------
    ValueError
        If it is a checksum of another kind.
    """

    checksum: str
    size: float = math.inf

    def __post_init__(self) -> None:
        if self.kind not in _HASHES:
            message = f"has a checksum of a kind that is not known here: {for_message(self.checksum, 60)!r}"
            raise ValueError(message)

    @property
    def kind(self) -> str:
        """Name of the hash."""
        return self.checksum.partition(":")[0]

    def is_at(self, path: Path) -> bool:
        """Return whether there is a file of this size and checksum."""
        if not path.is_file() or self.size not in {math.inf, path.stat().st_size}:
            return False
        with open_regular(path.resolve()) as file:
            return self.fits(file, os.fstat(file.fileno()).st_size)

    def fits(self, file: BinaryIO, size: int) -> bool:
        """Return whether an open file of this many bytes has the size and checksum."""
        digest = hashlib.file_digest(file, lambda: _HASHES[self.kind](size)).hexdigest()  # type: ignore[arg-type]
        return self.size in {math.inf, size} and f"{self.kind}:{digest}" == self.checksum


@dataclass
class Download:
    """Download of a file that goes on where an earlier transfer broke off.

    Parameters
    ----------
    expected
        What the file has to be.
    part
        File beside which ``.part`` gathers what arrives.
    get
        Asks for an address with headers, such as with a token.
    tries
        How often to ask while the server is overloaded or the connection breaks off.
    progress
        Show progress.

    Attributes
    ----------
    resumed
        Whether some of it was there before.
    head
        Its first bytes.
    """

    expected: Expected
    part: Path
    get: Callable[[str, dict[str, str]], Answer] = follow
    tries: int = 1
    progress: bool = True
    resumed: bool = False
    head: bytes = b""

    def place(self, url: str, target: Path) -> None:
        """Download a file and put it in place.

        It is asked for once more from its beginning if what had arrived before was of something else.

        Raises
        ------
        OSError
            :class:`WrongFileError` if something else comes, :class:`TransferError` if nothing does; what has arrived is
            then kept.
        """
        for _ in range(2):
            part = self._arrive(url)
            if self.expected.is_at(part):
                return place_part(part, target)
            part.unlink()
            if not self.resumed:
                break
        hint = "; it is a web page" if self.head.lstrip().lower().startswith((b"<!doctype", b"<html")) else ""
        message = f"sent something else than the file (wrong {self.expected.kind}{hint})"
        raise WrongFileError(message)

    def _arrive(self, url: str) -> Path:
        """Fetch what is missing of a file, and return where it has arrived."""
        file, part = open_part(self.part)
        with file:
            try:
                whole = self.expected.size == file.seek(0, os.SEEK_END)  # an earlier call was stopped before the end
                self.resumed = whole or retry(lambda: self._go_on(url, file), tries=self.tries)
            except BaseException:
                if not file.seek(0, os.SEEK_END):
                    part.unlink(missing_ok=True)
                raise
            file.seek(0)
            self.head = file.read(40)
        return part

    def _go_on(self, url: str, file: BinaryIO) -> bool:
        """Fetch what is missing, and no more than the size that is known; return whether something was there before."""
        size, start = self.expected.size, file.seek(0, os.SEEK_END)
        with self.get(url, {"Range": f"bytes={start}-"} if start else {}) as answer:
            if answer.status_code == _BEYOND and start:  # what has arrived is of another file
                file.truncate(0)
                message = "has less than what arrived before"
                raise TryLaterError(message, 0.0)
            answer.require_success()
            resumed: bool = answer.status_code == _PARTIAL
            if not resumed:
                # before anything takes the place of what has arrived
                if size < math.inf and answer.length not in {None, size}:
                    kind = " of a web page" if "html" in answer.headers.get("Content-Type", "") else ""
                    message = f"sends {answer.length} bytes{kind}, and the file has {size}"
                    raise WrongFileError(message)
                file.seek(0)
                file.truncate()
            with progress_bar(answer.length, self.part.name, unit="B", unit_scale=True, shown=self.progress) as bar:
                for chunk in chunks(answer):
                    if file.tell() + len(chunk) > size:
                        file.truncate(0)
                        message = f"sends more than the {size} bytes of the file"
                        raise WrongFileError(message)
                    file.write(chunk)
                    bar.update(len(chunk))
        if file.tell() < size < math.inf:
            message = f"has delivered {file.tell()} of {size} bytes"
            raise TryLaterError(message)
        return resumed

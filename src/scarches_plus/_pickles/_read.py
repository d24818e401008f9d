"""Read torch files and pickles as plain values."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, NoReturn

from scarches_plus._limits import MODEL_BYTES

from ._archive import N_LAST, members_of, require_end
from ._former_torch import MAGIC, former_parts_of
from ._identify import LOOKED_AT, describe
from ._opcodes import parse
from ._records import FETCH, TRUST, Pairs, Record, UnsafeFileError
from ._values import Maker, is_mapping, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path


class Content:
    """Part of a file; its values are made when :meth:`make` is called, not before.

    Parameters
    ----------
    path
        The file, for messages.
    node
        The part.
    maker
        Makes values of it.
    """

    def __init__(self, path: Path, node: Any, maker: Maker) -> None:
        self._path = path
        self._node = node
        self._maker = maker

    def parts(self) -> dict[str, Content]:
        """Return the parts of a dictionary by name.

        Raises
        ------
        UnsafeFileError
            If it is no dictionary.
        """
        node = self._node
        if not isinstance(node, Pairs) and not (isinstance(node, Record) and is_mapping(node)):
            self._named(lambda: refuse_unknown(node))
            message = (
                f"{self._path} holds no model of scvi-tools: a {type(node).__name__} where a dictionary is expected"
            )
            raise UnsafeFileError(message)
        return {key: Content(self._path, value, self._maker) for key, value in node.pairs if isinstance(key, str)}

    def make(self) -> Any:
        """Return the value: tensors, arrays, tables (:class:`Table`) and plain values.

        Raises
        ------
        UnsafeFileError
            If it is damaged, far larger than the file, or holds anything that is not known to be harmless.
        """
        return self._named(lambda: self._maker.make(self._node))

    def make_but(self, left_out: Collection[str]) -> dict[str, Any]:
        """Return the values of a dictionary but for some, which are not looked at."""
        return {name: one.make() for name, one in self.parts().items() if name not in left_out}

    def _named(self, make: Callable[[], Any]) -> Any:
        """Return what is made, with errors that name the file."""
        try:
            return make()
        except UnsafeFileError as error:
            refuse(self._path, str(error))
        except (
            ValueError,
            TypeError,
            OverflowError,
            RuntimeError,
        ) as error:  # of numpy and torch, about a damaged file
            refuse(self._path, f"{FETCH} ({type(error).__name__}: {error})")


def read_torch_file(path: Path) -> Content:
    """Read what ``torch.save`` wrote, of any release, without making anything of it yet.

    Parameters
    ----------
    path
        The file. It is read whole.

    Raises
    ------
    UnsafeFileError
        If it is damaged (torch itself does not look at checksums) or something else; the message says what it is.
    OSError
        If it cannot be read.
    """
    contents = memoryview(_bytes_of(path, _require_archive))
    if contents[: len(MAGIC)] == MAGIC:
        try:
            node, n_steps, storages = former_parts_of(contents)
        except UnsafeFileError as error:
            refuse(path, str(error))
        return Content(path, node, Maker(len(contents), n_steps, storages))
    try:
        members = members_of(contents)
    except UnsafeFileError as error:
        what = describe(bytes(contents[:LOOKED_AT]), len(contents))
        message = f"{path} {error}" if what is None else f"{path} is {what}"
        raise UnsafeFileError(message) from error
    if "data.pkl" not in members:
        refuse(path, "it is an archive that torch.save did not write: it holds no data.pkl")
    if bytes(members.get("byteorder", b"little")).strip() != b"little":
        refuse(path, "it was written by a machine of another byte order; write it on one of today's")
    storages = {name.removeprefix("data/"): one for name, one in members.items() if name.startswith("data/")}
    return _content(path, members["data.pkl"], len(contents), storages)


def read_pickle_file(path: Path) -> Content:
    """Read a pickle of protocol 2 to 5, without making anything of it yet.

    Parameters
    ----------
    path
        The file. It is read whole.

    Raises
    ------
    UnsafeFileError
        If it is damaged or something else; the message says what it is.
    OSError
        If it cannot be read.
    """
    contents = _bytes_of(path, _require_pickle)
    return _content(path, memoryview(contents), len(contents), {})


def refuse(path: Path, why: str) -> NoReturn:
    """Refuse a file."""
    message = f"{path} is refused: {why}"
    raise UnsafeFileError(message)


def _content(path: Path, pickled: memoryview, n_bytes: int, storages: dict[str, memoryview]) -> Content:
    try:
        node, n_steps = parse(pickled)
    except UnsafeFileError as error:
        refuse(path, str(error))
    return Content(path, node, Maker(n_bytes, n_steps, storages))


def _bytes_of(path: Path, require: Callable[[bytes, bytes, int], None]) -> bytes:
    """Return the contents of a regular file; a link to one is followed, as caches of models are made of links.

    Parameters
    ----------
    path
        The file.
    require
        Refuses a file by its first and last bytes and its size, before it is read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    found = os.fstat(handle)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(found.st_mode):
            refuse(path, "it is no regular file")
        if found.st_size > MODEL_BYTES:
            refuse(path, f"it has {found.st_size} bytes, more than any model; {TRUST}")
        start = file.read(LOOKED_AT)
        file.seek(max(0, found.st_size - N_LAST))
        try:
            require(start, file.read(N_LAST), found.st_size)
        except UnsafeFileError as error:
            message = f"{path} {error}"
            raise UnsafeFileError(message) from error
        file.seek(0)
        return file.read(found.st_size)


def _require_archive(start: bytes, last: bytes, n_bytes: int) -> None:
    if start.startswith(MAGIC):
        return
    try:
        require_end(last)
    except UnsafeFileError as error:
        what = describe(start, n_bytes)
        raise error if what is None else UnsafeFileError(f"is {what}") from error


def _require_pickle(start: bytes, _: bytes, n_bytes: int) -> None:
    if not start.startswith(b"\x80"):
        message = f"is {describe(start, n_bytes) or 'an archive, and no pickle'}"
        raise UnsafeFileError(message)

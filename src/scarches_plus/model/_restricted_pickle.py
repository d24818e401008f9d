"""Pickles of scvi-tools, read without letting them call anything."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path

#: All that a model file of scvi-tools may call. None of it does anything but build values.
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("builtins", "complex"),
    ("builtins", "dict"),
    ("builtins", "frozenset"),
    ("builtins", "list"),
    ("builtins", "set"),
    ("builtins", "slice"),
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}
#: What ``torch.save`` writes. Of other archives, torch makes TorchScript, which is code.
_MEMBER = re.compile(
    r"[^/]+/(data\.pkl|data/\d+|version|byteorder|\.data/serialization_id|\.format_version|\.storage_alignment)"
)
#: Tables that no one asks for: training history, above all. What they would call is not called.
_TABLES = {"pandas", "pyarrow"}


class UnsafeFileError(ValueError):
    """A file asks for more than a model needs, or is damaged."""


class _Table:
    """Stands for a table, and ignores what it is made of."""

    def __new__(cls, *_: Any, **__: Any) -> _Table:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass

    def __setitem__(self, *_: Any) -> None:
        pass


def _no_bytes() -> bytes:
    """Return what old protocols call ``bytes()`` for; with a number it would take any amount of memory."""
    return b""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names, if that is allowed."""
        module = "builtins" if module == "__builtin__" else module  # as old protocols call it
        if (module, name) == ("builtins", "bytes"):
            return _no_bytes
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        if module.split(".")[0] in _TABLES:
            return _Table
        message = f"it wants to call {module}.{name}"
        raise UnsafeFileError(message)


#: What torch takes for a pickle module.
_PICKLE = SimpleNamespace(Unpickler=_Unpickler, __name__="restricted_pickle")


def load_restricted(path: Path) -> Any:
    """Return what ``torch.save`` wrote, if it holds tensors, arrays and plain values only; tables are left out.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    UnsafeFileError
        If the file is damaged (torch itself does not look at checksums), of another format (TorchScript and the formats
        before torch 1.6 are), or names anything else.
    """
    contents = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            file = _copied(archive, path, at_most=len(contents))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        start = contents[:40].lstrip().lower()
        what = "a web page" if start.startswith((b"<!doctype", b"<html")) else "no file of torch, or was cut off"
        message = f"{path} is {what}: {error}"
        raise UnsafeFileError(message) from error
    try:
        return torch.load(file, map_location="cpu", pickle_module=_PICKLE, weights_only=False)
    except UnsafeFileError as error:
        message = f"{path} is refused: {error}, which a model does not need. If you trust it, pass trust_pickle=True"
        raise UnsafeFileError(message) from error
    except Exception as error:  # a damaged pickle fails in any way there is
        message = f"{path} is no model file: {type(error).__name__}: {error}"
        raise UnsafeFileError(message) from error


def _copied(archive: zipfile.ZipFile, path: Path, *, at_most: int) -> io.BytesIO:
    """Return what ``torch.save`` wrote as a new archive, so that torch sees what was looked at and nothing else."""
    members = archive.infolist()
    packed = [one.filename for one in members if one.compress_type != zipfile.ZIP_STORED]
    if packed or sum(one.file_size for one in members) > at_most:
        message = f"{path} is packed, as torch never does"
        raise UnsafeFileError(message)
    names = [one.filename.partition("/")[2] for one in members]
    stray = [one.filename for one in members if not _MEMBER.fullmatch(one.filename)]
    if stray or len(set(names)) < len(names):
        what = f"it holds {stray[0]!r}" if stray else "it holds a member twice"
        message = f"{path} is refused: {what}, which torch.save does not write; TorchScript is code, and no model"
        raise UnsafeFileError(message)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as copy:
        for member, name in zip(members, names, strict=True):
            try:
                copy.writestr(f"archive/{name}", archive.read(member))
            except zipfile.BadZipFile as error:
                message = f"{path} is damaged: {member.filename}"
                raise UnsafeFileError(message) from error
    file.seek(0)
    return file

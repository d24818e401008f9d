"""Pickles of scvi-tools, read without letting them call anything."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
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
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}
#: How many times as much as its bytes a file may describe: tensors may share their storage, as an importance and its weights do.
_MOST_SHARED = 4
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


def _latin1(text: str, encoding: str = "") -> bytes:
    """Return what old protocols write bytes as; other encodings, one after another, would take any amount of memory."""
    if not isinstance(text, str) or encoding != "latin1":
        message = f"it wants to encode {type(text).__name__} as {encoding!r}"
        raise UnsafeFileError(message)
    return text.encode(encoding)


def _empty_array(*_: Any) -> np.ndarray:
    """Return what pickles make an array from; whatever shape they ask for, it has none before its values are there."""
    return np.empty(0, dtype=bool)


#: What is called in the place of what could take memory that nothing in the file stands for.
_REPLACED = {
    ("builtins", "bytes"): _no_bytes,
    ("_codecs", "encode"): _latin1,
    ("numpy", "ndarray"): object,  # only ever an argument of the next two
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names, if that is allowed."""
        module = "builtins" if module == "__builtin__" else module  # as old protocols call it
        if (module, name) in _REPLACED:
            return _REPLACED[module, name]
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
        before torch 1.6 are), names anything else, or describes far more than it holds.
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
        content = torch.load(file, map_location="cpu", pickle_module=_PICKLE, weights_only=False)
        _require_room(content, _MOST_SHARED * len(contents))
        return content
    except UnsafeFileError as error:
        message = f"{path} is refused: {error}, which a model does not need. If you trust it, pass trust_pickle=True"
        raise UnsafeFileError(message) from error
    except Exception as error:  # a damaged pickle fails in any way there is
        message = f"{path} is no model file: {type(error).__name__}: {error}"
        raise UnsafeFileError(message) from error


def _require_room(content: Any, most: int) -> None:
    """Refuse what would be far larger than its file once it is copied: tensors that repeat a value, lists that hold a list often."""
    total, left = 0, [content]
    while left:
        one = left.pop()
        parts: Any = ()
        if isinstance(one, torch.Tensor):
            total += one.numel() * one.element_size()
        elif isinstance(one, np.ndarray):
            total += one.size * max(1, one.itemsize)
            parts = one.ravel().tolist() if one.dtype.hasobject and total <= most else ()
        elif isinstance(one, dict):
            parts = [*one, *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            parts = one
        total += len(parts)
        if total > most:
            message = "its tensors, arrays or lists are far larger than the file"
            raise UnsafeFileError(message)
        left.extend(parts)


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

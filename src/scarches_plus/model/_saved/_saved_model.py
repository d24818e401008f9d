"""Find and read saved models; nothing in their files is executed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from scarches_plus._arguments import at_home
from scarches_plus._limits import MODEL_ATTRIBUTES
from scarches_plus._pickles import FORMER_FILES, UnsafeFileError, read_torch_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODEL_FILE = "model.pt"
#: Attributes that scvi-tools saves and sets when it loads; others would take the place of methods.
_ATTRIBUTE = re.compile(r"(?!__)\w+_")
_WEIGHTS, _NAMES, _ATTRIBUTES = "model_state_dict", "var_names", "attr_dict"
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class SavedModel:
    """What a ``model.pt`` holds, as tensors and plain values.

    Attributes
    ----------
    path
        The file.
    weights
        Name to tensor.
    var_names
        Names of genes; by modality for a model of MuData.
    attributes
        Name to value of what scvi-tools saves of a model.
    refused
        Name to reason of attributes that are no plain values.
    """

    path: Path
    weights: Mapping[str, torch.Tensor]
    var_names: Any
    attributes: Mapping[str, Any]
    refused: Mapping[str, UnsafeFileError]

    def attribute(self, name: str) -> Any:
        """Return an attribute that a model has to have.

        Raises
        ------
        UnsafeFileError
            If it is missing, or is no plain value.
        """
        if name in self.refused:
            raise self.refused[name]
        if name not in self.attributes:
            message = f"{self.path} holds no model of scvi-tools 0.15 or later: it lacks {name}"
            raise UnsafeFileError(message)
        return self.attributes[name]


def model_name(saved: SavedModel) -> str:
    """Return the name of a model's class.

    Raises
    ------
    UnsafeFileError
        If it has none.
    """
    registry = saved.attribute("registry_")
    name = registry.get("model_name") if isinstance(registry, dict) else None
    if not isinstance(name, str):
        message = f"{saved.path} holds no model of scvi-tools 0.15 or later: its registry names no class"
        raise UnsafeFileError(message)
    return name


def locate(source: str | Path, prefix: str | None = None) -> tuple[Path, str]:
    """Return the folder and the prefix of a model that is named by its folder or by its file.

    Parameters
    ----------
    source
        Folder, or path of ``model.pt``; ``~`` is the home folder.
    prefix
        What file names in the folder begin with.

    Raises
    ------
    ValueError
        If a file has another prefix.
    """
    path = at_home(source)
    if not path.name.endswith(MODEL_FILE) or path.is_dir():
        return path, prefix or ""
    found = path.name.removesuffix(MODEL_FILE)
    if prefix is not None and prefix != found:
        message = f"{path} has the prefix {found!r} and not {prefix!r}; leave prefix out, or give the folder"
        raise ValueError(message)
    return path.parent, found


def read_model(folder: Path, prefix: str) -> SavedModel:
    """Read a ``model.pt`` of scvi-tools 0.15 or later, or of this package.

    Raises
    ------
    FileNotFoundError
        If there is none; the message says what is there instead.
    UnsafeFileError
        If it is damaged, or holds something else than a model.
    """
    path = folder / f"{prefix}{MODEL_FILE}"
    if not path.is_file():
        raise FileNotFoundError(_what_is_there(folder, prefix))
    parts = read_torch_file(path).parts()
    lacking = {_WEIGHTS, _NAMES, _ATTRIBUTES} - set(parts)
    if lacking:
        message = f"{path} holds no model of scvi-tools 0.15 or later: it lacks {sorted(lacking)}"
        raise UnsafeFileError(message)
    weights = parts[_WEIGHTS].make_but({"pyro_param_store"})
    strays = [name for name, value in weights.items() if not isinstance(value, torch.Tensor)]
    if strays:
        message = f"{path} holds no model: its weight {strays[0]!r} is no tensor"
        raise UnsafeFileError(message)
    attributes, refused = {}, {}
    saved = parts[_ATTRIBUTES].parts()
    if len(saved) > MODEL_ATTRIBUTES:
        message = f"{path} holds no model: it has {len(saved)} attributes, and models have some ten"
        raise UnsafeFileError(message)
    for name, one in saved.items():
        if _ATTRIBUTE.fullmatch(name):
            try:
                attributes[name] = one.make()
            except UnsafeFileError as error:
                refused[name] = error
    return SavedModel(path, weights, parts[_NAMES].make(), attributes, refused)


def _what_is_there(folder: Path, prefix: str) -> str:
    """Return why a folder has no model file, and what to do."""
    name = f"{prefix}{MODEL_FILE}"
    if not folder.exists():
        return f"{folder} is no folder: there is no saved model of that name (of a model hub, sp.hub.load opens it)"
    if not folder.is_dir():
        return f"{folder} is a file and no saved model: give the folder that model.save wrote, or its {MODEL_FILE}"
    if (folder / _MANIFEST).is_file():
        return (
            f"{folder} is a bundle and holds no saved model ({name}): open it with sp.hub.load_bundle({str(folder)!r})"
        )
    lacking = f"{folder} holds no saved model ({name})"
    if (folder / name).exists():
        return f"{lacking}, since {name} is no regular file"
    others = sorted(file.name.removesuffix(MODEL_FILE) for file in folder.glob(f"*{MODEL_FILE}"))
    if others:
        return f"{lacking}, but there is one with prefix={', '.join(map(repr, others[:5]))}"
    former = sorted(file.name.removesuffix(FORMER_FILES[0]) for file in folder.glob(f"*{FORMER_FILES[0]}"))
    if former:
        place = f"{str(folder)!r}, 'new folder'" + (f", prefix={former[0]!r}" if former[0] else "")
        return (
            f"{lacking}: scvi-tools before 0.15 wrote it ({former[0]}{FORMER_FILES[0]}). Convert it, without executing anything, "
            f"by the class that it is of, sp.model.SCVI.convert_legacy_save({place}) or sp.model.SCANVI, and load the new folder"
        )
    deeper = sorted(file.parent.name for file in folder.glob(f"*/*{MODEL_FILE}"))
    return f"{lacking}; there is one in its folder {deeper[0]!r}" if deeper else lacking

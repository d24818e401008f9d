"""Read ``model.pt`` of scvi-tools 0.15 and later, and of this package."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from scarches_plus._limits import MODEL_ATTRIBUTES
from scarches_plus._pickles import UnsafeFileError, read_torch_file
from scarches_plus.bundle._finding._foreign import require_of_scvi_tools

from ._saved_model import SavedModel

if TYPE_CHECKING:
    from pathlib import Path

#: Attributes that scvi-tools saves and sets when it loads; others would take the place of methods.
_ATTRIBUTE = re.compile(r"(?!__)\w+_")
_WEIGHTS = "model_state_dict"
_NAMES = "var_names"
_ATTRIBUTES = "attr_dict"


def unpickle_model(path: Path) -> SavedModel:
    """Let torch unpickle a model's file, which executes what it says.

    Raises
    ------
    UnsafeFileError
        If it holds something else than a model.
    """
    parts = torch.load(path, map_location="cpu", weights_only=False)
    if not isinstance(parts, dict) or not {_WEIGHTS, _NAMES, _ATTRIBUTES} <= set(parts):
        message = f"{path} holds no model of scvi-tools"
        raise UnsafeFileError(message)
    weights = {name: one for name, one in parts[_WEIGHTS].items() if isinstance(one, torch.Tensor)}
    return SavedModel(path, weights, parts[_NAMES], parts[_ATTRIBUTES], {})


def read_model(path: Path) -> SavedModel:
    """Read a model's file.

    Raises
    ------
    UnsafeFileError
        If it is damaged, or holds something else than a model.
    """
    parts = read_torch_file(path).parts()
    lacking = {_WEIGHTS, _NAMES, _ATTRIBUTES} - set(parts)
    if lacking:
        require_of_scvi_tools(path, parts)
        message = f"{path} holds no model of scvi-tools: it lacks {sorted(lacking)}"
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

"""Serialise a model to a ``model.pt`` for plain scvi-tools."""

from __future__ import annotations

import io
from collections import OrderedDict
from importlib.metadata import version
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import scvi.model
import torch

from scarches_plus._pickles import UnsafeFileError, read_torch_file
from scarches_plus.bundle._finding._find import MODEL_FILE
from scarches_plus.bundle._serialise._portable import put_together, take_apart
from scarches_plus.model import ATTRIBUTE

if TYPE_CHECKING:
    from pathlib import Path

#: What scvi-tools keeps of single cells, and what versions of pandas cannot read from each other.
_LEFT_OUT = {
    "history_", "labels_", "run_id_", "run_name_", "train_indices_", "validation_indices_", "test_indices_",
    "semisupervised_history_", "unsupervised_history_",
}  # fmt: skip
#: Arguments that change the loss of training, and nothing of the network.
_OF_TRAINING = {"labels_in_elbo"}
_OWN_LIKELIHOODS = {"mse", "sse"}
_RELEASE = version("scarches-plus")


def to_scvi_file(model: Any) -> bytes:
    """Return a ``model.pt`` that plain scvi-tools opens, without data of single cells.

    Raises
    ------
    ValueError
        If scvi-tools has no such network.
    """
    parts = take_apart(model)
    theirs = getattr(scvi.model, parts.model_class)
    classes = (*theirs.__mro__, *theirs._module_cls.__mro__)
    known = {name for one in classes if "__init__" in vars(one) for name in signature(one.__init__).parameters}
    defaults = {"reconstruction_weight": 1.0}
    asked = parts.arguments.keys() - known - _OF_TRAINING
    own = sorted(name for name in asked if (value := parts.arguments[name]) and value != defaults.get(name))
    if parts.arguments.get("gene_likelihood") in _OWN_LIKELIHOODS:
        own.append("gene_likelihood")
    if own:
        message = f"plain scvi-tools has no network for {own}, so it could not open the model; share it as a bundle"
        raise ValueError(message)
    clean = put_together(parts)
    state = clean.scarches_plus_
    clean.scarches_plus_ = {**state, "anchors": None, "origin": state["origin"] or f"scarches-plus {_RELEASE}"}
    attributes = {
        name: value
        for name, value in clean._get_user_attributes()
        if name.endswith("_") and not name.startswith("_") and name not in _LEFT_OUT
    }
    for group in attributes["init_params_"]["kwargs"].values():
        for name in set(group) - known:
            del group[name]
    weights = OrderedDict(parts.weights)
    names = clean.get_var_names()
    content = {
        "model_state_dict": OrderedDict(weights, pyro_param_store={"params": {}, "constraints": {}}),
        "var_names": {part: _texts(one) for part, one in names.items()} if isinstance(names, dict) else _texts(names),
        "attr_dict": attributes | {"history_": None},
    }
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def no_export(folder: Path) -> str | None:
    """Return why a folder is none that :func:`to_scvi_file` was written to; ``None`` if it is one."""
    strays = sorted(file.name for file in folder.iterdir() if file.name != MODEL_FILE or not file.is_file())
    if strays:
        return f"it holds {strays[0]}, which no export does"
    return None if is_export(folder / MODEL_FILE) else f"its {MODEL_FILE} is no export"


def is_export(path: Path) -> bool:
    """Return whether :func:`to_scvi_file` wrote a file: it has a state of this package, and no training history."""
    try:
        attributes = read_torch_file(path).parts()["attr_dict"].parts()
        return ATTRIBUTE in attributes and attributes["history_"].make() is None
    except (UnsafeFileError, OSError, KeyError):
        return False


def _texts(names: Any) -> np.ndarray:
    return np.array([str(name) for name in names], dtype=object)

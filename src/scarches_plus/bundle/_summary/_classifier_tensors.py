"""Serialise a classifier of expression to safetensors and back."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus._expression_classifier import ExpressionClassifier
from scarches_plus.bundle._format._tensors import refuse_rest, take
from scarches_plus.bundle._manifest import BundleError

if TYPE_CHECKING:
    from torch import Tensor

    from scarches_plus.bundle._manifest import ClassifierSection

_SINGLE = ("coefficients", "factors")
_DOUBLE = ("mean", "scale", "intercepts", "shares", "noise")
_POSITIVE = ("scale", "noise")


def pack_classifier(classifier: ExpressionClassifier) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a classifier, and its section."""
    tensors = {name: torch.as_tensor(getattr(classifier, name), dtype=torch.float32) for name in _SINGLE}
    tensors |= {name: torch.as_tensor(getattr(classifier, name), dtype=torch.float64) for name in _DOUBLE}
    tensors["n_cells"] = torch.as_tensor(classifier.n_cells, dtype=torch.int64)
    return tensors, {
        "labels": list(classifier.labels),
        "genes": list(classifier.genes),
        "labels_key": classifier.labels_key,
        "temperature": float(classifier.temperature),
        "held_out": {
            name: None if isinstance(value, float) and not isfinite(value) else value
            for name, value in classifier.held_out.items()
        },
        "vote": None if classifier.vote is None else dict(classifier.vote),
    }


def unpack_classifier(tensors: dict[str, Tensor], section: ClassifierSection, name: str) -> ExpressionClassifier:
    """Return the classifier of a bundle.

    Raises
    ------
    BundleError
        If it is not what the manifest says, or no classifier can be like that.
    """
    n, genes = len(section.labels), len(section.genes)
    shapes: dict[str, tuple[int | None, ...]] = {
        "coefficients": (n, genes), "factors": (None, genes), "intercepts": (n,),
        **dict.fromkeys(("mean", "scale", "shares", "noise"), (genes,)),
    }  # fmt: skip
    arrays = {
        key: take(tensors, key, shape, name, "f" if key in _SINGLE else "d").numpy() for key, shape in shapes.items()
    }
    arrays["n_cells"] = take(tensors, "n_cells", (n,), name, "i").numpy()
    refuse_rest(tensors, name)
    if strange := [key for key in _POSITIVE if not (arrays[key] > 0).all()]:
        message = f"{name}: {strange} are not positive"
        raise BundleError(message)
    if not ((arrays["shares"] >= 0).all() and arrays["shares"].sum() > 0 and (arrays["n_cells"] > 0).all()):
        message = f"{name}: shares of genes are negative or nothing, or labels have no cells"
        raise BundleError(message)
    return ExpressionClassifier(
        labels=tuple(section.labels),
        genes=tuple(section.genes),
        labels_key=section.labels_key,
        temperature=section.temperature,
        held_out={key: np.nan if value is None else value for key, value in section.held_out.items()},
        vote=None if section.vote is None else section.vote.model_dump(),
        **arrays,
    )

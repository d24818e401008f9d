"""Serialise label profiles to safetensors and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus._label_profiles import FLOOR, SEVERAL, LabelProfiles
from scarches_plus.bundle._format._tensors import refuse_rest, take
from scarches_plus.bundle._manifest import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from scarches_plus.bundle._manifest import ProfilesSection

#: Tensors of real numbers; the others are whole.
_REAL = {"logs", "variances"}
_ROUNDING = 1e-3


def pack_profiles(profiles: LabelProfiles, var_names: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of profiles, and their section; genes are named only where they are not the model's."""
    tensors = {
        name: torch.from_numpy(np.array(getattr(profiles, name), dtype=np.float32 if name in _REAL else np.int64))
        for name in ("logs", "variances", "of_label", "of_batch", "n_cells")
    }
    return tensors, {
        "labels": list(profiles.labels),
        "left_out": list(profiles.left_out),
        "genes": None if tuple(var_names) == profiles.genes else list(profiles.genes),
        "batches": list(profiles.batches),
    }


def unpack_profiles(
    tensors: dict[str, Tensor], section: ProfilesSection, var_names: Sequence[str], name: str
) -> LabelProfiles:
    """Return the profiles of a bundle.

    Raises
    ------
    BundleError
        If they are not what the manifest says, or no profiles can be like that.
    """
    genes, n = var_names if section.genes is None else section.genes, len(section.labels)
    if "losses" in tensors:
        message = (
            f"{name} holds label profiles of an earlier form, made to hold out batches. Make them again where the "
            "reference's cells are: sp.hub.save_bundle(model, path, summary=sp.tl.reference_summary(reference, "
            "labels_key, batch_key))"
        )
        raise BundleError(message)
    of_label = take(tensors, "of_label", (None,), name, "i").numpy()
    groups = len(of_label)
    arrays = {
        "of_label": of_label,
        "of_batch": take(tensors, "of_batch", (groups,), name, "i").numpy(),
        "logs": take(tensors, "logs", (groups, len(genes)), name).numpy(),
        "variances": take(tensors, "variances", (n, len(genes)), name).numpy(),
        "n_cells": take(tensors, "n_cells", (groups,), name, "i").numpy(),
    }
    refuse_rest(tensors, name)
    if strange := [key for key, values in arrays.items() if not np.isfinite(values).all()]:
        message = f"{name}: {strange} are not finite"
        raise BundleError(message)
    if (
        set(of_label.tolist()) != set(range(n))
        or not np.isin(arrays["of_batch"], np.arange(SEVERAL, len(section.batches))).all()
        or (arrays["n_cells"] < 1).any()
    ):
        message = f"{name}: labels have no group, or groups have no batch or no cells"
        raise BundleError(message)
    lowest, highest = np.log(FLOOR) - _ROUNDING, np.log1p(FLOOR) + _ROUNDING
    if (arrays["logs"] < lowest).any() or (arrays["logs"] > highest).any() or (arrays["variances"] < 0).any():
        message = f"{name}: log expression is not of shares between 0 and 1, or variances are negative"
        raise BundleError(message)
    return LabelProfiles(
        labels=tuple(section.labels),
        genes=tuple(genes),
        batches=tuple(section.batches),
        left_out=tuple(section.left_out),
        **arrays,
    )

"""Serialise label profiles to safetensors and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus._label_profiles import N_QUANTILES, LabelProfiles
from scarches_plus.bundle._manifest import PROFILES, BundleError

from ._tensors import pack, refuse_rest, take, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scarches_plus.bundle._manifest import Manifest

_ROUNDING = 1e-6


def pack_profiles(profiles: LabelProfiles, var_names: Sequence[str]) -> tuple[bytes, dict[str, Any]]:
    """Return the file of profiles, and its section.

    Raises
    ------
    TypeError
        If these are no profiles.
    ValueError
        If a value is not finite.
    """
    if not isinstance(profiles, LabelProfiles):
        message = (
            "profiles are made by sp.tl.label_profiles(reference, labels_key, batch_key), and are no "
            f"{type(profiles).__name__}"
        )
        raise TypeError(message)
    tensors = {
        "logs": torch.as_tensor(profiles.logs, dtype=torch.float32),
        "n_cells": torch.as_tensor(profiles.n_cells, dtype=torch.int64),
        **{
            name: torch.as_tensor(getattr(profiles, name), dtype=torch.float64)
            for name in ("depths", "expected", "losses")
        },
    }
    return pack(tensors), {
        "labels": list(profiles.labels),
        "left_out": list(profiles.left_out),
        "genes": None if tuple(var_names) == profiles.genes else list(profiles.genes),
        "batches": list(profiles.batches),
    }


def unpack_profiles(contents: bytes, manifest: Manifest, name: str) -> LabelProfiles:
    """Return the profiles of a bundle that has some.

    Raises
    ------
    BundleError
        If they are not what the manifest says, or no profiles can be like that.
    """
    section = manifest.profiles
    if section is None:
        message = f"{name} is there, and the manifest does not describe {PROFILES}"
        raise BundleError(message)
    genes = manifest.cells.var_names if section.genes is None else section.genes
    tensors, n, batches = unpack(contents, name), len(section.labels), len(section.batches)
    depths = take(tensors, "depths", (None,), name, "d").numpy()
    arrays = {
        "logs": take(tensors, "logs", (n, len(genes)), name).numpy(),
        "expected": take(tensors, "expected", (len(depths), n), name, "d").numpy(),
        "losses": take(tensors, "losses", (len(depths), batches, N_QUANTILES), name, "d").numpy(),
        "n_cells": take(tensors, "n_cells", (n,), name, "i").numpy(),
    }
    refuse_rest(tensors, name)
    if strange := [key for key, values in arrays.items() if not np.isfinite(values).all()]:
        message = f"{name}: {strange} are not finite"
        raise BundleError(message)
    if not (len(depths) and np.isfinite(depths).all() and depths[0] > 0 and (np.diff(depths) > 0).all()):
        message = f"{name}: depths are not positive and ascending"
        raise BundleError(message)
    if (
        (np.diff(arrays["losses"]) < -_ROUNDING).any()
        or (np.abs(arrays["expected"]) > 1 + _ROUNDING).any()
        or (arrays["n_cells"] < 1).any()
    ):
        message = f"{name}: quantiles descend, correlations exceed 1, or labels have no cells"
        raise BundleError(message)
    return LabelProfiles(
        labels=tuple(section.labels),
        genes=tuple(genes),
        depths=depths,
        batches=tuple(section.batches),
        left_out=tuple(section.left_out),
        **arrays,
    )

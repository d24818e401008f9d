"""Serialise a map of a reference to safetensors and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus._reference_map import ReferenceMap
from scarches_plus.bundle._format._tensors import refuse_rest, require, take

if TYPE_CHECKING:
    from torch import Tensor

    from scarches_plus.bundle._manifest import MapSection

_ENCODER = "encoder/"


def pack_map(one: ReferenceMap) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a map, and its section; the latent space stays in the precision that it has."""
    tensors = {
        "points": torch.as_tensor(one.points, dtype=torch.float32),
        "latent": torch.from_numpy(np.array(one.latent)),
        "n_cells": torch.as_tensor(one.n_cells, dtype=torch.int32),
        "of_label": torch.as_tensor(one.of_label, dtype=torch.int32),
        "losses": torch.as_tensor(one.losses, dtype=torch.float32),
    }
    tensors |= {f"{_ENCODER}{name}": torch.from_numpy(np.array(value)) for name, value in (one.encoder or {}).items()}
    return tensors, {"labels": list(one.labels), "space": one.space or "", "basis": one.basis}


def unpack_map(tensors: dict[str, Tensor], section: MapSection, name: str) -> ReferenceMap:
    """Return the map of a bundle.

    Raises
    ------
    BundleError
        If it is not what the manifest says, or no map can be like that.
    """
    points = take(tensors, "points", (None, 2), name)
    n, labels = len(points), len(section.labels)
    latent = take(tensors, "latent", (n, None), name, "h")
    n_cells, of_label = (take(tensors, key, (n,), name, "i") for key in ("n_cells", "of_label"))
    losses = take(tensors, "losses", (None,), name)
    encoder = _take_encoder(tensors, latent.shape[1], name)
    refuse_rest(tensors, name)
    require(n_cells > 0, name, "map/n_cells", "positive")
    require((of_label >= -1) & (of_label < labels), name, "map/of_label", f"-1 to {labels - 1}")
    return ReferenceMap(
        points=points.numpy(),
        latent=latent.numpy(),
        n_cells=n_cells.numpy(),
        of_label=of_label.numpy(),
        labels=tuple(section.labels),
        space=section.space or None,
        basis=section.basis,
        encoder=encoder,
        losses=losses.numpy(),
    )


def _take_encoder(tensors: dict[str, Tensor], d: int, name: str) -> dict[str, Any] | None:
    """Take the layers of an encoder, each of which has to fit the one before; ``None`` if there is none."""
    n_layers = sum(one.startswith(f"{_ENCODER}weight_") for one in tensors)
    if not n_layers:
        return None
    shapes: dict[str, tuple[int | None, ...]] = {"shift": (d,), "scale": (d,), "center": (2,), "unit": ()}
    parts = {key: take(tensors, f"{_ENCODER}{key}", shape, name, "h") for key, shape in shapes.items()}
    for layer in range(n_layers):
        weight = take(tensors, f"{_ENCODER}weight_{layer}", (d, 2 if layer == n_layers - 1 else None), name, "h")
        d = weight.shape[1]
        parts |= {f"weight_{layer}": weight, f"bias_{layer}": take(tensors, f"{_ENCODER}bias_{layer}", (d,), name, "h")}
    require(parts["scale"] > 0, name, "map/encoder/scale", "positive")
    return {key: value.numpy() for key, value in parts.items()}

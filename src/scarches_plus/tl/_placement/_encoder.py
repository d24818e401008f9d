"""Apply a parametric UMAP's encoder with numpy alone.

Pure functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_BLOCK = 65_536


def encode(encoder: Mapping[str, NDArray], latent: NDArray) -> NDArray[np.float64]:
    """Return where an encoder places cells.

    Parameters
    ----------
    encoder
        ``"shift"`` and ``"scale"`` of the latent dimensions, shape ``(d,)``; ``"weight_0"``, ``"bias_0"`` and so on of
        linear layers with ReLU between them, shapes ``(n_in, n_out)`` and ``(n_out,)``; ``"center"``, shape ``(2,)``,
        and ``"unit"``, shape ``()``, of the picture.
    latent
        Shape ``(n_cells, d)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_cells, 2)``.
    """
    parts = {name: np.asarray(value, dtype=np.float64) for name, value in encoder.items()}
    n_layers = sum(name.startswith("weight_") for name in parts)
    places = np.empty((len(latent), 2))
    for start in range(0, len(latent), _BLOCK):
        rows = slice(start, start + _BLOCK)
        values = (latent[rows] - parts["shift"]) / parts["scale"]
        for layer in range(n_layers):
            values = values @ parts[f"weight_{layer}"] + parts[f"bias_{layer}"]
            values = np.maximum(values, 0) if layer < n_layers - 1 else values
        places[rows] = values * parts["unit"] + parts["center"]
    return places

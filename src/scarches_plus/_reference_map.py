"""Hold a fixed picture of a reference, in which new cells are placed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arguments as check
from ._cell_groups import divide_cells
from ._label_profiles import FEWEST_CELLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Anchors of a map without cells, and bytes of their arrays with those of the encoder.
MOST_ANCHORS = 2_000
MOST_BYTES = 200_000


@dataclass(frozen=True, eq=False)
class ReferenceMap:
    """A fixed picture of a reference with the place of each point in the latent space.

    A point is a cell or, in a map without cells, an anchor that stands for 20 cells or more.

    Attributes
    ----------
    points
        Positions in the picture, shape ``(n_points, 2)``.
    latent
        Positions in the latent space, shape ``(n_points, n_latent)``.
    n_cells
        Number of cells that each point stands for, shape ``(n_points,)``.
    of_label
        Position of each point's label in ``labels``, -1 without one, shape ``(n_points,)``.
    labels
        Names of labels.
    space
        Identifier of the latent space as the record of the embedding has it; ``None`` if nothing is recorded.
    basis
        Where the picture came from: an ``obsm`` slot.
    encoder
        Layers of a parametric UMAP by name, from the latent space to the picture; ``None`` if none was trained.
    losses
        What the encoder's training minimised, mean of each epoch, shape ``(n_epochs,)``; empty without an encoder.
    """

    points: NDArray = field(repr=False)
    latent: NDArray = field(repr=False)
    n_cells: NDArray = field(repr=False)
    of_label: NDArray = field(repr=False)
    labels: tuple[str, ...]
    space: str | None
    basis: str
    encoder: Mapping[str, NDArray] | None = field(default=None, repr=False)
    losses: NDArray = field(default_factory=lambda: np.zeros(0), repr=False)

    def without_cells(self, rng: int | np.random.Generator | None = 0) -> ReferenceMap:
        """Return a map of anchors, for sites that share no cells.

        Anchors are groups of at least 20 cells of one label that are near each other in the latent space and in the
        picture, at their means in both. There are 2,000 at most, and fewer where the arrays would take more than 200
        kB. Labels of fewer than 20 cells are left out, and so are their names. A map without cells is returned as it
        is.

        Parameters
        ----------
        rng
            Seed or generator for the cells by which large groups are divided.

        Raises
        ------
        ValueError
            If no label, nor the cells without one, has 20 cells.
        """
        check.seed("rng", rng)
        if (self.n_cells >= FEWEST_CELLS).all():
            return self
        latent, points = self.latent.astype(np.float64), self.points.astype(np.float64)
        features = np.hstack([_scaled(latent), _scaled(points)])
        by_label = [np.flatnonzero(self.of_label == one) for one in range(-1, len(self.labels))]
        encoder = None if self.encoder is None else {name: _small(one) for name, one in self.encoder.items()}
        free = MOST_BYTES - sum(one.nbytes for one in (encoder or {}).values()) - self.losses.nbytes
        most = min(MOST_ANCHORS, free // (2 * 4 + 2 * latent.shape[1] + 4 + 2))
        groups = divide_cells(features, by_label, FEWEST_CELLS, most, np.random.default_rng(rng))
        if not groups:
            message = f"no label of the map has {FEWEST_CELLS} cells: there is nothing to show without showing cells"
            raise ValueError(message)
        of_label = np.array([self.of_label[rows[0]] for rows in groups])
        kept = np.unique(of_label[of_label >= 0])
        return replace(
            self,
            points=np.array([points[rows].mean(axis=0) for rows in groups], dtype=np.float32),
            latent=_small(np.array([latent[rows].mean(axis=0) for rows in groups])),
            n_cells=np.array([len(rows) for rows in groups], dtype=np.int32),
            of_label=np.where(of_label < 0, -1, np.searchsorted(kept, of_label)).astype(np.int16),
            labels=tuple(self.labels[one] for one in kept),
            encoder=encoder,
        )

    def to_plain(self) -> dict[str, Any]:
        """Return names, lists of names and arrays."""
        plain = {**vars(self), "labels": list(self.labels)}
        return plain | {"encoder": None if self.encoder is None else dict(self.encoder)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ReferenceMap:
        """Undo :meth:`to_plain`."""
        encoder = plain["encoder"]
        arrays = {name: np.asarray(plain[name]) for name in ("points", "latent", "n_cells", "of_label", "losses")}
        return cls(
            **arrays,
            labels=tuple(plain["labels"]),
            space=plain["space"],
            basis=plain["basis"],
            encoder=None if encoder is None else {name: np.asarray(value) for name, value in encoder.items()},
        )


def require_map(name: str, value: Any) -> None:
    """Require a map of a reference.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if not isinstance(value, ReferenceMap):
        message = f"{name} must be what sp.tl.reference_map returned, not {check.shown(value)}"
        raise TypeError(message)


def _scaled(values: NDArray) -> NDArray[np.float64]:
    """Return values from their mean, in units of their spread in all dimensions together."""
    spread = values - values.mean(axis=0)
    return spread / (np.sqrt(np.square(spread).sum(axis=1).mean()) or 1.0)  # type: ignore[no-any-return]


def _small(values: NDArray) -> NDArray:
    """Return values in half precision where it holds them, else in single."""
    large = np.abs(values).max(initial=0) > np.finfo(np.float16).max
    return np.asarray(values).astype(np.float32 if large else np.float16)

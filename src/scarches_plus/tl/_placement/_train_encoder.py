"""Train an encoder from a latent space to a given picture, as parametric UMAP does.

Arrays in, arrays out; torch in between.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from scarches_plus._progress import progress_bar

from ._fuzzy_graph import fuzzy_edges, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_HIDDEN = (128, 128, 128)
#: Edges of a step, drawn by their weights.
_EDGES = 256
_STEPS = 100  # of an epoch
#: Pairs of cells that repel each other for each edge, as in UMAP.
_NEGATIVES = 5
#: Weight of the squared distance from the given picture, in units of UMAP's curve.
_HELD = 10.0
_RATE = 2e-3
#: The rate is halved when the loss has not become lower by this share in so many epochs, and the training ends when it
#: would fall below the last.
_BETTER = 1e-3
_PATIENCE = 5
_LOWEST_RATE = 1e-4
_MOST_EPOCHS = 400
#: Cells of the reference that are learned from, drawn at random from more.
_MOST_CELLS = 100_000
_QUICK = 5  # seconds that pass without a progress bar
_TINY = 1e-6


class EncoderTraining:
    """A training of an encoder, which can be interrupted.

    It minimises UMAP's cross-entropy over edges of the fuzzy graph and, for each, five pairs of cells without one, plus
    ten times the squared distance of the cells from where the picture has them. Cells are shaken by as much as
    neighbours are apart, else the encoder would learn the picture by heart and misplace cells of another batch.

    Parameters
    ----------
    latent
        Shape ``(n_cells, d)``.
    points
        The picture, shape ``(n_cells, 2)``.
    rng
        Draws weights, edges and noise.

    References
    ----------
    Sainburg, McInnes and Gentner 2021 (parametric UMAP).
    """

    def __init__(self, latent: NDArray, points: NDArray, rng: np.random.Generator) -> None:
        import torch

        if len(latent) > _MOST_CELLS:
            kept = np.sort(rng.choice(len(latent), _MOST_CELLS, replace=False))
            latent, points = latent[kept], points[kept]
        self._torch, self._rng = torch, rng
        self._edges, weights, curve, apart = fuzzy_edges(latent)
        self._drawn_up_to = np.cumsum(weights / weights.sum())
        self._curve = float(np.log(curve[0])), curve[1]
        deviations = latent.std(axis=0)
        self._shift, self._scale = latent.mean(axis=0), np.where(deviations > 0, deviations, 1).astype(latent.dtype)
        self._center = points.mean(axis=0)
        self._unit = unit_of(points, self._edges, weights, curve, rng, negatives=_NEGATIVES)
        self._noise = self._tensor(apart / np.sqrt(latent.shape[1]) / self._scale)
        self._inputs = self._tensor((latent - self._shift) / self._scale)
        self._targets = self._tensor((points - self._center) / self._unit)
        sizes = (latent.shape[1], *_HIDDEN, 2)
        self._layers = [
            (
                self._tensor(rng.normal(0, np.sqrt(2 / n_in), (n_in, n_out))).requires_grad_(),
                torch.zeros(n_out).requires_grad_(),
            )
            for n_in, n_out in pairwise(sizes)
        ]
        self._losses: list[float] = []

    def run(self) -> None:
        """Train until the loss gets no better at a low rate."""
        parameters = [one for layer in self._layers for one in layer]
        optimizer = self._torch.optim.Adam(parameters, lr=_RATE)
        with progress_bar(_MOST_EPOCHS, "Learning the map", unit=" epochs", patience=_QUICK) as progress:
            for rate in self._rates():
                optimizer.param_groups[0]["lr"] = rate
                total = 0.0
                for _ in range(_STEPS):
                    loss = self._loss()
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    total += float(loss.detach())
                self._losses.append(total / _STEPS)
                progress.set_postfix(loss=f"{self._losses[-1]:.3f}", refresh=False)
                progress.update()

    @property
    def losses(self) -> NDArray[np.float64]:
        """Mean loss of each epoch."""
        return np.array(self._losses)

    def encoder(self) -> dict[str, NDArray]:
        """Return the encoder as :func:`encode` takes it."""
        layers = {
            f"{kind}_{number}": part.detach().numpy().copy()
            for number, layer in enumerate(self._layers)
            for kind, part in zip(("weight", "bias"), layer, strict=True)
        }
        ends = {"shift": self._shift, "scale": self._scale, "center": self._center, "unit": np.asarray(self._unit)}
        return {name: np.asarray(value, dtype=np.float32) for name, value in (ends | layers).items()}

    def _rates(self) -> Iterator[float]:
        """Yield the rate of each epoch."""
        rate, best, since = _RATE, np.inf, 0
        for _ in range(_MOST_EPOCHS):
            yield rate
            if self._losses[-1] < best * (1 - _BETTER):
                best, since = self._losses[-1], 0
                continue
            since += 1
            if since == _PATIENCE:
                rate, since = rate / 2, 0
                if rate < _LOWEST_RATE:
                    return

    def _loss(self) -> Any:
        """Return the loss of some edges and as many pairs without one as UMAP takes."""
        drawn = np.searchsorted(self._drawn_up_to, self._rng.random(_EDGES))
        ends = self._edges[np.minimum(drawn, len(self._edges) - 1)].T.reshape(-1)
        cells = self._inputs[ends]
        cells = cells + self._noise * self._tensor(self._rng.standard_normal(cells.shape, dtype=np.float32))
        places = self._places(cells)
        heads, tails = places[:_EDGES], places[_EDGES:]
        others = tails[self._rng.integers(_EDGES, size=(_NEGATIVES, _EDGES))]
        attraction, repulsion = cross_entropy(heads, tails, others, self._curve)
        missed = (places - self._targets[ends]).square().sum(-1).mean()
        return attraction + repulsion + _HELD * missed

    def _places(self, values: Any) -> Any:
        for number, (weight, bias) in enumerate(self._layers):
            values = self._torch.addmm(bias, values, weight)
            values = values.relu() if number < len(self._layers) - 1 else values
        return values

    def _tensor(self, values: NDArray) -> Any:
        return self._torch.as_tensor(np.asarray(values, dtype=np.float32))


def cross_entropy(heads: Any, tails: Any, others: Any, curve: tuple[float, float]) -> tuple[Any, Any]:
    r"""Return both parts of UMAP's cross-entropy with negative samples, mean over edges.

    With :math:`v = 1 / (1 + a d^{2b})`, these are :math:`-\log v` of the edges, and :math:`-\log(1 - v)` summed over
    the negative samples.

    Parameters
    ----------
    heads, tails
        Ends of edges, tensors of shape ``(n_edges, 2)``.
    others
        Negative samples of the heads, shape ``(n_negatives, n_edges, 2)``.
    curve
        ``log(a)`` and ``b``.
    """
    log_a, b = curve
    near, far = (log_a + b * ((heads - one).square().sum(-1) + _TINY).log() for one in (tails, others))
    # log(1 + a d^2b) and log(1 + 1 / (a d^2b)) without overflow
    return near.logaddexp(near.new_zeros(())).mean(), (-far).logaddexp(far.new_zeros(())).sum(0).mean()

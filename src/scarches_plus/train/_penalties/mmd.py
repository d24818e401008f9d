"""Penalise the maximum mean discrepancy (MMD) between batches (trVAE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import nn

from scarches_plus import _arguments as check
from scarches_plus.train._penalties._shared._kernel_distances import (
    KernelSum,
    above_diagonal,
    pair_coefficients,
    squared_distances,
)
from scarches_plus.train._penalties._shared._processes import gathered

from .penalty import LAYERS, Penalty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from scarches_plus.train._memory.anchors import Anchors

    from .penalty import Grouping, Setting, Step

Place = Literal["z", "z_mean", "decoder", "encoder"]
Bandwidths = Literal["released", "median"]
#: Variances of the kernels in the released code of trVAE and scArches: exp(-d^2 / (2 a)).
_RELEASED = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 5, 10, 15, 20, 25, 30, 35, 100, 1e3, 1e4, 1e5, 1e6)
#: Multiples of the median squared distance.
_AROUND_MEDIAN = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, kw_only=True)
class MMD(Penalty):
    r"""Maximum mean discrepancy between batches, with a sum of Gaussian kernels (trVAE).

    For each pair of groups :math:`i, j` with cells in the minibatch, the squared discrepancy is
    :math:`\overline{k(x_i, x_i')} + \overline{k(x_j, x_j')} - 2\,\overline{k(x_i, x_j)}`, the bars being means over
    cells and :math:`k(x, x') = \sum_l \exp(-\gamma_l \|x - x'\|^2)`. It is 0 for groups of one distribution. All pairs
    are computed as one weighted sum over one kernel matrix, so that time does not depend on their number. Where several
    processes train (DDP), the cells of all of them are compared.

    Parameters
    ----------
    weight
        Factor of the term (the papers' beta).
    on
        What is compared: ``"z"``, a sample of the latent variable (released code); ``"z_mean"``, its mean;
        ``"decoder"``, the activations of the decoder's first hidden layer (paper); ``"encoder"``, those of the
        encoder's last one.
    group
        Column whose groups are compared: the batch (``None``) or a categorical covariate of the model.
    bandwidths
        Gammas of the kernels: ``"released"``, the 19 of the released code, from 5e-7 to 5e5; ``"median"``, five around
        the inverse median of the squared distances in each minibatch (at least one has a slope at any scale); or
        numbers.
    estimator
        ``"biased"``: with pairs of a cell with itself, as the papers' eq. 11 (V-statistic), never negative.
        ``"unbiased"``: without (U-statistic), 0 on average for groups of one distribution; groups of one cell are left
        out.
    reduction
        ``"mean"`` over pairs of groups, or their ``"sum"`` (papers), which grows with the square of the number of
        batches.
    max_groups
        Compare a random choice of so many groups in each minibatch.
    anchors
        Compare with the reference cells that :func:`store_anchors` kept: each group of the minibatch with the groups of
        the reference, and not with each other. A query of a single batch needs them. Default: they are used if the
        cells have but one group.
    warmup_epochs, warmup
        As in :class:`Penalty`.

    References
    ----------
    Lotfollahi et al. 2020 (trVAE); Lotfollahi et al. 2021 (scArches), eq. 9-11. The printed sum counts every pair
    twice, the released code and this class once.
    """

    name = "mmd"
    latent_only = True
    uses_anchors = True

    on: Place = "z"
    group: str | None = None
    bandwidths: Bandwidths | tuple[float, ...] = "released"
    estimator: Literal["biased", "unbiased"] = "biased"
    reduction: Literal["mean", "sum"] = "mean"
    max_groups: int | None = None
    anchors: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check.choice("on", self.on, get_args(Place))
        check.choice("estimator", self.estimator, ("biased", "unbiased"))
        check.choice("reduction", self.reduction, ("mean", "sum"))
        check.texts_or_none(group=self.group)
        if self.max_groups is not None:
            self._set_whole(max_groups=2)
        if self.anchors is not None:
            check.flags(anchors=self.anchors)
        if isinstance(self.bandwidths, str):
            check.choice("bandwidths", self.bandwidths, get_args(Bandwidths))
        else:
            widths = check.names("bandwidths", self.bandwidths, of=object, least=1)
            object.__setattr__(
                self, "bandwidths", tuple(check.number("bandwidths", width, above=0) for width in widths)
            )

    @property
    def layers(self) -> frozenset[str]:
        """Hidden layers that are compared."""
        return frozenset({self.on} & set(LAYERS))

    def prepare(self, setting: Setting) -> nn.Module:
        """Return what computes the discrepancy.

        Raises
        ------
        KeyError
            If the model has no such column.
        ValueError
            If there are no two groups to compare.
        """
        name, grouping = next(iter(setting.choose(None if self.group is None else [self.group]).items()))
        wants_anchors = len(grouping.present) < 2 if self.anchors is None else self.anchors
        if wants_anchors and setting.anchors is None:
            message = (
                f"MMD compares groups of cells, and the cells here have only {_named(grouping)} in {name!r}. Call "
                "sp.train.store_anchors(reference_model) before mapping, so that they can be compared with the "
                "reference, and sp.train.carry_anchors(reference_model, model) after the model moved"
            )
            raise ValueError(message)
        if not wants_anchors and len(grouping.present) < 2:
            message = f"MMD compares groups of cells, and the cells here have only {_named(grouping)} in {name!r}"
            raise ValueError(message)
        return _Discrepancy(self, name, grouping, setting.anchors if wants_anchors else None)


class _Discrepancy(nn.Module):
    """Computes the discrepancies of a minibatch."""

    def __init__(self, options: MMD, name: str, grouping: Grouping, anchors: Anchors | None) -> None:
        super().__init__()
        self._options, self._grouping, self._anchors = options, grouping, None
        self._gammas = options.bandwidths if isinstance(options.bandwidths, tuple) else [0.5 / a for a in _RELEASED]
        if anchors is not None:
            self._anchors = _AnchorSample(anchors, options.on, name)

    def forward(self, step: Step) -> Tensor:
        x, groups = gathered(_place(step, self._options.on), step.codes(self._grouping))
        if self._options.max_groups is not None:
            x, groups = _choose(x, groups, self._options.max_groups)
        groups, n_groups = _numbered(groups)
        pairs = 1.0 - torch.eye(n_groups, dtype=x.dtype, device=x.device)
        if self._anchors is not None:
            reference, their_groups = self._anchors.draw(len(x), x.device)
            their_groups, n_theirs = _numbered(their_groups)
            x, groups = torch.cat([x, reference.to(x.dtype)]), torch.cat([groups, their_groups + n_groups])
            pairs = torch.zeros(n_groups + n_theirs, n_groups + n_theirs, dtype=x.dtype, device=x.device)
            pairs[:n_groups, n_groups:] = pairs[n_groups:, :n_groups] = 1.0
        unbiased = self._options.estimator == "unbiased"
        if unbiased:
            enough = (torch.bincount(groups, minlength=len(pairs)) > 1).to(pairs.dtype)
            pairs = pairs * enough[:, None] * enough
        n_pairs = pairs.sum() / 2
        if self._options.reduction == "mean":
            pairs = pairs / n_pairs.clamp(min=1)
        coefficients = pair_coefficients(groups, pairs, unbiased=unbiased)
        return KernelSum.apply(x, coefficients, self._bandwidths(x))  # type: ignore[no-any-return]

    def _bandwidths(self, x: Tensor) -> Sequence[float]:
        if self._options.bandwidths != "median":
            return self._gammas
        distances = squared_distances(x.detach())
        above = distances.view(-1).index_select(0, above_diagonal(len(x), x.device))
        median = max(float(above.median()), torch.finfo(x.dtype).tiny)
        return [1 / (median * factor) for factor in _AROUND_MEDIAN]


class _AnchorSample:
    """Draws as many stored reference cells as a minibatch has cells."""

    def __init__(self, anchors: Anchors, on: Place, group: str) -> None:
        self._anchors, self._on = anchors, on
        self._groups = anchors.codes(group)

    def draw(self, n_cells: int, device: torch.device) -> tuple[Tensor, Tensor]:
        n_anchors = len(self._groups)
        rows = torch.randperm(n_anchors)[:n_cells] if n_cells < n_anchors else torch.arange(n_anchors)
        return self._anchors.at(self._on, rows).to(device), self._groups[rows].to(device)


def _place(step: Step, on: Place) -> Tensor:
    if on in LAYERS:
        return step.activations[on]
    return step.inference["z"] if on == "z" else step.inference["qz"].loc


def _numbered(groups: Tensor) -> tuple[Tensor, int]:
    """Number the groups that occur from 0, in the order of their codes; return how many there are, too."""
    numbers = torch.bincount(groups).clamp_(max=1).cumsum(0) - 1
    return numbers.index_select(0, groups), int(numbers[-1]) + 1


def _choose(x: Tensor, groups: Tensor, n_groups: int) -> tuple[Tensor, Tensor]:
    present = torch.unique(groups)
    if len(present) <= n_groups:
        return x, groups
    chosen = present[torch.randperm(len(present))[:n_groups].to(present.device)]
    rows = torch.isin(groups, chosen)
    return x[rows], groups[rows]


def _named(grouping: Grouping) -> Sequence[str]:
    return [grouping.names[code] for code in grouping.present]

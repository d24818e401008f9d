"""Hold a label summary: a Gaussian mixture of latent means for each label."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus.train._estimation._mixture_densities import mixture_densities

from .anchors import Anchors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

Prior = Literal["reference", "uniform"]
PRIORS: tuple[str, ...] = get_args(Prior)


@dataclass(frozen=True)
class LatentSummary:
    """A Gaussian mixture of latent means for each label, and what else it takes to draw cells from it.

    Attributes
    ----------
    labels
        Labels that are described.
    left_out
        Labels with too few cells to describe.
    of_label
        Position in ``labels`` that each component belongs to, shape ``(n_components,)``.
    n_cells
        Number of cells that each component stands for, shape ``(n_components,)``.
    means, covariances
        Shapes ``(n_components, n_latent)`` and ``(n_components, n_latent, n_latent)``.
    z_var
        Mean variance of the posteriors, shape ``(n_components, n_latent)``.
    library
        Mean and variance of logarithms of library sizes, shape ``(n_components, 2)``.
    groups
        Column name to the share of each of its groups, shape ``(n_components, n_groups)``: batch first, then further
        covariates.
    space
        Latent space that the summary belongs to.
    continuous
        Means of continuous covariates, shape ``(n_components, n_covariates)``, or ``None``.
    temperature
        What logarithms of joint densities are divided by, so that probabilities are no surer than labels of held-out
        batches were right; ``None`` if no batch could be held out.

    References
    ----------
    Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2 (temperature scaling).
    """

    labels: tuple[str, ...]
    left_out: tuple[str, ...]
    of_label: Tensor = field(repr=False)
    n_cells: Tensor = field(repr=False)
    means: Tensor = field(repr=False)
    covariances: Tensor = field(repr=False)
    z_var: Tensor = field(repr=False)
    library: Tensor = field(repr=False)
    groups: Mapping[str, Tensor] = field(repr=False)
    space: str
    continuous: Tensor | None = field(default=None, repr=False)
    temperature: float | None = None

    def __len__(self) -> int:
        return len(self.means)

    def log_densities(self, latent: np.ndarray) -> np.ndarray:
        r"""Return the logarithm of each label's density, :math:`\log p(z \mid label)`.

        Parameters
        ----------
        latent
            Latent means, shape ``(n_cells, n_latent)``.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_cells, n_labels)``.

        Raises
        ------
        ValueError
            If the latent means have another number of dimensions.
        """
        if latent.ndim != 2 or latent.shape[1] != self.means.shape[1]:
            message = (
                f"the summary has {self.means.shape[1]} latent dimensions, and the cells have shape {latent.shape}"
            )
            raise ValueError(message)
        means, covariances, n_cells = (one.double().numpy() for one in (self.means, self.covariances, self.n_cells))
        return mixture_densities(
            np.asarray(latent, dtype=np.float64), means, covariances, n_cells=n_cells, of_label=self.of_label.numpy()
        )

    def probabilities(self, latent: np.ndarray, *, prior: Prior = "reference", calibrated: bool = True) -> np.ndarray:
        r"""Return the probability of each label, by Bayes' rule and temperature scaling.

        With joint densities :math:`p(z, y)` and the temperature :math:`T` it is
        :math:`p(z, y)^{1/T} / \sum_{y'} p(z, y')^{1/T}`. The order of the labels does not depend on :math:`T`.

        Parameters
        ----------
        latent
            Latent means, shape ``(n_cells, n_latent)``.
        prior
            Probabilities of labels before looking: their shares in the reference, or all the same.
        calibrated
            Use the temperature, if there is one. Without it the probabilities are those of the mixtures.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_cells, n_labels)``; rows sum to 1.

        Raises
        ------
        ValueError
            If there is no such prior.
        TypeError
            If an argument is of another kind, such as a text where a list is meant.
        """
        check.choice("prior", prior, PRIORS)
        check.flags(calibrated=calibrated)
        scores = torch.as_tensor(self.log_densities(latent))
        if prior == "reference":
            totals = torch.zeros(len(self.labels), dtype=torch.float64)
            scores = scores + totals.index_add(0, self.of_label, self.n_cells.double()).log()
        if calibrated and self.temperature is not None:
            scores = scores / self.temperature
        return torch.softmax(scores, dim=1).numpy()

    def draw(self, n_per_component: int, generator: torch.Generator) -> Anchors:
        """Return cells of no one, as many from each component, in the order of the components.

        Parameters
        ----------
        n_per_component
            Number of cells from each.
        generator
            Source of random numbers.
        """
        n_per_component = check.whole("n_per_component", n_per_component, least=1, most=_limits.DRAWS)

        def each(values: Tensor) -> Tensor:
            return values.repeat_interleave(n_per_component, dim=0)

        n = n_per_component * len(self)
        noise = torch.randn(n, self.means.shape[1], generator=generator)
        spread = each(torch.linalg.cholesky(self.covariances.double()).float())
        sizes = torch.randn(n, 1, generator=generator)
        return Anchors(
            z_mean=each(self.means) + (spread @ noise[:, :, None])[:, :, 0],
            z_var=each(self.z_var),
            library=each(self.library[:, :1]) + each(self.library[:, 1:]).sqrt() * sizes,
            activations={},
            groups={
                name: torch.multinomial(shares, n_per_component, replacement=True, generator=generator).flatten()
                for name, shares in self.groups.items()
            },
            space=self.space,
            continuous=None if self.continuous is None else each(self.continuous),
        )

    def plus(self, other: LatentSummary) -> LatentSummary:
        """Return a summary that describes the labels of another one, too.

        Parameters
        ----------
        other
            Summary of other labels in the same latent space. The model may have met further groups meanwhile.

        Raises
        ------
        ValueError
            If the latent spaces differ, or both describe a label.
        """
        if self.space != other.space or set(self.labels) & set(other.labels):
            message = (
                f"summaries can be joined in one latent space ({self.space}, {other.space}) and if they describe "
                f"different labels ({list(self.labels)}, {list(other.labels)})"
            )
            raise ValueError(message)

        def both(name: str) -> Tensor:
            return torch.cat([getattr(self, name), getattr(other, name)])

        labels, groups = self.labels + other.labels, {}
        for name, shares in self.groups.items():
            padded = torch.zeros(len(self) + len(other), max(shares.shape[1], other.groups[name].shape[1]))
            padded[: len(self), : shares.shape[1]] = shares
            padded[len(self) :, : other.groups[name].shape[1]] = other.groups[name]
            groups[name] = padded
        return replace(
            self,
            labels=labels,
            left_out=tuple(one for one in dict.fromkeys(self.left_out + other.left_out) if one not in labels),
            of_label=torch.cat([self.of_label, other.of_label + len(self.labels)]),
            groups=groups,
            continuous=None if self.continuous is None else both("continuous"),
            **{name: both(name) for name in ("n_cells", "means", "covariances", "z_var", "library")},
        )

    def to_plain(self) -> dict[str, Any]:
        """Return dicts, lists and tensors only, so that plain scvi-tools opens a file that holds them."""
        return vars(self) | {
            "labels": list(self.labels),
            "left_out": list(self.left_out),
            "groups": dict(self.groups),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> LatentSummary:
        """Undo :meth:`to_plain`."""
        return cls(**{**plain, "labels": tuple(plain["labels"]), "left_out": tuple(plain["left_out"])})

"""Calibrate label probabilities by temperature scaling of smoothed vote shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from scarches_plus import _arguments as check
from scarches_plus._temperature import mean_loss

from ._provenance._embedding_record import are_cells, embedding_space
from ._votes._neighbor_votes import KERNELS

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Shares are never taken for nothing, so that a logarithm exists and a label no neighbour has is not impossible.
LEAST_FLOOR = 1e-4


@dataclass(frozen=True)
class LabelCalibration:
    r"""Calibration that turns the shares of a label vote into probabilities.

    With the shares :math:`s` that the labels have of a cell's votes, its probabilities are
    :math:`p_y = (s_y + f)^a / \sum_{y'} (s_{y'} + f)^a`. The order of the labels does not change.

    Attributes
    ----------
    exponent
        :math:`a`, the inverse temperature: below 1 the votes were too sure of themselves, above 1 not enough.
    floor
        :math:`f`.
    error, error_before
        Expected calibration error of the held-out cells, as the other held-out batches calibrate them, and without
        calibration.
    n_cells
        Number of held-out cells.
    k, kernel
        Of the vote.
    space
        Latent space that it was learned in, if known.

    References
    ----------
    Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2 (temperature scaling).
    """

    exponent: float
    floor: float
    error: float
    error_before: float
    n_cells: int
    k: int
    kernel: str
    space: str | None = None

    def __post_init__(self) -> None:
        check.number("exponent", self.exponent, above=0)
        check.number("floor", self.floor, above=0)
        check.choice("kernel", self.kernel, KERNELS)
        check.texts_or_none(space=self.space)
        for name in ("n_cells", "k"):
            object.__setattr__(self, name, check.whole(name, getattr(self, name), least=1))

    def apply(self, shares: np.ndarray) -> np.ndarray:
        """Return probabilities.

        Parameters
        ----------
        shares
            Shape ``(n_cells, n_labels)``; rows sum to 1, or to 0 where no neighbour has a label.

        Returns
        -------
        numpy.ndarray
            The same shape; rows of nothing stay so.
        """
        shares = check.array("shares", shares)
        if shares.ndim != 2:
            message = f"shares must have shape (cells, labels); its shape is {shares.shape}"
            raise ValueError(message)
        return calibrated_shares(shares, self.exponent, self.floor)

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, as JSON and h5ad have them: ``LabelCalibration(**plain)`` is the same again."""
        return asdict(self)


def calibrations_for(
    labels_key: Sequence[str], calibration: Any, reference: Any, *, use_rep: str, k: int, kernel: str
) -> dict[str, LabelCalibration]:
    """Return the calibration of each label column, empty if there is none.

    Raises
    ------
    KeyError
        If there are several columns and one has no calibration.
    TypeError
        If a calibration is something else, such as the plain values that a bundle keeps.
    ValueError
        If a calibration is of another vote, or the reference is a model, which does not vote.
    """
    if calibration is None:
        return {}
    if not are_cells(reference):
        message = (
            "a calibration is of the vote of reference cells; pass them as AnnData, or leave `calibration` out: a "
            "model's summary is calibrated by itself"
        )
        raise ValueError(message)
    plain = {"exponent", "floor"} <= set(calibration) if isinstance(calibration, Mapping) else False
    if plain or not isinstance(calibration, LabelCalibration | Mapping):
        message = (
            f"calibration must be a LabelCalibration, not {type(calibration).__name__}; of plain values, "
            "sp.tl.LabelCalibration(**values) makes one"
        )
        raise TypeError(message)
    if isinstance(calibration, LabelCalibration) and len(labels_key) > 1:
        message = (
            f"there are {len(labels_key)} label columns: pass calibration={{column: calibrate_labels(reference, "
            "column, ...)}"
        )
        raise ValueError(message)
    by_key = dict.fromkeys(labels_key, calibration) if isinstance(calibration, LabelCalibration) else dict(calibration)
    if lacking := [key for key in labels_key if key not in by_key]:
        message = f"no calibration of {lacking}: call sp.tl.calibrate_labels(reference, {lacking[0]!r}, ...)"
        raise KeyError(message)
    space = embedding_space(reference, use_rep)
    for key in labels_key:
        one = by_key[key]
        if not isinstance(one, LabelCalibration):
            message = (
                f"the calibration of {key!r} must be a LabelCalibration, not {type(one).__name__}; of plain values, "
                "sp.tl.LabelCalibration(**values) makes one"
            )
            raise TypeError(message)
        if (one.k, one.kernel, one.space) != (k, kernel, space):
            message = (
                f"the calibration of {key!r} is of another vote (k={one.k}, kernel={one.kernel!r}, space {one.space}) "
                f"than this one (k={k}, kernel={kernel!r}, space {space}); call sp.tl.calibrate_labels with these"
            )
            raise ValueError(message)
    return by_key


def calibrated_shares(shares: np.ndarray, exponent: float, floor: float) -> np.ndarray:
    """Return ``(shares + floor) ** exponent``, rows summing to 1; rows of nothing stay so."""
    logs = exponent * np.log(shares + floor)
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    powers[~shares.any(axis=1)] = 0
    total = powers.sum(axis=1, keepdims=True)
    return np.divide(powers, total, out=np.zeros_like(powers), where=total > 0)


def fit(shares: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    """Return the exponent and the floor under which held-out labels are most probable.

    Parameters
    ----------
    shares
        Shape ``(n_cells, n_labels)``, rows sum to 1.
    codes
        True labels, shape ``(n_cells,)``.
    """

    def loss(logs: np.ndarray) -> float:
        return mean_loss(np.exp(logs[0]) * np.log(shares + LEAST_FLOOR + np.exp(logs[1])), codes)

    found = minimize(loss, np.log([1.0, 0.01]), method="Nelder-Mead", bounds=np.log([[0.05, 20.0], [1e-6, 1.0]]))
    return float(np.exp(found.x[0])), float(LEAST_FLOOR + np.exp(found.x[1]))

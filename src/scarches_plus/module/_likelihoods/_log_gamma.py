"""Compute log-gamma and digamma together, cheaper than either alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_HALF_LOG_TAU = 0.9189385332046727


def log_gamma_and_slope(y: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return :math:`\log\Gamma(y)` and its derivative, the digamma function, for positive numbers.

    Four steps of :math:`\Gamma(y + 1) = y \, \Gamma(y)` lead to where the asymptotic series hold. Torch has both
    functions, but they take 4 and 19 ns per number on one core (float32); this takes 8 for the pair.

    Parameters
    ----------
    y
        Positive numbers.

    Returns
    -------
    tuple of Tensor
        Both with the shape of ``y``; absolute errors are about 1e-6 in single precision for small numbers, 1e-8 in
        double precision.

    References
    ----------
    Abramowitz and Stegun, Handbook of Mathematical Functions, 6.1.41 and 6.3.18.
    """
    shifted = y + 4
    inverse = shifted.reciprocal()
    square = inverse * inverse
    log = shifted.log()
    outer = (y + 3).mul_(y).mul_(square)
    steps = outer.add(square, alpha=2).mul_(outer)  # y (y + 1) (y + 2) (y + 3) / (y + 4)^4
    passed = (y + 1.5).mul_(4).mul_(outer.add_(square)).mul_(square).div_(steps)  # sum of 1 / (y + k), k < 4
    value = (y - 0.5).mul_(log).sub_(shifted).sub_(steps.log_()).add_(_HALF_LOG_TAU)
    value.addcmul_(square.mul(1 / 1260).sub_(1 / 360).mul_(square).add_(1 / 12), inverse)
    series = square.mul(1 / 252).sub_(1 / 120).mul_(square).add_(1 / 12).mul_(square)
    return value, log.sub_(inverse, alpha=0.5).sub_(series).sub_(passed)

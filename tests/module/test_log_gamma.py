"""Log-gamma and digamma functions against scipy's."""

import numpy as np
import pytest
import scipy.special
import torch

from scarches_plus.module._likelihoods._log_gamma import log_gamma_and_slope


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 5e-8), (torch.float32, 2e-6)])
def test_as_scipy_from_tiny_to_huge(dtype, tolerance):
    y = torch.exp(torch.linspace(-18, 40, 5001, dtype=torch.float64)).to(dtype)
    value, slope = log_gamma_and_slope(y)
    exact = y.double().numpy()
    np.testing.assert_allclose(value.double(), scipy.special.gammaln(exact), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(slope.double(), scipy.special.digamma(exact), rtol=tolerance, atol=tolerance)


def test_leaves_its_argument():
    y = torch.tensor([0.5, 3.0])
    log_gamma_and_slope(y)
    assert y.tolist() == [0.5, 3.0]

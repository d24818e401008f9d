"""References train along the curve of scvi-tools."""

import numpy as np
import pytest
import scvi
from small_models import NETWORK, cells, setup, train

from scarches_plus import model as models


def curve(cls, adata, seed, **kwargs):
    setup(cls, adata)
    scvi.settings.seed = seed
    model = cls(adata, **{**NETWORK, **kwargs})
    scvi.settings.seed = seed
    train(model, max_epochs=20, batch_size=64, log_every_n_steps=1, check_val_every_n_epoch=1)
    return model.history["elbo_train"].to_numpy(dtype=float), model.history["elbo_validation"].to_numpy(dtype=float)


@pytest.mark.parametrize("name", ["SCVI", "SCANVI"])
@pytest.mark.parametrize("likelihood", ["nb", "zinb"])
@pytest.mark.parametrize(
    "dispersion", ["gene", *(pytest.param(other, marks=pytest.mark.slow) for other in ("gene-batch", "gene-cell"))]
)
def test_same_curve_closer_than_another_seed(name, likelihood, dispersion):
    adata = cells()
    kwargs = {"gene_likelihood": likelihood, "dispersion": dispersion}
    ours = curve(getattr(models, name), adata, 0, **kwargs)
    theirs, another = (curve(getattr(scvi.model, name), adata, seed, **kwargs) for seed in (0, 1))
    for mine, expected, other in zip(ours, theirs, another, strict=True):
        assert mine.shape == expected.shape
        assert np.abs(mine - expected).max() < 0.1 * np.abs(other - expected).max()
        np.testing.assert_allclose(mine, expected, rtol=1e-3)

import numpy as np
import pytest
import torch
from small_models import SCANVI, SCVI, cells, reference, setup, split, train

from scarches_plus.pp import QueryError
from scarches_plus.train import CellReplay


def mean_elbo(model, adata):
    """Evidence of a cell; scvi-tools draws the latent variables anew each time."""
    return -np.mean([abs(float(model.get_elbo(adata))) for _ in range(10)])


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
def test_the_reference_is_not_forgotten(cls):
    ref, query = split(cells(600, batch_effect=1.0), "batch2")
    model = train(reference(cls, ref), 60)
    before, after = mean_elbo(model, ref), {}
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        mapped = cls.load_query_data(query, model, strategy="all")
        train(mapped, 40, penalties=[CellReplay(cells=ref, weight=weight)], plan_kwargs={"lr": 0.01})
        after[weight] = mean_elbo(mapped, ref)
    assert after[5.0] > after[0.0]
    assert after[5.0] > before - 1


def test_covariates_and_genes_in_any_order():
    adata = cells(n_batches=3)
    adata.obs["donor"] = ["a", "b"] * (adata.n_obs // 2)
    adata.obs["depth"] = np.linspace(0, 1, adata.n_obs)
    ref, query = split(adata, "batch2")
    setup(SCVI, ref, categorical_covariate_keys=["donor"], continuous_covariate_keys=["depth"])
    model = train(SCVI(ref, encode_covariates=True, use_layer_norm="both", use_batch_norm="none", n_hidden=8))
    mapped = SCVI.load_query_data(query, model, strategy="all")
    given = ref[::-1, ::-1].copy()
    train(mapped, 1, penalties=[CellReplay(cells=given, n_kept=50)])
    assert np.isfinite(mapped.history["cell_replay_train"].to_numpy(dtype=float)).all()
    assert mapped.state.penalties[0]["cells"] == ref.n_obs
    assert given.uns.keys() == ref[:, ::-1].copy().uns.keys()


@pytest.mark.filterwarnings("ignore:adata.X does not contain unnormalized count data")  # scvi-tools' own words
def test_refusals():
    ref, query = split(cells(), "batch2")
    model = reference(SCVI, ref)
    mapped = SCVI.load_query_data(query, model, strategy="all")
    stranger = ref.copy()
    stranger.obs["batch"] = "elsewhere"
    with pytest.raises(ValueError, match="elsewhere"):
        train(mapped, 1, penalties=[CellReplay(cells=stranger)])
    multiplied = ref.copy()
    multiplied.X = multiplied.X * np.float32(0.3)
    with pytest.warns(UserWarning, match=r"counts multiplied by 0\.3"):
        train(mapped, 1, penalties=[CellReplay(cells=multiplied)])
    normalised = ref.copy()
    normalised.X = np.log1p(normalised.X)
    with pytest.raises(QueryError, match="log-normalised values"):
        train(mapped, 1, penalties=[CellReplay(cells=normalised)])
    with pytest.raises(ValueError, match="n_cells must be at least 1"):
        CellReplay(cells=ref, n_cells=0)

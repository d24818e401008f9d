"""Importance goes along with the weights it belongs to."""

import pytest
import torch
from small_models import SCANVI, SCVI, cells, reference, split, train

from scarches_plus.train import estimate_importance


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
@pytest.mark.parametrize("batch_free", [False, True])
def test_new_columns_matter_nothing_and_old_ones_what_they_did(cls, batch_free):
    """Also where a second covariate follows, so that new columns of the batch come into the middle."""
    adata = cells(n_batches=4)
    adata.obs["donor"] = ["a", "b"] * (adata.n_obs // 2)
    ref, query = split(adata, "batch2", "batch3")
    query.obs["donor"] = ["c", "b"] * (query.n_obs // 2)
    options = {"dispersion": "gene-batch", "batch_free_decoder_layer": batch_free}
    model = reference(cls, ref, setup_kwargs={"categorical_covariate_keys": ["donor"]}, **options)
    before = estimate_importance(model, n_cells=40)
    mapped = cls.load_query_data(query, model, strategy="all")
    after, weights = mapped.state.importance, dict(mapped.module.named_parameters())
    assert after.fisher.keys() == before.fisher.keys()
    n_grown = 0
    for name, fisher in after.fisher.items():
        assert fisher.shape == weights[name].shape
        assert torch.equal(after.values[name], weights[name].detach())  # EWC begins at 0, new columns included
        old = before.fisher[name]
        if fisher.shape == old.shape:
            assert torch.equal(fisher, old)
            continue
        n_grown += 1
        if name == "px_r":
            kept = [0, 1]
        else:  # features, two batches and two new ones, two donors and a new one
            n_features = old.shape[1] - 4
            kept = [*range(n_features), n_features, n_features + 1, n_features + 4, n_features + 5]
        assert torch.equal(fisher[:, kept], old)
        fresh = [column for column in range(fisher.shape[1]) if column not in kept]
        assert fresh
        assert not fisher[:, fresh].any()
        assert fisher[:, kept].any()
    assert n_grown == (4 if batch_free else 5)


def test_importance_of_earlier_weights_is_said(caplog):
    ref, query = split(cells(), "batch2")
    model = reference(SCVI, ref)
    estimate_importance(model, n_cells=20)
    with caplog.at_level("WARNING", logger="scarches_plus"):
        mapped = train(SCVI.load_query_data(query, model, strategy="all"), 1)
        SCVI.load_query_data(query[:5].copy(), mapped, strategy="all", shared_batches=["batch2"])
        assert "estimate_importance" not in caplog.text  # a query model is held at its reference
        train(model, 1)
        SCVI.load_query_data(query, model, strategy="all")
    assert "estimate_importance" in caplog.text

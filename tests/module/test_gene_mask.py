"""Unmeasured genes have no part in the likelihood, and nothing else changes."""

import pytest
import torch
from small_models import reference

from scarches_plus.model import SCANVI, SCVI


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
def test_gradient_does_not_reach_unmeasured_genes(cls):
    model = reference(cls)
    mask = torch.ones(2, 40, dtype=bool)
    mask[:, :7] = False
    model.module.set_gene_mask(mask)
    tensors = next(iter(model._make_data_loader(adata=model.adata, batch_size=16)))
    model.module.zero_grad()
    *_, losses = model.module(tensors)
    losses.loss.backward()
    assert (model.module.px_r.grad[:7] == 0).all()
    assert (model.module.px_r.grad[7:] != 0).any()


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
def test_a_mask_of_measured_genes_changes_nothing(cls):
    model = reference(cls)
    plain = model.get_elbo()
    model.module.set_gene_mask(torch.ones(2, 40, dtype=bool))
    assert float(model.get_elbo()) == pytest.approx(float(plain), rel=0.01)  # z is sampled
    assert "gene_mask" not in model.module.state_dict()
    model.module.set_gene_mask(None)
    assert model.module.gene_mask is None

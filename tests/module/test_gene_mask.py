"""Unmeasured genes have no part in the likelihood, and nothing else changes."""

import copy

import pytest
import torch
from scvi.distributions import NegativeBinomial
from small_models import reference

from scarches_plus.model import SCANVI, SCVI
from scarches_plus.module._likelihoods._gene_mask import MeasuredGenes


def test_log_prob_is_zero_where_unmeasured():
    torch.manual_seed(0)
    px = NegativeBinomial(mu=torch.rand(6, 4) * 5, theta=torch.ones(4))
    measured = torch.rand(6, 4) > 0.5
    x = px.sample()
    masked = MeasuredGenes(px, measured)
    for cell in range(6):
        for gene in range(4):
            expected = px.log_prob(x)[cell, gene] if measured[cell, gene] else torch.tensor(0.0)
            assert masked.log_prob(x)[cell, gene] == expected
    assert masked.mean is px.mean
    assert masked.sample().shape == (6, 4)


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


def test_can_be_copied():
    px = NegativeBinomial(mu=torch.ones(2, 3), theta=torch.ones(3))
    masked = copy.copy(MeasuredGenes(px, torch.tensor([[True, False, True]] * 2)))
    assert (masked.log_prob(torch.ones(2, 3))[:, 1] == 0).all()

"""totalVI's module: masks, and the distribution that anchors are drawn from."""

import numpy as np
import pytest
import scvi
import torch

from scarches_plus.module import TOTALVAE

SIZES = {"n_input_genes": 20, "n_input_proteins": 4, "n_batch": 2, "n_panel": 2, "n_hidden": 8, "n_latent": 3}


@pytest.fixture(params=["nb", "zinb"])
def modules(request):
    torch.manual_seed(0)
    ours = TOTALVAE(**SIZES, gene_likelihood=request.param).eval()
    theirs = scvi.module.TOTALVAE(**SIZES, gene_likelihood=request.param).eval()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def tensors():
    torch.manual_seed(1)
    batch = torch.tensor([[0], [1]] * 3)
    counts = {"X": torch.randint(0, 9, (6, 20)).float(), "proteins": torch.randint(0, 9, (6, 4)).float()}
    return {**counts, "batch": batch, "labels": torch.zeros_like(batch)}


def outputs(module, **loss_kwargs):
    torch.manual_seed(2)
    with torch.no_grad():
        return module(tensors(), loss_kwargs=loss_kwargs)


@pytest.mark.parametrize("kl_weight", [0.0, 0.3, 1.0])
def test_without_masks_it_is_that_of_scvi_tools(modules, kl_weight):
    ours, theirs = (outputs(module, kl_weight=kl_weight)[2].loss for module in modules)
    assert torch.equal(ours, theirs)


def test_masked_genes_leave_the_loss(modules):
    ours, _ = modules
    whole = outputs(ours)
    measured = torch.ones(2, 20, dtype=torch.bool)
    measured[1, :5] = False
    ours.set_gene_mask(measured)
    masked = outputs(ours)[2]
    x, px = tensors()["X"], whole[1]["px_"]
    if ours.gene_likelihood == "nb":
        likelihood = scvi.distributions.NegativeBinomial(mu=px["rate"], theta=px["r"])
    else:
        likelihood = scvi.distributions.ZeroInflatedNegativeBinomial(
            mu=px["rate"], theta=px["r"], zi_logits=px["dropout"]
        )
    left_out = likelihood.log_prob(x)[:, :5].sum(1) * torch.tensor([0, 1] * 3)
    expected = whole[2].reconstruction_loss["reconst_loss_gene"] + left_out
    torch.testing.assert_close(masked.reconstruction_loss["reconst_loss_gene"], expected, rtol=1e-5, atol=1e-4)
    for name in ("reconst_loss_protein",):
        assert torch.equal(masked.reconstruction_loss[name], whole[2].reconstruction_loss[name])
    ours.set_gene_mask(None)
    assert torch.equal(outputs(ours)[2].loss, whole[2].loss)


def test_infer_takes_genes_and_proteins_side_by_side(modules):
    ours, _ = modules
    cells = tensors()
    with torch.no_grad():
        expected = ours.inference(cells["X"], cells["proteins"], batch_index=cells["batch"], panel_index=cells["batch"])
        joint = torch.cat([cells["X"], cells["proteins"]], 1)
        given = ours.infer(joint, batch_index=cells["batch"], cont_covs=None, cat_covs=None)
    assert torch.equal(given["qz"].loc, expected["qz"].loc)


def test_likelihood_has_the_means_of_the_model(modules):
    """Moments of many draws, against scvi-tools' parameters."""
    ours, _ = modules
    ours.protein_batch_mask = {"0": np.ones(4, dtype=bool), "1": np.array([True, False, True, True])}
    n = 20_000
    z, library = torch.zeros(1, 3).expand(n, 3), torch.full((n, 1), 5.0)
    batch = torch.ones(n, 1, dtype=torch.long)
    torch.manual_seed(0)
    with torch.no_grad():
        observed = ours.likelihood(z, library, batch_index=batch, cont_covs=None, cat_covs=None)
        counts = observed.sample()
        torch.manual_seed(0)
        out = ours.generative(z, library.exp(), batch, torch.zeros_like(batch))
    assert counts.shape == (n, 24)
    px, py = out["px_"], out["py_norm_"]
    present = 1.0 if ours.gene_likelihood == "nb" else 1 - torch.sigmoid(px["dropout"])
    genes = (px["rate"] * present)[0]
    torch.testing.assert_close(counts[:, :20].mean(0), genes, rtol=0.1, atol=0.15)
    torch.testing.assert_close(observed.scale[0], px["scale"][0])
    background = torch.sigmoid(py["mixing"])
    proteins = (background * py["rate_back"] + (1 - background) * py["rate_fore"]).mean(0)
    assert not counts[:, 21].any()
    kept = [0, 2, 3]
    torch.testing.assert_close(counts[:, 20:][:, kept].mean(0), proteins[kept], rtol=0.1, atol=0.1)

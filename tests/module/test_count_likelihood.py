"""Our modules compute scvi-tools' loss and its gradients, on scvi-tools' weights."""

import copy
import inspect
import pickle

import pytest
import scvi
import torch
from scvi.distributions import NegativeBinomial, ZeroInflatedNegativeBinomial
from small_models import NETWORK, cells, setup, train

from scarches_plus import model as models
from scarches_plus.module import SCANVAE, VAE


def pair(name, adata, **kwargs):
    """Our model and scvi-tools' with the same weights."""
    both = []
    for package in (models, scvi.model):
        cls = getattr(package, name)
        setup(cls, adata)
        scvi.settings.seed = 0
        both.append(cls(adata, **{**NETWORK, **kwargs}))
    return both


def loss_and_gradients(model, mask=None):
    module = model.module
    module.train()
    module.zero_grad()
    tensors = next(iter(model._make_data_loader(adata=model.adata, batch_size=64)))
    torch.manual_seed(1)
    _, outputs, losses = module(tensors)
    if mask is None:
        loss = losses.loss
    else:  # what scvi-tools' distribution says of the genes that were measured
        measured = mask[tensors["batch"].squeeze(-1)]
        log_prob = outputs["px"].log_prob(tensors["X"])
        loss = losses.loss + (log_prob * ~measured).sum(-1).mean()
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["SCVI", "SCANVI"])
@pytest.mark.parametrize("likelihood", ["nb", "zinb"])
@pytest.mark.parametrize("dispersion", ["gene", "gene-batch", "gene-cell"])
@pytest.mark.parametrize("masked", [False, True], ids=["all genes", "gene mask"])
def test_gradients_are_those_of_scvi_tools(name, likelihood, dispersion, masked):
    ours, theirs = pair(name, cells(), gene_likelihood=likelihood, dispersion=dispersion)
    assert all(torch.equal(*p) for p in zip(ours.module.parameters(), theirs.module.parameters(), strict=True))
    mask = None
    if masked:
        mask = torch.ones(3, 40, dtype=torch.bool)
        mask[0, :9] = False
        ours.module.set_gene_mask(mask)
    mine, expected = loss_and_gradients(ours), loss_and_gradients(theirs, mask)
    torch.testing.assert_close(mine[0], expected[0], rtol=1e-6, atol=0)
    assert set(mine[1]) == set(expected[1])
    for key, gradient in expected[1].items():
        scale = gradient.abs().max().item()
        torch.testing.assert_close(mine[1][key], gradient, rtol=1e-4, atol=max(2e-5 * scale, 1e-7), msg=key)


@pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson", "normal"])
def test_weights_open_in_scvi_tools_and_back(likelihood, tmp_path):
    ours, _ = pair("SCVI", cells(), gene_likelihood=likelihood)
    train(ours).save(tmp_path / "ours")
    theirs = scvi.model.SCVI.load(tmp_path / "ours", adata=ours.adata)
    state, expected = theirs.module.state_dict(), ours.module.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[key], expected[key]) for key in state)
    back = copy.deepcopy(ours.module)
    back.load_state_dict(state)
    assert pickle.loads(pickle.dumps(ours.module.decoder)) is not None  # noqa: S301


def test_layers_that_nobody_reads_are_not_computed():
    nb, zinb = (pair("SCVI", cells(), gene_likelihood=likelihood)[0].module.decoder for likelihood in ("nb", "zinb"))
    given = "gene", torch.zeros(2, 4), torch.zeros(2, 1), torch.zeros(2, 1, dtype=int)
    assert nb(*given)[3] is None
    assert zinb(*given)[3].shape == (2, 40)


def test_the_rest_is_the_distribution_of_scvi_tools():
    model = pair("SCVI", cells(), gene_likelihood="zinb")[0]
    tensors = next(iter(model._make_data_loader(adata=model.adata, batch_size=8)))
    module = model.module.eval()
    with torch.no_grad():
        inputs = module._get_generative_input(tensors, module.inference(**module._get_inference_input(tensors)))
        px = module.generative(**inputs)["px"]
        plain = scvi.module.VAE.generative(module, **inputs)["px"]
    assert isinstance(px, ZeroInflatedNegativeBinomial)
    for name in ("mean", "variance", "mu", "theta", "zi_logits", "scale", "zi_probs"):
        assert torch.equal(getattr(px, name), getattr(plain, name))
    torch.manual_seed(0)
    sample = px.sample()
    torch.manual_seed(0)
    assert torch.equal(sample, plain.sample())
    module.set_gene_mask(torch.ones(module.n_batch, 40, dtype=torch.bool))
    with torch.no_grad():
        masked = module.generative(**inputs)["px"]
    assert type(masked) is not type(px)
    torch.testing.assert_close(masked.log_prob(tensors["X"]), plain.log_prob(tensors["X"]), rtol=1e-4, atol=1e-5)


def test_several_samples_of_a_cell():
    model = train(pair("SCVI", cells(), gene_likelihood="nb")[0])
    tensors = next(iter(model._make_data_loader(adata=model.adata, batch_size=8)))
    with torch.no_grad():
        _, outputs = model.module(tensors, inference_kwargs={"n_samples": 3}, compute_loss=False)
    px = outputs["px"]
    expected = NegativeBinomial(mu=px.mu, theta=px.theta).log_prob(tensors["X"])
    assert expected.shape == (3, 8, 40)
    assert torch.equal(px.log_prob(tensors["X"]), expected)
    assert model.get_marginal_ll(n_mc_samples=4, n_mc_samples_per_pass=2) is not None


@pytest.mark.parametrize(("ours", "theirs"), [(VAE, scvi.module.VAE), (SCANVAE, scvi.module.SCANVAE)])
def test_signatures_stay(ours, theirs):
    for name in ("generative", "loss"):
        mine, expected = (inspect.signature(getattr(cls, name)).parameters for cls in (ours, theirs))
        assert list(mine) == list(expected)

"""An encoder that sees counts normalised per cell, under a likelihood of counts."""

import numpy as np
import pytest
import scvi
import torch
from scipy import sparse
from small_models import SCANVI, SCVI, STRATEGIES, cells, reference, split, train

import scarches_plus as sp


@pytest.fixture(scope="module", params=[SCVI, SCANVI], ids=lambda cls: cls.__name__)
def model(request):
    return reference(request.param, normalize_encoder_input=True)


@pytest.fixture
def query():
    return split(cells(), "batch2")[1]


def expression(counts):
    """The paper's formula."""
    counts = counts.toarray() if sparse.issparse(counts) else np.asarray(counts)
    return np.log1p(1e4 * counts / counts.sum(1, keepdims=True)).astype(np.float32)


def minibatch(model, n_cells=32):
    return next(iter(model._make_data_loader(adata=model.adata, batch_size=n_cells)))


def recorded(layer):
    """Catch what a layer gets."""
    seen = []
    layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach().numpy()))
    return seen


pytestmark = pytest.mark.filterwarnings("ignore:these are no raw counts")  # multiplied


def deeper(adata):
    adata = adata.copy()
    adata.X = adata.X * 3
    return adata


def test_the_encoder_sees_shares_and_the_likelihood_counts(model):
    module, tensors = model.module.eval(), minibatch(model)
    counts = tensors["X"]
    torch.manual_seed(0)
    inference, generative, losses = module(tensors, loss_kwargs={"kl_weight": 0.5})
    expected = module.z_encoder(torch.from_numpy(expression(counts)), tensors["batch"])[0]
    torch.testing.assert_close(inference["qz"].loc, expected.loc)
    size = counts.sum(1, keepdim=True)
    torch.testing.assert_close(inference["library"], size.log())
    px = generative["px"]
    torch.testing.assert_close(px.mu, px.scale * size)
    if type(model) is SCVI:  # scANVI's holds terms of its second latent variable, too
        theirs = scvi.distributions.ZeroInflatedNegativeBinomial(mu=px.mu, theta=px.theta, zi_logits=px.zi_logits)
        by_hand = -theirs.log_prob(counts).sum(1)
        torch.testing.assert_close(losses.reconstruction_loss["reconstruction_loss"], by_hand)
    several = module.inference(counts, tensors["batch"], n_samples=3)
    torch.testing.assert_close(several["library"], size.log().expand(3, -1, -1))


@pytest.mark.parametrize("blind", [False, True], ids=["", "blind"])
def test_a_learned_library_is_learned_from_counts(blind):
    setup = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"]}
    ref = split(cells(), "batch2")[0]
    ref.obs["donor"], ref.obs["age"] = np.resize(["x", "y"], ref.n_obs), np.linspace(-1, 1, ref.n_obs)
    options = {"use_observed_lib_size": False, "encode_covariates": not blind, "normalize_encoder_input": True}
    model = reference(SCVI, ref, setup_kwargs=setup, **options)
    tensors = minibatch(model)
    encoded, sized = recorded(model.module.z_encoder.encoder), recorded(model.module.l_encoder.encoder)
    model.module(tensors)
    n_genes = tensors["X"].shape[1]
    np.testing.assert_allclose(encoded[0][:, :n_genes], expression(tensors["X"]), rtol=1e-5)
    np.testing.assert_allclose(sized[0][:, :n_genes], np.log1p(tensors["X"].numpy()), rtol=1e-6)
    np.testing.assert_array_equal(sized[0][:, n_genes:], encoded[0][:, n_genes:])
    assert sized[0].shape[1] == n_genes + (0 if blind else 1)


@pytest.mark.parametrize("form", ["sparse", "dense", "one gene missing"])
def test_every_way_to_embed(model, query, form):
    query.X = query.X.tocsr() if sparse.issparse(query.X) else sparse.csr_matrix(query.X)
    query.obs["batch"] = "batch1"
    whole = query.X.toarray()
    if form == "dense":
        query.X = whole
    if form == "one gene missing":
        whole[:, 5] = 0
        query = query[:, np.arange(query.n_vars) != 5].copy()
    batch = torch.full((len(whole), 1), list(model.adata.obs["batch"].cat.categories).index("batch1"))
    with torch.no_grad():
        expected = model.module.z_encoder(torch.from_numpy(expression(whole)), batch)[0].loc.numpy()
    np.testing.assert_allclose(model.embed(query), expected, atol=2e-5)


def test_depth_does_not_show(model, query):
    query.obs["batch"] = "batch1"
    np.testing.assert_allclose(model.embed(deeper(query)), model.embed(query), atol=2e-5)
    plain = reference(type(model))
    assert np.abs(plain.embed(deeper(query)) - plain.embed(query)).max() > 0.01


def test_labels_are_told_from_normalised_cells(query):
    model = reference(SCANVI, normalize_encoder_input=True)
    query.obs["batch"] = "batch1"
    table = model.predict(query, soft=True)
    module = model.module.eval()
    with torch.no_grad():
        z = torch.from_numpy(model.embed(query))
        expected = torch.softmax(module.classifier(z), 1).numpy()
    np.testing.assert_allclose(table.to_numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(deeper(query), soft=True).to_numpy(), table.to_numpy(), atol=1e-5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_surgery_saving_and_bundles(model, query, strategy, tmp_path):
    cls, ref = type(model), model.adata
    before = model.embed(ref)
    mapped = cls.load_query_data(query, model, strategy=strategy)
    start = mapped.embed(query)
    train(mapped)
    assert np.abs(mapped.embed(query) - start).max() > 1e-5
    assert (np.abs(mapped.embed(ref) - before).max() == 0.0) == (strategy == "condition")
    np.testing.assert_allclose(mapped.embed(deeper(query)), mapped.embed(query), atol=2e-5)
    mapped.save(tmp_path / "model")
    bundle = sp.hub.save_bundle(mapped, tmp_path / "bundle")
    for again in (sp.load(tmp_path / "model"), sp.load(bundle)):
        np.testing.assert_array_equal(again.embed(query), mapped.embed(query))


def test_scanvi_made_of_scvi_keeps_it(query):
    ref = split(cells(), "batch2")[0]
    model = reference(SCVI, ref, setup_kwargs={"labels_key": "cell_type"}, normalize_encoder_input=True)
    labelled = train(SCANVI.from_scvi_model(model, "Unknown"), 1)
    query.obs["batch"] = "batch1"
    np.testing.assert_allclose(labelled.embed(deeper(query)), labelled.embed(query), atol=2e-5)


def test_a_squared_error_has_it_anyhow(query):
    query.obs["batch"] = "batch1"
    one, other = (reference(SCVI, gene_likelihood="mse", normalize_encoder_input=given) for given in (False, True))
    np.testing.assert_array_equal(one.embed(query), other.embed(query))


def test_scvi_tools_opens_no_such_file(model, tmp_path):
    """It would encode counts that are not normalised."""
    model.save(tmp_path / "model")
    with pytest.raises((RuntimeError, TypeError), match=r"target_sum|normalize_encoder_input"):
        getattr(scvi.model, type(model).__name__).load(str(tmp_path / "model"), adata=model.adata.copy())
    with pytest.raises(ValueError, match="normalize_encoder_input"):
        sp.hub.export_model(model, tmp_path / "exported")

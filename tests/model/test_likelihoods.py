"""trVAE's squared errors on whole models: losses by formula, and every promise of the package."""

import numpy as np
import pytest
import scvi
import torch
from anndata import AnnData
from scipy import sparse
from small_models import NETWORK, SCANVI, SCVI, STRATEGIES, cells, reference, setup, split, train

from scarches_plus.model import load

LIKELIHOODS = ("mse", "sse")


@pytest.fixture(scope="module", params=[SCVI, SCANVI], ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


@pytest.fixture(scope="module", params=LIKELIHOODS)
def likelihood(request):
    return request.param


@pytest.fixture(scope="module")
def model(cls, likelihood):
    return reference(cls, gene_likelihood=likelihood, reconstruction_weight=5.0)


@pytest.fixture
def query():
    return split(cells(), "batch2")[1]


def expression(counts):
    return np.log1p(1e4 * counts / counts.sum(1, keepdims=True))


def minibatch(model, n_cells=32):
    return next(iter(model._make_data_loader(adata=model.adata, batch_size=n_cells)))


def run(module, tensors, **loss_kwargs):
    torch.manual_seed(0)
    return module.eval()(tensors, loss_kwargs=loss_kwargs)


def recorded(module, layer):
    """Catch the input of a layer."""
    seen = []
    layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach().numpy()))
    return seen


def error_by_hand(tensors, px, likelihood, weight, measured=None):
    squares = (expression(tensors["X"].numpy().astype(float)) - px.mean.detach().numpy()) ** 2
    measured = np.ones_like(squares) if measured is None else measured
    total = (squares * measured).sum(1)
    return weight * (total / measured.sum(1) if likelihood == "mse" else total)


def refuses():
    return pytest.raises((AttributeError, NotImplementedError), match="no distribution of counts")


class TestLoss:
    def test_scvi(self, likelihood):
        model = reference(SCVI, gene_likelihood=likelihood, reconstruction_weight=5.0)
        tensors = minibatch(model)
        inference, generative, losses = run(model.module, tensors, kl_weight=0.3)
        error = error_by_hand(tensors, generative["px"], likelihood, 5)
        loc, scale = (getattr(inference["qz"], name).detach().numpy() for name in ("loc", "scale"))
        kl = 0.5 * (loc**2 + scale**2 - 1 - 2 * np.log(scale)).sum(1)
        np.testing.assert_allclose(losses.reconstruction_loss["reconstruction_loss"].detach(), error, rtol=1e-4)
        np.testing.assert_allclose(losses.loss.item(), (error + 0.3 * kl).mean(), rtol=1e-5)

    def test_scanvi(self, likelihood):
        model = reference(SCANVI, gene_likelihood=likelihood)
        tensors = minibatch(model)
        losses = []
        for weight in (1.0, 4.0):  # what else is part of the loss cancels out
            model.module._reconstruction_weight = weight
            _, generative, output = run(model.module, tensors)
            losses.append(output.loss.item())
        error = error_by_hand(tensors, generative["px"], likelihood, 3)
        np.testing.assert_allclose(losses[1] - losses[0], error.mean(), rtol=1e-3)

    def test_genes_that_were_not_measured(self, cls, likelihood):
        model = reference(cls, gene_likelihood=likelihood, reconstruction_weight=5.0)
        mask = torch.ones(2, 40, dtype=torch.bool)
        mask[0, :7] = mask[1, 3:19] = False
        model.module.set_gene_mask(mask)
        tensors = minibatch(model)
        measured = mask[tensors["batch"].squeeze(1)]
        model.module.zero_grad()
        _, generative, losses = run(model.module, tensors)
        error = error_by_hand(tensors, generative["px"], likelihood, 5, measured.numpy())
        np.testing.assert_allclose(-generative["px"].log_prob(tensors["X"]).sum(1).detach(), error, rtol=1e-4)
        losses.loss.backward()
        gradient = model.module.decoder.px_scale_decoder[0].bias.grad
        assert (gradient[3:7] == 0).all()
        assert (gradient != 0).any()

    def test_a_query_without_some_genes(self, model, likelihood, query):
        mapped = type(model).load_query_data(query[:, 9:].copy(), model)
        _, generative, _ = run(mapped.module, minibatch(mapped))
        measured = np.ones((32, 40)) * (np.arange(40) >= 9)
        error = error_by_hand(minibatch(mapped), generative["px"], likelihood, 5, measured)
        np.testing.assert_allclose(-generative["px"].log_prob(minibatch(mapped)["X"]).sum(1).detach(), error, rtol=1e-4)

    def test_what_the_network_computes(self, cls, likelihood):
        model = reference(cls, gene_likelihood=likelihood)
        tensors, module = minibatch(model), model.module
        encoder = recorded(module, module.z_encoder.encoder.fc_layers[0][0])
        decoder = recorded(module, module.decoder.px_scale_decoder[0])
        _, generative, _ = run(module, tensors)
        counts = tensors["X"].numpy()
        np.testing.assert_allclose(encoder[0][:, :40], expression(counts), rtol=1e-4)
        output = module.decoder.px_scale_decoder[0]
        by_hand = np.maximum(decoder[0] @ output.weight.detach().numpy().T + output.bias.detach().numpy(), 0)
        np.testing.assert_allclose(generative["px"].mean.detach(), by_hand, rtol=1e-4, atol=1e-5)
        if cls is SCANVI:
            module.classify(tensors["X"], batch_index=tensors["batch"])
            np.testing.assert_allclose(encoder[-1][:, :40], expression(counts), rtol=1e-4)

    def test_no_logarithm_for_the_encoder(self, likelihood):
        model = reference(SCVI, gene_likelihood=likelihood, log_variational=False)
        tensors = minibatch(model)
        seen = recorded(model.module, model.module.z_encoder.encoder.fc_layers[0][0])
        _, generative, _ = run(model.module, tensors)
        np.testing.assert_allclose(seen[0][:, :40], np.expm1(expression(tensors["X"].numpy())), rtol=1e-3, atol=1e-2)
        error = error_by_hand(tensors, generative["px"], likelihood, 1)
        np.testing.assert_allclose(-generative["px"].log_prob(tensors["X"]).sum(1).detach(), error, rtol=1e-4)

    def test_averages_are_sums_over_genes(self):
        losses = []
        for options in ({"gene_likelihood": "mse", "reconstruction_weight": 40.0}, {"gene_likelihood": "sse"}):
            model = reference(SCVI, **options)
            losses.append(model.history["reconstruction_loss_train"].to_numpy(dtype=float))
        np.testing.assert_allclose(*losses, rtol=1e-3)

    def test_learns_every_gene(self, likelihood):
        adata = split(cells(type_effect=1.0, inverse_dispersion=10), "batch2")[0]
        setup(SCVI, adata)
        scvi.settings.seed = 0
        model = SCVI(adata, **NETWORK, gene_likelihood=likelihood, reconstruction_weight=40.0)
        train(model, 40, batch_size=32, plan_kwargs={"lr": 1e-2, "max_kl_weight": 0.5})
        truth, (_, generative, _) = expression(adata.X.toarray()), run(model.module, minibatch(model, adata.n_obs))
        predicted = generative["px"].mean.detach().numpy()
        assert (predicted.max(0) > 0).all()
        assert ((truth - predicted) ** 2).mean() < 0.9 * truth.var(0).mean()


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"dispersion": "gene-batch"}, "no use for dispersion='gene-batch'"),
            ({"use_observed_lib_size": False}, "no use for use_observed_lib_size=False"),
            ({"reconstruction_weight": 0}, "reconstruction_weight must be above 0"),
            ({"gene_likelihood": "nb", "reconstruction_weight": 2.0}, "max_kl_weight"),
        ],
    )
    def test_useless_ones_are_refused(self, cls, options, message):
        adata = cells()
        setup(cls, adata)
        with pytest.raises(ValueError, match=message):
            cls(adata, **{"gene_likelihood": "mse", **options})

    def test_size_factors_are_refused(self):
        adata = cells()
        adata.obs["size"] = 1.0
        setup(SCVI, adata, size_factor_key="size")
        with pytest.raises(ValueError, match="size_factor_key"):
            SCVI(adata, gene_likelihood="sse")


class TestUse:
    def test_normalized_expression(self, model):
        torch.manual_seed(0)
        tensors = minibatch(model, model.adata.n_obs)
        with torch.no_grad():
            _, generative = model.module(tensors, compute_loss=False)
        shares = np.expm1(generative["px"].mean.numpy()) / 1e4
        for size, expected in ((1e4, 1e4 * shares), ("latent", shares * tensors["X"].numpy().sum(1, keepdims=True))):
            torch.manual_seed(0)
            ours = model.get_normalized_expression(library_size=size, batch_size=model.adata.n_obs, return_numpy=True)
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
        several = model.get_normalized_expression(n_samples=2, return_mean=False, transform_batch="batch1")
        assert several.shape == (2, *model.adata.shape)
        assert np.isfinite(float(model.get_elbo()))
        assert np.isfinite(float(model.get_reconstruction_error()["reconstruction_loss"]))
        sizes = model.adata.X.toarray().sum(1, keepdims=True)
        np.testing.assert_allclose(np.asarray(model.get_latent_library_size(give_mean=False)), sizes, rtol=1e-5)

    def test_differential_expression(self, model):
        cells_of = {"groupby": "cell_type", "group1": "type0", "group2": "type1", "silent": True, "mode": "change"}
        table = model.differential_expression(**cells_of)
        assert (table["pseudocounts"] == 1e-4).all()
        # differences of predicted expression, which is a natural logarithm
        expression = np.log1p(1e4 * table[["scale1", "scale2"]].to_numpy())
        np.testing.assert_array_less(table["lfc_max"] - table["lfc_min"], 2 * np.log2(1e4) + 1)
        assert np.corrcoef(table["lfc_mean"], expression[:, 0] - expression[:, 1])[0, 1] > 0.5
        assert len(model.differential_expression(**{**cells_of, "mode": "vanilla"})) == 40
        assert (model.differential_expression(**cells_of, pseudocounts=1e-3)["pseudocounts"] == 1e-3).all()
        ratio = np.log2((table["scale1"] + 1e-4) / (table["scale2"] + 1e-4))
        assert np.corrcoef(table["lfc_mean"], ratio)[0, 1] > 0.8
        mine = model.differential_expression(**cells_of, change_fn=lambda x, y, _: 0 * (x + y) + 5)
        assert (mine["lfc_mean"] == 5).all()

    def test_what_needs_a_distribution_is_refused(self, model):
        with refuses():
            model.get_likelihood_parameters()
        with refuses():
            model.get_feature_correlation_matrix(n_samples=1)
        with refuses():
            model.get_marginal_ll(n_mc_samples=2)
        with refuses():
            model.module.sample(minibatch(model))
        with refuses():
            model.get_normalized_expression(weights="importance", n_samples_overall=10)

    def test_queries_train_step_by_step(self, model, query):
        mapped = type(model).load_query_data(query, model)
        train(mapped, 1, engine="fast")
        assert mapped.state.engine == "loop"

    def test_scanvi_predicts(self, likelihood):
        model = reference(SCANVI, gene_likelihood=likelihood)
        soft = model.predict(soft=True)
        z = torch.tensor(model.get_latent_representation())
        expected = torch.softmax(model.module.classifier(z), 1).detach()
        np.testing.assert_allclose(soft, expected, rtol=1e-3, atol=1e-5)

    def test_scanvi_from_scvi(self, likelihood):
        setup_kwargs = {"labels_key": "cell_type"}
        model = reference(
            SCVI, cells(), setup_kwargs=setup_kwargs, gene_likelihood=likelihood, reconstruction_weight=2.0
        )
        semi = SCANVI.from_scvi_model(model, unlabeled_category="Unknown")
        assert semi.module._reconstruction_weight == 2.0
        weights = semi.module.state_dict()
        assert all(torch.equal(weights[name], weight) for name, weight in model.module.state_dict().items())
        train(semi, 1)


class TestEmbedding:
    """Straight from stored counts, as through the network; see also ``test_embedding.py``."""

    def theirs(self, model, adata):
        return getattr(scvi.model, type(model).__name__).get_latent_representation(model, adata)

    @pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
    def test_genes_in_another_order_some_missing_some_more(self, model, kind):
        counts = model.adata.X.toarray()
        zeroed = model.adata.copy()
        zeroed.X = sparse.csr_matrix(counts * (np.arange(40) >= 5))
        names = [*model.adata.var_names[5:][::-1], "another"]
        more = np.hstack([counts[:, 5:][:, ::-1], np.full((len(counts), 1), 99)]).astype(np.float32)
        other = AnnData(kind(more), obs=model.adata.obs[["batch"]])
        other.var_names = names
        np.testing.assert_allclose(model.embed(other), self.theirs(model, zeroed), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("kind", [sparse.csr_matrix, np.asarray])
    def test_cells_without_counts_and_with_numbers_missing(self, model, kind):
        counts = model.adata.X.toarray()
        counts[3] = 0
        counts[5, 2] = np.nan
        other = model.adata.copy()
        other.X = kind(counts)
        with np.errstate(invalid="ignore"), pytest.warns(UserWarning, match="no raw counts"):
            embedded = model.embed(other)
        assert np.isfinite(embedded[np.arange(len(counts)) != 5]).all()
        assert np.isnan(embedded[5]).all()
        some = np.flatnonzero(~np.isin(np.arange(len(counts)), [3, 5]))
        np.testing.assert_allclose(embedded[some], model.embed(model.adata)[some], rtol=1e-5, atol=1e-6)

    def test_depth_does_not_matter(self, model):
        deeper = model.adata.copy()
        deeper.X = deeper.X * 3
        with pytest.warns(UserWarning, match="counts multiplied by 3"):
            embedded = model.embed(deeper)
        np.testing.assert_allclose(embedded, model.embed(model.adata), rtol=1e-4, atol=1e-5)


class TestSurgery:
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_keeps_every_promise(self, model, query, strategy, tmp_path):
        cls, ref = type(model), model.adata
        before = model.embed(ref)
        mapped = cls.load_query_data(query, model, strategy=strategy)
        weights = {name: value.clone() for name, value in mapped.module.state_dict().items()}
        start = mapped.embed(query)
        scvi.settings.seed = 1
        train(mapped, plan_kwargs={"weight_decay": 0.04})
        assert mapped.module._reconstruction_weight == 5.0
        assert "px_r" not in mapped.surgery.entries
        changed = {name for name, value in mapped.module.state_dict().items() if not torch.equal(value, weights[name])}
        assert set() < changed <= set(mapped.surgery.entries)
        assert np.abs(mapped.embed(query) - start).max() > 1e-5
        assert (np.abs(mapped.embed(ref) - before).max() == 0.0) == (strategy == "condition")
        np.testing.assert_array_equal(model.embed(ref), before)

        mapped.save(tmp_path / "model")
        again = load(tmp_path / "model")
        assert again.module._reconstruction_weight == 5.0
        assert again.module.gene_likelihood == model.module.gene_likelihood
        np.testing.assert_array_equal(again.embed(query), mapped.embed(query))
        following = query.copy()
        following.obs["batch"] = "batch3"
        onward = train(cls.load_query_data(following, again), 1)
        assert np.abs(onward.embed(query) - mapped.embed(query)).max() == 0.0

    def test_scvi_tools_does_not_open_it(self, model, tmp_path):  # it would encode counts as they are
        model.save(tmp_path / "model")
        parent = getattr(scvi.model, type(model).__name__)
        with pytest.raises((RuntimeError, TypeError), match=r"target_sum|reconstruction_weight"):
            parent.load(str(tmp_path / "model"), adata=model.adata.copy())
        plain = reference(type(model), gene_likelihood=model.module.gene_likelihood)
        plain.save(tmp_path / "plain")
        with pytest.raises(RuntimeError, match="target_sum"):
            parent.load(str(tmp_path / "plain"), adata=plain.adata.copy())


def test_dispersion_of_a_new_batch_starts_at_the_references_and_trains(cls, query):  # trVAE's NB
    model = reference(cls, gene_likelihood="nb", dispersion="gene-batch")
    old = model.module.px_r.detach().clone()
    mapped = cls.load_query_data(query, model)
    torch.testing.assert_close(mapped.module.px_r[:, 2].detach(), old.mean(1))
    train(mapped)
    assert (mapped.module.px_r[:, 2] != old.mean(1)).all()
    assert torch.equal(mapped.module.px_r[:, :2], old)

"""Importance of weights, compared with gradients one cell at a time."""

from ast import literal_eval

import numpy as np
import pytest
import scvi
import torch
from small_models import NETWORK, cells, reference, setup, split, train
from torch import nn

import scarches_plus as sp
from scarches_plus.model import SCANVI, SCVI
from scarches_plus.train import estimate_importance

N_CELLS = 24


class Noise:
    """Latent samples that are the same for all cells; ``period`` draws differ from each other."""

    def __init__(self):
        self.period, self.n_draws = 1, 0

    def __call__(self, shape, dtype, device):
        self.n_draws += shape[-1] == NETWORK["n_latent"]
        first = 1.0 - 0.7 * (self.n_draws % self.period)
        return torch.linspace(first, 0.5, shape[-1], dtype=dtype, device=device).expand(shape)


@pytest.fixture
def noise(monkeypatch):
    monkeypatch.setattr("torch.distributions.normal._standard_normal", noise := Noise())
    return noise


def build(cls=SCVI, adata=None, *, setup_kwargs=None, **kwargs):
    """Return a model with random weights and norm statistics, which no training made alike."""
    adata = cells(N_CELLS) if adata is None else adata
    adata.obs["donor"] = np.resize(["a", "b"], N_CELLS)
    adata.obs["age"] = np.linspace(-1, 1, N_CELLS)
    adata.obs["size"] = np.linspace(200, 600, N_CELLS)
    scvi.settings.seed = 0
    setup(cls, adata, **(setup_kwargs or {}))
    model = cls(adata, **{**NETWORK, **kwargs})
    for layer in model.module.modules():
        if isinstance(layer, nn.BatchNorm1d):
            for values in (layer.running_mean, layer.weight.data, layer.bias.data):
                values.normal_()
            layer.running_var.uniform_(0.5, 2)
    model.module.eval()
    return model


def minibatch(model, rows):
    return next(iter(model._make_data_loader(adata=model.adata, indices=list(rows), batch_size=len(rows))))


def gradients_of_cells(model, rows=None, n_samples=1):
    """Return the gradient of each cell, one cell at a time by torch alone, of parameters that have one."""
    module = model.module
    flags = {name: parameter.requires_grad for name, parameter in module.named_parameters()}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name != "y_prior")
    per_cell = {}
    for row in range(model.adata.n_obs) if rows is None else rows:
        module.zero_grad(set_to_none=True)
        for _ in range(n_samples):
            (module(minibatch(model, [row]), loss_kwargs={"kl_weight": 1.0})[2].loss / n_samples).backward()
        for name, parameter in module.named_parameters():
            if parameter.grad is not None:
                per_cell.setdefault(name, []).append(parameter.grad.clone())
    module.zero_grad(set_to_none=True)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(flags[name])
    return {name: torch.stack(gradients) for name, gradients in per_cell.items()}


def assert_same(fisher, expected):
    assert set(fisher) == set(expected)
    for name, values in expected.items():
        assert fisher[name].shape == values.shape, name
        scale = float(values.max())
        assert scale > 0, name
        torch.testing.assert_close(
            fisher[name], values, rtol=1e-4, atol=1e-6 * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


def assert_exact(model, **kwargs):
    importance = estimate_importance(model, batch_size=10, **kwargs)
    gradients = gradients_of_cells(model, n_samples=kwargs.get("n_samples", 1))
    assert_same(importance.fisher, {name: each.square().mean(0) for name, each in gradients.items()})


def slow_ways(caplog):
    """The parameters whose gradients were taken one cell at a time, as the log tells."""
    said = [record.getMessage() for record in caplog.records if "one cell at a time" in record.getMessage()]
    return [literal_eval(text.partition(" for ")[2]) for text in said]


@pytest.fixture(autouse=True)
def _told(caplog):
    caplog.set_level("INFO", logger="scarches_plus")


LABELS = {"labels_key": "cell_type"}
COVARIATES = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"]}
MODELS = {
    "NB": (SCVI, {"gene_likelihood": "nb"}),
    "ZINB": (SCVI, {"gene_likelihood": "zinb"}),
    "Poisson": (SCVI, {"gene_likelihood": "poisson"}),
    "normal": (SCVI, {"gene_likelihood": "normal"}),
    "one layer": (SCVI, {"n_layers": 1, "encode_covariates": False}),
    "three layers": (SCVI, {"n_layers": 3, "deeply_inject_covariates": False}),
    "batch norm": (SCVI, {"use_batch_norm": "both", "use_layer_norm": "none"}),
    "both norms": (SCVI, {"use_batch_norm": "both", "use_layer_norm": "both"}),
    "gene-batch": (SCVI, {"dispersion": "gene-batch"}),
    "gene-label": (SCVI, {"dispersion": "gene-label", "gene_likelihood": "nb", "setup_kwargs": LABELS}),
    "gene-cell": (SCVI, {"dispersion": "gene-cell"}),
    "covariates": (SCVI, {"setup_kwargs": COVARIATES}),
    "size factors": (SCVI, {"setup_kwargs": {"size_factor_key": "size"}}),
    "modelled library": (SCVI, {"use_observed_lib_size": False, "use_batch_norm": "encoder"}),
    "embedded batches": (SCVI, {"batch_representation": "embedding"}),
    "logistic normal": (SCVI, {"latent_distribution": "ln"}),
    "scANVI": (SCANVI, {"gene_likelihood": "nb"}),
    "scANVI ZINB": (SCANVI, {"gene_likelihood": "zinb", "dispersion": "gene-batch", "setup_kwargs": COVARIATES}),
    "scANVI batch norm": (SCANVI, {"use_batch_norm": "both", "use_layer_norm": "none", "n_layers": 1}),
    "scANVI linear": (SCANVI, {"linear_classifier": True, "use_observed_lib_size": False}),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.usefixtures("noise")
def test_equals_one_cell_at_a_time(name, caplog):
    cls, kwargs = MODELS[name]
    assert_exact(build(cls, **kwargs))
    assert slow_ways(caplog) == []  # no parameter of scvi-tools' own modules may need one


@pytest.mark.parametrize(("cls", "draws"), [(SCVI, 1), (SCANVI, 2)])
def test_several_samples_are_averaged_before_squaring(cls, draws, noise):
    model, noise.period = build(cls), 2 * draws
    assert_exact(model, n_samples=2)
    one = estimate_importance(model).fisher["decoder.px_scale_decoder.0.weight"]
    two = estimate_importance(model, n_samples=2).fisher["decoder.px_scale_decoder.0.weight"]
    assert not torch.allclose(one, two, rtol=1e-2)


@pytest.mark.usefixtures("noise")
def test_gradients_of_single_cells_in_small_pieces(limits):
    limits(gradients=100)
    assert_exact(build(SCANVI))


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
@pytest.mark.filterwarnings("ignore:warning. 3 batches have fewer than 20 cells")
@pytest.mark.usefixtures("noise")
def test_genes_that_were_not_measured_matter_nothing(cls):
    adata = cells(N_CELLS)
    names = list(adata.var_names)
    measured = {"batch0": names[5:], "batch1": names[:3] + names[20:]}
    model = sp.tl.build_reference(
        adata, "batch", "cell_type" if cls is SCANVI else None, recipe="scanvi" if cls is SCANVI else "scvi",
        gene_mask=measured, max_epochs=1, train_kwargs={"enable_progress_bar": False},
        model_kwargs={**NETWORK, "gene_likelihood": "nb", "dispersion": "gene-batch"},
    )  # fmt: skip
    model.module.eval()
    assert_exact(model)
    px_r = model.state.importance.fisher["px_r"]
    assert (px_r[:5, 0] == 0).all()
    assert (px_r[5:, 0] > 0).any()


@pytest.mark.usefixtures("noise")
def test_affine_layer_norm():
    model = build()
    block = model.module.decoder.px_decoder.fc_layers[1]
    block[2] = nn.LayerNorm(NETWORK["n_hidden"])
    nn.init.normal_(block[2].weight)
    assert_exact(model)


class Masked(nn.Linear):
    """A linear layer that uses its weights in another way."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight * (self.weight > 0), self.bias)


class Shift(nn.Module):
    """A layer of a kind that nobody knows."""

    def __init__(self, n):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(n))

    def forward(self, x):
        return x + self.shift**2


@pytest.mark.parametrize(
    ("part", "name"), [(Masked(12, 4), "weight"), (nn.Sequential(Shift(12), nn.Linear(12, 4)), "0.shift")]
)
@pytest.mark.usefixtures("noise")
def test_what_has_no_rule_goes_one_cell_at_a_time(part, name, caplog):
    model = build()
    model.module.z_encoder.mean_encoder = part
    assert_exact(model)
    assert slow_ways(caplog) == [[f"z_encoder.mean_encoder.{name}"]]


@pytest.mark.usefixtures("noise")
def test_weights_that_two_layers_share_have_one_gradient(caplog):
    model = build()
    encoder = model.module.z_encoder
    encoder.var_encoder.weight = encoder.mean_encoder.weight
    assert_exact(model)
    assert slow_ways(caplog) == []


@pytest.mark.usefixtures("noise")
def test_cells_without_counts():
    adata = cells(N_CELLS)
    adata.X = adata.X.toarray()
    adata.X[:2] = 0
    assert_exact(build(adata=adata, gene_likelihood="nb"))


@pytest.mark.usefixtures("noise")
def test_minibatches_do_not_matter():
    model = build(SCANVI)
    small, large = (estimate_importance(model, batch_size=size).fisher for size in (1, 24))
    assert_same(small, large)


# the estimator of CLCVAE's code


def with_order(model, monkeypatch):
    """Return a list that will hold the cells' order in minibatches."""
    orders, make = [], model._make_data_loader

    def noted(**kwargs):
        orders.append(kwargs["indices"])
        return make(**kwargs)

    monkeypatch.setattr(model, "_make_data_loader", noted)
    return orders


@pytest.mark.parametrize("batch_size", [1, 7, 24])
@pytest.mark.usefixtures("noise")
def test_batch_estimator_is_the_squared_mean_times_the_size(batch_size, monkeypatch):
    model = build(SCANVI)
    orders = with_order(model, monkeypatch)
    importance = estimate_importance(model, estimator="batch", batch_size=batch_size)
    order = orders[-1]
    assert sorted(order) == list(range(N_CELLS)) != order
    expected = {}
    for name, each in gradients_of_cells(model).items():
        parts = each[order].split(batch_size)
        expected[name] = torch.stack([len(part) * part.mean(0).square() for part in parts]).mean(0)
    assert_same(importance.fisher, expected)
    assert importance.estimator == "batch"


@pytest.mark.usefixtures("noise")
def test_estimators_agree_for_single_cells():
    model = build()
    fishers = [estimate_importance(model, batch_size=1, estimator=one).fisher for one in ("per_cell", "batch")]
    assert_same(*fishers)


@pytest.mark.usefixtures("noise")
def test_batch_estimator_means_the_same_at_any_size_where_training_ended():
    adata = cells(240)
    setup(SCVI, adata)
    model = SCVI(adata, **NETWORK, gene_likelihood="nb")
    model.module.eval()
    name = "decoder.px_scale_decoder.0.bias"
    bias = dict(model.module.named_parameters())[name]
    everything = minibatch(model, range(240))
    optimizer = torch.optim.LBFGS([bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = model.module(everything)[2].loss
        value.backward()
        return value

    optimizer.step(loss)
    exact = estimate_importance(model).fisher[name].sum()
    for batch_size in (4, 16):
        runs = [estimate_importance(model, estimator="batch", batch_size=batch_size, rng=seed) for seed in range(4)]
        ratio = np.mean([float(one.fisher[name].sum() / exact) for one in runs])
        # minibatches without replacement vary less by (batch_size - 1) / (n_cells - 1)
        assert ratio == pytest.approx(1 - (batch_size - 1) / 239, rel=0.15)


# what else comes out


def test_real_noise_is_seeded_and_matters():
    model = build()
    first, again, other = (estimate_importance(model, rng=seed).fisher["px_r"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.testing.assert_close(first, other, rtol=2, atol=0)
    generator = np.random.default_rng(0)
    assert torch.equal(estimate_importance(model, rng=generator).fisher["px_r"], first)
    assert not torch.equal(estimate_importance(model, rng=generator).fisher["px_r"], first)


@pytest.mark.usefixtures("noise")
def test_sample_of_cells(monkeypatch):
    model = build()
    orders = with_order(model, monkeypatch)
    importance = estimate_importance(model, n_cells=6, rng=3)
    rows = orders[-1]
    assert len(set(rows)) == importance.n_cells == 6
    estimate_importance(model, n_cells=6, rng=4)
    assert set(orders[-1]) != set(rows)
    gradients = gradients_of_cells(model, rows)
    assert_same(importance.fisher, {name: each.square().mean(0) for name, each in gradients.items()})
    assert estimate_importance(model, n_cells=1000).n_cells == N_CELLS


def test_result_is_plain_and_remembered():
    model = build(SCANVI)
    importance = estimate_importance(model)
    weights = dict(model.module.named_parameters())
    assert set(importance.fisher) == set(importance.values)
    assert not {"y_prior", "l_encoder.mean_encoder.weight", "decoder.px_r_decoder.weight"} & set(importance.fisher)
    for name, values in importance.values.items():
        assert torch.equal(values, weights[name])
        assert values.data_ptr() != weights[name].data_ptr()
        for tensor in (values, importance.fisher[name]):
            assert (tensor.dtype, tensor.device.type, tensor.requires_grad) == (torch.float32, "cpu", False)
    remembered = model.state.importance
    assert all(torch.equal(remembered.fisher[name], fisher) for name, fisher in importance.fisher.items())
    assert (remembered.n_cells, remembered.estimator) == (N_CELLS, "per_cell")


def test_travels_with_the_saved_model_and_through_surgery(tmp_path):
    ref, query = split(cells(90), "batch2")
    model = reference(SCVI, ref, dispersion="gene-batch")
    importance = estimate_importance(model)
    model.save(tmp_path / "model")
    kept = SCVI.load(tmp_path / "model", adata=False).state.importance
    for name, fisher in importance.fisher.items():
        assert torch.equal(kept.fisher[name], fisher)
        assert torch.equal(kept.values[name], importance.values[name])
    mapped = SCVI.load_query_data(query, tmp_path / "model", strategy="all")
    grown = mapped.state.importance.fisher["px_r"]
    assert torch.equal(grown[:, :2], importance.fisher["px_r"])
    assert (grown[:, 2] == 0).all()


@pytest.mark.parametrize("strategy", ["condition", "all"])
def test_accumulates_over_queries(strategy):
    ref, query = split(cells(90), "batch2")
    model = reference(SCVI, ref)
    estimate_importance(model)
    mapped = train(SCVI.load_query_data(query, model, strategy=strategy))
    carried = mapped.state.importance
    own = estimate_importance(mapped)
    mapped.remember(importance=carried)
    both = estimate_importance(mapped, add_to_previous=True, decay=0.5)
    assert set(own.fisher) == set(carried.fisher)  # whatever surgery froze
    for name, fisher in own.fisher.items():
        torch.testing.assert_close(both.fisher[name], fisher + 0.5 * carried.fisher[name])
        assert torch.equal(both.values[name], dict(mapped.module.named_parameters())[name])
    assert both.n_cells == carried.n_cells + query.n_obs
    assert torch.equal(mapped.state.importance.fisher["px_r"], both.fisher["px_r"])


# the model stays what it was


@pytest.fixture
def odd_model():
    """A model in a mixed mode, with frozen parameters and gradients of its own."""
    model = build(SCANVI, use_batch_norm="both")
    module = model.module
    module.train()
    module.decoder.eval()
    for i, parameter in enumerate(module.parameters()):
        parameter.requires_grad_(i % 2 == 0)
        if i % 3 == 0:
            parameter.grad = torch.full_like(parameter, 7.0)
    return model


def look(module):
    return (
        {name: tensor.clone() for name, tensor in module.state_dict().items()},
        [part.training for part in module.modules()],
        [parameter.requires_grad for parameter in module.parameters()],
        [id(parameter) for parameter in module.parameters()],
        [id(parameter.grad) for parameter in module.parameters()],
        [None if parameter.grad is None else float(parameter.grad.sum()) for parameter in module.parameters()],
        [len(part._forward_hooks) + len(part._backward_hooks) for part in module.modules()],
    )


@pytest.mark.parametrize("estimator", ["per_cell", "batch"])
@pytest.mark.parametrize("stopped", [False, True], ids=["whole", "stopped"])
def test_model_and_random_numbers_stay(odd_model, estimator, stopped, monkeypatch):
    module = odd_model.module
    weights, *others = look(module)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    if stopped:
        loss, calls = module.loss, []

        def interrupted(*args, **kwargs):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return loss(*args, **kwargs)

        monkeypatch.setattr(module, "loss", interrupted)
        with pytest.raises(KeyboardInterrupt):
            estimate_importance(odd_model, estimator=estimator, batch_size=8)
        assert odd_model.state.importance is None
    else:
        estimate_importance(odd_model, estimator=estimator, batch_size=8)
    assert torch.equal(torch.rand(3), expected)
    after, *others_after = look(module)
    assert others_after == others
    assert all(torch.equal(after[name], tensor) for name, tensor in weights.items())


@pytest.mark.usefixtures("noise")
def test_where_gradients_are_off():
    with torch.no_grad():
        assert_same(estimate_importance(build()).fisher, estimate_importance(build()).fisher)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"n_cells": 0}, ValueError, "n_cells must be at least 1, not 0"),
        ({"n_cells": 0.5}, ValueError, "n_cells must be a whole number"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": None}, TypeError, "batch_size must be a whole number, not None"),
        ({"n_samples": True}, TypeError, "n_samples must be a whole number"),
        ({"estimator": "cell"}, ValueError, "estimator must be one of"),
        ({"add_to_previous": True}, ValueError, "carries no importance to add to"),
        ({"decay": 0.5}, ValueError, "pass add_to_previous=True, too"),
        ({"decay": -0.1}, ValueError, "decay must be at least 0"),
        ({"decay": float("nan")}, ValueError, "decay must be a number"),
    ],
)
def test_wrong_options(options, error, text):
    model = build()
    with pytest.raises(error, match=text):
        estimate_importance(model, **options)
    assert model.state.importance is None


def test_options_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        estimate_importance(build(), 10)


def test_model_without_cells(tmp_path):
    reference(SCVI, cells(60)).save(tmp_path / "model")
    with pytest.raises(ValueError, match="load it with its cells"):
        estimate_importance(SCVI.load(tmp_path / "model", adata=False))


def test_minified_model():
    model = reference(SCVI, cells(60))
    model.adata.obsm["mean"], model.adata.obsm["var"] = model.get_latent_representation(return_dist=True)
    model.minify_adata(use_latent_qzm_key="mean", use_latent_qzv_key="var")
    with pytest.raises(ValueError, match="before minifying"):
        estimate_importance(model)


def test_broken_weights():
    model = build()
    model.module.px_r.data[3] = float("nan")
    with pytest.raises(ValueError, match=r"px_r.* are not finite"):
        estimate_importance(model)

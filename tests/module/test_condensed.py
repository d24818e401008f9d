"""The condensed objective against the module it stands for: same loss, same gradients."""

import numpy as np
import pytest
import scvi
import torch
from scvi import REGISTRY_KEYS
from small_models import SCANVI, SCVI, cells, reference, split

from scarches_plus.model._mixins._training import _as_tensors
from scarches_plus.model._speed._condensed import Condensed, obstacle_to

LABELLED = {"use_query_labels": True}
MODELS = {
    "SCVI, ZINB": (SCVI, {}, {}),
    "SCVI, NB": (SCVI, {"gene_likelihood": "nb"}, {}),
    "SCVI, first layers only": (SCVI, {"deeply_inject_covariates": False}, {}),
    "SCVI, first layer of the decoder without batch": (SCVI, {"batch_free_decoder_layer": True}, {}),
    "SCVI, batch norm": (SCVI, {"use_batch_norm": "both", "use_layer_norm": "none"}, {}),
    "SCVI, logistic normal": (SCVI, {"latent_distribution": "ln"}, {}),
    "SCVI, counts as they are": (SCVI, {"log_variational": False}, {}),
    "SCVI, dispersion per label": (SCVI, {"dispersion": "gene-label"}, {}),
    "SCVI, reference columns too": (SCVI, {}, {"train_reference_columns": True}),
    "SCANVI, ZINB": (SCANVI, {}, {}),
    "SCANVI, NB": (SCANVI, {"gene_likelihood": "nb"}, {}),
    "SCANVI, labels of the query": (SCANVI, {}, LABELLED),
}


def with_covariates(adata):
    rng = np.random.default_rng(0)
    adata.obs["donor"] = [f"donor{i}" for i in rng.integers(0, 3, adata.n_obs)]
    adata.obs["age"] = rng.normal(size=adata.n_obs)
    return adata


COVARIATES = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"]}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "covariates, two batches, missing genes"])
def hard(request):
    return request.param


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS.keys())
def query_model(request, hard):
    cls, network, surgery = request.param
    adata = with_covariates(cells(n_batches=4)) if hard else cells()
    ref, query = split(adata, "batch2", "batch3")
    if hard:
        query = query[:, query.var_names[5:]].copy()
    model = reference(cls, ref, setup_kwargs=COVARIATES if hard else {}, **network)
    return cls.load_query_data(query, model, **surgery)


def minibatch(model, rows):
    loader = model._make_data_loader(adata=model.adata, indices=rows, batch_size=len(rows))
    return next(iter(loader))


def both(model, kl_weight=0.3):
    """Return module, condensed module and a function that gives the loss of either with the same noise."""
    module = model.module.eval()
    entries = _as_tensors(model.surgery.entries)
    condensed = Condensed(module, entries)
    part = minibatch(model, list(range(40)))
    kwargs = {"kl_weight": kl_weight}
    labelled = None
    if len(getattr(model, "_labeled_indices", ())):
        labelled = minibatch(model, model._labeled_indices[:20].tolist())
        kwargs["classification_ratio"] = 50

    def ordinary():
        torch.manual_seed(3)
        extra = {} if labelled is None else {"labelled_tensors": labelled}
        return module(part, loss_kwargs={**kwargs, **extra})[2]

    def reduced():
        torch.manual_seed(3)
        x = part[REGISTRY_KEYS.X_KEY]
        extra = {}
        if labelled is not None:
            extra = {"labelled": labelled, "labelled_projected": condensed.project(labelled[REGISTRY_KEYS.X_KEY])}
        return condensed.loss(part, condensed.project(x), condensed.constant(part), **kwargs, **extra)[1]

    return module, entries, condensed, ordinary, reduced


def gradients_of(module, entries, loss):
    module.zero_grad()
    loss.backward()
    named = dict(module.named_parameters())
    return {name: named[name].grad.index_select(*where) for name, where in entries.items()}


def condensed_gradients(condensed, loss):
    calls = [(name, call) for name, layer in condensed.layers.items() for call in layer.calls]
    slopes = torch.autograd.grad(loss, [call.contribution for _, call in calls])
    total = {name: torch.zeros_like(layer.columns) for name, layer in condensed.layers.items()}
    for (name, call), slope in zip(calls, slopes, strict=True):
        total[name] += slope.t() @ call.conditions
    return total


def test_same_loss_and_same_gradient_of_every_free_parameter(query_model):
    module, entries, condensed, ordinary, reduced = both(query_model)
    expected, loss = ordinary(), reduced()
    torch.testing.assert_close(loss.loss, expected.loss, rtol=2e-6, atol=0)
    for name in ("reconstruction_loss_sum", "kl_local_sum"):
        torch.testing.assert_close(getattr(loss, name), getattr(expected, name), rtol=2e-6, atol=1e-4)
    theirs, ours = gradients_of(module, entries, expected.loss), condensed_gradients(condensed, loss.loss)
    assert set(ours) == set(entries)
    for name, gradient in theirs.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=2e-6 * float(gradient.abs().max()) + 1e-7)


def test_columns_are_written_back_and_nothing_else(query_model):
    before = {name: value.clone() for name, value in query_model.module.state_dict().items()}
    module, entries, condensed, _, _ = both(query_model)
    for layer in condensed.layers.values():
        layer.columns += 1.0
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    condensed.write_back()
    try:
        for name, value in module.state_dict().items():
            expected = before[name].clone()
            if name in entries:
                expected[:, entries[name][1]] += 1.0
            assert torch.equal(value, expected), name
    finally:
        module.load_state_dict(before)


def test_loss_follows_its_columns(query_model):
    """The loss after a change of columns is the module's after they are written back."""
    before = {name: value.clone() for name, value in query_model.module.state_dict().items()}
    module, _, condensed, ordinary, reduced = both(query_model)
    start = ordinary().loss
    for layer in condensed.layers.values():
        layer.columns += 0.5 * torch.randn(layer.columns.shape)
    loss = reduced().loss
    condensed.write_back()
    try:
        torch.testing.assert_close(loss, ordinary().loss, rtol=2e-6, atol=0)
        assert abs(loss - start) > 1e-4 * abs(start)
    finally:
        module.load_state_dict(before)


def test_no_gradient_reaches_the_module(query_model):
    module, _, condensed, _, reduced = both(query_model)
    module.zero_grad()
    condensed_gradients(condensed, reduced().loss)
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"gene_likelihood": "poisson"}, "gene_likelihood is 'poisson'"),
        ({"gene_likelihood": "mse"}, "gene_likelihood is 'mse'"),
        ({"use_observed_lib_size": False}, "library sizes are learned"),
        ({"dispersion": "gene-cell"}, "per gene and cell"),
        ({"dispersion": "gene-batch"}, "px_r"),
        ({"batch_representation": "embedding"}, "batches are embedded"),
    ],
)
def test_names_the_obstacle(network, reason):
    scvi.settings.seed = 0
    model = reference(SCVI, **network)
    entries = {"px_r": (1, torch.tensor([0]))} if network.get("dispersion") == "gene-batch" else {}
    assert reason in obstacle_to(model.module, entries)
    assert obstacle_to(reference(SCVI).module, {}) is None


def test_whole_tensors_are_an_obstacle():
    assert "more than condition columns" in obstacle_to(reference(SCVI).module, {"px_r": None})

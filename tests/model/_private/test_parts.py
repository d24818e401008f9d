"""Parts of models: minibatches in memory, the condensed objective, columns of grown layers, mean counts of labels."""

from itertools import islice

import numpy as np
import pandas as pd
import pytest
import scvi
import torch
from scvi import REGISTRY_KEYS, dataloaders
from scvi.dataloaders import AnnDataLoader
from small_models import SCANVI, SCVI, cells, reference, setup, split, train

from scarches_plus.model._mixins._label_expression import _mean_counts
from scarches_plus.model._speed import _data_splitter
from scarches_plus.model._speed._condensed import Condensed, obstacle_to_condensing
from scarches_plus.model._speed._data_splitter import DataSplitter, SemiSupervisedDataSplitter
from scarches_plus.model._surgery._strategies import as_tensors, column_sources

# --- Minibatches are those of scvi-tools' loaders, cut out of memory ---


def manager(cls=SCVI, adata=None, **kwargs):
    adata = cells() if adata is None else adata
    setup(cls, adata, **kwargs)
    return cls(adata).adata_manager


def splitters(ours, manager, **kwargs):
    scvi.settings.seed = 0  # of the split
    theirs = getattr(dataloaders, ours.__name__)
    both = [cls(manager, batch_size=32, **kwargs) for cls in (ours, theirs)]
    for splitter in both:
        splitter.setup()
    return both


def batches(loader):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 (scvi-tools draws labelled cells with it)
    if hasattr(loader, "resample_labels"):
        loader.resample_labels()
    for batch in islice(loader, len(loader)):  # scvi-tools' semi-supervised loader has no end of its own
        yield from batch if isinstance(batch, tuple) else (batch,)


def assert_same(ours, theirs):
    for mine, expected in zip(batches(ours), batches(theirs), strict=True):
        assert list(mine) == list(expected)
        for key, value in expected.items():
            assert mine[key].dtype == value.dtype
            assert torch.equal(mine[key], value), key


@pytest.mark.filterwarnings("ignore:Training will be faster")
@pytest.mark.parametrize("layout", ["csr", "csc", "dense", "integers", "layer"])
def test_minibatches_are_those_of_scvi_tools(layout):
    adata, kwargs = cells(), {}
    if layout == "csc":
        adata.X = adata.X.tocsc()
    elif layout == "dense":
        adata.X = adata.X.toarray()
    elif layout == "integers":
        adata.X = adata.X.astype(np.int64)
    elif layout == "layer":
        adata.layers["counts"], kwargs["layer"] = adata.X.copy(), "counts"
        adata.X = adata.X * 2
    adata.obs["depth"] = np.linspace(0, 1, adata.n_obs)
    adata.obs["donor"] = pd.Categorical(np.resize(["a", "b"], adata.n_obs))
    kwargs |= {"continuous_covariate_keys": ["depth"], "categorical_covariate_keys": ["donor"]}
    ours, theirs = splitters(DataSplitter, manager(adata=adata, **kwargs))
    assert_same(ours.train_dataloader(), theirs.train_dataloader())
    assert_same(ours.val_dataloader(), theirs.val_dataloader())


@pytest.mark.parametrize("n_samples_per_label", [None, 7])
def test_labelled_cells_are_those_of_scvi_tools(n_samples_per_label):
    adata = cells()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    adata.obs.loc[adata.obs_names[::5], "cell_type"] = "Unknown"
    kwargs = {"n_samples_per_label": n_samples_per_label}
    ours, theirs = splitters(SemiSupervisedDataSplitter, manager(SCANVI, adata), **kwargs)
    assert_same(ours.train_dataloader(), theirs.train_dataloader())
    assert_same(ours.val_dataloader(), theirs.val_dataloader())


def test_cells_that_do_not_fit_stay_where_they_are(monkeypatch):
    given = manager()
    assert splitters(DataSplitter, given)[0].adata_manager is not given
    monkeypatch.setattr(_data_splitter, "MAX_DENSE_BYTES", 4 * 240 * 40 - 1)
    assert splitters(DataSplitter, given)[0].adata_manager is given


def test_cells_on_disk_stay_there(tmp_path):
    import anndata

    cells().write_h5ad(tmp_path / "cells.h5ad")
    given = manager(adata=anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r"))
    assert DataSplitter(given).adata_manager is given


def test_worker_processes_load_as_before():
    given = manager()
    assert DataSplitter(given, num_workers=1).adata_manager is given
    assert DataSplitter(given, distributed_sampler=True).adata_manager is given


@pytest.mark.filterwarnings("ignore:Sparse")  # torch on its own sparse tensors
def test_sparse_tensors_stay_sparse():
    ours = DataSplitter(manager(), batch_size=32, load_sparse_tensor=True)
    ours.setup()
    assert next(iter(ours.train_dataloader()))["X"].layout == torch.sparse_csr


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
def test_memory_is_freed_after_training(cls):
    model = reference(cls)
    held = model.trainer.datamodule.adata_manager.cells
    assert held._tensors is None
    assert next(batches(model.trainer.train_dataloader))["X"].shape[1] == 40  # filled again on demand


def test_the_cells_at_hand_are_not_changed_and_later_changes_count():
    adata = cells()
    setup(SCVI, adata)
    scvi.settings.seed = 0
    model = SCVI(adata, n_hidden=8, n_latent=3)
    before = adata.X.copy()
    train(model)
    assert (before != adata.X).nnz == 0
    adata.X = adata.X * 3
    train(model)
    seen = next(iter(model.trainer.train_dataloader))["X"]
    assert (seen % 3 == 0).all()


def test_indices_may_be_a_mask():
    given = manager()
    mask = np.arange(240) < 50
    ours, theirs = (AnnDataLoader(m, indices=mask) for m in (DataSplitter(given).adata_manager, given))
    assert_same(ours, theirs)


# --- The condensed objective against the module it stands for: same loss, same gradients ---


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
    entries = as_tensors(model.surgery.entries)
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
    assert reason in obstacle_to_condensing(model.module, entries)
    assert obstacle_to_condensing(reference(SCVI).module, {}) is None


def test_whole_tensors_are_an_obstacle():
    assert "more than condition columns" in obstacle_to_condensing(reference(SCVI).module, {"px_r": None})


# --- Where columns of a first layer come from when covariates gain categories ---


class TestColumnSources:
    def test_one_covariate_grows_at_the_end(self):
        assert column_sources(3, [2], [4]).tolist() == [0, 1, 2, 3, 4, -1, -1]

    def test_second_covariate_keeps_its_columns(self):
        assert column_sources(2, [2, 3], [3, 4]).tolist() == [0, 1, 2, 3, -1, 4, 5, 6, -1]

    def test_single_category_had_no_column(self):
        assert column_sources(2, [1], [2]).tolist() == [0, 1, -2, -1]
        assert column_sources(2, [1, 2], [2, 2]).tolist() == [0, 1, -2, -1, 2, 3]

    def test_still_single_category_has_no_column(self):
        assert column_sources(2, [1, 2], [1, 3]).tolist() == [0, 1, 2, 3, -1]


# --- Mean counts of labels ---


def test_mean_counts_are_weighted_by_the_posterior():
    model = reference(SCANVI, cells(type_effect=1.0))
    posterior = model.predict(soft=True)
    expected = posterior.T.to_numpy() @ model.adata.X.toarray() / posterior.sum().to_numpy()[:, None]
    np.testing.assert_allclose(_mean_counts(model), expected, rtol=1e-4)

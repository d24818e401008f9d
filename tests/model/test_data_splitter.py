"""Minibatches are those of scvi-tools' loaders, cut out of memory."""

from itertools import islice

import numpy as np
import pandas as pd
import pytest
import scvi
import torch
from scvi import dataloaders
from scvi.dataloaders import AnnDataLoader
from small_models import SCANVI, SCVI, cells, reference, setup, train

from scarches_plus.model._speed import _data_splitter
from scarches_plus.model._speed._data_splitter import DataSplitter, SemiSupervisedDataSplitter


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

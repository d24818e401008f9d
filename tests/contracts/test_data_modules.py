"""scvi-tools' protocol of data modules: a model without cells trains as one with them, penalties and gene masks too."""

import numpy as np
import pandas as pd
import pytest
import scvi
from small_models import NETWORK, SCVI, cells, split

import scarches_plus as sp

TRAIN = {"max_epochs": 2, "batch_size": 40, "log_every_n_steps": 1, "enable_progress_bar": False}


def registered():
    adata = cells(240)
    SCVI.setup_anndata(adata, batch_key="batch")
    return adata


@pytest.mark.parametrize("penalties", [(), ("MMD",), ("BatchAdversary",), ("MMD", "BatchAdversary")])
def test_trains_as_with_cells(penalties):
    histories = []
    for with_cells in (True, False):
        adata = registered()
        scvi.settings.seed = 0
        model = SCVI(adata, **NETWORK)
        options = {**TRAIN, "penalties": [getattr(sp.train, name)() for name in penalties]}
        scvi.settings.seed = 1
        if with_cells:
            model.train(engine="scvi", train_size=0.9, **options)
        else:
            manager, weights = model.adata_manager, model.module.state_dict()
            model = SCVI(registry=manager.registry, **NETWORK)
            model.module.load_state_dict(weights)
            module = scvi.dataloaders.DataSplitter(manager, train_size=0.9, batch_size=40)
            scvi.settings.seed = 1
            model.train(datamodule=module, **options)
        histories.append(model.history)
    one, other = histories
    assert set(one) == set(other)
    for name, values in one.items():
        pd.testing.assert_frame_equal(values, other[name], rtol=1e-4)  # likelihoods are summed in another order


def test_such_a_model_is_saved_and_takes_queries(tmp_path):
    reference, query = split(cells(240), "batch2")
    SCVI.setup_anndata(reference, batch_key="batch")
    manager = SCVI(reference, **NETWORK).adata_manager
    model = SCVI(registry=manager.registry, **NETWORK)
    model.train(datamodule=scvi.dataloaders.DataSplitter(manager, train_size=0.9, batch_size=40), **TRAIN)
    model.save(tmp_path / "model")
    mapped = sp.tl.map_query(query, tmp_path / "model", max_epochs=2, train_kwargs={"enable_progress_bar": False})
    assert mapped.spec.batches == ("batch0", "batch1", "batch2")
    assert np.isfinite(query.obsm["X_scarches"]).all()


@pytest.mark.parametrize("verb", ["estimate_importance", "store_anchors"])
def test_what_needs_cells_says_so(verb):
    model = SCVI(registry=SCVI(registered(), **NETWORK).adata_manager.registry, **NETWORK)
    with pytest.raises(ValueError, match=r"cells.*came without"):
        getattr(sp.train, verb)(model)


def test_a_registry_that_a_loader_made_takes_no_query():
    """As those of annbatch, TileDB and MappedCollection do in scvi-tools."""
    reference, query = split(cells(240), "batch2")
    SCVI.setup_anndata(reference, batch_key="batch")
    registry = SCVI(reference, **NETWORK).adata_manager.registry | {"setup_method_name": "setup_datamodule"}
    with pytest.raises(ValueError, match="write_store"):
        SCVI.load_query_data(query, SCVI(registry=registry, **NETWORK))

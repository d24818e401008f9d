"""scvi-tools' protocol of data modules: a model without cells trains as one with them, penalties and gene masks too."""

import numpy as np
import pandas as pd
import pytest
import scvi
from lightning.pytorch import LightningDataModule
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


class Loaders(LightningDataModule):
    """A data module of one's own, with scvi-tools' loaders of some cells inside."""

    def __init__(self, adata, registry):
        super().__init__()
        self.registry, self.n_obs = registry, adata.n_obs
        SCVI.setup_anndata(adata, batch_key="batch", labels_key="cell_type")
        self._inside = scvi.dataloaders.DataSplitter(
            SCVI(adata, **NETWORK).adata_manager, train_size=0.9, batch_size=40
        )

    def setup(self, stage):
        self._inside.setup(stage)

    def train_dataloader(self):
        return self._inside.train_dataloader()

    def val_dataloader(self):
        return self._inside.val_dataloader()


def of_cells(adata):
    """A registry as setup_anndata makes it."""
    SCVI.setup_anndata(adata, batch_key="batch", labels_key="cell_type")
    return SCVI(adata, **NETWORK).adata_manager.registry


def of_loader(adata):
    """A registry as the loaders of scvi-tools 1.4 and 1.5 make it, with categories in the order of their codes."""
    batches, labels = (np.unique(adata.obs[name].astype(str)) for name in ("batch", "cell_type"))
    nothing = {"data_registry": {}, "state_registry": {}, "summary_stats": {}}
    fields = {
        "X": {"column_names": list(adata.var_names), "n_obs": adata.n_obs, "n_vars": adata.n_vars},
        "batch": {"categorical_mapping": {name: code for code, name in enumerate(batches)}, "original_key": "batch"},
        "labels": {
            "categorical_mapping": np.array([*labels, "Unknown"], dtype=object),
            "original_key": "cell_type",
            "unlabeled_category": "Unknown",
        },
    }
    return {
        "scvi_version": scvi.__version__,
        "model_name": "SCVI",
        "setup_args": {
            "layer": None,
            "batch_key": "batch",
            "labels_key": "cell_type",
            "size_factor_key": None,
            "categorical_covariate_keys": None,
            "continuous_covariate_keys": None,
        },
        "field_registries": {name: {**nothing, "state_registry": state} for name, state in fields.items()}
        | dict.fromkeys(("size_factor", "extra_categorical_covs", "extra_continuous_covs"), nothing),
        "setup_method_name": "setup_datamodule",
    }


REGISTRIES = pytest.mark.parametrize("registry", [of_cells, of_loader])


def build(module, **kwargs):
    options = {"max_epochs": 2, "model_kwargs": NETWORK, "train_kwargs": {"enable_progress_bar": False}, **kwargs}
    return sp.tl.build_reference(module, "batch", "cell_type", **options)


@REGISTRIES
@pytest.mark.parametrize("penalties", [(), ("MMD", "BatchAdversary")])
def test_a_reference_is_built_of_a_module_as_of_its_cells(registry, penalties):
    """On the same minibatches and from the same weights; they come in the order of scvi-tools' loaders."""
    adata = cells(240)
    terms = [getattr(sp.train, name)() for name in penalties]
    scvi.settings.seed = 0
    one = build(
        adata, penalties=terms, train_kwargs={"enable_progress_bar": False, "batch_size": 40, "train_size": 0.9}
    )
    module = Loaders(cells(240), registry(cells(240)))
    scvi.settings.seed = 0
    other = build(module, penalties=terms)
    assert set(one.history) == set(other.history)
    for name in ("elbo_train", *(f"{term.name}_train" for term in terms)):
        np.testing.assert_allclose(one.history[name].astype(float), other.history[name].astype(float), rtol=0.05)
    again = cells(240)
    sp.tl.embed(again, other)
    spread = adata.obsm["X_scarches"].std()
    assert np.abs(adata.obsm["X_scarches"] - again.obsm["X_scarches"]).mean() < 0.2 * spread


@REGISTRIES
def test_such_a_reference_is_saved_and_takes_queries(tmp_path, registry):
    reference, query = split(cells(360, type_effect=2.0), "batch2")
    scvi.settings.seed = 0
    model = build(Loaders(reference, registry(reference.copy())), max_epochs=60)
    model.save(tmp_path / "model")
    sp.hub.save_bundle(model, tmp_path / "bundle")
    latent = {}
    for name in ("model", "bundle"):
        again = sp.load(tmp_path / name)
        assert again.spec.batches == ("batch0", "batch1")
        assert again.spec.labels[:3] == tuple(np.unique(reference.obs["cell_type"].astype(str)))
        scvi.settings.seed = 0
        mapped = sp.tl.map_query(query, again, max_epochs=20, train_kwargs={"enable_progress_bar": False})
        assert mapped.spec.batches == ("batch0", "batch1", "batch2")
        latent[name] = query.obsm["X_scarches"].copy()
    np.testing.assert_allclose(latent["model"], latent["bundle"], atol=1e-5)
    sp.tl.embed(reference, mapped)
    sp.tl.transfer_labels(query, reference, "cell_type")
    assert (query.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.9


def test_epochs_fall_with_the_cells_of_the_module():
    module = Loaders(cells(240), of_loader(cells(240)))
    module.n_obs = 40_000 * 400
    assert len(build(module, max_epochs=None).history["elbo_train"]) == 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipe": "scanvi"}, "recipe of SCANVI.*no minibatches of labelled cells"),
        ({"layer": "counts", "key_added": "X_new"}, r"no use for \['layer', 'key_added'\]"),
        ({"train_kwargs": {"batch_size": 64}}, r"\['batch_size'\], which a data module decides"),
    ],
)
def test_what_needs_cells_is_refused_before_training(options, said):
    with pytest.raises(ValueError, match=said):
        build(Loaders(cells(60), of_loader(cells(60))), **options)


def test_registries_that_say_too_little_are_refused():
    adata = cells(60)
    with pytest.raises(ValueError, match="has batch_key='batch', not 'study'"):
        sp.tl.build_reference(Loaders(adata, of_cells(cells(60))), "study")
    registry = of_loader(adata)
    registry["setup_args"]["continuous_covariate_keys"] = ["age"]
    with pytest.raises(ValueError, match="covariates in a form of its own"):
        build(Loaders(adata, registry))
    registry = of_loader(adata)
    registry["field_registries"]["batch"]["state_registry"]["categorical_mapping"] = None
    with pytest.raises(ValueError, match="no batches"):
        build(Loaders(adata, registry))


def test_a_registry_of_nothing_is_none():
    module = Loaders(cells(60), {})
    with pytest.raises(TypeError, match=r"no registry of scvi-tools.*module\.registry = "):
        sp.tl.build_reference(module, "batch")


def test_without_cells_there_is_no_latent_representation():
    model = SCVI(registry=SCVI(registered(), **NETWORK).adata_manager.registry, **NETWORK)
    with pytest.raises(ValueError, match=r"came without cells.*adata"):
        model.get_latent_representation()


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

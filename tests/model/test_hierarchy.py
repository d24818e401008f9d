"""scANVI with a hierarchy of labels: cells labelled at any level, from training to mapping."""

import json

import numpy as np
import pytest
import scvi
import torch
from small_models import NETWORK, SCANVI, cells, setup, split, train

import scarches_plus as sp
from scarches_plus.datasets import simulate
from scarches_plus.model import load
from scarches_plus.train import EWC, MMD, BatchAdversary, LatentReplay, estimate_importance, store_anchors

KEYS = {"labels_key": "label"}
#: Quick for so few cells.
FAST = {"plan_kwargs": {"lr": 1e-2}}


@pytest.fixture(scope="module")
def tree():
    return sp.pp.label_tree({"left": ["type0", "type1"], "right": {"type2": None, "far": ["type3", "type4"]}})


def labelled(adata):
    """A third of the cells with a leaf as label, a third with the coarsest label, a third with none."""
    types = adata.obs["cell_type"].astype(str)
    sides = types.map(lambda name: "left" if name in {"type0", "type1"} else "right")
    third = np.arange(adata.n_obs) % 3
    adata.obs["label"] = np.select([third == 0, third == 1], [types, sides], "Unknown")
    return adata


@pytest.fixture(scope="module")
def data():
    adata = simulate(400, 60, 5, n_batches=3, mean_depth=1000.0, batch_effect=0.1, type_effect=1.0, rng=0)
    return split(labelled(adata), "batch2")


@pytest.fixture(scope="module")
def model(data, tree):
    ref = data[0].copy()
    scvi.settings.seed = 0
    setup(SCANVI, ref, **KEYS)
    return train(SCANVI(ref, hierarchy=tree, **NETWORK), 40, **FAST)


def test_coarse_and_fine_labels_are_learned(model, tree):
    types = model.adata.obs["cell_type"].astype(str)
    scores = sp.metrics.hierarchical_label_scores(types, model.predict(), tree)
    assert scores.per_level["accuracy"].iloc[0] > 0.9
    assert scores.per_level["accuracy"].iloc[-1] > 0.7
    assert len(model._labeled_indices) == (model.adata.obs["label"] != "Unknown").sum()


def test_coarse_labels_alone_teach_the_coarse_level(data, tree):
    ref = data[0].copy()
    sides = ref.obs["cell_type"].astype(str).map(lambda name: "left" if name in {"type0", "type1"} else "right")
    ref.obs["label"] = sides
    scvi.settings.seed = 0
    setup(SCANVI, ref, **KEYS)
    coarse = train(SCANVI(ref, hierarchy=tree, **NETWORK), 30, **FAST)
    assert set(coarse.predict()) <= set(tree.leaves)
    assert (coarse.predict_nodes()["left"].gt(0.5).to_numpy() == (sides == "left").to_numpy()).mean() > 0.95


def test_probabilities_are_consistent_and_certain_predictions_follow(model, tree):
    nodes, leaves = model.predict_nodes(), model.predict(soft=True)
    assert list(nodes.columns) == list(tree.nodes)
    assert list(leaves.columns) == list(tree.leaves)
    np.testing.assert_allclose(nodes["right"], leaves[["type2", "type3", "type4"]].sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(nodes[["left", "right"]].sum(axis=1), 1, rtol=1e-5)
    given = model.predict(unknown_above=0.2)
    for (_, row), label in zip(nodes.iterrows(), given, strict=True):
        enough = row.index[row >= 0.8 - 1e-9]
        assert label == max(enough, key=lambda node: len(tree.path(node)), default="Unknown")
    assert set(given) - set(tree.leaves)
    np.testing.assert_array_equal(model.predict(), leaves.columns[leaves.to_numpy().argmax(1)])


@torch.no_grad()
def log_expression(model, tree, label, n=2000):
    """Mean log expression of a leaf in batch0, decoded by hand."""
    module, y = model.module, torch.full((n, 1), tree.leaves.index(label))
    mean, variance = module.decoder_z1_z2(torch.randn(n, module.n_latent), y)
    z = mean + variance.sqrt() * torch.randn_like(mean)
    scale = module.generative(z, torch.zeros(n, 1), torch.zeros(n, 1, dtype=torch.long))["px"].scale
    return scale.log().mean(0).numpy()


def test_what_asks_for_labels_gets_the_leaves(model, tree):
    assert model.classes == tree.leaves
    np.testing.assert_allclose(model.confidence(), model.predict(soft=True).max(axis=1))
    found = model.label_differential_expression(
        "type4", "type2", batchid1=["batch0"], batchid2=["batch0"], mode="change", silent=True
    )
    expected = log_expression(model, tree, "type4") - log_expression(model, tree, "type2")
    assert np.corrcoef(found.loc[model.adata.var_names, "lfc_mean"], expected)[0, 1] > 0.9
    with pytest.raises(ValueError, match=r"knows no label .*'far'"):
        model.label_differential_expression("far", "type2")


def test_predict_refuses_what_makes_no_sense(model):
    with pytest.raises(ValueError, match="soft=True"):
        model.predict(soft=True, unknown_above=0.5)
    with pytest.raises(ValueError, match="unknown_above must be at least 0 and at most 1"):
        model.predict(unknown_above=2)
    with pytest.raises(TypeError, match="nothing"):
        model.predict(unknown_above=0.5, nothing=1)


def test_a_model_without_a_hierarchy_rejects_as_well(data):
    ref = data[0].copy()
    setup(SCANVI, ref)
    flat = train(SCANVI(ref, **NETWORK), 3)
    table = flat.predict(soft=True)
    best = table.columns[table.to_numpy().argmax(1)].to_numpy()
    expected = np.where(table.to_numpy().max(1) >= 0.6, best, "Unknown")
    np.testing.assert_array_equal(flat.predict(unknown_above=0.4), expected)
    assert flat.predict_nodes().columns.tolist() == table.columns.tolist()


def test_saved_loaded_and_plain(model, tree, tmp_path):
    model.save(tmp_path / "model")
    with_cells, without = load(tmp_path / "model", model.adata.copy()), load(tmp_path / "model")
    for again in (with_cells, without):
        assert again.hierarchy == tree
        assert again.module.n_labels == len(tree.leaves)
        assert torch.equal(again.module._leaves, model.module._leaves)
    np.testing.assert_array_equal(with_cells.predict(), model.predict())
    assert json.loads(json.dumps(model.init_params_["kwargs"]["model_kwargs"]["hierarchy"])) == tree.to_plain()
    assert set(without.spec.labels) == set(tree.nodes)


def test_mapping_on_both_engines(model, data):
    results = []
    for engine in ("scvi", "fast"):
        query = data[1].copy()
        query.obs["label"] = query.obs["cell_type"].astype(str).replace({"type3": "far", "type4": "far"})
        scvi.settings.seed = 0
        mapped = sp.tl.map_query(
            query, model, engine=engine, max_epochs=60, use_query_labels=True, train_kwargs={"enable_progress_bar": False}
        )  # fmt: skip
        assert mapped.state.engine == engine
        assert mapped.state.space == model.state.space
        assert mapped.hierarchy == model.hierarchy
        assert len(mapped._labeled_indices) == query.n_obs  # "far" is a label that no cell of the reference has
        results.append(query.obsm["X_scarches"])
        assert (mapped.predict() == query.obs["cell_type"]).mean() > 0.6
    moved = np.abs(results[0] - model.embed(model.adata).mean(0)).mean()
    assert np.abs(results[0] - results[1]).mean() < 0.1 * moved
    np.testing.assert_array_equal(mapped.embed(model.adata), model.embed(model.adata))


def test_unlabelled_cells_with_covariates_of_both_kinds_have_no_labelled_part(data, tree):
    ref, query = (part.copy() for part in data)
    for part in (ref, query):
        part.obs["donor"] = np.where(np.arange(part.n_obs) % 2, "d1", "d2")
        part.obs["age"] = np.linspace(0, 1, part.n_obs)
    setup(SCANVI, ref, **KEYS, categorical_covariate_keys=["donor"], continuous_covariate_keys=["age"])
    model = train(SCANVI(ref, hierarchy=tree, **NETWORK), 1)
    mapped = train(SCANVI.load_query_data(query, model), 1, engine="scvi")
    assert "train_classification_loss" in model.history
    assert "train_classification_loss" not in mapped.history


def test_a_mapped_model_is_a_reference(model, data, tmp_path):
    mapped = SCANVI.load_query_data(data[1].copy(), model)
    train(mapped, 1)
    mapped.save(tmp_path / "mapped")
    following = data[1].copy()
    following.obs["batch"] = "batch3"
    onward = SCANVI.load_query_data(following, load(tmp_path / "mapped"))
    assert torch.equal(onward.module._leaves[-1], torch.ones(5, dtype=torch.bool))
    np.testing.assert_array_equal(onward.embed(data[1]), mapped.embed(data[1]))


@pytest.mark.parametrize(
    "penalty", [MMD(), BatchAdversary(n_hidden=8), EWC(weight=10.0), LatentReplay(n_cells=20)], ids=lambda p: p.name
)
def test_penalties(model, data, penalty):
    estimate_importance(model, n_cells=40)
    store_anchors(model, n_cells=40)
    strategy = "all" if isinstance(penalty, EWC | LatentReplay) else "input_layers"
    query = data[1].copy()
    query.obs["batch"] = np.where(np.arange(query.n_obs) % 2, "batch2", "batch3")
    mapped = SCANVI.load_query_data(query, model, strategy=strategy)
    train(mapped, 1, penalties=[penalty])
    logged = next(values for name, values in mapped.history.items() if penalty.name in name)
    assert np.isfinite(logged.to_numpy(dtype=float)).all()


def test_importance_is_that_of_single_cells(model):
    quick = estimate_importance(model, n_cells=6, rng=0)
    module = model.module
    assert any(name.startswith("classifier.levels.1") for name in quick.fisher)
    assert all(torch.isfinite(values).all() for values in quick.fisher.values())
    assert set(quick.fisher) <= {name for name, _ in module.named_parameters()}


def test_alternating_training_learns_from_all_levels(data, tree):
    ref = data[0].copy()
    scvi.settings.seed = 0
    setup(SCANVI, ref, **KEYS)
    model = SCANVI(ref, hierarchy=tree, **NETWORK)
    train(model, 30, plan_kwargs={"lr": 1e-2, "schedule": "alternating", "classifier_epochs": 5})
    sides = ref.obs["cell_type"].isin(["type0", "type1"]).to_numpy()
    assert ((model.predict_nodes()["left"] > 0.5).to_numpy() == sides).mean() > 0.85


def test_build_reference(data, tree):
    ref = data[0].copy()
    ref.obs["label"] = ref.obs["label"].replace({"Unknown": None}).astype(object)
    quiet = {"enable_progress_bar": False}
    model = sp.tl.build_reference(
        ref, "batch", "label", recipe="scanvi", hierarchy=tree, max_epochs=2, model_kwargs={"n_hidden": 12}, train_kwargs=quiet
    )  # fmt: skip
    assert model.hierarchy == tree
    with pytest.raises(ValueError, match="hierarchy has no use"):
        sp.tl.build_reference(ref, "batch", "label", recipe="scvi", hierarchy=tree)
    with pytest.raises(ValueError, match=r"labels of obs\['label'\] \['right', .*\] are not in the hierarchy"):
        sp.tl.build_reference(ref, "batch", "label", recipe="scanvi", hierarchy={"type0": "left", "type1": "left"})


def test_from_scvi_model_of_scvi_tools(data, tree):
    ref = data[0].copy()
    scvi.model.SCVI.setup_anndata(ref, batch_key="batch", labels_key="label")
    theirs = scvi.model.SCVI(ref, **NETWORK)
    theirs.train(max_epochs=1, enable_progress_bar=False, log_every_n_steps=1)
    model = SCANVI.from_scvi_model(theirs, "Unknown", hierarchy=tree)
    assert model.module.n_labels == 5
    train(model, 1)


@pytest.mark.parametrize(
    ("hierarchy", "message"),
    [
        ({"type0": None, "type1": None}, r"labels of obs\['cell_type'\] \['type2'\] are not in the hierarchy"),
        ({"type0": None, "type1": None, "type2": None, "Unknown": None}, "'Unknown' means cells without a label"),
    ],
)
def test_labels_that_do_not_fit_are_named(hierarchy, message):
    adata = cells()
    setup(SCANVI, adata)
    with pytest.raises(ValueError, match=message):
        SCANVI(adata, hierarchy=hierarchy)

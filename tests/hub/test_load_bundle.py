"""A bundle is the model that was saved, without its cells."""

import time
from functools import cache

import numpy as np
import pytest
import scvi
import torch
from penalty_cases import CASES, HOLDING
from small_models import SCANVI, SCVI, STRATEGIES, TOTALVI, as_taken, cells, for_recipe, reference, split

import scarches_plus as sp
from scarches_plus.model import RECIPES

SILENT = {"enable_progress_bar": False}


def mapped_by(query, model, **options):
    scvi.settings.seed = 0
    query = query.copy()
    own = {"reduce_lr_on_plateau": False, "early_stopping": False} if isinstance(model, TOTALVI) else {}
    kwargs = {"max_epochs": 2, "train_kwargs": {**SILENT, **own}, **options}
    mapped = sp.tl.map_query(query, model, **kwargs)
    return query.obsm["X_scarches"], mapped


CASES_OF_STRATEGY = [
    *((cls, strategy) for cls in (SCVI, SCANVI) for strategy in (*STRATEGIES, "clcvae")),
    *((TOTALVI, strategy) for strategy in ("condition", "clcvae")),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model of a class that knows what matters to it, its bundle, its cells and those of a query: made once."""

    @cache
    def saved(cls):
        ref, query = (as_taken(cls, part) for part in split(cells(), "batch2"))
        model = reference(cls, ref)
        sp.train.estimate_importance(model)
        if cls is SCANVI:  # the bundle gets one, by which a mapping holds the classifier
            sp.train.summarize_reference(model, "cell_type")
        return model, sp.hub.save_bundle(model, tmp_path_factory.mktemp("saved") / "bundle"), ref, query

    return saved


@pytest.mark.parametrize(("cls", "strategy"), CASES_OF_STRATEGY)
def test_every_strategy_maps_as_onto_the_model_that_was_saved(cls, strategy, saved):
    model, folder, ref, query = saved(cls)
    again = sp.hub.load_bundle(folder)
    assert type(again) is cls
    assert again.adata is None
    np.testing.assert_array_equal(again.embed(ref), model.embed(ref))
    expected, _ = mapped_by(query, model, strategy=strategy)
    found, mapped = mapped_by(query, again, strategy=strategy)
    np.testing.assert_array_equal(found, expected)
    assert (mapped.state.space == model.state.space) == (strategy == "condition")


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe(recipe, tmp_path):
    ref, query = (for_recipe(recipe, part) for part in split(cells(n_batches=4), "batch2", "batch3"))
    own_widths = "layer_widths" in RECIPES[recipe].model_kwargs
    model = sp.tl.build_reference(
        ref, "batch", "cell_type", recipe=recipe, max_epochs=1, train_kwargs=SILENT,
        model_kwargs={} if own_widths else {"n_hidden": 12},
    )  # fmt: skip
    again = sp.hub.load_bundle(sp.hub.save_bundle(model, tmp_path / "bundle"))
    np.testing.assert_array_equal(again.embed(ref), model.embed(ref))
    assert again.state.recipe == recipe
    blind = RECIPES[recipe].model_kwargs.get("encode_covariates") is False
    strategy = "all" if blind else "condition"
    np.testing.assert_array_equal(
        mapped_by(query, again, strategy=strategy)[0], mapped_by(query, model, strategy=strategy)[0]
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_penalty(case, bundle, model, query):
    penalty = case[0]
    strategy = "all" if isinstance(penalty, HOLDING) else "condition"
    if penalty.name == "batch_adversary":
        query = sp.datasets.simulate(200, 40, 3, n_batches=6, mean_depth=400.0, rng=0)
        query = query[query.obs["batch"].isin(["batch4", "batch5"])].copy()
    kwargs = {"strategy": strategy, "penalties": [penalty]}
    again = sp.hub.load_bundle(bundle)
    np.testing.assert_array_equal(mapped_by(query, again, **kwargs)[0], mapped_by(query, model, **kwargs)[0])


def test_all_that_a_model_remembers(bundle, model):
    again = sp.hub.load_bundle(bundle)
    assert again.state == model.state
    for name, values in model.state.importance.fisher.items():
        assert torch.equal(again.state.importance.fisher[name], values)
        assert torch.equal(again.state.importance.values[name], model.state.importance.values[name])
    assert again.state.importance.n_cells == model.state.importance.n_cells
    kept, found = model.state.anchors, again.state.anchors
    assert torch.equal(found.z_mean, kept.z_mean)
    assert set(found.activations) == set(kept.activations)
    assert torch.equal(found.groups["batch"], kept.groups["batch"])
    summary = again.state.summaries["cell_type"]
    expected = sp.train.summarize_reference(model, "cell_type", keep=False)
    assert torch.equal(summary.covariances, expected.covariances)
    assert set(again.history) == set(model.history)


def test_importance_of_weights_that_have_moved_since(ref, query, tmp_path):
    model = reference(SCVI, ref.copy())
    sp.train.estimate_importance(model)
    model.train(1, enable_progress_bar=False)
    again = sp.hub.load_bundle(sp.hub.save_bundle(model, tmp_path / "bundle"))
    for name, values in model.state.importance.values.items():
        assert torch.equal(again.state.importance.values[name], values)


def test_labels_where_there_is_no_reference_cell(bundle, query):
    again = sp.hub.load_bundle(bundle)
    for strategy in ("condition", "all"):
        cells = query.copy()
        mapped = sp.tl.map_query(cells, again, strategy=strategy, max_epochs=1, train_kwargs=SILENT)
        sp.tl.transfer_labels(cells, mapped, "cell_type", unknown_above=None)
        assert set(cells.obs["cell_type_pred"]) <= {"type0", "type1", "type2"}


def test_a_chain_of_sites(bundle, adata, tmp_path):
    """Each site maps its batch, and passes on a bundle: no site sees the cells of another."""
    current = bundle
    for batch in ("batch2", "batch3"):
        query = adata[adata.obs["batch"] == batch].copy()
        mapped = sp.tl.map_query(query, sp.hub.load_bundle(current), max_epochs=1, train_kwargs=SILENT)
        current = sp.hub.save_bundle(mapped, tmp_path / batch)
        assert sp.hub.load_bundle(current).state == mapped.state
    last = sp.hub.load_bundle(current)
    assert [record["new_batches"] for record in last.state.lineage] == [["batch2"], ["batch3"]]
    assert set(last.spec.batches) == {"batch0", "batch1", "batch2", "batch3"}
    assert "cell_type" in last.state.summaries


def test_time_to_load(bundle):
    sp.hub.load_bundle(bundle)
    start = time.perf_counter()
    sp.hub.load_bundle(bundle)
    assert time.perf_counter() - start < 1


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing is no folder"):
        sp.hub.load_bundle(tmp_path / "nothing")

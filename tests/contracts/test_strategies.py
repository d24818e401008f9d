"""Every strategy of surgery on every model keeps every promise."""

import numpy as np
import pytest
import scvi
import torch
from small_models import STRATEGIES, as_taken, cells, in_obsm, reference, split, train

from scarches_plus.model import SCANVI, SCVI, TOTALVI, load
from scarches_plus.tl import build_reference

#: Cells of type0 have a coarse label; no cell has one of the labels below it.
HIERARCHY = {"type0a": "type0", "type0b": "type0", "type1": "other", "type2": "other"}
MODELS = {
    "SCVI, ZINB": (SCVI, {}),
    "SCVI, NB": (SCVI, {"gene_likelihood": "nb"}),
    "SCVI, first layers only": (SCVI, {"deeply_inject_covariates": False}),
    "SCVI, dispersion per batch": (SCVI, {"dispersion": "gene-batch"}),
    "SCVI, modelled library": (SCVI, {"use_observed_lib_size": False}),
    "SCVI, batch norm": (SCVI, {"use_batch_norm": "both", "use_layer_norm": "none"}),
    "SCANVI, ZINB": (SCANVI, {}),
    "SCANVI, NB": (SCANVI, {"gene_likelihood": "nb"}),
    "SCANVI, linear classifier": (SCANVI, {"linear_classifier": True}),
    "SCANVI, hierarchy": (SCANVI, {"hierarchy": HIERARCHY}),
    "TOTALVI": (TOTALVI, {}),
    "TOTALVI, dispersions per batch": (
        TOTALVI,
        {"gene_dispersion": "gene-batch", "protein_dispersion": "protein-batch"},
    ),
    "TOTALVI, built of modalities": (TOTALVI, {"proteins": "modality"}),
    "TOTALVI, built of obsm": (TOTALVI, {"proteins": "obsm"}),
    "SCANVI, batch norm": (SCANVI, {"use_batch_norm": "both", "use_layer_norm": "none"}),
}


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS.keys())
def built(request):
    cls, options = request.param
    ref, query = (as_taken(cls, part) for part in split(cells(), "batch2"))
    if "proteins" in options:
        ref, query = (part if options["proteins"] == "modality" else in_obsm(part) for part in (ref, query))
        own = {"model_kwargs": {"n_hidden": 12, "n_latent": 4}, "train_kwargs": {"enable_progress_bar": False}}
        model = build_reference(ref, "batch", recipe="totalvi", max_epochs=2, **own)
    else:
        model = reference(cls, ref, **options)
    return cls, ref, query, model, model.get_latent_representation()


@pytest.fixture(params=STRATEGIES)
def strategy(request):
    return request.param


def mapped_by(built, strategy, weight_decay=0.04):
    cls, _, query, model, _ = built
    mapped = cls.load_query_data(query, model, strategy=strategy)
    start = {name: value.clone() for name, value in mapped.module.state_dict().items()}, mapped.embed(query)
    scvi.settings.seed = 1
    return train(mapped, plan_kwargs={"weight_decay": weight_decay}), *start


def test_trains_what_it_says_and_nothing_else(built, strategy):
    mapped, before, _ = mapped_by(built, strategy)
    after = mapped.module.state_dict()
    parameters = {name for name, _ in mapped.module.named_parameters()}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed & parameters <= set(mapped.surgery.entries)
    assert changed & parameters
    n_changed = 0
    for name in changed & parameters:
        difference = before[name] != after[name]
        where = mapped.surgery.entries[name]
        if where is not None:
            fixed = torch.ones(difference.shape[where[0]], dtype=bool)
            fixed[where[1]] = False
            assert not difference.index_select(where[0], fixed.nonzero().flatten()).any()
        n_changed += int(difference.sum())
    assert n_changed <= mapped.surgery.n_trainable <= mapped.surgery.n_total
    if strategy != "all":  # running statistics are part of the reference
        assert changed <= parameters


def test_reference_moves_only_where_it_may(built, strategy):
    mapped, *_ = mapped_by(built, strategy)
    _, ref, _, model, before = built
    drift = np.abs(mapped.embed(ref) - before).max()
    assert (drift == 0.0) == (strategy == "condition")
    assert (mapped.state.space == model.state.space) == (strategy == "condition")
    np.testing.assert_array_equal(model.get_latent_representation(), before)


def test_query_moves(built, strategy):
    mapped, _, start = mapped_by(built, strategy)
    assert np.abs(mapped.embed(built[2]) - start).max() > 1e-5
    assert np.isfinite(mapped.embed(built[2])).all()


def test_history(built, strategy):
    mapped, *_ = mapped_by(built, strategy)
    assert len(mapped.history["elbo_train"]) == 2
    assert np.isfinite(mapped.history["elbo_train"].to_numpy(dtype=float)).all()


def test_saved_and_loaded(built, strategy, tmp_path):
    cls, ref, query, *_ = built
    mapped, *_ = mapped_by(built, strategy)
    mapped.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.state == mapped.state
    np.testing.assert_array_equal(again.embed(query), mapped.embed(query))
    np.testing.assert_array_equal(again.embed(ref), mapped.embed(ref))
    if getattr(mapped, "hierarchy", None) is not None:  # plain scvi-tools has no such classifier
        return
    theirs = getattr(scvi.model, cls.__name__).load(str(tmp_path / "model"), adata=mapped.adata.copy())
    np.testing.assert_allclose(
        theirs.get_latent_representation(), mapped.get_latent_representation(), rtol=1e-5, atol=1e-6
    )


def test_same_seed_same_result(built, strategy):
    cls, _, query, model, _ = built
    results = []
    for _ in range(2):
        scvi.settings.seed = 9
        results.append(train(cls.load_query_data(query, model, strategy=strategy)).embed(query))
    np.testing.assert_array_equal(*results)


def test_next_query(built, strategy):
    cls, _, query, *_ = built
    mapped, *_ = mapped_by(built, strategy)
    following = query.copy()
    following.obs["batch"] = "batch3"
    onward = cls.load_query_data(following, mapped)
    before = mapped.embed(query)
    train(onward)
    assert np.abs(onward.embed(query) - before).max() == 0.0

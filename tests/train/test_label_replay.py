import numpy as np
import pytest
import scvi
import torch
from small_models import SCANVI, SCVI, cells, reference, setup, split, train

import scarches_plus as sp
from scarches_plus.train import LabelReplay, Setting, Step, store_anchors, summarize_reference


@pytest.fixture(scope="module")
def built():
    ref, query = split(cells(360, type_effect=1.0), "batch2")
    ref = ref[(ref.obs["cell_type"] != "type2") | (np.arange(ref.n_obs) % 2 == 0)].copy()
    scvi.settings.seed = 0
    setup(SCANVI, ref)
    model = train(reference(SCANVI, ref, gene_likelihood="nb"), 40, plan_kwargs={"lr": 0.01})
    model.fit_classifier(steps=200)
    return ref, query, model


@pytest.fixture(params=["anchors", "summary"])
def remembering(built, request):
    """A reference that remembers single cells, or no single cell."""
    model = built[2]
    model.scarches_plus_ = {**model.scarches_plus_, "anchors": None, "summaries": {}}
    if request.param == "anchors":
        store_anchors(model, n_cells=150)
    else:
        summarize_reference(model, "cell_type", min_cells=10)
    return (*built[:2], model)


def setting_of(model, **kwargs):
    state = model.state
    return Setting(model.module, model.groupings, anchors=state.anchors, summaries=state.summaries, **kwargs)


def step_of(module):
    return Step({}, {"z": torch.zeros(1)}, {}, {}, module)


def test_it_is_zero_where_nothing_moved(remembering):
    *_, model = remembering
    assert LabelReplay().prepare(setting_of(model))(step_of(model.module)).item() == pytest.approx(0, abs=1e-5)


def test_labels_count_alike(remembering):
    """A class that is forgotten costs as much, however few replayed cells have it."""
    *_, model = remembering
    term = LabelReplay(n_cells=20_000).prepare(setting_of(model))
    best = term._before.argmax(1)
    shares = [float(term._weights[best == label].sum()) for label in best.unique()]
    np.testing.assert_allclose(shares, 1 / len(shares), rtol=1e-5)
    with torch.no_grad():
        model.module.classifier.classifier[-1].bias[0] += 2.0
        weighted = term(step_of(model.module)).item()
        term._options = LabelReplay(n_cells=30)
        torch.manual_seed(0)
        drawn = np.mean([term(step_of(model.module)).item() for _ in range(300)])
        model.module.classifier.classifier[-1].bias[0] -= 2.0
    assert drawn == pytest.approx(weighted, rel=0.1)


def test_it_takes_the_classifier_back_to_what_it_said(remembering):
    ref, query, model = remembering
    mapped = SCANVI.load_query_data(query, model, strategy="all")
    term = LabelReplay().prepare(setting_of(mapped))
    before = mapped.predict(ref, soft=True).to_numpy()
    classifier, generator = mapped.module.classifier, torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    moved = np.abs(mapped.predict(ref, soft=True).to_numpy() - before).mean()
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        term(step_of(mapped.module)).backward()
        optimizer.step()
    assert np.abs(mapped.predict(ref, soft=True).to_numpy() - before).mean() < 0.3 * moved


def test_classifiers_that_give_probabilities(remembering):
    ref, *_ = remembering
    model = reference(SCANVI, ref.copy(), classifier_parameters={"logits": False})
    store_anchors(model, n_cells=30)
    assert LabelReplay().prepare(setting_of(model))(step_of(model.module)).item() == pytest.approx(0, abs=1e-5)
    mapped = SCANVI.load_query_data(remembering[1], model, strategy="all")
    train(mapped, 1, penalties=[LabelReplay()])
    assert np.isfinite(mapped.history["label_replay_train"].to_numpy(dtype=float)).all()


def test_models_without_a_classifier_are_refused():
    model = reference(SCVI)
    store_anchors(model, n_cells=20)
    with pytest.raises(ValueError, match=r"VAE has none: leave it out"):
        LabelReplay().prepare(setting_of(model))


def test_surgery_brings_it_along_where_the_classifier_could_move(remembering):
    _, query, model = remembering
    assert model.own_penalties() == ()
    for strategy, own in (("condition", ()), ("input_layers", (LabelReplay(),)), ("all", (LabelReplay(),))):
        mapped = SCANVI.load_query_data(query, model, strategy=strategy)
        assert mapped.own_penalties() == own
        train(mapped, 1, penalties=mapped.own_penalties())
    labelled = SCANVI.load_query_data(query, model, strategy="all", use_query_labels=True)
    assert labelled.own_penalties() == ()


def test_surgery_says_what_it_lacks(built, caplog):
    _, query, model = built
    model.scarches_plus_ = {**model.scarches_plus_, "anchors": None, "summaries": {}}
    assert SCANVI.load_query_data(query, model, strategy="all").own_penalties() == ()
    assert "summarize_reference" in caplog.text


def test_surgery_of_other_models_brings_nothing():
    ref, query = split(cells(), "batch2")
    assert SCVI.load_query_data(query, reference(SCVI, ref), strategy="all").own_penalties() == ()


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="n_cells must be at least"):
        LabelReplay(n_cells=0)


def test_labels_that_no_summary_describes_are_named(caplog):
    adata = cells(n_cells=[150, 150, 60], n_batches=3)
    keep = (adata.obs["cell_type"] != "type0").to_numpy().copy()
    keep[np.flatnonzero(~keep)[:8]] = True
    ref, query = split(adata[keep].copy(), "batch2")
    model = sp.tl.build_reference(
        ref, "batch", "cell_type", recipe="scanvi", max_epochs=1, train_kwargs={"enable_progress_bar": False},
        model_kwargs={"n_hidden": 8},
    )  # fmt: skip
    with caplog.at_level("WARNING", "scarches_plus"):
        SCANVI.load_query_data(query, model, strategy="all").own_penalties()
    assert "says of ['type0'], which the summary leaves out" in caplog.text


def test_a_squared_error_has_no_cells_to_replay(caplog):
    """The mapping goes on without, and says so."""
    ref, query = split(cells(n_batches=4), "batch2", "batch3")
    model = sp.tl.build_reference(
        ref, "batch", "cell_type", recipe="scanvi", max_epochs=1, train_kwargs={"enable_progress_bar": False},
        model_kwargs={"gene_likelihood": "mse", "n_hidden": 8},
    )  # fmt: skip
    with caplog.at_level("WARNING", "scarches_plus"), pytest.warns(UserWarning, match="cannot be taken along"):
        mapped = sp.tl.map_query(
            query, model, strategy="all", max_epochs=1, train_kwargs={"enable_progress_bar": False}
        )
    assert not mapped.state.penalties
    assert "counts cannot be drawn from" in caplog.text
    again = SCANVI.load_query_data(query, model, strategy="all")
    with pytest.raises(ValueError, match="counts cannot be drawn with gene_likelihood='mse'"):
        train(again, 1, penalties=[sp.train.LabelReplay()])

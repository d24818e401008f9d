import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from small_models import SCANVI, SCVI, TOTALVI, as_taken, cells, reference, split, train

from scarches_plus._temperature import best_temperature
from scarches_plus.model import load
from scarches_plus.train import store_anchors, summarize_reference
from scarches_plus.train._estimation._fit_mixture import fit_mixture
from scarches_plus.train._estimation._held_out_temperature import held_out_temperature


@pytest.fixture(scope="module")
def built():
    ref, query = split(cells(500), "batch2")
    return ref, query, train(reference(SCVI, ref), 20)


def test_one_component_is_mean_and_covariance(built):
    ref, _, model = built
    summary = summarize_reference(model, "cell_type", max_components=1)
    latent = model.embed(ref).astype(float)
    assert summary.labels == ("type0", "type1", "type2")
    assert summary.space == model.state.space
    for k, label in enumerate(summary.labels):
        cells_of = (ref.obs["cell_type"] == label).to_numpy()
        np.testing.assert_allclose(summary.means[k], latent[cells_of].mean(0), atol=1e-4)
        covariance = np.cov(latent[cells_of].T, bias=True) + 1e-3 * latent.var(0).mean() * np.eye(4)
        found = summary.covariances[k].double().numpy()
        diagonal = np.count_nonzero(found - np.diag(found.diagonal())) == 0
        np.testing.assert_allclose(found, np.diag(covariance.diagonal()) if diagonal else covariance, atol=1e-4)
        assert summary.n_cells[k] == pytest.approx(cells_of.sum())
        batches = ref.obs["batch"][cells_of].value_counts(normalize=True).reindex(["batch0", "batch1"]).to_numpy()
        np.testing.assert_allclose(summary.groups["batch"][k], batches, atol=1e-6)
        sizes = np.log(np.asarray(ref.X.sum(1)).ravel()[cells_of])
        np.testing.assert_allclose(summary.library[k], [sizes.mean(), sizes.var()], atol=1e-3)


def test_it_keeps_what_anchors_of_all_cells_have_on_average(built):
    ref, _, model = built
    summary = summarize_reference(model, "cell_type", max_components=1, keep=False)
    anchors = store_anchors(model, n_cells=ref.n_obs)
    of_type = torch.tensor((ref.obs["cell_type"] == "type1").tolist())
    torch.testing.assert_close(summary.z_var[1], anchors.z_var[of_type].mean(0), rtol=1e-3, atol=1e-5)


def test_no_component_stands_for_a_few_cells():
    rng = np.random.default_rng(0)
    clumps = np.concatenate([rng.normal(0, 0.1, (60, 2)), rng.normal(9, 0.1, (5, 2)), rng.normal(-9, 0.1, (40, 2))])
    for min_cells in (5, 20):
        means, covariances, shares = fit_mixture(
            clumps, max_components=4, min_cells=min_cells, regularization=1e-3, seed=0
        )
        assert shares.sum(0).min() >= min_cells
        assert len(means) == len(covariances) == shares.shape[1] <= len(clumps) // min_cells
        near = np.linalg.norm(means - [9, 9], axis=1).min()
        assert (near < 1) == (min_cells == 5)


def test_the_mixture_of_smallest_bic_is_taken():
    z = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([[0, 0], [8, 8], [0, 8]], 100, axis=0)
    means, *_ = fit_mixture(z, max_components=4, min_cells=20, regularization=1e-3, seed=0)
    bics = {n: GaussianMixture(n, random_state=0).fit(z).bic(z) for n in range(1, 5)}
    assert len(means) == min(bics, key=bics.get) == 3


RULES = {"max_components": 1, "min_cells": 20, "regularization": 1e-3, "seed": 0}


def shifted(n_batches, shift, rng):
    """Cells of two labels one apart, in batches that are shifted as a whole."""
    codes, batches = rng.integers(0, 2, 200 * n_batches), np.repeat(np.arange(n_batches), 200)
    centers = rng.normal(scale=shift, size=(n_batches, 2))
    return rng.normal(scale=0.3, size=(len(codes), 2)) + codes[:, None] + centers[batches], codes, batches


def loss_at(temperature, scores, codes):
    scores = scores / temperature
    return (logsumexp(scores, axis=1) - scores[np.arange(len(codes)), codes]).mean()


def test_the_temperature_is_that_of_held_out_batches():
    latent, codes, batches = shifted(3, 0.3, np.random.default_rng(0))
    scores = np.empty((len(codes), 2))
    for batch in range(3):
        others, held = batches != batch, batches == batch
        for label in range(2):
            of_label = latent[others & (codes == label)]
            fits = [
                GaussianMixture(1, covariance_type=kind, reg_covar=1e-3, random_state=0).fit(of_label)
                for kind in ("full", "diag")
            ]
            best = min(fits, key=lambda one: one.bic(of_label))
            covariance = best.covariances_[0]
            covariance = np.diag(covariance) if covariance.ndim == 1 else covariance
            density = multivariate_normal(best.means_[0], covariance).logpdf(latent[held])
            scores[held, label] = density + np.log(len(of_label))
    found = held_out_temperature(latent, codes, batches, **RULES)
    grid = np.exp(np.arange(0, 4, 0.001))
    assert found == pytest.approx(grid[np.argmin([loss_at(one, scores, codes) for one in grid])], rel=2e-3)
    assert found > 1.5


def test_it_is_the_larger_the_more_batches_differ_and_never_below_one():
    found = [held_out_temperature(*shifted(4, shift, np.random.default_rng(2)), **RULES) for shift in (0.0, 0.2, 0.5)]
    assert found[0] < 1.1 < found[1] < found[2]
    certain = np.array([[0.0, -5.0], [-5.0, 0.0]] * 30)
    assert best_temperature(certain, np.array([0, 1] * 30), hottest=20.0) == pytest.approx(1, abs=1e-3)


def test_many_batches_are_held_out_in_five_parts_and_a_single_one_in_fifths(monkeypatch):
    from scarches_plus.train._estimation import _held_out_temperature as module

    fits = []
    monkeypatch.setattr(
        module, "fit_mixture", lambda *args, **kw: (fits.append(len(args[0])), fit_mixture(*args, **kw))[1]
    )
    for n_batches in (12, 1):
        fits.clear()
        latent, codes, batches = shifted(n_batches, 0.2, np.random.default_rng(2))
        assert held_out_temperature(latent, codes, batches, **RULES) >= 1
        assert len(fits) == 5 * 2


def test_no_temperature_where_nothing_can_be_held_out():
    latent, codes, _ = shifted(2, 0.2, np.random.default_rng(3))
    assert held_out_temperature(latent, codes, codes, **RULES) is None  # each label in a batch of its own
    assert held_out_temperature(latent, np.zeros_like(codes), codes, **RULES) is None


def test_the_temperature_is_kept(built, tmp_path):
    _, _, model = built
    summary = summarize_reference(model, "cell_type")
    assert summary.temperature >= 1
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").state.summaries["cell_type"].temperature == summary.temperature


def test_labels_with_few_cells_or_none(built, caplog):
    ref, _, model = built
    labels = ref.obs["cell_type"].astype(object).to_numpy().copy()
    labels[:10] = "rare"
    labels[10:20], labels[20:30], labels[30:40] = None, "Unknown", float("nan")
    with caplog.at_level("WARNING", logger="scarches_plus"):
        summary = summarize_reference(model, "own", labels=labels)
    assert summary.left_out == ("rare",)
    assert "rare" in caplog.text
    assert set(summary.labels) == {"type0", "type1", "type2"}
    assert float(summary.n_cells.sum()) == pytest.approx(ref.n_obs - 40)
    assert {"own"} <= set(model.state.summaries)
    text = pd.Series(labels).astype("category")
    again = summarize_reference(model, "own", labels=text, keep=False)
    assert torch.equal(again.means, summary.means)


@pytest.mark.parametrize("cls", [SCVI, SCANVI, TOTALVI])
def test_saved_loaded_and_mapped(cls, tmp_path):
    ref, query = (as_taken(cls, part) for part in split(cells(), "batch2"))
    model = reference(cls, ref)
    labels = split(cells(), "batch2")[0].obs["cell_type"]
    summary = summarize_reference(model, "cell_type", labels=labels)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    mapped = train(cls.load_query_data(query, again))
    for one in (again, mapped):
        torch.testing.assert_close(one.state.summaries["cell_type"].means, summary.means)
    assert not cls.load_query_data(query, train(model, 1)).state.summaries  # of a space that is gone


def test_refusals(built, tmp_path):
    _, _, model = built
    with pytest.raises(KeyError, match="nothing"):
        summarize_reference(model, "nothing")
    with pytest.raises(ValueError, match="3 labels"):
        summarize_reference(model, "own", labels=["a"] * 3)
    with pytest.raises(ValueError, match="no label"):
        summarize_reference(model, "cell_type", min_cells=10_000)
    with pytest.raises(ValueError, match="at least 1"):
        summarize_reference(model, "cell_type", max_components=0)
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="came without"):
        summarize_reference(load(tmp_path / "model"), "cell_type")

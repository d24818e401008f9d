from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from small_models import SCVI, cells, reference, split

from scarches_plus.train import LatentSummary, summarize_reference


@pytest.fixture
def summary():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(3, 2, 2))
    return LatentSummary(
        labels=("a", "b"),
        left_out=(),
        of_label=torch.tensor([0, 1, 1]),
        n_cells=torch.tensor([30.0, 60.0, 10.0]),
        means=torch.tensor(rng.normal(size=(3, 2)), dtype=torch.float32),
        covariances=torch.tensor(roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(2), dtype=torch.float32),
        z_var=torch.ones(3, 2),
        library=torch.tensor([[5.0, 0.1], [6.0, 0.2], [7.0, 0.0]]),
        groups={"batch": torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])},
        space="s",
    )


def naive(summary, z):
    """Densities of labels by scipy."""
    one, two, three = (
        multivariate_normal(mean.double().numpy(), covariance.double().numpy()).pdf(z)
        for mean, covariance in zip(summary.means, summary.covariances, strict=True)
    )
    return np.stack([one, 6 / 7 * two + 1 / 7 * three], axis=1)


def test_densities_and_bayes_rule(summary):
    z = np.random.default_rng(1).normal(size=(40, 2))
    densities = naive(summary, z)
    np.testing.assert_allclose(summary.log_densities(z), np.log(densities), rtol=1e-6, atol=1e-6)
    for prior, shares in (("reference", np.array([0.3, 0.7])), ("uniform", np.array([0.5, 0.5]))):
        joint = densities * shares
        np.testing.assert_allclose(
            summary.probabilities(z, prior=prior), joint / joint.sum(1, keepdims=True), rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("prior", ["reference", "uniform"])
def test_a_temperature_takes_roots_of_joint_densities(summary, prior):
    z = np.random.default_rng(2).normal(size=(40, 2))
    warm = replace(summary, temperature=3.0)
    joint = (naive(summary, z) * (np.array([0.3, 0.7]) if prior == "reference" else 1)) ** (1 / 3)
    found = warm.probabilities(z, prior=prior)
    np.testing.assert_allclose(found, joint / joint.sum(1, keepdims=True), rtol=1e-6, atol=1e-9)
    as_before = summary.probabilities(z, prior=prior)
    np.testing.assert_array_equal(warm.probabilities(z, prior=prior, calibrated=False), as_before)
    np.testing.assert_array_equal(found.argmax(1), as_before.argmax(1))


def test_summaries_of_before_have_no_temperature(summary):
    plain = summary.to_plain()
    del plain["temperature"]
    assert LatentSummary.from_plain(plain).temperature is None
    assert LatentSummary.from_plain(replace(summary, temperature=2.5).to_plain()).temperature == 2.5


def test_far_away_is_still_a_probability(summary):
    probabilities = summary.probabilities(np.full((1, 2), 1e4))
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_draws_have_the_moments_they_should(summary):
    n = 20_000
    drawn = summary.draw(n, torch.Generator().manual_seed(0))
    assert len(drawn) == 3 * n
    for k in range(3):
        where = slice(k * n, (k + 1) * n)
        z = drawn.z_mean[where].double().numpy()
        np.testing.assert_allclose(z.mean(0), summary.means[k], atol=0.05)
        np.testing.assert_allclose(np.cov(z.T), summary.covariances[k], atol=0.1)
        np.testing.assert_allclose(drawn.library[where].mean(), summary.library[k, 0], atol=0.02)
        np.testing.assert_allclose(drawn.library[where].var(), summary.library[k, 1], atol=0.02)
        shares = torch.bincount(drawn.groups["batch"][where], minlength=2) / n
        np.testing.assert_allclose(shares, summary.groups["batch"][k], atol=0.02)


def test_refusals(summary):
    with pytest.raises(ValueError, match="2 latent dimensions"):
        summary.log_densities(np.zeros((3, 5)))
    with pytest.raises(ValueError, match="prior"):
        summary.probabilities(np.zeros((3, 2)), prior="none")


def test_plain_and_back():
    ref, _ = split(cells(), "batch2")
    model = reference(SCVI, ref)
    summary = summarize_reference(model, "cell_type")
    again = LatentSummary.from_plain(summary.to_plain())
    z = model.embed(ref)
    np.testing.assert_array_equal(again.probabilities(z), summary.probabilities(z))
    assert again.labels == summary.labels


def test_joined_summaries_describe_the_labels_of_both(summary):
    later = replace(
        summary, labels=("c", "d"), left_out=("e",), groups={"batch": torch.tensor([[0.0, 0.0, 1.0]]).repeat(3, 1)}
    )
    joint = summary.plus(later)
    z = np.random.default_rng(1).normal(size=(40, 2))
    assert joint.labels == ("a", "b", "c", "d")
    assert joint.left_out == ("e",)
    np.testing.assert_array_equal(joint.log_densities(z), np.tile(summary.log_densities(z), 2))
    assert joint.groups["batch"].tolist()[2:4] == [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    drawn = joint.draw(5, torch.Generator().manual_seed(0))
    assert set(drawn.groups["batch"][15:].tolist()) == {2}
    assert LatentSummary.from_plain(joint.to_plain()).labels == joint.labels
    for wrong in (replace(later, space="t"), summary):
        with pytest.raises(ValueError, match="can be joined"):
            summary.plus(wrong)

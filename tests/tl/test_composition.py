import numpy as np
import pytest
from scipy import stats

from scarches_plus.tl._groups._composition import draw_centers, draw_compositions, draw_counts

N_DRAWS = 20_000


def uncertain(n_cells, n_labels, rng):
    return rng.dirichlet(np.full(n_labels, 0.5), n_cells)


def test_counts_have_the_moments_of_independent_cells():
    rng = np.random.default_rng(0)
    posterior = uncertain(12, 3, rng)
    posterior[:4] = np.eye(3)[[0, 1, 1, 2]]
    samples = np.arange(12) % 2
    counts = draw_counts(posterior, samples, 2, N_DRAWS, rng)
    assert counts.shape == (N_DRAWS, 2, 3)
    for sample in range(2):
        p = posterior[samples == sample]
        np.testing.assert_array_equal(counts[:, sample].sum(axis=1), len(p))
        np.testing.assert_allclose(counts[:, sample].mean(axis=0), p.sum(axis=0), atol=0.05)
        covariance = np.diag(p.sum(axis=0)) - p.T @ p  # sum of the covariances of one-hot draws
        np.testing.assert_allclose(np.cov(counts[:, sample].T), covariance, atol=0.05)


def test_each_cell_follows_its_probabilities():
    rng = np.random.default_rng(1)
    posterior = uncertain(5, 4, rng)
    posterior[0] = [0.0, 0.7, 0.0, 0.3]  # labels that cannot be never are
    counts = draw_counts(posterior, np.arange(5), 5, N_DRAWS, rng)
    assert not counts[:, 0, [0, 2]].any()
    np.testing.assert_allclose(counts.mean(axis=0), posterior, atol=0.02)


def test_certain_labels_are_counted():
    codes = np.random.default_rng(2).integers(0, 4, 50)
    counts = draw_counts(np.eye(4)[codes], codes % 2, 2, 3, np.random.default_rng(0))
    for sample in range(2):
        expected = np.bincount(codes[codes % 2 == sample], minlength=4)
        np.testing.assert_array_equal(counts[:, sample], np.tile(expected, (3, 1)))


def test_compositions_of_certain_labels_are_dirichlet():
    alpha = np.array([3.0, 0.0, 40.0, 7.0]) + 0.5
    draws = draw_compositions(np.tile(alpha - 0.5, (N_DRAWS, 1)), 0.5, np.random.default_rng(0))
    for label, column in enumerate(draws.T):
        beta = stats.beta(alpha[label], alpha.sum() - alpha[label])
        assert stats.kstest(column, beta.cdf).pvalue > 0.01
    expected = stats.dirichlet(alpha).cov()
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=3e-4)


def test_centers_are_students_t_in_log_ratios():
    counts = np.random.default_rng(0).poisson(50, (1, 4, 3)).astype(float)
    draws = draw_centers(np.repeat(counts, N_DRAWS, axis=0), 0.5, np.random.default_rng(1))
    np.testing.assert_allclose(draws.sum(axis=1), 1)
    logs = np.log(counts[0] + 0.5)
    for one, other in ((0, 1), (2, 0)):
        ratios = logs[:, one] - logs[:, other]
        expected = stats.t(3, ratios.mean(), stats.sem(ratios))
        assert stats.kstest(np.log(draws[:, one] / draws[:, other]), expected.cdf).pvalue > 0.01


def covers(draws, truth, level=0.9):
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return (low <= truth) & (truth <= high)


def test_intervals_of_counts_hold_the_true_counts():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(200):
        posterior = uncertain(60, 3, rng)
        truth = (posterior.cumsum(axis=1) > rng.random((60, 1))).argmax(axis=1)
        counts = draw_counts(posterior, np.zeros(60, dtype=int), 1, 400, rng)[:, 0]
        held.append(covers(counts, np.bincount(truth, minlength=3)))
    assert 0.88 < np.mean(held) < 0.96  # whole numbers: never less than asked for


@pytest.mark.parametrize("n_cells", [40, 400])
def test_intervals_of_proportions_hold_the_true_ones(n_cells):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        truth = rng.dirichlet([4.0, 4.0, 4.0])
        counts = np.tile(rng.multinomial(n_cells, truth), (400, 1))
        held.append(covers(draw_compositions(counts, 0.5, rng), truth))
    assert abs(np.mean(held) - 0.9) < 0.03


@pytest.mark.parametrize("n_samples", [3, 8])
def test_intervals_of_centers_hold_the_true_one_though_samples_vary_and_labels_are_uncertain(n_samples):
    rng = np.random.default_rng(0)
    center = np.array([0.5, 0.3, 0.2])
    held = []
    for _ in range(300):
        shifted = np.log(center) + rng.normal(scale=0.5, size=(n_samples, 3))
        compositions = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        truth = np.concatenate([rng.choice(3, 60, p=composition) for composition in compositions])
        samples = np.repeat(np.arange(n_samples), 60)
        posterior = 0.9 * np.eye(3)[truth] + 0.1 * center
        logs = draw_centers(draw_counts(posterior, samples, n_samples, 400, rng), 0.5, rng)
        held.append(covers(np.log(logs[:, 0] / logs[:, 1]), np.log(center[0] / center[1])))
    assert abs(np.mean(held) - 0.9) < 0.06

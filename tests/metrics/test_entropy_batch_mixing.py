import numpy as np
import pytest
from naive_neighbors import nearest_others

from scarches_plus.metrics import batch_entropy, entropy_batch_mixing


def example(n=300, shift=0.0, n_batches=2, seed=0):
    rng = np.random.default_rng(seed)
    batches = np.arange(n) % n_batches
    return rng.normal(size=(n, 5)) + shift * batches[:, None], batches


def test_is_the_mean_over_cells():
    embedding, batches = example()
    value = entropy_batch_mixing(embedding, batches, k=20)
    assert isinstance(value, float)
    assert value == pytest.approx(batch_entropy(embedding, batches, k=20).mean())


def test_published_estimate_scatters_around_the_expectation():
    embedding, batches = example(shift=0.7)
    exact = entropy_batch_mixing(embedding, batches)
    draws = [entropy_batch_mixing(embedding, batches, n_cells=100, rng=seed) for seed in range(60)]
    error = np.std(draws) / np.sqrt(len(draws))
    assert error > 0
    assert abs(np.mean(draws) - exact) < 4 * error


def test_draw_equals_the_papers_loop():
    embedding, batches = example(shift=0.5)
    every = batch_entropy(embedding, batches)
    rng = np.random.default_rng(5)
    expected = np.mean([every[cell] for cell in rng.integers(300, size=100)])
    assert entropy_batch_mixing(embedding, batches, n_cells=100, rng=5) == pytest.approx(expected)
    assert entropy_batch_mixing(embedding, batches, n_cells=100, rng=np.random.default_rng(5)) == pytest.approx(
        expected
    )
    neighbors = nearest_others(embedding, 40)
    assert entropy_batch_mixing(embedding, batches, n_cells=100, rng=5, neighbors=neighbors) == pytest.approx(expected)


def test_extremes():
    apart = entropy_batch_mixing(*example(shift=100.0))
    mixed = entropy_batch_mixing(*example(1000), k=300, normalize=True)
    assert apart == 0
    assert 0.97 < mixed <= 1


def test_neighbors_serve_a_sweep_over_k():
    embedding, batches = example(n_batches=3)
    neighbors = nearest_others(embedding, 50)
    for k in (15, 25, 50):
        swept = entropy_batch_mixing(embedding, batches, k=k, neighbors=neighbors)
        assert swept == pytest.approx(entropy_batch_mixing(embedding, batches, k=k))


def test_errors():
    embedding, batches = example()
    with pytest.raises(ValueError, match="at least 2 batches"):
        entropy_batch_mixing(embedding, np.zeros(300))
    with pytest.raises(ValueError, match="n_cells must be at least 1"):
        entropy_batch_mixing(embedding, batches, n_cells=0)

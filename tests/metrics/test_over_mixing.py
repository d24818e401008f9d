import numpy as np
import pytest
from naive_neighbors import nearest_others

from scarches_plus.metrics import batch_entropy, label_mixing, over_mixing


def example(n=600, distance=30.0, seed=0):
    """a and b live in both batches, c in the first and d in the second only."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.array(list("abcd"))[np.arange(n) % 4])
    batches = rng.integers(2, size=n)
    batches[labels == "c"], batches[labels == "d"] = 0, 1
    return rng.normal(size=(n, 3)) + distance * np.unique(labels, return_inverse=True)[1][:, None], batches, labels


def test_is_the_mean_over_labels_of_one_batch():
    embedding, batches, labels = example(distance=1.0)
    entropies = batch_entropy(embedding, batches, normalize=True)
    expected = np.mean([entropies[labels == "c"].mean(), entropies[labels == "d"].mean()])
    value = over_mixing(embedding, batches, labels)
    assert isinstance(value, float)
    assert value == pytest.approx(expected)
    everything = over_mixing(embedding, batches, labels, min_share=0.5)
    assert everything == pytest.approx(label_mixing(embedding, batches, labels)["entropy"].mean())


def test_high_where_everything_is_merged():
    embedding, batches, labels = example()
    rng = np.random.default_rng(1)
    assert over_mixing(embedding, batches, labels) == 0
    for merged in (rng.normal(size=(600, 3)), 1e-9 * rng.normal(size=(600, 3))):
        assert over_mixing(merged, batches, labels, k=50) > 0.95
    assert over_mixing(np.zeros((600, 3)), batches, labels, k=50) > 0.8


def test_neighbors_known_already():
    embedding, batches, labels = example(distance=1.0)
    neighbors = nearest_others(embedding, 30)
    value = over_mixing(embedding, batches, labels, k=10, neighbors=neighbors)
    assert value == pytest.approx(over_mixing(embedding, batches, labels, k=10))


def test_errors():
    embedding, _, labels = example()
    batches = np.arange(600) % 2
    with pytest.raises(ValueError, match=r"no label has a share of 1.0 .* the nearest is .* lower min_share"):
        over_mixing(embedding, batches, labels)
    with pytest.raises(ValueError, match="every cell is of batch 0"):
        over_mixing(embedding, np.zeros(600, dtype=int), labels)

from collections import Counter
from math import log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbors import nearest_others
from scipy.stats import ortho_group

from scarches_plus.metrics import batch_entropy


def example(n=60, n_batches=3, seed=0):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(n, 4))
    batches = rng.permutation(np.arange(n) % n_batches)
    return embedding + 0.5 * batches[:, None], np.array([f"batch {b}" for b in batches])


def naive(embedding, batches, k):
    """Loop over cells, straight from scArches' eq. 15 (with its minus sign) and 16."""
    entropies = []
    for i, cell in enumerate(embedding):
        others = sorted((float(np.linalg.norm(cell - other)), j) for j, other in enumerate(embedding) if j != i)
        counts = Counter(batches[j] for _, j in others[:k])
        entropies.append(-sum(c / k * log(c / k) for c in counts.values()))
    return np.array(entropies)


@pytest.mark.parametrize("k", [1, 5, 15, 59])
def test_equals_naive(k):
    embedding, batches = example()
    np.testing.assert_allclose(batch_entropy(embedding, batches, k=k), naive(embedding, batches, k), atol=1e-12)


def test_normalized_is_in_units_of_the_maximum():
    embedding, batches = example()
    nats = batch_entropy(embedding, batches)
    np.testing.assert_allclose(batch_entropy(embedding, batches, normalize=True), nats / np.log(3))


@given(seed=st.integers(0, 10**6), n_batches=st.integers(2, 6), k=st.integers(1, 20))
@settings(deadline=None, max_examples=25)
def test_bounds_and_invariances(seed, n_batches, k):
    rng = np.random.default_rng(seed)
    embedding, batches = example(40, n_batches, seed)
    values = batch_entropy(embedding, batches, k=k)
    assert values.shape == (40,)
    assert (values >= 0).all()
    assert (values <= np.log(min(n_batches, k)) + 1e-12).all()

    order = rng.permutation(40)
    np.testing.assert_allclose(batch_entropy(embedding[order], batches[order], k=k), values[order], atol=1e-12)
    turned = 3.5 * embedding @ ortho_group.rvs(4, random_state=seed % 2**31) + rng.normal(size=4)
    np.testing.assert_allclose(batch_entropy(turned, batches, k=k), values, atol=1e-12)
    renamed = pd.Categorical(batches, categories=[*reversed(np.unique(batches)), "without cells"])
    np.testing.assert_allclose(batch_entropy(embedding, renamed, k=k, normalize=True), values / np.log(n_batches))


def test_a_cell_does_not_count_itself_even_among_duplicates():
    embedding = np.repeat(np.random.default_rng(0).normal(size=(20, 3)), 2, axis=0)
    batches = np.tile(["a", "b"], 20)
    np.testing.assert_array_equal(batch_entropy(embedding, batches, k=1), 0.0)
    nearest = nearest_others(embedding, 1).ravel()
    assert (batches[nearest] != batches).all()


def test_some_cells():
    embedding, batches = example()
    every = batch_entropy(embedding, batches)
    np.testing.assert_array_equal(batch_entropy(embedding, batches, cells=[4, 4, 0]), every[[4, 4, 0]])
    np.testing.assert_array_equal(
        batch_entropy(embedding, batches, cells=batches == "batch 1"), every[batches == "batch 1"]
    )


def test_neighbors_known_already():
    embedding, batches = example()
    neighbors = nearest_others(embedding, 30)
    for k in (5, 30):
        expected = batch_entropy(embedding, batches, k=k)
        np.testing.assert_array_equal(batch_entropy(embedding, batches, k=k, neighbors=neighbors), expected)
        some = batch_entropy(embedding, batches, k=k, neighbors=neighbors, cells=[1, 8])
        np.testing.assert_array_equal(some, expected[[1, 8]])


def test_errors():
    embedding, batches = example()
    with pytest.raises(ValueError, match="every cell is of batch 'a'"):
        batch_entropy(embedding, np.full(60, "a"))
    with pytest.raises(ValueError, match=r"one entry for each of the 60 cells; its shape is \(59,\)"):
        batch_entropy(embedding, batches[1:])
    holes = batches.astype(object)
    holes[:2] = None
    with pytest.raises(ValueError, match="batches is missing for 2 of 60 cells"):
        batch_entropy(embedding, holes)
    with pytest.raises(ValueError, match="k=60"):
        batch_entropy(embedding, batches, k=60)
    with pytest.raises(ValueError, match=r"neighbors must have shape \(60, at least k=15\); its shape is \(60, 10\)"):
        batch_entropy(embedding, batches, neighbors=nearest_others(embedding, 10))
    with pytest.raises(ValueError, match="60 of 60 cells as their own neighbour"):
        batch_entropy(embedding, batches, k=2, neighbors=np.arange(60)[:, None] + [0, 1])
    neighbors = nearest_others(embedding, 2)
    neighbors[7, 1] = -1  # as a search leaves it that found fewer
    with pytest.raises(ValueError, match="neighbors has 1 entries outside of 0 to 59"):
        batch_entropy(embedding, batches, k=2, neighbors=neighbors)


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_a_missing_batch_in_a_list_stays_missing(missing):
    embedding, batches = example()
    with pytest.raises(ValueError, match="batches is missing for 1 of 60 cells"):
        batch_entropy(embedding, [missing, *batches[1:]])
    np.testing.assert_array_equal(batch_entropy(embedding, list(batches)), batch_entropy(embedding, batches))

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from scarches_plus.metrics import neighbor_preservation


def example(n=90, noise=0.5, seed=0):
    """Batches of unequal size; the joint embedding is a noisy copy of the separate ones."""
    rng = np.random.default_rng(seed)
    separate = rng.normal(size=(n, 4))
    batches = rng.permutation(np.repeat(["a", "b", "c"], [n // 2, n // 3, n - n // 2 - n // 3]))
    return separate + noise * rng.normal(size=(n, 4)), separate, batches


def neighbor_set(embedding, i, k):
    ranked = sorted((float(np.linalg.norm(embedding[i] - other)), j) for j, other in enumerate(embedding) if j != i)
    return {j for _, j in ranked[:k]}


def naive(embedding, separate, batches, k):
    means = []
    for batch in sorted(set(batches)):
        joint, alone = embedding[batches == batch], separate[batches == batch]
        indices = []
        for i in range(len(joint)):
            left, right = neighbor_set(alone, i, k), neighbor_set(joint, i, k)
            indices.append(len(left & right) / len(left | right))
        means.append(np.mean(indices))
    return np.mean(means)


@pytest.mark.parametrize("k", [1, 5, 12])
def test_equals_naive(k):
    embedding, separate, batches = example()
    value = neighbor_preservation(embedding, separate, batches, k=k)
    assert isinstance(value, float)
    assert value == pytest.approx(naive(embedding, separate, batches, k))


def naive_among_all(embedding, separate, batches, k):
    """Per batch, the graph of its cells alone against the graph of all cells; the mean of the batches' means."""
    means = []
    for batch in sorted(set(batches)):
        rows = np.flatnonzero(batches == batch)
        alone = separate[rows]
        indices = []
        for place, i in enumerate(rows):
            left = {rows[j] for j in neighbor_set(alone, place, k)}
            right = neighbor_set(embedding, i, k)
            indices.append(len(left & right) / len(left | right))
        means.append(np.mean(indices))
    return np.mean(means)


@pytest.mark.parametrize("k", [1, 5, 12])
def test_wording_of_scarches_equals_naive(k):
    embedding, separate, batches = example()
    value = neighbor_preservation(embedding, None, batches, k=k, among="all")
    assert isinstance(value, float)
    assert value == pytest.approx(naive_among_all(embedding, embedding, batches, k))
    of_two = neighbor_preservation(embedding, separate, batches, k=k, among="all")
    assert of_two == pytest.approx(naive_among_all(embedding, separate, batches, k))
    mapping = {name: separate[batches == name] for name in "abc"}
    assert neighbor_preservation(embedding, mapping, batches, k=k, among="all") == of_two


def test_wording_of_scarches_counts_neighbours_of_the_own_batch():
    """Closed form: with m of k neighbours of the own batch, the index is m / (2 k - m), whatever the structure."""
    embedding, _, batches = example()
    k = 8
    own = [sum(batches[j] == batches[i] for j in neighbor_set(embedding, i, k)) for i in range(len(batches))]
    index = np.array([m / (2 * k - m) for m in own])
    expected = np.mean([index[batches == batch].mean() for batch in "abc"])
    assert neighbor_preservation(embedding, batches=batches, k=k, among="all") == pytest.approx(expected)


@pytest.mark.parametrize("n_batches", [2, 3])
def test_wording_of_scarches_from_apart_to_mixed(n_batches):
    rng = np.random.default_rng(0)
    batches = np.arange(1200) % n_batches
    mixed = rng.normal(size=(1200, 2))
    value = neighbor_preservation(mixed, None, batches, k=60, among="all")
    assert value == pytest.approx(1 / (2 * n_batches - 1), abs=0.02)
    assert neighbor_preservation(mixed + 50 * batches[:, None], None, batches, k=60, among="all") == 1


def test_separate_embeddings_of_other_dimensions():
    embedding, separate, batches = example()
    rng = np.random.default_rng(1)
    mapping = {name: separate[batches == name] for name in "abc"}
    assert neighbor_preservation(embedding, mapping, batches, k=5) == neighbor_preservation(
        embedding, separate, batches, k=5
    )
    mapping["b"] = np.hstack([mapping["b"], np.zeros((30, 3))])
    mapping["c"] = rng.normal(size=(15, 2))
    value = neighbor_preservation(embedding, mapping, batches, k=5)
    assert 0 < value < neighbor_preservation(embedding, separate, batches, k=5)


def test_all_cells_are_one_batch_by_default():
    embedding, separate, _ = example()
    expected = naive(embedding, separate, np.zeros(90), 15)
    assert neighbor_preservation(embedding, separate) == pytest.approx(expected)


def test_chance_level():
    rng = np.random.default_rng(0)
    value = neighbor_preservation(rng.normal(size=(2000, 5)), rng.normal(size=(2000, 5)), k=20)
    assert value == pytest.approx(20 / (2 * 2000), rel=0.2)


@given(seed=st.integers(0, 10**6), k=st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_bounds_and_invariances(seed, k):
    rng = np.random.default_rng(seed)
    embedding, separate, batches = example(45, seed=seed)
    value = neighbor_preservation(embedding, separate, batches, k=k)
    assert 0 <= value <= 1
    assert neighbor_preservation(separate, embedding, batches, k=k) == pytest.approx(value)
    order = rng.permutation(45)
    assert neighbor_preservation(embedding[order], separate[order], batches[order], k=k) == pytest.approx(value)
    turned = 0.1 * embedding @ ortho_group.rvs(4, random_state=seed % 2**31) + rng.normal(size=4)
    assert neighbor_preservation(turned, separate, batches, k=k) == pytest.approx(value)
    moved = separate + 50.0 * (batches == "a")[:, None]  # batches move against each other
    assert neighbor_preservation(moved, separate, batches, k=k) == pytest.approx(1)


@pytest.mark.parametrize("copies", [2, 7])
def test_an_embedding_keeps_its_own_neighborhoods_with_duplicates(copies):
    embedding = np.repeat(np.random.default_rng(0).normal(size=(10, 3)), copies, axis=0)
    assert neighbor_preservation(embedding, embedding.copy(), k=5) == 1


def test_errors():
    embedding, separate, batches = example()
    with pytest.raises(ValueError, match=r"k=15 .* too small: 'c' \(15\)"):
        neighbor_preservation(embedding, separate, batches, k=15)
    with pytest.raises(ValueError, match="separate has 89 rows and embedding 90"):
        neighbor_preservation(embedding, separate[1:], batches, k=5)
    mapping = {name: separate[batches == name] for name in "abc"}
    with pytest.raises(ValueError, match="separate has 44 rows of batch 'a' and embedding 45"):
        neighbor_preservation(embedding, {**mapping, "a": mapping["a"][1:]}, batches, k=5)
    del mapping["b"]
    with pytest.raises(KeyError, match="no embedding of batch 'b'"):
        neighbor_preservation(embedding, mapping, batches, k=5)
    with pytest.raises(ValueError, match="NaN"):
        neighbor_preservation(embedding, np.full_like(separate, np.nan), batches, k=5)
    with pytest.raises(ValueError, match="batches must have one entry"):
        neighbor_preservation(embedding, separate, batches[1:], k=5)
    for options in ({}, {"batches": batches}, {"among": "all"}):
        with pytest.raises(ValueError, match="compared with themselves"):
            neighbor_preservation(embedding, k=5, **options)
    with pytest.raises(ValueError, match="among must be one of"):
        neighbor_preservation(embedding, separate, batches, k=5, among="both")
    with pytest.raises(ValueError, match="k must be at least 1"):
        neighbor_preservation(embedding, separate, batches, k=0)

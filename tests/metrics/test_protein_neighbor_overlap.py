import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbors import nearest_others
from scipy.sparse import csr_matrix

from scarches_plus.metrics import neighbor_preservation, protein_neighbor_overlap


def example(n=80, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(n, 4))
    return embedding, embedding[:, :3] + noise * rng.normal(size=(n, 3))


def neighbor_set(values, i, k):
    ranked = sorted((float(np.linalg.norm(values[i] - other)), j) for j, other in enumerate(values) if j != i)
    return {j for _, j in ranked[:k]}


def naive(embedding, proteins, k):
    indices = []
    for i in range(len(embedding)):
        left, right = neighbor_set(embedding, i, k), neighbor_set(proteins, i, k)
        indices.append(len(left & right) / len(left | right))
    return np.mean(indices)


@pytest.mark.parametrize("k", [1, 5, 50])
def test_equals_naive(k):
    embedding, proteins = example()
    value = protein_neighbor_overlap(embedding, proteins, k=k)
    assert isinstance(value, float)
    assert value == pytest.approx(naive(embedding, proteins, k))
    assert value == pytest.approx(neighbor_preservation(embedding, proteins, k=k))


def test_extremes():
    embedding, proteins = example()
    assert protein_neighbor_overlap(3 * proteins + 1, proteins) == 1
    assert protein_neighbor_overlap(embedding, proteins, k=79) == 1
    rng = np.random.default_rng(1)
    proteins = rng.normal(size=(2000, 3))
    for bad in (rng.normal(size=(2000, 4)), 1e-9 * rng.normal(size=(2000, 4))):
        assert protein_neighbor_overlap(bad, proteins, k=20) == pytest.approx(20 / (2 * 2000), rel=0.2)
    assert protein_neighbor_overlap(np.zeros((2000, 4)), proteins, k=20) < 0.02


@given(seed=st.integers(0, 10**6), k=st.integers(1, 20))
@settings(deadline=None, max_examples=20)
def test_bounds_and_invariances(seed, k):
    embedding, proteins = example(40, seed=seed)
    value = protein_neighbor_overlap(embedding, proteins, k=k)
    assert 0 <= value <= 1
    assert protein_neighbor_overlap(proteins, embedding, k=k) == pytest.approx(value)
    order = np.random.default_rng(seed).permutation(40)
    assert protein_neighbor_overlap(embedding[order], proteins[order], k=k) == pytest.approx(value)
    assert protein_neighbor_overlap(embedding, 7 * proteins[:, ::-1], k=k) == pytest.approx(value)


def test_neighbors_known_already():
    embedding, proteins = example()
    near, by_protein = nearest_others(embedding, 30), nearest_others(proteins, 30)
    expected = protein_neighbor_overlap(embedding, proteins, k=10)
    for known in ({"neighbors": near}, {"protein_neighbors": by_protein}):
        assert protein_neighbor_overlap(embedding, proteins, k=10, **known) == expected
    swapped = protein_neighbor_overlap(embedding, proteins, k=10, neighbors=by_protein, protein_neighbors=by_protein)
    assert swapped == 1


def test_proteins_may_be_sparse():
    embedding, proteins = example()
    proteins = proteins.round().clip(0)
    assert protein_neighbor_overlap(embedding, csr_matrix(proteins)) == protein_neighbor_overlap(embedding, proteins)


def test_errors():
    embedding, proteins = example()
    with pytest.raises(ValueError, match="proteins has 79 rows and embedding 80"):
        protein_neighbor_overlap(embedding, proteins[1:])
    with pytest.raises(ValueError, match="k=80"):
        protein_neighbor_overlap(embedding, proteins, k=80)
    own = np.arange(80)[:, None]
    for name in ("neighbors", "protein_neighbors"):
        with pytest.raises(ValueError, match="as their own neighbour"):
            protein_neighbor_overlap(embedding, proteins, k=1, **{name: own})
    proteins[7, 0] = np.nan
    with pytest.raises(ValueError, match="missing or infinite values in 1 of 80 cells"):
        protein_neighbor_overlap(embedding, proteins)

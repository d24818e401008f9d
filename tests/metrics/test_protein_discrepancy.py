import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbors import nearest_others
from scipy.sparse import csr_matrix

from scarches_plus.metrics import protein_discrepancy


def example(n=80, noise=0.3, seed=0):
    """The proteins are a noisy view of the first axes of the embedding."""
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(n, 4))
    return embedding, 3 * embedding[:, :3] + noise * rng.normal(size=(n, 3)) + 10


def naive(embedding, proteins, k):
    total = 0.0
    for i, cell in enumerate(embedding):
        others = sorted((float(np.linalg.norm(cell - other)), j) for j, other in enumerate(embedding) if j != i)
        mean = sum(proteins[j] for _, j in others[:k]) / k
        total += sum((x - m) ** 2 for x, m in zip(proteins[i], mean, strict=True))
    return total / len(embedding)


@pytest.mark.parametrize("k", [1, 5, 50, 79])
def test_equals_naive(k):
    embedding, proteins = example()
    value = protein_discrepancy(embedding, proteins, k=k)
    assert isinstance(value, float)
    assert value == pytest.approx(naive(embedding, proteins, k))


def test_all_cells_as_neighbors_give_the_variance():
    """With all others as neighbours the difference is n / (n - 1) times that from the mean."""
    embedding, proteins = example()
    assert protein_discrepancy(embedding, proteins, k=79) == pytest.approx((80 / 79) ** 2 * proteins.var(axis=0).sum())


def test_order_of_embeddings():
    embedding, proteins = example(1000)
    rng = np.random.default_rng(1)
    chance = (1 + 1 / 20) * proteins.var(axis=0).sum()
    assert protein_discrepancy(proteins, proteins, k=20) < protein_discrepancy(embedding, proteins, k=20) < chance / 4
    for bad in (rng.normal(size=(1000, 4)), 1e-9 * rng.normal(size=(1000, 4))):
        assert protein_discrepancy(bad, proteins, k=20) == pytest.approx(chance, rel=0.1)
    assert protein_discrepancy(np.zeros((1000, 4)), proteins, k=20) > 0.9 * proteins.var(axis=0).sum()


@given(seed=st.integers(0, 10**6), k=st.integers(1, 20))
@settings(deadline=None, max_examples=20)
def test_invariances(seed, k):
    embedding, proteins = example(40, seed=seed)
    value = protein_discrepancy(embedding, proteins, k=k)
    order = np.random.default_rng(seed).permutation(40)
    assert protein_discrepancy(embedding[order], proteins[order], k=k) == pytest.approx(value)
    assert protein_discrepancy(embedding, proteins[:, ::-1] + 5, k=k) == pytest.approx(value)
    assert protein_discrepancy(embedding, 2 * proteins, k=k) == pytest.approx(4 * value)
    parts = sum(protein_discrepancy(embedding, proteins[:, [i]], k=k) for i in range(3))
    assert parts == pytest.approx(value)


def test_neighbors_known_already():
    embedding, proteins = example()
    neighbors = nearest_others(embedding, 60)
    for k in (5, 60):
        value = protein_discrepancy(embedding, proteins, k=k, neighbors=neighbors)
        assert value == pytest.approx(protein_discrepancy(embedding, proteins, k=k))


def test_proteins_may_be_sparse():
    embedding, proteins = example()
    proteins = proteins.round().clip(0)
    assert protein_discrepancy(embedding, csr_matrix(proteins)) == protein_discrepancy(embedding, proteins)


def test_errors():
    embedding, proteins = example()
    with pytest.raises(ValueError, match="proteins has 79 rows and embedding 80: give the cells whose proteins were"):
        protein_discrepancy(embedding, proteins[1:])
    with pytest.raises(ValueError, match=r"proteins must have shape \(cells, proteins\)"):
        protein_discrepancy(embedding, proteins[:, 0])
    with pytest.raises(ValueError, match="k=80"):
        protein_discrepancy(embedding, proteins, k=80)
    with pytest.raises(ValueError, match="as their own neighbour"):
        protein_discrepancy(embedding, proteins, k=1, neighbors=np.arange(80)[:, None])
    proteins[7] = np.nan
    with pytest.raises(ValueError, match="missing or infinite values in 1 of 80 cells: remove these cells first"):
        protein_discrepancy(embedding, proteins)

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.mixture import GaussianMixture

from scarches_plus.metrics import scale_proteins


def example(n=600, seed=0):
    """Three proteins with a background and a signal each, at different means."""
    rng = np.random.default_rng(seed)
    positive = rng.random((n, 3)) < [0.5, 0.3, 0.1]
    background, signal = np.array([5.0, 20.0, 2.0]), np.array([50.0, 80.0, 40.0])
    return np.where(positive, signal, background) + rng.normal(size=(n, 3)), positive


def test_equals_the_formula_protein_by_protein():
    counts, _ = example()
    scaled = scale_proteins(counts, seed=3)
    for column in range(3):
        protein = counts[:, [column]]
        first, second = GaussianMixture(2, random_state=3, max_iter=1000).fit(protein).means_.ravel()
        expected = [max(0.0, x - (first + second) / 2) for x in protein.ravel()]
        np.testing.assert_allclose(scaled[:, column], expected)


def test_separated_components_have_known_means():
    counts, positive = example()
    scaled = scale_proteins(counts)
    np.testing.assert_array_equal(scaled > 0, positive)
    for column in range(3):
        on = positive[:, column]
        middle = (counts[on, column].mean() + counts[~on, column].mean()) / 2
        np.testing.assert_allclose(scaled[on, column], counts[on, column] - middle, atol=1e-6)


def test_moves_with_the_counts():
    counts, _ = example()
    scaled = scale_proteins(counts)
    np.testing.assert_allclose(scale_proteins(counts + 100), scaled, atol=1e-6)
    np.testing.assert_allclose(scale_proteins(counts[:, ::-1]), scaled[:, ::-1])
    order = np.random.default_rng(1).permutation(600)
    np.testing.assert_allclose(scale_proteins(counts[order]), scaled[order], atol=1e-6)


def test_same_seed_same_result():
    counts = np.random.default_rng(0).negative_binomial(2, 0.1, size=(400, 2))  # no two clear components
    np.testing.assert_array_equal(scale_proteins(counts), scale_proteins(counts))
    assert (scale_proteins(counts) >= 0).all()


def test_a_constant_protein_is_zero():
    counts, _ = example()
    counts[:, 1] = 7
    scaled = scale_proteins(counts)
    assert not scaled[:, 1].any()
    assert scaled[:, [0, 2]].any()


def test_counts_may_be_sparse():
    counts = np.random.default_rng(0).poisson(2.0, size=(100, 2))
    np.testing.assert_array_equal(scale_proteins(csr_matrix(counts)), scale_proteins(counts))


def test_input_stays():
    counts, _ = example()
    before = counts.copy()
    scale_proteins(counts)
    np.testing.assert_array_equal(counts, before)


def test_errors():
    counts, _ = example()
    for wrong in (counts[:, 0], counts[:1], counts[:, :0]):
        with pytest.raises(ValueError, match=r"counts must have shape \(cells, proteins\)"):
            scale_proteins(wrong)
    counts[:2, 0] = np.nan
    counts[1, 1] = np.inf
    with pytest.raises(ValueError, match="counts has missing or infinite values in 2 of 600 cells: remove"):
        scale_proteins(counts)

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbors import nearest_others

from scarches_plus.metrics import label_purity


def example(n=90, distance=1.0, seed=0):
    """Labels of unequal size, partly overlapping, in shuffled order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(["B", "NK", "T"], [n // 2, n // 3, n - n // 2 - n // 3]))
    centers = {"B": 0.0, "NK": distance, "T": 2 * distance}
    return rng.normal(size=(n, 4)) + np.array([centers[name] for name in labels])[:, None], labels


def naive(embedding, labels, k):
    """Loop over cells, as in the released code of scArches: mean per label."""
    shares = {}
    for i, cell in enumerate(embedding):
        others = sorted((float(np.linalg.norm(cell - other)), j) for j, other in enumerate(embedding) if j != i)
        shares.setdefault(labels[i], []).append(np.mean([labels[j] == labels[i] for _, j in others[:k]]))
    return pd.Series({label: np.mean(values) for label, values in sorted(shares.items())})


@pytest.mark.parametrize("k", [1, 5, 30, 89])
def test_equals_naive(k):
    embedding, labels = example()
    pd.testing.assert_series_equal(
        label_purity(embedding, labels, k=k), naive(embedding, labels, k), check_names=False, check_index_type=False
    )


def test_by_hand():
    embedding = np.array([[0.0], [1.0], [2.1], [10.0], [11.0]])
    purity = label_purity(embedding, ["a", "a", "b", "b", "b"], k=1)
    assert purity.to_dict() == {"a": 1.0, "b": pytest.approx(2 / 3)}
    assert (purity.name, purity.index.name) == ("label_purity", "label")


def test_all_cells_as_neighbors_give_the_share_of_the_label():
    embedding, labels = example()
    purity = label_purity(embedding, labels, k=89)
    for label in "B", "NK", "T":
        assert purity[label] == pytest.approx(((labels == label).sum() - 1) / 89)


def test_one_label_is_pure():
    assert label_purity(example()[0], np.full(90, "T")).to_dict() == {"T": 1.0}


@given(seed=st.integers(0, 10**6), k=st.integers(1, 20))
@settings(deadline=None, max_examples=20)
def test_bounds_and_invariances(seed, k):
    embedding, labels = example(45, seed=seed)
    values = label_purity(embedding, labels, k=k)
    assert ((values >= 0) & (values <= 1)).all()
    order = np.random.default_rng(seed).permutation(45)
    pd.testing.assert_series_equal(label_purity(embedding[order], labels[order], k=k), values)
    codes = np.select([labels == "B", labels == "NK"], [7, 3], 5)
    renamed = label_purity(embedding, codes, k=k)
    assert list(renamed.index) == [3, 5, 7]
    np.testing.assert_allclose(renamed.loc[[7, 3, 5]], values)


def test_order_of_embeddings():
    """Separated labels are pure; a collapsed or random embedding is near the share of the label."""
    apart, labels = example(600, distance=100.0)
    rng = np.random.default_rng(1)
    assert label_purity(apart, labels).eq(1).all()
    for bad in (rng.normal(size=(600, 4)), 1e-9 * rng.normal(size=(600, 4))):
        scores = label_purity(bad, labels)
        np.testing.assert_allclose(scores, [0.5, 1 / 3, 1 / 6], atol=0.05)
    assert label_purity(np.zeros((600, 4)), labels).mean() < 0.6


def test_neighbors_known_already():
    embedding, labels = example()
    neighbors = nearest_others(embedding, 40)
    for k in (5, 40):
        expected = label_purity(embedding, labels, k=k)
        pd.testing.assert_series_equal(label_purity(embedding, labels, k=k, neighbors=neighbors), expected)
        pd.testing.assert_series_equal(label_purity(np.empty((90, 0)), labels, k=k, neighbors=neighbors), expected)


def test_errors():
    embedding, labels = example()
    with pytest.raises(ValueError, match="labels must have one entry for each of the 90 cells"):
        label_purity(embedding, labels[1:])
    holes = labels.astype(object)
    holes[:2] = None
    with pytest.raises(ValueError, match="labels is missing for 2 of 90 cells: remove these cells first"):
        label_purity(embedding, holes)
    with pytest.raises(ValueError, match="k=90"):
        label_purity(embedding, labels, k=90)
    neighbors = nearest_others(embedding, 10)
    with pytest.raises(ValueError, match=r"at least k=30\); its shape is \(90, 10\)"):
        label_purity(embedding, labels, neighbors=neighbors)
    with pytest.raises(ValueError, match="90 of 90 cells as their own neighbour"):
        label_purity(embedding, labels, k=2, neighbors=np.column_stack([np.arange(90), neighbors]))
    for wrong in (-1, 90):
        neighbors[4, 2] = wrong
        with pytest.raises(ValueError, match="1 entries outside of 0 to 89"):
            label_purity(embedding, labels, k=5, neighbors=neighbors)

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbors import nearest_others
from sklearn.metrics import f1_score

from scarches_plus.metrics import isolated_label_score


def example(n=120, distance=1.0, seed=0):
    """a and b live in three batches, c in two, d and the rare e in one."""
    rng = np.random.default_rng(seed)
    labels = np.array(list("abcd"))[np.arange(n) % 4]
    labels[-4:] = "e"
    labels = rng.permutation(labels)
    batches = rng.permutation(np.arange(n) % 3)
    batches[labels == "c"] = np.arange((labels == "c").sum()) % 2
    batches[labels == "d"], batches[labels == "e"] = 2, 1
    place = distance * np.unique(labels, return_inverse=True)[1]
    return rng.normal(size=(n, 3)) + place[:, None], batches, labels


def naive(embedding, labels, label, k):
    taken = []
    for i, cell in enumerate(embedding):
        others = sorted((float(np.linalg.norm(cell - other)), j) for j, other in enumerate(embedding) if j != i)
        n = max(1, min(k, list(labels).count(labels[i]) - 1))
        taken.append(sum(labels[j] == label for _, j in others[:n]) > n / 2)
    return f1_score(labels == label, taken, zero_division=0)


@pytest.mark.parametrize("k", [1, 4, 15])
def test_equals_naive(k):
    embedding, batches, labels = example()
    scores = isolated_label_score(embedding, batches, labels, k=k, max_batches=3)
    assert list(scores.index) == list("abcde")
    for label, score in scores.items():
        assert score == pytest.approx(naive(embedding, labels, label, k))
    assert 0 < scores.mean() < 1


def test_which_labels_are_isolated():
    embedding, batches, labels = example()
    for limit, expected in [(None, "de"), (1, "de"), (2, "cde"), (3, "abcde")]:
        assert list(isolated_label_score(embedding, batches, labels, max_batches=limit).index) == list(expected)
    without = np.isin(labels, list("abc"))
    assert list(isolated_label_score(embedding[without], batches[without], labels[without]).index) == ["c"]


def test_by_hand():
    """Of b, two cells find each other and the third is nearest to a; all three cells of a are nearest to b."""
    embedding = np.array([[0.0], [8.0], [10.0], [11.0], [0.5], [1.2]])
    score = isolated_label_score(embedding, [0, 1, 1, 1, 1, 0], list("aabbba"), k=1)
    assert score.to_dict() == {"b": pytest.approx(2 * 2 / (2 * 2 + 3 + 1))}
    assert (score.name, score.index.name) == ("isolated_label_score", "label")


def test_a_rare_label_can_reach_one():
    embedding, batches, labels = example(distance=100.0)
    assert isolated_label_score(embedding, batches, labels, k=50).to_dict() == {"d": 1.0, "e": 1.0}


def test_order_of_embeddings():
    rng = np.random.default_rng(0)
    embedding, batches, labels = example(600, distance=100.0)
    assert isolated_label_score(embedding, batches, labels).mean() == 1
    for bad in (rng.normal(size=(600, 3)), 1e-9 * rng.normal(size=(600, 3)), np.zeros((600, 3))):
        assert isolated_label_score(bad, batches, labels).mean() < 0.3


def test_a_label_of_one_cell_has_no_score():
    embedding, batches, labels = example()
    labels[np.flatnonzero(labels == "e")[1:]] = "a"
    scores = isolated_label_score(embedding, batches, labels)
    assert np.isnan(scores["e"])
    assert np.isfinite(scores.mean())


def test_one_batch_isolates_all_labels():
    embedding, _, labels = example()
    assert list(isolated_label_score(embedding, np.zeros(120), labels).index) == list("abcde")
    assert isolated_label_score(embedding, np.zeros(120), np.full(120, "a")).to_dict() == {"a": 1.0}


@given(seed=st.integers(0, 10**6), k=st.integers(1, 15))
@settings(deadline=None, max_examples=20)
def test_bounds_and_invariances(seed, k):
    embedding, batches, labels = example(48, seed=seed)
    scores = isolated_label_score(embedding, batches, labels, k=k, max_batches=3)
    assert scores.between(0, 1).all()
    order = np.random.default_rng(seed).permutation(48)
    again = isolated_label_score(embedding[order], batches[order], labels[order], k=k, max_batches=3)
    pd.testing.assert_series_equal(again, scores)
    renamed = isolated_label_score(embedding, -batches, np.char.upper(labels), k=k, max_batches=3)
    np.testing.assert_array_equal(renamed, scores)


def test_neighbors_known_already():
    embedding, batches, labels = example()
    neighbors = nearest_others(embedding, 30)
    value = isolated_label_score(embedding, batches, labels, k=7, neighbors=neighbors)
    pd.testing.assert_series_equal(value, isolated_label_score(embedding, batches, labels, k=7))


def test_errors():
    embedding, batches, labels = example()
    with pytest.raises(ValueError, match="max_batches must be at least 1, not 0"):
        isolated_label_score(embedding, batches, labels, max_batches=0)
    halves = np.resize(["a", "b"], 120)
    with pytest.raises(
        ValueError, match="no label has at most max_batches=1 batches: the fewest that a label has is 3"
    ):
        isolated_label_score(embedding, batches, halves, max_batches=1)
    with pytest.raises(ValueError, match="labels is missing for 120 of 120 cells: remove"):
        isolated_label_score(embedding, batches, np.full(120, None))
    with pytest.raises(ValueError, match="batches must have one entry"):
        isolated_label_score(embedding, batches[1:], labels)
    with pytest.raises(ValueError, match="k=120"):
        isolated_label_score(embedding, batches, labels, k=120)
    with pytest.raises(ValueError, match="as their own neighbour"):
        isolated_label_score(embedding, batches, labels, k=1, neighbors=np.arange(120)[:, None])

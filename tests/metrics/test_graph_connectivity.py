import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbors import nearest_others
from sklearn.neighbors import NearestNeighbors

from scarches_plus.metrics import graph_connectivity


def example(n=90, seed=0):
    """Three labels of unequal size that overlap, so that each falls into pieces at small k."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(["B", "NK", "T"], [n // 2, n // 3, n - n // 2 - n // 3]))
    return rng.normal(size=(n, 2)), labels


def reached(start, edges):
    found, todo = {start}, [start]
    while todo:
        for cell in edges[todo.pop()] - found:
            found.add(cell)
            todo.append(cell)
    return found


def naive(neighbors, labels, directed):
    """Search from every cell; two cells belong together if each reaches the other."""
    shares = {}
    for label in sorted(set(labels)):
        members = np.flatnonzero(labels == label).tolist()
        edges = {i: {j for j in neighbors[i].tolist() if labels[j] == label} for i in members}
        if not directed:
            edges = {i: edges[i] | {j for j in members if i in edges[j]} for i in members}
        reach = {i: reached(i, edges) for i in members}
        shares[label] = max(sum(i in reach[j] for j in reach[i]) for i in members) / len(members)
    return pd.Series(shares)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("k", [1, 3, 6, 15])
def test_equals_naive(k, directed):
    embedding, labels = example()
    expected = naive(nearest_others(embedding, k), labels, directed)
    value = graph_connectivity(embedding, labels, k=k, directed=directed)
    pd.testing.assert_series_equal(value, expected, check_names=False, check_index_type=False)


@pytest.mark.parametrize("k", [2, 5, 14])
def test_equals_scib_metrics(k):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from scib_metrics import graph_connectivity as theirs
        from scib_metrics.nearest_neighbors import NeighborsResults
    embedding, labels = example(400)
    distances, indices = NearestNeighbors(n_neighbors=k).fit(embedding).kneighbors()
    own = np.arange(400)[:, None]
    with_self = NeighborsResults(
        indices=np.hstack([own, indices]), distances=np.hstack([np.zeros_like(own), distances])
    )
    value = graph_connectivity(embedding, labels, k=k, directed=True, neighbors=indices).mean()
    assert value == pytest.approx(theirs(with_self, labels))
    assert value < 1


def test_a_chain_hangs_together_only_without_directions():
    """0 - 1 - 2 at growing distances: each cell's nearest is to its left."""
    embedding = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert graph_connectivity(embedding, list("aaaa"), k=1).to_dict() == {"a": 1.0}
    assert graph_connectivity(embedding, list("aaaa"), k=1, directed=True).to_dict() == {"a": 0.5}


def test_two_islands():
    embedding = np.concatenate([np.arange(6.0), 100 + np.arange(4.0), 200 + np.arange(5.0)])[:, None]
    labels = np.repeat(["a", "b"], [10, 5])
    value = graph_connectivity(embedding, labels, k=2)
    assert value.to_dict() == {"a": 0.6, "b": 1.0}
    assert (value.name, value.index.name) == ("graph_connectivity", "label")


@given(seed=st.integers(0, 10**6), k=st.integers(1, 10), directed=st.booleans())
@settings(deadline=None, max_examples=20)
def test_bounds_and_invariances(seed, k, directed):
    embedding, labels = example(45, seed)
    values = graph_connectivity(embedding, labels, k=k, directed=directed)
    assert (values * pd.Series(labels).value_counts() >= 1 - 1e-9).all()
    assert (values <= 1).all()
    assert (values <= graph_connectivity(embedding, labels, k=k + 5, directed=directed)).all()
    assert (values <= graph_connectivity(embedding, labels, k=k)).all()
    order = np.random.default_rng(seed).permutation(45)
    again = graph_connectivity(embedding[order], labels[order], k=k, directed=directed)
    pd.testing.assert_series_equal(again, values)
    renamed = graph_connectivity(embedding, np.char.add("z", np.char.lower(labels)), k=k, directed=directed)
    np.testing.assert_array_equal(renamed, values)


def test_order_of_embeddings():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(600) % 30)
    apart = rng.normal(size=(600, 4)) + 100 * rng.normal(size=(30, 4))[labels]
    assert graph_connectivity(apart, labels).eq(1).all()
    for bad in (rng.normal(size=(600, 4)), 1e-9 * rng.normal(size=(600, 4)), np.zeros((600, 4))):
        assert graph_connectivity(bad, labels, k=5).mean() < 0.5


def test_labels_of_one_cell_and_one_label():
    embedding, _ = example()
    assert graph_connectivity(embedding, np.arange(90)).eq(1).all()
    assert graph_connectivity(embedding, np.zeros(90)).to_dict() == {0: 1.0}


def test_neighbors_known_already():
    embedding, labels = example()
    neighbors = nearest_others(embedding, 20)
    for k in (3, 20):
        value = graph_connectivity(embedding, labels, k=k, neighbors=neighbors)
        pd.testing.assert_series_equal(value, graph_connectivity(embedding, labels, k=k))


def test_errors():
    embedding, labels = example()
    with pytest.raises(ValueError, match="labels must have one entry"):
        graph_connectivity(embedding, labels[1:])
    with pytest.raises(ValueError, match="labels is missing for 90 of 90 cells: remove"):
        graph_connectivity(embedding, np.full(90, np.nan))
    with pytest.raises(ValueError, match="k=90"):
        graph_connectivity(embedding, labels, k=90)
    with pytest.raises(ValueError, match="90 of 90 cells as their own neighbour"):
        graph_connectivity(embedding, labels, k=1, neighbors=np.arange(90)[:, None])

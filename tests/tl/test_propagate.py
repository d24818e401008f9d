"""Label propagation equals the printed rule, written as loops."""

from collections import Counter

import igraph
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import kneighbors_graph

from scarches_plus.tl._groups._propagate import _connected, by_size, majority, propagate, symmetric_graph


def random_graph(n, density, seed):
    upper = sparse.triu(sparse.random(n, n, density, random_state=seed), k=1)
    graph = sparse.csr_matrix(upper + upper.T)
    graph.data[:] = 1
    return graph


def neighbor_graph(z, k):
    indices = kneighbors_graph(z, k, include_self=False).indices.reshape(len(z), k)
    return symmetric_graph(indices)


def cliques(sizes):
    return sparse.csr_matrix(sparse.block_diag([sparse.csr_matrix(np.ones((n, n)) - np.eye(n)) for n in sizes]))


def naive_best(graph, labels, node):
    """The labels that most neighbours of a node have."""
    votes = Counter(labels[j] for j in graph.indices[graph.indptr[node] : graph.indptr[node + 1]])
    most = max(votes.values(), default=0)
    return {label for label, n in votes.items() if n == most}


def same_partition(a, b):
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


def test_the_graph_joins_cells_that_either_calls_near():
    z = np.random.default_rng(0).normal(size=(60, 3))
    theirs = kneighbors_graph(z, 5, include_self=False).toarray()
    np.testing.assert_array_equal(neighbor_graph(z, 5).toarray(), np.maximum(theirs, theirs.T))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 25), density=st.floats(0, 0.6), seed=st.integers(0, 999))
def test_majority_equals_a_loop(n, density, seed):
    rng = np.random.default_rng(seed)
    graph, labels = random_graph(n, density, seed), rng.integers(0, 4, n)
    belongs = sparse.csr_matrix((np.ones(n), (np.arange(n), labels)), shape=(n, 4))
    new = majority(graph @ belongs, labels, rng)
    for node in range(n):
        best = naive_best(graph, labels, node)
        assert new[node] == labels[node] if not best or labels[node] in best else new[node] in best


def test_ties_are_broken_evenly():
    votes = sparse.csr_matrix(np.tile([2, 1, 2, 2, 0], (3000, 1)))
    new = majority(votes, np.full(3000, 4), np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(new, minlength=5) / 3000, [1 / 3, 0, 1 / 3, 1 / 3, 0], atol=0.04)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 80), density=st.floats(0, 0.3), seed=st.integers(0, 999))
def test_ends_in_a_fixed_point_of_connected_communities(n, density, seed):
    graph = random_graph(n, density, seed)
    found = propagate(graph, max_sweeps=500, rng=seed)
    assert found.converged
    for node in range(n):
        best = naive_best(graph, found.labels, node)
        assert not best or found.labels[node] in best
    for label in np.unique(found.labels):
        rows = np.flatnonzero(found.labels == label)
        assert connected_components(graph[rows][:, rows], directed=False)[0] == 1


def test_communities_that_fell_apart_are_split():
    path = sparse.csr_matrix(np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1))
    np.testing.assert_array_equal(by_size(_connected(path, np.array([7, 7, 2, 7, 7]))), [0, 0, 2, 1, 1])


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6), seed=st.integers(0, 999))
def test_islands_are_the_communities_in_any_order_of_nodes(sizes, seed):
    truth = np.repeat(np.arange(len(sizes)), sizes)
    order = np.random.default_rng(seed).permutation(len(truth))
    graph = cliques(sizes)[order][:, order]
    assert same_partition(propagate(graph, max_sweeps=100, rng=seed).labels, truth[order])


@pytest.mark.parametrize("seed", range(3))
def test_finds_what_igraph_finds_where_types_are_apart(seed):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(5), 80)
    graph = neighbor_graph(8 * np.eye(5)[truth] + rng.normal(size=(400, 5)), 30)
    theirs = igraph.Graph.Weighted_Adjacency(sparse.triu(graph), mode="undirected").community_label_propagation()
    ours = propagate(graph, max_sweeps=100, rng=seed)
    assert ours.converged
    assert adjusted_rand_score(ours.labels, truth) == 1
    assert adjusted_rand_score(ours.labels, theirs.membership) == 1


def test_joins_cells_of_one_cloud_as_igraph_does():
    """Where no truth is sharp the number of communities is the method's own: a handful, not one per cell."""
    graph = neighbor_graph(np.random.default_rng(0).normal(size=(600, 5)), 30)
    ours = propagate(graph, max_sweeps=200, rng=0)
    theirs = igraph.Graph.Weighted_Adjacency(sparse.triu(graph), mode="undirected").community_label_propagation()
    assert ours.labels.max() < 5
    assert max(theirs.membership) < 5


def test_a_seed_repeats_and_seeds_differ():
    graph = random_graph(150, 0.02, 0)
    first, again = (propagate(graph, max_sweeps=100, rng=1).labels for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert any(not same_partition(first, propagate(graph, max_sweeps=100, rng=seed).labels) for seed in range(2, 6))


def test_says_when_it_is_not_done():
    graph = random_graph(300, 0.05, 0)
    assert not propagate(graph, max_sweeps=1).converged
    assert propagate(graph, max_sweeps=1).sweeps == 1
    done = propagate(graph, max_sweeps=500)
    assert done.converged
    assert 1 < done.sweeps < 500
    exact = propagate(graph, max_sweeps=done.sweeps)
    assert exact.converged
    np.testing.assert_array_equal(exact.labels, done.labels)


def test_the_graph_is_left_alone():
    graph = random_graph(50, 0.2, 0)
    before = graph.copy()
    propagate(graph, max_sweeps=10)
    assert (graph != before).nnz == 0


@settings(max_examples=40, deadline=None)
@given(labels=st.lists(st.integers(-3, 5), min_size=1, max_size=30))
def test_by_size(labels):
    new = by_size(labels)
    assert same_partition(np.array(labels), new)
    counts = np.bincount(new)
    assert (np.diff(counts) <= 0).all()
    firsts = [int(np.flatnonzero(new == i)[0]) for i in range(len(counts))]
    assert all(firsts[i] < firsts[i + 1] for i in range(len(counts) - 1) if counts[i] == counts[i + 1])

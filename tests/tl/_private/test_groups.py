"""What is computed of groups of cells and of their graphs: compositions, sums, label propagation, UMAP, Welch's t."""

from collections import Counter

import anndata
import igraph
import numpy as np
import pytest
import scanpy as sc
import scipy.stats
import torch
import umap
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse, stats
from scipy.sparse.csgraph import connected_components
from scipy.stats import ttest_ind, ttest_ind_from_stats
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.neighbors import kneighbors_graph

import scarches_plus as sp
from scarches_plus._label_profiles import FLOOR, on_genes
from scarches_plus.tl._groups._composition import draw_centers, draw_compositions, draw_counts
from scarches_plus.tl._groups._expression_sums import grouped_sums, log_normalized
from scarches_plus.tl._groups._propagate import _connected, by_size, majority, propagate, symmetric_graph
from scarches_plus.tl._groups._welch import mean_and_variance, welch
from scarches_plus.tl._novelty._evidence import expected_agreement, weigh
from scarches_plus.tl._novelty._examples import Examples, correlations, matched, refined
from scarches_plus.tl._novelty._gene_weights import gene_weights, informative, usual_batch_variance
from scarches_plus.tl._novelty._pools import cluster_logs, pooled
from scarches_plus.tl._novelty._verdict import ALPHAS, novelty, query_shift, threshold
from scarches_plus.tl._placement._fuzzy_graph import fuzzy_edges, unit_of
from scarches_plus.tl._placement._train_encoder import cross_entropy

# --- composition ---


N_DRAWS = 20_000


def uncertain(n_cells, n_labels, rng):
    return rng.dirichlet(np.full(n_labels, 0.5), n_cells)


def test_counts_have_the_moments_of_independent_cells():
    rng = np.random.default_rng(0)
    posterior = uncertain(12, 3, rng)
    posterior[:4] = np.eye(3)[[0, 1, 1, 2]]
    samples = np.arange(12) % 2
    counts = draw_counts(posterior, samples, 2, N_DRAWS, rng)
    assert counts.shape == (N_DRAWS, 2, 3)
    for sample in range(2):
        p = posterior[samples == sample]
        np.testing.assert_array_equal(counts[:, sample].sum(axis=1), len(p))
        np.testing.assert_allclose(counts[:, sample].mean(axis=0), p.sum(axis=0), atol=0.05)
        covariance = np.diag(p.sum(axis=0)) - p.T @ p  # sum of the covariances of one-hot draws
        np.testing.assert_allclose(np.cov(counts[:, sample].T), covariance, atol=0.05)


def test_each_cell_follows_its_probabilities():
    rng = np.random.default_rng(1)
    posterior = uncertain(5, 4, rng)
    posterior[0] = [0.0, 0.7, 0.0, 0.3]  # labels that cannot be never are
    counts = draw_counts(posterior, np.arange(5), 5, N_DRAWS, rng)
    assert not counts[:, 0, [0, 2]].any()
    np.testing.assert_allclose(counts.mean(axis=0), posterior, atol=0.02)


def test_certain_labels_are_counted():
    codes = np.random.default_rng(2).integers(0, 4, 50)
    counts = draw_counts(np.eye(4)[codes], codes % 2, 2, 3, np.random.default_rng(0))
    for sample in range(2):
        expected = np.bincount(codes[codes % 2 == sample], minlength=4)
        np.testing.assert_array_equal(counts[:, sample], np.tile(expected, (3, 1)))


def test_compositions_of_certain_labels_are_dirichlet():
    alpha = np.array([3.0, 0.0, 40.0, 7.0]) + 0.5
    draws = draw_compositions(np.tile(alpha - 0.5, (N_DRAWS, 1)), 0.5, np.random.default_rng(0))
    for label, column in enumerate(draws.T):
        beta = stats.beta(alpha[label], alpha.sum() - alpha[label])
        assert stats.kstest(column, beta.cdf).pvalue > 0.01
    expected = stats.dirichlet(alpha).cov()
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=3e-4)


def test_centers_are_students_t_in_log_ratios():
    counts = np.random.default_rng(0).poisson(50, (1, 4, 3)).astype(float)
    draws = draw_centers(np.repeat(counts, N_DRAWS, axis=0), 0.5, np.random.default_rng(1))
    np.testing.assert_allclose(draws.sum(axis=1), 1)
    logs = np.log(counts[0] + 0.5)
    for one, other in ((0, 1), (2, 0)):
        ratios = logs[:, one] - logs[:, other]
        expected = stats.t(3, ratios.mean(), stats.sem(ratios))
        assert stats.kstest(np.log(draws[:, one] / draws[:, other]), expected.cdf).pvalue > 0.01


def covers(draws, truth, level=0.9):
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return (low <= truth) & (truth <= high)


def test_intervals_of_counts_hold_the_true_counts():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(200):
        posterior = uncertain(60, 3, rng)
        truth = (posterior.cumsum(axis=1) > rng.random((60, 1))).argmax(axis=1)
        counts = draw_counts(posterior, np.zeros(60, dtype=int), 1, 400, rng)[:, 0]
        held.append(covers(counts, np.bincount(truth, minlength=3)))
    assert 0.88 < np.mean(held) < 0.96  # whole numbers: never less than asked for


@pytest.mark.parametrize("n_cells", [40, 400])
def test_intervals_of_proportions_hold_the_true_ones(n_cells):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        truth = rng.dirichlet([4.0, 4.0, 4.0])
        counts = np.tile(rng.multinomial(n_cells, truth), (400, 1))
        held.append(covers(draw_compositions(counts, 0.5, rng), truth))
    assert abs(np.mean(held) - 0.9) < 0.03


@pytest.mark.parametrize("n_samples", [3, 8])
def test_intervals_of_centers_hold_the_true_one_though_samples_vary_and_labels_are_uncertain(n_samples):
    rng = np.random.default_rng(0)
    center = np.array([0.5, 0.3, 0.2])
    held = []
    for _ in range(300):
        shifted = np.log(center) + rng.normal(scale=0.5, size=(n_samples, 3))
        compositions = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        truth = np.concatenate([rng.choice(3, 60, p=composition) for composition in compositions])
        samples = np.repeat(np.arange(n_samples), 60)
        posterior = 0.9 * np.eye(3)[truth] + 0.1 * center
        logs = draw_centers(draw_counts(posterior, samples, n_samples, 400, rng), 0.5, rng)
        held.append(covers(np.log(logs[:, 0] / logs[:, 1]), np.log(center[0] / center[1])))
    assert abs(np.mean(held) - 0.9) < 0.06


# --- Normalised expression and its sums equal dense numpy, and scanpy ---


def blocks_of(counts, rows):
    return [counts[start : start + rows] for start in range(0, counts.shape[0], rows)]


@pytest.mark.filterwarnings("ignore:Some cells have zero counts")
@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_normalisation_is_scanpy_s(convert, dtype):
    X = np.random.default_rng(0).poisson(0.5, (40, 12)).astype(dtype)
    X[3] = 0
    theirs = anndata.AnnData(X.astype(np.float64))
    sc.pp.normalize_total(theirs, target_sum=1e4)
    sc.pp.log1p(theirs)
    counts = convert(X)
    ours = sparse.vstack(list(log_normalized([counts[:25], counts[25:]])))
    np.testing.assert_allclose(ours.toarray(), theirs.X, rtol=1e-6)
    np.testing.assert_array_equal(counts.toarray() if sparse.issparse(counts) else counts, X)  # left alone


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 30), rows=st.integers(1, 31), seed=st.integers(0, 999), dense=st.booleans())
def test_grouped_sums_equal_a_loop(n, rows, seed, dense):
    rng = np.random.default_rng(seed)
    X, codes = rng.poisson(1.0, (n, 5)), rng.integers(-1, 3, n)
    blocks = blocks_of(X if dense else sparse.csr_matrix(X), rows)
    sums, squares = grouped_sums(blocks, codes, 3, 5)
    for group in range(3):
        np.testing.assert_allclose(sums[group], X[codes == group].sum(axis=0))
        np.testing.assert_allclose(squares[group], (X[codes == group] ** 2).sum(axis=0))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_values_that_are_no_counts(bad):
    with pytest.raises(ValueError, match="raw counts with `layer=`"):
        list(log_normalized([np.ones((2, 2)), np.array([[1.0, bad]])]))


# --- Label propagation equals the printed rule, written as loops ---


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


# --- Means, variances and Welch's t equal numpy and scipy, gene by gene ---


values = arrays(np.float64, st.tuples(st.integers(2, 8), st.just(4)), elements=st.integers(0, 40).map(lambda x: x / 8))


def moments(cells):
    n = np.array([len(cells)])
    mean, variance = mean_and_variance(cells.sum(0, keepdims=True), (cells**2).sum(0, keepdims=True), n)
    return mean[0], variance[0], n


@settings(max_examples=60, deadline=None)
@given(cells=values)
def test_mean_and_variance(cells):
    mean, variance, _ = moments(cells)
    np.testing.assert_allclose(mean, cells.mean(0))
    np.testing.assert_allclose(variance, cells.var(0, ddof=1), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(first=values, second=values, factor=st.sampled_from([1.0, 10.0]))
def test_equals_scipy_from_the_same_statistics(first, second, factor):
    (m, v, n), (m0, v0, n0) = moments(first), moments(second)
    t, p = welch((m, v, n), (m0, factor**2 * v0, n0))
    for gene in range(4):
        s, s0 = first[:, gene].std(ddof=1), second[:, gene].std(ddof=1)
        if s == s0 == 0:
            assert (t[gene], p[gene]) == (0, 1)
            continue
        theirs = ttest_ind_from_stats(m[gene], s, len(first), m0[gene], factor * s0, len(second), equal_var=False)
        np.testing.assert_allclose([t[gene], p[gene]], [theirs.statistic, theirs.pvalue], rtol=1e-6, atol=1e-12)


def test_equals_scipy_from_the_same_cells():
    rng = np.random.default_rng(0)
    first, second = rng.normal(1, 2, (30, 4)), rng.normal(0, 1, (50, 4))
    t, p = welch(moments(first), moments(second))
    theirs = ttest_ind(first, second, equal_var=False)
    np.testing.assert_allclose(t, theirs.statistic)
    np.testing.assert_allclose(p, theirs.pvalue)


def test_the_variance_of_a_constant_is_zero_despite_rounding():
    cells = np.full((7, 4), np.log1p(1e4 / 3))
    assert cells.var(0, ddof=1).max() < 1e-20
    np.testing.assert_array_equal(moments(cells)[1], 0)


def test_one_cell_has_no_variance():
    assert np.isnan(moments(np.ones((1, 4)))[1]).all()


def test_antisymmetric():
    rng = np.random.default_rng(0)
    first, second = moments(rng.random((9, 4))), moments(rng.random((5, 4)))
    t, p = welch(first, second)
    back = welch(second, first)
    np.testing.assert_allclose(t, -back[0])
    np.testing.assert_allclose(p, back[1])


# --- Novelty ---


def test_pools_are_sums_over_neighbours():
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (60, 30)).astype(np.float32)
    cells = pooled(sparse.csr_matrix(counts))
    some = cells.on_genes(np.array([2, 5, 7]))
    for cell in (3, 40):
        total = counts[[cell, *cells.neighbors.indices[cell]]].sum(axis=0)
        expected = np.log(total / total.sum() + FLOOR)
        np.testing.assert_allclose(cells.logs(np.array([cell]))[0], expected, rtol=1e-5)
        np.testing.assert_allclose(some.logs(np.array([cell]))[0], expected[[2, 5, 7]], rtol=1e-5)
    values = rng.normal(size=60)
    distances = cells.neighbors.distances[7]
    weights = np.exp(-0.5 * (np.r_[0, distances] / distances[4]) ** 2 / 2)
    expected = np.average(values[[7, *cells.neighbors.indices[7]]], weights=weights)
    np.testing.assert_allclose(cells.smooth(values)[7], expected)


def test_clusters_are_means_of_shares():
    rng = np.random.default_rng(0)
    counts = np.concatenate([rng.poisson(rng.gamma(1, 2, 30), (50, 30)) for _ in range(3)]).astype(np.float32)
    logs, sizes = cluster_logs(pooled(sparse.csr_matrix(counts)), 0)
    assert sizes.sum() == 150
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(sizes @ (np.exp(logs) - FLOOR), shares.sum(axis=0), rtol=1e-4)


def test_weights_of_genes_are_the_printed_equation():
    rng = np.random.default_rng(0)
    profiles, batch, within = rng.normal(size=(5, 40)), rng.random(40), rng.random(40)
    between = profiles.var(axis=0, ddof=1)
    expected = between / (between + 2 * batch + 0.05 * within) / np.sqrt(batch + within + 0.02)
    weights = gene_weights(profiles, batch, within)
    np.testing.assert_allclose(weights, expected)
    assert set(informative(profiles, weights, 7)) == set(np.argsort(expected * profiles.std(axis=0))[-7:])
    assert (gene_weights(np.ones((3, 4)), np.zeros(4), np.zeros(4)) == 0).all()


def test_a_reference_of_one_batch_trusts_genes_that_vary_within_labels_less():
    rng = np.random.default_rng(0)
    profiles, within = rng.normal(size=(5, 40)), np.r_[np.full(20, 0.1), np.full(20, 10.0)]
    assert (usual_batch_variance(within) > 0).all()
    known, unknown = (gene_weights(profiles, one, within) for one in (np.zeros(40), usual_batch_variance(within)))
    assert (unknown < known).all()
    assert (unknown / known)[20:].max() < (unknown / known)[:20].max()


def test_correlations_are_pearsons():
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(size=(5, 20)), rng.normal(size=(3, 20))
    expected = [[scipy.stats.pearsonr(row, column)[0] for column in columns] for row in rows]
    np.testing.assert_allclose(correlations(rows, columns), expected)
    assert (correlations(np.ones((2, 20)), columns) == 0).all()


def types(seed, n_each=40, n_types=4, n_genes=120):
    rng = np.random.default_rng(seed)
    profiles = rng.normal(size=(n_types, n_genes))
    label = np.repeat(np.arange(n_types), n_each)
    return profiles, label, profiles[label] + 0.5 * rng.normal(size=(len(label), n_genes)), rng


def test_agreement_is_the_correlation_of_contrasts_with_the_other_labels_centre():
    rng = np.random.default_rng(0)
    profiles, examples, rows = rng.normal(size=(4, 50)), rng.normal(size=(4, 50)) + 3, rng.normal(size=(6, 50)) + 3
    trust, weights = np.array([0.5, 0.0, 0.2, 0.8]), rng.random(50)
    found = Examples(profiles, examples, trust, weights).agreement(rows)
    for label in range(4):
        others = [one for one in range(4) if one != label]
        here = np.average(examples[others], axis=0, weights=trust[others])
        there = np.average(profiles[others], axis=0, weights=trust[others])
        for row in range(6):
            naive = scipy.stats.pearsonr((rows[row] - here) * weights, (profiles[label] - there) * weights)[0]
            np.testing.assert_allclose(found[row, label], naive)
    alone = Examples(profiles, examples, np.array([1.0, 0, 0, 0]), weights).agreement(rows)
    assert (alone[:, 0] == -1).all()
    assert (alone[:, 1:] > -1).all()


def test_clusters_are_matched_with_their_labels_and_others_with_none():
    profiles, _, _, rng = types(1)
    order = [2, 0, 3]
    clusters = np.concatenate([profiles[order], rng.normal(size=(2, 120))]) + 5 * rng.normal(size=120)
    examples, pairs = matched(clusters, profiles, np.ones(120))
    assert {tuple(pair) for pair in pairs} >= {(0, 2), (1, 0), (2, 3)}
    assert examples.trust[[2, 0, 3]].min() > 0.5


def evidence_of(logs, profiles, label):
    means = np.array([logs[label == one].mean(axis=0) for one in np.unique(label)])
    return weigh(
        logs, means, np.bincount(label), labels=profiles, variances=np.full(profiles.shape, 0.25),
        expected=np.ones(len(profiles)), weights=np.ones(logs.shape[1]), pool_size=1,
    )  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), size=st.floats(0, 20))
def test_a_shift_of_all_cells_drops_out(seed, size):
    profiles, label, logs, rng = types(seed)
    shift = size * rng.normal(size=profiles.shape[1])
    still, moved = (evidence_of(x, profiles, label) for x in (logs, logs + shift))
    np.testing.assert_allclose(moved.evaluate(logs + shift)[0], still.evaluate(logs)[0], atol=1e-6)
    assert (still.evaluate(logs)[1] == label).all()
    np.testing.assert_allclose(moved.contrast, still.contrast, atol=1e-6)


def test_variation_of_one_label_alone_is_novel():
    profiles, label, logs, rng = types(0)
    new = (label == 2) & (np.arange(len(label)) % 4 == 0)
    logs[new] += 1.5 * rng.normal(size=profiles.shape[1])
    missing, _ = evidence_of(logs, profiles, label).evaluate(logs)
    assert roc_auc_score(new, missing) > 0.99


def test_an_unseen_type_that_is_most_of_the_query_stays_novel():
    profiles, label, logs, rng = types(3)
    others = rng.normal(size=profiles.shape[1]) + 0.5 * rng.normal(size=(300, profiles.shape[1]))
    everything, truth = np.concatenate([logs, others]), np.r_[label, np.full(300, 4)]
    missing, _ = evidence_of(everything, profiles, truth).evaluate(everything)
    assert roc_auc_score(truth == 4, missing) > 0.99


def test_examples_are_the_pools_that_agree_best():
    profiles, label, logs, _ = types(0)
    first = Examples(profiles, profiles, np.ones(4), np.ones(120))
    found = refined(first, logs, np.zeros(4))
    assert (found.trust > 0.5).all()
    nearest = correlations(found.logs - found.logs.mean(axis=0), profiles - profiles.mean(axis=0)).argmax(axis=1)
    assert nearest.tolist() == [0, 1, 2, 3]
    for one in range(4):  # means of 12 of 40 cells
        assert np.linalg.norm(found.logs[one] - profiles[one]) < 0.5 * np.linalg.norm(
            logs[label == one][0] - profiles[one]
        )


def test_labels_that_hardly_agree_move_no_centre():
    profiles, label, logs, rng = types(2, n_genes=400)
    mean = profiles.mean(axis=0)
    strange = mean + 0.12 * (profiles[3] - mean) + rng.normal(size=(150, 400))
    pools = np.concatenate([logs[label < 3], strange])
    found = refined(Examples(profiles, profiles, np.ones(4), np.ones(400)), pools, np.zeros(4))
    assert (found.trust[:3] > 0.5).all()
    assert (found.agreement(strange).argmax(axis=1) == 3).sum() > 20  # it is their label all the same
    assert found.trust[3] == 0


def test_the_standard_is_halfway_between_reference_and_query():
    profiles, label, logs, _ = types(0)
    evidence = evidence_of(logs, profiles, label)
    agreement = evidence.refined.agreement(logs)
    expected = evidence.matched.attenuation(np.full(profiles.shape, 0.25), 1)  # of 1
    best = (agreement - expected).argmax(axis=1)
    reached = np.array([np.quantile(agreement[best == one, one], 0.95) for one in range(4)])
    n = np.bincount(best)
    usual = expected + np.median(reached - expected)
    np.testing.assert_allclose(evidence.standard, (expected + (n * reached + 20 * usual) / (n + 20)) / 2)


def test_variances_follow_the_shares_to_the_genes_of_a_query():
    adata = sp.datasets.simulate(3000, 300, 3, n_batches=1, mean_depth=20000.0, rng=0)
    columns = np.arange(0, 300, 3)
    whole, panel = (sp.tl.label_profiles(one, "cell_type", "batch") for one in (adata, adata[:, columns].copy()))
    cut = on_genes(whole, columns)
    np.testing.assert_allclose(cut.logs, panel.logs, atol=0.05)
    unscaled = whole.variances[:, columns].mean() / panel.variances.mean()
    assert unscaled < 0.6
    assert abs(cut.variances.mean() / panel.variances.mean() - 1) < 0.15


def test_noise_attenuates_agreement_as_it_does_correlation():
    rng = np.random.default_rng(0)
    profiles, weights = rng.normal(size=(3, 4000)), rng.random(4000)
    variances = np.full(profiles.shape, 4.0)
    variances[1] = 100.0
    examples = Examples(profiles, profiles, np.ones(3), weights)
    found = examples.attenuation(variances, 16)
    pools = profiles + np.sqrt(variances / 16) * rng.normal(size=(30, *profiles.shape))
    measured = np.mean([np.diag(examples.agreement(one)) for one in pools], axis=0)
    np.testing.assert_allclose(found, measured, atol=0.02)
    assert found[1] < found[0]


def test_a_rare_unseen_type_near_a_known_one_is_found():
    rng = np.random.default_rng(5)
    profiles, label, logs, _ = types(4, n_each=100)
    near = profiles[3] + 0.6 * rng.normal(size=profiles.shape[1])
    new = near + 0.5 * rng.normal(size=(8, profiles.shape[1]))
    everything = np.concatenate([logs, new])
    missing, best = evidence_of(everything, profiles, np.r_[label, np.full(8, 3)]).evaluate(everything)
    assert (best[400:] == 3).all()
    assert roc_auc_score(np.arange(408) >= 400, missing) > 0.98


def test_stand_ins_are_judged_without_their_label():
    profiles, label, logs, rng = types(6)
    profiles[1] = profiles[0] + 0.3 * rng.normal(size=profiles.shape[1])
    logs[label == 1] = profiles[1] + 0.5 * rng.normal(size=(40, profiles.shape[1]))
    present, missing, stand_in = evidence_of(logs, profiles, label).stand_ins()
    assert present.tolist() == [0, 1, 2, 3]
    assert stand_in[:2].tolist() == [1, 0]
    assert (stand_in != present).all()
    assert missing[:2].max() < missing[2:].min()


def test_expected_agreement_is_that_of_batches():
    rng = np.random.default_rng(0)
    logs, weights = rng.normal(size=(6, 30)), rng.random(30)
    of_label, of_batch = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, -1])
    found = expected_agreement(logs, of_label, of_batch, 3, weights)
    # label 2 has a second group of several batches
    here, there = logs[[0, 2, 4]], logs[[1, 3, 5]]

    def naive(own, others, label):
        rest = [one for one in range(3) if one != label]
        contrasts = [(rows[label] - rows[rest].mean(axis=0)) * weights for rows in (own, others)]
        return scipy.stats.pearsonr(*contrasts)[0]

    np.testing.assert_allclose(found[2], naive(here, there, 2))
    pair = [(logs[[a, b]], logs[[c, d]]) for a, b, c, d in ((1, 3, 0, 2),)]
    second = [scipy.stats.pearsonr((o[0] - o[1]) * weights, (t[0] - t[1]) * weights)[0] for o, t in pair]
    np.testing.assert_allclose(found[0], (naive(here, there, 0) + second[0]) / 2)
    np.testing.assert_allclose(expected_agreement(logs[:3], np.arange(3), np.zeros(3), 3, weights), 0.8)
    alone = np.vstack([logs, rng.normal(size=30)])  # a fourth label, of one batch only, gets the mean of the others
    some = expected_agreement(alone, np.r_[of_label, 3], np.r_[of_batch, 0], 4, weights)
    np.testing.assert_allclose(some, np.r_[found, found.mean()])


def test_the_verdict():
    missing, label = np.r_[np.arange(10.0), np.arange(20.0) + 5, [50]], np.r_[np.zeros(10), np.ones(20), 2].astype(int)
    shift = np.median([np.arange(5).mean(), 5 + np.arange(6).mean()])
    assert query_shift(missing, label) == shift
    np.testing.assert_allclose(novelty(missing, shift, 0.9), (missing - shift) / 0.25)
    alphas = np.geomspace(*ALPHAS, 9)
    several, single = (np.array([threshold(one, one_batch=alone) for one in alphas]) for alone in (False, True))
    for limit, low, high in (several.T, single.T):
        assert (np.diff(limit) < 0).all()
        assert ((low <= alphas) & (alphas <= high)).all()
    assert (single[:, 0] > several[:, 0]).all()  # nothing is known of batches


@pytest.mark.parametrize("n_batches", [1, 2])
def test_batches_are_reckoned_with_where_a_reference_has_one(n_batches, monkeypatch):
    from scarches_plus.tl._novelty import _find_novel

    adata = sp.datasets.simulate(400, 100, 3, n_batches=3, batch_effect=0.3, rng=0)
    of_batch = adata.obs["batch"].cat.codes.to_numpy()
    profiles = sp.tl.label_profiles(adata[of_batch < n_batches].copy(), "cell_type", "batch", min_cells=1)
    seen = []
    monkeypatch.setattr(
        _find_novel,
        "gene_weights",
        lambda labels, batch, within: seen.append(batch) or gene_weights(labels, batch, within),
    )
    _find_novel.find_novel(sparse.csr_matrix(adata[of_batch == 2].X), profiles, 0.05, 0)
    usual = 0.15 * profiles.within_variance()
    np.testing.assert_allclose(seen[0], usual if n_batches == 1 else profiles.batch_variance())


# --- UMAP's cross-entropy, one pair at a time ---


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_encoder_minimises_umaps_cross_entropy(seed):
    rng = np.random.default_rng(seed)
    a, b = 0.58, 1.33
    heads, tails = rng.normal(size=(2, 7, 2))
    others = rng.normal(size=(5, 7, 2))
    attraction = repulsion = 0.0
    for head, tail in zip(heads, tails, strict=True):
        attraction -= np.log(1 / (1 + a * np.hypot(*(head - tail)) ** (2 * b)))
    for negatives in others:
        for head, other in zip(heads, negatives, strict=True):
            repulsion -= np.log(1 - 1 / (1 + a * np.hypot(*(head - other)) ** (2 * b)))
    found = cross_entropy(*(torch.tensor(one) for one in (heads, tails, others)), (np.log(a), b))
    assert [float(one) for one in found] == pytest.approx([attraction / 7, repulsion / 7], rel=1e-3)


def test_cross_entropy_of_cells_at_one_place_is_finite():
    heads = torch.zeros((3, 2), requires_grad=True)
    sum(cross_entropy(heads, torch.zeros((3, 2)), torch.zeros((5, 3, 2)), (0.0, 1.0))).backward()
    assert torch.isfinite(heads.grad).all()


def test_the_fuzzy_graph_is_that_of_umap():
    latent = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    edges, weights, curve, apart = fuzzy_edges(latent)
    fitted = umap.UMAP(n_neighbors=15, min_dist=0.5, n_epochs=0, random_state=0, n_jobs=1).fit(latent)
    theirs = fitted.graph_.toarray()
    ours = np.zeros_like(theirs)
    ours[tuple(edges.T)] = weights
    np.testing.assert_allclose(ours + ours.T, theirs, atol=0.002)  # umap-learn drops edges that it would never draw
    assert curve == pytest.approx((fitted._a, fitted._b))
    distances = np.sort(np.linalg.norm(latent[:, None] - latent, axis=2), axis=1)[:, 1:15]
    assert apart == pytest.approx(distances.mean(), rel=1e-5)


@pytest.mark.parametrize("scale", [0.1, 1, 30])
def test_the_unit_of_a_picture_goes_with_its_size(scale):
    latent = np.random.default_rng(0).normal(size=(300, 2))
    edges, weights, curve, _ = fuzzy_edges(latent)
    one, other = (
        unit_of(latent * size, edges, weights, curve, np.random.default_rng(0), negatives=5) for size in (1, scale)
    )
    assert other == pytest.approx(scale * one, rel=1e-3)

"""Parts of detect_novel against naive restatements and invariants."""

import numpy as np
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import roc_auc_score

from scarches_plus._label_profiles import FLOOR
from scarches_plus.tl._novelty._evidence import expected_agreement, weigh
from scarches_plus.tl._novelty._examples import Examples, correlations, matched, refined
from scarches_plus.tl._novelty._gene_weights import gene_weights, informative
from scarches_plus.tl._novelty._pools import cluster_logs, pooled
from scarches_plus.tl._novelty._verdict import ALPHAS, false_calls, novelty, query_shift, threshold


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
    np.testing.assert_allclose(moved.evaluate(logs + shift)[0], still.evaluate(logs)[0], atol=1e-5)
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


def test_the_verdict():
    missing, label = np.r_[np.arange(10.0), np.arange(20.0) + 5, [50]], np.r_[np.zeros(10), np.ones(20), 2].astype(int)
    shift = np.median([np.arange(5).mean(), 5 + np.arange(6).mean()])
    assert query_shift(missing, label) == shift
    np.testing.assert_allclose(novelty(missing, shift, 0.9), (missing - shift) / 0.25)
    alphas = np.geomspace(*ALPHAS, 9)
    thresholds, ranges = [threshold(one) for one in alphas], [false_calls(one) for one in alphas]
    assert (np.diff(thresholds) < 0).all()
    assert all(low <= alpha <= high for alpha, (low, high) in zip(alphas, ranges, strict=True))

"""Votes of neighbours, their stack with a classifier, and what makes a cell novel."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from scarches_plus.tl._expression._informative_genes import gene_information
from scarches_plus.tl._expression._sample_cells import even_sample, held_out_folds
from scarches_plus.tl._expression._stack import learn_stack, stacked
from scarches_plus.tl._votes._neighbor_votes import KERNELS, best_labels, kernel_weights, vote

# --- Votes equal the printed equations, written as loops ---


distances = arrays(np.float64, (4, 6), elements=st.integers(0, 3000).map(lambda x: x / 100))


def naive_vote(d, labels, n_labels, kernel):
    """Eq. 17-20 of the paper, one cell at a time."""
    p = np.zeros((len(d), n_labels))
    for c in range(len(d)):
        k = len(d[c])
        s = np.std(d[c]) if kernel == "scarches" else np.sqrt(sum(x**2 for x in d[c]) / k)
        for n in range(k):
            if kernel == "gaussian":
                w = np.exp(-((d[c, n] / s) ** 2) / 2) if s else 1.0
            else:
                w = np.exp(-d[c, n] / (2 / s) ** 2) if s else 1.0
            p[c, labels[c, n]] += w
        p[c] /= p[c].sum()
    return p


@settings(max_examples=60, deadline=None)
@given(d=distances, seed=st.integers(0, 99), kernel=st.sampled_from(KERNELS))
def test_equals_the_printed_equations(d, seed, kernel):
    labels = np.random.default_rng(seed).integers(0, 3, d.shape)
    expected = naive_vote(np.minimum(d, 8.0), labels, 3, kernel)
    np.testing.assert_allclose(vote(labels, kernel_weights(np.minimum(d, 8.0), kernel), 3), expected, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(d=distances, kernel=st.sampled_from(KERNELS))
def test_weights(d, kernel):
    weights = kernel_weights(d, kernel)
    assert ((weights >= 0) & (weights <= 1)).all()
    np.testing.assert_allclose(weights.max(axis=1), 1.0)
    order = np.argsort(d, axis=1)
    assert (np.diff(np.take_along_axis(weights, order, axis=1)) <= 1e-12).all()


def test_far_cells_keep_their_votes():
    weights = kernel_weights(np.array([[1e3, 1e3 + 1e-6]]), "paper")  # exp(-2.5e8) is 0 in floating point
    assert weights.sum() > 1.5


def test_gaussian_does_not_depend_on_scale():
    d = np.random.default_rng(0).random((5, 7))
    np.testing.assert_allclose(kernel_weights(d, "gaussian"), kernel_weights(d * 100, "gaussian"))
    assert not np.allclose(kernel_weights(d, "paper"), kernel_weights(d * 10, "paper"))


def test_neighbours_without_a_label_do_not_vote():
    codes = np.array([[0, -1, 1], [-1, -1, -1]])
    p = vote(codes, np.ones((2, 3)), 2)
    np.testing.assert_array_equal(p, [[0.5, 0.5], [0, 0]])


def test_best_labels_in_chunks(monkeypatch):
    rng = np.random.default_rng(0)
    indices, weights, codes = rng.integers(0, 20, (33, 5)), rng.random((33, 5)), rng.integers(-1, 3, 20)

    def shares_of(rows):
        return vote(codes[indices[rows]], weights[rows], 3)

    whole = best_labels(shares_of, 33, "abc")
    monkeypatch.setattr("scarches_plus.tl._votes._neighbor_votes._CHUNK", 4)
    chunked = best_labels(shares_of, 33, "abc")
    np.testing.assert_array_equal(whole[0], chunked[0])
    np.testing.assert_array_equal(whole[1], chunked[1])
    p = vote(codes[indices], weights, 3)
    np.testing.assert_array_equal(whole[0], np.where(p.max(1) > 0, p.argmax(1), -1))


def test_kernel_name():
    with pytest.raises(ValueError, match="kernel must be one of"):
        kernel_weights(np.ones((1, 1)), "cosine")


# --- The stack of vote and classifier ---


def made_opinions(n=3000, rng=0, vote_sees=1.0):
    """Labels, votes that see them, and logarithms of probabilities that are honest."""
    rng = np.random.default_rng(rng)
    codes = rng.integers(0, 3, n)
    scores = rng.normal(size=(n, 3)) + 2.0 * np.eye(3)[codes]
    # densities of the three normal distributions: the posterior is honest
    logs = scipy.special.log_softmax(-0.5 * np.square(scores[:, None] - 2 * np.eye(3)).sum(axis=2), axis=1)
    voted = np.where(rng.random(n) < vote_sees, codes, rng.integers(0, 3, n))
    votes = 0.1 * rng.multinomial(50, [1 / 3] * 3, n) / 50 + 0.9 * np.eye(3)[voted]
    return codes, votes, logs


def test_the_stack_is_the_printed_formula():
    _, votes, logs = made_opinions(20)
    given = stacked(votes, np.exp(logs), sharpness=1.3, weight=0.4, floor=0.02)
    for cell in range(20):
        powers = [(np.exp(logs[cell, one]) * (votes[cell, one] + 0.02) ** 0.4) ** 1.3 for one in range(3)]
        np.testing.assert_allclose(given[cell], np.array(powers) / sum(powers), rtol=1e-9)


def test_the_stack_leaves_out_what_knows_nothing():
    """A vote that is sure of anything counts for nothing; a classifier that is honest stays as it is."""
    codes, votes, logs = made_opinions(vote_sees=0.0)
    found = learn_stack(votes, logs, codes)
    assert found["weight"] < 0.3  # 0.35 is where it starts
    del found["agreement"]
    given = stacked(votes, np.exp(logs), **found).argmax(axis=1)
    assert (given == codes).mean() > (logs.argmax(axis=1) == codes).mean() - 0.01


def test_the_stack_takes_a_good_vote_up_to_its_limit():
    codes, votes, logs = made_opinions(vote_sees=1.0)
    found = learn_stack(votes, logs, codes)
    assert 0.5 < found["weight"] <= 0.7
    assert found.pop("agreement") == (votes.argmax(axis=1) == logs.argmax(axis=1)).mean()
    given = stacked(votes, np.exp(logs), **found).argmax(axis=1)
    assert (given == codes).mean() > (logs.argmax(axis=1) == codes).mean()


def test_the_stack_stands_on_one_leg():
    """Without neighbours that have a label the classifier decides, without counts the vote, without both nobody."""
    votes = np.array([[0.0, 0.0, 0.0], [0.1, 0.8, 0.1], [0.0, 0.0, 0.0]])
    probabilities = np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    given = stacked(votes, probabilities, sharpness=1.0, weight=0.5, floor=0.02)
    np.testing.assert_allclose(given[0], probabilities[0])
    assert given[1].argmax() == 1
    assert given[1].sum() == pytest.approx(1)
    assert not given[2].any()


# --- Cells of a classifier's fit ---


@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 10))
def test_an_even_sample_takes_from_the_largest(n, most, seed):
    rng = np.random.default_rng(seed)
    codes, batches = rng.geometric(0.4, n), rng.integers(0, 3, n)
    rows = even_sample(codes, batches, most, rng)
    groups = codes * 3 + batches
    assert len(set(rows.tolist())) == len(rows)
    assert len(rows) <= max(most, len(set(groups)))
    left, taken = (np.bincount(some, minlength=groups.max() + 1) for some in (groups, groups[rows]))
    cut = taken < left
    if cut.any():  # those that are cut all give as many, and no group gives more
        assert len(set(taken[cut])) == 1
        assert taken.max() == taken[cut].max()
        assert len(rows) + cut.sum() > most  # one more of each is too many
    assert (taken[left > 0] > 0).all()


@given(st.integers(2, 12), st.integers(2, 5))
def test_folds_hold_whole_batches(n_batches, most):
    rng = np.random.default_rng(n_batches)
    batches = np.concatenate([np.arange(n_batches), rng.integers(0, n_batches, 200)])
    folds, by_batch = held_out_folds(batches, most, 3, rng)
    assert by_batch
    assert all(len(set(folds[batches == one])) == 1 for one in range(n_batches))
    assert len(set(folds)) == min(most, n_batches)
    parts, by_batch = held_out_folds(np.zeros(200, dtype=int), most, 3, rng)
    assert not by_batch
    assert set(parts) == {0, 1, 2}


def test_gene_information_is_the_share_of_variance_between_labels():
    rng = np.random.default_rng(0)
    logs = rng.gamma(1.0, size=(60, 5)) * (rng.random((60, 5)) > 0.4)
    codes, batches = np.arange(60) % 3, np.arange(60) % 2
    codes[:2] = 3  # one cell a batch: too few to count
    expected = np.zeros(5)
    for batch in range(2):
        of_batch = batches == batch
        parts = [logs[of_batch & (codes == label)] for label in range(3)]
        between = np.var([part.mean(axis=0) for part in parts], axis=0)
        within = np.mean([part.var(axis=0) for part in parts], axis=0)
        expected += between / (between + within + 0.02) / 2
    np.testing.assert_allclose(gene_information(sparse.csr_matrix(logs), codes, batches), expected, rtol=1e-6)
    alone = gene_information(sparse.csr_matrix(logs), codes, codes)  # no batch has two labels
    assert alone.shape == (5,)
    assert (alone > 0).all()

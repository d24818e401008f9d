from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scarches_plus.metrics import RbNIScore, kni, rbni


def example(n=90, n_types=3, shift=0.8, seed=0):
    """Types around random centres, batches of unequal size moved against each other, some cells far from all others."""
    rng = np.random.default_rng(seed)
    types = rng.integers(n_types, size=n)
    batches = rng.permutation(np.arange(n) ** 2 * 3 // n**2)
    embedding = 1.5 * rng.normal(size=(n_types, 3))[types] + rng.normal(size=(n, 3)) * [1, 3, 0.1]
    embedding += shift * batches[:, None] * [1, 3, 0.1]
    embedding[::10] *= rng.uniform(2, 9, size=(len(embedding[::10]), 1))
    types = np.where(rng.random(n) < 0.1, rng.integers(n_types, size=n), types)
    return embedding, np.array(["a", "b", "c"])[batches], np.array(["T", "B", "NK"], dtype="U9")[types]


def naive_scaling(embedding):
    centered = embedding - embedding.mean(axis=0)
    spread = np.subtract(*np.percentile(centered, [75, 25], axis=0))
    return np.where(spread > 0, centered / np.where(spread > 0, spread, 1), 0)


def mode(labels):
    counts = Counter(labels)
    return min(name for name, count in counts.items() if count == max(counts.values()))


def naive(embedding, batches, labels, radius, is_diverse):
    """The printed definition, cell by cell: neighbours K, those of other batches B, label L; and the number in K."""
    points = naive_scaling(embedding)
    hits, right, diverse, sizes = [], [], [], []
    for i in range(len(points)):
        K = [j for j in range(len(points)) if j != i and np.linalg.norm(points[i] - points[j]) <= radius]
        B = [j for j in K if batches[j] != batches[i]]
        sizes.append(len(K))
        diverse.append(len(K) > 0 and is_diverse(len(B), len(K)))
        L = mode([labels[j] for j in B]) if diverse[-1] else None
        hits.append(labels[i] == L)
        right.append(bool(K) and labels[i] == mode([labels[j] for j in K]))
    return tuple(np.array(values) for values in (hits, right, diverse, sizes))


def by_the_code(n_other, n_all):
    return (n_all - n_other) / n_all < 0.8


def numbers(result):
    return result.score, result.accuracy_radius, result.diverse


def test_the_example_tests_something():
    hits, right, diverse, sizes = naive(*example(), 1.0, by_the_code)
    for share in (hits.mean(), right.mean(), diverse.mean()):
        assert 0.1 < share < 0.95
    assert (sizes == 0).sum() > 5
    assert (diverse & ~hits).any()
    assert (right & ~diverse).any()


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.5, 100.0])
def test_equals_naive(radius):
    data = example()
    result = rbni(*data, radius=radius)
    hits, right, diverse, sizes = naive(*data, radius, by_the_code)
    assert isinstance(result, RbNIScore)
    assert numbers(result) == pytest.approx((hits.mean(), right.mean(), diverse.mean()))
    assert (result.n_cells, result.n_isolated) == (90, (sizes == 0).sum())
    assert result.mean_neighbors == pytest.approx(sizes.mean())
    assert result.confusion.to_numpy().sum() == diverse.sum()
    assert np.trace(result.confusion) == hits.sum()
    assert result.confusion_radius.to_numpy().sum() == (sizes > 0).sum()
    assert np.trace(result.confusion_radius) == right.sum()
    for name, row in result.per_batch.iterrows():
        of_batch = data[1] == name
        assert row["n"] == of_batch.sum()
        assert row["score"] == pytest.approx(hits[of_batch].mean())
        assert row["accuracy_radius"] == pytest.approx(right[of_batch].mean())
        assert row["diverse"] == pytest.approx(diverse[of_batch].mean())


@given(seed=st.integers(0, 10**6), radius=st.floats(0.2, 3), share=st.sampled_from([0.2, 0.5, 0.8, 1.0]))
@settings(deadline=None, max_examples=15)
def test_the_papers_text_equals_naive(seed, radius, share):
    data = example(50, seed=seed)
    result = rbni(*data, radius=radius, min_other_share=share)
    expected = naive(*data, radius, lambda n_other, n_all: n_other / n_all >= share)
    assert numbers(result) == pytest.approx([values.mean() for values in expected[:3]])


def test_isolated_cells_fail_or_are_dropped_as_in_the_code():
    data = example()
    hits, right, diverse, sizes = naive(*data, 0.7, by_the_code)
    some = sizes > 0
    assert 0 < some.sum() < 90
    text, code = rbni(*data, radius=0.7), rbni(*data, radius=0.7, drop_isolated=True)
    assert numbers(text) == pytest.approx((hits.sum() / 90, right.sum() / 90, diverse.sum() / 90))
    assert numbers(code) == pytest.approx((hits[some].mean(), right[some].mean(), diverse[some].mean()))
    assert text.same_batch == code.same_batch
    assert code.n_cells == 90
    assert code.per_batch["n"].sum() == some.sum()
    for name in "abc":
        assert code.per_batch.loc[name, "score"] == pytest.approx(hits[some & (data[1] == name)].mean())


def test_the_mean_share_of_the_own_batch():
    data = example()
    points = naive_scaling(data[0])
    shares = []
    for i in range(90):
        near = [j for j in range(90) if j != i and np.linalg.norm(points[i] - points[j]) <= 1]
        shares += [np.mean([data[1][j] == data[1][i] for j in near])] if near else []
    assert rbni(*data).same_batch == pytest.approx(np.mean(shares))


def test_nobody_has_neighbors():
    data = example()
    text = rbni(*data, radius=1e-6)
    assert numbers(text) == (0, 0, 0)
    assert text.n_isolated == 90
    assert np.isnan(text.same_batch)
    code = rbni(*data, radius=1e-6, drop_isolated=True)
    assert np.isnan(numbers(code)).all()
    assert code.per_batch["score"].isna().all()


@pytest.mark.parametrize("radius", [0.5, np.nextafter(0.5, 0)])
def test_the_radius_itself_is_within(radius):
    positions = np.array([-8, -2, -2, 0, 0, 2, 2, 8])  # mean 0, inter-quartile range 4: scaling rounds nothing
    result = rbni(positions[:, None], ["a", "b"] * 4, ["x"] * 8, radius=radius)
    # Twins at -2, 0 and 2, half a range from those next to them; nobody near -8 and 8.
    assert result.mean_neighbors * 8 == (2 * (3 + 5 + 3) if radius == 0.5 else 6)
    assert result.n_isolated == 2


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_distances_are_those_of_differences(offset):
    """Many pairs at the radius to the last digit, where a matrix product gives a little more or less."""
    rng = np.random.default_rng(0)
    embedding = rng.integers(-20, 21, size=(300, 1)) / 10 + offset * (np.arange(300) < 3)[:, None]
    batches, labels = rng.choice(["a", "b"], 300), rng.choice(["x", "y"], 300)
    points = naive_scaling(embedding)
    distances = np.abs(points - points.T)
    values, counts = np.unique(distances[np.triu_indices(300, 1)], return_counts=True)
    for radius in values[np.argsort(counts)[-20:]]:
        if radius > 0:
            within = distances <= radius
            np.fill_diagonal(within, val=False)
            assert rbni(embedding, batches, labels, radius=radius).mean_neighbors == within.sum() / 300


@pytest.mark.parametrize("chunk", [1, 91, 1000, 2**20])
def test_chunks_do_not_matter(chunk, limits):
    data = example()
    expected = rbni(*data)
    limits(pairs=chunk)
    result = rbni(*data)
    pd.testing.assert_series_equal(result.to_series(), expected.to_series(), check_exact=True)
    pd.testing.assert_frame_equal(result.per_batch, expected.per_batch, check_exact=True)
    pd.testing.assert_frame_equal(result.confusion, expected.confusion)


def test_a_cell_does_not_vote_for_itself_even_among_duplicates():
    embedding = np.repeat(np.random.default_rng(0).normal(size=(30, 3)), 2, axis=0)
    batches, labels = np.tile(["a", "b"], 30), np.repeat(np.arange(30), 2)
    result = rbni(embedding, batches, labels, radius=1e-9)
    assert numbers(result) == (1, 1, 1)
    assert (result.same_batch, result.mean_neighbors) == (0, 1)
    assert rbni(embedding, batches, np.arange(60), radius=1e-9).score == 0


def test_a_tie_goes_to_the_first_label():
    positions = np.array([0, 1, -1, 100, 101])[:, None]
    batches = ["a", "b", "b", "a", "b"]
    spread = np.subtract(*np.percentile(positions, [75, 25]))
    for labels in (["x", "x", "y", "z", "z"], ["x", "y", "x", "z", "z"]):
        assert rbni(positions, batches, labels, radius=1.1 / spread).per_batch.loc["a", "score"] == 1
    for labels in (["y", "x", "y", "z", "z"], ["y", "y", "x", "z", "z"]):
        assert rbni(positions, batches, labels, radius=1.1 / spread).per_batch.loc["a", "score"] == 0.5


def test_diverse_is_strict():
    # Every cell is a neighbour of all 10 others: those of batch "a" have 8 of their own, or 7.
    embedding = np.random.default_rng(0).normal(size=(11, 2))
    for n_own, expected in ((9, False), (8, True)):
        batches = ["a"] * n_own + ["b"] * (11 - n_own)
        result = rbni(embedding, batches, ["x"] * 11, radius=1e3)
        assert bool(result.per_batch.loc["a", "diverse"]) is expected
        at_least = rbni(embedding, batches, ["x"] * 11, radius=1e3, min_other_share=0.2)
        assert at_least.per_batch.loc["a", "diverse"] == 1
        one_more = rbni(embedding, batches, ["x"] * 11, radius=1e3, min_other_share=0.3)
        assert bool(one_more.per_batch.loc["a", "diverse"]) is expected


@pytest.mark.parametrize("missing", [None, np.nan, "Unknown", "N/A"])
def test_cells_without_a_label_are_no_neighbors(missing):
    embedding, batches, labels = example()
    labels = labels.astype(object)
    labels[::7] = missing
    kept = np.arange(90) % 7 != 0
    result, whole = rbni(embedding, batches, labels), rbni(embedding[kept], batches[kept], labels[kept])
    assert (result.n_cells, result.n_unlabelled) == (77, 13)
    pd.testing.assert_series_equal(result.to_series().drop("n_unlabelled"), whole.to_series().drop("n_unlabelled"))


def test_one_label():
    embedding, batches, _ = example()
    result = rbni(embedding, batches, np.zeros(90))
    assert result.score == result.diverse
    assert result.accuracy_radius == 1 - result.n_isolated / 90


def test_a_dimension_without_spread_is_ignored():
    embedding, batches, labels = example()
    for column in (np.full(90, 0.1), np.where(np.arange(90) % 5 == 0, 100.0, 0.0)):
        wider = np.column_stack([embedding, column])
        assert numbers(rbni(wider, batches, labels)) == numbers(rbni(embedding, batches, labels))


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
@settings(deadline=None, max_examples=15)
def test_invariances(seed, scale):
    embedding, batches, labels = example(60, seed=seed)
    result = rbni(embedding, batches, labels)
    assert 0 <= result.score <= result.diverse <= 1
    rng = np.random.default_rng(seed)
    order = rng.permutation(60)
    renamed = pd.Series(batches).map({"a": 9, "b": 2, "c": 5})
    for other in (
        rbni(embedding[order], batches[order], labels[order]),
        rbni(scale * embedding * [1, 5, 0.2] + rng.normal(size=3), batches, labels),
        rbni(embedding, renamed, labels),
    ):
        pd.testing.assert_series_equal(other.to_series(), result.to_series())
        assert sorted(other.per_batch["score"]) == pytest.approx(sorted(result.per_batch["score"]))


def test_a_radius_that_holds_all_is_kni_of_all():
    data = example()
    everyone, nearest = rbni(*data, radius=1e4), kni(*data, k=89)
    assert numbers(everyone) == (nearest.score, nearest.accuracy_knn, nearest.diverse)


def test_subsample():
    data = example(300)
    drawn = rbni(*data, subsample=100, rng=3)
    assert drawn.n_cells == drawn.per_batch["n"].sum() == 100
    pd.testing.assert_series_equal(drawn.to_series(), rbni(*data, subsample=100, rng=3).to_series())
    assert drawn.mean_neighbors == pytest.approx(rbni(*data).mean_neighbors / 3, rel=0.25)


def test_compared_with():
    data = example()
    result = rbni(*data)
    assert rbni(*example(shift=0)).compared_with(result) == rbni(*example(shift=0)).score - result.score
    with pytest.warns(UserWarning, match="90 and 60 cells"):
        result.compared_with(rbni(*data, subsample=60, rng=0))
    with pytest.warns(UserWarning, match="radius=1.0 and 2.0; drop_isolated=False and True"):
        result.compared_with(rbni(*data, radius=2.0, drop_isolated=True))
    with pytest.raises(TypeError, match="a RbNIScore compares with another one only; this is a KNIScore"):
        result.compared_with(kni(*data, k=5))


def test_what_it_prints():
    result = rbni(*example(), min_other_share=0.5)
    assert str(result).startswith("RbNI (radius=1.0, min_other_share=0.5, drop_isolated=False)")
    assert f"{result.score:.3f}" in str(result)
    assert {"mean_neighbors", "n_isolated"} <= set(result.to_series().index)


def test_errors():
    embedding, batches, labels = example()
    for radius, said in (
        (0, "above 0, not 0"),
        (-1, "above 0, not -1"),
        (np.inf, "a number, not inf"),
        (np.nan, "a number, not nan"),
    ):
        with pytest.raises(ValueError, match=f"radius must be {said}"):
            rbni(embedding, batches, labels, radius=radius)
    with pytest.raises(ValueError, match="max_same_batch must be above 0"):
        rbni(embedding, batches, labels, max_same_batch=0)
    with pytest.raises(ValueError, match="min_other_share must be above 0 and at most 1, not 40"):
        rbni(embedding, batches, labels, min_other_share=40)
    with pytest.raises(ValueError, match="every labelled cell is of batch 'a'"):
        rbni(embedding, np.full(90, "a"), labels)
    with pytest.raises(ValueError, match="labels must have one entry for each of the 90 cells"):
        rbni(embedding, batches, labels[1:])
    with pytest.raises(ValueError, match="NaN or infinite coordinates in 1 of 90 cells"):
        rbni(np.where(np.arange(90)[:, None] == 4, np.nan, embedding), batches, labels)


@pytest.mark.parametrize("drop_isolated", [False, True])
def test_drawn_cells_are_scored_by_their_neighbours_among_all(drop_isolated):
    data = example(400)
    hits, _, diverse, sizes = naive(*data, 1.0, by_the_code)
    counted = sizes > 0 if drop_isolated else np.ones(400, dtype=bool)
    drawn = [rbni(*data, n_scored=100, rng=seed, drop_isolated=drop_isolated) for seed in range(60)]
    assert {(result.n_scored, result.n_cells) for result in drawn} == {(100, 400)}
    assert np.mean([result.score for result in drawn]) == pytest.approx(hits[counted].mean(), abs=0.03)
    assert np.mean([result.diverse for result in drawn]) == pytest.approx(diverse[counted].mean(), abs=0.02)
    assert np.mean([result.mean_neighbors for result in drawn]) == pytest.approx(sizes.mean(), rel=0.02)
    covered = [result.interval[0] <= hits[counted].mean() <= result.interval[1] for result in drawn]
    assert np.mean(covered) >= 0.85


def test_blocks_of_neighbours_are_all_counted():
    """More cells than one step compares with: shares of randomly dealt batches and labels, known in closed form."""
    rng = np.random.default_rng(0)
    n = 5_000
    result = rbni(np.ones((n, 1)) * rng.random((n, 1)), rng.integers(2, size=n), np.repeat(["x"], n), radius=100.0)
    assert result.mean_neighbors == n - 1
    assert result.same_batch == pytest.approx(0.5, abs=0.02)
    assert (result.score, result.n_isolated) == (1.0, 0)

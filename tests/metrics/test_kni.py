from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbors import nearest_others
from scipy.stats import binomtest
from sklearn.neighbors import NearestNeighbors

from scarches_plus.metrics import KNIScore, kni


def example(n=90, n_batches=3, n_types=4, shift=0.6, seed=0):
    """Types around random centres, batches of unequal size moved against each other, a tenth of the labels wrong."""
    rng = np.random.default_rng(seed)
    types = rng.integers(n_types, size=n)
    batches = rng.permutation(np.arange(n) ** 2 * n_batches // n**2)
    embedding = 1.5 * rng.normal(size=(n_types, 4))[types] + rng.normal(size=(n, 4)) * [1, 1, 3, 0.1]
    embedding += shift * batches[:, None]
    types = np.where(rng.random(n) < 0.1, rng.integers(n_types, size=n), types)
    return embedding, np.array(["a", "b", "c", "d"])[batches], np.array(["T", "B", "NK", "mono"], dtype="U9")[types]


def naive_scaling(embedding):
    columns = []
    for column in embedding.T.tolist():
        mean, ordered = sum(column) / len(column), sorted(column)
        quartiles = []
        for share in (0.25, 0.75):
            position = share * (len(column) - 1)
            low = int(position)
            high = min(low + 1, len(column) - 1)
            quartiles.append(ordered[low] + (position - low) * (ordered[high] - ordered[low]))
        spread = quartiles[1] - quartiles[0]
        columns.append([(x - mean) / spread if spread else 0.0 for x in column])
    return np.array(columns).T


def mode(labels):
    counts = Counter(labels)
    return min(name for name, count in counts.items() if count == max(counts.values()))


def naive(embedding, batches, labels, k, is_diverse, include_self=False):
    """The printed definition, cell by cell: neighbours K, those of other batches B, label L."""
    points = naive_scaling(embedding)
    hits, right, diverse = [], [], []
    for i in range(len(points)):
        others = sorted((float(np.linalg.norm(points[i] - points[j])), j) for j in range(len(points)) if j != i)
        K = ([i] if include_self else []) + [j for _, j in others]
        K = K[:k]
        B = [j for j in K if batches[j] != batches[i]]
        diverse.append(is_diverse(len(B), len(K)))
        L = mode([labels[j] for j in B]) if diverse[-1] else None
        hits.append(labels[i] == L)
        right.append(labels[i] == mode([labels[j] for j in K]))
    return np.array(hits), np.array(right), np.array(diverse)


def released(embedding, batches, labels, k=50, max_prop=0.8, with_self=True):
    """What BA-scVI's ``calc_kni_score`` computes: pandas' categories and quartiles, scikit-learn's neighbours."""
    table = pd.DataFrame(embedding)
    table = (table - table.mean()) / (table.quantile(0.75) - table.quantile(0.25))
    types, origin = pd.Categorical(labels), pd.Categorical(batches).codes
    search = NearestNeighbors(n_neighbors=k).fit(table)
    near = search.kneighbors(table, return_distance=False) if with_self else search.kneighbors(return_distance=False)
    n_types = len(types.categories)
    kni_count = acc_count = diverse_count = 0
    confusion, kni_confusion = np.zeros((n_types, n_types)), np.zeros((n_types, n_types))
    for i in range(len(table)):
        foreign = origin[near[i]] != origin[i]
        by_all = np.bincount(types.codes[near[i]]).argmax()
        confusion[types.codes[i], by_all] += 1
        acc_count += by_all == types.codes[i]
        if (~foreign).sum() < max_prop * k:
            diverse_count += 1
            by_others = np.bincount(types.codes[near[i]][foreign]).argmax()
            kni_confusion[types.codes[i], by_others] += 1
            kni_count += by_others == types.codes[i]
    n = len(table)
    same = (origin[near] == origin[:, None]).sum() / k / n
    return kni_count / n, acc_count / n, diverse_count / n, same, confusion, kni_confusion


def numbers(result):
    return result.score, result.accuracy_knn, result.diverse


def test_the_example_tests_something():
    hits, right, diverse = naive(*example(), 15, lambda n_other, n_all: n_all - n_other < 0.8 * n_all)
    for share in (hits.mean(), right.mean(), diverse.mean()):
        assert 0.1 < share < 0.95
    assert (diverse & ~hits).any()
    assert (right & ~diverse).any()


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("k", [2, 10, 15, 89])
def test_equals_naive(k, include_self):
    data = example()
    result = kni(*data, k=k, include_self=include_self)
    hits, right, diverse = naive(*data, k, lambda n_other, n_all: n_all - n_other < 0.8 * n_all, include_self)
    assert isinstance(result, KNIScore)
    assert numbers(result) == pytest.approx((hits.mean(), right.mean(), diverse.mean()))
    for name, row in result.per_batch.iterrows():
        of_batch = data[1] == name
        assert row["n"] == of_batch.sum()
        assert row["score"] == pytest.approx(hits[of_batch].mean())
        assert row["accuracy_knn"] == pytest.approx(right[of_batch].mean())
        assert row["diverse"] == pytest.approx(diverse[of_batch].mean())
    assert result.per_batch.index.tolist() == ["a", "b", "c"]


@given(seed=st.integers(0, 10**6), k=st.integers(2, 20), min_other=st.integers(1, 20), include_self=st.booleans())
@settings(deadline=None, max_examples=15)
def test_the_papers_text_equals_naive(seed, k, min_other, include_self):
    data, min_other = example(40, seed=seed), min(min_other, k - include_self)
    result = kni(*data, k=k, min_other=min_other, include_self=include_self)
    expected = naive(*data, k, lambda n_other, _: n_other >= min_other, include_self)
    assert numbers(result) == pytest.approx([values.mean() for values in expected])


@pytest.mark.parametrize("with_self", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_released_function(seed, with_self):
    data = example(400, shift=0.8, seed=seed)
    score, accuracy, diverse, same, confusion, kni_confusion = released(*data, with_self=with_self)
    result = kni(*data, include_self=with_self)
    assert numbers(result) == pytest.approx((score, accuracy, diverse))
    assert 0 < score < diverse < 1
    assert result.same_batch == pytest.approx(same)
    np.testing.assert_array_equal(result.confusion_knn, confusion)
    np.testing.assert_array_equal(result.confusion, kni_confusion)
    assert result.confusion.index.tolist() == result.confusion.columns.tolist() == ["B", "NK", "T", "mono"]


def test_the_self_rules_differ():
    data = example(400, shift=0.8)
    without, with_self = kni(*data), kni(*data, include_self=True)
    assert with_self.diverse < without.diverse
    assert with_self.accuracy_knn > without.accuracy_knn


def line(*cells):
    """Cells on a line: (position, batch, label)."""
    positions, batches, labels = zip(*cells, strict=True)
    return np.array(positions, dtype=float)[:, None], list(batches), list(labels)


def test_a_tie_goes_to_the_first_label():
    # The cell at 0 has one vote for "x" and one for "y", the nearer one for "y".
    data = line((0, "a", "x"), (1, "b", "y"), (-1.5, "b", "x"), (50, "b", "z"), (51, "a", "z"), (52, "b", "z"))
    assert kni(*data, k=2).confusion.loc["x", "x"] == 2
    swapped = (data[0], data[1], ["y", "x", "y", "z", "z", "z"])
    assert kni(*swapped, k=2).confusion.loc["y", "x"] == 1


@pytest.mark.parametrize(("k", "limit"), [(5, 0.8), (25, 0.28), (10, 0.7), (50, 0.8)])
def test_diverse_is_strict(k, limit):
    # Every cell is a neighbour of all others: those of batch "a" have exactly limit * k of their own, or one fewer.
    n_same = round(limit * k)
    for extra, expected in ((0, False), (-1, True)):
        batches = ["a"] * (1 + n_same + extra) + ["b"] * (k - n_same - extra)
        embedding = np.random.default_rng(0).normal(size=(k + 1, 2))
        result = kni(embedding, batches, ["x"] * (k + 1), k=k, max_same_batch=limit)
        assert bool(result.per_batch.loc["a", "diverse"]) is expected
        at_least = kni(embedding, batches, ["x"] * (k + 1), k=k, min_other=k - n_same)
        assert at_least.per_batch.loc["a", "diverse"] == 1
        one_more = kni(embedding, batches, ["x"] * (k + 1), k=k, min_other=k - n_same + 1)
        assert bool(one_more.per_batch.loc["a", "diverse"]) is expected


@pytest.mark.parametrize(
    "missing", [None, np.nan, pd.NA, "Unknown", "unknown", "", "nan", "NaN", "NA", "na", "N/A", "n/a"]
)
def test_cells_without_a_label_are_no_neighbours(missing):
    embedding, batches, labels = example()
    labels = labels.astype(object)
    labels[::7] = missing
    batches = batches.astype(object)
    batches[7] = None
    embedding[14] = np.nan
    result = kni(embedding, batches, labels, k=10)
    kept = np.arange(90) % 7 != 0
    whole = kni(embedding[kept], batches[kept], labels[kept], k=10)
    assert (result.n_cells, result.n_unlabelled) == (77, 13)
    pd.testing.assert_series_equal(result.to_series().drop("n_unlabelled"), whole.to_series().drop("n_unlabelled"))
    pd.testing.assert_frame_equal(result.confusion, whole.confusion)


def test_which_labels_say_nothing_is_an_option():
    embedding, batches, labels = example()
    assert kni(embedding, batches, labels, k=10, unlabelled=["mono"]).n_unlabelled == (labels == "mono").sum()
    labels[:3] = "Unknown"
    every = kni(embedding, batches, labels, k=10, unlabelled=[])
    assert (every.n_unlabelled, every.n_cells) == (0, 90)
    assert "Unknown" in every.confusion.index


def test_one_label():
    embedding, batches, _ = example()
    result = kni(embedding, batches, np.zeros(90, dtype=int), k=10)
    assert result.score == result.diverse
    assert result.accuracy_knn == 1
    assert result.confusion.to_numpy().tolist() == [[round(90 * result.diverse)]]


def test_a_dimension_without_spread_is_ignored():
    embedding, batches, labels = example()
    mostly_zero = np.where(np.arange(90) % 5 == 0, 100.0, 0.0)
    for column in (np.full(90, 0.1), mostly_zero):
        wider = np.column_stack([embedding, column])
        assert numbers(kni(wider, batches, labels, k=10)) == numbers(kni(embedding, batches, labels, k=10))


def test_a_cell_does_not_vote_for_itself_even_among_duplicates():
    rng = np.random.default_rng(0)
    embedding = np.repeat(rng.normal(size=(30, 3)), 3, axis=0)
    batches, labels = np.tile(["a", "b", "c"], 30), np.repeat(rng.choice(["x", "y", "z"], 30), 3)
    alone = kni(embedding, batches, labels, k=2)
    assert numbers(alone) == (1, 1, 1)
    assert alone.same_batch == 0
    assert kni(embedding, batches, labels, k=3, include_self=True).same_batch == pytest.approx(1 / 3)
    labels[::3] = "other"
    assert kni(embedding, batches, labels, k=2).per_batch["score"].tolist()[0] == 0


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
@settings(deadline=None, max_examples=15)
def test_invariances(seed, scale):
    embedding, batches, labels = example(60, seed=seed)
    result = kni(embedding, batches, labels, k=9)
    for share in numbers(result):
        assert 0 <= share <= 1
    assert result.score <= result.diverse
    rng = np.random.default_rng(seed)
    order = rng.permutation(60)
    renamed = pd.Series(batches).map({"a": 9, "b": 2, "c": 5})
    stretched = scale * embedding * [1, 5, 0.2, 1] + rng.normal(size=4)
    for other in (
        kni(embedding[order], batches[order], labels[order], k=9),
        kni(stretched, batches, labels, k=9),
        kni(embedding, renamed, pd.Categorical(labels, categories=["unused", "mono", "T", "NK", "B"]), k=9),
    ):
        pd.testing.assert_series_equal(other.to_series(), result.to_series())
        pd.testing.assert_frame_equal(other.confusion, result.confusion, check_column_type=False)
        assert sorted(other.per_batch["score"]) == pytest.approx(sorted(result.per_batch["score"]))


@pytest.mark.parametrize("chunk", [1, 37, 100])
def test_chunks_do_not_matter(chunk, limits):
    data = example()
    expected = kni(*data, k=10)
    limits(votes=chunk)
    pd.testing.assert_series_equal(kni(*data, k=10).to_series(), expected.to_series())


def test_neighbors_known_already():
    embedding, batches, labels = example()
    neighbors = nearest_others(naive_scaling(embedding), 30)
    for k, include_self in ((5, False), (30, False), (31, True)):
        expected = kni(embedding, batches, labels, k=k, include_self=include_self)
        given_them = kni(embedding, batches, labels, k=k, include_self=include_self, neighbors=neighbors)
        pd.testing.assert_series_equal(given_them.to_series(), expected.to_series())


def test_subsample_is_a_run_on_fewer_cells():
    embedding, batches, labels = example(300)
    labels[:20] = "Unknown"
    drawn = kni(embedding, batches, labels, k=10, subsample=100, rng=3)
    again = kni(embedding, batches, labels, k=10, subsample=100, rng=np.random.default_rng(3))
    assert drawn.n_cells == drawn.per_batch["n"].sum() == 100
    pd.testing.assert_series_equal(drawn.to_series(), again.to_series())
    for name, n in pd.Series(batches[20:]).value_counts().items():
        assert abs(drawn.per_batch.loc[name, "n"] - 100 * n / 280) < 1
    assert kni(embedding, batches, labels, k=10, subsample=100, rng=4).score != drawn.score
    every = kni(embedding, batches, labels, k=10, subsample=280, rng=0)
    pd.testing.assert_series_equal(every.to_series(), kni(embedding, batches, labels, k=10).to_series())


def test_the_score_falls_as_cells_are_added_and_a_subsample_repairs_it():
    def apart(n, seed):
        rng = np.random.default_rng(seed)
        batches = rng.integers(2, size=n)
        return rng.normal(size=(n, 2)) + 2 * batches[:, None], batches, np.zeros(n)

    few, many = kni(*apart(60, 0)), kni(*apart(2000, 1))
    assert many.score < few.score - 0.2
    drawn = [kni(*apart(2000, 1), subsample=60, rng=seed).score for seed in range(10)]
    assert few.score == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn))


def test_compared_with(recwarn):
    data = example()
    result, mixed = kni(*data, k=10), kni(*example(shift=0), k=10)
    assert mixed.compared_with(result) == mixed.score - result.score > 0
    assert not recwarn
    with pytest.warns(UserWarning, match=r"do not compare: 90 and 60 cells \(use subsample=\)"):
        result.compared_with(kni(*data, k=10, subsample=60, rng=0))
    with pytest.warns(UserWarning, match="k=10 and 12; include_self=False and True"):
        result.compared_with(kni(*data, k=12, include_self=True))
    with pytest.warns(UserWarning, match="max_same_batch=0.8 and None; min_other=None and 8"):
        result.compared_with(kni(*data, k=10, min_other=8))
    with pytest.raises(TypeError, match="a KNIScore compares with another one only; this is a float"):
        result.compared_with(0.5)


def test_what_it_prints():
    result = kni(*example(), k=10)
    printed = str(result)
    assert printed.startswith("KNI (k=10, max_same_batch=0.8, include_self=False)")
    for piece in (f"{result.score:.3f}", "accuracy_knn", "n_cells", "90", "batch"):
        assert piece in printed
    assert result.to_series().index.tolist() == [
        *["score", "accuracy_knn", "diverse", "same_batch", "n_scored", "n_cells", "n_unlabelled"]
    ]


def test_errors():
    embedding, batches, labels = example()
    with pytest.raises(ValueError, match=r"batches must have one entry for each of the 90 cells; its shape is \(89,\)"):
        kni(embedding, batches[1:], labels)
    with pytest.raises(
        ValueError, match=r"labels must have one entry for each of the 90 cells; its shape is \(90, 1\)"
    ):
        kni(embedding, batches, labels[:, None])
    with pytest.raises(ValueError, match="labels has no label"):
        kni(embedding, batches, np.full(90, "Unknown"))
    with pytest.raises(ValueError, match="every labelled cell is of batch 'a'"):
        kni(embedding, np.full(90, "a"), labels)
    holes = batches.astype(object)
    holes[:2] = None
    with pytest.raises(ValueError, match="batches is missing for 2 of 90 cells"):
        kni(embedding, holes, labels, k=10)
    with pytest.raises(ValueError, match="k=90"):
        kni(embedding, batches, labels, k=90)
    with pytest.raises(ValueError, match="k must be at least 1, not 0"):
        kni(embedding, batches, labels, k=0)
    with pytest.raises(ValueError, match="k=1 leaves no neighbour beside the cell itself"):
        kni(embedding, batches, labels, k=1, include_self=True)
    for share, said in (
        (0, "above 0 and at most 1, not 0"),
        (1.2, r"at most 1, not 1\.2"),
        (np.nan, "a number, not nan"),
    ):
        with pytest.raises(ValueError, match=f"max_same_batch must be .*{said}"):
            kni(embedding, batches, labels, k=10, max_same_batch=share)
    for number, said in ((0, " must be at least 1, not 0"), (11, "=11 must be a number of neighbours from 1 to 10")):
        with pytest.raises(ValueError, match=f"min_other{said}"):
            kni(embedding, batches, labels, k=10, min_other=number)
    with pytest.raises(TypeError, match=r"unlabelled=\['Unknown'\]"):
        kni(embedding, batches, labels, k=10, unlabelled="Unknown")
    for number, said in ((0, " must be at least 2, not 0"), (91, "=91 cells cannot be drawn from 90 labelled ones")):
        with pytest.raises(ValueError, match=f"subsample{said}"):
            kni(embedding, batches, labels, k=10, subsample=number)
    with pytest.raises(ValueError, match="embedding does not vary"):
        kni(np.ones((90, 2)), batches, labels, k=10)
    with pytest.raises(ValueError, match="NaN or infinite coordinates in 1 of 90 cells"):
        kni(np.where(np.arange(90)[:, None] == 4, np.nan, embedding), batches, labels, k=10)


@pytest.mark.parametrize("missing", [np.nan, None])
def test_missing_values_in_lists_stay_missing(missing):
    embedding, batches, labels = example()
    with pytest.raises(ValueError, match="batches is missing for 1 of 90 cells"):
        kni(embedding, [missing, *batches[1:]], labels, k=10)
    assert kni(embedding, batches, [missing, *labels[1:]], k=10, unlabelled=()).n_unlabelled == 1


def test_errors_of_neighbors():
    embedding, batches, labels = example()
    neighbors = nearest_others(embedding, 10)
    with pytest.raises(ValueError, match=r"neighbors must have shape \(90, at least k=12\); its shape is \(90, 10\)"):
        kni(embedding, batches, labels, k=12, neighbors=neighbors)
    with pytest.raises(ValueError, match="90 of 90 cells as their own neighbour"):
        kni(embedding, batches, labels, k=2, neighbors=np.arange(90)[:, None] + [0, 1])
    neighbors[3, 9] = -1
    with pytest.raises(ValueError, match="neighbors has 1 entries outside of 0 to 89"):
        kni(embedding, batches, labels, k=10, neighbors=neighbors)
    with pytest.raises(ValueError, match="0 have no label and subsample is 50: take labelled cells only"):
        kni(embedding, batches, labels, k=5, neighbors=neighbors, subsample=50)
    labels[:2] = "Unknown"
    with pytest.raises(ValueError, match="2 have no label and subsample is None: take labelled cells only"):
        kni(embedding, batches, labels, k=5, neighbors=neighbors)


@pytest.mark.parametrize("include_self", [False, True])
def test_drawn_cells_are_scored_by_their_neighbours_among_all(include_self):
    data = example(400, shift=0.8)
    hits, right, diverse = naive(*data, 15, lambda n_other, n_all: n_all - n_other < 0.8 * n_all, include_self)
    every = kni(*data, k=15, include_self=include_self)
    drawn = [kni(*data, k=15, include_self=include_self, n_scored=100, rng=seed) for seed in range(60)]
    assert {(result.n_scored, result.n_cells) for result in drawn} == {(100, 400)}
    scores = np.array([result.score for result in drawn])
    assert scores.mean() == pytest.approx(hits.mean(), abs=4 * scores.std() / np.sqrt(60))
    assert np.mean([result.accuracy_knn for result in drawn]) == pytest.approx(right.mean(), abs=0.03)
    assert np.mean([result.diverse for result in drawn]) == pytest.approx(diverse.mean(), abs=0.02)
    covered = [result.interval[0] <= every.score <= result.interval[1] for result in drawn]
    assert np.mean(covered) >= 0.85
    assert every.interval == (every.score, every.score)
    assert f"{drawn[0].interval[0]:.3f}" in str(drawn[0])
    whole = kni(*data, k=15, include_self=include_self, n_scored=400, rng=0)
    pd.testing.assert_frame_equal(whole.per_batch, every.per_batch)
    pd.testing.assert_frame_equal(whole.confusion, every.confusion)


def test_drawn_cells_take_given_neighbours():
    data = example(400, shift=0.8)
    indices = NearestNeighbors(n_neighbors=15).fit(naive_scaling(data[0])).kneighbors(return_distance=False)
    given, searched = (kni(*data, k=15, n_scored=50, rng=3, neighbors=found) for found in (indices, None))
    assert given.score == searched.score
    with pytest.raises(ValueError, match="n_scored=401 cells cannot be drawn from 400 labelled ones"):
        kni(*data, k=15, n_scored=401)


def test_the_interval_is_wilsons_for_what_the_population_adds():
    """Half of a finite population says as much as twice so many cells of an endless one."""
    data = example(400, shift=0.8)
    drawn = kni(*data, k=15, n_scored=200, rng=0)
    expected = binomtest(round(drawn.score * 400), 400).proportion_ci(0.95, method="wilson")
    assert drawn.interval == pytest.approx((expected.low, expected.high))


def test_cells_that_count():
    """By row, unlabelled and undrawn cells left out; their mean by batch is the table by batch."""
    embedding, batches, labels = example()
    labels = labels.astype(object)
    labels[::7] = None
    counts = np.isin(np.arange(len(labels)), kni(embedding, batches, labels, k=10).per_cell.index)
    np.testing.assert_array_equal(counts, pd.notna(labels))
    known = ~pd.isna(labels)
    hits, _, _ = naive(embedding[known], batches[known], labels[known], 10, lambda n_other, n: n - n_other < 0.8 * n)
    np.testing.assert_array_equal(kni(embedding, batches, labels, k=10).per_cell, hits)
    drawn = kni(embedding, batches, labels, k=10, n_scored=40, rng=0)
    assert len(drawn.per_cell) == 40
    np.testing.assert_array_equal(drawn.per_cell, pd.Series(hits, np.flatnonzero(known))[drawn.per_cell.index])
    table = drawn.per_cell.groupby(batches[drawn.per_cell.index]).mean()
    pd.testing.assert_series_equal(drawn.per_batch["score"], table, check_names=False)

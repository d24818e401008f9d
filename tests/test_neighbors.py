import subprocess
import sys
import textwrap
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix
from sklearn.neighbors import NearestNeighbors

from scarches_plus import metrics
from scarches_plus._neighbors import (
    METHODS,
    Neighbors,
    _exact,
    _index,
    _ranking,
    _regions,
    _search,
    _single,
    build_index,
    nearest,
    nearest_within,
)


def cells(n, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def exact_neighbors(query, reference, k, n_jobs):
    return _exact.Exact(reference, n_jobs).query(query, k)


def naive(query, reference, k, skip=None):
    """Loop over cells, sort all distances, ties by index."""
    indices, distances = [], []
    for i, q in enumerate(query):
        ranked = sorted((float(np.sqrt(((q - r) ** 2).sum())), j) for j, r in enumerate(reference))
        kept = [(d, j) for d, j in ranked if skip is None or j != skip[i]][:k]
        indices.append([j for _, j in kept])
        distances.append([d for d, _ in kept])
    return Neighbors(np.array(indices), np.array(distances))


def recall(found, truth):
    """Share of neighbours no farther than the true k-th one, so that ties count."""
    return (found.distances <= truth.distances[:, -1:] * (1 + 1e-9)).mean()


class FakeDescent:
    """An exact stand-in for pynndescent, which takes a minute to compile, that loses the hits of every seventh cell."""

    calls: ClassVar[list] = []

    def __init__(self, data, n_neighbors, **kwargs):
        assert data.dtype == np.float32
        self.data, self.n_neighbors = data, n_neighbors
        self.calls.append(kwargs)

    @property
    def neighbor_graph(self):
        return self.query(self.data, self.n_neighbors)

    def query(self, query, k, **_):
        found = naive(query, self.data, k)
        indices = found.indices.astype(np.int32)
        indices[::7, k // 2 :] = -1
        return indices, found.distances.astype(np.float32)


class FakeNearestNeighbors:
    """scikit-learn in the place of cuML, which needs a GPU."""

    def __init__(self, algorithm, output_type):
        assert (algorithm, output_type) == ("brute", "numpy")

    def fit(self, data):
        assert data.dtype == np.float32
        self.index = NearestNeighbors(algorithm="brute").fit(data.astype(np.float64))
        return self

    def kneighbors(self, query, k, *, return_distance):
        assert not return_distance
        return self.index.kneighbors(query.astype(np.float64), k, return_distance=False).astype(np.int32)


@pytest.fixture
def replaced(monkeypatch):
    """Put something in the place of a library, whether the method that uses it was imported or not."""
    methods = []

    def replace(method, modules):
        name = f"scarches_plus._neighbors._{method}"
        methods.append((name, sys.modules.pop(name, None)))
        for library, module in modules.items():
            monkeypatch.setitem(sys.modules, library, module)

    yield replace
    for name, module in methods:
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


@pytest.fixture
def fake_descent(monkeypatch, replaced):
    monkeypatch.setattr(FakeDescent, "calls", [])
    replaced("pynndescent", {"pynndescent": SimpleNamespace(NNDescent=FakeDescent)})
    monkeypatch.setattr(_index, "EXACT_PAIRS", 0)
    monkeypatch.setattr(_index, "find_spec", lambda _: None)  # no faiss
    return FakeDescent


@pytest.fixture(params=METHODS)
def method(request, replaced, monkeypatch):
    """Every method; the two that compile for a minute or need a GPU with exact stand-ins for their library."""
    if request.param == "faiss" and sys.platform == "darwin":
        pytest.skip("refused there")
    monkeypatch.setattr(FakeDescent, "calls", [])
    replaced("pynndescent", {"pynndescent": SimpleNamespace(NNDescent=FakeDescent)})
    cuml = ModuleType("cuml")
    cuml.neighbors = SimpleNamespace(NearestNeighbors=FakeNearestNeighbors)
    replaced("cuml", {"cuml": cuml, "cuml.neighbors": cuml.neighbors})
    return request.param


@pytest.mark.parametrize("n_jobs", [None, 1, -1])
def test_nearest_equals_naive(n_jobs):
    query, reference = cells(40), cells(60, seed=1)
    found, expected = nearest(query, reference, 7, n_jobs=n_jobs), naive(query, reference, 7)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-12)
    assert found.indices.dtype == np.int64
    assert found.distances.dtype == np.float64


def test_nearest_may_take_the_whole_reference():
    found = nearest(cells(3), cells(4, seed=1), 4)
    np.testing.assert_array_equal(np.sort(found.indices, axis=1), np.tile(np.arange(4), (3, 1)))


def test_nearest_within_equals_naive():
    embedding = cells(50)
    found, expected = nearest_within(embedding, 6), naive(embedding, embedding, 6, skip=range(50))
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-12)


@pytest.mark.parametrize("rows", [[3, 3, -1, 0], np.arange(30) % 2 == 0])
def test_nearest_within_of_some_rows(rows):
    embedding = cells(30)
    every, some = nearest_within(embedding, 4), nearest_within(embedding, 4, rows=rows)
    np.testing.assert_array_equal(some.indices, every.indices[rows])
    np.testing.assert_array_equal(some.distances, every.distances[rows])


@given(copies=st.integers(2, 8), k=st.integers(1, 12), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_duplicates_never_return_the_cell_itself(copies, k, seed):
    embedding = np.repeat(cells(6, seed=seed), copies, axis=0)
    k = min(k, len(embedding) - 1)
    found = nearest_within(embedding, k)
    assert found.indices.shape == (len(embedding), k)
    assert not (found.indices == np.arange(len(embedding))[:, None]).any()
    assert all(len(set(row)) == k for row in found.indices)
    np.testing.assert_allclose(
        found.distances, naive(embedding, embedding, k, skip=range(len(embedding))).distances, atol=1e-12
    )
    np.testing.assert_array_equal(found.distances[:, : min(k, copies - 1)], 0.0)


def test_far_from_the_origin():
    near = cells(80).astype(np.float32).astype(np.float64)
    far = (near + 1e4).astype(np.float32)  # float32 keeps three digits of the spread here
    exact = naive(far.astype(np.float64), far.astype(np.float64), 10, skip=range(80))
    found = nearest_within(far, 10)
    np.testing.assert_array_equal(found.indices, exact.indices)
    np.testing.assert_allclose(found.distances, exact.distances, rtol=1e-12)


def test_distances_do_not_depend_on_the_chunk(monkeypatch):
    embedding = cells(50)
    whole = nearest_within(embedding, 5)
    for module, name in ((_search, "_CHUNK"), (_ranking, "_NUMBERS"), (_single, "_BLOCK")):
        monkeypatch.setattr(module, name, 1)
    np.testing.assert_array_equal(nearest_within(embedding, 5).distances, whole.distances)


def test_approximate_path_completes_lost_neighbours(fake_descent):
    query, reference = cells(30), cells(60, seed=1)
    np.testing.assert_array_equal(nearest(query, reference, 5).indices, naive(query, reference, 5).indices)
    within = nearest_within(reference, 5, n_jobs=1)
    np.testing.assert_array_equal(within.indices, naive(reference, reference, 5, skip=range(60)).indices)
    some = nearest_within(reference, 5, rows=[7, 2])
    np.testing.assert_array_equal(some.indices, within.indices[[7, 2]])
    assert [call["random_state"] for call in fake_descent.calls] == [0, 0, 0]
    assert [call["n_jobs"] for call in fake_descent.calls] == [None, 1, None]


def test_the_search_is_exact_up_to_the_limit(monkeypatch, fake_descent):
    monkeypatch.setattr(_index, "EXACT_PAIRS", 600)
    nearest(cells(10), cells(60), 3)
    assert fake_descent.calls == []
    nearest(cells(11), cells(60), 3)
    assert len(fake_descent.calls) == 1


@pytest.mark.slow
@pytest.mark.parametrize("k", [5, 15, 50])
def test_pynndescent_recall(monkeypatch, k):
    embedding = np.repeat(cells(12, 20), 250, axis=0) * 2 + cells(3000, 20, seed=1) + 100
    embedding[:100] = embedding[0]
    query = embedding[::5] + 0.5
    exact, exact_within = nearest(query, embedding, k), nearest_within(embedding, k)
    monkeypatch.setattr(_index, "EXACT_PAIRS", 0)
    monkeypatch.setattr(_index, "find_spec", lambda _: None)

    found, found_within = nearest(query, embedding, k), nearest_within(embedding, k)
    assert recall(found, exact) >= 0.98
    assert recall(found_within, exact_within) >= 0.98
    assert not (found_within.indices == np.arange(3000)[:, None]).any()
    np.testing.assert_array_equal(nearest(query, embedding, k).indices, found.indices)  # seeded
    same = found.indices == exact.indices
    np.testing.assert_array_equal(found.distances[same], exact.distances[same])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_coordinates_that_are_not_finite(bad):
    embedding = cells(20)
    embedding[[2, 5], 1] = bad
    with pytest.raises(ValueError, match="embedding has NaN or infinite coordinates in 2 of 20 cells"):
        nearest_within(embedding, 3)
    with pytest.raises(ValueError, match="query has NaN"):
        nearest(embedding, cells(20), 3)
    with pytest.raises(ValueError, match="reference has NaN"):
        nearest(cells(20), embedding, 3)


def test_too_many_or_too_few_neighbours():
    with pytest.raises(ValueError, match="k=11 neighbours: the reference has n=10 cells"):
        nearest(cells(3), cells(10), 11)
    with pytest.raises(ValueError, match="k=10 neighbours: beside itself a cell has n=9 cells"):
        nearest_within(cells(10), 10)
    with pytest.raises(ValueError, match="k=0"):
        nearest_within(cells(10), 0)


def test_shapes():
    with pytest.raises(ValueError, match="query has 4 dimensions and reference 5"):
        nearest(cells(3, 4), cells(10, 5), 2)
    with pytest.raises(ValueError, match=r"shape is \(10,\)"):
        nearest_within(np.zeros(10), 2)
    with pytest.raises(ValueError, match=r"query must .* shape is \(0, 5\)"):
        nearest(np.zeros((0, 5)), cells(10), 2)


def test_sparse_coordinates_are_named():
    with pytest.raises(ValueError, match=r"embedding is sparse.*give embedding.toarray\(\)"):
        nearest_within(csr_matrix(cells(10)), 2)
    with pytest.raises(ValueError, match="reference is sparse"):
        nearest(cells(3), csr_array(cells(10)), 2)


@pytest.mark.parametrize(
    "metric", ["entropy_batch_mixing", "kni", "label_purity", "mixing_along", "neighbor_preservation"]
)
def test_metrics_name_a_sparse_embedding(metric):
    arguments = {"kni": (np.arange(10) % 2, np.arange(10) % 2), "mixing_along": (np.arange(10) % 2, np.arange(10))}
    arguments |= {"neighbor_preservation": (cells(10),)}
    with pytest.raises(ValueError, match="embedding is sparse"):
        getattr(metrics, metric)(csr_matrix(cells(10)), *arguments.get(metric, (np.arange(10) % 2,)))


# --- The exact search ---


def naive_exact(query, reference, k):
    """All distances by differences, sorted, ties by index."""
    distances = np.sqrt(((query[:, None] - reference[None]) ** 2).sum(axis=2))
    order = np.lexsort((np.broadcast_to(np.arange(len(reference)), distances.shape), distances))[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


def islands(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return 10 * rng.normal(size=(6, d))[rng.integers(0, 6, n)] + rng.normal(size=(n, d))


@pytest.fixture
def fallen_back(monkeypatch):
    """Numbers of cells that were searched again in float64."""
    searched, again = [], _exact.Exact._in_float64

    def count(self, query, *rest):
        searched.append(len(query))
        return again(self, query, *rest)

    monkeypatch.setattr(_exact.Exact, "_in_float64", count)
    return searched


@given(
    n=st.integers(1, 120),
    n_query=st.integers(1, 60),
    d=st.integers(1, 12),
    k=st.integers(1, 40),
    lattice=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_equals_naive(n, n_query, d, k, lattice, seed):
    rng = np.random.default_rng(seed)
    reference, query = rng.normal(size=(n, d)), rng.normal(size=(n_query, d))
    if lattice:  # many cells at equal distances, and many duplicates
        reference, query = np.round(reference), np.round(query)
    k = min(k, n)
    indices, distances = exact_neighbors(query, reference, k, 1)
    expected = naive_exact(query, reference, k)
    np.testing.assert_allclose(distances, expected[1], rtol=1e-12, atol=1e-12)
    assert all(len(set(row)) == k for row in indices)
    if not lattice:
        np.testing.assert_array_equal(indices, expected[0])
    assert indices.dtype == np.int64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_jobs", [1, 2, None])
def test_equals_scikit_learn_where_regions_are_skipped(monkeypatch, fallen_back, dtype, n_jobs):
    seen, members = [], _regions.Regions.cells

    def count(self, regions):
        seen.append(len(regions) / len(self.sizes))
        return members(self, regions)

    monkeypatch.setattr(_regions.Regions, "cells", count)
    cells = islands(6000, 8).astype(dtype).astype(np.float64)
    query = cells[::3] + 0.01
    indices, distances = exact_neighbors(query, cells, 20, n_jobs)
    expected = NearestNeighbors(n_neighbors=20, algorithm="kd_tree").fit(cells).kneighbors(query)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-12)
    np.testing.assert_array_equal(indices, expected[1])
    assert np.median(seen) < 0.5
    assert not fallen_back


def test_ties_at_the_last_neighbour_go_by_index():
    reference = np.concatenate([np.eye(8), -np.eye(8), np.full((40, 8), 3.0)])
    indices, _ = exact_neighbors(np.zeros((1, 8)), reference, 5, 1)
    np.testing.assert_array_equal(indices, [[0, 1, 2, 3, 4]])


def test_cells_without_proof_are_searched_again(fallen_back):
    cells = np.concatenate([np.zeros((60, 4)), islands(200, 4)])
    indices, distances = exact_neighbors(cells, cells, 10, 1)
    assert fallen_back == [60]  # more duplicates than candidates
    np.testing.assert_allclose(distances, naive_exact(cells, cells, 10)[1], atol=1e-12)
    assert all(len(set(row)) == 10 for row in indices)


def test_what_single_precision_cannot_tell_apart(fallen_back):
    rng = np.random.default_rng(0)
    cells = np.concatenate([1e4 + 1e-2 * rng.normal(size=(300, 3)), -1e4 + 1e-2 * rng.normal(size=(300, 3))])
    indices, distances = exact_neighbors(cells, cells, 12, 1)
    expected = naive_exact(cells, cells, 12)
    assert sum(fallen_back) == 600
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-9)


@pytest.mark.parametrize("far", [1e3, 1e15, 1e30])
def test_outliers(far):
    cells = islands(300, 5)
    cells[7] = far
    expected = naive_exact(cells, cells, 9)
    indices, distances = exact_neighbors(cells, cells, 9, 1)
    np.testing.assert_allclose(np.delete(distances, 7, axis=0), np.delete(expected[1], 7, axis=0), rtol=1e-6)
    assert indices[7, 0] == 7


def test_one_point_for_all():
    indices, distances = exact_neighbors(np.zeros((5, 2)), np.zeros((30, 2)), 30, 1)
    np.testing.assert_array_equal(np.sort(indices, axis=1), np.tile(np.arange(30), (5, 1)))
    assert not distances.any()


def test_result_does_not_depend_on_how_the_work_is_cut(monkeypatch):
    cells = islands(1500, 6)
    whole = exact_neighbors(cells, cells, 15, 1)
    sizes = {
        _exact: {"_SCORES": 1, "_ROWS": 7, "_SPARE": 1},
        _regions: {"_SCORES": 1, "_SIZE": 11, "_MOST": 3},
        _ranking: {"_NUMBERS": 1},
        _single: {"_BLOCK": 13},
    }
    for module, name, value in ((module, *size) for module, of in sizes.items() for size in of.items()):
        monkeypatch.setattr(module, name, value)
        found = exact_neighbors(cells, cells, 15, 2)
        np.testing.assert_array_equal(found[0], whole[0])
        np.testing.assert_array_equal(found[1], whole[1])


def test_regions_left_out_too_early_are_found_out(monkeypatch, fallen_back):
    """However wrong the guess of how far to look: no cell passes for proven that regions not looked at could change."""
    monkeypatch.setattr(_exact.Exact, "_reach", lambda *_: 0.0)
    rng = np.random.default_rng(0)
    reference, query = rng.normal(size=(4000, 5)), rng.normal(size=(200, 5))
    indices, distances = exact_neighbors(query, reference, 10, 1)
    assert fallen_back
    expected = naive_exact(query, reference, 10)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-12)


def test_single_precision_is_searched_as_it_is(fallen_back):
    cells = (islands(3000, 6) + 50).astype(np.float32)
    found = nearest(cells[::4], cells, 12)
    expected = naive_exact(cells[::4].astype(float), cells.astype(float), 12)
    np.testing.assert_array_equal(found.indices, expected[0])
    np.testing.assert_allclose(found.distances, expected[1], rtol=1e-12)
    assert not fallen_back


# --- What every method has to keep ---


def types_of_cells(n, d=20, seed=0):
    rng = np.random.default_rng(seed)
    centers = 3 * np.random.default_rng(7).normal(size=(12, d))
    return centers[rng.integers(0, 12, n)] + rng.normal(size=(n, d))


@pytest.mark.parametrize("k", [1, 15, 50])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recall_against_scikit_learn(method, k, dtype):
    n = 400 if method == "pynndescent" else 4000
    reference, query = types_of_cells(n).astype(dtype), types_of_cells(90, seed=1).astype(dtype) + dtype(0.3)
    found = nearest(query, reference, k, index={"method": method})
    distances, indices = (
        NearestNeighbors(n_neighbors=k, algorithm="kd_tree")
        .fit(reference.astype(float))
        .kneighbors(query.astype(float))
    )
    assert recall(found, Neighbors(indices, distances)) >= 0.99
    assert (found.indices.dtype, found.distances.dtype) == (np.int64, np.float64)
    apart = np.linalg.norm(query[:, None].astype(float) - reference[found.indices].astype(float), axis=2)
    np.testing.assert_allclose(found.distances, apart, rtol=1e-12)
    assert (np.diff(found.distances, axis=1) >= 0).all()


def test_duplicates_are_all_found(method):
    reference = types_of_cells(300)
    reference[:80] = reference[0]
    found = nearest(reference[:5], reference, 60, index={"method": method})
    assert all(len(set(row)) == 60 for row in found.indices)
    assert found.indices.max() < 80
    np.testing.assert_array_equal(found.distances, 0)


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_the_whole_reference(method, n):
    found = nearest(cells(7), cells(n, seed=1), n, index={"method": method})
    np.testing.assert_array_equal(np.sort(found.indices, axis=1), np.tile(np.arange(n), (7, 1)))


def test_one_dimension(method):
    reference, query = cells(200, 1), cells(30, 1, seed=1)
    found, expected = nearest(query, reference, 4, index={"method": method}), naive(query, reference, 4)
    np.testing.assert_array_equal(found.indices, expected.indices)


@pytest.mark.parametrize("far", [1e10, 1e30])
def test_a_query_cell_that_is_far_away(method, far):
    reference, query = types_of_cells(300), types_of_cells(10, seed=1)
    query[3] = far
    found, expected = nearest(query, reference, 5, index={"method": method}), naive(query, reference, 5)
    np.testing.assert_array_equal(np.delete(found.indices, 3, axis=0), np.delete(expected.indices, 3, axis=0))
    np.testing.assert_allclose(found.distances[3], expected.distances[3], rtol=1e-6)


def test_a_kept_index_finds_the_same(method, caplog):
    reference, query = types_of_cells(900), types_of_cells(60, seed=1)
    index = build_index(reference, method)
    kept = {"method": str(index.pop("method")), **{part: values.copy() for part, values in index.items()}}
    assert all(isinstance(values, np.ndarray) and values.dtype.kind in "fi" for values in index.values())
    with caplog.at_level("WARNING", logger="scarches_plus"):
        found, new = (nearest(query, reference, 9, index=one) for one in (kept, {"method": method}))
    assert not caplog.records
    np.testing.assert_array_equal(found.indices, new.indices)
    np.testing.assert_array_equal(found.distances, new.distances)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite(method, bad):
    reference = cells(30)
    reference[4, 2] = bad
    with pytest.raises(ValueError, match="reference has NaN or infinite coordinates in 1 of 30 cells"):
        nearest(cells(3), reference, 2, index={"method": method})


@pytest.mark.parametrize("method", ["exact", "faiss"], indirect=True)
def test_threads_change_nothing(method):
    reference, query = types_of_cells(6000).astype(np.float32), types_of_cells(2000, seed=1).astype(np.float32)
    one, two = build_index(reference, method, n_jobs=1), build_index(reference, method, n_jobs=2)
    for part in ("centers", "regions"):
        np.testing.assert_array_equal(one[part], two[part])
    found = [nearest(query, reference, 20, index=one, n_jobs=n_jobs) for n_jobs in (1, 2, -1)]
    for other in found[1:]:
        np.testing.assert_array_equal(other.indices, found[0].indices)


def spoilt(part, value):
    def spoil(index):
        index[part] = value(index[part]) if callable(value) else value

    return spoil


@pytest.mark.parametrize("method", ["exact", "faiss"], indirect=True)
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (spoilt("method", "usearch"), "method is 'usearch'"),
        (spoilt("regions", lambda regions: regions[:-1]), "of 899 cells, and there are 900"),
        (spoilt("regions", lambda regions: regions[::-1].copy()), "in another order"),
        (spoilt("regions", lambda regions: 0 * regions), "of other cells"),
        (spoilt("regions", lambda regions: regions - 1), "regions that are not there"),
        (spoilt("regions", lambda regions: regions + 10**6), "regions that are not there"),
        (spoilt("regions", lambda regions: regions.astype(float)), "regions that are not there"),
        (spoilt("regions", lambda regions: regions[:, None]), "shape"),
        (spoilt("centers", lambda centers: centers * np.nan), "not finite"),
        (spoilt("centers", lambda centers: centers[:, 1:]), "900 cells"),
        (spoilt("centers", lambda centers: centers[:0]), "regions that are not there"),
        (spoilt("centers", lambda centers: np.tile(centers, (10_000, 1))), "it has "),
    ],
)
def test_an_index_of_other_cells_is_left_aside(method, spoil, why, caplog):
    reference, query = types_of_cells(900), types_of_cells(40, seed=1)
    index = build_index(reference, method)
    spoil(index)
    with caplog.at_level("WARNING", logger="scarches_plus"):
        found = nearest(query, reference, 7, index=index)
    assert why in caplog.text
    np.testing.assert_array_equal(found.indices, naive_exact(query, reference, 7)[0])


def test_an_exact_search_is_exact_whatever_the_regions_of_its_index(fallen_back):
    """A stranger's index: what is kept may make a search slow, not wrong."""
    reference, query = islands(800, 5), islands(50, 5, seed=1)
    index = build_index(reference, "exact")
    rng = np.random.default_rng(0)
    wrong = rng.choice(800, 400, replace=False)
    saved = {"centers": index["centers"], "regions": index["regions"].copy()}
    saved["regions"][wrong] = rng.integers(0, len(index["centers"]), 400)
    indices, _ = _exact.Exact(reference, 1, saved).query(query, 12)
    np.testing.assert_array_equal(indices, naive_exact(query, reference, 12)[0])


@pytest.mark.parametrize("method", ["faiss", "cuml"])
def test_a_library_that_is_not_there(method, replaced, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    replaced(method, {method: None})
    with pytest.raises(ModuleNotFoundError, match=f"needs {method}, which is not installed"):
        build_index(cells(20), method)


def test_faiss_is_not_loaded_beside_torch_on_macos(monkeypatch):
    """Two OpenMP libraries in a process end it there."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(_index, "EXACT_PAIRS", 0)
    monkeypatch.setattr(_index, "find_spec", lambda _: True)
    assert _index.choose(5, 5) == "pynndescent"
    with pytest.raises(RuntimeError, match="choose 'exact' or 'pynndescent'"):
        build_index(cells(20), "faiss")


def test_faiss_is_chosen_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(_index, "EXACT_PAIRS", 24)
    monkeypatch.setattr(_index, "find_spec", lambda name: name == "faiss")
    assert [_index.choose(4, 6), _index.choose(5, 5)] == ["exact", "faiss"]


@pytest.mark.skipif(sys.platform == "darwin", reason="refused there")
@pytest.mark.parametrize("first", ["torch", "faiss"])
def test_faiss_and_torch_work_at_the_same_time(first):
    """In a process of its own, since a clash of their OpenMP libraries ends it."""
    second = {"torch": "faiss", "faiss": "torch"}[first]
    program = f"""
        import {first}, {second}, threading
        import numpy as np
        from scarches_plus._neighbors import build_index, nearest

        torch.set_num_threads(2)
        cells = np.random.default_rng(0).normal(size=(3000, 20))
        index = build_index(cells, "faiss", n_jobs=2)
        found = []

        def search():
            found.append(nearest(cells, cells, 10, index=index, n_jobs=2).indices)

        def train():
            (torch.nn.Linear(500, 500)(torch.randn(500, 500)) ** 2).sum().backward()

        threads = [threading.Thread(target=work) for work in (search, train, search, train, search)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3 and all((one == found[0]).all() for one in found)
        print("the same")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout.strip() == "the same", done.stderr

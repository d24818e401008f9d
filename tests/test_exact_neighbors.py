import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from scarches_plus._neighbors import _exact_neighbors
from scarches_plus._neighbors._exact_neighbors import exact_neighbors


def naive(query, reference, k):
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
    searched, again = [], _exact_neighbors._in_float64

    def count(query, *rest):
        searched.append(len(query))
        return again(query, *rest)

    monkeypatch.setattr(_exact_neighbors, "_in_float64", count)
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
    expected = naive(query, reference, k)
    np.testing.assert_allclose(distances, expected[1], rtol=1e-12, atol=1e-12)
    assert all(len(set(row)) == k for row in indices)
    if not lattice:
        np.testing.assert_array_equal(indices, expected[0])
    assert indices.dtype == np.int64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_jobs", [1, 2, None])
def test_equals_scikit_learn_where_regions_are_skipped(monkeypatch, fallen_back, dtype, n_jobs):
    seen, members = [], _exact_neighbors._Regions.cells

    def count(self, regions):
        seen.append(len(regions) / len(self.sizes))
        return members(self, regions)

    monkeypatch.setattr(_exact_neighbors._Regions, "cells", count)
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
    np.testing.assert_allclose(distances, naive(cells, cells, 10)[1], atol=1e-12)
    assert all(len(set(row)) == 10 for row in indices)


def test_what_single_precision_cannot_tell_apart(fallen_back):
    rng = np.random.default_rng(0)
    cells = np.concatenate([1e4 + 1e-2 * rng.normal(size=(300, 3)), -1e4 + 1e-2 * rng.normal(size=(300, 3))])
    indices, distances = exact_neighbors(cells, cells, 12, 1)
    expected = naive(cells, cells, 12)
    assert sum(fallen_back) == 600
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-9)


@pytest.mark.parametrize("far", [1e3, 1e15, 1e30])
def test_outliers(far):
    cells = islands(300, 5)
    cells[7] = far
    expected = naive(cells, cells, 9)
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
    for name, value in (("_SCORES", 1), ("_ROWS", 7), ("_REGION", 11), ("_MOST_REGIONS", 3), ("_SPARE", 1)):
        monkeypatch.setattr(_exact_neighbors, name, value)
        found = exact_neighbors(cells, cells, 15, 2)
        np.testing.assert_array_equal(found[0], whole[0])
        np.testing.assert_array_equal(found[1], whole[1])


def test_regions_left_out_too_early_are_found_out(monkeypatch, fallen_back):
    """However wrong the guess of how far to look: no cell passes for proven that regions not looked at could change."""
    monkeypatch.setattr(_exact_neighbors._Search, "_reach", lambda *_: 0.0)
    rng = np.random.default_rng(0)
    reference, query = rng.normal(size=(4000, 5)), rng.normal(size=(200, 5))
    indices, distances = exact_neighbors(query, reference, 10, 1)
    assert fallen_back
    expected = naive(query, reference, 10)
    np.testing.assert_array_equal(indices, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-12)

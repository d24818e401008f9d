"""Cells are placed where an independent minimiser puts them, and the reference stays where it is."""

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial import ConvexHull, QhullError

import scarches_plus as sp
from scarches_plus.tl import ReferenceMap


def picture_of(points, latent, **parts):
    n = len(points)
    plain = {"n_cells": np.ones(n, int), "of_label": np.full(n, -1), "labels": (), "space": None, "basis": "X_umap"}
    return ReferenceMap(np.asarray(points, float), np.asarray(latent, float), **{**plain, **parts})


def random_picture(n=80, d=4, seed=0):
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, d))
    return picture_of(latent[:, :2] * 3 + 0.3 * rng.normal(size=(n, 2)), latent)


def cells(n=20, d=4, seed=1):
    return AnnData(obsm={"X_scarches": np.random.default_rng(seed).normal(size=(n, d))})


def naive_neighbors(cell, picture, k):
    """Nearest points and the gaussian kernel with the root mean square of their distances."""
    apart = np.sqrt(((picture.latent - cell) ** 2).sum(axis=1))
    order = np.argsort(apart, kind="stable")[:k]
    spread = np.sqrt((apart[order] ** 2).mean())
    weights = np.exp(-0.5 * (apart[order] / spread) ** 2) if spread else np.ones(k)
    return picture.points[order], weights * picture.n_cells[order]


def cost(place, points, weights):
    return sum(w * np.hypot(*(place - point)) for point, w in zip(points, weights, strict=True))


@pytest.mark.parametrize("k", [1, 2, 3, 15])
def test_the_weighted_geometric_median(k):
    picture, query = random_picture(), cells()
    sp.tl.place(query, picture, k=k)
    for cell, place in zip(query.obsm["X_scarches"], query.obsm["X_map"], strict=True):
        points, weights = naive_neighbors(cell, picture, k)
        starts = [*points, points.mean(axis=0)]
        best = min(
            (
                minimize(cost, start, (points, weights), "Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
                for start in starts
            ),
            key=lambda found: found.fun,
        )
        assert cost(place, points, weights) <= best.fun * (1 + 1e-6) + 1e-6
        if k != 2:  # of two, every place between equal weights is a median
            np.testing.assert_allclose(place, best.x, atol=2e-3)


def test_anchors_weigh_as_many_cells_as_they_stand_for():
    latent = np.eye(3)
    points = np.array([[0.0, 0], [4, 0], [0, 3]])
    query = AnnData(obsm={"X_scarches": np.full((1, 3), 1 / 3)})
    for heavy in range(3):
        n_cells = np.full(3, 20)
        n_cells[heavy] = 60
        sp.tl.place(query, picture_of(points, latent, n_cells=n_cells))
        np.testing.assert_array_equal(query.obsm["X_map"][0], points[heavy])  # more than half of all weight


def test_medians_on_points_and_of_points_that_coincide():
    """Four corners and their centre, a doubled corner, and one place for all."""
    corners = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])
    latent = np.ones((5, 2))
    query = AnnData(obsm={"X_scarches": np.ones((1, 2))})
    for points, expected in (
        ([*corners, [1, 1]], [1, 1]),
        ([[0, 0], [0, 0], [0, 0], [2, 2], [0, 2]], [0, 0]),
        ([[7, -3]] * 5, [7, -3]),
        ([[0, 0], [1, 0], [2, 0], [5, 0], [9, 0]], [2, 0]),
    ):
        sp.tl.place(query, picture_of(points, latent))
        np.testing.assert_allclose(query.obsm["X_map"], [expected], atol=1e-6)


def test_a_cell_lies_on_an_island_where_a_mean_lies_between():
    """Nine neighbours on one island and six on another."""
    points = np.r_[np.zeros((9, 2)), np.full((6, 2), 10.0)] + 0.1 * np.random.default_rng(0).normal(size=(15, 2))
    query = AnnData(obsm={"X_scarches": np.zeros((1, 3))})
    sp.tl.place(query, picture_of(points, np.random.default_rng(1).normal(size=(15, 3)) * 1e-3))
    assert np.linalg.norm(query.obsm["X_map"][0]) < 0.3
    assert query.uns["scarches_plus"]["placement"]["X_map"]["in_gaps"] == 0


@given(seed=st.integers(0, 10**6), k=st.integers(1, 12), alike=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_place_is_in_the_hull_of_the_neighbours(seed, k, alike):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 4, size=(30, 2)).astype(float) if alike else rng.normal(size=(30, 2))
    picture = picture_of(points, rng.normal(size=(30, 3)))
    query = AnnData(obsm={"X_scarches": rng.normal(size=(5, 3))})
    sp.tl.place(query, picture, k=k)
    for cell, place in zip(query.obsm["X_scarches"], query.obsm["X_map"], strict=True):
        near, _ = naive_neighbors(cell, picture, k)
        assert (place >= near.min(axis=0) - 1e-5).all()
        assert (place <= near.max(axis=0) + 1e-5).all()
        try:
            hull = ConvexHull(near)
        except (QhullError, ValueError):  # fewer than three points, or on a line
            continue
        assert (hull.equations[:, :2] @ place + hull.equations[:, 2] <= 1e-5).all()


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_order_does_not_matter_and_the_map_stays(seed):
    rng = np.random.default_rng(seed)
    picture, query = random_picture(seed=seed), cells(30, seed=seed + 1)
    before = {name: np.array(value) for name, value in vars(picture).items() if isinstance(value, np.ndarray)}
    sp.tl.place(query, picture)
    order, shuffled = rng.permutation(30), rng.permutation(80)
    turned = AnnData(obsm={"X_scarches": query.obsm["X_scarches"][order]})
    sp.tl.place(turned, picture_of(picture.points[shuffled], picture.latent[shuffled]))
    np.testing.assert_allclose(turned.obsm["X_map"], query.obsm["X_map"][order], atol=1e-5)
    for name, value in before.items():
        assert np.abs(getattr(picture, name) - value).max(initial=0) == 0.0


def test_five_queries_move_no_point():
    encoder = {
        "shift": np.zeros(4), "scale": np.ones(4), "center": np.zeros(2), "unit": np.asarray(1.0),
        "weight_0": np.eye(4)[:, :2], "bias_0": np.zeros(2),
    }  # fmt: skip
    picture = picture_of(random_picture().points, random_picture().latent, encoder=encoder)
    before = picture.points.copy(), picture.latent.copy(), {name: value.copy() for name, value in encoder.items()}
    for seed in range(5):
        query = cells(40, seed=seed)
        for method in ("neighbors", "parametric"):
            sp.tl.place(query, picture, method=method)
        sp.tl.presence(picture, query)
    assert np.abs(picture.points - before[0]).max() == 0.0
    assert np.abs(picture.latent - before[1]).max() == 0.0
    assert max(np.abs(encoder[name] - value).max() for name, value in before[2].items()) == 0.0


def test_many_cells_are_placed_in_steps(limits):
    picture, query = random_picture(), cells(50)
    sp.tl.place(query, picture)
    at_once = query.obsm["X_map"].copy()
    limits(placed=15 * 15 * 7)
    sp.tl.place(query, picture)
    np.testing.assert_array_equal(query.obsm["X_map"], at_once)


def test_the_encoder_as_loops():
    rng = np.random.default_rng(0)
    encoder = {
        "shift": rng.normal(size=3), "scale": rng.uniform(1, 2, 3), "center": np.array([5.0, -5]), "unit": np.asarray(2.5),
        "weight_0": rng.normal(size=(3, 4)), "bias_0": rng.normal(size=4),
        "weight_1": rng.normal(size=(4, 2)), "bias_1": rng.normal(size=2),
    }  # fmt: skip
    query = cells(6, d=3)
    sp.tl.place(query, picture_of(np.zeros((12, 2)), np.zeros((12, 3)), encoder=encoder), method="parametric")
    for cell, place in zip(query.obsm["X_scarches"], query.obsm["X_map"], strict=True):
        hidden = []
        for unit in range(4):
            total = encoder["bias_0"][unit]
            for i in range(3):
                total += (cell[i] - encoder["shift"][i]) / encoder["scale"][i] * encoder["weight_0"][i, unit]
            hidden.append(max(total, 0))
        for axis in range(2):
            value = encoder["bias_1"][axis] + sum(hidden[unit] * encoder["weight_1"][unit, axis] for unit in range(4))
            assert place[axis] == pytest.approx(value * 2.5 + encoder["center"][axis], rel=1e-5)


def test_the_record_and_the_copy():
    picture, query = random_picture(), cells()
    copied = sp.tl.place(query, picture, k=7, key_added="X_there", copy=True)
    assert not query.obsm.keys() - {"X_scarches"}
    assert not query.uns
    record = copied.uns["scarches_plus"]["placement"]["X_there"]
    assert record["method"] == "neighbors"
    assert (record["k"], record["n_points"], record["n_cells"], record["basis"]) == (7, 80, 80, "X_umap")
    apart = np.linalg.norm(picture.points[:, None] - picture.points, axis=2)
    np.fill_diagonal(apart, np.inf)
    limit = np.quantile(apart.min(axis=1), 0.999)
    far = np.linalg.norm(copied.obsm["X_there"][:, None] - picture.points, axis=2).min(axis=1) > limit
    assert record["in_gaps"] == far.mean()


def test_cells_of_several_modalities():
    picture, query = random_picture(), cells()
    parts = {
        name: AnnData(np.zeros((20, 2)), var=pd.DataFrame(index=[f"{name}0", f"{name}1"]))
        for name in ("rna", "protein")
    }
    joint = mudata.MuData(parts)
    joint.obsm["X_scarches"] = query.obsm["X_scarches"]
    sp.tl.place(joint, picture)
    sp.tl.place(query, picture)
    np.testing.assert_array_equal(joint.obsm["X_map"], query.obsm["X_map"])
    assert joint.uns["scarches_plus"]["placement"]["X_map"]["n_points"] == 80


def test_gaps_are_counted():
    """An encoder that puts every second cell far away."""
    encoder = {
        "shift": np.zeros(4), "scale": np.ones(4), "center": np.zeros(2), "unit": np.asarray(1.0),
        "weight_0": np.c_[np.eye(4)[0] * 100, np.zeros(4)], "bias_0": np.zeros(2),
    }  # fmt: skip
    query = cells(10)
    query.obsm["X_scarches"][:, 0] = np.arange(10) % 2
    sp.tl.place(
        query, picture_of(random_picture().points, random_picture().latent, encoder=encoder), method="parametric"
    )
    assert query.uns["scarches_plus"]["placement"]["X_map"]["in_gaps"] == 0.5


def test_a_gap_is_wider_than_points_are_apart():
    """One in twenty points is 3 from the next, the others 1; three cells are 0.5, 2.5 and 3.5 from the nearest."""
    places = np.concatenate([np.arange(950), 950 + 3 * np.arange(50)])
    encoder = {
        "shift": np.zeros(2), "scale": np.ones(2), "center": np.zeros(2), "unit": np.asarray(1.0),
        "weight_0": np.eye(2), "bias_0": np.zeros(2),
    }  # fmt: skip
    points = np.c_[places, np.zeros(1000)]
    query = AnnData(obsm={"X_scarches": np.array([[475, 0.5], [475, 2.5], [475, 3.5]])})
    sp.tl.place(query, picture_of(points, points, encoder=encoder), method="parametric")
    assert query.uns["scarches_plus"]["placement"]["X_map"]["in_gaps"] == pytest.approx(1 / 3)


def test_other_spaces_and_missing_encoders_are_refused(query, reference, model):
    picture = sp.tl.reference_map(reference, labels_key="cell_type")
    with pytest.raises(KeyError, match="X_scarches"):
        sp.tl.place(query, picture)
    mapped = sp.tl.map_query(query, model, strategy="all", max_epochs=1, train_kwargs={"enable_progress_bar": False})
    with pytest.raises(ValueError, match="different latent spaces"):
        sp.tl.place(query, picture)
    with pytest.raises(ValueError, match="different latent spaces"):
        sp.tl.presence(picture, query)
    sp.tl.embed(reference, mapped)
    again = sp.tl.reference_map(reference, labels_key="cell_type")
    sp.tl.place(query, again)
    assert query.uns["scarches_plus"]["placement"]["X_map"]["space"] == again.space == mapped.state.space
    with pytest.raises(ValueError, match="needs an encoder"):
        sp.tl.place(query, again, method="parametric")
    query.obsm["X_scarches"] = query.obsm["X_scarches"][:, :2]
    with pytest.raises(ValueError, match="2 dimensions in the query and 4 in"):
        sp.tl.place(query, again)

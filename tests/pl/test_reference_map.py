"""The map is drawn as it is: points where they are, names apart, novel cells with a mark of their own."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

from scarches_plus.pl import reference_map
from scarches_plus.tl import ReferenceMap


def picture(labels=4, n=400, **parts):
    rng = np.random.default_rng(0)
    of_label = np.arange(n) % labels
    points = 12 * rng.normal(size=(labels, 2))[of_label] + rng.normal(size=(n, 2))
    names = tuple(f"a rather long cell type {i}" for i in range(labels))
    plain = {"n_cells": np.ones(n, int), "of_label": of_label, "labels": names, "space": None, "basis": "X_umap"}
    return ReferenceMap(**{"points": points, "latent": points, **plain, **parts})


@pytest.fixture
def placed():
    rng = np.random.default_rng(1)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical([*"ab" * 12, *"abcd", None, "Unknown"], categories=[*"abcd", "Unknown"]),
            "score": np.r_[np.linspace(0, 1, 28), np.nan, 3],
            "novel": [True] * 6 + [False] * 24,
            "novel_state": ["novel"] * 6 + ["not judged"] * 2 + ["known"] * 22,
        },
        index=[f"cell{i}" for i in range(30)],
    )
    return AnnData(obs=obs, obsm={"X_map": rng.normal(size=(30, 2))})


def drawn(ax):
    """Label to the points, and to what was drawn."""
    return {one.get_label(): one for one in ax.collections}


def overlapping(ax):
    boxes = [text.get_window_extent() for text in ax.texts]
    return [(i, j) for i, one in enumerate(boxes) for j, other in enumerate(boxes) if i < j and one.overlaps(other)]


def test_the_reference_alone_has_its_labels_on_it():
    of = picture()
    ax = reference_map(of)
    np.testing.assert_allclose(drawn(ax)["reference"].get_offsets(), of.points)
    assert sorted(text.get_text() for text in ax.texts) == sorted(of.labels)
    assert ax.get_legend() is None
    for text in ax.texts:  # with room for all, each lies on its island
        own = of.points[of.of_label == of.labels.index(text.get_text())]
        assert np.linalg.norm(own - text.get_position(), axis=1).min() < 1


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("size", [None, (3, 3)])
def test_twenty_names_do_not_overlap(alike, size):
    of = picture(20, **({"points": np.random.default_rng(0).normal(size=(400, 2))} if alike else {}))
    ax = plt.subplots(figsize=size, layout="constrained")[1] if size else None
    ax = reference_map(of, ax=ax)
    ax.figure.canvas.draw()
    assert len(ax.texts) == 20
    assert overlapping(ax) == []
    assert min(text.get_fontsize() for text in ax.texts) >= 7


def test_the_query_lies_above(placed, assert_unchanged):
    assert_unchanged(placed)
    of = picture()
    before = of.points.copy()
    ax = reference_map(of, placed)
    assert_unchanged(placed)
    np.testing.assert_array_equal(of.points, before)
    parts = drawn(ax)
    np.testing.assert_allclose(parts["query (30)"].get_offsets(), placed.obsm["X_map"])
    assert parts["query (30)"].get_zorder() > parts["reference"].get_zorder()
    assert {to_hex(color) for color in parts["reference"].get_facecolor()} == {"#e2e2e2"}


def test_novel_cells_have_a_mark_of_their_own(placed):
    ax = reference_map(picture(), placed, novel_key="novel")
    parts = drawn(ax)
    assert set(parts) == {"reference", "not novel (22)", "not judged (2)", "novel (6)"}
    np.testing.assert_allclose(parts["novel (6)"].get_offsets(), placed.obsm["X_map"][:6])
    cross, dot = (parts[name].get_paths()[0].vertices for name in ("novel (6)", "not novel (22)"))
    assert len(cross) == 4 != len(dot)
    assert len(parts["not judged (2)"].get_facecolor()) == 0, "hollow"
    assert to_hex(parts["novel (6)"].get_edgecolor()[0]) == "#d55e00"
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["reference", "not novel (22)", "not judged (2)", "novel (6)"]


def test_labels_in_their_colours(placed):
    ax = reference_map(picture(), placed, color="cell_type", novel_key="novel")
    rest = {"no value (1)", "a (9)", "b (9)", "c (1)", "d (1)", "Unknown (1)"}  # neither novel nor not judged
    assert set(drawn(ax)) == {"reference", *rest, "not judged (2)", "novel (6)"}
    placed.uns["cell_type_colors"] = ["#111111", "#222222", "#333333", "#444444", "#555555"]
    parts = drawn(reference_map(picture(), placed, color="cell_type"))
    colors = {name[0]: to_hex(one.get_facecolor()[0]) for name, one in parts.items() if name[1] == " "}
    assert colors == {"a": "#111111", "b": "#222222", "c": "#333333", "d": "#444444"}


def test_more_labels_than_colours_differ_in_their_marks(placed):
    placed.obs["many"] = pd.Categorical([f"type {i}" for i in range(30)])
    parts = drawn(reference_map(picture(), placed, color="many"))
    looks = {
        (to_hex(one.get_facecolor()[0]), one.get_paths()[0].vertices.round(3).tobytes())
        for name, one in parts.items()
        if name.startswith("type")
    }
    assert len(looks) == 30


def test_cells_without_a_label_are_light_and_lie_below(placed):
    ax = reference_map(picture(), placed, color="cell_type")
    assert [name.split(" (")[0] for name in drawn(ax)][:4] == ["reference", "no value", "Unknown", "a"]
    parts = drawn(ax)
    assert {to_hex(parts[name].get_facecolor()[0]) for name in ("no value (1)", "Unknown (1)")} == {"#b3b3b3"}


def test_numbers_have_a_colour_bar(placed):
    ax = reference_map(picture(), placed, color="score")
    parts = drawn(ax)
    np.testing.assert_allclose(parts["query (29)"].get_array(), placed.obs["score"].dropna())
    np.testing.assert_allclose(parts["no value (1)"].get_offsets(), placed.obsm["X_map"][28:29])
    assert [axes.get_ylabel() for axes in ax.figure.axes if axes is not ax] == ["score"]


def test_presence_colours_the_reference(placed):
    of = picture()
    scores = np.linspace(0, 1, 400)
    placed.uns["scarches_plus"] = {"presence": {"covered": {"scores": scores}}}
    ax = reference_map(of, placed, color="covered")
    (points,) = ax.collections
    np.testing.assert_allclose(points.get_array(), scores)
    assert points.get_clim() == (0, 1)
    with pytest.raises(ValueError, match="is of 400 points and the map has 120"):
        reference_map(picture(n=120), placed, color="covered")


@pytest.mark.parametrize("with_scores", [False, True])
def test_a_large_reference_is_a_light_density(placed, with_scores):
    of = picture(n=60_000)
    placed.uns["scarches_plus"] = {"presence": {"covered": {"scores": np.full(60_000, 0.25)}}}
    ax = reference_map(of, placed, color="covered" if with_scores else None)
    density = ax.collections[0]
    assert len(density.get_array()) < 40_000
    if with_scores:
        np.testing.assert_allclose(density.get_array(), 0.25)
        return
    ax.figure.canvas.draw()
    assert density.get_facecolor()[:, :3].min() > 0.5


def test_anchors_are_as_large_as_they_are_many():
    of = picture(n=40, n_cells=np.repeat([20, 80], 20))
    sizes = drawn(reference_map(of))["reference"].get_sizes()
    assert sizes[-1] == pytest.approx(2 * sizes[0])


def test_what_cannot_be_drawn(placed):
    of = picture()
    with pytest.raises(KeyError, match=r"sp\.tl\.place"):
        reference_map(of, placed, key="X_other")
    with pytest.raises(KeyError, match="no_such"):
        reference_map(of, placed, color="no_such")
    with pytest.raises(KeyError, match=r"sp\.tl\.detect_novel"):
        reference_map(of, placed, novel_key="no_such")
    with pytest.raises(ValueError, match="must be boolean"):
        reference_map(of, placed, novel_key="score")
    with pytest.raises(ValueError, match="pass query="):
        reference_map(of, color="cell_type")
    placed.obsm["X_map"] = np.zeros((30, 3))
    with pytest.raises(ValueError, match="no two finite coordinates"):
        reference_map(of, placed)

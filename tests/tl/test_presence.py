"""Presence against loops, and what it has to say of queries that are known."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import beta

import scarches_plus as sp


def cells(sizes, seed, d=4):
    """Cells of some types, by their sizes; types are at the same places whatever the seed."""
    centers = 5 * np.random.default_rng(99).normal(size=(len(sizes), d))
    of_type = np.repeat(np.arange(len(sizes)), sizes)
    latent = centers[of_type] + np.random.default_rng(seed).normal(size=(len(of_type), d))
    obs = pd.DataFrame({"cell_type": [f"type{i}" for i in of_type]}, index=[f"{seed}-{i}" for i in range(len(of_type))])
    obs["novel"] = False
    return AnnData(obs=obs, obsm={"X_scarches": latent, "X_umap": latent[:, :2]})


def naive_votes(voters, points, k, *, own=False, masses=None):
    votes = np.zeros(len(points))
    for i, cell in enumerate(voters):
        apart = np.sqrt(((points - cell) ** 2).sum(axis=1))
        if own:
            apart[i] = np.inf
        near = np.argsort(apart, kind="stable")[:k]
        spread = np.sqrt((apart[near] ** 2).mean())
        weights = np.exp(-0.5 * (apart[near] / spread) ** 2)
        for j, w in zip(near, weights / weights.sum(), strict=True):
            votes[j] += w * (1 if masses is None else masses[i])
    return votes


def naive_presence(query, points, k, masses=None):
    given, own = naive_votes(query, points, k), naive_votes(points, points, k, own=True, masses=masses)
    scores = []
    for j, point in enumerate(points):
        apart = np.sqrt(((points - point) ** 2).sum(axis=1))
        apart[j] = np.inf
        around = [j, *np.argsort(apart, kind="stable")[:k]]
        expected = own[around].sum() / own.sum()
        scores.append(min(1, given[around].sum() / given.sum() / expected) if expected else 0)
    return np.array(scores), given


def test_scores_and_table_as_loops():
    reference, query = cells([40, 20, 30], 0), cells([10, 0, 25], 1)
    table = sp.tl.presence(reference, query, labels_key="cell_type", k=6)
    scores, votes = naive_presence(query.obsm["X_scarches"], reference.obsm["X_scarches"], 6)
    np.testing.assert_allclose(reference.obs["presence"], scores, atol=1e-9)
    record = query.uns["scarches_plus"]["presence"]["presence"]
    np.testing.assert_allclose(record["scores"], scores, atol=1e-6)
    assert (record["n_query"], record["k"]) == (35, 6)
    assert list(table.index) == ["type0", "type1", "type2"]
    for name, row in table.iterrows():
        of_type = (reference.obs["cell_type"] == name).to_numpy()
        assert row["presence"] == pytest.approx(scores[of_type].mean())
        assert row["n_query"] == pytest.approx(votes[of_type].sum())
        assert row["share"] == pytest.approx(votes[of_type].sum() / 35)
        assert row["n_reference"] == of_type.sum()
        assert row["reference_share"] == pytest.approx(of_type.mean())
        low, high = beta.interval(0.95, votes[of_type].sum() + 0.5, 35 - votes[of_type].sum() + 0.5)
        assert (row["low"], row["high"]) == pytest.approx((low, high))


def test_a_map_and_its_cells_say_the_same():
    reference, query = cells([60, 60], 0), cells([30, 10], 1)
    of_cells = sp.tl.presence(reference, query, labels_key="cell_type", key_added="a")
    of_map = sp.tl.presence(sp.tl.reference_map(reference, labels_key="cell_type"), query, key_added="b")
    pd.testing.assert_frame_equal(of_cells, of_map, atol=1e-5)
    records = query.uns["scarches_plus"]["presence"]
    np.testing.assert_allclose(records["a"]["scores"], records["b"]["scores"], atol=1e-5)
    assert "b" not in reference.obs


def test_anchors_as_loops():
    picture = sp.tl.reference_map(cells([300, 200], 0), labels_key="cell_type").without_cells()
    query = cells([50, 10], 1)
    table = sp.tl.presence(picture, query)
    k = max(3, round(50 / picture.n_cells.mean()))
    scores, _ = naive_presence(query.obsm["X_scarches"], picture.latent.astype(float), k, picture.n_cells)
    np.testing.assert_allclose(query.uns["scarches_plus"]["presence"]["presence"]["scores"], scores, atol=1e-6)
    assert picture.n_cells.std() > 0
    of_cells = np.repeat(scores, picture.n_cells)  # each cell scores as its anchor
    for code, row in enumerate(table.itertuples()):
        of_type = np.repeat(picture.of_label, picture.n_cells) == code
        assert row.presence == pytest.approx(of_cells[of_type].mean(), rel=1e-6)
        assert row.reference_share == pytest.approx(of_type.mean())


@pytest.mark.parametrize("n", [150, 600, 3000])
@pytest.mark.parametrize("anchors", [False, True])
def test_what_is_there_is_present_whatever_the_size_of_the_query(n, anchors):
    """A third type is missing, and a second has half of its share in the reference."""
    reference, query = cells([600, 600, 600], 0), cells([2 * n // 3, n // 6, 0], 1)
    picture = sp.tl.reference_map(reference, labels_key="cell_type")
    table = sp.tl.presence(picture.without_cells() if anchors else picture, query)
    assert table.loc["type0", "presence"] > 0.85
    assert table.loc["type1", "presence"] == pytest.approx(0.2 / (1 / 3), abs=0.15)  # shares in query and reference
    assert table.loc["type2", "presence"] < 0.02
    assert table.loc["type1", "low"] < 0.2 < table.loc["type1", "high"]


def test_small_queries_are_less_sure():
    reference = cells([300, 300], 0)
    widths = []
    for n in (20, 200, 2000):
        table = sp.tl.presence(reference, cells([n, n], 1), labels_key="cell_type")
        widths.append(table.loc["type0", "high"] - table.loc["type0", "low"])
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_novel_cells_do_not_vote():
    reference, query = cells([100, 100], 0), cells([50, 50], 1)
    query.obs["novel"] = (query.obs["cell_type"] == "type1").to_numpy()
    table = sp.tl.presence(reference, query, labels_key="cell_type", novel_key="novel")
    assert table.loc["type1", "presence"] < 0.01
    assert table["n_query"].sum() == pytest.approx(50)
    query.obs["novel"] = True
    with pytest.raises(ValueError, match="no cell of the query votes"):
        sp.tl.presence(reference, query, novel_key="novel")


def test_without_labels_the_table_is_empty_and_a_map_has_its_own():
    reference, query = cells([60, 60], 0), cells([30, 10], 1)
    assert sp.tl.presence(reference, query).empty
    with pytest.raises(ValueError, match="labels_key and unlabelled are of a reference with cells"):
        sp.tl.presence(sp.tl.reference_map(reference), query, labels_key="cell_type")
    with pytest.raises(KeyError, match="no_such"):
        sp.tl.presence(reference, query, labels_key="no_such")


def test_it_can_be_written(tmp_path):
    reference, query = cells([60, 60], 0), cells([30, 10], 1)
    picture = sp.tl.reference_map(reference, labels_key="cell_type")
    sp.tl.place(query, picture)
    sp.tl.presence(picture, query)
    query.write_h5ad(tmp_path / "query.h5ad")
    assert (tmp_path / "query.h5ad").stat().st_size

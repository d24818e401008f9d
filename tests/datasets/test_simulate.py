"""The simulated truth, checked against closed forms and naive constructions."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from scarches_plus.datasets import simulate


def true_means(adata):
    """Means of all counts, cell by cell from the stored truth."""
    programs = adata.varm["log_programs"]
    effects = adata.varm["log_batch_effects"]
    means = np.empty(adata.shape)
    for row, cell in enumerate(adata.obs.itertuples()):
        log_program = programs[cell.cell_type]
        if "trajectory" in adata.obs and isinstance(cell.trajectory, str):
            start, end = cell.trajectory.split("-")
            log_program = (1 - cell.pseudotime) * programs[start] + cell.pseudotime * programs[end]
        rate = np.exp(log_program + effects[cell.batch])
        means[row] = cell.depth * rate / rate.sum()
    return means


def depth_of_common_ancestor(parents, first, second):
    """Steps from the root to the last node two types share."""

    def path(node):
        nodes = [node]
        while nodes[-1] != "root":
            nodes.append(parents[nodes[-1]])
        return nodes[::-1]

    return sum(a == b for a, b in zip(path(first), path(second), strict=True)) - 1


def test_defaults():
    adata = simulate()
    assert adata.shape == (1000, 500)
    assert isinstance(adata.X, sparse.csr_matrix)
    assert adata.X.dtype == np.float32
    assert adata.X.has_sorted_indices
    assert (adata.X.data >= 1).all()
    assert (adata.X.data % 1 == 0).all()
    assert adata.obs["cell_type"].value_counts().eq(125).all()
    assert adata.obs["batch"].value_counts().eq(500).all()
    assert list(adata.obs.columns) == ["clade_1", "clade_2", "cell_type", "batch", "depth"]


@pytest.mark.parametrize("trajectories", [None, {("type0", "type3"): 0.5}])
def test_counts_scatter_around_the_stored_truth(trajectories):
    adata = simulate(
        4000, 60, 4, batch_effect=0.5, depth_effect=0.5, inverse_dispersion=3.0, trajectories=trajectories, rng=2
    )
    mu = true_means(adata)
    np.testing.assert_allclose(mu.sum(axis=1), adata.obs["depth"])
    pearson = (adata.X.toarray() - mu) / np.sqrt(mu + mu**2 / 3.0)
    assert abs(pearson.mean()) < 5 / np.sqrt(pearson.size)
    assert abs((pearson**2).mean() - 1) < 0.03
    # no batch, type or gene is off
    for key in ("batch", "cell_type"):
        for rows in adata.obs.groupby(key, observed=True).indices.values():
            of_genes = pearson[rows].mean(axis=0) * np.sqrt(len(rows))
            assert np.abs(of_genes).max() < 5


def test_depth():
    adata = simulate(30_000, 5, 1, n_batches=3, depth_effect=0.7, mean_depth=800.0)
    by_batch = adata.obs.groupby("batch", observed=True)["depth"]
    np.testing.assert_allclose(by_batch.mean(), 800 * np.exp([-0.7, 0.0, 0.7]), rtol=0.02)
    np.testing.assert_allclose(by_batch.apply(lambda depth: np.log(depth).std()), 0.3, rtol=0.03)


def test_effects_have_the_strength_asked_for():
    adata = simulate(4, 20_000, 4, n_batches=2, branching=2, type_effect=0.4, batch_effect=[0.0, 0.6])
    effects = adata.varm["log_batch_effects"]
    assert (effects["batch0"] == 0).all()
    assert effects["batch1"].std() == pytest.approx(0.6, rel=0.03)
    programs = adata.varm["log_programs"]
    # two types differ by the branches since they parted: one level below the common node, or two
    assert (programs["type0"] - programs["type1"]).std() == pytest.approx(0.4 * np.sqrt(2), rel=0.03)
    assert (programs["type0"] - programs["type2"]).std() == pytest.approx(0.4 * np.sqrt(4), rel=0.03)


@pytest.mark.parametrize(("n_types", "branching"), [(8, 2), (9, 3), (5, 2), (7, 4), (3, 10), (1, 2)])
def test_types_that_part_later_are_more_alike(n_types, branching):
    adata = simulate(200, 20_000, n_types, branching=branching, type_effect=0.5, mean_depth=10.0)
    parents = adata.uns["simulate"]["parents"]
    programs = adata.varm["log_programs"]
    distances = {}
    for first, second in combinations(programs.columns, 2):
        depth = depth_of_common_ancestor(parents, first, second)
        distances.setdefault(depth, []).append((programs[first] - programs[second]).std())
    depths = sorted(distances)
    for shallow, deep in pairwise(depths):
        assert min(distances[shallow]) > max(distances[deep])


@pytest.mark.parametrize(("n_types", "branching", "n_levels"), [(8, 2, 3), (9, 3, 2), (5, 2, 3), (3, 10, 1), (1, 2, 1)])
def test_tree(n_types, branching, n_levels):
    adata = simulate(100, 10, n_types, branching=branching)
    truth = adata.uns["simulate"]
    assert truth["levels"] == [*(f"clade_{i}" for i in range(1, n_levels)), "cell_type"]
    children = pd.Series(truth["parents"]).value_counts()
    assert children.max() <= branching
    # the columns of the levels are the paths of the tree
    above = ["root"] * adata.n_obs
    for level in truth["levels"]:
        assert [truth["parents"][node] for node in adata.obs[level]] == above
        above = adata.obs[level].tolist()


@pytest.mark.parametrize(("n_types", "branching", "sizes"), [(5, 2, [3, 2]), (10, 3, [4, 3, 3]), (6, 4, [2, 1, 2, 1])])
def test_types_are_spread_over_the_tree(n_types, branching, sizes):
    of_types = simulate(100, 10, n_types, branching=branching).obs[["clade_1", "cell_type"]].drop_duplicates()
    assert of_types["clade_1"].value_counts(sort=False).tolist() == sizes


def test_clades_say_how_many_nodes_each_level_has():
    adata = simulate(265 * 2, 10, 265, clades=(5, 39))
    sizes = adata.obs[["clade_1", "clade_2", "cell_type"]].drop_duplicates()
    assert [sizes[level].nunique() for level in sizes] == [5, 39, 265]
    assert len(sizes) == 265  # every type has one group, every group one clade
    assert set(sizes["clade_2"].value_counts()) == {6, 7}
    for wrong in [(300,), (4, 3), (0,), (2.5,)]:
        with pytest.raises(ValueError, match="clades"):
            simulate(1000, 10, 265, clades=wrong)


def test_large_branching_makes_a_flat_tree():
    flat = simulate(50, 10, 5, branching=10**12)
    assert set(flat.uns["simulate"]["parents"].values()) == {"root"}
    assert list(flat.obs.columns) == ["cell_type", "batch", "depth"]


def test_batches_without_effects_are_exchangeable():
    adata = simulate(3000, 200, 4, batch_effect=0, depth_effect=0, rng=3)
    counts, first = adata.X.toarray(), (adata.obs["batch"] == "batch0").to_numpy()
    of_genes = stats.mannwhitneyu(counts[first], counts[~first]).pvalue
    assert stats.kstest(of_genes, "uniform").pvalue > 0.01
    assert stats.ks_2samp(counts[first].sum(axis=1), counts[~first].sum(axis=1)).pvalue > 0.01
    assert (adata.varm["log_batch_effects"] == 0).all(axis=None)


@pytest.mark.parametrize("effect", [{"batch_effect": 0.2, "depth_effect": 0}, {"batch_effect": 0, "depth_effect": 0.2}])
def test_effects_are_seen_by_the_same_tests(effect):
    adata = simulate(3000, 200, 4, rng=3, **effect)
    counts, first = adata.X.toarray(), (adata.obs["batch"] == "batch0").to_numpy()
    of_genes = stats.mannwhitneyu(counts[first], counts[~first]).pvalue
    assert stats.kstest(of_genes, "uniform").pvalue < 1e-6


def test_as_many_cells_as_types_are_enough():
    assert simulate(8, 5, 8).obs["cell_type"].value_counts().eq(1).all()


def test_rare_and_missing_types():
    adata = simulate(
        [900, 300],
        20,
        4,
        type_shares={"type3": 0.01},
        missing_types={"batch1": ["type0", "type1"]},
    )
    table = pd.crosstab(adata.obs["batch"], adata.obs["cell_type"])
    assert table.loc["batch0"].tolist() == [297, 297, 297, 9]
    # the remaining shares 0.33 and 0.01 grow to 33/34 and 1/34
    assert table.loc["batch1"].tolist() == [0, 0, 291, 9]


def test_one_missing_type_may_be_named_without_a_list():
    adata = simulate(60, 5, 3, missing_types={"batch0": "type1"})
    assert set(adata.obs.loc[adata.obs["batch"] == "batch0", "cell_type"]) == {"type0", "type2"}


def test_trajectories():
    adata = simulate(
        [2000, 1000],
        30,
        4,
        trajectories={("type0", "type1"): 0.3, ("type1", "type2"): 0.2},
        missing_types={"batch1": ["type2"]},
    )
    table = pd.crosstab(adata.obs["batch"], adata.obs["trajectory"].astype(object).fillna("none"))
    assert table.loc["batch0"].to_dict() == {"none": 1000, "type0-type1": 600, "type1-type2": 400}
    # without type2 and its trajectory 0.125 * 3 + 0.3 of the shares remain
    assert table.loc["batch1", "type0-type1"] == pytest.approx(1000 * 0.3 / 0.675, abs=1)
    assert table.loc["batch1", "type1-type2"] == 0
    on = adata.obs["trajectory"].notna()
    assert adata.obs["pseudotime"].notna().equals(on)
    time = adata.obs.loc[on, "pseudotime"]
    assert stats.kstest(time, "uniform").pvalue > 0.01
    nearer = [pair.split("-")[int(t >= 0.5)] for pair, t in zip(adata.obs.loc[on, "trajectory"], time, strict=True)]
    assert adata.obs.loc[on, "cell_type"].tolist() == nearer


def test_cells_come_in_random_order():
    adata = simulate(1000, 5)
    half = adata.obs.iloc[:500]
    assert stats.chisquare(half["batch"].value_counts()).pvalue > 1e-3
    assert stats.chisquare(half["cell_type"].value_counts()).pvalue > 1e-3


def test_same_seed_same_data():
    first, again, other = simulate(100, 20, rng=7), simulate(100, 20, rng=7), simulate(100, 20, rng=8)
    assert (first.X != again.X).nnz == 0
    pd.testing.assert_frame_equal(first.obs, again.obs)
    pd.testing.assert_frame_equal(first.varm["log_programs"], again.varm["log_programs"])
    assert (first.X != other.X).nnz > 0
    assert (simulate(100, 20, rng=None).X != simulate(100, 20, rng=None).X).nnz > 0


def test_generator():
    one, same = np.random.default_rng(7), np.random.default_rng(7)
    first = simulate(100, 20, rng=one)
    assert (first.X != simulate(100, 20, rng=same).X).nnz == 0
    assert (first.X != simulate(100, 20, rng=one).X).nnz > 0


def test_chunks_do_not_change_the_model(limits):
    whole = simulate(300, 20)
    limits(simulated=7 * 20)
    pieces = simulate(300, 20)
    pd.testing.assert_frame_equal(whole.obs, pieces.obs)
    assert pieces.shape == whole.shape
    assert pieces.X.sum() == pytest.approx(whole.X.sum(), rel=0.05)
    limits(simulated=1)
    assert simulate(30, 20).shape == (30, 20)


def test_simulations_of_one_seed_share_their_biology():
    first = simulate(100, 20, n_batches=2)
    other = simulate([10, 70, 30], 20, n_batches=3, batch_effect=0.6, type_shares={"type0": 0.5})
    pd.testing.assert_frame_equal(first.varm["log_programs"], other.varm["log_programs"])
    effects = other.varm["log_batch_effects"]
    np.testing.assert_allclose(2 * first.varm["log_batch_effects"], effects[["batch0", "batch1"]])


def test_round_trip(tmp_path):
    from anndata import read_h5ad

    adata = simulate(
        200,
        30,
        5,
        trajectories={("type0", "type1"): 0.2},
        type_shares={"type4": 0.1},
        missing_types={"batch0": ["type2"]},
    )
    adata.write_h5ad(tmp_path / "simulated.h5ad")
    again = read_h5ad(tmp_path / "simulated.h5ad")
    assert (adata.X != again.X).nnz == 0
    assert again.uns["simulate"]["parents"] == adata.uns["simulate"]["parents"]
    assert list(again.uns["simulate"]["levels"]) == adata.uns["simulate"]["levels"]
    assert again.uns["simulate"]["parameters"]["shares"] == adata.uns["simulate"]["parameters"]["shares"]
    np.testing.assert_array_equal(again.varm["log_programs"], adata.varm["log_programs"])
    for column in adata.obs:
        assert again.obs[column].tolist() == pytest.approx(adata.obs[column].tolist(), nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_invariants(data):
    n_types = data.draw(st.integers(1, 7))
    n_batches = data.draw(st.integers(1, 4))
    sizes = data.draw(st.lists(st.integers(30, 60), min_size=n_batches, max_size=n_batches))
    missing = {
        f"batch{b}": [f"type{t}" for t in data.draw(st.sets(st.integers(1, n_types - 1)))]
        for b in data.draw(st.sets(st.integers(0, n_batches - 1)))
        if n_types > 1 and b > 0
    }
    along = {("type0", f"type{n_types - 1}"): 0.3} if n_types > 1 and data.draw(st.booleans()) else {}
    n_genes = data.draw(st.integers(1, 12))
    adata = simulate(
        sizes,
        n_genes,
        n_types,
        n_batches=n_batches,
        branching=data.draw(st.integers(2, 5)),
        type_effect=data.draw(st.floats(0, 100)),
        batch_effect=data.draw(st.floats(0, 100)),
        depth_effect=data.draw(st.floats(0, 2)),
        inverse_dispersion=data.draw(st.floats(0.01, 100)),
        mean_depth=data.draw(st.floats(1e-3, 1e4)),
        missing_types=missing,
        trajectories=along,
        rng=data.draw(st.integers(0, 2**32)),
    )
    assert adata.shape == (sum(sizes), n_genes)
    assert np.isfinite(adata.X.data).all()
    assert (adata.X.data > 0).all()
    assert np.isfinite(adata.varm["log_programs"]).all(axis=None)
    assert adata.obs_names.is_unique
    assert adata.obs.groupby("batch", observed=False).size().tolist() == sizes
    table = pd.crosstab(adata.obs["batch"], adata.obs["cell_type"])
    for batch, types in missing.items():
        assert table.reindex(columns=types, fill_value=0).loc[batch].sum() == 0
    parents = adata.uns["simulate"]["parents"]
    for coarse, fine in zip(["root", *adata.uns["simulate"]["levels"]], adata.uns["simulate"]["levels"], strict=False):
        upper = adata.obs[coarse].tolist() if coarse != "root" else ["root"] * adata.n_obs
        assert [parents[node] for node in adata.obs[fine]] == upper


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"n_cells": 0}, "n_cells must be at least 1"),
        ({"n_cells": 1}, "n_cells=1: pass at least one cell"),
        ({"n_cells": 10.5}, "n_cells must be a whole number, not 10.5"),
        ({"n_cells": [10]}, r"n_cells=\[10\]: .* each of 2 batches"),
        ({"n_cells": [10, 0]}, r"n_cells=\[10, 0\]"),
        ({"n_cells": "many"}, "n_cells must be a whole number, not 'many'"),
        ({"n_cells": 6}, r"n_cells=6: .*type\d"),
        ({"n_genes": 0}, "n_genes must be at least 1"),
        ({"n_genes": True}, "n_genes must be a whole number"),
        ({"n_types": 2.5}, "n_types must be a whole number"),
        ({"n_batches": -1}, "n_batches must be at least 1"),
        ({"branching": 1}, "branching must be at least 2"),
        ({"type_effect": -0.1}, "type_effect must be at least 0"),
        ({"type_effect": float("nan")}, "type_effect must be a number"),
        ({"batch_effect": float("inf")}, "batch_effect=inf"),
        ({"batch_effect": [0.1, 0.2, 0.3]}, r"batch_effect=\[0.1, 0.2, 0.3\]: .* 2 batches"),
        ({"batch_effect": [0.1, -0.2]}, r"batch_effect=\[0.1, -0.2\]"),
        ({"depth_effect": "strong"}, "depth_effect must be a number"),
        ({"depth_effect": 50.0}, "mean_depth=1000.0: lower it or depth_effect"),
        ({"inverse_dispersion": 0}, "inverse_dispersion must be above 0"),
        ({"mean_depth": -5}, "mean_depth must be above 0"),
        ({"mean_depth": 1e9}, r"mean_depth=1000000000.0: lower it"),
        ({"type_shares": {"T": 0.1}}, "type_shares='T': name types among"),
        ({"type_shares": {"type0": 0}}, r"type_shares\['type0'\]=0: pass a share"),
        ({"type_shares": {"type0": 1.2}}, r"type_shares\['type0'\]=1.2"),
        ({"type_shares": {"type0": 0.6, "type1": 0.4}}, "sum to less than 1; 6 types remain"),
        ({"type_shares": {f"type{i}": 0.1 for i in range(8)}}, "sum to 1; no other type remains"),
        ({"type_shares": {"type0": 1e-5}}, r"n_cells=1000: .*\['type0'\]"),
        ({"missing_types": {"b": ["type0"]}}, "missing_types='b': name batches among"),
        ({"missing_types": {"batch0": ["T"]}}, r"missing_types\['batch0'\]='T': name types"),
        ({"missing_types": {"batch0": [f"type{i}" for i in range(8)]}}, "leave it one type"),
        ({"missing_types": {"batch0": ["type0"], "batch1": ["type0"]}}, r"n_cells=1000: .*\['type0'\]"),
        ({"trajectories": {("type0", "type0"): 0.1}}, "pair of different types"),
        ({"trajectories": {("type0", "T"): 0.1}}, "pair of different types"),
        ({"trajectories": {"type0": 0.1}}, "pair of different types"),
        ({"trajectories": {("type0", "type1"): 0.0}}, "pass a share"),
        ({"trajectories": {("type0", "type1"): 1.0}}, "sum to less than 1"),
        ({"rng": -1}, "rng must be at least 0"),
        ({"rng": 0.5}, "rng must be a whole number"),
    ],
)
def test_arguments_out_of_range(arguments, part):
    with pytest.raises((TypeError, ValueError), match=part):
        simulate(**arguments)

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbors import nearest_others

from scarches_plus.metrics import batch_entropy, mixing_along


def example(n=400, seed=0):
    """A trajectory along the first axis; batch b reaches from 0 to 1, batch a from 0.3 to 0.7 only."""
    rng = np.random.default_rng(seed)
    batches = rng.permutation(np.array(["a", "b"])[np.arange(n) % 2])
    time = np.where(batches == "b", rng.uniform(0, 1, n), rng.uniform(0.3, 0.7, n))
    return np.column_stack([20 * time, rng.normal(size=(n, 2))]), batches, time


@pytest.mark.parametrize("n_bins", [1, 7, 20])
def test_equals_loop_over_bins(n_bins):
    embedding, batches, time = example()
    table = mixing_along(embedding, batches, time, n_bins=n_bins, k=15)
    entropies = batch_entropy(embedding, batches, k=15)
    order = np.argsort(time)
    starts = [int(np.ceil(400 * i / n_bins)) for i in range(n_bins + 1)]
    assert len(table) == n_bins
    for (_, row), start, stop in zip(table.iterrows(), starts[:-1], starts[1:], strict=True):
        cells = order[start:stop]
        assert (row["first"], row["last"]) == (time[cells[0]], time[cells[-1]])
        assert row["n_cells"] == stop - start
        assert row["entropy"] == pytest.approx(entropies[cells].mean())
    assert table.index.name == "bin"


def test_falls_where_one_batch_is_alone():
    """Fig. 4c: cells of the batch that goes farther, in 20 bins."""
    embedding, batches, time = example(4000)
    ordering = np.where(batches == "b", time, np.nan)
    table = mixing_along(embedding, batches, ordering, normalize=True)
    assert len(table) == 20
    assert table["n_cells"].sum() == (batches == "b").sum()
    middle = table["first"].ge(0.35) & table["last"].le(0.65)
    ends = table["last"].le(0.2) | table["first"].ge(0.8)
    assert middle.sum() >= 4
    assert ends.sum() >= 6
    assert table.loc[ends, "entropy"].max() < 0.05
    assert table.loc[middle, "entropy"].min() > 0.7


def test_collapsed_embedding_mixes_everywhere():
    _, batches, time = example(2000)
    merged = 1e-9 * np.random.default_rng(1).normal(size=(2000, 3))
    assert mixing_along(merged, batches, time, normalize=True)["entropy"].min() > 0.95


def test_cells_without_a_position_are_neighbors_still():
    embedding, batches, time = example()
    some = np.where(np.arange(400) % 4 == 0, time, np.nan)
    table = mixing_along(embedding, batches, some, n_bins=1)
    expected = batch_entropy(embedding, batches, k=50, cells=~np.isnan(some)).mean()
    assert table["entropy"].item() == pytest.approx(expected)


def test_equal_positions_share_a_bin():
    embedding, batches, _ = example()
    steps = np.arange(400) % 3
    table = mixing_along(embedding, batches, steps)
    assert table[["first", "last"]].to_numpy().tolist() == [[0, 0], [1, 1], [2, 2]]
    assert table["n_cells"].tolist() == [134, 133, 133]
    assert table.index.tolist() == [0, 1, 2]
    assert len(mixing_along(embedding, batches, np.zeros(400))) == 1


@given(seed=st.integers(0, 10**6), n_bins=st.integers(1, 30), step=st.sampled_from([0.0, 0.1]))
@settings(deadline=None, max_examples=20)
def test_bounds_and_invariances(seed, n_bins, step):
    embedding, batches, time = example(60, seed)
    time = np.round(time / step) * step if step else time
    table = mixing_along(embedding, batches, time, n_bins=n_bins, k=10)
    assert table["n_cells"].sum() == 60
    assert table["entropy"].between(0, np.log(2) + 1e-12).all()
    assert (table["first"].iloc[1:].to_numpy() > table["last"].iloc[:-1].to_numpy()).all()
    order = np.random.default_rng(seed).permutation(60)
    again = mixing_along(embedding[order], batches[order], time[order], n_bins=n_bins, k=10)
    pd.testing.assert_frame_equal(again, table)
    stretched = mixing_along(embedding, np.char.add("z", batches), np.exp(time), n_bins=n_bins, k=10)
    np.testing.assert_allclose(stretched["entropy"], table["entropy"])
    backward = mixing_along(embedding, batches, -time, n_bins=1, k=10)
    np.testing.assert_allclose(backward["entropy"], np.average(table["entropy"], weights=table["n_cells"]))


def test_neighbors_known_already():
    embedding, batches, time = example()
    neighbors = nearest_others(embedding, 60)
    value = mixing_along(embedding, batches, time, k=20, neighbors=neighbors)
    pd.testing.assert_frame_equal(value, mixing_along(embedding, batches, time, k=20))


def test_errors():
    embedding, batches, time = example()
    with pytest.raises(ValueError, match=r"ordering must have one entry for each of the 400 cells"):
        mixing_along(embedding, batches, time[1:])
    with pytest.raises(ValueError, match="ordering is infinite for 1 of 400 cells: use NaN"):
        mixing_along(embedding, batches, np.append(time[1:], np.inf))
    for n_bins, said in ((0, "at least 1, not 0"), (401, "at least 1 .* 400.*, not 401")):
        with pytest.raises(ValueError, match=f"n_bins must be {said}"):
            mixing_along(embedding, batches, time, n_bins=n_bins)
    with pytest.raises(ValueError, match="cells with a position, 0"):
        mixing_along(embedding, batches, np.full(400, np.nan))
    with pytest.raises(ValueError, match="at least 2 batches"):
        mixing_along(embedding, np.zeros(400), time)
    with pytest.raises(ValueError, match="k=400"):
        mixing_along(embedding, batches, time, k=400)
    with pytest.raises(ValueError, match="as their own neighbour"):
        mixing_along(embedding, batches, time, k=1, neighbors=np.arange(400)[:, None])

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbors import nearest_others

from scarches_plus.metrics import batch_entropy, label_mixing


def example(n=120, distance=1.0, shift=0.0, seed=0):
    """B and T live in the batches x, y and z; NK in x and y, almost all in x; pDC in z only."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.array(["B", "NK", "T", "pDC"])[np.arange(n) % 4])
    batches = rng.choice(["x", "y", "z"], n)
    batches[labels == "pDC"] = "z"
    nk = np.flatnonzero(labels == "NK")
    batches[nk] = "x"
    batches[nk[0]] = "y"
    place = np.unique(labels, return_inverse=True)[1] * distance + (batches == "z") * shift
    return rng.normal(size=(n, 3)) + place[:, None], batches, labels


def test_equals_loops_over_labels():
    embedding, batches, labels = example()
    table = label_mixing(embedding, batches, labels, k=10)
    entropies = batch_entropy(embedding, batches, k=10, normalize=True)
    assert list(table.index) == ["B", "NK", "T", "pDC"]
    for label, row in table.iterrows():
        own = [b for b, name in zip(batches, labels, strict=True) if name == label]
        shares = [own.count(b) / len(own) for b in sorted(set(own))]
        assert (row["n_cells"], row["n_batches"]) == (len(own), len(shares))
        assert row["largest_share"] == pytest.approx(max(shares))
        assert row["entropy"] == pytest.approx(entropies[labels == label].mean())
        assert row["attainable"] == pytest.approx(-sum(p * np.log(p) for p in shares) / np.log(3))
    assert table["expected"].to_dict() == {"B": "mixed", "NK": "mixed", "T": "mixed", "pDC": "apart"}


def test_min_share():
    embedding, batches, labels = example()
    assert label_mixing(embedding, batches, labels, min_share=29 / 30)["expected"]["NK"] == "apart"
    assert label_mixing(embedding, batches, labels, min_share=29.1 / 30)["expected"]["NK"] == "mixed"


def test_both_directions():
    """Batches that overlap raise the entropy of the shared types, types that overlap that of the type of one batch."""
    good = label_mixing(*example(1200, distance=30.0), k=30)
    unmixed = label_mixing(*example(1200, distance=30.0, shift=1000.0), k=30)
    merged = label_mixing(*example(1200, distance=0.0), k=30)
    for label in "B", "T":
        assert good.at[label, "entropy"] == pytest.approx(good.at[label, "attainable"], rel=0.05)
        assert good.at[label, "attainable"] > 0.95
        assert unmixed.at[label, "entropy"] < 0.7
    assert good.at["pDC", "entropy"] == good.at["pDC", "attainable"] == 0
    assert unmixed.at["pDC", "entropy"] == 0
    assert merged.at["pDC", "entropy"] > 0.8


@given(seed=st.integers(0, 10**6), k=st.integers(1, 20))
@settings(deadline=None, max_examples=20)
def test_bounds_and_invariances(seed, k):
    embedding, batches, labels = example(48, seed=seed)
    table = label_mixing(embedding, batches, labels, k=k)
    shares = table[["largest_share", "entropy", "attainable"]]
    assert ((shares >= 0) & (shares <= 1 + 1e-12)).all(axis=None)
    assert table["n_cells"].sum() == 48
    assert ((table["attainable"] < 1e-12) == (table["n_batches"] == 1)).all()
    order = np.random.default_rng(seed).permutation(48)
    pd.testing.assert_frame_equal(label_mixing(embedding[order], batches[order], labels[order], k=k), table)
    reverse = {"x": 3, "y": 2, "z": 1}
    renamed = label_mixing(embedding, [reverse[b] for b in batches], np.char.add("new ", labels), k=k)
    pd.testing.assert_frame_equal(renamed.reset_index(drop=True), table.reset_index(drop=True))


def test_one_label():
    embedding, batches, _ = example()
    table = label_mixing(embedding, batches, np.full(120, "cell"))
    assert table["entropy"].item() == pytest.approx(batch_entropy(embedding, batches, normalize=True).mean())


def test_neighbors_known_already():
    embedding, batches, labels = example()
    neighbors = nearest_others(embedding, 30)
    for k in (5, 30):
        table = label_mixing(embedding, batches, labels, k=k, neighbors=neighbors)
        pd.testing.assert_frame_equal(table, label_mixing(embedding, batches, labels, k=k))


def test_errors():
    embedding, batches, labels = example()
    with pytest.raises(ValueError, match="every cell is of batch"):
        label_mixing(embedding, np.full(120, "x"), labels)
    with pytest.raises(ValueError, match="batches must have one entry"):
        label_mixing(embedding, batches[1:], labels)
    holes = labels.astype(object)
    holes[3] = np.nan
    with pytest.raises(ValueError, match="labels is missing for 1 of 120 cells: remove these cells first"):
        label_mixing(embedding, batches, holes)
    for share in (0, 1.2):
        with pytest.raises(ValueError, match=f"min_share must be above 0 and at most 1, not {share}"):
            label_mixing(embedding, batches, labels, min_share=share)
    with pytest.raises(ValueError, match="k=120"):
        label_mixing(embedding, batches, labels, k=120)
    with pytest.raises(ValueError, match="as their own neighbour"):
        label_mixing(embedding, batches, labels, k=1, neighbors=np.arange(120)[:, None])

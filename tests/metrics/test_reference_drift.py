import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scarches_plus.metrics import ReferenceDrift, neighbor_preservation, reference_drift


def example(n=80, size=0.3, seed=0):
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(n, 4)) + 3
    return before, before + size * rng.normal(size=(n, 4))


def naive(before, after):
    n, d = before.shape
    mean = [sum(before[i, j] for i in range(n)) / n for j in range(d)]
    squares = [sum((after[i, j] - before[i, j]) ** 2 for j in range(d)) for i in range(n)]
    spread = [sum((before[i, j] - mean[j]) ** 2 for j in range(d)) for i in range(n)]
    return np.sqrt(sum(squares) / n), np.sqrt(sum(squares) / sum(spread)), np.sqrt(max(squares)), np.sqrt(squares)


def test_equals_naive():
    before, after = example()
    drift = reference_drift(before, after, k=10)
    rmsd, relative, farthest, displacement = naive(before, after)
    assert isinstance(drift, ReferenceDrift)
    assert drift.moved is True
    assert drift.rmsd == pytest.approx(rmsd)
    assert drift.relative_rmsd == pytest.approx(relative)
    assert drift.max_displacement == pytest.approx(farthest)
    np.testing.assert_allclose(drift.displacement, displacement)
    assert drift.neighbor_preservation == neighbor_preservation(after, before, k=10)


@pytest.mark.parametrize("copies", [1, 30])
def test_no_drift_is_exactly_zero(copies):
    before = np.repeat(example()[0], copies, axis=0).astype(np.float32)
    drift = reference_drift(before, before.copy())
    assert drift.moved is False
    assert (drift.rmsd, drift.relative_rmsd, drift.max_displacement, drift.neighbor_preservation) == (
        0.0,
        0.0,
        0.0,
        1.0,
    )
    assert not drift.displacement.any()


def test_any_difference_counts():
    before, _ = example()
    after = before.copy()
    after[3, 2] = np.nextafter(after[3, 2], np.inf)
    drift = reference_drift(before, after)
    assert drift.moved
    assert 0 < drift.relative_rmsd < 1e-15


def test_one_cell():
    before, _ = example()
    after = before.copy()
    after[3] += [3, 4, 0, 0]
    drift = reference_drift(before, after)
    assert drift.max_displacement == pytest.approx(5)
    assert drift.rmsd == pytest.approx(5 / np.sqrt(80))
    assert np.flatnonzero(drift.displacement).tolist() == [3]


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
@settings(deadline=None, max_examples=25)
def test_invariances(seed, scale):
    before, after = example(40, seed=seed)
    drift = reference_drift(before, after, k=5)
    order = np.random.default_rng(seed).permutation(40)
    shuffled = reference_drift(before[order], after[order], k=5)
    scaled = reference_drift(scale * before - 7, scale * after - 7, k=5)
    assert shuffled.rmsd == pytest.approx(drift.rmsd)
    assert scaled.rmsd == pytest.approx(scale * drift.rmsd)
    for other in (shuffled, scaled):
        assert other.relative_rmsd == pytest.approx(drift.relative_rmsd)
        assert other.neighbor_preservation == pytest.approx(drift.neighbor_preservation)
    assert 0 <= drift.neighbor_preservation <= 1
    assert drift.rmsd <= drift.max_displacement


def test_a_translation_keeps_the_neighborhoods():
    before, _ = example()
    drift = reference_drift(before, before + 2)
    assert drift.rmsd == pytest.approx(4)
    assert drift.neighbor_preservation == pytest.approx(1)


def test_reference_without_spread():
    before = np.zeros((20, 3))
    assert reference_drift(before, before, k=3).relative_rmsd == 0
    assert reference_drift(before, example(20)[1][:, :3], k=3).relative_rmsd == np.inf


def test_the_per_cell_array_stays_out_of_the_repr():
    assert "displacement=array" not in repr(reference_drift(*example()))


def test_errors():
    before, after = example()
    with pytest.raises(ValueError, match=r"\(80, 4\) and \(79, 4\)"):
        reference_drift(before, after[1:])
    with pytest.raises(ValueError, match="shape"):
        reference_drift(before[:, 0], after[:, 0])
    with pytest.raises(ValueError, match="too small"):
        reference_drift(before[:10], after[:10])
    after[0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite coordinates in 1 of 80 cells"):
        reference_drift(before, after)


def test_label_agreement_is_the_share_of_equal_votes():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 60, 2))
    labels = np.repeat(["a", "b", "c"], 20)

    def votes(embedding):
        found = []
        for i, cell in enumerate(embedding):
            order = [j for j in np.argsort(((embedding - cell) ** 2).sum(1)) if j != i][:7]
            names, counts = np.unique(labels[order], return_counts=True)
            found.append(names[counts.argmax()])
        return np.array(found)

    drift = reference_drift(before, after, labels, k=7)
    assert drift.label_agreement == np.mean(votes(before) == votes(after))
    assert reference_drift(before, before, labels, k=7).label_agreement == 1.0
    assert reference_drift(before, after, k=7).label_agreement is None
    with pytest.raises(ValueError, match="labels"):
        reference_drift(before, after, labels[:10], k=7)

from functools import partial

import numpy as np
import pandas as pd
import pytest
from naive_neighbors import nearest_others

from scarches_plus import metrics
from scarches_plus.metrics import over_k


def example(n=200, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.array(["a", "b", "c"])[np.arange(n) % 3])
    batches = np.where(labels == "c", 0, rng.integers(2, size=n))
    proteins = rng.normal(size=(n, 3))
    return rng.normal(size=(n, 4)) + (labels == "b")[:, None], batches, labels, proteins


EMBEDDING, BATCHES, LABELS, PROTEINS = example()


@pytest.mark.parametrize(
    ("metric", "arguments"),
    [
        (metrics.batch_entropy, [BATCHES]),
        (metrics.entropy_batch_mixing, [BATCHES]),
        (metrics.graph_connectivity, [LABELS]),
        (metrics.isolated_label_score, [BATCHES, LABELS]),
        (metrics.label_purity, [LABELS]),
        (metrics.over_mixing, [BATCHES, LABELS]),
        (metrics.protein_discrepancy, [PROTEINS]),
        (metrics.protein_neighbor_overlap, [PROTEINS]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_equals_one_search_per_k(metric, arguments):
    ks = (30, 1, 7)
    curve = over_k(metric, EMBEDDING, arguments, ks=ks)
    expected = pd.Series([np.mean(metric(EMBEDDING, *arguments, k=k)) for k in ks], pd.Index(ks, name="k"))
    pd.testing.assert_series_equal(curve, expected, check_names=False)
    assert (curve.name, curve.index.name) == (metric.__name__, "k")
    assert curve.nunique() > 1


def test_searches_once(searches):
    over_k(metrics.label_purity, EMBEDDING, [LABELS], ks=(5, 50, 20))
    assert searches == [51]
    over_k(metrics.label_purity, EMBEDDING, [LABELS], ks=(5, 50), neighbors=nearest_others(EMBEDDING, 60))
    assert searches == [51]


def test_further_parameters():
    curve = over_k(partial(metrics.entropy_batch_mixing, normalize=True), EMBEDDING, [BATCHES], ks=range(5, 50, 20))
    nats = over_k(metrics.entropy_batch_mixing, EMBEDDING, [BATCHES], ks=range(5, 50, 20))
    np.testing.assert_allclose(curve, nats / np.log(2))
    one = over_k(lambda *args, **known: metrics.label_purity(*args, **known)["c"], EMBEDDING, [LABELS], ks=[5])
    assert one[5] == metrics.label_purity(EMBEDDING, LABELS, k=5)["c"]


def test_a_label_without_a_score_is_left_out():
    labels = LABELS.copy()
    labels[np.flatnonzero(LABELS == "c")[0]] = "d"  # a single cell, whose score is not defined
    curve = over_k(metrics.isolated_label_score, EMBEDDING, [BATCHES, labels], ks=[5, 20])
    expected = [metrics.isolated_label_score(EMBEDDING, BATCHES, labels, k=k)["c"] for k in (5, 20)]
    np.testing.assert_allclose(curve, expected)


def test_default_is_the_range_of_the_paper():
    embedding, batches, _, _ = example(501)
    assert over_k(metrics.entropy_batch_mixing, embedding, [batches]).index.tolist() == [
        10,
        20,
        30,
        50,
        100,
        200,
        300,
        500,
    ]


def test_errors():
    with pytest.raises(ValueError, match="ks is empty"):
        over_k(metrics.label_purity, EMBEDDING, [LABELS], ks=[])
    with pytest.raises(
        ValueError, match="ks asks for 500 neighbours and a cell has 199 others: leave out larger values"
    ):
        over_k(metrics.label_purity, EMBEDDING, [LABELS])
    known = nearest_others(EMBEDDING, 10)
    with pytest.raises(ValueError, match=r"at least k=20\); its shape is \(200, 10\)"):
        over_k(metrics.label_purity, EMBEDDING, [LABELS], ks=(5, 20), neighbors=known)
    with pytest.raises(ValueError, match="as their own neighbour"):
        over_k(metrics.label_purity, EMBEDDING, [LABELS], ks=[1], neighbors=np.arange(200)[:, None])

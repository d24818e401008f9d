import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from scarches_plus.train import MMD, Anchors, Grouping, Setting, Step

RELEASED = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 5, 10, 15, 20, 25, 30, 35, 100, 1e3, 1e4, 1e5, 1e6]


def setting(n_groups, present=None, anchors=None):
    present = tuple(range(n_groups)) if present is None else present
    names = tuple(f"batch{i}" for i in range(n_groups))
    return Setting(torch.nn.Linear(1, 1), {"batch": Grouping("batch", 0, names, present)}, anchors=anchors)


def step(x, groups):
    return Step({"batch": torch.as_tensor(groups)[:, None]}, {"z": torch.as_tensor(x)}, {}, {}, torch.nn.Linear(1, 1))


def mmd(x, groups, **options):
    return float(MMD(**options).prepare(setting(max(2, int(max(groups)) + 1)))(step(x, groups)))


def naive(x, groups, gammas, *, unbiased=False, mean=True):
    def kernel_mean(a, b, same):
        kernel = sum(np.exp(-gamma * cdist(a, b, "sqeuclidean")) for gamma in gammas)
        if same and unbiased:
            return (kernel.sum() - np.trace(kernel)) / (len(a) * (len(a) - 1))
        return kernel.mean()

    parts = [x[groups == group] for group in np.unique(groups)]
    parts = [part for part in parts if len(part) > 1 or not unbiased]
    values = [
        kernel_mean(a, a, True) + kernel_mean(b, b, True) - 2 * kernel_mean(a, b, False)
        for i, a in enumerate(parts)
        for b in parts[i + 1 :]
    ]
    return (np.mean(values) if mean else np.sum(values)) if values else 0.0


@st.composite
def grouped_points(draw):
    n = draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = rng.integers(0, draw(st.integers(1, 6)), n)
    return rng.normal(size=(n, draw(st.integers(1, 5)))), groups


@settings(deadline=None, max_examples=60)
@given(grouped_points(), st.booleans(), st.booleans())
def test_equals_the_printed_formula_pair_by_pair(points, unbiased, mean):
    x, groups = points
    options = {"estimator": "unbiased" if unbiased else "biased", "reduction": "mean" if mean else "sum"}
    value = mmd(x, groups, bandwidths=(0.3, 2.0), **options)
    assert value == pytest.approx(naive(x, groups, [0.3, 2.0], unbiased=unbiased, mean=mean), abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(grouped_points())
def test_never_negative_whatever_the_order_and_the_place(points):
    x, groups = points
    value = mmd(x, groups)
    assert value >= -1e-12
    order = np.random.default_rng(0).permutation(len(x))
    assert mmd(x[order], groups[order]) == pytest.approx(value, abs=1e-9)
    assert mmd(x + 3.0, groups, bandwidths=(0.5,)) == pytest.approx(mmd(x, groups, bandwidths=(0.5,)), abs=1e-9)


def test_released_bandwidths():
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(40, 3)), np.repeat([0, 1, 2, 3], 10)
    gammas = [1 / (2 * a) for a in RELEASED]
    assert mmd(x, groups, reduction="sum") == pytest.approx(naive(x, groups, gammas, mean=False), rel=1e-9)


def test_median_bandwidths_follow_the_scale():
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(60, 3)), np.repeat([0, 1], 30)
    median = np.median(cdist(x, x, "sqeuclidean")[np.triu_indices(60, 1)])
    expected = naive(x, groups, [1 / (factor * median) for factor in (0.25, 0.5, 1, 2, 4)])
    assert mmd(x, groups, bandwidths="median") == pytest.approx(expected, rel=0.01)  # torch takes the lower median
    for factor in (1e-6, 1e6):
        assert mmd(x * factor, groups, bandwidths="median") == pytest.approx(
            mmd(x, groups, bandwidths="median"), rel=1e-6
        )


def test_of_two_gaussians_is_the_closed_form():
    gamma, dims, shift, n = 0.2, 3, 1.5, 3000
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2 * n, dims))
    x[n:, 0] += shift
    scale = 1 + 4 * gamma
    expected = 2 * scale ** (-dims / 2) * (1 - np.exp(-gamma * shift**2 / scale))
    value = mmd(x, np.repeat([0, 1], n), bandwidths=(gamma,), estimator="unbiased")
    assert value == pytest.approx(expected, rel=0.05)


def test_unbiased_is_zero_on_average_and_biased_is_not():
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(400, 20, 2)), np.repeat([0, 1], 10)
    values = {
        name: [mmd(one, groups, bandwidths=(1.0,), estimator=name) for one in x] for name in ("biased", "unbiased")
    }
    error = np.std(values["unbiased"]) / np.sqrt(len(x))
    assert abs(np.mean(values["unbiased"])) < 4 * error
    assert np.mean(values["biased"]) > 20 * error


def test_minimising_it_brings_groups_together():
    torch.manual_seed(0)
    x = torch.cat([torch.randn(60, 2), torch.randn(60, 2) + 4]).requires_grad_()
    groups = torch.repeat_interleave(torch.tensor([0, 1]), 60)
    term = MMD(bandwidths="median").prepare(setting(2))
    optimizer = torch.optim.Adam([x], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        term(step(x, groups)).backward()
        optimizer.step()
    assert (x[:60].mean(0) - x[60:].mean(0)).norm() < 1.0  # 5.7 at first


def test_some_of_many_groups():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(60, 2)), np.repeat(np.arange(6), 10)
    x[groups == 5] += 10
    pairs = [
        naive(x[np.isin(groups, pair)], groups[np.isin(groups, pair)], [1.0])
        for pair in ((i, j) for i in range(6) for j in range(i))
    ]
    differences = np.abs(
        np.subtract.outer([mmd(x, groups, bandwidths=(1.0,), max_groups=2) for _ in range(100)], pairs)
    )
    assert differences.min(1).max() < 1e-9
    assert len(set(differences.argmin(1))) > 5
    assert mmd(x, groups, max_groups=6) == mmd(x, groups)


def anchors_at(z, groups):
    z = torch.as_tensor(z)
    return Anchors(z, torch.zeros_like(z), torch.zeros(len(z), 1), {}, {"batch": torch.as_tensor(groups)}, "space")


def test_anchors_are_compared_with_each_group_and_not_with_one_another():
    rng = np.random.default_rng(0)
    reference, their_groups = rng.normal(size=(20, 2)), np.repeat([0, 1], 10)
    x, groups = rng.normal(size=(20, 2)) + 1, np.repeat([2, 3], 10)
    term = MMD(bandwidths=(0.7,), anchors=True).prepare(setting(4, (2, 3), anchors_at(reference, their_groups)))
    pairs = [(a, b) for a in (x[:10], x[10:]) for b in (reference[:10], reference[10:])]
    expected = [naive(np.vstack(pair), np.repeat([0, 1], 10), [0.7]) for pair in pairs]
    assert float(term(step(x, groups))) == pytest.approx(np.mean(expected), rel=1e-6)


def test_a_single_batch_takes_anchors_and_refuses_without():
    rng = np.random.default_rng(0)
    anchors = anchors_at(rng.normal(size=(300, 2)), np.zeros(300, dtype=int))
    term = MMD().prepare(setting(2, (1,), anchors))
    assert float(term(step(rng.normal(size=(30, 2)), np.ones(30, dtype=int)))) > 0
    with pytest.raises(ValueError, match="store_anchors"):
        MMD().prepare(setting(2, (1,)))
    with pytest.raises(ValueError, match="batch1"):
        MMD(anchors=False).prepare(setting(2, (1,), anchors))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "x"}, "on must be"),
        ({"estimator": "best"}, "estimator must be"),
        ({"reduction": "max"}, "reduction must be"),
        ({"bandwidths": "all"}, "bandwidths must be"),
        ({"bandwidths": (1.0, 0.0)}, "bandwidths must be above 0"),
        ({"bandwidths": ()}, "bandwidths is empty"),
        ({"max_groups": 1}, "at least 2"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        MMD(**options)


def test_an_unknown_column_is_named():
    with pytest.raises(KeyError, match="donor"):
        MMD(group="donor").prepare(setting(2))

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import stats

import scarches_plus as sp


def cells(labels, **obs):
    labels = pd.Categorical(labels)
    index = pd.Index([f"c{i}" for i in range(len(labels))])
    return AnnData(obs=pd.DataFrame({"label": labels, **obs}, index=index))


@pytest.fixture
def groups():
    labels = ["a"] * 30 + ["b"] * 10 + ["a"] * 20 + ["b"] * 38 + ["c"] * 2
    return cells(
        labels, group=["first"] * 40 + ["second"] * 60, donor_of_group=["p"] * 40 + ["q"] * 60, one=["x"] * 100
    )


def test_certain_labels_give_dirichlet_posteriors(groups):
    table = sp.tl.differential_abundance(groups, "label", "group", n_draws=40_000, level=0.9)
    assert table.index.tolist() == ["a", "b", "c"]
    assert table["group1"].unique().tolist() == ["first"]
    for i, counts in ((1, [30, 10, 0]), (2, [20, 38, 2])):
        alpha = np.array(counts) + 0.5
        beta = stats.beta(alpha, alpha.sum() - alpha)
        np.testing.assert_array_equal(table[f"n_cells{i}"], counts)
        np.testing.assert_allclose(table[f"proportion{i}"], beta.mean(), rtol=1e-12)
        np.testing.assert_allclose(table[f"proportion{i}_low"], beta.ppf(0.05), atol=0.004)
        np.testing.assert_allclose(table[f"proportion{i}_high"], beta.ppf(0.95), atol=0.004)
    # mean and variance of the logarithm of a gamma variable
    from scipy.special import digamma

    first, second = (np.array(counts) + 0.5 for counts in ([30, 10, 0], [20, 38, 2]))
    logs = [digamma(alpha) - digamma(alpha.sum()) for alpha in (first, second)]
    np.testing.assert_allclose(table["log2_ratio"], (logs[0] - logs[1]) / np.log(2), atol=0.05)
    assert table.loc["a", "probability_increase"] > 0.999
    assert table.loc["a", "log2_ratio_low"] > 0 > table.loc["b", "log2_ratio_high"]


def test_groups_change_places(groups):
    table = sp.tl.differential_abundance(groups, "label", "group", n_draws=20_000)
    turned = sp.tl.differential_abundance(groups, "label", "group", groups=["second", "first"], n_draws=20_000)
    np.testing.assert_allclose(turned["log2_ratio"], -table["log2_ratio"], atol=0.05)
    np.testing.assert_allclose(turned["probability_increase"], 1 - table["probability_increase"], atol=0.02)


def test_uncertain_labels_widen_intervals_and_do_not_shift_the_mean(groups):
    rng = np.random.default_rng(0)
    posterior = 0.5 * np.eye(3)[groups.obs["label"].cat.codes] + 0.5 * rng.dirichlet([1, 1, 1], 100)
    uncertain = groups.copy()
    uncertain.obsm["label_probabilities"] = pd.DataFrame(posterior, uncertain.obs_names, ["a", "b", "c"])
    del uncertain.obs["label"]
    table = sp.tl.differential_abundance(uncertain, "label", "group")
    first = posterior[:40].sum(axis=0) + 0.5
    np.testing.assert_allclose(table["proportion1"], first / first.sum())
    np.testing.assert_allclose(table["n_cells1"], posterior[:40].sum(axis=0))
    # variance of a mixture of Dirichlets: of its means, and the mean of its variances
    p = posterior[:40]
    spread = (p * (1 - p)).sum(axis=0) / first.sum() ** 2
    mean = first / first.sum()
    within = (mean * (1 - mean) - spread) / (first.sum() + 1)
    half = stats.norm.ppf(0.975) * np.sqrt(spread + within)
    np.testing.assert_allclose((table["proportion1_high"] - table["proportion1_low"]) / 2, half, rtol=0.1)


def test_query_against_reference():
    reference = cells(["a"] * 50 + ["b"] * 45 + ["Unknown"] * 5)
    query = cells([None] * 40)
    query.obsm["label_probabilities"] = np.tile([0.1, 0.9], (40, 1))
    query.obsm["label_probabilities"][:4] = 0  # no labelled neighbour
    query.uns["scarches_plus"] = {"probability_labels": {"label": ["a", "new"]}}
    table = sp.tl.differential_abundance(query, "label", reference=reference)
    assert table.index.tolist() == ["a", "b", "new"]
    assert (table["group1"] + table["group2"]).unique().tolist() == ["queryreference"]
    np.testing.assert_allclose(table["n_cells1"], [3.6, 0, 32.4])
    np.testing.assert_array_equal(table["n_cells2"], [50, 45, 0])
    assert table.loc["new", "probability_increase"] == 1


def test_it_reads_what_transfer_labels_writes():
    rng = np.random.default_rng(0)
    reference, query = cells(["a", "b"] * 40), cells([None] * 30)
    reference.obsm["X_scarches"] = rng.normal(size=(80, 3)) + np.tile([[0.0], [1.0]], (40, 1))
    query.obsm["X_scarches"] = rng.normal(size=(30, 3))
    sp.tl.transfer_labels(query, reference, "label", probabilities=True)
    table = sp.tl.differential_abundance(query, "label", reference=reference)
    np.testing.assert_allclose(table["n_cells1"], query.obsm["label_probabilities"].sum(axis=0))
    assert not query.obs["label"].notna().any()


def transferred():
    """Reference and query in one latent space; some of the reference is known by the coarse label ab."""
    rng = np.random.default_rng(0)
    reference, query = cells(["a", "b", "ab"] * 30), cells([None] * 40)
    reference.obsm["X_scarches"] = rng.normal(size=(90, 3))
    query.obsm["X_scarches"] = rng.normal(size=(40, 3))
    return reference, query


def test_it_reads_what_transfer_labels_writes_with_a_hierarchy():
    reference, query = transferred()
    tree = {"a": "ab", "b": "ab", "ab": None}
    sp.tl.transfer_labels(query, reference, "label", probabilities=True, hierarchy=tree)
    table = sp.tl.differential_abundance(query, "label", reference=reference)
    assert table.index.tolist() == ["a", "ab", "b"]
    assert table["n_cells1"].sum() == pytest.approx(40)
    sp.tl.transfer_labels(query, reference, "label")
    query.obs["label"] = "a"
    assert sp.tl.differential_abundance(query, "label", reference=reference)["n_cells1"].tolist() == [40, 0, 0]


def test_novel_cells_have_no_label():
    reference, query = transferred()
    sp.tl.transfer_labels(query, reference, "label", probabilities=True)
    query.obs["novel"] = np.arange(40) < 15
    before = query.copy()
    table = sp.tl.differential_abundance(query, "label", reference=reference, novel_key="novel")
    known = sp.tl.differential_abundance(query[15:], "label", reference=reference)
    pd.testing.assert_frame_equal(table, known)
    np.testing.assert_array_equal(query.obsm["label_probabilities"], before.obsm["label_probabilities"])
    query.obs["label"] = "a"
    del query.obsm["label_probabilities"]
    table = sp.tl.differential_abundance(query, "label", reference=reference, novel_key="novel")
    assert table.loc["a", "n_cells1"] == 25
    with pytest.raises(KeyError, match="detect_novel"):
        sp.tl.differential_abundance(query, "label", reference=reference, novel_key="new")
    with pytest.raises(ValueError, match="must be boolean"):
        sp.tl.differential_abundance(query, "label", reference=reference, novel_key="label")


def test_samples_widen_intervals():
    rng = np.random.default_rng(0)
    labels, samples = [], []
    for sample in range(6):
        share = rng.beta(4, 4)
        labels += list(rng.choice(["a", "b"], 200, p=[share, 1 - share]))
        samples += [f"donor{sample}"] * 200
    adata = cells(labels, donor=samples, group=["one"] * 600 + ["two"] * 600)
    plain = sp.tl.differential_abundance(adata, "label", "group")
    table = sp.tl.differential_abundance(adata, "label", "group", sample_key="donor")
    widths = [one["log2_ratio_high"] - one["log2_ratio_low"] for one in (plain, table)]
    assert (widths[1] > 3 * widths[0]).all()
    shares = pd.crosstab(samples, labels)
    center = np.exp(np.log((shares + 0.5).iloc[:3]).mean())
    np.testing.assert_allclose(table["proportion1"], center / center.sum(), atol=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_two_samples_a_group_have_a_ratio(seed):
    """Their difference has no mean, but a median near the samples' mean log ratios; no end is infinite."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(20, 200, size=(4, 3))
    samples = np.repeat([f"donor{one}" for one in range(4)], counts.sum(axis=1))
    labels = np.concatenate([np.repeat(["a", "b", "c"], row) for row in counts])
    adata = cells(labels, donor=samples, group=np.where(np.isin(samples, ["donor0", "donor1"]), "one", "two"))
    table = sp.tl.differential_abundance(adata, "label", "group", sample_key="donor", n_draws=20_000)
    numbers = table[["log2_ratio", "log2_ratio_low", "log2_ratio_high"]].loc[["a", "b", "c"]]
    assert np.isfinite(numbers).all(axis=None)
    logs = np.log2(counts + 0.5)
    logs -= logs.mean(axis=1, keepdims=True)
    expected = logs[:2].mean(axis=0) - logs[2:].mean(axis=0)
    shift = numbers["log2_ratio"] - expected  # shares and log ratios differ by what all labels share
    np.testing.assert_allclose(shift - shift.mean(), 0, atol=0.6)
    again = sp.tl.differential_abundance(adata, "label", "group", sample_key="donor", n_draws=20_000, rng=1)
    np.testing.assert_allclose(
        again.loc[numbers.index, "log2_ratio"], numbers["log2_ratio"], atol=0.15
    )  # no mean would
    assert (numbers["log2_ratio_low"] < numbers["log2_ratio"]).all()
    assert (numbers["log2_ratio"] < numbers["log2_ratio_high"]).all()


def test_the_same_seed_gives_the_same_table(groups):
    pd.testing.assert_frame_equal(*(sp.tl.differential_abundance(groups, "label", "group", rng=3) for _ in range(2)))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "either groupby=.*or reference="),
        ({"groupby": "group", "reference": AnnData()}, ValueError, "either groupby="),
        ({"groupby": "donor"}, KeyError, "donor"),
        ({"groupby": "group", "groups": ["first", "third"]}, ValueError, r"\['third'\] not found"),
        ({"groupby": "group", "groups": ["first"]}, ValueError, "two groups are compared"),
        ({"groupby": "one"}, ValueError, "two groups are compared"),
        ({"groupby": "group", "sample_key": "donor_of_group"}, ValueError, "'first' has one sample only"),
        ({"groupby": "group", "groups": "ab"}, TypeError, "not 'ab'"),
        ({"groupby": "label"}, ValueError, "labels_key and groupby are both 'label'"),
        ({"groupby": "group", "sample_key": "group"}, ValueError, "groupby and sample_key are both 'group'"),
        ({"groupby": "group", "prior": 0}, ValueError, "prior must be above 0"),
        ({"groupby": "group", "level": 1.0}, ValueError, "level must be above 0 and below 1"),
        ({"groupby": "group", "n_draws": 0}, ValueError, "n_draws must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(groups, options, error, message):
    with pytest.raises(error, match=message):
        sp.tl.differential_abundance(groups, "label", **options)


def test_labels_that_read_the_same_are_named():
    mixed = cells(np.resize(np.array([1, "1"], dtype=object), 8), group=["first", "second"] * 4)
    with pytest.raises(ValueError, match=r"labels \[1, '1'\] of 'label' read the same"):
        sp.tl.differential_abundance(mixed, "label", "group")


def test_labels_that_are_not_there(groups):
    with pytest.raises(KeyError, match="probabilities=True"):
        sp.tl.differential_abundance(groups, "cell_type", "group")
    groups.obs["label"] = ["a"] * 40 + ["Unknown"] * 60
    with pytest.raises(ValueError, match="no cell of 'second' has a label"):
        sp.tl.differential_abundance(groups, "label", "group")
    groups.obsm["label_probabilities"] = np.ones((100, 2))
    with pytest.raises(ValueError, match="have no names"):
        sp.tl.differential_abundance(groups, "label", "group")
    groups.obsm["label_probabilities"] = pd.DataFrame(np.ones((100, 2)), groups.obs_names, ["a", "b"])
    with pytest.raises(ValueError, match="must be probabilities"):
        sp.tl.differential_abundance(groups, "label", "group")
    with pytest.raises(ValueError, match="missing values in 'first'"):
        sp.tl.differential_abundance(
            cells(["a", "b"] * 2, group=["first"] * 2 + ["second"] * 2, donor=["x", None, "y", "z"]),
            "label", "group", sample_key="donor",
        )  # fmt: skip

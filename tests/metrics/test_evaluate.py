"""The report: every score is the function of its name, on one graph, and a collapsed embedding scores badly."""

import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scib_metrics
from anndata import AnnData
from scib_metrics.nearest_neighbors import NeighborsResults
from scipy.sparse import csr_matrix
from scipy.stats import binom, entropy
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

import scarches_plus as sp

N = 300


@pytest.fixture(scope="module")
def adata():
    """Three types in two batches, one type in the second batch only; a perfect embedding, a poor one and none."""
    rng = np.random.default_rng(0)
    types = rng.integers(0, 4, N)
    batches = np.where(types == 3, 1, rng.integers(0, 2, N))
    centers = rng.normal(size=(4, 6)) * 6
    good = centers[types] + rng.normal(size=(N, 6))
    apart = good + batches[:, None] * 8.0
    obs = pd.DataFrame({"batch": [f"b{b}" for b in batches], "cell_type": [f"t{t}" for t in types]})
    obs.index = obs.index.astype(str)
    obs["is_reference"] = batches == 0
    pca = good + batches[:, None] * 3.0
    return AnnData(
        np.zeros((N, 1), dtype=np.float32),
        obs,
        obsm={"good": good, "apart": apart, "collapsed": rng.normal(size=(N, 6)), "X_pca": pca},
    )


QUICK = [
    "EBM", "iLISI", "kBET", "PCR", "cLISI", "graph connectivity", "label purity", "isolated labels", "k-means",
    "one-batch types apart", "KNI", "RbNI", "mapping", "silhouette of labels",
]  # fmt: skip


def evaluated(adata, scores, names=("good", "apart", "collapsed"), mask="is_reference", k=15):
    return sp.metrics.evaluate(
        adata, names, "batch", labels_key="cell_type", reference_mask=mask, scores=scores, before="X_pca", k=k,
        progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def full(adata):
    return evaluated(adata, QUICK)


def value(report, embedding, score):
    rows = report.scores[(report.scores["embedding"] == embedding) & (report.scores["score"] == score)]
    assert len(rows) == 1, score
    return rows["value"].iloc[0]


def neighbors_with_self(embedding, k):
    distances, indices = NearestNeighbors(n_neighbors=k).fit(embedding).kneighbors()
    own = np.arange(len(embedding))[:, None]
    return NeighborsResults(
        indices=np.hstack([own, indices])[:, :k], distances=np.hstack([np.zeros((len(own), 1)), distances])[:, :k]
    )


def expected_of_scib(adata, names, embedding="apart"):
    z = adata.obsm[embedding].astype(np.float32)
    batches, labels = (pd.factorize(adata.obs[key], sort=True)[0] for key in ("batch", "cell_type"))
    expected = {
        "iLISI": lambda: scib_metrics.ilisi_knn(neighbors_with_self(z, 90), batches),
        "cLISI": lambda: scib_metrics.clisi_knn(neighbors_with_self(z, 90), labels),
        "kBET": lambda: scib_metrics.kbet(neighbors_with_self(z, 50), batches)[0],
        "silhouette of labels": lambda: scib_metrics.silhouette_label(z, labels),
        "silhouette of batches": lambda: scib_metrics.silhouette_batch(z, labels, batches),
        "BRAS": lambda: scib_metrics.bras(z, labels, batches),
        "isolated labels (silhouette)": lambda: scib_metrics.isolated_labels(z, labels, batches),
        "kBET per label": lambda: scib_metrics.kbet_per_label(neighbors_with_self(z, 50), batches, labels),
        "NMI Leiden": lambda: scib_metrics.nmi_ari_cluster_labels_leiden(neighbors_with_self(z, 15), labels)["nmi"],
        "PCR": lambda: scib_metrics.pcr_comparison(adata.obsm["X_pca"], z, batches, categorical=True),
    }
    return {name: float(expected[name]()) for name in names}


@pytest.mark.parametrize("embedding", ["good", "apart"])
@pytest.mark.filterwarnings("ignore:PCR comparison score is negative")
def test_scib_scores_are_those_of_scib(adata, full, embedding):
    names = ["iLISI", "cLISI", "kBET", "silhouette of labels", "PCR"]
    for name, number in expected_of_scib(adata, names, embedding).items():
        assert value(full, embedding, name) == pytest.approx(number, abs=2e-3), name
    assert value(full, "good", "ARI k-means") > 0.9


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:PCR comparison score is negative")
def test_every_score_of_scib(adata):
    report = evaluated(adata, "full", ["apart"])
    names = set(report.scores["score"])
    wanted = ["silhouette of batches", "BRAS", "isolated labels (silhouette)", "kBET per label", "NMI Leiden", "PCR"]
    assert set(wanted) | {"ARI Leiden", "NMI k-means", "label accuracy"} <= names
    for name, number in expected_of_scib(adata, wanted).items():
        assert value(report, "apart", name) == pytest.approx(number, abs=2e-3), name


def test_own_scores_are_the_functions(adata, full):
    z, batches, labels = adata.obsm["apart"], adata.obs["batch"], adata.obs["cell_type"]
    expected = {
        "EBM": sp.metrics.batch_entropy(z, batches, k=15, normalize=True).mean(),
        "label purity": sp.metrics.label_purity(z, labels, k=30).mean(),
        "graph connectivity": sp.metrics.graph_connectivity(z, labels, k=15).mean(),
        "isolated labels": sp.metrics.isolated_label_score(z, batches, labels, k=15).mean(),
        "one-batch types apart": 1 - sp.metrics.over_mixing(z, batches, labels, k=15),
        "KNI": sp.metrics.kni(z, batches, labels).score,
        "RbNI": sp.metrics.rbni(z, batches, labels).score,
    }
    for name, number in expected.items():
        assert value(full, "apart", name) == pytest.approx(number, abs=1e-9), name


@pytest.mark.parametrize("embedding", ["good", "collapsed"])
def test_mapping_is_the_vote_of_the_reference(adata, full, embedding):
    z, labels = adata.obsm[embedding], adata.obs["cell_type"].to_numpy()
    reference = adata.obs["is_reference"].to_numpy()
    found = NearestNeighbors(n_neighbors=15).fit(z[reference]).kneighbors(z[~reference], return_distance=False)
    votes = [pd.Series(labels[reference][row]).value_counts(sort=False) for row in found]
    best = np.array([sorted(vote.index[vote == vote.max()])[0] for vote in votes])
    truth = labels[~reference]
    known = truth != "t3"
    assert value(full, embedding, "label accuracy") == pytest.approx((best == truth)[known].mean())
    assert value(full, embedding, "macro F1") == pytest.approx(
        f1_score(truth[known], best[known], labels=["t0", "t1", "t2"], average="macro")
    )
    doubt = [1 - vote.max() / 15 for vote in votes]
    assert value(full, embedding, "AUROC of unseen types") == pytest.approx(roc_auc_score(~known, np.round(doubt, 9)))


def test_more_neighbors_than_other_scores_need(adata):
    report = evaluated(adata, ["EBM", "graph connectivity"], ["apart"], k=200)
    expected = sp.metrics.batch_entropy(adata.obsm["apart"], adata.obs["batch"], k=200, normalize=True)
    assert value(report, "apart", "EBM") == pytest.approx(expected.mean())
    of_90 = sp.metrics.batch_entropy(adata.obsm["apart"], adata.obs["batch"], k=90, normalize=True)
    assert abs(expected.mean() - of_90.mean()) > 0.01
    table = sp.metrics.label_mixing(adata.obsm["apart"], adata.obs["batch"], adata.obs["cell_type"], k=200)
    np.testing.assert_allclose(report.per_label["entropy"], table["entropy"])


def test_a_mask_of_the_cells_in_another_order_is_refused(adata):
    mask = adata.obs["is_reference"]
    by_name, by_series = (evaluated(adata, ["mapping"], ["apart"], mask=one) for one in ("is_reference", mask))
    pd.testing.assert_series_equal(by_name.scores["value"], by_series.scores["value"])
    with pytest.raises(ValueError, match=r"reference_mask.loc\[adata.obs_names\]"):
        evaluated(adata, ["mapping"], ["apart"], mask=mask.sample(frac=1, random_state=0))


@pytest.mark.filterwarnings("ignore:From 0.4 .update:FutureWarning")
def test_cells_with_several_modalities(adata):
    proteins = AnnData(csr_matrix(np.ones((N, 2))), adata.obs[[]].copy(), pd.DataFrame(index=["CD4", "CD8"]))
    joint = mudata.MuData({"rna": AnnData(obs=adata.obs[[]].copy()), "protein": proteins})
    joint.obs[["batch", "cell_type", "is_reference"]] = adata.obs[["batch", "cell_type", "is_reference"]]
    joint.obsm["apart"], joint.obsm["X_pca"] = adata.obsm["apart"], adata.obsm["X_pca"]
    scores = ["EBM", "KNI", "mapping"]
    of_both, of_one = (evaluated(cells, scores, ["apart"]).scores["value"] for cells in (joint, adata))
    pd.testing.assert_series_equal(of_both, of_one)


def test_a_collapsed_embedding_scores_badly(full):
    table = full.table()["summary"]
    assert table.loc["collapsed", "mixing"] > table.loc["apart", "mixing"]
    assert table.loc["collapsed", "conservation"] < 0.2 < 0.7 < table.loc["good", "conservation"]
    assert table.loc["collapsed", "total"] < 0.35 < 0.6 < table.loc["good", "total"]
    assert table["total"].idxmax() == "good"
    assert value(full, "collapsed", "one-batch types apart") < 0.5 < value(full, "good", "one-batch types apart")


def test_the_table_per_label_goes_both_ways(full):
    good = full.per_label[full.per_label["embedding"] == "good"].set_index("label")
    assert list(good["expected"]) == ["mixed", "mixed", "mixed", "apart"]
    assert good.loc["t3", "entropy"] < 0.1 < good.loc["t0", "entropy"]
    assert good["label_purity"].min() > 0.9


def test_chance_is_what_random_labels_score(adata, full):
    scores = full.scores.set_index(["embedding", "score"])
    shares = adata.obs["cell_type"].value_counts(normalize=True)
    assert scores.loc[("good", "label purity"), "chance"] == pytest.approx(shares.mean(), abs=0.03)
    assert scores.loc[("good", "ARI k-means"), "chance"] == pytest.approx(0, abs=0.03)
    mixing = scores.loc[("good", "EBM"), "value"]
    assert scores.loc[("good", "one-batch types apart"), "chance"] == pytest.approx(1 - mixing)
    collapsed = full.scores[(full.scores["embedding"] == "collapsed") & (full.scores["kind"] == "conservation")]
    assert (collapsed["value"] - collapsed["chance"]).abs().max() < 0.12
    assert full.scores.loc[full.scores["kind"] != "conservation", "chance"].isna().all()


def test_summary(full):
    table, scores = full.table()["summary"], full.scores
    above = (scores["value"] - scores["chance"]) / (1 - scores["chance"])
    empty = set(scores.loc[scores["chance"] == 1, "score"])  # batches of "apart" do not mix at all
    assert empty == {"one-batch types apart"}
    above = above[~scores["score"].isin(empty)]
    for name in ("good", "apart", "collapsed"):
        rows = scores["embedding"] == name
        mixing = scores["value"][rows & (scores["kind"] == "mixing")].mean()
        kept = above[rows & (scores["kind"] == "conservation") & ~scores["score"].isin(empty)].clip(lower=0).mean()
        plain = scores["value"][rows & (scores["kind"] == "conservation")].mean()
        assert table.loc[name, "mixing"] == pytest.approx(mixing)
        assert table.loc[name, "conservation"] == pytest.approx(kept)
        assert table.loc[name, "total"] == pytest.approx(mixing**0.4 * kept**0.6)
        assert table.loc[name, "scib total"] == pytest.approx(0.4 * mixing + 0.6 * plain)


def test_cells_are_not_changed(adata):
    before = adata.copy()
    sp.metrics.evaluate(adata, "good", "batch", labels_key="cell_type", progress=False)
    assert list(adata.obsm) == list(before.obsm)
    assert list(adata.obs) == list(before.obs)
    assert not adata.uns
    np.testing.assert_array_equal(adata.obsm["X_pca"], before.obsm["X_pca"])


def test_cells_without_label_take_part_where_none_is_needed(adata):
    some = adata.copy()
    some.obs["cell_type"] = some.obs["cell_type"].where(np.arange(N) % 5 > 0, "Unknown")
    some.obs.loc[some.obs_names[1], "cell_type"] = np.nan
    labelled = (~some.obs["cell_type"].isin(["Unknown"]) & some.obs["cell_type"].notna()).to_numpy()
    report = sp.metrics.evaluate(
        some, "apart", "batch", labels_key="cell_type", reference_mask=~labelled | (np.arange(N) < 150), progress=False
    )
    subset = sp.metrics.evaluate(some[labelled].copy(), "apart", "batch", labels_key="cell_type", progress=False)
    for name in ("label purity", "KNI", "graph connectivity"):
        assert value(report, "apart", name) == pytest.approx(value(subset, "apart", name))
    assert value(report, "apart", "EBM") == pytest.approx(
        sp.metrics.batch_entropy(some.obsm["apart"], some.obs["batch"], normalize=True).mean()
    )
    n_cells = report.scores.set_index("score")["n_cells"]
    assert n_cells["EBM"] == N
    assert n_cells["KNI"] == labelled.sum()


def test_what_takes_the_square_takes_some_cells(adata):
    options = {
        "labels_key": "cell_type",
        "scores": ["silhouette of labels", "RbNI", "EBM"],
        "progress": False,
        "subsample": 120,
    }
    report = sp.metrics.evaluate(adata, "good", "batch", **options)
    assert report.scores.set_index("score")["n_cells"].to_dict() == {"EBM": N, "silhouette of labels": 120, "RbNI": 120}
    again = sp.metrics.evaluate(adata, "good", "batch", **options)
    assert report.scores["value"].equals(again.scores["value"])
    other = sp.metrics.evaluate(adata, "good", "batch", **options, rng=1)
    assert not report.scores["value"].equals(other.scores["value"])


def test_without_labels_only_mixing(adata):
    report = sp.metrics.evaluate(adata, ["good", "apart"], "batch", progress=False)
    assert set(report.scores["kind"]) == {"mixing"}
    assert report.per_label.empty
    assert ("summary", "total") not in report.table()


def test_no_type_of_one_batch_is_no_error(adata):
    several = adata[adata.obs["cell_type"] != "t3"].copy()
    report = sp.metrics.evaluate(several, "good", "batch", labels_key="cell_type", progress=False)
    assert np.isnan(value(report, "good", "one-batch types apart"))
    assert np.isfinite(report.table()["summary", "total"]).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"embeddings": ["X_umap"]}, KeyError, "X_umap"),
        ({"batch_key": "lane"}, KeyError, "lane"),
        ({"labels_key": "type"}, KeyError, "type"),
        ({"before": "X_raw"}, KeyError, "X_raw"),
        ({"scores": ["KNI", "silhouete"]}, ValueError, "silhouete"),
        ({"scores": "complete"}, ValueError, "complete"),
        ({"reference_mask": [True, False]}, ValueError, "shape"),
        ({"reference_mask": np.ones(N, bool)}, ValueError, "both sides"),
        ({"reference_mask": pd.Series(np.arange(N) < 9)}, ValueError, "index of reference_mask is not adata.obs_names"),
        ({"embeddings": []}, ValueError, "embeddings is empty"),
        ({"scores": []}, ValueError, "scores is empty"),
        ({"scores": ["EBM", "mapping"]}, ValueError, "'mapping' needs reference_mask"),
        ({"scores": ["KNI"], "labels_key": None}, ValueError, "'KNI' needs labels_key"),
        ({"scores": "BRAS", "labels_key": None}, ValueError, "'BRAS' needs labels_key"),
        ({"scores": ["PCR"]}, ValueError, "'PCR' needs before"),
        ({"k": 0}, ValueError, "k must be at least 1, not 0"),
        ({"k": N}, ValueError, "k=300"),
        ({"subsample": 1}, ValueError, "subsample must be at least 2"),
        ({"batch_key": "species"}, ValueError, r"adata.obs\['species'\] has 1 batches"),
        ({"batch_key": "gaps"}, ValueError, r"adata.obs\['gaps'\] is missing for 1 of 300 cells"),
        ({"embeddings": ["good", "holes"]}, ValueError, r"adata.obsm\['holes'\] has NaN.* in 1 of 300 cells"),
        ({"embeddings": ["good", "sparse"]}, ValueError, r"adata.obsm\['sparse'\] is sparse"),
    ],
)
def test_wrong_input_is_named(adata, change, error, message):
    adata = adata.copy()
    adata.obs["species"] = "human"
    adata.obs["gaps"] = adata.obs["batch"].where(np.arange(N) > 0)
    adata.obsm["holes"] = np.where(np.arange(N)[:, None] == 5, np.nan, adata.obsm["good"])
    adata.obsm["sparse"] = csr_matrix(adata.obsm["good"])
    arguments = {"embeddings": ["good"], "batch_key": "batch", "labels_key": "cell_type", "progress": False, **change}
    with pytest.raises(error, match=message):
        sp.metrics.evaluate(adata, arguments.pop("embeddings"), arguments.pop("batch_key"), **arguments)


DRAWABLE = ["EBM", "iLISI", "cLISI", "graph connectivity", "label purity", "KNI", "RbNI", "mapping"]


def test_scores_over_draws_are_means_over_disjoint_cells(adata, full):
    evaluate = {"batch_key": "batch", "labels_key": "cell_type", "reference_mask": "is_reference", "progress": False}
    report = sp.metrics.evaluate(adata, ["good", "apart"], scores=DRAWABLE, n_cells=100, n_draws=3, **evaluate)
    assert (report.scores["n_cells"] <= 100).all()
    assert (report.scores["low"] < report.scores["value"]).any()
    assert "300 cells, of which 100 were drawn 3 times, 2 batches" in str(report)
    row = report.scores.iloc[0]
    assert report.intervals().loc[row["score"], row["embedding"]] == f"{row['low']:.3f} to {row['high']:.3f}"
    assert "intervals of 95 % over draws" in str(report)
    assert "intervals of 95 % over draws" in report._repr_html_()
    counts = report.per_label[report.per_label["embedding"] == "good"].set_index("label")["n_cells"]
    pd.testing.assert_series_equal(
        counts, adata.obs["cell_type"].value_counts(), check_names=False, check_like=True, check_index_type=False
    )  # every cell is in one draw: 3 x 100 of 300
    expected = full.per_label.set_index(["embedding", "label"])["expected"]
    found = report.per_label.set_index(["embedding", "label"])["expected"]
    pd.testing.assert_series_equal(found, expected.loc[found.index], check_names=False)
    one = sp.metrics.evaluate(adata, "good", scores=["KNI"], n_cells=100, n_draws=1, **evaluate)
    assert one.scores[["low", "high"]].isna().all(axis=None)
    whole = sp.metrics.evaluate(adata, "good", scores=["KNI", "EBM"], n_cells=N, **evaluate)
    for score in ("KNI", "EBM"):
        assert value(whole, "good", score) == value(full, "good", score)


def test_intervals_hold_the_expected_score():
    """Batches dealt at random: the expected entropy among 15 neighbours is that of a binomial distribution."""
    rng, of_batch = np.random.default_rng(1), np.arange(16)
    shares = np.column_stack([of_batch, 15 - of_batch]) / 15
    expected = binom.pmf(of_batch, 15, 0.5) @ entropy(shares, base=2, axis=1)
    inside = []
    for _ in range(12):
        obs = pd.DataFrame({"batch": rng.choice(["a", "b"], 1000)}, index=np.arange(1000).astype(str))
        cells = AnnData(np.zeros((1000, 1), dtype=np.float32), obs, obsm={"X": rng.normal(size=(1000, 2))})
        drawn = sp.metrics.evaluate(cells, "X", "batch", scores=["EBM"], n_cells=200, n_draws=5, progress=False)
        row = drawn.scores.iloc[0]
        inside.append(row["low"] <= expected <= row["high"])
    assert np.mean(inside) >= 0.75


def test_draws_need_cells(adata):
    with pytest.raises(ValueError, match=r"n_draws=4 times n_cells=100 are more than the 300 cells.*at most 75"):
        sp.metrics.evaluate(adata, "good", "batch", n_cells=100, n_draws=4)
    with pytest.raises(ValueError, match="n_draws=3 draws need a number of cells each: give n_cells, such as 100"):
        sp.metrics.evaluate(adata, "good", "batch", n_draws=3)


CELLWISE = ["EBM", "iLISI", "kBET", "cLISI", "label purity", "KNI", "RbNI", "label accuracy"]


@pytest.fixture(scope="module")
def by_donor(adata):
    """Two donors of each batch and some cells of none; a report by donor, and one by batch."""
    some = adata.copy()
    donors = some.obs["batch"].astype(str) + "-" + pd.Series(np.arange(N) % 2, some.obs_names).astype(str)
    some.obs["donor"] = donors.where(np.arange(N) >= 6)
    options = {
        "labels_key": "cell_type",
        "reference_mask": "is_reference",
        "scores": [*DRAWABLE, "kBET"],
        "progress": False,
    }
    reports = {
        key: sp.metrics.evaluate(some, ["good", "apart"], "batch", sample_key=key, **options)
        for key in ("donor", "batch")
    }
    return some, reports


def of_sample(report, score, embedding="apart"):
    rows = report.per_sample[(report.per_sample["embedding"] == embedding) & (report.per_sample["score"] == score)]
    return rows.set_index("sample")


def test_scores_of_samples_are_averages_over_their_cells(by_donor):
    """Against the values of each cell, as functions of this package and of scib-metrics have them."""
    some, reports = by_donor
    z, batches, labels, donors = some.obsm["apart"], *(some.obs[key] for key in ("batch", "cell_type", "donor"))
    around = NearestNeighbors(n_neighbors=30).fit(z).kneighbors(return_distance=False)
    kinds = labels.to_numpy()
    expected = {
        "EBM": pd.Series(sp.metrics.batch_entropy(z, batches, k=15, normalize=True)).groupby(donors.to_numpy()).mean(),
        "label purity": pd.Series((kinds[around] == kinds[:, None]).mean(axis=1))
        .groupby([donors.to_numpy(), kinds]).mean().groupby(level=0).mean(),
    }  # fmt: skip
    for score, values in expected.items():
        found = of_sample(reports["donor"], score)
        assert list(found.index) == ["b0-0", "b0-1", "b1-0", "b1-1"]
        np.testing.assert_allclose(found["value"], values, atol=1e-9)
        assert found["n_cells"].to_dict() == donors.value_counts().to_dict()
    for score, function in (("KNI", sp.metrics.kni), ("RbNI", sp.metrics.rbni)):
        table = function(z, batches, labels).per_batch
        pd.testing.assert_series_equal(of_sample(reports["batch"], score)["value"], table["score"], check_names=False)
    p_values = scib_metrics.kbet(neighbors_with_self(z, 50), pd.factorize(batches, sort=True)[0])[2]
    accepted = pd.Series(np.asarray(p_values) >= 0.05).groupby(batches.to_numpy()).mean()
    np.testing.assert_allclose(of_sample(reports["batch"], "kBET")["value"], accepted, atol=2e-3)


def test_samples_of_the_query_alone_have_an_accuracy(by_donor, full):
    some, reports = by_donor
    found = of_sample(reports["donor"], "label accuracy")
    assert list(found.index) == ["b1-0", "b1-1"]  # batch b0 is the reference
    known = (some.obs["cell_type"] != "t3") & (some.obs["batch"] == "b1")
    assert found["n_cells"].to_dict() == some.obs["donor"][known].value_counts().to_dict()
    whole = of_sample(reports["batch"], "label accuracy")
    assert whole.loc["b1", "value"] == pytest.approx(value(full, "apart", "label accuracy"))


def test_samples_of_all_cells_have_the_score_of_all(adata):
    one = adata.copy()
    one.obs["run"] = "same"
    options = {"labels_key": "cell_type", "reference_mask": "is_reference", "sample_key": "run", "progress": False}
    report = sp.metrics.evaluate(one, "apart", "batch", scores=[*DRAWABLE, "kBET", "k-means"], **options)
    table = report.by_sample()
    assert table.loc[("apart", "same"), "n_cells"] == N
    assert set(table.columns) == {"n_cells", *CELLWISE}
    for score in CELLWISE:
        assert table.loc[("apart", "same"), score] == pytest.approx(value(report, "apart", score), abs=1e-6), score


def test_samples_over_draws_and_on_the_page(by_donor, tmp_path):
    some, _ = by_donor
    options = {"labels_key": "cell_type", "sample_key": "donor", "progress": False, "scores": ["EBM", "KNI"]}
    report = sp.metrics.evaluate(some, ["good", "apart"], "batch", n_cells=100, n_draws=3, **options)
    found = of_sample(report, "EBM", "good")
    assert (found["n_draws"] == 3).all()
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()
    assert found["n_cells"].sum() < 110
    assert list(report.by_sample().index[:2]) == [("good", "b0-0"), ("good", "b0-1")]
    report.to_html(tmp_path / "page.html")
    assert "By sample" in (tmp_path / "page.html").read_text()
    without = sp.metrics.evaluate(some, "good", "batch", scores=["EBM"], progress=False)
    assert without.per_sample.empty
    assert without.by_sample().empty


def test_a_column_without_samples_is_refused(adata):
    some = adata.copy()
    some.obs["donor"] = np.nan
    with pytest.raises(ValueError, match=r"adata.obs\['donor'\] names no sample"):
        sp.metrics.evaluate(some, "good", "batch", sample_key="donor")


def spoil_counts(path):
    """Overwrite the packed counts of a file, so that nobody can read them."""
    if path.suffix == ".zarr":
        for chunk in (path / "X" / "data").rglob("*"):
            if chunk.is_file() and chunk.name not in {"zarr.json", ".zarray", ".zattrs"}:
                chunk.write_bytes(b"no counts")
        return
    with h5py.File(path) as file:
        chunk = file["X/data"].id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(bytes(chunk.size))


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning")
def test_counts_on_disk_are_not_read(adata, tmp_path, suffix):
    counts = csr_matrix(np.random.default_rng(0).poisson(1.0, size=(N, 50)).astype(np.float32))
    some, path = AnnData(counts, adata.obs, obsm=dict(adata.obsm)), tmp_path / f"cells.{suffix}"
    some.write_h5ad(path, compression="gzip") if suffix == "h5ad" else some.write_zarr(path)
    opened = sp.pp.open_cells(path)
    spoil_counts(path)
    with pytest.raises((OSError, ValueError, RuntimeError)):
        opened.X[:2]
    options = {"labels_key": "cell_type", "scores": ["EBM", "KNI"], "n_cells": 100, "n_draws": 2, "progress": False}
    of_disk, of_memory = (sp.metrics.evaluate(cells, "apart", "batch", **options) for cells in (opened, adata))
    pd.testing.assert_series_equal(of_disk.scores["value"], of_memory.scores["value"])


def test_prototypes_are_refused(adata):
    cells = AnnData(obs=adata.obs, obsm={"X_scarches": adata.obsm["good"]})
    small = sp.tl.reference_prototypes(cells, "cell_type", "batch")
    joint = sp.tl.joint_embedding(small, cells)
    for given in (small, joint):
        with pytest.raises(ValueError, match=r"adata holds prototypes.*score the cells.*label_transfer_report"):
            sp.metrics.evaluate(given, "X_scarches", "batch", labels_key="cell_type")

"""Scores of :func:`evaluate` that are not defined: NaN, one warning that says why, and all others as ever."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scarches_plus as sp

N = 300
OWN = [
    "EBM",
    "graph connectivity",
    "label purity",
    "isolated labels",
    "one-batch types apart",
    "KNI",
    "RbNI",
    "mapping",
]


@pytest.fixture
def adata():
    """Three types in three batches."""
    rng = np.random.default_rng(0)
    types, batches = rng.integers(0, 3, N), rng.integers(0, 3, N)
    obs = pd.DataFrame({"batch": [f"b{b}" for b in batches], "cell_type": [f"t{t}" for t in types]})
    obs.index = obs.index.astype(str)
    good = 6 * rng.normal(size=(3, 4))[types] + rng.normal(size=(N, 4))
    return AnnData(
        obs=obs,
        obsm={"good": good, "point": np.full((N, 4), 0.3), "one hot": np.eye(6)[types + 3 * rng.integers(0, 2, N)]},
    )


def evaluated(adata, embeddings="good", scores=OWN, **options):
    reference = (adata.obs["batch"] != "b2").to_numpy()
    options = {"labels_key": "cell_type", "reference_mask": reference, "scores": scores, "progress": False} | options
    with pytest.warns(UserWarning, match="some scores are not defined, and NaN") as caught:
        report = sp.metrics.evaluate(adata, embeddings, "batch", **options)
    (message,) = [str(one.message) for one in caught if "umap" not in one.filename]  # which tells what it lacks
    return report.scores.set_index(["embedding", "score"])["value"], message, report


def test_a_query_without_labels(adata):
    """The usual case: scores of labels are of the reference, those of mapping of nobody."""
    adata.obs["cell_type"] = adata.obs["cell_type"].where(adata.obs["batch"] != "b2", "Unknown")
    values, message, report = evaluated(adata)
    assert message.endswith("NaN: of 'good' mapping: no query cell has a label")
    known = adata[adata.obs["batch"] != "b2"].copy()
    arguments = known.obsm["good"], known.obs["batch"], known.obs["cell_type"]
    assert values["good", "KNI"] == sp.metrics.kni(*arguments).score
    assert values["good", "EBM"] == pytest.approx(
        sp.metrics.batch_entropy(adata.obsm["good"], adata.obs["batch"], normalize=True).mean()
    )
    assert values["good"][["label accuracy", "macro F1", "AUROC of unseen types"]].isna().all()
    assert len(report.per_label) == 3
    assert np.isfinite(report.table()["summary", "total"]).all()

    _, message, _ = evaluated(adata, reference_mask=(adata.obs["batch"] == "b2").to_numpy())
    assert "mapping: k=15 neighbours need more than the 0 reference cells that have a label" in message


def test_labels_in_one_batch_only(adata):
    adata.obs["cell_type"] = adata.obs["cell_type"].where(adata.obs["batch"] == "b0")
    values, message, report = evaluated(adata)
    assert "one-batch types apart, KNI, RbNI, the table per label: all cells with a label are of batch 'b0'" in message
    known = adata[adata.obs["batch"] == "b0"]
    purity = sp.metrics.label_purity(known.obsm["good"], known.obs["cell_type"]).mean()
    assert values["good", "label purity"] == pytest.approx(purity)
    assert values["good"][["one-batch types apart", "KNI", "RbNI"]].isna().all()
    assert report.per_label.empty
    assert "nan" not in repr(report.table()["mixing"])


@pytest.mark.parametrize("n_labelled", [0, 1, 15])
def test_hardly_any_label(adata, n_labelled):
    adata.obs["cell_type"] = adata.obs["cell_type"].where(np.arange(N) < n_labelled)
    values, message, _ = evaluated(adata, scores=["EBM", "graph connectivity"])
    assert f"need more than the {n_labelled} cells" in message if n_labelled > 1 else "fewer than 2" in message
    assert values["good"].isna().tolist() == [False, True]


def test_all_cells_at_one_point_score_badly(adata):
    scores = [*OWN, "k-means"]
    adata.obs["cell_type"] = adata.obs["cell_type"].where(adata.obs["batch"] != "b2")  # so that there is a warning
    values, message, report = evaluated(adata, ["good", "point"], scores)
    assert (values["point"][["KNI", "RbNI"]] == 0).all()
    assert values["good", "KNI"] > 0.9
    assert message.count("of 'point' mapping: no query") == message.count("of 'point'") == 1
    table = report.table()["summary"]
    assert table.loc["point", "conservation"] < 0.2 < 0.9 < table.loc["good", "conservation"]
    assert table.loc["point", "total"] < 0.4 < table.loc["good", "total"]


@pytest.mark.parametrize(("embedding", "before"), [("good", "point"), ("point", "good")])
def test_nothing_that_batches_could_explain(adata, embedding, before):
    values, message, _ = evaluated(adata, embedding, ["PCR"], before=before)
    assert "PCR: all cells lie at one point, before or after" in message
    assert np.isnan(values[embedding, "PCR"])


def test_quartiles_that_coincide(adata):
    """Each dimension of a one-hot code is 0 for most cells, which are not at one point all the same."""
    values, message, _ = evaluated(adata, "one hot", ["label purity", "KNI", "RbNI"])
    assert values["one hot"].isna().tolist() == [False, True, True]
    assert "of 'one hot' KNI, RbNI: in every dimension, half of the cells or more share one value" in message
    assert values["one hot", "label purity"] == 1


def test_one_label_only(adata):
    adata.obs["cell_type"] = "T"
    scores = ["label purity", "cLISI", "k-means", "silhouette of labels", "isolated labels (silhouette)"]
    values, message, _ = evaluated(adata, scores=scores)
    assert "cLISI, k-means, silhouette of labels, isolated labels (silhouette): the only label is 'T'" in message
    assert values["good"].notna().sum() == 1


def test_every_label_in_a_batch_of_its_own(adata):
    adata.obs["cell_type"] = adata.obs["batch"].str.replace("b", "type ").to_numpy()
    _, message, _ = evaluated(adata, scores=["EBM", "BRAS", "silhouette of batches", "kBET per label"])
    assert "BRAS, silhouette of batches, kBET per label: no label has enough cells in two batches or more" in message


def test_few_cells(adata):
    values, message, _ = evaluated(adata[:6].copy(), scores=["EBM", "iLISI", "cLISI"], k=2, reference_mask=None)
    assert "iLISI, cLISI: 6 cells are fewer than 10" in message
    assert values["good"].isna().tolist() == [False, True, True]

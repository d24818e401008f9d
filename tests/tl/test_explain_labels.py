"""An explanation says what transfer_labels did, cell by cell."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scarches_plus as sp

TYPES = ["B", "NK", "T"]


def blobs(n_cells, rng, batches):
    rng = np.random.default_rng(rng)
    types = rng.integers(0, 3, n_cells)
    z = np.array([[6, 0], [1.5, 0], [0, 0]])[types] + rng.normal(size=(n_cells, 2))
    obs = pd.DataFrame(
        {"cell_type": np.array(TYPES)[types], "batch": rng.choice(batches, n_cells)},
        index=[f"c{i}" for i in range(n_cells)],
    )
    rates = np.random.default_rng(7).gamma(1, 2, (3, 60))  # counts for the classifier; neighbours do not see them
    return AnnData(rng.poisson(rates[types]).astype(np.float32), obs, obsm={"X_scarches": z.astype(np.float32)})


@pytest.fixture
def reference():
    reference = blobs(300, 0, ["a", "b"])
    reference.obs.iloc[:30, 0] = "Unknown"
    return reference


@pytest.fixture
def query():
    """With a record of novel cells as detect_novel writes it."""
    query = blobs(60, 1, ["q"])
    query.obs["novel"] = np.arange(60) % 10 == 0
    query.obs["novel_score"] = np.linspace(0, 1, 60)
    query.obs["novel_label"] = pd.Categorical(["B", "T"] * 30)
    query.obs["novel_cluster"] = pd.Categorical(np.where(query.obs["novel"], "novel 1", None))
    query.uns["scarches_plus"] = {"novel": {"novel": {"threshold": 0.4}}}
    return query


@pytest.mark.parametrize("unknown_above", [None, 0.3])
@pytest.mark.parametrize("consensus", [False, True])
@pytest.mark.parametrize("novel_key", [None, "novel"])
def test_predictions_are_those_of_transfer_labels(reference, query, unknown_above, consensus, novel_key):
    same = {"k": 7, "unknown_above": unknown_above, "novel_key": novel_key}
    if consensus:
        same["classifier"] = sp.tl.expression_classifier(
            reference, "cell_type", batch_key="batch", use_rep="X_scarches", k=7
        )
    before = query.copy()
    table = sp.tl.explain_labels(query, reference, "cell_type", **same)
    pd.testing.assert_frame_equal(query.obs, before.obs)
    sp.tl.transfer_labels(query, reference, "cell_type", probabilities=True, **same)
    assert table.index.equals(query.obs_names)
    assert table["prediction"].astype(str).tolist() == query.obs["cell_type_pred"].astype(str).tolist()
    np.testing.assert_allclose(1 - table["probability"], query.obs["cell_type_uncertainty"], atol=1e-12)
    shares = pd.DataFrame(query.obsm["cell_type_probabilities"], columns=TYPES)
    for row, (_, cell) in enumerate(table.iterrows()):
        best = shares.loc[row].sort_values(ascending=False, kind="stable")
        assert (cell["label"], cell["second_label"]) == (
            best.index[0],
            best.index[1] if best.iloc[1] > 0 else cell["second_label"],
        )
        assert cell["second_probability"] == pytest.approx(best.iloc[1])
    uncertain = query.obs["cell_type_uncertainty"].to_numpy() > (unknown_above or 1)
    novel = query.obs["novel"].to_numpy() & (novel_key is not None)
    expected = np.select([novel, uncertain], ["novel", "uncertain"], "accepted")
    assert table["reason"].tolist() == expected.tolist()
    assert ("expression_label" in table) == consensus
    assert ("novel_score" in table) == (novel_key is not None)
    assert (table["second_label"].isna() == (table["second_probability"] == 0)).all()


def test_neighbours_by_a_loop(reference, query):
    table = sp.tl.explain_labels(query, reference, "cell_type", k=9, batch_key="batch")
    for name in query.obs_names[:20]:
        d = np.linalg.norm(reference.obsm["X_scarches"] - query[name].obsm["X_scarches"], axis=1)
        near = np.argsort(d)[:9]
        labels = Counter(reference.obs["cell_type"].iloc[near])
        labels.pop("Unknown", None)
        batches = Counter(reference.obs["batch"].iloc[near])
        for text, counts in (
            (table.loc[name, "neighbor_labels"], labels),
            (table.loc[name, "neighbor_batches"], batches),
        ):
            assert dict(pair.rsplit(" ", 1) for pair in text.split(", ")) == {key: str(n) for key, n in counts.items()}
            numbers = [int(pair.rsplit(" ", 1)[1]) for pair in text.split(", ")]
            assert numbers == sorted(numbers, reverse=True)
        assert table.loc[name, "n_batches"] == len(batches)
        assert table.loc[name, "distance"] == pytest.approx(d[near].mean(), rel=1e-5)


def test_what_detect_novel_found_is_told(reference, query):
    table = sp.tl.explain_labels(query, reference, "cell_type", novel_key="novel")
    assert (table["novel_threshold"] == 0.4).all()
    for column in ("novel_score", "novel_label", "novel_cluster"):
        pd.testing.assert_series_equal(table[column], query.obs[column])
    assert (table.loc[query.obs["novel"], "prediction"] == "Unknown").all()
    del query.uns["scarches_plus"]
    with pytest.raises(KeyError, match="detect_novel"):
        sp.tl.explain_labels(query, reference, "cell_type", novel_key="novel")
    sp.tl.name_novel(query, {"novel 1": "x"})  # of cells that anndata.concat has taken the record from
    with pytest.raises(KeyError, match="detect_novel"):
        sp.tl.explain_labels(query, reference, "cell_type", novel_key="novel")


def test_cells_of_the_same_name(reference, query):
    whole = sp.tl.explain_labels(query, reference, "cell_type", novel_key="novel")
    query.obs_names = [f"c{i // 2}" for i in range(query.n_obs)]
    table = sp.tl.explain_labels(query, reference, "cell_type", novel_key="novel")
    assert table.index.equals(query.obs_names)
    pd.testing.assert_frame_equal(table.set_axis(whole.index), whole)
    mask = np.arange(60) < 3
    assert len(sp.tl.explain_labels(query, reference, "cell_type", novel_key="novel", cells=mask)) == 3
    with pytest.raises(ValueError, match="names of cells are not unique"):
        sp.tl.explain_labels(query, reference, "cell_type", cells=["c1"])


def test_some_cells(reference, query):
    whole = sp.tl.explain_labels(query, reference, "cell_type", novel_key="novel")
    named = sp.tl.explain_labels(query, reference, "cell_type", novel_key="novel", cells=["c7", "c3"])
    pd.testing.assert_frame_equal(named, whole.loc[["c7", "c3"]])
    mask = query.obs["novel"].to_numpy()
    pd.testing.assert_frame_equal(
        sp.tl.explain_labels(query, reference, "cell_type", novel_key="novel", cells=mask), whole[mask]
    )
    with pytest.raises(KeyError, match="c99"):
        sp.tl.explain_labels(query, reference, "cell_type", cells=["c1", "c99"])
    with pytest.raises(ValueError, match="60 entries"):
        sp.tl.explain_labels(query, reference, "cell_type", cells=np.ones(3, dtype=bool))
    with pytest.raises(KeyError, match="nothing"):
        sp.tl.explain_labels(query, reference, "cell_type", batch_key="nothing")


def test_some_cells_are_explained_by_their_own_counts(reference, query):
    known = {"k": 7, "classifier": sp.tl.expression_classifier(
        reference, "cell_type", batch_key="batch", use_rep="X_scarches", k=7
    )}  # fmt: skip
    whole = sp.tl.explain_labels(query, reference, "cell_type", **known)
    named = sp.tl.explain_labels(query, reference, "cell_type", cells=["c7", "c3"], **known)
    pd.testing.assert_frame_equal(named, whole.loc[["c7", "c3"]])


def test_cells_far_from_every_label(reference, query):
    reference.obs["cell_type"] = np.where(reference.obsm["X_scarches"][:, 0] > 3, "B", "Unknown")
    reference.obs.iloc[0, 0] = "T"
    table = sp.tl.explain_labels(query, reference, "cell_type", k=5, unknown_above=None)
    lost = table["reason"] == "no labelled neighbor"
    assert lost.any()
    assert table.loc[lost, "label"].isna().all()
    assert (table.loc[lost, "neighbor_labels"] == "").all()
    assert (table.loc[lost, "prediction"] == "Unknown").all()

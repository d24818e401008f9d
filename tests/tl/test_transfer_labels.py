"""Label transfer on AnnData."""

import dataclasses

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
from anndata import AnnData
from mudata import MuData
from scipy import sparse
from sklearn.neighbors import KNeighborsClassifier
from small_models import NETWORK, SCVI, cells, split
from small_models import reference as small_reference

import scarches_plus as sp


def blobs(n_cells, seed, key="cell_type"):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n_cells)
    z = np.array([[0, 0], [6, 0], [0, 6]])[labels] + rng.normal(size=(n_cells, 2))
    names = np.array(["T", "B", "NK"])[labels]
    obs = pd.DataFrame(
        {key: pd.Categorical(names, categories=["T", "B", "NK"])}, index=[f"c{i}" for i in range(n_cells)]
    )
    return AnnData(obs=obs, obsm={"X_scarches": z.astype(np.float32)})


@pytest.fixture
def reference():
    adata = blobs(300, 0)
    adata.uns["cell_type_colors"] = ["#ff0000", "#00ff00", "#0000ff"]
    return adata


@pytest.fixture
def query():
    return blobs(80, 1, "truth")


def test_agrees_with_scikit_learn_where_votes_weigh_the_same(reference, query):
    sp.tl.transfer_labels(
        query, reference, "cell_type", k=15, kernel="gaussian", probabilities=True, unknown_above=None
    )

    def weights(d):
        return np.exp(-((d / np.sqrt((d**2).mean(1, keepdims=True))) ** 2) / 2)

    theirs = KNeighborsClassifier(15, weights=weights, algorithm="brute").fit(
        reference.obsm["X_scarches"], reference.obs["cell_type"].astype(str)
    )
    p = theirs.predict_proba(query.obsm["X_scarches"])
    names = list(query.uns["scarches_plus"]["probability_labels"]["cell_type"])
    ours = query.obsm["cell_type_probabilities"][:, [names.index(label) for label in theirs.classes_]]
    np.testing.assert_allclose(ours, p, atol=1e-5)
    assert (query.obs["cell_type_pred"].astype(str) == theirs.classes_[p.argmax(1)]).all()
    np.testing.assert_allclose(query.obs["cell_type_uncertainty"], 1 - p.max(1), atol=1e-5)


def test_cells_of_several_modalities_vote_and_are_labelled(reference, query):
    sp.tl.transfer_labels(query, reference, "cell_type", probabilities=True)
    joint = [
        MuData({"rna": AnnData(np.ones((one.n_obs, 2)), pd.DataFrame(index=one.obs_names))})
        for one in (reference, query)
    ]
    for mdata, cells_of_one in zip(joint, (reference, query), strict=True):
        mdata.obsm["X_scarches"] = cells_of_one.obsm["X_scarches"]
    joint[0].obs["cell_type"] = reference.obs["cell_type"]
    sp.tl.transfer_labels(joint[1], joint[0], "cell_type", probabilities=True)
    pd.testing.assert_series_equal(joint[1].obs["cell_type_pred"].astype(str), query.obs["cell_type_pred"].astype(str))
    np.testing.assert_array_equal(joint[1].obsm["cell_type_probabilities"], query.obsm["cell_type_probabilities"])


def test_results_carry_the_reference_s_categories_and_colours(reference, query):
    sp.tl.transfer_labels(query, reference, "cell_type")
    assert list(query.obs["cell_type_pred"].cat.categories) == ["T", "B", "NK", "Unknown"]
    assert list(query.uns["cell_type_pred_colors"])[:3] == ["#ff0000", "#00ff00", "#0000ff"]
    accuracy = (query.obs["cell_type_pred"].astype(str) == query.obs["truth"].astype(str)).mean()
    assert accuracy > 0.95


def test_unknown_above(reference, query):
    middle = AnnData(obs=pd.DataFrame(index=["m"]), obsm={"X_scarches": np.array([[2.9, 0.0]], dtype=np.float32)})
    for threshold, expected in ((None, False), (1.0, False), (0.1, True)):
        sp.tl.transfer_labels(middle, reference, "cell_type", unknown_above=threshold, k=100)
        assert (middle.obs["cell_type_pred"].iloc[0] == "Unknown") == expected
    u = middle.obs["cell_type_uncertainty"].iloc[0]
    assert 0.1 < u < 0.7
    with pytest.raises(ValueError, match="unknown_above"):
        sp.tl.transfer_labels(middle, reference, "cell_type", unknown_above=50)


def test_several_columns_share_one_search(reference, query, searches):
    reference.obs["coarse"] = np.where(reference.obs["cell_type"] == "B", "B", "T/NK")
    reference.obs["cell_type_2"] = "x"
    sp.tl.transfer_labels(query, reference, ["cell_type", "coarse"])
    assert len(searches) == 1
    assert {"cell_type_pred", "coarse_pred"} <= set(query.obs)
    assert "cell_type_2_pred" not in query.obs


def test_reference_cells_without_a_label_do_not_vote(reference, query):
    labels = reference.obs["cell_type"].astype(object)
    labels[reference.obs["cell_type"] == "B"] = np.nan
    labels[reference.obs["cell_type"] == "NK"] = "Unknown"
    reference.obs["partial"] = labels
    sp.tl.transfer_labels(query, reference, "partial")
    assert set(query.obs["partial_pred"].astype(str)) <= {"T", "Unknown"}
    far = (query.obs["truth"] == "B").to_numpy() & (query.obsm["X_scarches"][:, 0] > 5)
    assert (query.obs["partial_pred"][far] == "Unknown").all()
    assert (query.obs["partial_uncertainty"][far] == 1).all()


def test_a_query_without_the_column_and_copy(reference, query):
    before = query.copy()
    result = sp.tl.transfer_labels(query, reference, "cell_type", copy=True)
    assert "cell_type_pred" in result.obs
    assert query.obs.equals(before.obs)
    assert sp.tl.transfer_labels(query, reference, "cell_type") is None


def test_small_reference(reference, query):
    sp.tl.transfer_labels(query, reference[:7].copy(), "cell_type")
    assert query.obs["cell_type_pred"].notna().all()


class TestRefusals:
    def test_different_spaces(self, reference, query):
        query.uns["scarches_plus"] = {"embeddings": {"X_scarches": {"space": "a"}}}
        with pytest.raises(ValueError, match=r"sp\.tl\.embed"):
            sp.tl.transfer_labels(query, reference, "cell_type")
        reference.uns["scarches_plus"] = {"embeddings": {"X_scarches": {"space": "b"}}}
        with pytest.raises(ValueError, match="a and b"):
            sp.tl.transfer_labels(query, reference, "cell_type")
        reference.uns["scarches_plus"]["embeddings"]["X_scarches"]["space"] = "a"
        sp.tl.transfer_labels(query, reference, "cell_type")

    def test_different_dimensions(self, reference, query):
        query.obsm["X_scarches"] = query.obsm["X_scarches"][:, :1]
        with pytest.raises(ValueError, match="dimensions"):
            sp.tl.transfer_labels(query, reference, "cell_type")

    def test_missing_things(self, reference, query):
        with pytest.raises(KeyError, match="no_such"):
            sp.tl.transfer_labels(query, reference, "no_such")
        with pytest.raises(KeyError, match="X_pca"):
            sp.tl.transfer_labels(query, reference, "cell_type", use_rep="X_pca")
        reference.obs["empty"] = "Unknown"
        with pytest.raises(ValueError, match="no cell of the reference"):
            sp.tl.transfer_labels(query, reference, "empty")
        with pytest.raises(KeyError, match="no index lists a model 'model'"):
            sp.tl.transfer_labels(query, "model", "cell_type")


def test_any_labels_survive_h5ad(reference, query, tmp_path):
    reference.obs["slash"] = reference.obs["cell_type"].cat.rename_categories({"T": "CD4+/CD25 T"})
    reference.obs["number"] = reference.obs["cell_type"].cat.codes.astype(int)
    sp.tl.transfer_labels(query, reference, ["slash", "number"], probabilities=True)
    query.write_h5ad(tmp_path / "query.h5ad")
    again = anndata.read_h5ad(tmp_path / "query.h5ad")
    assert "CD4+/CD25 T" in set(again.obs["slash_pred"])
    assert set(again.obs["number_pred"]) <= {"0", "1", "2", "Unknown"}
    assert again.obsm["slash_probabilities"].shape == (80, 3)
    with pytest.raises(ValueError, match="labels_key is empty"):
        sp.tl.transfer_labels(query, reference, [])


TREE = sp.pp.label_tree({"lymphoid": {"T": ["CD4", "CD8"], "NK": [], "ILC": []}, "B": []})


def nested_blobs(n_cells, seed):
    """Cells of types on a tree; those of one branch are near one another."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n_cells)
    z = np.array([[0, 0], [1.5, 0], [4, 0], [0, 9]])[labels] + rng.normal(size=(n_cells, 2))
    names = np.array(["CD4", "CD8", "NK", "B"])[labels]
    obs = pd.DataFrame({"cell_type": pd.Categorical(names)}, index=[f"c{i}" for i in range(n_cells)])
    return AnnData(obs=obs, obsm={"X_scarches": z.astype(np.float32)})


def test_a_hierarchy_rolls_votes_up_to_what_is_certain():
    reference, query = nested_blobs(300, 0), nested_blobs(80, 1)
    types = reference.obs["cell_type"].astype(str)
    types[::3] = types[::3].replace({"CD4": "T", "CD8": "T", "NK": "lymphoid"})  # some have a coarse label only
    reference.obs["cell_type"] = types
    k, highest = 20, 0.45
    sp.tl.transfer_labels(
        query, reference, "cell_type", k=k, kernel="gaussian", unknown_above=highest, hierarchy=TREE, probabilities=True
    )
    names = ["lymphoid", "T", "CD4", "CD8", "NK", "B"]  # no cell of the reference is an ILC
    labels = query.uns["scarches_plus"]["probability_labels"]["cell_type"]
    assert sorted(labels) == sorted(names)
    assert query.obs["cell_type_pred"].cat.categories.tolist() == [*names, "Unknown"]
    depth = {node: len(TREE.path(node)) for node in names}
    for cell in range(query.n_obs):
        d = np.linalg.norm(reference.obsm["X_scarches"] - query.obsm["X_scarches"][cell], axis=1)
        near = np.argsort(d)[:k]
        weights = np.exp(-(d[near] ** 2) / (2 * (d[near] ** 2).mean()))
        voted = types.iloc[near].to_numpy()
        expected = {
            node: sum(w for w, label in zip(weights, voted, strict=True) if node in TREE.path(label)) / weights.sum()
            for node in names
        }
        own = {label: sum(w for w, one in zip(weights, voted, strict=True) if one == label) for label in labels}
        np.testing.assert_allclose(
            query.obsm["cell_type_probabilities"][cell], np.array(list(own.values())) / weights.sum(), atol=1e-4
        )
        enough = [node for node in names if expected[node] >= 1 - highest]
        given = query.obs["cell_type_pred"].iloc[cell]
        assert given == max(enough, key=depth.get, default="Unknown")
        if enough:
            assert query.obs["cell_type_uncertainty"].iloc[cell] == pytest.approx(1 - expected[given], abs=1e-4)
    assert {"T", "lymphoid", "CD4", "B"} <= set(query.obs["cell_type_pred"])


@pytest.mark.parametrize("unknown_above", [0.2, 0.5, None])
def test_a_flat_hierarchy_changes_nothing(unknown_above):
    reference, query = nested_blobs(300, 0), nested_blobs(80, 1)
    flat = sp.pp.label_tree(dict.fromkeys(["CD4", "CD8", "NK", "B"]))
    one, other = (
        sp.tl.transfer_labels(query, reference, "cell_type", unknown_above=unknown_above, hierarchy=tree, copy=True)
        for tree in (None, flat)
    )
    assert (one.obs["cell_type_pred"].astype(str) == other.obs["cell_type_pred"].astype(str)).all()
    np.testing.assert_allclose(one.obs["cell_type_uncertainty"], other.obs["cell_type_uncertainty"], atol=1e-12)


def test_names_that_cannot_be_told_apart(reference, query):
    with pytest.raises(ValueError, match="'Unknown' is a label of 'cell_type' and the name of cells without one"):
        sp.tl.transfer_labels(query, reference, "cell_type", hierarchy={"T": "Unknown", "NK": "Unknown", "B": None})
    reference.obs["mixed"] = np.resize(np.array([1, "1", "2"], dtype=object), reference.n_obs)
    with pytest.raises(ValueError, match=r"labels \[1, '1'\] of 'mixed' read the same: .*astype\(str\)"):
        sp.tl.transfer_labels(query, reference, "mixed")
    assert list(query.obs) == ["truth"]


def test_probabilities_of_an_earlier_transfer_go(reference, query):
    reference.obs["other"] = reference.obs["cell_type"]
    query.obsm["own_probabilities"] = np.ones((query.n_obs, 1))
    sp.tl.transfer_labels(query, reference, ["cell_type", "other"], probabilities=True)
    parent = query.copy()
    view = parent[:40]
    with pytest.warns(UserWarning, match="view"):
        sp.tl.transfer_labels(view, reference, "cell_type")
    assert "cell_type_probabilities" not in view.obsm
    assert set(parent.uns["scarches_plus"]["probability_labels"]) == {"cell_type", "other"}
    reference.obs["own"] = reference.obs["cell_type"]
    sp.tl.transfer_labels(query, reference, ["cell_type", "own"])
    assert set(query.obsm) == {"X_scarches", "other_probabilities", "own_probabilities"}
    assert set(query.uns["scarches_plus"]["probability_labels"]) == {"other"}


def test_labels_outside_of_the_hierarchy_are_named(reference, query):
    with pytest.raises(
        ValueError, match=r"the reference's labels of 'cell_type' \['B', 'NK'\] are not in the hierarchy"
    ):
        sp.tl.transfer_labels(query, reference, "cell_type", hierarchy={"T": "lymphoid"})


@pytest.fixture(scope="module")
def mapped():
    ref, query = split(cells(), "batch2")
    model = small_reference(SCVI, ref)
    sp.train.summarize_reference(model, "cell_type")
    mapped = sp.tl.map_query(query, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    return query, mapped


class TestFromAModelWithASummary:
    def test_labels_are_those_of_the_summary(self, mapped):
        query, model = mapped
        labelled = sp.tl.transfer_labels(query, model, "cell_type", probabilities=True, unknown_above=0.6, copy=True)
        expected = model.state.summaries["cell_type"].probabilities(query.obsm["X_scarches"])
        np.testing.assert_array_equal(labelled.obsm["cell_type_probabilities"], expected)
        np.testing.assert_allclose(labelled.obs["cell_type_uncertainty"], 1 - expected.max(1))
        best = np.array(["type0", "type1", "type2"])[expected.argmax(1)]
        rejected = 1 - expected.max(1) > 0.6
        assert labelled.obs["cell_type_pred"].tolist() == np.where(rejected, "Unknown", best).tolist()
        assert labelled.obs["cell_type_pred"].cat.categories.tolist() == ["type0", "type1", "type2", "Unknown"]
        assert labelled.uns["scarches_plus"]["probability_labels"]["cell_type"] == ["type0", "type1", "type2"]
        assert "cell_type_pred" not in query.obs

    def test_other_labels_and_other_spaces_are_refused(self, mapped):
        query, model = mapped
        with pytest.raises(KeyError, match="no summary of 'state'"):
            sp.tl.transfer_labels(query, model, ["cell_type", "state"])
        moved = query.copy()
        moved.uns["scarches_plus"]["embeddings"]["X_scarches"]["space"] = "elsewhere"
        with pytest.raises(ValueError, match="different latent spaces"):
            sp.tl.transfer_labels(moved, model, "cell_type")
        with pytest.raises(FileNotFoundError, match="model"):
            sp.tl.transfer_labels(query, "model/", "cell_type")

    def test_a_classifier_has_to_know_the_labels_of_the_summary(self, mapped):
        query, model = mapped
        ref, _ = split(cells(), "batch2")
        sp.tl.embed(ref, model)
        some = ref[ref.obs["cell_type"] != "type1"].copy()
        classifier = sp.tl.expression_classifier(some, "cell_type", batch_key="batch", use_rep="X_scarches")
        with pytest.raises(ValueError, match=r"does not know the reference's labels \['type1'\]"):
            sp.tl.transfer_labels(query, model, "cell_type", classifier=classifier, copy=True)


def test_novel_cells_are_unknown_whatever_their_neighbours_say(reference, query):
    plain = sp.tl.transfer_labels(query, reference, "cell_type", copy=True)
    query.obs["novel"] = np.arange(query.n_obs) % 3 == 0
    sp.tl.transfer_labels(query, reference, "cell_type", novel_key="novel")
    novel = query.obs["novel"].to_numpy()
    assert (query.obs.loc[novel, "cell_type_pred"] == "Unknown").all()
    assert (query.obs["cell_type_pred"] == plain.obs["cell_type_pred"])[~novel].all()
    np.testing.assert_array_equal(query.obs["cell_type_uncertainty"], plain.obs["cell_type_uncertainty"])
    with pytest.raises(KeyError, match="detect_novel"):
        sp.tl.transfer_labels(query, reference, "cell_type", novel_key="new")
    with pytest.raises(ValueError, match="must be boolean"):
        sp.tl.transfer_labels(query, reference, "cell_type", novel_key="cell_type_uncertainty")


# --- With a classifier of expression ---


@pytest.fixture(scope="module")
def both():
    """Reference and query with counts, and an embedding that tells two of four types apart only."""
    adata = sp.datasets.simulate(600, 200, 4, n_batches=3, batch_effect=0.3, type_effect=0.5, rng=0)
    codes = adata.obs["cell_type"].astype("category").cat.codes.to_numpy()
    z = np.random.default_rng(0).normal(size=(adata.n_obs, 2)) + 6 * np.array([[0, 0], [0, 0], [1, 0], [0, 1]])[codes]
    adata.obsm["X_scarches"] = z.astype(np.float32)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    return adata[~query].copy(), adata[query].copy()


@pytest.fixture(scope="module")
def classifier(both):
    return sp.tl.expression_classifier(both[0], "cell_type", batch_key="batch", use_rep="X_scarches")


def right(adata):
    return (adata.obs["cell_type_pred"].astype(str) == adata.obs["cell_type"].astype(str)).mean()


def test_a_classifier_decides_where_neighbours_cannot(both, classifier):
    reference, query = both[0], both[1].copy()
    sp.tl.transfer_labels(query, reference, "cell_type", unknown_above=None)
    assert right(query) < 0.85
    sp.tl.transfer_labels(query, reference, "cell_type", unknown_above=None, classifier=classifier, probabilities=True)
    assert right(query) > 0.97
    record = query.uns["scarches_plus"]["transfer"]["cell_type"]
    assert record["classifier"]
    np.testing.assert_allclose(query.obsm["cell_type_probabilities"].sum(axis=1), 1)


def test_labels_of_few_cells_are_left_to_the_vote(both):
    """Of a label that the classifier does not know the vote's share counts, and the classifier shares out the rest."""
    reference, query = both[0].copy(), both[1].copy()
    names = reference.obs["cell_type"].astype(str)
    names.iloc[np.flatnonzero(names == "type3")[19:]] = np.nan
    reference.obs["cell_type"] = names
    one = sp.tl.expression_classifier(reference, "cell_type", batch_key="batch", use_rep="X_scarches", min_cells=20)
    assert one.labels == ("type0", "type1", "type2")
    votes, both_say = (
        sp.tl.transfer_labels(query, reference, "cell_type", classifier=each, probabilities=True, copy=True)
        for each in (None, one)
    )
    shares, found = (cells.obsm["cell_type_probabilities"] for cells in (votes, both_say))
    known = one.probabilities(query.X, list(query.var_names))
    for cell in range(0, query.n_obs, 7):
        q = np.r_[known[cell] * (1 - shares[cell, 3]), shares[cell, 3]]
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log(q), -20) + one.vote["weight"] * np.log(shares[cell] + one.vote["floor"])
        expected = np.exp(one.vote["sharpness"] * (logs - logs.max()))
        np.testing.assert_allclose(found[cell], expected / expected.sum(), atol=1e-6)
    of_type3 = (query.obs["cell_type"] == "type3").to_numpy()
    assert (both_say.obs["cell_type_pred"][of_type3] == "type3").mean() > 0.5
    empty = np.flatnonzero((shares[:, 3] > 0) & (shares[:, 3] < 0.4))  # of these the vote alone can tell
    query.X = sparse.diags(1.0 - np.isin(np.arange(query.n_obs), empty)) @ sparse.csr_matrix(query.X)
    told = sp.tl.transfer_labels(query, reference, "cell_type", classifier=one, unknown_above=None, copy=True)
    assert len(empty)
    assert list(told.obs["cell_type_pred"].iloc[empty]) == [f"type{best}" for best in shares[empty].argmax(axis=1)]


def test_cells_without_a_count_do_not_agree_or_disagree(both, classifier):
    reference, query = both[0], both[1].copy()
    whole = sp.tl.transfer_labels(query, reference, "cell_type", classifier=classifier, copy=True)
    more = anndata.concat([query, query[:40]], index_unique="-")
    more.uns = query.uns
    more.X = sparse.vstack([query.X, 0 * query.X[:40]]).tocsr()
    with_empty = sp.tl.transfer_labels(more, reference, "cell_type", classifier=classifier, copy=True)
    agreement = [cells.uns["scarches_plus"]["transfer"]["cell_type"]["agreement"] for cells in (whole, with_empty)]
    assert agreement[0] == pytest.approx(agreement[1], abs=1e-12)


def test_a_query_unlike_the_batches_of_the_reference_is_told(both, classifier):
    """Vote and classifier agree on held-out cells, and not on cells that lie among those of another type."""
    reference, query = both[0], both[1].copy()
    sp.tl.transfer_labels(query, reference, "cell_type", classifier=classifier)
    usual = query.uns["scarches_plus"]["transfer"]["cell_type"]["agreement"]
    voted = sp.tl.transfer_labels(query, reference, "cell_type", unknown_above=None, copy=True)
    own = sp.tl.annotate(query, classifier, unknown_above=None, copy=True)
    agree = voted.obs["cell_type_pred"].astype(str) == own.obs["cell_type_pred"].astype(str)
    assert usual == pytest.approx(agree.mean())
    assert usual > classifier.vote["agreement"] - 0.15
    query.obsm["X_scarches"] = -query.obsm["X_scarches"]
    with pytest.warns(UserWarning, match=r"agree on the 'cell_type' of \d+% of the cells, and of \d+%"):
        sp.tl.transfer_labels(query, reference, "cell_type", classifier=classifier)


def test_the_consensus_is_the_printed_formula(both, classifier):
    reference, query = both[0], both[1][:, ::-1].copy()
    reference.obs["cell_type"] = pd.Categorical(reference.obs["cell_type"], ["type3", "type0", "type2", "type1"])
    voted = sp.tl.transfer_labels(query, reference, "cell_type", probabilities=True, copy=True)
    joint = sp.tl.transfer_labels(
        query, reference, "cell_type", probabilities=True, copy=True, classifier={"cell_type": classifier}
    )
    order = joint.uns["scarches_plus"]["probability_labels"]["cell_type"]
    assert order == ["type3", "type0", "type2", "type1"]
    own = classifier.probabilities(query.X, list(query.var_names))[:, [classifier.labels.index(name) for name in order]]
    one = classifier.vote
    logs = np.log(np.maximum(own, np.exp(-20)))
    logs += one["weight"] * np.log(voted.obsm["cell_type_probabilities"] + one["floor"])
    powers = np.exp(one["sharpness"] * logs)
    np.testing.assert_allclose(
        joint.obsm["cell_type_probabilities"], powers / powers.sum(axis=1, keepdims=True), rtol=1e-6, atol=1e-12
    )


def test_a_classifier_of_another_vote_or_labels_is_refused(both, classifier):
    reference, query = both[0].copy(), both[1].copy()
    for call, error, says in (
        ({"k": 7}, ValueError, "another vote .*'k': 50"),
        ({"kernel": "gaussian"}, ValueError, "another vote"),
        ({"classifier": {"other": classifier}}, KeyError, "no classifier of"),
        ({"classifier": {"cell_type": 1}}, TypeError, "must be what sp.tl.expression_classifier returned"),
        ({"classifier": dataclasses.replace(classifier, vote=None)}, ValueError, "beside no vote"),
    ):  # fmt: skip
        with pytest.raises(error, match=says):
            sp.tl.transfer_labels(query, reference, "cell_type", **{"classifier": classifier, **call})
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str).replace("type1", "stranger")
    with pytest.raises(ValueError, match=r"does not know the reference's labels .*stranger"):
        sp.tl.transfer_labels(query, reference, "cell_type", classifier=classifier)
    with pytest.raises(ValueError, match="there are 2 label columns"):
        sp.tl.transfer_labels(query, both[0], ["cell_type", "batch"], classifier=classifier)
    query.var_names = [f"other{i}" for i in range(query.n_vars)]
    with pytest.raises(ValueError, match="none of the classifier's genes"):
        sp.tl.transfer_labels(query, both[0], "cell_type", classifier=classifier)
    assert "cell_type_pred" not in query.obs


def test_a_classifier_knows_labels_that_do_not_vote(both, classifier):
    """A summary leaves out rare labels; the classifier finds them all the same."""
    reference, query = both[0].copy(), both[1].copy()
    few = reference[(reference.obs["cell_type"] != "type2").to_numpy()].copy()
    sp.tl.transfer_labels(query, few, "cell_type", classifier=classifier, unknown_above=None)
    assert "type2" in set(query.obs["cell_type_pred"])
    assert query.obs["cell_type_pred"].cat.categories.tolist()[-2:] == ["type2", "Unknown"]


@pytest.mark.parametrize("linear", [True, False])
def test_a_folder_of_scvi_tools_without_cells_labels_by_its_classifier(tmp_path, linear):
    """As scvi-tools' own predict does, with the cells that it was mapped with."""
    ref, query = split(cells(), "batch2")
    scvi.model.SCANVI.setup_anndata(ref, labels_key="cell_type", unlabeled_category="Unknown", batch_key="batch")
    theirs = scvi.model.SCANVI(ref, linear_classifier=linear, **NETWORK)
    theirs.train(max_epochs=3, enable_progress_bar=False, log_every_n_steps=1)
    theirs.save(tmp_path / "theirs")
    query.obs["cell_type"] = "Unknown"
    mapped = sp.tl.map_query(query, tmp_path / "theirs", max_epochs=1, train_kwargs={"enable_progress_bar": False})
    sp.tl.transfer_labels(query, tmp_path / "theirs", "cell_type", unknown_above=None, probabilities=True)
    expected = scvi.model.SCANVI.predict(mapped, soft=True)
    names = query.uns["scarches_plus"]["probability_labels"]["cell_type"]
    np.testing.assert_allclose(query.obsm["cell_type_probabilities"], expected[names], atol=1e-5)
    assert query.obs["cell_type_pred"].tolist() == mapped.predict().tolist()
    assert query.uns["scarches_plus"]["transfer"]["cell_type"]["labels"] == "the model's classifier"
    with pytest.raises(ValueError, match=r"shape \(n_cells, 4\)"):
        mapped.predict_embedding(np.ones((3, 5)))

"""Assessing references whose faults are known, and queries against them."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scvi
from small_models import NETWORK, setup
from small_models import cells as small_cells

import scarches_plus as sp

COLUMNS = {"batch_key": "batch", "labels_key": "cell_type"}
HOW = {**COLUMNS, "use_rep": "X_pca"}


def cells(n_cells=600, **kwargs):
    """Three studies of four types, embedded by principal components, which see no batches."""
    options = {"n_batches": 3, "batch_effect": 0.0, "depth_effect": 0.0, "mean_depth": 2000.0, "type_effect": 0.5}
    adata = sp.datasets.simulate(n_cells, 300, 4, **{**options, **kwargs})
    logs = adata.copy()
    sc.pp.normalize_total(logs)
    sc.pp.log1p(logs)
    sc.pp.pca(logs, n_comps=8)
    adata.obsm["X_pca"] = logs.obsm["X_pca"]
    return adata


def renamed(adata, batch, names):
    """The same cells with other labels in one study."""
    here = (adata.obs["batch"] == batch).to_numpy()
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    adata = adata.copy()
    adata.obs["cell_type"] = [
        names.get(label, label) if own else label for label, own in zip(labels, here, strict=True)
    ]
    return adata


def messages(report):
    return [finding.message for finding in report.findings]


# --- studies ---


def test_a_good_reference_is_called_good():
    report = sp.tl.assess_reference(cells(), **HOW)
    assert report.verdict.startswith("good")
    assert (report.findings, report.notes, len(report.disagreements)) == ((), (), 0)
    assert report.studies["study"].tolist() == ["batch0", "batch1", "batch2"]
    assert report.studies["mixing"].between(0.9, 1.1).all()
    assert (report.studies["accuracy"] == 1).all()
    assert report.labels["n_cells"].tolist() == [150] * 4


def test_agreement_is_that_of_labels_transferred_from_the_others():
    adata = cells(type_effect=0.12)
    report = sp.tl.assess_reference(adata, k=15, **HOW)
    for batch, accuracy in report.studies.set_index("study")["accuracy"].items():
        here = (adata.obs["batch"] == batch).to_numpy()
        query, others = adata[here].copy(), adata[~here].copy()
        sp.tl.transfer_labels(query, others, "cell_type", use_rep="X_pca", k=15, unknown_above=None)
        assert accuracy == pytest.approx((query.obs["cell_type_pred"] == query.obs["cell_type"].astype(str)).mean())
    assert report.studies["accuracy"].max() < 1


def test_mixing_is_what_a_loop_over_cells_finds():
    adata = cells(n_cells=[60, 120, 90], batch_effect=0.15)
    report = sp.tl.assess_reference(adata, k=10, **HOW)
    points, batches, labels = (adata.obsm["X_pca"], *(adata.obs[key].to_numpy() for key in ("batch", "cell_type")))
    assert (report.labels["accuracy"] == 1).all(), "groups are then those of the labels"
    found, expected = np.zeros(len(points)), np.zeros(len(points))
    for i in range(len(points)):
        group = np.flatnonzero((labels == labels[i]) & (np.arange(len(points)) != i))
        near = group[np.argsort(np.linalg.norm(points[group] - points[i], axis=1))[:10]]
        found[i], expected[i] = (batches[near] != batches[i]).mean(), (batches[group] != batches[i]).mean()
    for batch, mixing in report.studies.set_index("study")["mixing"].items():
        here = batches == batch
        assert mixing == pytest.approx(found[here].sum() / expected[here].sum())


def test_a_study_with_a_strong_effect_of_its_own_is_apart():
    report = sp.tl.assess_reference(cells(batch_effect=(0.0, 0.0, 1.0)), **HOW)
    assert report.verdict.startswith("not ready")
    (message,) = messages(report)
    assert message.startswith("study 'batch2' is apart")
    assert not report.ok


def test_an_encoder_that_ignores_batches_leaves_a_study_apart_and_one_that_sees_them_does_not():
    adata = sp.datasets.simulate(600, 100, 3, n_batches=2, batch_effect=(0.0, 1.5), mean_depth=2000.0, type_effect=0.5)
    found = {}
    for sees in (False, True):
        scvi.settings.seed = 0
        registered = adata.copy()
        setup(sp.model.SCVI, registered)
        model = sp.model.SCVI(registered, **{**NETWORK, "encode_covariates": sees})
        model.train(max_epochs=60, enable_progress_bar=False, penalties=[sp.train.MMD(weight=1)] if sees else ())
        adata.obsm["X_own"] = model.get_latent_representation()
        found[sees] = sp.tl.assess_reference(adata, use_rep="X_own", **COLUMNS)
    assert messages(found[False])[0].startswith("study 'batch0' is apart")
    assert found[True].studies["mixing"].min() > 3 * found[False].studies["mixing"].max()
    assert not any("apart" in message for message in messages(found[True]))


# --- labels ---


@pytest.mark.parametrize("n_batches", [2, 3])
def test_swapped_labels_are_found(n_batches):
    adata = renamed(cells(n_batches=n_batches), "batch1", {"type0": "type1", "type1": "type0"})
    report = sp.tl.assess_reference(adata, **HOW)
    (message,) = [one for one in messages(report) if "the other way round" in one]
    assert message.startswith("study 'batch1' has" if n_batches == 3 else "study 'batch0' or 'batch1' has")
    assert "'type0' and 'type1'" in message
    assert report.verdict.startswith("not ready")
    assert len(report.findings) == 1, "what follows from it is not said again"
    assert report.studies["mixing"].min() > 0.8, "the study mixes; its labels are wrong"


def test_two_names_of_one_type_are_found():
    report = sp.tl.assess_reference(renamed(cells(), "batch1", {"type0": "mine"}), **HOW)
    (message,) = messages(report)
    assert message.startswith("'mine' of study 'batch1' is what the others call 'type0' (100% one way, 100% back)")
    assert report.studies.set_index("study").loc["batch1", "n_compared"] == 150


def test_a_label_that_contains_others_is_found_and_a_hierarchy_mends_it():
    """The T cells of the Human Cell Landscape, of which other studies tell CD4 and CD8 apart."""
    adata = renamed(cells(), "batch1", {"type0": "T", "type1": "T"})
    report = sp.tl.assess_reference(adata, **HOW)
    (message,) = messages(report)
    assert message == "'T' of study 'batch1' contains what other studies tell apart: type0 | type1"
    tree = sp.pp.label_tree({"T": ["type0", "type1"], "type2": [], "type3": []})
    report = sp.tl.assess_reference(adata, hierarchy=tree, **HOW)
    assert report.verdict.startswith("good")
    assert (report.studies["accuracy"] == 1).all()


def test_a_coarse_label_of_two_studies_is_found_in_each():
    """ "T" of Liao et al., who have CD4 T cells alone, and "T" of the Human Cell Landscape, who have both."""
    adata = renamed(cells(n_batches=4), "batch1", {"type0": "T", "type1": "T"})
    adata = renamed(adata, "batch2", {"type0": "T"})
    adata = adata[~((adata.obs["batch"] == "batch2") & (adata.obs["cell_type"] == "type1"))].copy()
    found = sp.tl.assess_reference(adata, **HOW).disagreements.set_index(["study", "label"])
    assert tuple(found.loc[("batch1", "T"), ["kind", "others_say"]]) == ("coarser", "type0 | type1")
    assert tuple(found.loc[("batch2", "T"), ["kind", "others_say"]]) == ("other name", "type0")
    assert set(found["kind"]) <= {"coarser", "other name", "follows"}


def test_a_type_of_one_study_is_noted_and_told_only_where_it_lies_among_others():
    adata = cells(missing_types={"batch1": ["type3"], "batch2": ["type3"]})
    report = sp.tl.assess_reference(adata, **HOW)
    assert report.findings == ()
    assert "labels of one study, which no other confirms: type3" in report.notes
    assert report.labels.set_index("label").loc["type3", "strangers"] == 0
    assert report.studies["mixing"].between(0.85, 1.1).all(), "a study is not blamed for types of its own"

    alone, other = ((adata.obs["cell_type"] == label).to_numpy() for label in ("type3", "type2"))
    adata.obsm["X_pca"][alone] = adata.obsm["X_pca"][other][: alone.sum()]
    report = sp.tl.assess_reference(adata, **HOW)
    (message,) = messages(report)
    assert message.startswith("'type3', which study 'batch0' alone has, lies among 'type2' of other studies")
    assert report.verdict.startswith("usable with care")


def test_a_label_that_others_dispute():
    adata = renamed(cells(), "batch2", {"type0": "type2", "type2": "type3", "type3": "type0"})
    report = sp.tl.assess_reference(adata, **HOW)
    disputed = report.disagreements[report.disagreements["kind"] == "disputed"]
    assert set(disputed["study"]) == {"batch2"}, "and not the studies that it disagrees with"
    assert dict(zip(disputed["label"], disputed["others_say"], strict=True)) == {
        "type2": "type0", "type3": "type2", "type0": "type3",
    }  # fmt: skip
    assert any("other studies label 25% of the cells of study 'batch2'" in message for message in messages(report))


def test_labels_of_few_cells_are_named():
    adata = cells(type_shares={"type3": 0.02})
    (message,) = messages(sp.tl.assess_reference(adata, **HOW))
    assert message.startswith("labels of fewer than 20 cells, which queries will hardly get: 'type3' (12)")
    assert sp.tl.assess_reference(adata, min_cells=5, **HOW).findings == ()


def test_cells_without_a_label_have_no_say():
    adata = renamed(cells(), "batch1", {"type0": "Unknown", "type1": "mixed"})
    report = sp.tl.assess_reference(adata, **HOW)
    assert report.verdict.startswith("good")
    assert "mixed" not in set(report.labels["label"])
    assert "mixed" in set(sp.tl.assess_reference(adata, unlabelled=(), **HOW).labels["label"])


def test_one_study_cannot_be_judged():
    report = sp.tl.assess_reference(cells(n_batches=1), **HOW)
    assert report.verdict.startswith("not judged")
    assert "there is one study" in report.notes[0]
    assert report.studies["accuracy"].isna().all()


def test_studies_without_a_common_label_cannot_be_judged():
    own = {f"type{i}": f"mine{i}" for i in range(4)}
    report = sp.tl.assess_reference(renamed(cells(n_batches=2, batch_effect=3.0), "batch1", own), **HOW)
    assert (report.studies["n_compared"] == 0).all()
    assert report.verdict.startswith("not judged: no two studies share a label")
    assert not report.ok
    assert any("nothing was compared" in message for message in messages(report))
    report = sp.tl.assess_reference(renamed(cells(), "batch1", dict.fromkeys(own, "Unknown")), **HOW)
    assert messages(report) == ["no other study has a label of these, so that they were not compared: 'batch1'"]
    assert report.verdict.startswith("usable with care")


def test_some_cells_stand_for_many():
    adata = cells(n_cells=2000)
    report = sp.tl.assess_reference(adata, max_cells=300, **HOW)
    assert report.studies["n_cells"].sum() <= 300
    assert report.labels["n_cells"].sum() == 2000
    assert report.notes[0] == f"studies are compared on {report.studies['n_cells'].sum()} of 2000 cells (max_cells)"
    assert report.verdict.startswith("good")


# --- a query ---


def query_of(adata, **kwargs):
    query = cells(rng=1, n_cells=200, n_batches=1, **kwargs)[:, list(adata.var_names)].copy()
    query.obs_names = [f"query{i}" for i in range(query.n_obs)]
    return query


def test_a_query_of_the_same_cells_has_nothing_to_find():
    adata = cells()
    report = sp.tl.assess_reference(adata, query=adata[::3].copy(), **HOW)
    assert report.verdict == "good: studies mix and agree on labels; the query fits the reference"
    assert report.query["genes covered"] == report.query["genes of the reference"] == 300
    assert abs(report.query["shift"]) < 0.1
    assert report.query["counts of a cell of the query"] == pytest.approx(
        report.query["of the reference's shallowest study"], rel=0.1
    )
    assert len(report.confusable) == 0


def test_labels_that_half_of_the_genes_do_not_tell_apart():
    """Two types differ in genes of one half only."""
    rng = np.random.default_rng(0)
    programs = np.tile(rng.gamma(2.0, 1.0, 200), (3, 1))
    programs[1, 100:130] *= 4  # "b" differs from "a" in the second half
    programs[2, :30] *= 4  # "c" in the first
    types, batches = np.repeat([0, 1, 2], 200), np.tile(["one", "two"], 300)
    counts = rng.poisson(programs[types]).astype(np.float32)
    obs = pd.DataFrame({"batch": batches, "cell_type": np.array(list("abc"))[types]}, [f"c{i}" for i in range(600)])
    adata = anndata.AnnData(counts, obs, pd.DataFrame(index=[f"g{i}" for i in range(200)]))
    adata.obsm["X_pca"] = sc.pp.pca(np.log1p(counts), n_comps=4)
    whole = sp.tl.assess_reference(adata, query=adata.copy(), **HOW)
    assert len(whole.confusable) == 0
    half = sp.tl.assess_reference(adata, query=adata[:, :100].copy(), **HOW)
    assert {frozenset(pair) for pair in zip(half.confusable["label"], half.confusable["other"], strict=True)} == {
        frozenset("ab")
    }
    assert half.confusable["with_all_genes"].max() < 0.1
    assert any("with the query's genes 'a' is not told from 'b'" in message for message in messages(half))
    assert any("only 100 of the reference's 200 genes" in message for message in messages(half))
    assert half.query["genes covered"] == 100


def test_shallow_and_strange_queries_are_told():
    adata = cells()
    shallow = adata[::3].copy()
    shallow.X = shallow.X.astype(int)
    sc.pp.downsample_counts(shallow, counts_per_cell=300, random_state=0)
    shallow.X = shallow.X.astype(np.float32)
    report = sp.tl.assess_reference(adata, query=shallow, **HOW)
    assert any("counts on the genes they share" in message for message in messages(report))
    strange = adata[::3].copy()
    strange.var_names = np.random.default_rng(0).permutation(strange.var_names)
    report = sp.tl.assess_reference(adata, query=strange, **HOW)
    assert any("too little of the contrasts" in message or "farther" in message for message in messages(report))


def test_problems_of_a_query_are_those_of_check_query():
    adata = cells()
    logs = adata[::3].copy()
    logs.X = np.log1p(logs.X)
    report = sp.tl.assess_reference(adata, query=logs, **HOW)
    expected = sp.pp.check_query(logs, sp.model.ReferenceSpec(tuple(adata.var_names)))
    assert set(map(str, expected.problems)) <= set(map(str, report.findings))
    assert report.verdict == "good: studies mix and agree on labels; the query cannot be mapped as it is"
    assert not report.ok
    assert "shift" not in report.query
    assert any("before the query's problems are solved" in note for note in report.notes)


def test_without_counts_the_rest_is_judged():
    adata = cells()
    query = adata[::3].copy()
    adata.X = None
    report = sp.tl.assess_reference(adata, query=query, **HOW)
    assert report.query["genes covered"] == 300
    assert any("came without counts" in note for note in report.notes)


# --- a model, and what is written ---


def test_a_model_says_what_a_query_needs(tmp_path):
    scvi.settings.seed = 0
    adata = small_cells()
    model = sp.tl.build_reference(
        adata, "batch", "cell_type", recipe="scanvi", max_epochs=2, model_kwargs={"n_hidden": 12, "n_latent": 4},
        n_top_genes=30, train_kwargs={"enable_progress_bar": False},
    )  # fmt: skip
    report = sp.tl.assess_reference(adata, model, query=adata[::2].copy())
    assert report.query["genes of the reference"] == 30
    assert report.options["labels_key"] == "cell_type"
    model.save(tmp_path / "model")
    again = sp.tl.assess_reference(adata, tmp_path / "model", query=adata[::2].copy())
    assert str(again) == str(report)
    other = adata.copy()
    del other.uns["scarches_plus"]
    with pytest.raises(ValueError, match=r"sp\.tl\.embed|space"):
        sp.tl.assess_reference(other, model)


def test_a_model_says_how_labels_contain_each_other_and_what_is_none():
    adata = renamed(cells(), "batch1", {"type0": "T", "type1": "T", "type2": "unsure"})
    tree = sp.pp.label_tree({"T": ["type0", "type1"], "type2": [], "type3": []})
    model = sp.tl.build_reference(
        adata, "batch", "cell_type", recipe="scanvi", max_epochs=1, model_kwargs={"n_hidden": 12, "n_latent": 4},
        unlabeled_category="unsure", hierarchy=tree, train_kwargs={"enable_progress_bar": False},
    )  # fmt: skip
    by_model = sp.tl.assess_reference(adata, model)
    options = {**COLUMNS, "use_rep": "X_scarches"}
    told = sp.tl.assess_reference(adata, hierarchy=tree, unknown_category="unsure", **options)
    pd.testing.assert_frame_equal(by_model.studies, told.studies)
    pd.testing.assert_frame_equal(by_model.labels, told.labels)
    assert "unsure" not in set(by_model.labels["label"])
    untold = sp.tl.assess_reference(adata, **options)
    assert "unsure" in set(untold.labels["label"])
    assert (by_model.studies["n_compared"] > untold.studies["n_compared"]).any()


def test_cells_are_left_alone():
    adata = cells()
    query, before = adata[::3].copy(), adata.copy()
    query_before = query.copy()
    sp.tl.assess_reference(adata, query=query, **HOW)
    for one, other in ((adata, before), (query, query_before)):
        pd.testing.assert_frame_equal(one.obs, other.obs)
        assert [list(part) for part in (one.uns, one.obsm, one.var)] == [
            list(part) for part in (other.uns, other.obsm, other.var)
        ]
        assert (one.X != other.X).nnz == 0


def test_one_page(tmp_path):
    adata = renamed(cells(), "batch1", {"type0": "<b>mine</b>"})
    report = sp.tl.assess_reference(adata, query=adata[::3].copy(), **HOW)
    report.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "not ready" in page
    assert "<b>mine" not in page
    assert "&lt;b&gt;mine" in page
    assert "Labels that studies do not agree on" in page
    assert "harmonize_labels" in page
    with pytest.raises(ValueError, match=r"\.html"):
        report.to_html(tmp_path / "report.txt")


def test_what_is_missing_is_named():
    adata = cells()
    with pytest.raises(KeyError, match="'X_scarches' not found"):
        sp.tl.assess_reference(adata, **COLUMNS)
    with pytest.raises(ValueError, match=r"labels_key=\.\.\."):
        sp.tl.assess_reference(adata, batch_key="batch", use_rep="X_pca")
    with pytest.raises(KeyError, match="nothing"):
        sp.tl.assess_reference(adata, batch_key="nothing", labels_key="cell_type", use_rep="X_pca")
    adata.obs["gaps"] = np.where(np.arange(adata.n_obs) == 0, None, adata.obs["batch"].astype(object))
    with pytest.raises(ValueError, match="1 cells have no study"):
        sp.tl.assess_reference(adata, batch_key="gaps", labels_key="cell_type", use_rep="X_pca")

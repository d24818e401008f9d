"""detect_novel against simulated cells of known types, real cells, and naive restatements of its parts."""

import warnings
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from mudata import MuData
from scipy import sparse
from sklearn.metrics import roc_auc_score

import scarches_plus as sp


def reference_and_query(effect=0.6, unseen=("type4", "type5"), shares=None, n=900, seed=0):
    """Three batches; the third, the query, has types that the others lack."""
    adata = sp.datasets.simulate(
        n,
        400,
        6,
        n_batches=3,
        batch_effect=effect,
        type_shares=dict.fromkeys(unseen, 0.1) if shares is None else shares,
        missing_types={"batch0": unseen, "batch1": unseen} if unseen else {},
        rng=seed,
    )
    query = (adata.obs["batch"] == "batch2").to_numpy()
    return adata[~query].copy(), adata[query].copy()


def detected(query, reference, **options):
    """Detect without the labels of the query; return its truth beside what was found."""
    hidden = query.copy()
    truth = hidden.obs.pop("cell_type").astype(str).to_numpy()
    sp.tl.detect_novel(hidden, reference, "cell_type", batch_key="batch", **options)
    is_novel = ~np.isin(truth, reference.obs["cell_type"].astype(str).unique())
    return hidden, truth, is_novel


@pytest.mark.parametrize("effect", [0.0, 0.6, 1.2])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_it_finds_unseen_types_whatever_the_shift_and_their_share(effect, share):
    reference, query = reference_and_query(effect, shares={"type4": share / 2, "type5": share / 2}, n=1800)
    many = pytest.warns(UserWarning, match="of the cells are called novel") if share > 0.5 else nullcontext()
    with many:
        cells, truth, is_novel = detected(query, reference)
    assert roc_auc_score(is_novel, cells.obs["novel_score"]) > 0.95
    assert cells.obs["novel"][is_novel].mean() > (0.35 if share < 0.1 else 0.9)
    assert cells.obs["novel"][~is_novel].mean() < 0.05
    assert set(cells.obs["novel_state"]) == {"known", "novel"}
    known = cells.obs["novel_label"].astype(str).to_numpy()[~is_novel]
    assert (known == truth[~is_novel]).mean() > 0.95


def test_a_query_without_unseen_types_has_hardly_any_novel_cell():
    reference, query = reference_and_query(unseen=())
    cells, _, _ = detected(query, reference)
    assert cells.obs["novel"].mean() < 0.06
    assert cells.obs["novel_cluster"].isna().all()


def test_clusters_are_those_of_the_unseen_types():
    reference, query = reference_and_query()
    cells, truth, is_novel = detected(query, reference)
    cluster = cells.obs["novel_cluster"]
    assert cluster[~is_novel].isna().mean() > 0.98
    found = pd.crosstab(truth[is_novel], cluster[is_novel].astype(str))
    assert (found.max(axis=1) / found.sum(axis=1)).min() > 0.9
    assert found.idxmax(axis=1).nunique() == 2


def test_real_cells_of_a_withheld_type():
    adata = sp.datasets.pbmc68k()
    query = adata.obs["batch"].isin(["lane6", "lane7", "lane8"]).to_numpy()
    reference = adata[~query & (adata.obs["cell_type"] != "CD19+ B").to_numpy()].copy()
    cells, _, is_novel = detected(adata[query].copy(), reference)
    assert roc_auc_score(is_novel, cells.obs["novel_score"]) > 0.95
    assert cells.obs["novel"][is_novel].mean() > 0.6
    assert cells.obs["novel"][~is_novel].mean() < 0.05


def test_a_larger_alpha_calls_more_cells_and_the_record_says_what_to_expect():
    reference, query = reference_and_query(1.2, shares={"type4": 0.02, "type5": 0.02})
    few, _, _ = detected(query, reference, alpha=0.01)
    many, _, _ = detected(query, reference, alpha=0.3)
    assert few.obs["novel"].sum() < many.obs["novel"].sum()
    np.testing.assert_array_equal(few.obs["novel_score"], many.obs["novel_score"])
    for cells, alpha in ((few, 0.01), (many, 0.3)):
        record = cells.uns["scarches_plus"]["novel"]["novel"]
        assert record["batches"] == ["batch0", "batch1"]
        assert record["judged"]
        assert record["called"] == cells.obs["novel"].mean()
        assert record["false_calls"]["low"] <= alpha <= record["false_calls"]["high"]
        np.testing.assert_array_equal(cells.obs["novel"], cells.obs["novel_score"] > record["threshold"])


@pytest.mark.parametrize("known", [True, False])
def test_a_query_of_one_type_is_not_judged(known):
    reference, query = reference_and_query()
    one = query[query.obs["cell_type"] == ("type1" if known else "type4")].copy()
    with pytest.warns(UserWarning, match="'not judged' for all cells.*as if its cells were of one type"):
        cells, _, _ = detected(one, reference)
    assert not cells.obs["novel"].any()
    assert (cells.obs["novel_state"] == "not judged").all()
    assert cells.obs["novel_label"].isna().all()
    assert cells.obs["novel_cluster"].isna().all()
    assert not cells.uns["scarches_plus"]["novel"]["novel"]["judged"]


@pytest.mark.parametrize("n_cells", [20, 50])
def test_small_queries_of_known_cells_are_not_called_novel(n_cells):
    reference, query = reference_and_query(1.0, unseen=(), n=1800)
    judged = 0
    for seed in range(6):
        some = query[np.random.default_rng(seed).permutation(query.n_obs)[:n_cells]].copy()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*(not judged|differs much)")
            cells, _, _ = detected(some, reference)
        assert cells.obs["novel"].mean() <= 0.1
        judged += (cells.obs["novel_state"] != "not judged").all()
    assert n_cells == 20 or judged >= 5  # 20 cells are mostly too few to say, which is told


def test_the_composition_of_the_query_does_not_decide():
    reference, query = reference_and_query(1.0, unseen=(), n=1800)
    for types in (["type0", "type1", "type2"], ["type3", "type4", "type5"], ["type0", "type5"]):
        cells, _, _ = detected(query[query.obs["cell_type"].isin(types)].copy(), reference)
        assert cells.obs["novel"].mean() <= 0.1


def test_types_that_would_hide_are_named():
    reference, query = reference_and_query()
    for cells in (reference, query):  # two halves of a type are nearer than any neighbours
        half = (np.arange(cells.n_obs) % 2 == 0) & (cells.obs["cell_type"] == "type0").to_numpy()
        cells.obs["cell_type"] = np.where(half, "twin", cells.obs["cell_type"].astype(str))
    cells, _, _ = detected(query, reference)
    assert {"twin", "type0"} & set(cells.uns["scarches_plus"]["novel"]["novel"]["may_hide"]["label"])
    told = cells.uns["scarches_plus"]["novel"]["novel"]["may_hide"]
    for label, among in zip(told["label"], told["among"], strict=True):
        without = reference[reference.obs["cell_type"] != label].copy()
        again, truth, _ = detected(query, without)
        assert again.obs["novel"][truth == label].mean() < 0.5
        assert again.obs["novel_label"][truth == label].mode()[0] == among
    assert len(told["label"]) == len(told["among"])


def test_profiles_stand_in_for_the_reference():
    reference, query = reference_and_query()
    cells, _, is_novel = detected(query, reference)
    profiles = sp.tl.label_profiles(reference, "cell_type", "batch")
    alone = query.copy()
    sp.tl.detect_novel(alone, type(profiles).from_plain(profiles.to_plain()))
    assert np.corrcoef(alone.obs["novel_score"], cells.obs["novel_score"])[0, 1] > 0.99
    assert roc_auc_score(is_novel, alone.obs["novel_score"]) > 0.95


def test_profiles_of_more_genes_than_the_query_has_are_those_of_its_genes():
    reference, query = reference_and_query(0.3, n=1800)
    panel = query[:, ::2].copy()
    cells, _, is_novel = detected(panel, reference)
    profiles = sp.tl.label_profiles(reference, "cell_type", "batch")
    alone = sp.tl.detect_novel(panel, profiles, copy=True)
    assert np.corrcoef(alone.obs["novel_score"], cells.obs["novel_score"])[0, 1] > 0.95
    own, theirs = (roc_auc_score(is_novel, one.obs["novel_score"]) for one in (cells, alone))
    assert abs(own - theirs) < 0.05


def test_cells_without_counts_are_not_judged():
    reference, query = reference_and_query()
    cells, _, _ = detected(query, reference)
    empty = query.copy()
    empty.X = sparse.csr_matrix(empty.X.multiply((np.arange(query.n_obs) >= 3)[:, None]))
    with pytest.warns(UserWarning, match="3 cells have no counts of the shared genes"):
        found, _, _ = detected(empty, reference)
    assert found.obs["novel_state"].tolist()[:3] == ["not judged"] * 3
    assert not found.obs["novel"][:3].any()
    assert found.obs["novel_score"][:3].isna().all()
    assert found.obs["novel_label"][:3].isna().all()
    assert found.uns["scarches_plus"]["novel"]["novel"]["called"] == found.obs["novel"].mean()
    assert (found.obs["novel"][3:] == cells.obs["novel"][3:]).mean() > 0.95
    empty.X = empty.X * 0
    with pytest.raises(ValueError, match="0 cells of the query have counts of the 400 shared genes in X"):
        detected(empty, reference)


def test_fine_labels_do_not_make_a_query_of_one_type_judged():
    reference, query = reference_and_query()
    third = np.random.default_rng(0).integers(0, 3, reference.n_obs).astype(str)
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str) + "/" + third
    one = query[query.obs["cell_type"] == "type4"].copy()
    with pytest.warns(UserWarning, match="not judged"):
        cells, _, _ = detected(one, reference)
    assert (cells.obs["novel_state"] == "not judged").all()


def test_noise_is_not_judged_however_fine_the_labels():
    """Near-duplicate labels make the query's spread look large."""
    reference, query = reference_and_query()
    third = np.random.default_rng(0).integers(0, 3, reference.n_obs).astype(str)
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str) + "/" + third
    query.X = sparse.csr_matrix(np.random.default_rng(0).poisson(0.3, query.shape).astype(np.float32))
    with pytest.warns(UserWarning, match="not judged"):
        cells, _, _ = detected(query, reference)
    record = cells.uns["scarches_plus"]["novel"]["novel"]
    assert record["contrast"] > 1.1
    assert not record["judged"]


@pytest.mark.parametrize("unseen", [(), ("type4",)])
def test_a_query_that_hardly_agrees_is_not_judged(unseen):
    """As cells of another species: types are still matched, and agree much less than batches of the reference."""
    reference, query = reference_and_query(2.0, unseen=unseen)
    with pytest.warns(UserWarning, match=r"agree with the reference's labels by 0\.\d+.*at least 75% of that.*species"):
        cells, _, _ = detected(query, reference)
    record = cells.uns["scarches_plus"]["novel"]["novel"]
    assert record["contrast"] > 1.1
    assert record["agreement"] < 0.75 * record["expected"]
    assert not record["judged"]
    assert not cells.obs["novel"].any()
    assert cells.obs["novel_score"].notna().all()  # the ranking stays to be looked at


@pytest.mark.usefixtures("no_usual_shift")
def test_an_unusual_shift_is_told():
    reference, query = reference_and_query(unseen=())
    with pytest.warns(UserWarning, match=r"lack -?0\.\d{3} of the agreement, and 9.0 to 10.0"):
        cells, _, _ = detected(query, reference)
    assert cells.uns["scarches_plus"]["novel"]["novel"]["judged"]


@pytest.mark.filterwarnings("ignore:the query differs much")
def test_a_shift_beyond_those_that_thresholds_were_measured_on_is_told():
    """Two thirds of the counts come from lysed cells; and a query that agrees better than references of a batch do."""
    reference, query = reference_and_query(0.0, unseen=(), n=3600)
    counts = query.X.toarray()
    ambient = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    query.X = sparse.csr_matrix(np.random.default_rng(1).poisson(0.34 * counts + 0.66 * ambient).astype(np.float32))
    alike = sp.datasets.simulate(1800, 400, 6, n_batches=3, batch_effect=0.0, rng=0)
    first = (alike.obs["batch"] == "batch0").to_numpy()
    for cells, known, shift in (
        (query, reference, r"0\.3\d\d"),
        (alike[~first].copy(), alike[first].copy(), r"-0\.1\d\d"),
    ):
        with pytest.warns(UserWarning, match=rf"labels explain best lack {shift} of the agreement"):
            found, _, _ = detected(cells, known)
        assert found.uns["scarches_plus"]["novel"]["novel"]["judged"]


@pytest.mark.filterwarnings("ignore:the query differs much", "ignore:even the cells that labels explain best")
def test_references_of_one_batch_have_their_own_threshold():
    reference, query = reference_and_query()
    alone = reference[(reference.obs["batch"] == "batch0").to_numpy()].copy()
    limits = [detected(query, one)[0].uns["scarches_plus"]["novel"]["novel"]["threshold"] for one in (reference, alone)]
    assert limits == pytest.approx([0.43, 0.72])


@pytest.mark.parametrize("seed", [0, 1])
def test_references_of_one_batch_reckon_with_others(seed):
    """Genes that vary among the cells of a type differ between batches; if they counted in full, agreement were 0.8."""
    reference, query = reference_and_query(1.0, n=1800, seed=seed)
    alone = reference[(reference.obs["batch"] == "batch0").to_numpy()].copy()
    cells, _, _ = detected(query, alone)
    assert cells.uns["scarches_plus"]["novel"]["novel"]["agreement"] > 0.83


@pytest.mark.parametrize(("words", "lacking"), [({}, "Mixed"), ({"unlabelled": ["type1"]}, "type1")])
def test_words_that_are_no_label_are_no_label(words, lacking):
    reference, query = reference_and_query(unseen=())
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str).replace("type0", "Mixed")
    cells, _, _ = detected(query, reference, **words)
    known = {"Mixed", *(f"type{one}" for one in range(1, 6))}
    assert set(cells.uns["scarches_plus"]["novel"]["novel"]["labels"]) == known - {lacking}


def test_labels_that_profiles_leave_out_are_a_note(caplog):
    """Who made the profiles was warned; who uses them cannot change it."""
    reference, query = reference_and_query(unseen=())
    rare = np.flatnonzero(reference.obs["cell_type"] == "type0")[10:]
    some = reference[np.setdiff1d(np.arange(reference.n_obs), rare)].copy()
    profiles = sp.tl.label_profiles(some, "cell_type", "batch")
    caplog.clear()
    with caplog.at_level("INFO", logger="scarches_plus"), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        sp.tl.detect_novel(query, profiles)
    (note,) = [one for one in caplog.records if "leave out ['type0']" in one.getMessage()]
    assert note.levelname == "INFO"
    assert not [one for one in told if "leave out" in str(one.message)]
    assert query.uns["scarches_plus"]["novel"]["novel"]["left_out"] == ["type0"]


def test_the_order_of_genes_and_genes_of_one_side_do_not_matter():
    reference, query = reference_and_query()
    cells, _, _ = detected(query, reference)
    order = np.random.default_rng(0).permutation(query.n_vars)
    extra = AnnData(sparse.csr_matrix(np.ones((query.n_obs, 3), dtype=np.float32)), query.obs)
    extra.var_names = ["a", "b", "c"]
    shuffled = AnnData(
        sparse.hstack([query.X[:, order], extra.X]).tocsr(),
        query.obs,
        pd.DataFrame(index=[*query.var_names[order], *extra.var_names]),
    )
    again, _, _ = detected(shuffled, reference)
    np.testing.assert_allclose(again.obs["novel_score"], cells.obs["novel_score"], atol=1e-4)


def test_layers_dense_counts_and_copies():
    reference, query = reference_and_query()
    cells, _, _ = detected(query, reference)
    other = query.copy()
    for one in (other, reference):
        one.layers["counts"] = one.X.toarray()
        one.X = one.X * 0
    before, layers = other.obs.copy(), {"layer": "counts", "reference_layer": "counts"}
    copy = sp.tl.detect_novel(other, reference, "cell_type", batch_key="batch", **layers, key_added="new", copy=True)
    pd.testing.assert_frame_equal(other.obs, before)
    np.testing.assert_allclose(copy.obs["new_score"], cells.obs["novel_score"], atol=1e-5)


def test_results_survive_a_file(tmp_path):
    reference, query = reference_and_query()
    cells, _, _ = detected(query, reference)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    again = read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(again.obs["novel"], cells.obs["novel"])
    assert again.uns["scarches_plus"]["novel"]["novel"]["alpha"] == 0.05


def test_blocks_and_samples_do_not_change_the_answer(limits):
    reference, query = reference_and_query(n=1500)
    cells, _, is_novel = detected(query, reference)
    limits(scanned=77)
    many, _, _ = detected(query, reference)
    np.testing.assert_allclose(many.obs["novel_score"], cells.obs["novel_score"], atol=1e-5)
    limits(compared=300)
    sample, _, _ = detected(query, reference)
    assert roc_auc_score(is_novel, sample.obs["novel_score"]) > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.5}, "alpha must be at least 0.005 and at most 0.3, not 0.5"),
        ({"labels_key": None}, "name the reference's columns"),
        ({"labels_key": "tissue"}, "column 'tissue' not found in reference.obs"),
        ({"batch_key": "study"}, "column 'study' not found in adata.obs"),
    ],
)
def test_what_cannot_be_done_is_said(change, message):
    reference, query = reference_and_query()
    options = {"labels_key": "cell_type", "batch_key": "batch", **change}
    with pytest.raises((ValueError, KeyError), match=message):
        sp.tl.detect_novel(query, reference, options.pop("labels_key"), **options)
    assert "novel" not in query.obs


def test_too_few_cells_or_genes_are_said():
    reference, query = reference_and_query()
    with pytest.raises(ValueError, match="the query has 10 cells"):
        sp.tl.detect_novel(query[:10].copy(), reference, "cell_type", batch_key="batch")
    other = query.copy()
    other.var_names = [f"other{i}" for i in range(other.n_vars)]
    with pytest.raises(ValueError, match="share 0 of 400 genes"):
        sp.tl.detect_novel(other, reference, "cell_type", batch_key="batch")


def test_what_is_no_count_is_said():
    reference, query = reference_and_query()
    for side, change, said in ((query, -1.0, "there are negative values"), (reference, np.nan, "missing, infinite")):
        bad = side.copy()
        bad.X.data[0] = change
        cells, known = (bad, reference) if side is query else (query, bad)
        with pytest.raises(ValueError, match=said):
            sp.tl.detect_novel(cells, known, "cell_type", batch_key="batch")
    with pytest.raises(TypeError, match=r"adata must be an AnnData, not MuData.*mdata\['rna'\]"):
        sp.tl.detect_novel(MuData({"rna": query}), reference, "cell_type", batch_key="batch")
    halves = query.copy()
    halves.X = halves.X / 2
    with pytest.warns(UserWarning, match="not whole numbers"):
        sp.tl.detect_novel(halves, reference, "cell_type", batch_key="batch")
    twice = query.copy()
    twice.var_names = ["gene0", "gene0", *query.var_names[2:]]
    with pytest.raises(ValueError, match="not unique in the query"):
        sp.tl.detect_novel(twice, reference, "cell_type", batch_key="batch")


def test_cells_without_relation_to_the_reference_are_said():
    reference, query = reference_and_query()
    noise = query.copy()
    noise.X = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, query.shape).astype(np.float32))
    with pytest.warns(UserWarning, match="not judged.*If genes' names, species and layer are right"):
        sp.tl.detect_novel(noise, reference, "cell_type", batch_key="batch")


def test_columns_of_a_built_reference_need_not_be_named_again():
    adata = sp.datasets.simulate(300, 60, 3, n_batches=3)
    of_query = (adata.obs["batch"] == "batch2").to_numpy()
    reference, query, again = adata[~of_query].copy(), adata[of_query].copy(), adata[of_query].copy()
    sp.tl.detect_novel(query, reference, "cell_type", batch_key="batch")
    sp.tl.build_reference(reference, "batch", "cell_type", max_epochs=1)
    sp.tl.detect_novel(again, reference)
    assert again.obs["novel_score"].equals(query.obs["novel_score"])
    with pytest.raises(KeyError, match="tissue"):
        sp.tl.detect_novel(again, reference, "tissue")


def test_a_reference_without_genes_is_named():
    """Such as model/reference.h5ad of the command build."""
    adata = sp.datasets.simulate(100, 60, 3)
    with pytest.raises(ValueError, match=r"no genes, only what was made of it.*pass its cells with counts"):
        sp.tl.detect_novel(adata, AnnData(obs=adata.obs), "cell_type", batch_key="batch")

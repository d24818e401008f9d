"""scvi-tools' differential expression across reference and query cells, on mapped models."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
from small_models import SCANVI, SCVI, cells, reference, split

import scarches_plus as sp

QUIET = {"enable_progress_bar": False}


@pytest.fixture(scope="module", params=[SCVI, SCANVI])
def mapped(request):
    ref, query = split(cells(), "batch2")
    model = reference(request.param, ref)
    return sp.tl.map_query(query.copy(), model, max_epochs=2, train_kwargs=QUIET), anndata.concat([ref, query])


def test(model, cells, **options):
    options = {"groupby": "cell_type", "group1": "type0", "group2": "type1", "batch_correction": True, **options}
    np.random.seed(0)  # noqa: NPY002 (scvi-tools draws from it)
    scvi.settings.seed = 0
    return model.differential_expression(cells, silent=True, **options)


test.__test__ = False  # no test but a word


def batch_marginal(model, cells, label, n, batches):
    """Expression decoded from draws of the posteriors of a label's cells, as if in each batch in turn."""
    rows = np.random.default_rng(0).choice(np.flatnonzero(cells.obs["cell_type"] == label), n)
    names = pd.Index([f"draw{i}" for i in range(n)])
    cells = anndata.AnnData(cells.X[rows], cells.obs.iloc[rows].set_index(names), cells.var)
    cells.obs["cell_type"] = "Unknown" if isinstance(model, SCANVI) else "type0"
    return {
        b: model.get_normalized_expression(cells, transform_batch=b, n_samples=1, return_numpy=True) for b in batches
    }


@pytest.mark.parametrize("batches", [["batch0", "batch1", "batch2"], ["batch2"]])
def test_probabilities_are_averages_over_batches_of_reference_and_query(mapped, batches):
    model, both = mapped
    table = test(model, both, batchid1=batches, batchid2=batches, n_samples_overall=9000)
    first, second = (batch_marginal(model, both, label, 1500, batches) for label in ("type0", "type1"))
    expected = np.mean([(first[b][:, None, :300] > second[b][None]).mean((0, 1)) for b in batches], axis=0)
    np.testing.assert_allclose(table["proba_m1"][both.var_names], expected, atol=0.05)
    assert table["raw_mean1"].notna().all()


def test_cells_of_reference_and_query_are_all_counted(mapped):
    model, both = mapped
    table = test(model, both)
    expected = both[both.obs["cell_type"] == "type0"].X.mean(axis=0)
    np.testing.assert_allclose(table["raw_mean1"][both.var_names], np.asarray(expected).ravel(), rtol=1e-5)


def test_a_query_against_its_reference(mapped):
    model, both = mapped
    both = both[(both.obs["cell_type"] == "type0").to_numpy()].copy()
    both.obs["role"] = np.where(both.obs["batch"] == "batch2", "query", "reference")
    corrected, raw = (
        test(model, both, groupby="role", group1="query", group2="reference", batch_correction=on, mode="change")
        for on in (True, False)
    )
    # without correction the batch itself is the difference
    assert corrected["lfc_mean"].abs().mean() < raw["lfc_mean"].abs().mean()


def test_cells_are_taken_as_they_come(mapped):
    model, both = mapped
    before = both.copy()
    table = test(model, both)
    pd.testing.assert_frame_equal(both.obs, before.obs)
    assert list(both.uns) == list(before.uns)
    shuffled = both[:, ::-1].copy()
    pd.testing.assert_frame_equal(test(model, shuffled), table)
    novel = both.copy()
    novel.obs["cell_type"] = np.where(novel.obs["cell_type"] == "type2", "new", novel.obs["cell_type"].astype(str))
    pd.testing.assert_frame_equal(test(model, novel), table)
    assert len(test(model, novel, group1="new")) == 40
    fewer = test(model, both[:, 3:].copy())
    assert (fewer.loc[both.var_names[:3], "raw_mean1"] == 0).all()
    unlabelled = both.copy()
    unlabelled.obs = both.obs.rename(columns={"cell_type": "annotation"})
    pd.testing.assert_frame_equal(test(model, unlabelled, groupby="annotation"), table)


def test_cells_chosen_by_index_or_query(mapped):
    model, both = mapped
    options = {"groupby": None, "group1": None, "group2": None}
    masks = [(both.obs["cell_type"] == label).to_numpy() for label in ("type0", "type1")]
    by_mask = test(model, both, **options, idx1=masks[0], idx2=masks[1])
    by_query = test(model, both, **options, idx1="cell_type == 'type0'", idx2="cell_type == 'type1'")
    pd.testing.assert_frame_equal(by_query, by_mask)
    expected = test(model, both)[by_mask.columns]
    pd.testing.assert_frame_equal(by_mask, expected)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_cells_of_the_same_name_are_told_apart(mapped):
    model, both = mapped
    twins = both.copy()
    twins.obs_names = [f"c{i // 2}" for i in range(both.n_obs)]
    options = {"groupby": None, "group1": None, "group2": None}
    chosen = {"idx1": "cell_type == 'type0' and batch == 'batch2'", "idx2": "cell_type == 'type1'"}
    pd.testing.assert_frame_equal(test(model, twins, **options, **chosen), test(model, both, **options, **chosen))
    assert (twins.obs_names == [f"c{i // 2}" for i in range(both.n_obs)]).all()
    named = test(model, both, **options, idx1=f"index == {both.obs_names[0]!r}", idx2="cell_type == 'type1'")
    np.testing.assert_allclose(named["raw_mean1"][both.var_names], both.X[0].toarray().ravel())


def test_groups_without_cells_are_named(mapped):
    model, both = mapped
    with pytest.raises(ValueError, match=r"no cell has \['nope'\] in obs\['batch'\], which holds \['batch2'\]"):
        test(model, None, groupby="batch", group1="nope", group2="batch2")
    with pytest.raises(ValueError, match=r"no cell has \['nope'\].*'type0', 'type1', 'type2'"):
        test(model, both, group1=["type0"], group2="nope")
    inside = (both.obs["cell_type"] != "type0").to_numpy()
    with pytest.raises(ValueError, match=r"no cell has \['type0'\].*'other', 'type1'"):
        test(model, both, subset_idx=inside)
    rest = test(model, both, subset_idx="cell_type != 'type0'", group1="type1", group2="other")
    np.testing.assert_allclose(rest["raw_mean2"][both.var_names], both[~inside].X.mean(axis=0).A1, rtol=1e-5)


def test_the_models_own_cells_are_as_in_scvi_tools(mapped):
    model, _ = mapped
    options = {"idx1": np.arange(80) < 40, "idx2": np.arange(80) >= 40, "groupby": None, "group1": None, "group2": None}
    table = test(model, None, **options)
    np.random.seed(0)  # noqa: NPY002
    scvi.settings.seed = 0
    parent = getattr(scvi.model, type(model).__name__)
    del options["groupby"], options["group1"], options["group2"]
    plain = parent.differential_expression(model, **options, batch_correction=True, silent=True)
    pd.testing.assert_frame_equal(table, plain)


def test_nothing_is_left_behind(mapped):
    model, both = mapped
    held = len(type(model)._per_instance_manager_store.get(model.id, {}))
    test(model, both)
    assert len(type(model)._per_instance_manager_store.get(model.id, {})) == held


def test_unknown_columns_and_batches_are_named(mapped):
    model, both = mapped
    with pytest.raises(KeyError, match="annotation"):
        test(model, both, groupby="annotation")
    strange = both.copy()
    strange.obs["batch"] = "batch9"
    with pytest.raises(ValueError, match="batch9"):
        test(model, strange)

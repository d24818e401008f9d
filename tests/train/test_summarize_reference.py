import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from small_models import SCANVI, SCVI, TOTALVI, as_taken, cells, network, reference, split, train, with_proteins

import scarches_plus as sp
from scarches_plus.model import load
from scarches_plus.train import store_anchors, summarize_reference


@pytest.fixture(scope="module")
def built():
    ref, query = split(cells(500), "batch2")
    return ref, query, train(reference(SCVI, ref), 20)


def test_one_component_is_mean_and_covariance(built):
    ref, _, model = built
    summary = summarize_reference(model, "cell_type", max_components=1)
    latent = model.embed(ref).astype(float)
    assert summary.labels == ("type0", "type1", "type2")
    assert summary.space == model.state.space
    for k, label in enumerate(summary.labels):
        cells_of = (ref.obs["cell_type"] == label).to_numpy()
        np.testing.assert_allclose(summary.means[k], latent[cells_of].mean(0), atol=1e-4)
        covariance = np.cov(latent[cells_of].T, bias=True) + 1e-3 * latent.var(0).mean() * np.eye(4)
        found = summary.covariances[k].double().numpy()
        diagonal = np.count_nonzero(found - np.diag(found.diagonal())) == 0
        np.testing.assert_allclose(found, np.diag(covariance.diagonal()) if diagonal else covariance, atol=1e-4)
        assert summary.n_cells[k] == pytest.approx(cells_of.sum())
        batches = ref.obs["batch"][cells_of].value_counts(normalize=True).reindex(["batch0", "batch1"]).to_numpy()
        np.testing.assert_allclose(summary.groups["batch"][k], batches, atol=1e-6)
        sizes = np.log(np.asarray(ref.X.sum(1)).ravel()[cells_of])
        np.testing.assert_allclose(summary.library[k], [sizes.mean(), sizes.var()], atol=1e-3)


def test_it_keeps_what_anchors_of_all_cells_have_on_average(built):
    ref, _, model = built
    summary = summarize_reference(model, "cell_type", max_components=1, keep=False)
    anchors = store_anchors(model, n_cells=ref.n_obs)
    of_type = torch.tensor((ref.obs["cell_type"] == "type1").tolist())
    torch.testing.assert_close(summary.z_var[1], anchors.z_var[of_type].mean(0), rtol=1e-3, atol=1e-5)


def test_the_temperature_is_kept(built, tmp_path):
    _, _, model = built
    summary = summarize_reference(model, "cell_type")
    assert summary.temperature >= 1
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").state.summaries["cell_type"].temperature == summary.temperature


def test_labels_with_few_cells_or_none(built, caplog):
    ref, _, model = built
    labels = ref.obs["cell_type"].astype(object).to_numpy().copy()
    labels[:10] = "rare"
    labels[10:20], labels[20:30], labels[30:40] = None, "Unknown", float("nan")
    with caplog.at_level("WARNING", logger="scarches_plus"):
        summary = summarize_reference(model, "own", labels=labels)
    assert summary.left_out == ("rare",)
    assert repr(summary) == f"LatentSummary of 3 labels, 1 left out, {len(summary)} components"
    assert "rare" in caplog.text
    assert set(summary.labels) == {"type0", "type1", "type2"}
    assert float(summary.n_cells.sum()) == pytest.approx(ref.n_obs - 40)
    assert {"own"} <= set(model.state.summaries)
    text = pd.Series(labels).astype("category")
    again = summarize_reference(model, "own", labels=text, keep=False)
    assert torch.equal(again.means, summary.means)


@pytest.mark.parametrize("cls", [SCVI, SCANVI, TOTALVI])
def test_saved_loaded_and_mapped(cls, tmp_path):
    ref, query = (as_taken(cls, part) for part in split(cells(), "batch2"))
    model = reference(cls, ref)
    labels = split(cells(), "batch2")[0].obs["cell_type"]
    summary = summarize_reference(model, "cell_type", labels=labels)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    mapped = train(cls.load_query_data(query, again))
    for one in (again, mapped):
        torch.testing.assert_close(one.state.summaries["cell_type"].means, summary.means)
    assert not cls.load_query_data(query, train(model, 1)).state.summaries  # of a space that is gone


def test_refusals(built, tmp_path):
    _, _, model = built
    with pytest.raises(KeyError, match="nothing"):
        summarize_reference(model, "nothing")
    with pytest.raises(ValueError, match="3 labels"):
        summarize_reference(model, "own", labels=["a"] * 3)
    with pytest.raises(ValueError, match="no label"):
        summarize_reference(model, "cell_type", min_cells=10_000)
    with pytest.raises(ValueError, match="at least 1"):
        summarize_reference(model, "cell_type", max_components=0)
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="came without"):
        summarize_reference(load(tmp_path / "model"), "cell_type")


def test_words_for_no_label_are_no_labels():
    """A model without a classifier knows none of them; a classifier may have been trained on one."""
    adata = cells(240)
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).replace({"type0": "Mixed"})
    assert "Mixed" not in summarize_reference(reference(SCVI, adata), "cell_type", min_cells=5).labels
    assert "Mixed" in summarize_reference(reference(SCANVI, adata), "cell_type", min_cells=5).labels
    model = reference(SCVI, adata)
    assert "Mixed" in summarize_reference(model, "cell_type", unlabelled=(), min_cells=5).labels
    assert summarize_reference(model, "cell_type", unlabelled=["type1"], min_cells=5).labels == ("Mixed", "type2")


def test_a_reference_and_its_extension_may_call_a_type_mixed():
    """``unlabelled=()`` of the verbs holds for the summary that they make, too."""
    ref, query = split(cells(400), "batch2")
    joint, further = (with_proteins(one) for one in (ref, query))
    for one in (joint, further):
        of_cells = one.mod["rna"].obs["cell_type"].astype(str)
        one.mod["rna"].obs["cell_type"] = of_cells.replace({"type0": "Mixed"})
    fast = {"max_epochs": 1, "train_kwargs": {"enable_progress_bar": False}}
    model = sp.tl.build_reference(
        joint, "batch", "cell_type", recipe="totalvi", unlabelled=(), model_kwargs=network(TOTALVI), **fast
    )
    assert model.state.summaries["cell_type"].labels == ("Mixed", "type1", "type2")
    named = further.mod["rna"].obs["cell_type"].replace({"Mixed": "NA"})
    further.mod["rna"].obs["named"] = named  # where build reads labels, too
    mapped = sp.tl.map_query(further, model, **fast)
    with pytest.raises(ValueError, match=r"knows all .*'type2'\]\. \['NA'\] are taken for no labels; unlabelled=\(\)"):
        sp.tl.extend_reference(further, mapped, "named")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*would be given a new label")
        extended = sp.tl.extend_reference(further, mapped, "named", unlabelled=())
    assert extended.state.summaries["cell_type"].labels == ("Mixed", "type1", "type2", "NA")

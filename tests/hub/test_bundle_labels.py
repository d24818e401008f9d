"""Which labels go into a bundle, and what is said of those that cannot."""

import numpy as np
import pytest
from small_models import SCVI, TOTALVI, as_taken, reference, split, train

import scarches_plus as sp


def test_labels_that_cannot_be_used_are_named(model, scvi_model, ref, query, tmp_path):
    target = tmp_path / "bundle"
    bare = sp.hub.load_bundle(sp.hub.save_bundle(model, tmp_path / "bare"))
    mapped = train(SCVI.load_query_data(query.copy(), scvi_model), 1)
    for one, why in (
        (scvi_model, "no column of the model's cells; .* summary=False"),
        (bare, r"came without cells, and carries summaries of \['cell_type'\] only"),
        (mapped, "was mapped"),
    ):
        with pytest.raises(ValueError, match=f"labels_key='a typo'.* {why}"):
            sp.hub.save_bundle(one, target, labels_key="a typo")
    with pytest.raises(ValueError, match=r"labels_key=\['cell_type'\] .* neither is asked for"):
        sp.hub.save_bundle(model, target, labels_key="cell_type", summary=False)
    rare = ref.copy()
    rare.obs["rare"] = [f"label{i % 30}" for i in range(rare.n_obs)]
    with pytest.raises(ValueError, match="no label in 'rare' has 20 cells; pass summary=False"):
        sp.hub.save_bundle(reference(SCVI, rare), target, labels_key="rare")
    assert not target.exists()
    for one in (bare, mapped):  # of the cells that are passed
        kept = sp.hub.save_bundle(one, target, reference=ref, include="labels", labels_key="batch", overwrite=True)
        assert sp.hub.load_reference(kept).obs["batch"].tolist() == ref.obs["batch"].tolist()


def test_no_summary_is_no_secret(scvi_model, tmp_path, caplog):
    folder = sp.hub.save_bundle(scvi_model, tmp_path / "bundle")
    assert not (folder / "summary.safetensors").exists()
    assert "no summary of labels goes into the bundle" in caplog.text
    sp.hub.save_bundle(scvi_model, folder, labels_key="cell_type", overwrite=True)
    assert caplog.text.count("no summary") == 1


def test_labels_of_a_modality(adata, tmp_path):
    cells = as_taken(TOTALVI, split(adata, "batch2", "batch3")[0])
    assert "cell_type" not in cells.obs
    assert "cell_type" in cells["rna"].obs
    model = reference(TOTALVI, cells)
    folder = sp.hub.save_bundle(model, tmp_path / "a", reference=cells, include="labels", labels_key="cell_type")
    labels = cells["rna"].obs["cell_type"]
    assert sp.hub.load_reference(folder).obs["cell_type"].tolist() == labels.tolist()
    found, expected = (
        sp.hub.load_bundle(folder).state.summaries["cell_type"],
        sp.train.summarize_reference(model, "cell_type", labels=labels),
    )
    assert found.labels == expected.labels
    np.testing.assert_array_equal(found.means, expected.means)

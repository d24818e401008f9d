"""Embedding cells of known batches."""

import numpy as np
import pytest

import scarches_plus as sp


def test_reference_cells_come_back_where_they_were(reference, model):
    again = reference[:, ::-1].copy()
    del again.obsm["X_scarches"]
    sp.tl.embed(again, model)
    np.testing.assert_array_equal(again.obsm["X_scarches"], reference.obsm["X_scarches"])
    record = again.uns["scarches_plus"]["embeddings"]["X_scarches"]
    assert record["space"] == model.state.space


def test_copy_and_key(reference, model):
    result = sp.tl.embed(reference, model, key_added="X_other", copy=True)
    assert "X_other" in result.obsm
    assert "X_other" not in reference.obsm


def test_from_a_folder(reference, model, tmp_path):
    model.save(tmp_path / "model")
    sp.tl.embed(reference, tmp_path / "model", key_added="X_other")
    np.testing.assert_array_equal(reference.obsm["X_other"], reference.obsm["X_scarches"])


def test_unknown_batches_are_refused(model, query):
    with pytest.raises(ValueError, match="map_query"):
        sp.tl.embed(query, model)


def test_memory_of_embedded_cells_is_released(reference, model):
    before = len(model._per_instance_manager_store[model.id]), len(type(model)._setup_adata_manager_store)
    for _ in range(3):
        sp.tl.embed(reference, model, key_added="X_other")
    assert (len(model._per_instance_manager_store[model.id]), len(type(model)._setup_adata_manager_store)) == before

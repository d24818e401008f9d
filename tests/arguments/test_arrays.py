"""Arrays of cells have one entry for each, and embeddings are numbers."""

import numpy as np
import pytest
from wrong_arguments import things

import scarches_plus as sp


def test_arrays_of_cells():
    adata, _ = things()
    embedding, labels = adata.obsm["X_scarches"], adata.obs["cell_type"].to_numpy()
    for call, name in (
        (lambda: sp.metrics.label_purity(embedding, np.stack([labels, labels], 1)), "labels must have one entry"),
        (lambda: sp.metrics.label_purity(embedding, labels[:-1]), "labels must have one entry"),
        (lambda: sp.metrics.label_transfer_report(np.stack([labels, labels], 1), labels), "labels must have one entry"),
        (lambda: sp.metrics.label_purity(embedding * 1j, labels), "embedding must be an array of numbers"),
        (lambda: sp.metrics.label_purity(embedding, labels, neighbors=np.ones((90, 30))), "neighbors must be indices"),
        (lambda: sp.metrics.batch_entropy(embedding, labels, cells=[90]), "cells has 1 entries outside of 0 to 89"),
        (
            lambda: sp.pp.LabelTree({"a": None, "b": None}).node_probabilities(np.ones((3, 5))),
            "probabilities must have",
        ),
        (lambda: sp.pp.LabelTree(["a"]), "parents must be a dict"),
        (lambda: sp.pl.reliability({"a": 1}), r"curve\['a'\] must be a DataFrame"),
    ):
        with pytest.raises((TypeError, ValueError), match=name):
            call()


@pytest.mark.parametrize("value", ["text", 1j, np.nan, np.inf])
def test_embeddings_in_cells(value):
    adata = things()[0].copy()
    adata.obsm["X_scarches"] = np.full((90, 4), value)
    for call in (
        lambda: sp.tl.transfer_labels(adata, adata, "cell_type"),
        lambda: sp.tl.expression_classifier(adata, "cell_type", batch_key="batch", use_rep="X_scarches"),
        lambda: sp.tl.joint_embedding(adata, adata),
    ):
        with pytest.raises((TypeError, ValueError), match=r"obsm\['X_scarches'\]"):
            call()

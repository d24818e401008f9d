"""Exports open in plain scvi-tools, where this package is not."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import scvi
import torch
from small_models import SCANVI, SCVI, reference, train

import scarches_plus as sp

OPEN = """
    import sys
    sys.modules["scarches_plus"] = None  # it cannot be imported
    import anndata, numpy, scvi

    folder, cls = sys.argv[1:]
    adata = anndata.read_h5ad(folder + "/cells.h5ad")
    model = getattr(scvi.model, cls).load(folder + "/model", adata=adata)
    numpy.save(folder + "/latent.npy", model.get_latent_representation())
"""


def test_plain_scvi_tools_opens_it(model, query, tmp_path):
    mapped = train(type(model).load_query_data(query[:, 3:].copy(), model), 1)
    cells = mapped.adata.copy()
    cells.uns, cells.obs = {}, cells.obs[["batch", "cell_type"]].astype(str)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    folder = sp.hub.export_model(mapped, tmp_path / "model")
    assert [file.name for file in folder.iterdir()] == ["model.pt"]
    subprocess.run([sys.executable, "-c", textwrap.dedent(OPEN), str(tmp_path), "SCANVI"], check=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "latent.npy"), mapped.get_latent_representation(), rtol=1e-5, atol=1e-6
    )
    exporter = f"scarches-plus {sp.__version__}"
    assert sp.hub.import_model(folder).state == replace(mapped.state, origin=exporter)


def test_a_loss_of_training_alone_is_left_out(ref, tmp_path):
    """scANVI with the paper's ELBO has scvi-tools' network."""
    model = train(reference(SCANVI, ref, labels_in_elbo=True), 1)
    assert model.module.labels_in_elbo
    folder = sp.hub.export_model(model, tmp_path / "model")
    theirs = scvi.model.SCANVI.load(str(folder), adata=model.adata.copy())
    np.testing.assert_allclose(
        theirs.get_latent_representation(), model.get_latent_representation(), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(theirs.predict(), model.predict())
    some = ref.copy()
    some.obs["cell_type"] = np.where(np.arange(some.n_obs) % 2, "Unknown", some.obs["cell_type"].astype(str))
    with pytest.raises(ValueError, match="n_unobserved"):
        sp.hub.export_model(train(reference(SCANVI, some, n_unobserved=1), 1), tmp_path / "other")


def test_no_data_of_single_cells(model, ref, tmp_path):
    folder = sp.hub.export_model(model, tmp_path / "model")
    content = torch.load(folder / "model.pt", weights_only=False)
    attributes = content["attr_dict"]
    assert not {"labels_", "train_indices_", "validation_indices_", "test_indices_"} & set(attributes)
    assert attributes["history_"] is None
    assert attributes["scarches_plus_"]["anchors"] is None
    assert attributes["scarches_plus_"]["importance"] is not None
    assert b"SECRET" not in (folder / "model.pt").read_bytes()


def test_overwriting_and_networks_that_scvi_tools_does_not_have(scvi_model, ref, tmp_path):
    folder = sp.hub.export_model(scvi_model, tmp_path / "model")
    with pytest.raises(FileExistsError):
        sp.hub.export_model(scvi_model, folder)
    sp.hub.export_model(scvi_model, folder, overwrite=True)
    bundle = sp.hub.save_bundle(scvi_model, tmp_path / "bundle")
    with pytest.raises(FileExistsError, match=r"left alone: it holds README\.md"):
        sp.hub.export_model(scvi_model, bundle, overwrite=True)
    for own in ({"gene_likelihood": "mse"}, {"layer_widths": [8, 6]}, {"batch_free_decoder_layer": True}):
        with pytest.raises(ValueError, match=next(iter(own))):
            sp.hub.export_model(reference(SCVI, ref.copy(), **own), tmp_path / "other")


def test_what_is_no_export_is_left_alone(scvi_model, tmp_path):
    folder = sp.hub.export_model(scvi_model, tmp_path / "model")
    (folder / "adata.h5ad").write_bytes(b"cells")
    with pytest.raises(FileExistsError, match=r"left alone: it holds adata\.h5ad"):
        sp.hub.export_model(scvi_model, folder, overwrite=True)
    assert (folder / "adata.h5ad").read_bytes() == b"cells"
    scvi_model.save(tmp_path / "saved")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.pt").write_bytes(b"x")
    for name in ("saved", "other"):
        path = tmp_path / name / "model.pt"
        before = path.read_bytes()
        with pytest.raises(FileExistsError, match=r"its model\.pt is no export"):
            sp.hub.export_model(scvi_model, path.parent, overwrite=True)
        assert path.read_bytes() == before

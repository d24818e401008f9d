"""Cells of scvi-hub open, unless they bring in other files."""

import h5py
import numpy as np
import pytest
import scvi
from anndata import AnnData
from small_models import NETWORK, cells, split

import scarches_plus as sp
from scarches_plus.hub import BundleError


@pytest.fixture(scope="module")
def minified(tmp_path_factory):
    """What scvi-hub holds: a minified model with its cells."""
    folder = tmp_path_factory.mktemp("hub") / "minified"
    ref, _ = split(cells(), "batch2")
    scvi.model.SCANVI.setup_anndata(ref, batch_key="batch", labels_key="cell_type", unlabeled_category="Unknown")
    model = scvi.model.SCANVI(ref, **NETWORK)
    model.train(2, enable_progress_bar=False, log_every_n_steps=1, train_size=1.0)
    latent = model.get_latent_representation()
    ref.obsm["X_latent_qzm"], ref.obsm["X_latent_qzv"] = model.get_latent_representation(return_dist=True)
    model.minify_adata()
    model.save(str(folder), save_anndata=True)
    return folder, latent


def test_a_minified_model_maps_and_labels(minified):
    folder, latent = minified
    _, query = split(cells(), "batch2")
    model, reference = sp.hub.import_model(folder), sp.hub.import_reference(folder)
    np.testing.assert_allclose(reference.obsm["X_scarches"], latent, rtol=1e-5, atol=1e-6)
    mapped = sp.tl.map_query(query, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    assert mapped.state.space == model.state.space
    sp.tl.transfer_labels(query, reference, "cell_type")
    assert "cell_type_pred" in query.obs


@pytest.fixture
def folder(scvi_model, tmp_path):
    scvi_model.save(tmp_path / "model")
    return tmp_path / "model"


def test_cells_with_counts(folder, ref):
    ref.write_h5ad(folder / "adata.h5ad")
    cells = sp.hub.import_reference(folder)
    assert "X_scarches" not in cells.obsm
    assert cells.obs_names.equals(ref.obs_names)


def test_files_that_reach_out(folder, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["X"] = np.ones((5, 5))
    path = folder / "adata.h5ad"

    def external(file):
        file["X"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/X")

    def soft(file):
        file["X"] = h5py.SoftLink("/elsewhere")

    def virtual(file):
        layout = h5py.VirtualLayout((5, 5), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "X", (5, 5))
        file.create_virtual_dataset("X", layout)

    def stored_outside(file):
        file.create_dataset("X", (25,), "f8", external=[(str(tmp_path / "secret.h5"), 0, 200)])

    def huge(file):
        file.create_dataset("X", (10**6, 20_000), "f8", chunks=(1000, 1000))

    def nested(file):
        file["uns"]["again"] = file["/"]

    cases = {
        "link": external, "is a link": soft, "other files": virtual, "from other files": stored_outside,
        "declares more": huge, "nests": nested,
    }  # fmt: skip
    for message, change in cases.items():
        AnnData(obs={"a": [1, 2]}).write_h5ad(path)
        with h5py.File(path, "a") as file:
            file.pop("X", None)
            change(file)
        with pytest.raises(BundleError, match=message) as caught:
            sp.hub.import_reference(folder)
        assert "adata.h5ad" in str(caught.value)


def test_damage(folder, ref):
    path = folder / "adata.h5ad"
    with pytest.raises(FileNotFoundError, match=r"adata\.h5ad"):
        sp.hub.import_reference(folder)
    ref.write_h5ad(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BundleError, match=r"adata\.h5ad"):
        sp.hub.import_reference(folder)
    path.write_bytes(b"<html></html>")
    with pytest.raises(BundleError, match=r"adata\.h5ad"):
        sp.hub.import_reference(folder)

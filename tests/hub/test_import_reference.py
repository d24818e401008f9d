"""Cells of scvi-hub open, unless they bring in other files."""

import re
import struct

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


def shared_text(path, write, n, length):
    """Let texts of a data set or an attribute all be the first one: their references are 16 bytes each, side by
    side.
    """
    with h5py.File(path, "a") as file:
        write(file, np.array(["x" * length, *(f"text {i}" for i in range(n - 1))], dtype=object))
    contents = bytearray(path.read_bytes())
    heap = contents.index(b"x" * length)
    first = next(
        found.start()
        for found in re.finditer(re.escape(struct.pack("<I", length)), contents)
        if contents[found.end() : found.end() + 8] == struct.pack("<Q", contents.rindex(b"GCOL", 0, heap))
    )
    contents[first : first + 16 * n] = contents[first : first + 16] * n
    path.write_bytes(contents)


def test_texts_that_share_their_storage(folder):
    """A hundred kilobytes that would be 30 MB."""
    path = folder / "adata.h5ad"
    texts = h5py.string_dtype()
    writes = {
        "/uns/t: texts share": lambda file, values: file.create_dataset("uns/t", data=values, dtype=texts),
        r"/obs \(attribute 'order'\): texts share": lambda file, values: file["obs"].attrs.create(
            "order", values, dtype=texts
        ),
    }
    for message, write in writes.items():
        AnnData(obs={"a": [1, 2]}).write_h5ad(path)
        shared_text(path, write, 300, 100_000)
        assert path.stat().st_size < 200_000
        with pytest.raises(BundleError, match=rf"adata\.h5ad is refused: {message}"):
            sp.hub.import_reference(folder, max_bytes=2 * 10**7)


def test_texts_of_all_kinds(folder):
    """Texts that are stored as often as they are read are no reason to refuse a file."""
    cells = AnnData(np.ones((300, 2)), obs={"text": ["x" * 10_000] * 300, "none": [None, "a"] * 150})
    cells.uns["records"] = np.array([("a", 1.0), ("b" * 10_000, 2.0)], dtype=[("text", "O"), ("n", "f8")])
    cells.uns["table"] = np.array([["a", "b"]] * 30, dtype=object)
    cells.uns["one"] = "c" * 10_000
    cells.strings_to_categoricals()
    cells.write_h5ad(folder / "adata.h5ad")
    again = sp.hub.import_reference(folder)
    assert again.uns["table"].tolist() == cells.uns["table"].tolist()
    with h5py.File(folder / "adata.h5ad", "a") as file:
        file["uns"].create_dataset("ragged", (2,), h5py.vlen_dtype("i8"))
    with pytest.raises(BundleError, match=r"/uns/ragged: it holds values of variable length that are no text"):
        sp.hub.import_reference(folder)


def changed(key, **attributes):
    def change(file):
        file[key].attrs.update(attributes)

    return change


def in_place(key, value):
    def change(file):
        file.pop(key, None)
        file.create_dataset(key, data=value)

    return change


NOT_ANNDATA = {
    "encoding of X": changed("X", **{"encoding-type": "strange"}),
    "encoding of obs": changed("obs", **{"encoding-type": "strange"}),
    "columns": changed("obs", **{"column-order": ["nothing"]}),
    "latent of one dimension": in_place("obsm/scvi_latent_qzm", np.zeros(20)),
    "latent of another length": in_place("obsm/scvi_latent_qzm", np.zeros((3, 4))),
    "latent of another model": in_place("obsm/scvi_latent_qzm", np.zeros((20, 3))),
    "latent that is not finite": in_place("obsm/scvi_latent_qzm", np.full((20, 4), np.nan)),
}


@pytest.mark.parametrize("case", NOT_ANNDATA)
def test_what_is_no_anndata(folder, ref, case):
    path = folder / "adata.h5ad"
    ref[:20].write_h5ad(path)
    with h5py.File(path, "a") as file:
        NOT_ANNDATA[case](file)
    with pytest.raises(BundleError, match=r"adata\.h5ad cannot be read"):
        sp.hub.import_reference(folder)


def test_records_of_this_package_that_are_none(folder, ref):
    cells = ref[:20].copy()
    cells.obsm["scvi_latent_qzm"] = np.zeros((20, 4))
    cells.uns["scarches_plus"] = "a text"
    cells.write_h5ad(folder / "adata.h5ad")
    with pytest.raises(BundleError, match=r"adata\.h5ad cannot be read: uns\['scarches_plus'\] is a str and no table"):
        sp.hub.import_reference(folder)


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

"""Saved models that are damaged, or replaced while they are read or written."""

import random

import pytest
import torch
from small_models import SCVI, cells, reference, split

import scarches_plus as sp

pytestmark = pytest.mark.border


def test_one_bit_anywhere(border, folder):
    """A flipped bit is found, wherever it lies, or changes nothing that is read."""
    path = folder / "model.pt"
    whole = path.read_bytes()
    expected = {name: value.clone() for name, value in sp.model.load(folder).module.state_dict().items()}
    rng = random.Random(1)
    n_refused = 0
    for place in rng.sample(range(len(whole)), 150):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << rng.randrange(8))]) + whole[place + 1 :])
        try:
            weights = sp.model.load(folder).module.state_dict()
        except ValueError as error:
            n_refused += 1
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert n_refused > 0
    path.write_bytes(whole)
    border.works(
        lambda: sp.model.load(folder), lambda one: one.is_trained,
        kind="C3", case=f"one bit flipped in 150 places: {n_refused} refused, none changes a weight", shown="sp.model.load(...)",
    )  # fmt: skip


def test_a_folder_that_is_replaced_while_it_is_read(border, tmp_path, model, around):
    """Weights and cells come from the same folder."""
    ref = split(cells(), "batch2")[0]
    model.save(tmp_path / "model", save_anndata=True)
    other = reference(SCVI, ref[:100].copy())
    other.save(tmp_path / "other", save_anndata=True)
    replaced = []

    def replace(read_model, path):
        found = read_model(path)
        if not replaced:
            replaced.append((tmp_path / "model").rename(tmp_path / "away"))
            (tmp_path / "other").rename(tmp_path / "model")
        return found

    around("a model is read", replace)
    border.works(
        lambda: SCVI.load(tmp_path / "model"),
        lambda one: (one.adata.n_obs, one.state.weights) == (100, other.state.weights) and replaced,
        kind="C3", case="a folder that is replaced while it is read", shown="SCVI.load('folder')",
    )  # fmt: skip


def test_cells_beside_a_model_are_looked_through(border, folder):
    (folder / "adata.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    border.refused(
        lambda: SCVI.load(folder), ValueError, [str(folder / "adata.h5ad")],
        kind="C3", case="damaged cells beside a model", shown="SCVI.load('folder')",
    )  # fmt: skip


def test_a_full_disk(border, folder, model, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    border.refused(
        lambda: model.save(folder, overwrite=True), OSError, [str(folder), "free", "make room"],
        kind="C3/46", case="a full disk: the old model is whole", shown="model.save('folder', overwrite=True)",
    )  # fmt: skip
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

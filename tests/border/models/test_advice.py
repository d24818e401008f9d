"""The advice of each message about a model that cannot be opened leads to success."""

import bz2
import gzip
import pickle
import shutil
import tarfile

import numpy as np
import pytest
import torch
from small_models import cells, split

import scarches_plus as sp

pytestmark = pytest.mark.border


def test_other_places(border, folder, tmp_path, model, monkeypatch):
    """The file itself, the home folder, a prefix, a folder above, and a folder that is a bundle."""
    same = lambda one: one.state == model.state  # noqa: E731
    border.works(
        lambda: sp.model.load(folder / "model.pt"),
        same,
        kind="C3",
        case="the file itself",
        shown="sp.model.load('model.pt')",
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    border.works(
        lambda: sp.model.load("~/model"), same, kind="C3", case="the home folder", shown="sp.model.load('~/model')"
    )
    border.works(
        lambda: sp.model.load(tmp_path), same, kind="C3", case="the folder above", shown="sp.model.load('above')"
    )
    model.save(tmp_path / "named", prefix="mine_")
    border.works(
        lambda: sp.model.load(tmp_path / "named"),
        same,
        kind="C3",
        case="a prefix that was not given",
        shown="sp.model.load('folder')",
    )
    assert same(sp.model.load(tmp_path / "named", prefix="mine_"))
    assert same(sp.model.load(tmp_path / "named" / "mine_model.pt"))
    border.refused(
        lambda: sp.model.load(tmp_path / "named" / "mine_model.pt", prefix="other_"), ValueError, ["prefix 'mine_'"],
        kind="C3", case="a file and another prefix", shown="sp.model.load('mine_model.pt', prefix='other_')",
    )  # fmt: skip
    sp.hub.save_bundle(model, tmp_path / "bundle")
    border.works(
        lambda: sp.model.load(tmp_path / "bundle"), same, kind="C3", case="a bundle", shown="sp.model.load('bundle')"
    )
    border.refused(
        lambda: sp.model.load(tmp_path / "nothing"), FileNotFoundError, ["there is no file or folder", "nothing"],
        kind="C3/40", case="a folder that is not there", shown="sp.model.load('nothing')",
    )  # fmt: skip
    (tmp_path / "query.h5ad").write_bytes(b"x")
    border.refused(
        lambda: sp.model.load(tmp_path / "query.h5ad"), ValueError, ["query.h5ad", "no file of torch"],
        kind="C3", case="a file of cells", shown="sp.model.load('query.h5ad')",
    )  # fmt: skip


def test_what_is_packed_opens_unpacked(folder, model):
    path = folder / "model.pt"
    whole = path.read_bytes()
    for unpack, packed in ((gzip.decompress, gzip.compress(whole)), (bz2.decompress, bz2.compress(whole))):
        path.write_bytes(packed)
        with pytest.raises(ValueError, match="unpack it first"):
            sp.model.load(folder)
        path.write_bytes(unpack(path.read_bytes()))
        assert sp.model.load(folder).state == model.state
    with tarfile.open(folder / "packed.tar", "w") as archived:
        archived.add(path, "model.pt")
    shutil.move(folder / "packed.tar", path)
    with pytest.raises(ValueError, match="a tar archive: unpack it first"):
        sp.model.load(folder)
    with tarfile.open(path) as archived:
        archived.extract("model.pt", folder / "unpacked", filter="data")
    assert sp.model.load(folder / "unpacked").state == model.state


def test_what_an_old_torch_wrote_opens(folder, model):
    path = folder / "model.pt"
    torch.save(torch.load(path, weights_only=False), path, _use_new_zipfile_serialization=False)
    assert sp.model.load(folder).state == model.state


def test_what_scvi_tools_before_0_15_wrote_opens_converted(border, tmp_path, model, monkeypatch):
    """The three files of scvi-tools 0.8, written from a model of today."""
    monkeypatch.chdir(tmp_path)
    ref = split(cells(), "batch2")[0]
    old = tmp_path / "old"
    old.mkdir()
    write_former(model, old)
    expected = model.embed(ref)
    border.works(
        lambda: sp.model.load(old), lambda one: np.allclose(one.embed(ref), expected, atol=1e-5),
        kind="C3/40", case="a folder of scvi-tools 0.8", shown="sp.model.load('old')",
    )  # fmt: skip
    sp.model.SCVI.convert_legacy_save(old, "new folder")
    again = sp.model.SCVI.load("new folder", ref.copy())
    np.testing.assert_allclose(again.get_latent_representation(), model.get_latent_representation(ref), atol=1e-5)
    np.testing.assert_allclose(sp.model.load("new folder").embed(ref), model.embed(ref), atol=1e-5)


def write_former(model, folder):
    """Write a model as scvi-tools 0.8 did."""
    given = model.init_params_
    setup = {
        "scvi_version": "0.8.1",
        "categorical_mappings": {
            "_scvi_batch": {"original_key": "batch", "mapping": np.array(model.spec.batches, dtype=object)},
            "_scvi_labels": {
                "original_key": "cell_type",
                "mapping": np.array(["type0", "type1", "type2"], dtype=object),
            },
        },
        "data_registry": {
            "X": {"attr_name": "X", "attr_key": None},
            "batch_indices": {"attr_name": "obs", "attr_key": "_scvi_batch"},
            "labels": {"attr_name": "obs", "attr_key": "_scvi_labels"},
        },
        "summary_stats": {
            "n_batch": len(model.spec.batches),
            "n_cells": 160,
            "n_vars": 40,
            "n_labels": 3,
            "n_proteins": 0,
        },
    }
    kwargs = {name: value for group in given["kwargs"].values() for name, value in group.items()}
    kept = ("n_hidden", "n_latent", "n_layers", "dropout_rate", "dispersion", "gene_likelihood", "latent_distribution")
    arguments = {name: given["non_kwargs"][name] for name in kept} | {"use_cuda": False, "model_kwargs": kwargs}
    attributes = {"init_params_": arguments, "scvi_setup_dict_": setup, "is_trained_": True, "history_": {}}
    (folder / "attr.pkl").write_bytes(pickle.dumps(attributes, 4))
    torch.save(model.module.state_dict(), folder / "model_params.pt")
    (folder / "var_names.csv").write_text("".join(f"{name}\n" for name in model.spec.var_names))

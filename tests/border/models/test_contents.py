"""Model files that are something else: the message says what they are."""

import bz2
import gzip
import os
import pickle
import random
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import cells, split

import scarches_plus as sp

pytestmark = pytest.mark.border


def torchscript(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch no longer recommends TorchScript
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)


def former(path):
    torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)


def flipped(path):
    contents = bytearray(path.read_bytes())
    rng = random.Random(0)
    for place in rng.sample(range(len(contents) // 4, len(contents) // 2), 64):
        contents[place] ^= 1 << rng.randrange(8)
    path.write_bytes(contents)


def writes(contents):
    return lambda path: path.write_bytes(contents)


FILES = {
    "a web page": (writes(b"\n<!DOCTYPE html><html>404</html>"), "a web page, and not the file"),
    "an answer of a server": (writes(b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), "a web page"),
    "an answer in JSON": (writes(b'{"message": "not found"}'), "text (JSON)"),
    "a Git LFS pointer": (
        writes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
        "git lfs pull",
    ),
    "empty": (writes(b""), "empty (0 bytes)"),
    "zeros": (writes(bytes(5000)), "nothing but zeros"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "was cut off"),
    "cells": (lambda path: cells(60).write_h5ad(path), "an HDF5 file"),
    "packed by gzip": (lambda path: path.write_bytes(gzip.compress(path.read_bytes())), "gunzip"),
    "packed by bzip2": (lambda path: path.write_bytes(bz2.compress(path.read_bytes())), "bunzip2"),
    "a bare pickle": (writes(pickle.dumps({"a": 1})), "a bare pickle"),
    "the format of torch before 1.6": (former, "holds no model of scvi-tools"),
    "64 flipped bits": (flipped, "is damaged"),
    "TorchScript": (torchscript, "TorchScript is code, and no model"),
    "plain text": (writes(b"Not Found"), "no file of torch"),
}


#: Rows of the catalogue of cells among them.
CATALOGUE = {"cut off": 36, "a web page": 37, "64 flipped bits": 38}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_something_else(border, folder, case):
    change, says = FILES[case]
    change(folder / "model.pt")
    border.in_child(
        lambda: sp.model.load(folder), ValueError, [str(folder / "model.pt"), says],
        kind=f"C3/{CATALOGUE[case]}" if case in CATALOGUE else "C3", case=f"model.pt is {case}", shown="sp.model.load('folder')",
    )  # fmt: skip


class _Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_malicious_pickle(border, folder, tmp_path, model):
    saved = torch.load(folder / "model.pt", weights_only=False)
    torch.save({**saved, "extra": _Runs(tmp_path / "executed")}, folder / "model.pt")
    border.works(
        lambda: sp.model.load(folder), lambda one: one.state == model.state and not (tmp_path / "executed").exists(),
        kind="C3/39", case="a call that a model file carries along is not made", shown="sp.model.load('folder')",
    )  # fmt: skip
    torch.save({**saved, "var_names": _Runs(tmp_path / "executed")}, folder / "model.pt")
    border.refused(
        lambda: sp.model.load(folder), ValueError, str(folder / "model.pt"),
        kind="C3/39", case="a call in place of the genes", shown="sp.model.load('folder')",
    )  # fmt: skip
    assert not (tmp_path / "executed").exists()


def test_a_model_of_scvi_tools_0_6(border, folder):
    saved = torch.load(folder / "model.pt", weights_only=False)
    saved["attr_dict"]["registry_"]["scvi_version"] = "0.6.0"
    torch.save(saved, folder / "model.pt")
    query = split(cells(), "batch2")[1]
    border.works(
        lambda: sp.tl.map_query(query, folder, max_epochs=1), lambda mapped: np.isfinite(query.obsm["X_scarches"]).all(),
        kind="C3/41", case="a model stamped 0.6.0", shown="map_query(query, 'folder')",
    )  # fmt: skip


def numpy_archive(path):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


OTHERS = {
    "an archive of something else": (
        lambda path: zipfile.ZipFile(path, "w").writestr("xl/workbook.xml", "<x/>"), "TorchScript is code, and no model",
    ),
    "an archive of numpy": (numpy_archive, "TorchScript is code, and no model"),
    "a list": (lambda path: torch.save([1, 2], path), "a list where a dictionary is expected"),
    "only weights": (lambda path: torch.save({"z_encoder.weight": torch.zeros(3)}, path), "lacks ['attr_dict'"),
    "weights that are none": (
        lambda path: torch.save({"model_state_dict": {"a": 1}, "attr_dict": {}, "var_names": []}, path), "'a' is no tensor",
    ),
    "no attributes": (
        lambda path: torch.save({"model_state_dict": {}, "attr_dict": {}, "var_names": []}, path), "it lacks registry_",
    ),
    "a registry without a class": (
        lambda path: torch.save({"model_state_dict": {}, "attr_dict": {"registry_": {}}, "var_names": []}, path),
        "its registry names no class",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_contents_that_are_no_model(border, folder, case):
    change, says = OTHERS[case]
    change(folder / "model.pt")
    border.refused(
        lambda: sp.model.load(folder), ValueError, [str(folder / "model.pt"), says],
        kind="C3", case=f"model.pt is {case}", shown="sp.model.load('folder')",
    )  # fmt: skip


def test_special_files(border, folder):
    (folder / "model.pt").unlink()
    os.mkfifo(folder / "model.pt")
    border.refused(
        lambda: sp.model.load(folder), ValueError, ["model.pt", "no regular file"],
        kind="C3", case="model.pt is a pipe", shown="sp.model.load('folder')",
    )  # fmt: skip


def test_a_link_to_a_model_is_followed(border, folder, tmp_path, model):
    """Caches of models are made of links."""
    (tmp_path / "cached").mkdir()
    (tmp_path / "cached" / "model.pt").symlink_to(folder / "model.pt")
    border.works(
        lambda: sp.model.load(tmp_path / "cached"), lambda one: one.state == model.state,
        kind="C3", case="model.pt is a link", shown="sp.model.load('cached')",
    )  # fmt: skip


@pytest.mark.parametrize("case", ["a web page", "cut off", "a Git LFS pointer", "64 flipped bits"])
def test_the_command_line(border, folder, tmp_path, case):
    split(cells(), "batch2")[1].write_h5ad(tmp_path / "query.h5ad")
    change, says = FILES[case]
    change(folder / "model.pt")
    border.command(
        ["map", tmp_path / "query.h5ad", "--model", folder, "--out", tmp_path / "out.h5ad"], ["model.pt", says],
        kind="C3", case=f"model.pt is {case}",
    )  # fmt: skip

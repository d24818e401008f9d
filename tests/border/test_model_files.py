"""Model files that cost too much (A3) and files that are none (C3): refused by a message that says what they are."""

import bz2
import gzip
import io
import os
import pickle
import random
import re
import shutil
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from pickle_attacks import archive, integer, tensor, text
from small_models import SCVI, cells, reference, split

import scarches_plus as sp
from scarches_plus._pickles import UnsafeFileError, read_torch_file

pytestmark = pytest.mark.border
MANY = 4 * 2**20


@pytest.fixture(scope="module")
def model():
    """A small reference."""
    return reference(SCVI, split(cells(), "batch2")[0])


@pytest.fixture
def folder(tmp_path, model):
    """A saved model."""
    model.save(tmp_path / "model")
    sp.model.load(tmp_path / "model")  # what is imported once is no cost of a file
    return tmp_path / "model"


def read_all(path):
    """Return everything that a file of torch holds."""
    return {name: one.make() for name, one in read_torch_file(path).parts().items()}


# --- A3: small files, large costs ---


def file_of(code, **storages):
    """A file of torch with one value."""
    return archive(b"\x80\x02}(" + text("a") + code + b"u.", storages)


def doubled(n_times, make):
    """Opcodes of a value that holds the one before twice, and so on."""
    code = make(b"K\x01K\x01")
    for i in range(n_times):
        code += b"r" + struct.pack("<I", i) + b"0" + make((b"j" + struct.pack("<I", i)) * 2)
    return code


def zeros(n_bytes, *, packed=True):
    """An archive with one member of zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as whole:
        whole.writestr("archive/data.pkl", bytes(n_bytes))
    return file.getvalue()


def crowded(n_members):
    """An archive with many empty members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as whole:
        for i in range(n_members):
            whole.writestr(f"a/data/{i}", b"")
    return file.getvalue()


def overlapping():
    """An archive whose many members are all the same bytes."""
    contents = bytes(2**20)
    entry = (b"PK\x03\x04", 20, 0, 0, 0, 0, zlib.crc32(contents), len(contents), len(contents), 8, 0)
    start = struct.pack("<4s5H3L2H", *entry) + b"a/data/0" + contents
    directory = b""
    for i in range(10):
        name = f"a/data/{i}".encode()
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, zlib.crc32(contents), len(contents), len(contents),
            len(name), 0, 0, 0, 0, 0, 0,
        ) + name  # fmt: skip
    return start + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 10, 10, len(directory), len(start), 0)


KEYS = b"".join(integer(i * (2**61 - 1)) + b"N" for i in range(1, 20_000))
COSTS = {
    "LONG_BINPUT 2**28": (file_of(b"K\x01r\0\0\0\x10"), None),
    "LONG_BINGET of what is not there": (file_of(b"j\xff\xff\xff\xff"), "which it never stored"),
    "a text of 2 GB": (file_of(b"X\xff\xff\xff\x7f"), "ends before the"),
    "bytes of an exabyte": (file_of(b"\x8e" + struct.pack("<Q", 2**60)), "ends before the"),
    "a bytearray of an exabyte": (file_of(b"\x96" + struct.pack("<Q", 2**60)), "ends before the"),
    "a frame of an exabyte": (file_of(b"\x95" + struct.pack("<Q", 2**60)), "a frame is longer than the file"),
    "an integer of 2 GB": (file_of(b"\x8b" + struct.pack("<i", 2**31 - 1)), "an integer of 2147483647 bytes"),
    "an integer of a negative size": (file_of(b"\x8b" + struct.pack("<i", -1)), "an integer of -1 bytes"),
    "integers of 255 bytes": (file_of((b"\x8a\xff" + b"\x7f" * 255) * 20_000), "an integer of 255 bytes"),
    "an integer in digits": (file_of(b"I" + b"9" * MANY + b"\n"), "no model file has"),
    "a name of 4 MB": (file_of(b"c" + b"a" * MANY + b"\nb\n"), "a name is too long"),
    "a name of 4 MB on the stack": (file_of(text("a" * MANY) + text("b") + b"\x93)R"), "it wants to call aaa"),
    "4 million marks": (file_of(b"(" * MANY), "more than 524288 steps"),
    "4 million lists": (file_of(b"]" * MANY), "more than 32768 lists"),
}
MORE_COSTS = {
    "4 million sets": (file_of(b"\x8f" * MANY), "more than 32768 lists"),
    "4 million values": (file_of(b"N" * MANY), "more than 524288 steps"),
    "4 million numbers in a row": (file_of(b"](" + b"K\x01" * MANY + b"e"), "more than 2097152 values"),
    "4 million floats in a row": (file_of(b"](" + b"Gabcdefgh" * MANY + b"e"), "more than 2097152 values"),
    "4 million memos": (file_of(b"K\x01" + b"\x94" * MANY), "more than 524288 steps"),
    "a million tuples in tuples": (file_of(b")" + b"\x85" * 10**6), "more than 32768 lists"),
    "30,000 tuples in tuples": (file_of(b")" + b"\x85" * 30_000), "nests more than 64 deep"),
    "30,000 lists in lists": (file_of(b"]" * 30_000 + b"a" * 29_999), "nests more than 64 deep"),
    "30,000 calls of calls": (
        file_of(b")" * 30_000 + b"K\x01" + b"R" * 30_000),
        "wants to call what another call returns",
    ),
    "a billion laughs, lists": (file_of(doubled(40, lambda two: b"](" + two + b"e")), "far larger than the file"),
    "a billion laughs, tuples": (file_of(doubled(40, lambda two: two + b"\x86")), "far larger than the file"),
    "a billion laughs, dictionaries": (
        file_of(
            doubled(40, lambda two: b"}(" + text("a") + two[: len(two) // 2] + text("b") + two[len(two) // 2 :] + b"u")
        ),
        "far larger than the file",
    ),
    "20,000 keys of one hash": (file_of(b"}(" + KEYS + b"u"), "a key that is no plain value"),
    "1,000 tensors of one storage": (
        file_of(
            b"](" + tensor(0, [2**18], [1], None).replace(integer(4), integer(2**18)) * 1000 + b"e",
            **{"0": bytes(2**20)},
        ),
        "far larger than the file",
    ),
}
ARCHIVES = {
    "a packed archive of 200 MB of zeros": (zeros(200 * 2**20), "is packed, as torch never does"),
    "100,000 members": (crowded(50_000), "more than 16384 members"),
    "members that share their bytes": (overlapping(), "members share their bytes"),
    "a directory outside of the file": (
        struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 2**31, 0, 0), "its directory lies outside of it",
    ),
    "a directory of four billion members": (
        struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**40, 2**40, 0, 0)
        + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0),
        "more than 16384 members",
    ),
    "a byte order of another machine": (archive(b"\x80\x02}.", byteorder="big"), "another byte order"),
}  # fmt: skip


def refused_in_child(border, folder, case, cases):
    contents, says = cases[case]
    path = folder / "model.pt"
    path.write_bytes(contents)
    border.in_child(
        lambda: read_all(path), UnsafeFileError if says else None, [str(path), says] if says else "",
        kind="A3", case=case, shown="sp.model.load('folder')",
    )  # fmt: skip


@pytest.mark.parametrize("case", COSTS)
def test_sizes_that_are_announced(border, folder, case):
    refused_in_child(border, folder, case, COSTS)


@pytest.mark.parametrize("case", MORE_COSTS)
def test_many_of_something(border, folder, case):
    refused_in_child(border, folder, case, MORE_COSTS)


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives(border, folder, case):
    refused_in_child(border, folder, case, ARCHIVES)


def altered(folder, change):
    """Change what a saved model holds."""
    content = torch.load(folder / "model.pt", weights_only=False)
    change(content)
    torch.save(content, folder / "model.pt")


def statistics(content):
    return content["attr_dict"]["registry_"]["field_registries"]["X"]["summary_stats"]


HUGE = {
    "10 billion genes": (lambda one: statistics(one).update(n_vars=10**10), "its registry says n_vars=10000000000"),
    "10 billion batches in another field": (
        lambda one: one["attr_dict"]["registry_"]["field_registries"].update(
            zzz={"summary_stats": {"n_batch": 10**10}, "state_registry": {}, "data_registry": {}}
        ),
        "its registry says n_batch=10000000000",
    ),
    "a billion hidden units": (
        lambda one: one["attr_dict"]["init_params_"]["non_kwargs"].update(n_hidden=10**9), "larger than the weights allow",
    ),
    "a billion layers": (
        lambda one: one["attr_dict"]["init_params_"]["non_kwargs"].update(n_layers=10**9), "larger than the weights allow",
    ),
    "10,000 units of 10,000": (
        lambda one: one["attr_dict"]["init_params_"]["non_kwargs"].update(n_hidden=10_000, n_latent=10_000), "is (12, 42) of torch.float32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HUGE)
def test_networks_that_the_weights_do_not_have(border, folder, case):
    change, says = HUGE[case]
    altered(folder, change)
    border.in_child(
        lambda: sp.model.load(folder),
        ValueError,
        ["model.pt", says],
        kind="A3",
        case=case,
        shown="sp.model.load('folder')",
    )


def sparse(path, *parts):
    """A file of 100 GB that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(100 * 2**30)
        for place, part in parts:
            file.seek(place, os.SEEK_SET if place >= 0 else os.SEEK_END)
            file.write(part)


def test_files_of_100_gigabytes(border, folder):
    path = folder / "model.pt"
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)
    for case, parts in (
        ("zeros", ()),
        ("the end of an archive", ((-22, end),)),
        ("the beginning", ((0, b"PK\x03\x04"),)),
    ):
        sparse(path, *parts)
        border.in_child(
            lambda: sp.model.load(folder), ValueError, [str(path), "more than any model"],
            kind="A3", case=f"a file of 100 GB: {case}", shown="sp.model.load('folder')",
        )  # fmt: skip


def test_many_attributes(border, folder):
    altered(folder, lambda one: one["attr_dict"].update({f"a{i}_": 1 for i in range(50_000)}))
    border.in_child(
        lambda: sp.model.load(folder), ValueError, ["attributes, and models have some ten"],
        kind="A3", case="50,000 attributes", shown="sp.model.load('folder')",
    )  # fmt: skip


# --- C3: what a file is ---


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
    "the format of torch before 1.6": (former, "torch before 1.6"),
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


def test_a_full_disk(border, folder, model, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    border.refused(
        lambda: model.save(folder, overwrite=True), OSError, [str(folder), "free", "make room"],
        kind="C3/46", case="a full disk: the old model is whole", shown="model.save('folder', overwrite=True)",
    )  # fmt: skip
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


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
        lambda: sp.model.load(folder), FileNotFoundError, ["holds no saved model"],
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


# --- the advice of each message leads to success ---


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
    message = border.refused(
        lambda: sp.model.load(tmp_path), FileNotFoundError, ["holds no saved model (model.pt)", "in its folder 'model'"],
        kind="C3", case="the folder above", shown="sp.model.load('above')",
    )  # fmt: skip
    sp.model.load(tmp_path / re.search(r"folder '(.*?)'", message)[1])
    model.save(tmp_path / "named", prefix="mine_")
    message = border.refused(
        lambda: sp.model.load(tmp_path / "named"), FileNotFoundError, ["(model.pt)", "prefix='mine_'"],
        kind="C3", case="a prefix that was not given", shown="sp.model.load('folder')",
    )  # fmt: skip
    prefix = re.search(r"prefix='(.*?)'", message)[1]
    assert same(sp.model.load(tmp_path / "named", prefix=prefix))
    assert same(sp.model.load(tmp_path / "named" / f"{prefix}model.pt"))
    border.refused(
        lambda: sp.model.load(tmp_path / "named" / "mine_model.pt", prefix="other_"), ValueError, ["prefix 'mine_'"],
        kind="C3", case="a file and another prefix", shown="sp.model.load('mine_model.pt', prefix='other_')",
    )  # fmt: skip
    sp.hub.save_bundle(model, tmp_path / "bundle")
    message = border.refused(
        lambda: sp.model.load(tmp_path / "bundle"), FileNotFoundError, ["is a bundle", "sp.hub.load_bundle"],
        kind="C3", case="a bundle", shown="sp.model.load('bundle')",
    )  # fmt: skip
    assert same(eval(re.search(r"sp\.hub\.load_bundle\(.*?\)", message)[0]))
    border.refused(
        lambda: sp.model.load(tmp_path / "nothing"), FileNotFoundError, ["is no folder", "sp.hub.load"],
        kind="C3/40", case="a folder that is not there", shown="sp.model.load('nothing')",
    )  # fmt: skip
    (tmp_path / "query.h5ad").write_bytes(b"x")
    border.refused(
        lambda: sp.model.load(tmp_path / "query.h5ad"), FileNotFoundError, ["is a file and no saved model"],
        kind="C3", case="a file of cells", shown="sp.model.load('query.h5ad')",
    )  # fmt: skip


def test_what_is_packed_opens_unpacked(folder, model):
    path = folder / "model.pt"
    whole = path.read_bytes()
    for unpack, packed in ((gzip.decompress, gzip.compress(whole)), (bz2.decompress, bz2.compress(whole))):
        path.write_bytes(packed)
        with pytest.raises(UnsafeFileError, match="unpack it first"):
            sp.model.load(folder)
        path.write_bytes(unpack(path.read_bytes()))
        assert sp.model.load(folder).state == model.state
    with tarfile.open(folder / "packed.tar", "w") as archived:
        archived.add(path, "model.pt")
    shutil.move(folder / "packed.tar", path)
    with pytest.raises(UnsafeFileError, match="a tar archive: unpack it first"):
        sp.model.load(folder)
    with tarfile.open(path) as archived:
        archived.extract("model.pt", folder / "unpacked", filter="data")
    assert sp.model.load(folder / "unpacked").state == model.state


def test_what_an_old_torch_wrote_opens_written_anew(folder, model):
    path = folder / "model.pt"
    torch.save(torch.load(path, weights_only=False), path, _use_new_zipfile_serialization=False)
    with pytest.raises(UnsafeFileError, match=r"torch before 1\.6") as caught:
        sp.model.load(folder)
    eval(re.search(r"`(torch\.save.*?)`", str(caught.value))[1], {"torch": torch, "path": path})
    assert sp.model.load(folder).state == model.state


def test_what_scvi_tools_before_0_15_wrote_opens_converted(border, tmp_path, model, monkeypatch):
    """The three files of scvi-tools 0.8, written from a model of today."""
    monkeypatch.chdir(tmp_path)
    ref = split(cells(), "batch2")[0]
    old = tmp_path / "old"
    old.mkdir()
    write_former(model, old)
    message = border.refused(
        lambda: sp.model.load(old), FileNotFoundError, ["scvi-tools before 0.15 wrote it (attr.pkl)", "convert_legacy_save"],
        kind="C3/40", case="a folder of scvi-tools 0.8", shown="sp.model.load('old')",
    )  # fmt: skip
    eval(re.search(r"sp\.model\.SCVI\.convert_legacy_save\(.*?\)", message)[0])
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


# --- damage ---


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
            weights = read_torch_file(path).parts()["model_state_dict"].make_but({"pyro_param_store"})
        except UnsafeFileError as error:
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


def test_a_folder_that_is_replaced_while_it_is_read(border, tmp_path, model, monkeypatch):
    """Weights and cells come from the same folder."""
    from scarches_plus.model._saved import _loading

    ref = split(cells(), "batch2")[0]
    model.save(tmp_path / "model", save_anndata=True)
    other = reference(SCVI, ref[:100].copy())
    other.save(tmp_path / "other", save_anndata=True)
    replaced = []
    original = _loading.read_model

    def read_model(folder, prefix):
        found = original(folder, prefix)
        if not replaced:
            replaced.append((tmp_path / "model").rename(tmp_path / "away"))
            (tmp_path / "other").rename(tmp_path / "model")
        return found

    monkeypatch.setattr(_loading, "read_model", read_model)
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


@pytest.mark.parametrize("case", ["a web page", "cut off", "a Git LFS pointer", "64 flipped bits"])
def test_the_command_line(border, folder, tmp_path, case):
    split(cells(), "batch2")[1].write_h5ad(tmp_path / "query.h5ad")
    change, says = FILES[case]
    change(folder / "model.pt")
    border.command(
        ["map", tmp_path / "query.h5ad", "--model", folder, "--out", tmp_path / "out.h5ad"], ["model.pt", says],
        kind="C3", case=f"model.pt is {case}",
    )  # fmt: skip

"""Pickles as plain values: what picklers of any protocol and pandas of any version write is read, and nothing is
called.
"""

import os
import pickle
import random
import re
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pickle_attacks import Call, archive, integer, named, text, values

from scarches_plus import _limits
from scarches_plus._pickles import UnsafeFileError, read_former_folder, read_pickle_file, read_torch_file


def read(path, contents):
    path.write_bytes(contents)
    content = read_torch_file(path) if contents.startswith(b"PK") else read_pickle_file(path)
    return {name: one.make() for name, one in content.parts().items()}


VALUES = {
    "list": [1, 2.5, None, True, "text", b"bytes", -5, 2**40, 2**70], "tuple": (1, (2, 3)), "empty": (), "set": {"a"},
    "frozen": frozenset({1}), "nested": {"a": {"b": [{"c": ()}]}}, "number": np.float32(2.5), "many": list(range(100_000)),
    "array": np.arange(6.0).reshape(2, 3), "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)), "flags": np.array([True]),
    "texts": np.array(["a", "bc"]), "objects": np.array(["a", 1, None], dtype=object), "big": np.arange(3, dtype=">i4"),
    "same": ["x"] * 1000, "floats": [0.5] * 100, "bytes": bytes(range(256)), "none": b"", "zero": np.zeros((0, 3)),
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_values(tmp_path, protocol):
    again = read(tmp_path / "attr.pkl", pickle.dumps(VALUES, protocol))
    assert list(again) == list(VALUES)
    for name, one in VALUES.items():
        np.testing.assert_equal(again[name], one)
        assert type(again[name]) in {type(one), set}
    assert again["array"].flags.writeable


def test_tensors(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    content = {
        "whole": whole, "part": whole[1:, ::2], "turned": whole.T, "half": whole.half(), "brain": whole.bfloat16(),
        "truth": whole > 3, "scalar": torch.tensor(3), "empty": torch.zeros(0, 3), "parameter": torch.nn.Parameter(whole),
        "repeated": torch.ones(1).expand(3), "state": torch.nn.Linear(2, 2).state_dict(),
    }  # fmt: skip
    torch.save(content, tmp_path / "model.pt")
    again = read(tmp_path / "model.pt", (tmp_path / "model.pt").read_bytes())
    state = {name: content["state"][name] for name in content["state"]}
    for name, one in {**{k: v for k, v in content.items() if k != "state"}, **state}.items():
        found = again["state"][name] if name in state else again[name]
        assert found.dtype == one.dtype
        assert torch.equal(found, one.detach())
        assert not found.requires_grad


def test_tables_of_this_pandas(tmp_path):
    tables = {
        "floats": pd.DataFrame({"elbo": [1.5, 2.5]}, index=pd.Index([0, 1], name="epoch")),
        "objects": pd.DataFrame({"kl": [1.0, None]}, index=pd.RangeIndex(2, name="epoch"), dtype=object),
        "two": pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": [3, 4]}),
    }
    again = read(tmp_path / "attr.pkl", pickle.dumps(tables))
    for name, table in tables.items():
        np.testing.assert_array_equal(again[name].values.astype(float), table.to_numpy().astype(float))
        assert again[name].columns in (list(table.columns), None)
        assert again[name].index_name == table.index.name
        np.testing.assert_array_equal(again[name].index, table.index)


@pytest.mark.parametrize("version", ["1.5", "2.3", "3.1", "1.2"])
def test_tables_of_other_pandas(tmp_path, version):
    """The opcodes that versions of pandas write for a history of two epochs."""
    again = read(tmp_path / "attr.pkl", b"\x80\x02}(" + text("elbo") + history(version) + b"u.")["elbo"]
    assert again.values.tolist() == [[1.5], [2.5]]
    assert again.index.tolist() == [0, 1]
    assert again.index_name == "epoch"
    assert again.columns == ["elbo"]


@pytest.mark.parametrize(
    "parts",
    [
        {"block": [[1.5, 2.5, 3.5]]},
        {"block": [[1.5, 2.5], [3.5, 4.5]]},
        {"block": [1.5, 2.5]},
        {"places": (1, 2, 1)},
        {"places": (0, 2, 1)},
        {"places": (0, 0, 1)},
    ],
)
@pytest.mark.parametrize("version", ["1.2", "2.3"])
def test_tables_whose_parts_do_not_agree(tmp_path, version, parts):
    with pytest.raises(UnsafeFileError, match="it holds a table that is stored in an unknown way"):
        read(tmp_path / "attr.pkl", b"\x80\x02}(" + text("elbo") + history(version, **parts) + b"u.")


def history(version, block=((1.5, 2.5),), places=(0, 1, 1)):
    """Opcodes of a table with one column and two rows, whose values and places may be others."""
    array = lambda one: pickle.dumps(one, 2)[2:-1]  # noqa: E731
    block, names, rows = array(np.array(block)), array(np.array(["elbo"], dtype=object)), array(np.arange(2))
    if version == "3.1":
        wide = named("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked") + values(
            named("pandas.arrays", "StringArray"), b"K\x01", b"N"
        )
        dtype = named("pandas", "StringDtype") + values(text("python"), b"N") + b"R"
        names = wide + b"R" + values(dtype, names) + b"b"
    kinds = ("pandas", "Index") if version == "3.1" else ("pandas.core.indexes.base", "Index")
    row_kind = ("pandas.core.indexes.numeric", "Int64Index") if version.startswith("1") else kinds
    index = lambda kind, data, name: (  # noqa: E731
        named("pandas.core.indexes.base", "_new_Index")
        + values(named(*kind), b"}(" + text("data") + data + text("name") + name + b"u")
        + b"R"
    )
    axes = b"](" + index(kinds, names, b"N") + index(row_kind, rows, text("epoch")) + b"e"
    places = named("__builtin__", "slice") + values(*map(integer, places)) + b"R"
    manager = named("pandas.core.internals.managers", "BlockManager")
    if version == "1.2":
        stored = b"}(" + text("values") + block + text("mgr_locs") + places + b"u"
        inner = b"}(" + text("axes") + axes + text("blocks") + b"](" + stored + b"eu"
        manager += b")R" + values(b"]", b"]", b"]", b"}(" + text("0.14.1") + inner + b"u") + b"b"
    else:
        made = named("pandas._libs.internals", "_unpickle_block") + values(block, places, b"K\x02") + b"R"
        manager += values(values(made), axes) + b"R"
    frame = named("pandas", "DataFrame") if version == "3.1" else named("pandas.core.frame", "DataFrame")
    return frame + b")\x81}(" + text("_mgr") + manager + text("_typ") + text("dataframe") + b"ub"


def test_nothing_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = {"a": Call(os.system, "touch executed"), "b": 1}
    for contents in (pickle.dumps(evil), archive(pickle.dumps(evil, 2))):
        path = tmp_path / "file"
        path.write_bytes(contents)
        parts = (read_torch_file if contents.startswith(b"PK") else read_pickle_file)(path).parts()
        assert parts["b"].make() == 1
        with pytest.raises(
            UnsafeFileError, match=r"file is refused: it wants to call (posix|nt)\.system; if you trust"
        ):
            parts["a"].make()
    assert not Path("executed").exists()


def changed(place, form, *numbers):
    """Return the change of a file by which other numbers stand at a place of it."""

    def change(contents):
        struct.pack_into(form, contents, place(contents), *numbers)

    return change


def renamed(contents):
    place = contents.index(b"archive/version")
    contents[place : place + 15] = b"archive/byteord"


END = -22
DAMAGE = {
    "a comment": (changed(lambda _: END + 20, "<H", 1), "it has a comment"),
    "more members than it says": (changed(lambda _: END + 8, "<2H", 2, 2), "holds more members than it says"),
    "fewer members than it says": (changed(lambda _: END + 8, "<2H", 9, 9), "holds fewer members than it says"),
    "an encrypted member": (
        changed(lambda one: one.index(b"PK\x01\x02") + 8, "<H", 1),
        "is packed, as torch never does",
    ),
    "another name before its contents": (renamed, "version is not where its directory says"),
    "another checksum": (
        changed(lambda one: one.index(b"PK\x01\x02") + 16, "<L", 1),
        "the checksum of data.pkl is another",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_archives_that_torch_did_not_write(tmp_path, case):
    change, says = DAMAGE[case]
    contents = bytearray(archive(b"\x80\x02}."))
    assert read(tmp_path / "model.pt", bytes(contents)) == {}
    change(contents)
    with pytest.raises(UnsafeFileError, match=re.escape(says)):
        read(tmp_path / "model.pt", bytes(contents))


def test_an_archive_with_a_member_twice(tmp_path):
    contents = archive(b"\x80\x02}.", {"0": b"x", "1": b"x"}).replace(b"archive/data/1", b"archive/data/0")
    with pytest.raises(UnsafeFileError, match=r"it holds a member twice \(data/0\)"):
        read(tmp_path / "model.pt", contents)


def test_circles(tmp_path):
    inner = []
    one = (inner, 1)
    inner.append(one)
    with pytest.raises(UnsafeFileError, match="in a circle"):
        read(tmp_path / "attr.pkl", pickle.dumps({"a": one}, 4))


def test_folders_of_scvi_tools_before_0_15(tmp_path):
    arguments = {"n_latent": 5, "pretrained_model": Call(os.system, "touch executed")}
    attributes = {"init_params_": arguments, "scvi_setup_dict_": {"scvi_version": "0.8.1"}, "trainer_": Call(os.getcwd)}
    (tmp_path / "attr.pkl").write_bytes(pickle.dumps(attributes, 4))
    torch.save({"weight": torch.ones(2)}, tmp_path / "model_params.pt")
    (tmp_path / "var_names.csv").write_text("gene0\ngene1\n")
    former = read_former_folder(tmp_path)
    assert former.attributes == {"init_params_": {"n_latent": 5}, "scvi_setup_dict_": {"scvi_version": "0.8.1"}}
    assert former.var_names == ["gene0", "gene1"]
    assert torch.equal(former.weights["weight"], torch.ones(2))
    with (tmp_path / "var_names.csv").open("ab") as file:
        file.truncate(_limits.GENE_TABLE_BYTES + 1)
    with pytest.raises(
        UnsafeFileError, match=r"var_names\.csv is refused: it has .* bytes, and names of genes take less"
    ):
        read_former_folder(tmp_path)
    (tmp_path / "attr.pkl").write_bytes(pickle.dumps({"init_params_": {}}))
    with pytest.raises(UnsafeFileError, match=r"attr\.pkl is refused: it lacks \['scvi_setup_dict_'\]"):
        read_former_folder(tmp_path)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (b"\x80\x06}.", "it is a pickle of protocol 6; 5 is the newest that is known"),
        (b"\x80\x02}(K\x01u.", "it sets keys of what is no dictionary"),
    ],
)
def test_pickles_that_no_pickler_wrote(tmp_path, contents, says):
    with pytest.raises(UnsafeFileError, match=says):
        read(tmp_path / "attr.pkl", contents)


@pytest.mark.parametrize("read_file", [read_torch_file, read_pickle_file])
def test_pipes_are_no_files(tmp_path, read_file):
    os.mkfifo(tmp_path / "model.pt")
    with pytest.raises(UnsafeFileError, match=r"model\.pt is refused: it is no regular file"):
        read_file(tmp_path / "model.pt")


# --- What torch wrote before 1.6 is read as torch reads it, and refused where it is damaged ---


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pt"


def save(contents, path):
    torch.save(contents, path, _use_new_zipfile_serialization=False)
    return path


def state():
    torch.manual_seed(0)
    shared = torch.randn(6, 4)
    return OrderedDict(
        a=torch.randn(3, 5), b=shared, c=shared[1:3].T, d=torch.arange(7), e=torch.rand(2).double(),
        f=torch.tensor([True, False]), g=torch.empty(0, 3), h=torch.tensor(4.0).half(), i=torch.randint(0, 9, (2,)).to(torch.uint8),
    )  # fmt: skip


def test_as_torch_reads_it(path):
    save(state(), path)
    expected = torch.load(path, weights_only=True)
    found = read_torch_file(path).make()
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


def test_without_tensors(path):
    save({"a": [1, 2.5, "text", None]}, path)
    assert read_torch_file(path).make() == {"a": [1, 2.5, "text", None]}


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_cut_off(kept, path):
    whole = save(state(), path).read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(UnsafeFileError):
        read_torch_file(path).make()


def test_any_other_byte(path):
    whole = save(state(), path).read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(400):
        at = rng.randrange(20, len(whole))
        path.write_bytes(whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1 :])
        try:
            read_torch_file(path).make()
        except UnsafeFileError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("numel", [2**40, -1, 2**62])
def test_a_storage_of_another_size(numel, path):
    whole = save({"a": torch.arange(5.0)}, path).read_bytes()
    at = len(whole) - 5 * 4 - 8
    assert int.from_bytes(whole[at : at + 8], "little") == 5
    path.write_bytes(whole[:at] + numel.to_bytes(8, "little", signed=True) + whole[at + 8 :])
    with pytest.raises(UnsafeFileError, match="ends too early"):
        read_torch_file(path)


def test_a_storage_of_two_types(path):
    whole = save({"a": torch.arange(4.0), "b": torch.arange(4.0).double()}, path).read_bytes()
    first, second, *_ = dict.fromkeys(re.findall(rb"\d{9,}", whole))
    path.write_bytes(whole.replace(second, first, 1))
    with pytest.raises(UnsafeFileError, match="of two types"):
        read_torch_file(path)


def test_part_of_a_storage(path):
    whole = save({"a": torch.arange(5.0)}, path).read_bytes()
    assert whole.count(b"K\x05Nt") == 1
    path.write_bytes(whole.replace(b"K\x05Nt", b"K\x05\x88t"))
    with pytest.raises(UnsafeFileError, match="without a storage"):
        read_torch_file(path)


def test_nothing_is_called_in_older_files(path):
    class Attack:
        def __reduce__(self):
            return (open, (str(path) + ".made", "w"))

    save({"a": Attack()}, path)
    with pytest.raises(UnsafeFileError):
        read_torch_file(path).make()
    assert not path.with_name("weights.pt.made").exists()

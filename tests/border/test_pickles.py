"""A2: pickles that want to run, set up or reach something: nothing is executed, whichever entrance they come
through.
"""

import importlib
import os
import pickle
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scvi
from pickle_attacks import Call, archive, dtype, integer, named, opcodes_of, storage, tensor, text, values, whole
from small_models import SCVI, cells, reference, split

import scarches_plus as sp
from scarches_plus._pickles import UnsafeFileError, read_pickle_file, read_torch_file

pytestmark = pytest.mark.border
MARKER = "executed"
TOUCH = f"touch {MARKER}"
SCALAR, RECONSTRUCT = np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder that is the working one; whatever is executed leaves a file in it."""
    monkeypatch.chdir(tmp_path)
    read_torch_file_of(tmp_path, archive(b"\x80\x02}(" + text("a") + tensor(0, [2], [1]) + b"u.", {"0": bytes(16)}))
    yield tmp_path
    assert not (tmp_path / MARKER).exists()


def read_torch_file_of(folder, contents):
    """Return everything that a file of torch holds."""
    path = folder / "model.pt"
    path.write_bytes(contents)
    return {name: one.make() for name, one in read_torch_file(path).parts().items()}


def read_pickle_of(folder, contents):
    """Return everything that a pickle holds."""
    path = folder / "attr.pkl"
    path.write_bytes(contents)
    return {name: one.make() for name, one in read_pickle_file(path).parts().items()}


OBJECT_FLAGS = (3, "|", None, None, None, -1, -1, 0)
SHAPED = Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,), dtype("O8", OBJECT_FLAGS), False, bytes(8)))
DTYPES = {
    "object dtype without flags, scalar": Call(SCALAR, dtype("O8", OBJECT_FLAGS), b"A" * 8),
    "object dtype without flags, array": SHAPED,
    "object dtype, scalar that is a pickle": Call(SCALAR, dtype("O8"), pickle.dumps(Call(os.system, TOUCH))),
    "fields of objects": Call(SCALAR, dtype("V8", (3, "|", None, ("a",), {"a": (dtype("O8"), 0)}, 8, 1, 16)), b"A" * 8),
    "a subtype of objects": Call(SCALAR, dtype("V8", (3, "|", (dtype("O8"), (1,)), None, None, 8, 1, 0)), b"A" * 8),
    "a number with fields": Call(
        SCALAR, dtype("f8", (3, "<", None, ("a",), {"a": (dtype("f8"), 0)}, 8, 8, 0)), bytes(8)
    ),
    "a date with metadata": Call(
        SCALAR, dtype("M8", (4, "<", None, None, None, -1, -1, 0, ({}, (b"D", 1, 1, 1)))), bytes(8)
    ),
    "void": Call(SCALAR, dtype("V16"), bytes(16)),
    "another byte order": Call(SCALAR, dtype("f8", (3, "?", None, None, None, -1, -1, 0)), bytes(8)),
    "a byte order by another name": Call(SCALAR, dtype("f8", (3, "S", None, None, None, -1, -1, 0)), bytes(8)),
    "a type by a list of fields": Call(SCALAR, Call(np.dtype, [("a", "O")]), bytes(8)),
    "texts without a length": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2**40,), dtype("U0"), False, b"")),
    "characters that there are not": Call(SCALAR, dtype("U1", (3, "<", None, None, None, 4, 4, 8)), b"\xff" * 4),
    "truth values that are neither": Call(SCALAR, dtype("b1"), b"\x07"),
}


@pytest.mark.parametrize("case", DTYPES)
def test_dtypes_that_are_set_up(border, place, case):
    contents = archive(pickle.dumps({"a": DTYPES[case]}, 2))
    border.in_child(
        lambda: read_torch_file_of(place, contents), UnsafeFileError, ["model.pt is refused"],
        kind="A2", case=f"dtype: {case}", shown="sp.model.load('folder')",
    )  # fmt: skip


def test_an_imported_model_that_is_set_up(border, place):
    scalar = DTYPES["object dtype without flags, scalar"]
    parts = {"model_state_dict": {}, "attr_dict": {"registry_": scalar}, "var_names": scalar}
    (place / "model").mkdir()
    (place / "model" / "model.pt").write_bytes(archive(pickle.dumps(parts, 2)))
    border.in_child(
        lambda: sp.hub.import_model(place / "model"), ValueError, ["model.pt is refused", "made by hand"],
        kind="A2", case="dtype: object without flags, in a model", shown="sp.hub.import_model('folder')",
    )  # fmt: skip


ARRAYS = {
    "more values than bytes": Call(
        RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (2**40,), dtype("f8"), False, bytes(8))
    ),
    "a negative shape": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (-1,), dtype("f8"), False, bytes(8))),
    "a shape of texts": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, ("8",), dtype("f8"), False, bytes(8))),
    "objects that are calls": Call(
        RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,), dtype("O8"), False, [Call(os.system, TOUCH)])
    ),
    "objects of a negative shape": Call(
        RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (-1,), dtype("O8"), False, ["a"])
    ),
    "objects that are lists": Call(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,), dtype("O8"), False, [[1]])),
    "a subclass": Call(RECONSTRUCT, np.matrix, (0,), b"b", state=None),
    "no state": Call(RECONSTRUCT, np.ndarray, (2**40,), b"d"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_of_other_bytes(border, place, case):
    contents = archive(pickle.dumps({"a": ARRAYS[case]}, 2))
    border.in_child(
        lambda: read_torch_file_of(place, contents), UnsafeFileError, ["model.pt is refused"],
        kind="A2", case=f"array: {case}", shown="sp.model.load('folder')",
    )  # fmt: skip


WORDS = text(TOUCH)
CALLED = {
    "os.system": named("os", "system") + values(WORDS) + b"R",
    "posix.system": named("posix", "system") + values(WORDS) + b"R",
    "builtins.eval": named("builtins", "eval") + values(text(f"__import__('os').system('{TOUCH}')")) + b"R",
    "builtins.exec": named("__builtin__", "exec") + values(text(f"import os; os.system('{TOUCH}')")) + b"R",
    "builtins.getattr": named("builtins", "getattr") + values(named("os", "path"), text("join")) + b"R",
    "operator.attrgetter": named("operator", "attrgetter") + values(text("system")) + b"R",
    "functools.partial": named("functools", "partial") + values(named("os", "system"), WORDS) + b"R",
    "copyreg._reconstructor": named("copyreg", "_reconstructor") + values(named("os", "system"), WORDS, b"N") + b"R",
    "importlib.import_module": named("importlib", "import_module") + values(text("antigravity")) + b"R",
    "torch.storage._load_from_bytes": named("torch.storage", "_load_from_bytes")
    + values(text("x").replace(b"X\x01\0\0\0x", b"C\x02\x80."))
    + b"R",
    "torch.load": named("torch", "load") + values(text("model.pt")) + b"R",
    "numpy.load": named("numpy", "load") + values(text("x.npy")) + b"R",
    "pandas.read_pickle": named("pandas", "read_pickle") + values(text("x.pkl")) + b"R",
    "a module that is not there": named("no_such_module.of_anyone", "Class") + b")\x81",
    "what a call returned": named("builtins", "getattr") + values(named("os", "path"), text("join")) + b"R" + b")R",
}


@pytest.mark.parametrize("case", CALLED)
def test_calls(border, place, case):
    contents = archive(b"\x80\x02}(" + text("a") + CALLED[case] + b"u.")
    border.in_child(
        lambda: read_torch_file_of(place, contents), UnsafeFileError, ["model.pt is refused: it wants to call", "trust_pickle"],
        kind="A2", case=f"REDUCE: {case}", shown="sp.model.load('folder')",
    )  # fmt: skip


EVIL = named("os", "system")
OPCODES = {
    "INST": (b"(" + WORDS + b"ios\nsystem\n", "no model file has"),
    "OBJ": (b"(" + EVIL + WORDS + b"o", "no model file has"),
    "NEWOBJ": (EVIL + values(WORDS) + b"\x81", "wants to call os.system"),
    "NEWOBJ_EX": (EVIL + values(WORDS) + b"}\x92", "wants to call os.system"),
    "EXT1": (b"\x82\x01", "no model file has"),
    "EXT2": (b"\x83\x01\x01", "no model file has"),
    "EXT4": (b"\x84\x01\x01\x01\x01", "no model file has"),
    "PERSID": (b"Pstorage\n", "no model file has"),
    "BINPERSID of a text": (text("storage") + b"Q", "refers to something outside"),
    "BINPERSID in a tensor": (
        tensor(0, [2], [1], of=values(text("module"), EVIL, WORDS) + b"Q"),
        "a tensor without a storage",
    ),
    "STACK_GLOBAL with dots": (
        text("os") + text("path.os.system") + b"\x93" + values(WORDS) + b"R",
        "call os.path.os.system",
    ),
    "a value from before a mark": (b"](K\x01a", "takes a value where there is none"),
    "a tuple of what is before a mark": (b"K\x01(\x85", "takes a value where there is none"),
    "STACK_GLOBAL of numbers": (b"K\x01K\x02\x93", "names a class by something else than text"),
    "BUILD with __dict__": (
        named("builtins", "object") + b")R}(" + text("__class__") + EVIL + b"ub",
        "call builtins.object",
    ),
    "BUILD with slots": (named("a", "b") + b")\x81N}(" + text("x") + EVIL + b"u\x86b", "wants to call a.b"),
    "DUP": (b"]" + b"2" * 4 + b"a", "no model file has"),
}


@pytest.mark.parametrize("case", OPCODES)
def test_opcodes(border, place, case):
    code, says = OPCODES[case]
    contents = archive(b"\x80\x02}(" + text("a") + code + b"u.", {"0": bytes(16)})
    border.in_child(
        lambda: read_torch_file_of(place, contents), UnsafeFileError, ["model.pt is refused", says],
        kind="A2", case=f"opcode: {case}", shown="sp.model.load('folder')",
    )  # fmt: skip


TENSORS = {
    "offset beyond its storage": (tensor(4, [1], [1]), "reaches to value 4 of a storage of 4"),
    "stride beyond its storage": (tensor(0, [2], [4]), "reaches to value 4"),
    "a negative size": (tensor(0, [-1], [1]), "no whole numbers from 0 on"),
    "a negative stride": (tensor(3, [2], [-1]), "no whole numbers from 0 on"),
    "a negative offset": (tensor(-1, [1], [1]), "no whole numbers from 0 on"),
    "one value that says it is a billion": (tensor(0, [2**30], [0]), "far larger than the file"),
    "sizes whose product is beyond 64 bits": (tensor(0, [2**40, 2**40], [0, 0]), "far larger than the file"),
    "another number of strides": (tensor(0, [2, 2], [1]), "without a size"),
    "a storage of another size": (tensor(0, [1], [1], storage(n=5)), "has not the size it says"),
    "a storage of a negative size": (tensor(0, [1], [1], storage(n=-4)), "has not the size it says"),
    "a storage that is not there": (tensor(0, [1], [1], storage(key="1")), "not in the file"),
    "a storage by a path": (tensor(0, [1], [1], storage(key="../version")), "not in the file"),
    "a storage of an unknown type": (tensor(0, [1], [1], storage(kind="QInt8Storage")), "unknown type"),
    "a storage of another module": (tensor(0, [1], [1], storage(module="os")), "unknown type"),
    "truth values that are neither": (
        tensor(0, [16], [1], storage(kind="BoolStorage", n=16)),
        "neither true nor false",
    ),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors(border, place, case):
    code, says = TENSORS[case]
    contents = archive(b"\x80\x02}(" + text("a") + code + b"u.", {"0": b"\x02" * 16})
    border.in_child(
        lambda: read_torch_file_of(place, contents), UnsafeFileError, ["model.pt is refused", says],
        kind="A2", case=f"tensor: {case}", shown="sp.model.load('folder')",
    )  # fmt: skip


STRUCTURES = {
    "a list in itself": b"]q\x01h\x01a",
    "a dictionary in itself": b"}q\x01" + text("a") + b"h\x01s",
    "a call in its own state": named("collections", "OrderedDict") + b")Rq\x01" + text("a") + b"h\x01s",
    "a list as a key": b"}]K\x01s",
    "a tuple as a key": b"}" + b")" + b"\x85" * 1000 + b"K\x01s",
    "a key whose hash can be chosen": b"}" + integer(2**61 - 1) + b"K\x01s",
    "a set of lists": named("builtins", "set") + values(b"](]]e") + b"R",
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_structures(border, place, case):
    contents = archive(b"\x80\x02}(" + text("a") + STRUCTURES[case] + b"u.")
    border.in_child(
        lambda: read_torch_file_of(place, contents), UnsafeFileError, ["model.pt is refused"],
        kind="A2", case=f"structure: {case}", shown="sp.model.load('folder')",
    )  # fmt: skip


def test_the_pickles_of_scvi_tools_before_0_15(border, place):
    """Protocol 4, with a whole model among the arguments: it is carried along, and never looked at."""
    inner = Call(os.system, TOUCH, state={"adata": Call(importlib.import_module, "antigravity")})
    pickled = pickle.dumps(
        {"init_params_": {"pretrained_model": inner, "n_latent": 5}, "scvi_setup_dict_": {"a": 1}}, 4
    )
    (place / "attr.pkl").write_bytes(pickled)
    border.in_child(
        lambda: read_pickle_file(place / "attr.pkl").parts()["init_params_"].make_but({"pretrained_model"}), None, "",
        kind="A2", case="attr.pkl with a pretrained model", shown="SCANVI.convert_legacy_save('old', 'new')",
    )  # fmt: skip
    border.in_child(
        lambda: read_pickle_of(place, pickled), UnsafeFileError, ["attr.pkl is refused: it wants to call", "system"],
        kind="A2", case="attr.pkl, all of it", shown="SCANVI.convert_legacy_save('old', 'new')",
    )  # fmt: skip


# --- Every entrance ---


@pytest.fixture(scope="module")
def model():
    """A small reference."""
    return reference(SCVI, split(cells(), "batch2")[0])


@pytest.fixture
def hostile(place):
    """A folder whose model.pt runs a command as soon as it is unpickled, and a query."""
    folder = place / "model"
    folder.mkdir()
    (folder / "model.pt").write_bytes(archive(whole(CALLED["posix.system"])))
    return folder


def entrances(folder, query):
    """Name to call of whatever takes a saved model."""
    tl, model = sp.tl, sp.model
    return {
        "sp.hub.import_model(folder)": partial(sp.hub.import_model, folder),
        "sp.hub.save_bundle(folder, out)": partial(sp.hub.save_bundle, folder, "bundle"),
        "sp.hub.export_model(folder, out)": partial(sp.hub.export_model, folder, "export"),
        "sp.model.load(folder)": partial(model.load, folder),
        "sp.model.load('model.pt')": partial(model.load, folder / "model.pt"),
        "SCVI.load(folder)": partial(model.SCVI.load, folder),
        "SCVI.load(folder, adata)": partial(model.SCVI.load, folder, query),
        "TOTALVI.load(folder)": partial(model.TOTALVI.load, folder),
        "SCVI.load_registry(folder)": partial(model.SCVI.load_registry, folder),
        "SCANVI.view_setup_args(folder)": partial(model.SCANVI.view_setup_args, folder),
        "SCVI.load_query_data(query, folder)": partial(model.SCVI.load_query_data, query, folder),
        "SCVI.prepare_query_anndata(query, folder)": partial(model.SCVI.prepare_query_anndata, query, str(folder)),
        "sp.tl.map_query(query, folder)": partial(tl.map_query, query, folder),
        "sp.tl.embed(query, folder)": partial(tl.embed, query, folder),
    }


@pytest.mark.parametrize("call", entrances(Path(), None))
def test_every_entrance(border, hostile, call):
    query = split(cells(), "batch2")[1]
    border.refused(
        entrances(hostile, query)[call], ValueError, ["model.pt is refused: it wants to call posix.system", "trust_pickle=True"],
        kind="A2", case=f"a command in model.pt, {call}", shown=call,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["map", "extend"])
def test_the_command_line(border, hostile, place, command):
    split(cells(), "batch2")[1].write_h5ad(place / "query.h5ad")
    options = ["--labels-key", "cell_type"] if command == "extend" else []
    border.command(
        [command, place / "query.h5ad", "--model", hostile, *options, "--out", place / "out.h5ad"],
        "it wants to call posix.system", kind="A2", case=f"a command in model.pt, {command} --model",
    )  # fmt: skip


def test_what_nobody_asks_for_is_carried_along(border, place, model):
    """Unknown classes and hostile calls beside what a model needs are neither looked up nor refused."""
    import torch

    model.save(place / "model")
    content = torch.load(place / "model" / "model.pt", weights_only=False)
    content["attr_dict"]["history_"] = Call(os.system, TOUCH)
    content["attr_dict"]["notes_"] = Call(partial, os.system, TOUCH)
    content["comment"] = Call(importlib.import_module, "antigravity")
    torch.save(content, place / "model" / "model.pt")
    for call in (sp.model.load, sp.hub.import_model):
        again = border.works(
            partial(call, place / "model"), lambda one: one.state == model.state,
            kind="A2", case="calls beside the model", shown=f"{call.__name__}(folder)",
        )  # fmt: skip
        assert not hasattr(again, "notes_")


def test_the_advice_works(place, model):
    """What is only unknown opens with ``trust_pickle=True``."""
    import torch

    model.save(place / "model")
    content = torch.load(place / "model" / "model.pt", weights_only=False)
    content["attr_dict"]["registry_"]["when"] = np.datetime64("2026-11-29")
    torch.save(content, place / "model" / "model.pt")
    with pytest.raises(UnsafeFileError, match=r"of type 'M8', which .*sp\.model\.load\(path, trust_pickle=True\)"):
        sp.model.load(place / "model")
    assert sp.model.load(place / "model", trust_pickle=True).state == model.state


def test_the_advice_works_for_arguments_that_are_functions_or_tensors(place):
    import torch

    ref = split(cells(), "batch2")[0]
    labels = {"labels_key": "cell_type", "unlabeled_category": "Unknown"}
    for cls, argument, options in (
        (sp.model.SCVI, {"var_activation": torch.nn.functional.softplus}, {}),
        (sp.model.SCANVI, {"y_prior": torch.full((1, 3), 1 / 3)}, labels),
    ):
        cls.setup_anndata(ref, batch_key="batch", **options)
        cls(ref, n_hidden=8, n_latent=2, **argument).save(place / "model", overwrite=True)
        with pytest.raises(ValueError, match=r"model\.pt .*sp\.model\.load\(path, trust_pickle=True\)"):
            sp.model.load(place / "model")
        assert sp.model.load(place / "model", trust_pickle=True).module.n_latent == 2


def test_attributes_take_no_method_s_place(place, model):
    import torch

    model.save(place / "model")
    content = torch.load(place / "model" / "model.pt", weights_only=False)
    content["attr_dict"] |= {"embed": "x", "__class__": "x", "__dict__": {}, "a b_": 1}
    torch.save(content, place / "model" / "model.pt")
    again = sp.model.load(place / "model")
    assert callable(again.embed)
    assert not hasattr(again, "a b_")


def test_trust_pickle_is_what_it_says(place):
    """Only who says so lets the file run."""
    (place / "model").mkdir()
    (place / "model" / "model.pt").write_bytes(archive(whole(CALLED["os.system"])))
    with pytest.raises(Exception):  # noqa: B017, PT011 (scvi-tools fails in its own way)
        sp.model.load(place / "model", trust_pickle=True)
    assert (place / MARKER).exists()
    (place / MARKER).unlink()


# --- What a model needs is read ---


def test_history_survives(place, model):
    """Tables of a history come back as they were."""
    model.save(place / "model")
    again = sp.model.load(place / "model")
    assert set(again.history) == set(model.history)
    for name, table in model.history.items():
        assert list(again.history[name].columns) == list(table.columns)
        assert again.history[name].index.name == table.index.name
        np.testing.assert_array_equal(again.history[name].astype(float), table.astype(float))
    theirs = scvi.model.SCVI.load(str(place / "model"), adata=split(cells(), "batch2")[0])
    assert set(theirs.history) == set(model.history)


def test_unaligned_frames_and_rest(place):
    """Frames of any length, and what follows the end, change nothing."""
    pickled = b"\x80\x04\x95" + struct.pack("<Q", 3) + b"}(" + text("a") + b"K\x01u." + b"rest"
    assert read_pickle_of(place, pickled) == {"a": 1}
    assert opcodes_of("x").startswith(b"X")

"""Model files that would take far more time or memory than their size are refused."""

import io
import os
import re
import struct
import zipfile
import zlib

import pandas as pd
import pytest
import torch
from pickle_attacks import archive, integer, opcodes_of, tensor, text

import scarches_plus as sp
from scarches_plus._pickles import UnsafeFileError, read_torch_file

pytestmark = pytest.mark.border
MANY = 4 * 2**20


def read_all(path):
    """Return everything that a file of torch holds."""
    return {name: one.make() for name, one in read_torch_file(path).parts().items()}


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


def long_table(n_rows):
    """Opcodes of a table of one value, and far more numbers of rows."""
    code = opcodes_of(pd.DataFrame({"a": [1.0]}, index=pd.RangeIndex(77)[:1]))
    one = re.compile(re.escape(text("stop")) + rb"(q.|r....)K\x01", re.DOTALL)
    assert len(one.findall(code)) == 1
    return one.sub(text("stop") + integer(n_rows), code)


def repeated(n_pairs, n_times):
    """Opcodes of a list that holds one dictionary many times."""
    pairs = b"".join(text(str(i)) + b"N" for i in range(n_pairs))
    return b"](}r\0\0\0\0(" + pairs + b"u" + b"j\0\0\0\0" * n_times + b"e"


TENSOR = {"0": bytes(2**24)}
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
    "a billion laughs beside 16 MB": (
        file_of(doubled(40, lambda two: b"](" + two + b"e"), **TENSOR),
        "far larger than the file",
    ),
    "a dictionary 50,000 times beside 16 MB": (file_of(repeated(1000, 50_000), **TENSOR), "far larger than the file"),
    "20,000 keys of one hash": (file_of(b"}(" + KEYS + b"u"), "a key that is no plain value"),
    "a table of 67 million rows": (file_of(long_table(2**26)), "it holds a table that is stored in an unknown way"),
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

"""Files that are no HDF5 files: the message says what they are."""

import zlib

import numpy as np
import pytest

import scarches_plus as sp

pytestmark = pytest.mark.border


NO_HDF5 = {
    "empty": (b"", "it is empty"),
    "a web page": (b"<!DOCTYPE html><html>", "it is a web page"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "packed": (zlib.compress(b"x", wbits=31), "gunzip"),
    "a zip archive": (b"PK\x03\x04" + bytes(100), "zip archive"),
    "random bytes": (np.random.default_rng(0).bytes(2000), "of another format"),
    "truncated": (None, "damaged"),
}


@pytest.mark.parametrize("case", NO_HDF5)
def test_no_hdf5(border, folder, case):
    contents, says = NO_HDF5[case]
    (folder / "adata.h5ad").write_bytes((folder / "whole.h5ad").read_bytes()[:20_000] if contents is None else contents)
    border.in_child(
        lambda: sp.hub.import_reference(folder),
        ValueError,
        ("adata.h5ad", says),
        kind="C3",
        case=f"h5ad: {case}",
        shown="sp.hub.import_reference(folder)",
    )

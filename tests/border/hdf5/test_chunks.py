"""Chunks that HDF5 would read beyond, and filters that no library writes, are refused before they are read."""

import struct
import zlib

import h5py
import numpy as np
import pytest

import scarches_plus as sp
from scarches_plus.hub import BundleError

pytestmark = pytest.mark.border


def short_chunk(file):
    """Let 8 MB be packed as 8 bytes: HDF5 reads on in memory that is not the file's."""
    file.pop("obsm/pca")
    data = file.create_dataset("obsm/pca", (2**20,), "f8", chunks=(2**20,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(b"\1" * 8))


def long_chunk(file):
    """Let a chunk of 800 bytes unpack to 256 MB."""
    file.pop("obsm/pca")
    data = file.create_dataset("obsm/pca", (100,), "f8", chunks=(100,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(2**28), 9))


def packed_twice(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1000,))
    plist.set_deflate(9)
    plist.set_deflate(9)
    h5py.h5d.create(file["uns"].id, b"x", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((1000,)), plist)


def unknown_filter(file):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1000,))
    plist.set_filter(29_999, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file["uns"].id, b"x", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((1000,)), plist)


def large_chunk(file):
    """Let a chunk be of 128 MB, of which the file has 1 MB."""
    data = file.create_dataset("uns/x", (2**24,), "f8", chunks=(2**24,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(np.random.default_rng(0).bytes(2**20)))


def short_unpacked(file):
    data = file.create_dataset("uns/x", (1000,), "f8", chunks=(1000,), shuffle=True)
    data.id.write_direct_chunk((0,), bytes(8))


def short_left_out(file):
    """Let a chunk say that it is not packed, though others are."""
    data = file.create_dataset("uns/x", (1000,), "f8", chunks=(1000,), compression="gzip")
    data.id.write_direct_chunk((0,), bytes(8), filter_mask=1)


def left_out_index(file):
    """Let a chunk of indices say that it is not packed."""
    values = file["X/indices"][:]
    del file["X/indices"]
    values[3] = 10**6
    data = file.create_dataset("X/indices", values.shape, "i4", chunks=values.shape, compression="gzip")
    data.id.write_direct_chunk((0,), values.astype("<i4").tobytes(), filter_mask=1)


def greedy_lzf(file):
    """Let the filter take 2 GB for a chunk of 8 kB."""
    file.create_dataset("uns/x", data=np.zeros(1000), chunks=(1000,), compression="lzf")
    values = struct.pack("<3I", 4, 261, 8000)

    def damage(path):
        contents = path.read_bytes()
        assert contents.count(values) == 1
        path.write_bytes(contents.replace(values, struct.pack("<3I", 4, 261, 2**31 - 1)))

    return damage


def filtered(*codes):
    """Create a data set with filters in an order of one's own."""

    def change(file):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1000,))
        for code in codes:
            plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (9,) if code == h5py.h5z.FILTER_DEFLATE else ())
        h5py.h5d.create(file["uns"].id, b"x", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((1000,)), plist)

    return change


GZIP, CHECKSUM, LZF = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32, 32000
CASES = {
    "a chunk that unpacks to less": (short_chunk, "/obsm/pca: a chunk does not unpack"),
    "a chunk that unpacks to 256 MB": (long_chunk, "/obsm/pca: a chunk does not unpack"),
    "data packed twice": (packed_twice, "/uns/x: its filters [1, 1]"),
    "a filter that nobody has": (unknown_filter, "/uns/x: it is packed by filter 29999"),
    "a chunk of 128 MB": (large_chunk, "/uns/x: a chunk has 134217728 bytes, more than 67108864"),
    "a short chunk that is not packed": (short_unpacked, "/uns/x: a chunk has 8 bytes and not the 8000 it declares"),
    "a short chunk that is not packed as others are": (short_left_out, "/uns/x: a chunk has 8 bytes and not the 8000"),
    "an index in a chunk that is not packed as others are": (left_out_index, "/X: its sparse matrix has the index 1000000"),
    "a filter that takes 2 GB": (greedy_lzf, "/uns/x: its filter lzf takes more memory than any chunk"),
    "a checksum before what packs": (filtered(CHECKSUM, GZIP), "/uns/x: its filters [3, 1]"),
    "data packed in two ways": (filtered(GZIP, LZF), "/uns/x: its filters [1, 32000]"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_chunks_and_filters(border, changed, case):
    change, says = CASES[case]
    folder = changed(change)
    border.in_child(
        lambda: sp.hub.import_reference(folder), BundleError, ("adata.h5ad is refused: ", says),
        kind="A3", case=f"h5ad: {case}", shown="sp.hub.import_reference(folder)",
    )  # fmt: skip

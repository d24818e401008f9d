"""Folders of zarr: what is packed, declared, linked and listed in them costs little and runs nothing."""

import json
import os
import pickle
import warnings
import zlib

import anndata
import numcodecs
import numpy as np
import pytest
from cell_files import by_command, few_cells

pytestmark = pytest.mark.border


def write(cells, path, version, **options):
    """Write cells as zarr; anndata and zarr warn of each version that it is not the other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with anndata.settings.override(zarr_write_format=version):
            cells.write_zarr(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Return cells as zarr of version 2, without a list of all."""
    write(few_cells(), tmp_path / "cells.zarr", 2)
    (tmp_path / "cells.zarr" / ".zmetadata").unlink(missing_ok=True)
    return tmp_path / "cells.zarr"


def described(folder, place, chunk=None, **changes):
    """Change the description of an array, and its first chunk."""
    if not (folder / place / ".zarray").is_file():  # names of anndata 0.13 are values and a mask
        place = f"{place}/values"
    file = folder / place / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    if chunk is not None:
        (folder / place / "0").write_bytes(bytes(chunk))


class RunsACommand:
    def __reduce__(self):
        return os.mkdir, ("was_here",)


CODE = pickle.dumps(RunsACommand())
ZEROS = np.zeros(2**29, "u1")
TEXTS = [{"id": "vlen-utf8"}]
PICKLED = {"id": "pickle", "protocol": 4}


def _packed(codec):
    return lambda folder: described(folder, "X/data", codec.encode(ZEROS), compressor=codec.get_config())


def _listed(key, **changes):
    def change(folder):
        own = json.loads((folder / "obs/depth/.zarray").read_text())
        (folder / ".zmetadata").write_text(
            json.dumps({"zarr_consolidated_format": 1, "metadata": {key: own | changes}})
        )

    return change


def _pipe(place):
    def change(folder):
        (folder / place).unlink()
        os.mkfifo(folder / place)

    return change


HOSTILE = {
    "a pickle among the filters": ("A2", "packed by pickle",
                                   lambda one: described(one, "obs/_index", CODE, filters=[*TEXTS, PICKLED], compressor=None)),
    "a pickle as what packs": ("A2", "packed by pickle", lambda one: described(one, "obs/_index", CODE, compressor=PICKLED)),
    "a pickle of numbers": ("A2", "packed by pickle", lambda one: described(one, "X/data", CODE, compressor=PICKLED)),
    "a pickle in the list of all": ("A2", "packed by pickle", _listed("obs/depth/.zarray", compressor=PICKLED)),
    "half a GB of zeros in blosc": ("A3", "and not the", _packed(numcodecs.Blosc())),
    "half a GB of zeros in Zstandard": ("A3", "and not the", _packed(numcodecs.Zstd())),
    "half a GB of zeros in zlib": ("A3", "and not the", _packed(numcodecs.Zlib())),
    "half a GB of zeros in LZ4": ("A3", "and not the", _packed(numcodecs.LZ4())),
    "zeros packed twice": ("A3", "in an order", lambda one: described(
        one, "X/data", zlib.compress(zlib.compress(bytes(2**24))), filters=[{"id": "zlib", "level": 1}],
        compressor={"id": "zlib", "level": 1})),
    "an array that no chunk stands behind": ("A3", "more data than", lambda one: described(one, "obs/depth", shape=[6 * 10**8])),
    "a chunk of 2 GB": ("A3", "more data than", lambda one: described(one, "X/data", chunks=[6 * 10**8])),
    "a negative shape": ("A3", "is none", lambda one: described(one, "X/data", shape=[-(10**15)])),
    "two billion texts": ("A3", "fewer texts", lambda one: described(
        one, "obs/_index", b"\xff\xff\xff\x7f" + bytes(60), compressor=None)),
    "a damaged header of blosc": ("C3", "is damaged", lambda one: described(one, "X/data", b"\2\1\1\4" + bytes(20))),
    "a chunk that is cut off": ("C3", "is damaged", lambda one: described(one, "X/data", (one / "X/data/0").read_bytes()[:40])),
    "an array that only the list of all has": ("A3", "more data than", _listed("obs/depth/.zarray", shape=[6 * 10**8])),
    "a list that leads out": ("A5", "leads out", _listed("../../secret/.zarray")),
    "a pipe for a chunk": ("A3", "a pipe or a device", _pipe("X/data/0")),
    "a pipe for attributes": ("A3", "a pipe or a device", _pipe("X/.zattrs")),
    "a link in a circle": ("A5", "is a link", lambda one: (one / "uns" / "loop").symlink_to(one / "uns")),
    "indices beyond the matrix": ("A4", "indices", lambda one: described(
        one, "X/indices", np.full(json.loads((one / "X/indices/.zarray").read_text())["shape"], 10**6, "i4"), compressor=None)),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_folders(border, folder, monkeypatch, case):
    monkeypatch.chdir(folder.parent)
    kind, says, change = HOSTILE[case]
    change(folder)
    border.in_child(
        lambda: by_command(folder), ValueError, ["cells.zarr", says], kind=kind, case=f".zarr: {case}",
        shown="scarches-plus genes cells.zarr",
    )  # fmt: skip
    assert not (folder.parent / "was_here").exists()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("chunks", [None, (7, 3)])
def test_real_folders(border, tmp_path, version, chunks):
    cells = few_cells()
    cells.layers["dense"] = cells.X.toarray()
    cells.obs["text"] = ["ünï" * (i % 5) for i in range(cells.n_obs)]
    cells.obs["zero"] = 0
    cells.uns["table"] = np.array([("a", 1.0), ("b", 2.0)], dtype=[("name", "U3"), ("score", "f4")])
    write(cells, tmp_path / "cells.zarr", version, **({} if chunks is None else {"chunks": chunks}))
    border.works(
        lambda: by_command(tmp_path / "cells.zarr"), lambda found: (found.X != cells.X).nnz == 0, kind="D",
        case=f"a .zarr of version {version}, chunks {chunks}", shown="scarches-plus genes cells.zarr",
    )  # fmt: skip


def test_shards(border, tmp_path):
    import zarr

    cells = few_cells()
    root = zarr.open_group(tmp_path / "cells.zarr", mode="w", zarr_format=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anndata.io.write_elem(root, "/", cells)
    array = root["obs/depth"]
    values, attributes = array[:], dict(array.attrs)
    del root["obs/depth"]
    sharded = root["obs"].create_array("depth", data=values, chunks=(8,), shards=(40,), attributes=attributes)
    assert sharded.shards == (40,)
    border.works(
        lambda: by_command(tmp_path / "cells.zarr"), lambda found: (found.obs["depth"] == cells.obs["depth"]).all(),
        kind="D", case="a .zarr with shards", shown="scarches-plus genes cells.zarr",
    )  # fmt: skip
    (file,) = (
        one for one in (tmp_path / "cells.zarr/obs/depth").rglob("*") if one.is_file() and one.name != "zarr.json"
    )
    file.write_bytes(file.read_bytes()[:30])
    border.in_child(
        lambda: by_command(tmp_path / "cells.zarr"), ValueError, ["cells.zarr", "damaged"], kind="C3",
        case=".zarr: a shard that is cut off", shown="scarches-plus genes cells.zarr",
    )  # fmt: skip

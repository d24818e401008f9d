"""Tables of gene names: files of this machine, of the size that such tables have."""

import bz2
import gzip
import os

import pytest
from small_models import cells

import scarches_plus as sp

pytestmark = pytest.mark.border
BOMB = 64 * 2**20 + 1


@pytest.fixture
def adata():
    return cells(n_cells=30)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/table.csv",
        "http://127.0.0.1:1/table.tsv",
        "ftp://example.org/t.csv",
        "s3://bucket/t.csv",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize("verb", ["map_gene_ids", "map_orthologs"])
def test_addresses_are_not_fetched(border, adata, verb, address):
    border.refused(
        lambda: getattr(sp.pp, verb)(adata, address), ValueError, ["is an address", "download it"], kind="A1", case=f"{verb}: {address}",
        shown=f"sp.pp.{verb}(adata, {address!r})",
    )  # fmt: skip


@pytest.mark.parametrize(("name", "pack"), [("t.csv.gz", gzip.compress), ("t.tsv.bz2", bz2.compress), ("t.csv", bytes)])
def test_tables_without_end(border, adata, tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(b"\n" * BOMB))
    border.in_child(
        lambda: sp.pp.map_gene_ids(adata, path), OSError, [name, "more than"], kind="A3", case=f"{BOMB} bytes in {name}",
        shown="sp.pp.map_gene_ids(adata, path)",
    )  # fmt: skip


def _fifo(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("what", "make", "says"),
    [
        ("folder", lambda path: path.mkdir(), "no regular file"),
        ("pipe", _fifo, "no regular file"),
        ("nothing", lambda path: path.write_bytes(b""), "no table of gene names"),
        ("xlsx", lambda path: path.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 4), "no table of gene names"),
        ("cut gzip", lambda path: path.write_bytes(gzip.compress(b"a,b\n" * 999)[:-9]), "cut off"),
        ("UTF-16", lambda path: path.write_text("a,b\nc,d\n", encoding="utf-16"), "no table of gene names"),
        ("ragged", lambda path: path.write_text("a,b\ng,h\nc,d,e,f\n"), "no table of gene names"),
    ],
)
def test_files_that_are_none(border, adata, tmp_path, what, make, says):
    path = tmp_path / "table.csv"
    make(path)
    border.refused(
        lambda: sp.pp.map_gene_ids(adata, path), (OSError, ValueError), [str(path), says], kind="C3", case=f"gene table: {what}",
        shown="sp.pp.map_gene_ids(adata, 'table.csv')",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "table.tsv"])
def test_tables_are_read(border, adata, tmp_path, name):
    text = "old,new\n" if ".csv" in name else "old\tnew\n"
    text += "".join(f"{one}{',' if '.csv' in name else chr(9)}NEW{i}\n" for i, one in enumerate(adata.var_names))
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    border.works(
        lambda: sp.pp.map_gene_ids(adata, tmp_path / name), lambda found: found[0].var_names[0] == "NEW0", kind="D",
        case=f"gene table {name}", shown=f"sp.pp.map_gene_ids(adata, {name!r})",
    )  # fmt: skip

"""Read 10x Matrix Market folders: matrix.mtx with its barcodes and features.

Those of Cell Ranger 2 and later, STARsolo, kallisto and others.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse
from scipy.io import mmread

from scarches_plus import _limits
from scarches_plus._files import unpacked
from scarches_plus._logging import logger

from ._foreign import head_of, is_packed
from ._kinds import matrix_of
from ._memory import memory_bytes

if TYPE_CHECKING:
    from pathlib import Path


#: Bytes that an entry of the matrix takes in memory while it is read.
_PER_ENTRY = 32
#: The fewest bytes that an entry takes in the file ("1 1\n").
_FEWEST_PER_ENTRY = 4
#: Entries and names that a small file may have, whatever its size.
_FEW = 2**18
_BARCODES = ("barcodes", "cells", "obs")
_FEATURES = ("features", "genes", "var")
_COLUMNS = ("gene_ids", "name", "feature_types")


def read_matrix_market(path: Path) -> AnnData:
    """Read a folder, a prefix of file names, or the Matrix Market file itself.

    Raises
    ------
    ValueError
        If names are missing or do not fit the matrix, or it declares more entries than its file can hold.
    """
    matrix = matrix_of(path)
    if matrix is None:
        message = "it has no matrix.mtx"
        raise ValueError(message)
    files = [_names_file(matrix, stems) for stems in (_BARCODES, _FEATURES)]
    longest = _require_plausible(matrix, files)
    barcodes, features = (_names(file, longest) for file in files)
    with unpacked(matrix) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # scipy 1.18 announces another type
        counts = sparse.csr_matrix(mmread(file), dtype=np.float32)
    if counts.shape == (len(features), len(barcodes)):
        counts = counts.T.tocsr()
    elif counts.shape != (len(barcodes), len(features)):
        message = (
            f"{matrix.name} is {counts.shape[0]} x {counts.shape[1]}, but there are {len(features)} names of genes and "
            f"{len(barcodes)} of cells: take files that belong together"
        )
        raise ValueError(message)
    else:
        logger.info("%s: the matrix has cells in rows", matrix)
    var = features.iloc[:, :3].set_axis(list(_COLUMNS[: min(3, features.shape[1])]), axis=1)
    names = var.pop("name") if "name" in var else var["gene_ids"]
    return AnnData(counts, obs=_indexed(barcodes.iloc[:, 0]), var=var.set_axis(names.astype(str).to_numpy(), axis=0))


def _names_file(matrix: Path, stems: tuple[str, ...]) -> Path:
    """Return the table of names beside a matrix."""
    plain = matrix.name.removesuffix(".gz").removesuffix(".bz2").removesuffix(".mtx")
    prefix = plain.removesuffix("matrix")
    names = [
        f"{prefix}{stem}{ending}{packed}" for stem in stems for ending in (".tsv", ".txt") for packed in ("", ".gz")
    ]
    names += [
        f"{plain}.{stem}{ending}{packed}" for stem in stems for ending in (".tsv", ".txt") for packed in ("", ".gz")
    ]
    found = next((matrix.parent / name for name in names if (matrix.parent / name).is_file()), None)
    if found is None:
        message = f"beside {matrix.name} there is no {prefix}{stems[0]}.tsv (.gz or not) with names: put it there"
        raise ValueError(message)
    return found


def _names(path: Path, longest: int) -> pd.DataFrame:
    """Return a table of names, cut two rows beyond the longer side of the matrix.

    The two rows more tell that there are more names than the matrix has rows or columns.
    """
    head = head_of(path)
    if not head.strip():
        message = f"{path} is empty"
        raise ValueError(message)
    if head.split(b"\n", 1)[0].count(b"\t") >= _limits.NAME_COLUMNS:
        message = f"{path} has more than {_limits.NAME_COLUMNS} columns: it is not a list of names"
        raise ValueError(message)
    with unpacked(path) as file:
        table = pd.read_csv(file, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3, nrows=longest + 2)
    return table.iloc[1:] if _is_header(str(table.iloc[0, 0])) else table


def _is_header(text: str) -> bool:
    return text.strip().lower() in {
        "barcode",
        "barcodes",
        "cell",
        "cell_id",
        "gene",
        "gene_id",
        "gene_ids",
        "feature",
        "x",
    }


def _require_plausible(matrix: Path, names: list[Path]) -> int:
    """Refuse sizes that the files cannot hold, and return the longer side of the matrix.

    The check comes before memory is taken for the matrix.
    """
    with unpacked(matrix) as file:
        banner = line = file.readline(65_536)
        for _ in range(_limits.HEAD_LINES):
            if not line or (line.strip() and not line.startswith(b"%")):
                break
            line = file.readline(65_536)
    if b"complex" in banner.lower():
        message = f"{matrix.name} holds complex numbers, which are not counts"
        raise ValueError(message)
    numbers = line.split()
    if len(numbers) < 2 or not all(one.isdigit() for one in numbers):
        message = f"{matrix.name} has no line of sizes after its comments, but {line[:60]!r}"
        raise ValueError(message)
    sizes = [int(one) for one in numbers]
    entries = sizes[2] if len(sizes) > 2 else sizes[0] * sizes[1]
    if is_packed(matrix):
        most = matrix.stat().st_size * _limits.ENTRIES_PER_PACKED_BYTE + _FEW
    else:
        most = matrix.stat().st_size // (_FEWEST_PER_ENTRY if len(sizes) > 2 else 2)
    # a name takes a byte at least, packed or not
    if entries > most or sum(sizes[:2]) > sum(one.stat().st_size for one in names) + _FEW:
        message = (
            f"{matrix.name} declares {' x '.join(map(str, sizes[:2]))} with {entries} entries, more than it can hold"
        )
        raise ValueError(message)
    if entries * _PER_ENTRY > memory_bytes():
        message = (
            f"{matrix.name} has {entries} entries, more than the {memory_bytes() / 2**30:.0f} GiB of memory here take"
        )
        raise ValueError(message)
    return max(sizes[:2])


def _indexed(names: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(index=pd.Index(names.astype(str).to_numpy(), dtype=object))

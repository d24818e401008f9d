"""Read .h5ad, .h5mu, 10x .h5 and .loom files after checking them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scarches_plus._hdf5 import check_hdf5

from ._memory import memory_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from mudata import MuData

#: Bytes of a dense matrix that are read at a time.
_BLOCK = 2**26
_LOOM_CELLS = ("CellID", "obs_names", "cell_names", "barcode", "barcodes", "cell_id")
_LOOM_GENES = ("Gene", "var_names", "gene_names", "gene_name", "gene_symbol", "Accession", "ensembl_ids", "gene_id")


def read_h5ad(path: Path) -> AnnData:
    """Read an .h5ad file."""
    check_hdf5(path, max_bytes=memory_bytes())
    return anndata.read_h5ad(path)


def read_h5mu(path: Path) -> MuData:
    """Read an .h5mu file."""
    check_hdf5(path, max_bytes=memory_bytes())
    return mudata.read_h5mu(path)


def read_10x_h5(path: Path) -> AnnData:
    """Read an .h5 file of Cell Ranger, all kinds of features."""
    import scanpy as sc

    check_hdf5(path, max_bytes=memory_bytes())
    return sc.read_10x_h5(path, gex_only=False)


def read_loom(path: Path) -> AnnData:
    """Read a .loom file: its matrix is X, its other layers are layers.

    loompy, which anndata's reader needs, has no release for NumPy 2; the format is plain HDF5.
    """
    check_hdf5(path, max_bytes=memory_bytes())
    with h5py.File(path, "r") as file:
        matrices = {"matrix": file["matrix"], **dict(file.get("layers", {}))}
        if any(_is_no_matrix(one) or one.shape != file["matrix"].shape for one in matrices.values()):
            message = "matrix and layers are not matrices of numbers of one shape"
            raise ValueError(message)
        names, columns = {}, {}
        for axis, length, known in zip(
            ("row_attrs", "col_attrs"), file["matrix"].shape, (_LOOM_GENES, _LOOM_CELLS), strict=True
        ):
            values = {key: _text(one[()]) for key, one in file[axis].items() if _is_column(one, length)}
            key = next((name for name in known if name in values), None)
            if key is None:
                message = f"{axis} has no {length} names ({' or '.join(known[:2])}); it has {sorted(file[axis])}"
                raise ValueError(message)
            names[axis] = pd.Index(values.pop(key).astype(str))
            columns[axis] = values
        read = {name: _cells_by_genes(one) for name, one in matrices.items()}
    return AnnData(
        read.pop("matrix"),
        obs=pd.DataFrame(columns["col_attrs"], index=names["col_attrs"]),
        var=pd.DataFrame(columns["row_attrs"], index=names["row_attrs"]),
        layers=read,
    )


def _is_no_matrix(part: Any) -> bool:
    return getattr(part, "ndim", 0) != 2 or part.dtype.kind not in "iufb"


def _is_column(part: Any, length: int) -> bool:
    return getattr(part, "shape", None) == (length,) and part.dtype.names is None


def _cells_by_genes(dataset: Any) -> Any:
    """Return a genes x cells data set as a sparse cells x genes matrix, read block by block."""
    n_genes, n_cells = dataset.shape
    step = max(1, _BLOCK // max(1, n_genes * 8))
    blocks = [
        sparse.csr_matrix(dataset[:, start : start + step].T, dtype=np.float32) for start in range(0, n_cells, step)
    ]
    return sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix((n_cells, n_genes), dtype=np.float32)


def _text(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "SO":
        return values
    decoded = [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in values.tolist()]
    return np.array(decoded, dtype=object)

"""Write cells in the formats that users have, without the readers' help, and compare what was read."""

import gzip
import random
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy import io, sparse

from scarches_plus.datasets import simulate

MARKERS = '{"a": ["gene0"], "b": ["gene1"]}'


def few_cells(n_cells=40, n_genes=20):
    """Cells of which some have much of gene0, others of gene1."""
    adata = simulate(n_cells, n_genes, 2, n_batches=2, mean_depth=200.0, rng=0)
    counts = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    counts[:10, 0] += np.arange(50, 60)
    counts[10:20, 1] += np.arange(50, 60)
    adata.X = sparse.csr_matrix(counts.astype(np.float32))
    return adata


def dense(adata):
    return adata.X.toarray().astype(int)


def write_10x_h5(adata, path, *, antibodies=0, version=3):
    names = [*adata.var_names, *(f"ab{i}" for i in range(antibodies))]
    counts = np.hstack([dense(adata), np.ones((adata.n_obs, antibodies), dtype=int)])
    matrix = sparse.csc_matrix(counts.T.astype(np.int32))
    kinds = ["Gene Expression"] * adata.n_vars + ["Antibody Capture"] * antibodies
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if version == 3 else "GRCh38")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array(matrix.shape, dtype=np.int32)
        group["barcodes"] = np.array(adata.obs_names, dtype="S32")
        ids = np.array([f"ENSG{i:011d}" for i in range(len(names))], dtype="S32")
        if version == 3:
            features = group.create_group("features")
            features["id"], features["name"] = ids, np.array(names, dtype="S32")
            features["feature_type"] = np.array(kinds, dtype="S32")
            features["genome"] = np.array(["GRCh38"] * len(names), dtype="S32")
        else:
            group["genes"], group["gene_names"] = ids, np.array(names, dtype="S32")
    return path


def write_10x_folder(adata, folder, *, version=3, prefix="", packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    ending = ".gz" if packed else ""
    matrix = BytesIO()
    io.mmwrite(matrix, sparse.coo_matrix(dense(adata).T), field="integer")
    features = pd.DataFrame({"id": [f"ENSG{i:011d}" for i in range(adata.n_vars)], "name": adata.var_names})
    if version == 3:
        features["kind"] = "Gene Expression"
    stem = "features" if version == 3 else "genes"
    parts = {"matrix.mtx": matrix.getvalue()}
    for name, table in ((stem, features), ("barcodes", pd.DataFrame(adata.obs_names))):
        parts[f"{name}.tsv"] = table.to_csv(sep="\t", header=False, index=False).encode()
    for name, contents in parts.items():
        (folder / f"{prefix}{name}{ending}").write_bytes(gzip.compress(contents) if packed else contents)
    return folder


def write_loom(adata, path):
    with h5py.File(path, "w") as file:
        file["matrix"] = dense(adata).T
        file["col_attrs/CellID"] = np.array(adata.obs_names, dtype="S32")
        file["col_attrs/batch"] = np.array(adata.obs["batch"], dtype="S32")
        file["row_attrs/Gene"] = np.array(adata.var_names, dtype="S32")
        file.create_group("layers")
        file["layers/spliced"] = dense(adata).T
    return path


def table_of(adata, *, transposed=False):
    table = pd.DataFrame(dense(adata), index=adata.obs_names, columns=adata.var_names)
    return table.T if transposed else table


def same(found, cells):
    np.testing.assert_array_equal(found.X.toarray(), cells.X.toarray())
    assert list(found.var_names) == list(cells.var_names)
    assert list(found.obs_names) == list(cells.obs_names)
    assert (found.obs["seed_label"] != "Unknown").sum() >= 4
    return True


def table(n_columns, rows):
    """Return a table of counts, whose rows are given as text."""
    return b"," + b",".join(b"x%d" % i for i in range(n_columns)) + b"\n" + b"\n".join(b"y," + row for row in rows)


def nearly_zero(n_columns, n):
    """Return the text of a row in which some counts are 1."""
    row = [b"0"] * n_columns
    for i in random.Random(0).sample(range(n_columns), n):
        row[i] = b"1"
    return b",".join(row)


def by_command(path, *options, gene="gene0", out=None):
    """Return cells as commands read and write them; errors are those of the reader."""
    from scarches_plus.cli import app

    with TemporaryDirectory() as folder:
        table, out = Path(folder) / "table.csv", out or Path(folder) / "out.h5ad"
        table.write_text(f"old,new\n{gene},{gene}\n")
        words = ["genes", path, "--table", table, "--keep-unmapped", "--out", out, *options]
        with redirect_stdout(StringIO()):
            app([str(one) for one in words], result_action="return_value", exit_on_error=False, print_error=False)
        return anndata.read_h5ad(out)

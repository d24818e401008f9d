"""Columns and matrices as they are stored, in forms that come from elsewhere."""

import anndata
import numpy as np
import pandas as pd
import pytest
from border_cells import LikeDask, mapped, query, ref
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import scarches_plus as sp
from scarches_plus._cells._counts import row_blocks
from scarches_plus._cells._matrices import in_memory
from scarches_plus._cells._names import names_of

pytestmark = pytest.mark.border

COLUMNS = {
    "integers with a gap": ([0.0, 1.0, np.nan], ["0", "1", None]),
    "nullable integers": (pd.array([0, 1, pd.NA], dtype="Int64"), ["0", "1", None]),
    "nullable floats": (pd.array([0.0, 1.5, pd.NA], dtype="Float64"), ["0", "1.5", None]),
    "integers of numpy": (np.array([0, 1, 2], dtype=np.int8), ["0", "1", "2"]),
    "a category of floats": (pd.Categorical([0.0, 1.0, np.nan]), ["0", "1", None]),
    "bytes": ([b"T cell", b"B", None], ["T cell", "B", None]),
    "Booleans with a gap": ([True, False, None], ["True", "False", None]),
    "nullable Booleans": (pd.array([True, pd.NA, False], dtype="boolean"), ["True", None, "False"]),
    "mixed": ([1, "1.5", 2.0], ["1", "1.5", "2"]),
    "times": ([pd.Timestamp("2020-01-01"), pd.NaT, None], ["2020-01-01 00:00:00", None, None]),
    "large": ([1e20, 2.0**40, -0.0], ["100000000000000000000", "1099511627776", "0"]),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_read_as_names(border, case):
    given, right = COLUMNS[case]
    border.works(
        lambda: names_of(given).tolist(), lambda found: found == right, kind="B2", case=f"a column of {case}",
        shown="names_of(column)",
    )  # fmt: skip


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1))
def test_a_gap_changes_no_name(values):
    with_gap = pd.Series([*values, None], dtype=float)
    assert names_of(with_gap).tolist() == [*names_of(values), None]


def test_written_and_read_again(border, tmp_path):
    reference, adata = ref(), mapped()
    for cells, gap in ((reference, False), (adata, True)):
        cells.obs["number"] = (
            cells.obs["cell_type"].astype("category").cat.codes.to_numpy().astype(float if gap else int)
        )
    adata.obs.iloc[0, adata.obs.columns.get_loc("number")] = np.nan
    joint = sp.tl.joint_embedding(reference, adata)
    joint.write_h5ad(tmp_path / "joint.h5ad")
    border.works(
        lambda: names_of(anndata.read_h5ad(tmp_path / "joint.h5ad").obs["number"]).tolist(),
        lambda found: found == names_of(joint.obs["number"]).tolist(), kind="B2",
        case="integers with gaps in a file", shown="read_h5ad(joint).obs['number']",
    )  # fmt: skip


def test_matrices_that_are_computed(border):
    x = query().X
    border.works(
        lambda: sparse.vstack(list(row_blocks(LikeDask(x), 50))), lambda found: (found != x).nnz == 0, kind="B8",
        case="an array that is computed when asked for", shown="row_blocks(dask array)",
    )  # fmt: skip


def test_arrays_that_are_computed_later(border):
    border.works(
        lambda: in_memory(LikeDask(query().X)), lambda x: (x != query().X).nnz == 0, kind="C3/19", case="a dask array",
        shown="in_memory(dask array)",
    )  # fmt: skip


@pytest.mark.parametrize("form", ["coo", "bsr"])
def test_damage_of_formats_that_anndata_does_not_take(border, form):
    """Such a matrix reaches us through a subclass only."""
    x = query().X.asformat(form)
    (x.col if form == "coo" else x.indices)[2] = 10**7
    border.in_child(
        lambda: in_memory(x), ValueError, "damaged sparse matrix", kind="A4", case=f"a damaged {form} matrix",
        shown=f"in_memory({form})",
    )  # fmt: skip

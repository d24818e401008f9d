"""Cells from files, recognised by content."""

import json

import numpy as np
import pytest
from cell_files import few_cells, table_of, write_10x_folder, write_10x_h5, write_loom

from scarches_plus._cell_files import add_columns, kind_of, read_cells


@pytest.fixture(scope="module")
def cells():
    return few_cells()


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("10x h5", lambda cells, folder: write_10x_h5(cells, folder / "cells.h5ad")),
        ("10x mtx", lambda cells, folder: write_10x_folder(cells, folder / "mtx")),
        ("loom", lambda cells, folder: write_loom(cells, folder / "cells.loom")),
    ],
)
def test_formats(cells, tmp_path, kind, write):
    file = write(cells, tmp_path)
    assert kind_of(file) == kind
    found = read_cells(file)
    np.testing.assert_array_equal(found.X.toarray(), cells.X.toarray())
    assert list(found.var_names) == list(cells.var_names)


@pytest.mark.parametrize("transposed", [False, True])
def test_names_tell_how_a_table_is_turned(cells, tmp_path, transposed):
    table_of(cells, transposed=transposed).to_csv(tmp_path / "counts.csv")
    found = read_cells(tmp_path / "counts.csv")
    np.testing.assert_array_equal(found.X.toarray(), cells.X.toarray())
    turned = read_cells(tmp_path / "counts.csv", transpose=True)
    np.testing.assert_array_equal(turned.X.toarray(), cells.X.toarray().T)


def test_a_table_never_loses_its_first_line(cells, tmp_path):
    for header in ([False, "index"], [True, "columns"]):
        table_of(cells, transposed=header[0]).to_csv(tmp_path / "counts.csv", header=False)
        with pytest.raises(ValueError, match=r"counts\.csv.*first line holds numbers"):
            read_cells(tmp_path / "counts.csv")


def test_values_that_are_no_numbers_are_named(cells, tmp_path):
    table = table_of(cells).astype(object)
    table.iloc[3, 4] = "many"
    table.to_csv(tmp_path / "counts.csv")
    with pytest.raises(ValueError, match=rf"row '{cells.obs_names[3]}', column '{cells.var_names[4]}' holds 'many'"):
        read_cells(tmp_path / "counts.csv")


def test_columns_of_cells(cells, tmp_path):
    bare = cells.copy()
    del bare.obs["batch"]
    cells.obs[["batch"]].sample(frac=1, random_state=0).to_csv(tmp_path / "columns.csv")
    add_columns(bare, tmp_path / "columns.csv")
    assert list(bare.obs["batch"]) == list(cells.obs["batch"])


def test_a_modality_can_be_named(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match=r"cells\.h5ad has no modalities"):
        read_cells(tmp_path / "cells.h5ad", modality="rna")
    with pytest.raises(ValueError, match="only tables of counts can be turned"):
        read_cells(tmp_path / "cells.h5ad", transpose=True)


@pytest.mark.parametrize("place", ["filters", "compressor"])
def test_no_codec_of_a_zarr_folder_makes_objects(tmp_path, place):
    array = tmp_path / "cells.zarr" / "obs" / "depth"
    array.mkdir(parents=True)
    (tmp_path / "cells.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    codec = {"id": "pickle", "protocol": 4}
    described = {"shape": [1], "chunks": [1], "dtype": "|O", place: [codec] if place == "filters" else codec}
    (array / ".zarray").write_text(json.dumps(described))
    with pytest.raises(ValueError, match="packed by pickle"):
        read_cells(tmp_path / "cells.zarr")

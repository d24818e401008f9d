"""``scarches-plus labels``, on files."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scarches_plus.cli import app


@pytest.fixture
def cells(tmp_path):
    obs = {
        "study": ["a", "a", "a", "b", "b", "b", "b", "b"],
        "cell_type": ["CD4 T", "macrophge", "=B", "T CD4+", "T CD4+", "macrophage", "macrophage", "Unknown"],
    }
    names = [f"cell{i}" for i in range(8)]
    anndata.AnnData(np.ones((8, 2), np.float32), pd.DataFrame(obs, names)).write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def run(*words):
    app([str(word) for word in words], result_action="return_value", exit_on_error=False, print_error=False)


def test_a_table_to_edit_and_the_labels_it_gives(cells, tmp_path, capsys):
    columns = ["--labels-key", "cell_type", "--study-key", "study"]
    run("labels", cells, *columns, "--out", tmp_path / "labels.csv")
    assert "'macrophge' may be 'macrophage' (fuzzy, 0.90)" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "labels.csv")
    assert table.set_index("label")["status"].to_dict() == {
        "T CD4+": "apply", "CD4 T": "apply", "macrophge": "check", "macrophage": "keep", "'=B": "keep", "Unknown": "keep",
    }  # fmt: skip
    table.loc[table["label"] == "macrophge", "status"] = "apply"
    table.to_csv(tmp_path / "edited.csv", index=False)
    run("labels", cells, *columns, "--table", tmp_path / "edited.csv", "--out", tmp_path / "named.h5ad")
    named = anndata.read_h5ad(tmp_path / "named.h5ad").obs["cell_type_harmonized"]
    assert named.tolist() == ["T CD4+", "macrophage", "=B", "T CD4+", "T CD4+", *["macrophage"] * 2, "Unknown"]


def test_names_of_a_file(cells, tmp_path):
    columns = ["--labels-key", "cell_type", "--study-key", "study"]
    (tmp_path / "tree.json").write_text('{"T": ["CD4+ T cell"], "Macrophages": []}')
    (tmp_path / "cl.obo").write_text("format-version: 1.2\n\n[Term]\nid: CL:1\nname: CD4-positive T cell\n")
    for tree, name in (("tree.json", "CD4+ T cell"), ("cl.obo", "CD4-positive T cell")):
        run("labels", cells, *columns, "--tree", tmp_path / tree, "--out", tmp_path / "labels.csv")
        assert set(pd.read_csv(tmp_path / "labels.csv").set_index("label").loc[["CD4 T", "T CD4+"], "proposal"]) == {
            name
        }


def test_what_makes_no_sense(cells, tmp_path):
    columns = ["--labels-key", "cell_type", "--study-key", "study"]
    with pytest.raises(ValueError, match="leave out --tree"):
        run("labels", cells, *columns, "--table", cells, "--tree", cells, "--out", tmp_path / "out.h5ad")
    with pytest.raises(ValueError, match=r"\.csv"):
        run("labels", cells, *columns, "--out", tmp_path / "out.h5ad")
    with pytest.raises(FileNotFoundError, match="writes such a table"):
        run("labels", cells, *columns, "--table", tmp_path / "no.csv", "--out", tmp_path / "out.h5ad")
    (tmp_path / "bad.csv").write_text("study,label\na,b\n")
    with pytest.raises(ValueError, match=r"bad\.csv: table lacks"):
        run("labels", cells, *columns, "--table", tmp_path / "bad.csv", "--out", tmp_path / "out.h5ad")
    with pytest.raises(KeyError, match="nothing"):
        run("labels", cells, "--labels-key", "nothing", "--study-key", "study", "--out", tmp_path / "labels.csv")

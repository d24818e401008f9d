"""``scarches-plus genes``, on files."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scarches_plus.cli import app

MOUSE = ["Gapdh", "Trp53", "Ins1", "Ins2", "mine"]


@pytest.fixture
def folder(tmp_path):
    def write(name, genes):
        anndata.AnnData(np.ones((3, len(genes)), np.float32), var=pd.DataFrame(index=genes)).write_h5ad(tmp_path / name)

    write("mouse.h5ad", MOUSE)
    write("human.h5ad", ["ENSG00000111640.1", "ENSG00000141510.2"])
    (tmp_path / "table.csv").write_text("old,new\nGapdh,one\nTrp53,two\n")
    return tmp_path


def run(folder, *words):
    words = [
        "genes",
        *(str(folder / word) if "." in word else word for word in words),
        "--out",
        str(folder / "out.h5ad"),
    ]
    app(words, result_action="return_value", exit_on_error=False, print_error=False)
    return anndata.read_h5ad(folder / "out.h5ad").var_names.tolist()


def test_ids(folder, capsys):
    assert run(folder, "human.h5ad") == ["GAPDH", "TP53"]
    assert run(folder, "human.h5ad", "--to", "ensembl") == ["ENSG00000111640", "ENSG00000141510"]
    names, out = run(folder, "mouse.h5ad", "--keep-unmapped"), capsys.readouterr().out
    assert names == ["ENSMUSG00000057666", "ENSMUSG00000059552", "ENSMUSG00000035804", "ENSMUSG00000000215", "mine"]
    assert "4 of 5 genes mapped" in out


def test_orthologs(folder, capsys):
    assert run(folder, "mouse.h5ad", "--orthologs") == ["GAPDH", "TP53", "INS"]
    names, out = run(folder, "mouse.h5ad", "--orthologs", "--paralogs", "--species", "mouse"), capsys.readouterr().out
    assert names == ["GAPDH", "TP53", "INS"]
    assert "INS = Ins1 + Ins2" in out


def test_table(folder):
    assert run(folder, "mouse.h5ad", "--table", "table.csv") == ["one", "two"]
    assert run(folder, "mouse.h5ad", "--orthologs", "--table", "table.csv") == ["one", "two"]


def test_the_names_of_a_reference(folder):
    human = anndata.read_h5ad(folder / "human.h5ad")
    human.var_names = ["TP53", "GAPDH"]
    human.write_h5ad(folder / "other.h5ad")
    assert run(folder, "other.h5ad", "--model", "human.h5ad") == ["ENSG00000141510.2", "ENSG00000111640.1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "m", "--to", "symbol"], "leave out --to"),
        (["--model", "m", "--orthologs", "--paralogs"], "leave out --orthologs, --paralogs"),
        (["--paralogs"], "--paralogs goes with --orthologs"),
        (["--table", "t.csv", "--species", "mouse"], "leave out --to and --species"),
        (["--orthologs", "--species", "human"], "are of mouse, not of human"),
    ],
)
def test_what_does_not_go_together(folder, words, message):
    with pytest.raises(ValueError, match=message):
        run(folder, "mouse.h5ad", *words)
    assert not (folder / "out.h5ad").exists()

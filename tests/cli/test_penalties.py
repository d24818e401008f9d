"""Penalties as words of the command line."""

import pytest
from small_models import SCVI, cells, reference, split, train

import scarches_plus as sp
from scarches_plus.cli import app
from scarches_plus.train import EWC, MMD, BatchAdversary, LatentReplay


def run(*words):
    return app(list(map(str, words)), result_action="return_value", exit_on_error=False, print_error=False)


@pytest.mark.filterwarnings("ignore")
def test_words(tmp_path):
    ref, query = split(cells(160, n_batches=4), "batch2", "batch3")
    inherited = (MMD(weight=3.0),)
    model = train(reference(SCVI, ref), 1, penalties=inherited)
    sp.train.estimate_importance(model)
    sp.train.store_anchors(model, n_cells=20)
    model.save(tmp_path / "model")
    query.write_h5ad(tmp_path / "query.h5ad")
    words = [
        "mmd",
        "mmd:on=decoder,weight=10,max_groups=5",
        "batch_adversary:lr=0.001",
        "ewc:weight=1e3",
        "latent_replay:n_cells=9",
    ]
    penalties = (
        MMD(),
        MMD(on="decoder", weight=10, max_groups=5),
        BatchAdversary(lr=0.001),
        EWC(weight=1e3),
        LatentReplay(n_cells=9),
    )
    for given, expected in ((words, penalties), ((), inherited), (["none"], ())):
        options = [part for word in given for part in ("--penalty", word)]
        places = ("--out", tmp_path / "mapped.h5ad", "--save-model", tmp_path / "mapped", "--overwrite")
        how = ("--model", tmp_path / "model", "--strategy", "all", "--max-epochs", 1)
        run("map", tmp_path / "query.h5ad", *how, *places, *options)
        assert sp.load(tmp_path / "mapped").state.penalties == tuple(one.options() for one in expected)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("mdm", "there is no penalty 'mdm'; choose from"),
        ("mmd:place=z", "'place=z' is not an option of penalty mmd; write option=value, with one of"),
        ("mmd:weight", "'weight' is not an option of penalty mmd; write option=value"),
        ("mmd:on=a b", "penalty 'mmd:on=a b': on must be one of"),
        ("ewc:weight=-1", "penalty 'ewc:weight=-1': weight must be at least 0"),
        ("none|mmd", "none means no penalty at all and stands alone"),
        ("ewc:weight=" + "(" * 201, r"\(\.\.\. is not a value of an option: it has 201 letters"),
        ("ewc:weight=" + "(" * 200, "weight must be a number"),
    ],
)
def test_what_is_wrong_is_named(word, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        run(
            "build",
            tmp_path / "cells.h5ad",
            "--batch-key",
            "batch",
            "--out",
            tmp_path / "model",
            "--penalty",
            *word.split("|"),
        )


@pytest.mark.filterwarnings("ignore")
def test_none_builds_without_the_recipes_penalty(tmp_path):
    cells(120).write_h5ad(tmp_path / "cells.h5ad")
    how = ("--batch-key", "batch", "--recipe", "trvae", "--max-epochs", 1)
    for words, names in (((), ["mmd"]), (("--penalty", "none"), [])):
        run("build", tmp_path / "cells.h5ad", *how, "--out", tmp_path / "model", "--overwrite", *words)
        state = sp.load(tmp_path / "model").state
        assert [one["name"] for one in state.penalties] == names
        assert (state.anchors is not None) == bool(names)

"""What verbs say they did is what they did, and is said where somebody reads it, once."""

import json
import logging

import anndata
import numpy as np
import pandas as pd
import pytest
from small_models import cells, split
from small_models import weight_change as independent_change

import scarches_plus as sp

LOGGER = logging.getLogger("scarches_plus")
WELL_KNOWN = "type0"


@pytest.fixture(scope="module")
def visit(built):
    """A query that was mapped and labelled, and whose novel cells were looked for and named; and its model."""
    reference, model = built
    query = split(cells(n_cells=360, n_batches=4), "batch2", "batch3")[1]
    mapped = sp.tl.map_query(query, model, max_epochs=2)
    sp.tl.transfer_labels(query, reference, "cell_type", unknown_above=0.3)
    return query, mapped


def numbers_of(adata, what):
    (found,) = [one.numbers for one in sp.tl.summary(adata).outcomes if one.what == what]
    return found


def test_a_mapping(built, visit):
    query, mapped = visit
    reference, model = built
    said = numbers_of(query, "mapped")
    assert said["cells"] == query.n_obs
    assert said["trained_parameters"] == 4 * 16 * 2  # columns of two batches in two layers of encoder and decoder
    everything = sum(one.numel() for one in mapped.module.parameters())
    assert said["trained_parameters"] < said["total_parameters"] <= everything
    assert said["drift"]["weights"] == independent_change(model, mapped) == 0
    before = reference.obsm["X_scarches"]
    assert said["drift"]["rmsd"] == np.sqrt(np.mean((mapped.embed(reference) - before) ** 2)) == 0
    first = repr(sp.tl.summary(query)).splitlines()[0]
    assert first.startswith(f"mapped {query.n_obs} cells in ")
    assert f"; trained {said['trained_parameters']:,} of {said['total_parameters']:,} parameters" in first
    assert first.endswith(f"reference moved 0.0 (measured on {reference.n_obs} cells)")


def test_a_reference_that_moves_and_one_without_cells(built, tmp_path):
    reference, model = built
    query = split(cells(n_cells=360, n_batches=4), "batch2")[1]
    mapped = sp.tl.map_query(query, model, strategy="all", max_epochs=1, train_reference_columns=True)
    now = mapped.embed(reference) - mapped.embed(reference).mean(0)
    before = reference.obsm["X_scarches"]
    moved = np.sqrt(((mapped.embed(reference) - before) ** 2).sum(1).mean())
    spread = np.sqrt(((before - before.mean(0)) ** 2).sum(1).mean())
    assert now.shape == before.shape
    assert f"reference moved {moved / spread:.3g} of its spread" in repr(sp.tl.summary(query))
    model.save(tmp_path / "model")
    sp.tl.map_query(query, tmp_path / "model", max_epochs=1)
    assert repr(sp.tl.summary(query)).endswith("reference moved 0.0 (same weights)")
    mapped = sp.tl.map_query(query, tmp_path / "model", strategy="all", max_epochs=1)
    change = independent_change(model, mapped)
    assert change > 0
    assert f"changed by up to {change:.2g}; how far its cells moved was not measured" in repr(sp.tl.summary(query))


def test_a_reference(built):
    reference, _ = built
    said = numbers_of(reference, "built")
    assert {name: said[name] for name in ("cells", "genes", "batches", "epochs", "recipe")} == {
        "cells": reference.n_obs, "genes": reference.n_vars, "batches": 2, "epochs": 5, "recipe": "scvi",
    }  # fmt: skip
    assert said["seconds"] > 0


def test_labels_are_counted_where_they_are(visit):
    query, _ = visit
    truth = query.obs["cell_type_pred"].value_counts()
    said = numbers_of(query, "labelled")
    assert said["labels"] == {name: n for name, n in truth.items() if name != "Unknown" and n}
    assert said["unknown"] == truth["Unknown"] / query.n_obs > 0
    known = query[query.obs["cell_type_pred"] != "Unknown"].copy()
    types = len(said["labels"])
    assert f"labelled {known.n_obs} cells (cell_type_pred): {types} types, 0 % unknown" in repr(sp.tl.summary(known))


def test_another_name_for_unknown_cells(built, visit):
    query = visit[0].copy()
    sp.tl.transfer_labels(query, built[0], "cell_type", unknown_above=0.3, unknown_category="no idea")
    assert numbers_of(query, "labelled")["unknown"] == (query.obs["cell_type_pred"] == "no idea").mean() > 0


def test_novel_cells(tmp_path, caplog):
    adata = sp.datasets.simulate(400, n_types=4)
    known = adata.obs["cell_type"] != WELL_KNOWN
    of_query = adata.obs["batch"] == "batch1"
    reference, query = adata[known & ~of_query].copy(), adata[of_query].copy()
    caplog.set_level(logging.INFO)
    sp.tl.detect_novel(query, reference, "cell_type", batch_key="batch")
    said = numbers_of(query, "searched")
    assert said["novel"] == query.obs["novel"].sum() > 0
    assert said["clusters"] == query.obs["novel_cluster"].value_counts().to_dict()
    assert said["shift"] == query.uns["scarches_plus"]["novel"]["novel"]["shift"]
    line = f"novel: {said['novel']} of {query.n_obs} cells, {len(said['clusters'])} cluster"
    assert line in caplog.messages[-1]
    sp.tl.name_novel(query, {"novel 1": "mine"})
    n_named = (query.obs["novel_named"] == "mine").sum()
    assert caplog.messages[-1] == f"named {n_named} novel cells (novel_named): mine"
    assert repr(sp.tl.summary(query)).endswith("; named: mine")
    query.write_h5ad(tmp_path / "query.h5ad")
    again = sp.tl.summary(anndata.read_h5ad(tmp_path / "query.h5ad"))
    assert again == sp.tl.summary(query)
    assert json.loads(json.dumps(again.to_dicts())) == again.to_dicts()


STATES = ["novel"] * 3 + ["known"] * 5 + ["not judged"] * 2


@pytest.fixture
def searched():
    """Ten cells, three of them novel, as a search leaves them."""
    record = {"judged": True, "shift": 0.1, "alpha": 0.05}
    obs = {
        "novel": [one == "novel" for one in STATES],
        "novel_state": STATES,
        "novel_cluster": ["novel 1"] * 3 + [None] * 7,
    }
    names = [f"c{i}" for i in range(10)]
    uns = {"scarches_plus": {"novel": {"novel": record}, "transfer": {"type": {"unknown_category": "Unknown"}}}}
    adata = anndata.AnnData(np.ones((10, 1)), pd.DataFrame(obs, names), uns=uns)
    adata.obs["type_pred"] = ["T"] * 9 + ["Unknown"]
    return adata


def test_cells_that_were_joined_later_are_counted_apart(searched):
    others = anndata.AnnData(np.ones((30, 1)), pd.DataFrame(index=[f"o{i}" for i in range(30)]))
    joined = anndata.concat([searched, others], join="outer", uns_merge="first")
    said = numbers_of(joined, "searched")
    assert (said["novel"], said["cells"], said["not_judged"], said["without_an_answer"]) == (3, 10, 2, 30)
    said = numbers_of(joined, "labelled")
    assert (said["cells"], said["unknown"], said["without_a_label"]) == (10, 0.1, 30)
    labelled, found = sorted(repr(sp.tl.summary(joined)).splitlines())
    assert labelled.endswith("labelled 10 cells (type_pred): 1 type, 10 % unknown; 30 cells without a label")
    assert "novel: 3 of 10 cells" in found
    assert found.endswith("; 30 cells without an answer")


@pytest.mark.parametrize(
    "stored",
    [
        lambda values: pd.array([*values[:9], None], "boolean"),
        lambda values: np.array([*values[:9], np.nan], object),
        lambda values: [*map(str, values[:9]), None],
        lambda values: pd.Categorical([*map(str, values[:9]), None]),
    ],
    ids=["nullable", "object", "texts", "categories"],
)
@pytest.mark.parametrize("with_states", [False, True])
def test_a_column_that_was_stored_otherwise(searched, stored, with_states):
    searched.obs["novel"] = stored(searched.obs["novel"].tolist())
    if not with_states:
        searched.obs = searched.obs[["novel"]]
    said = numbers_of(searched, "searched")
    assert (said["novel"], said["cells"]) == (3, 10 if with_states else 9)


def test_nothing_is_judged():
    adata = sp.datasets.simulate(300, n_types=3)
    query = adata[(adata.obs["batch"] == "batch1") & (adata.obs["cell_type"] == WELL_KNOWN)].copy()
    with pytest.warns(UserWarning, match="'not judged' for all cells"):
        sp.tl.detect_novel(query, adata[adata.obs["batch"] != "batch1"].copy(), "cell_type", batch_key="batch")
    assert "no cell was judged" in repr(sp.tl.summary(query))


def test_cells_of_others_say_nothing(visit):
    adata = cells()
    assert repr(sp.tl.summary(adata)) == sp.tl.summary(adata)._repr_html_() == "no work of this package is recorded"
    query = visit[0].copy()
    query.uns["scarches_plus"]["embeddings"] = {"X_scarches": {"mapping": {"of": "another release"}}}
    del query.obs["cell_type_pred"]
    (line,) = repr(sp.tl.summary(query)).splitlines()
    assert 'the record uns["scarches_plus"]["embeddings"]["X_scarches"] cannot be read' in line


def test_as_html(visit):
    query = visit[0].copy()
    query.uns["scarches_plus"]["transfer"]["<b>"] = {"unknown_category": "Unknown"}
    query.obs["<b>_pred"] = "T"
    page = sp.tl.summary(query)._repr_html_()
    assert page.count("<tr>") == len(sp.tl.summary(query).outcomes) == 3
    assert "&lt;b&gt;_pred" in page
    assert "<b>" not in page


@pytest.fixture
def relabel(built, visit):
    """Transfer labels again; returns the line about it."""

    def relabel():
        query = visit[0].copy()
        sp.tl.transfer_labels(query, built[0], "cell_type")
        return repr(sp.tl.summary(query)).splitlines()[1]

    return relabel


def test_said_where_a_person_looks(relabel, on_screen, capsys):
    line = relabel()
    assert capsys.readouterr().err == f"{line}\n"
    with sp.settings.override(verbosity="quiet"):
        relabel()
    assert capsys.readouterr().err == ""


def test_not_said_in_log_files_unless_asked_for(relabel, capsys):
    relabel()
    assert capsys.readouterr() == ("", "")
    with sp.settings.override(verbosity="info"):
        line = relabel()
    assert capsys.readouterr().err.splitlines()[-1] == line


def test_said_once_to_who_reads_the_log(relabel, on_screen, caplog, capsys):
    caplog.set_level(logging.INFO, LOGGER.name)
    line = relabel()
    assert caplog.messages[-1] == line
    assert caplog.records[-1].outcome["line"] == line
    assert capsys.readouterr().err == ""

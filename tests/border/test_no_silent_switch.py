"""What a verb chooses by itself is in the log, in its record, and on the terminal of its command."""

import logging

import anndata
import numpy as np
import pandas as pd
import pytest
from cell_files import few_cells

import scarches_plus as sp

pytestmark = pytest.mark.border


@pytest.fixture
def logged(caplog):
    """Return what was logged."""
    caplog.set_level(logging.INFO, logger="scarches_plus")
    return lambda: " | ".join(record.getMessage() for record in caplog.records)


@pytest.fixture
def pair():
    """Reference and query with an embedding, as if one had been mapped onto the other."""
    cells = few_cells(80, 60)
    cells.obsm["X_scarches"] = np.log1p(cells.X.toarray())[:, :5]
    reference = (cells.obs["batch"] == "batch0").to_numpy()
    return cells[reference].copy(), cells[~reference].copy()


@pytest.fixture
def files(pair, tmp_path):
    pair[0].write_h5ad(tmp_path / "reference.h5ad")
    sp.tl.transfer_labels(pair[1], pair[0], "cell_type", k=5)
    pair[1].write_h5ad(tmp_path / "query.h5ad")
    return tmp_path


def test_differential_abundance(border, pair, logged):
    reference, query = pair
    call = "differential_abundance(query, 'cell_type', reference=reference)"
    table = border.works(
        lambda: sp.tl.differential_abundance(query, "cell_type", reference=reference),
        lambda table: table.attrs["labels"] == dict.fromkeys(("query", "reference"), "the column obs['cell_type']"),
        kind="S", case="abundance of a column", shown=call,
    )  # fmt: skip
    assert "labels of 'query' are the column obs['cell_type']" in logged()
    sp.tl.transfer_labels(query, reference, "cell_type", k=5)
    border.works(
        lambda: sp.tl.differential_abundance(query, "cell_type", reference=reference),
        lambda table: "not those transferred, obs['cell_type_pred']" in table.attrs["labels"]["query"],
        kind="S", case="abundance of the author's labels where there are transferred ones", shown=call,
    )  # fmt: skip
    sp.tl.transfer_labels(query, reference, "cell_type", k=5, probabilities=True)
    other = border.works(
        lambda: sp.tl.differential_abundance(query, "cell_type", reference=reference),
        lambda table: table.attrs["labels"]["query"]
        == "probabilities, obsm['cell_type_probabilities']; the column obs['cell_type'] is not used",
        kind="S", case="abundance of probabilities", shown=call,
    )  # fmt: skip
    assert "is not used" in logged()
    assert not np.allclose(other["proportion1"], table["proportion1"])
    border.refused(
        lambda: sp.tl.differential_abundance(query, "cell_type_pred", reference=reference),
        KeyError, ["found in the reference neither", "probabilities=True"],
        kind="S", case="abundance of a column that only the query has", shown="differential_abundance(query, 'cell_type_pred', ...)",
    )  # fmt: skip


def test_joint_embedding(border, pair, logged):
    reference, query = pair
    query.obs["only_here"] = 1
    call = "joint_embedding(reference, query)"

    def record(joint):
        return joint.uns["scarches_plus"]["joint"]

    border.works(
        lambda: sp.tl.joint_embedding(reference, query[:, 7:].copy()),
        lambda joint: record(joint)["X"] == "X of the reference (60 genes) and X of the query (53 genes), on the 53 genes of both"
        and record(joint)["columns_of_query"] == ["only_here"] and "cell_type" in record(joint)["columns_of_both"],
        kind="S", case="a joint embedding of some genes", shown=call,
    )  # fmt: skip
    assert "X: X of the reference (60 genes)" in logged()
    bare = anndata.AnnData(obs=reference.obs, obsm=dict(reference.obsm))
    border.works(
        lambda: sp.tl.joint_embedding(bare, query),
        lambda joint: record(joint)["X"] == "none, since the reference has none" and joint.X is None,
        kind="S", case="a joint embedding without counts", shown=call,
    )  # fmt: skip
    query.obs_names = [*reference.obs_names[:3], *query.obs_names[3:]]
    border.works(
        lambda: sp.tl.joint_embedding(reference, query), lambda joint: bool(record(joint)["renamed"]),
        kind="S", case="a joint embedding of cells named alike", shown=call,
    )  # fmt: skip
    assert "have their role in their names" in logged()


def test_joint_records_can_be_written(pair, tmp_path):
    sp.tl.joint_embedding(*pair).write_h5ad(tmp_path / "joint.h5ad")
    record = anndata.read_h5ad(tmp_path / "joint.h5ad").uns["scarches_plus"]["joint"]
    assert record["embedding"] == "X_scarches"


def test_transfer_labels(border, pair, logged, tmp_path):
    reference, query = pair

    def record(cells):
        return cells.uns["scarches_plus"]["transfer"]["cell_type"]

    found = border.works(
        lambda: sp.tl.transfer_labels(query, reference, "cell_type", k=500, probabilities=True, copy=True),
        lambda found: record(found)["k"] == reference.n_obs and "obs['cell_type'] of" in record(found)["labels"],
        kind="S", case="fewer neighbours than asked for", shown="transfer_labels(query, reference, 'cell_type', k=500)",
    )  # fmt: skip
    assert f"{reference.n_obs} neighbours" in logged()
    found.write_h5ad(tmp_path / "found.h5ad")
    border.works(
        lambda: sp.tl.transfer_labels(found, reference, "cell_type", copy=True),
        lambda again: "cell_type_probabilities" not in again.obsm and "earlier call wrote are deleted" in logged(),
        kind="S", case="probabilities of an earlier call", shown="transfer_labels(query, reference, 'cell_type')",
    )  # fmt: skip


def test_novel_cells_and_their_names(border, logged):
    many = sp.datasets.simulate(360, 60, 3, n_batches=3)
    reference, query = many[many.obs["batch"] != "batch2"].copy(), many[many.obs["batch"] == "batch2"].copy()
    query.layers["counts"] = query.X.copy()
    profiles = sp.tl.label_profiles(reference, "cell_type", "batch")
    border.works(
        lambda: sp.tl.detect_novel(query, profiles, layer="counts", copy=True),
        lambda found: found.uns["scarches_plus"]["novel"]["novel"]["layer"] == "counts" and "by counts in counts on 60" in logged(),
        kind="S", case="where novelty has its counts from", shown="detect_novel(query, profiles, layer='counts')",
    )  # fmt: skip
    query.obs["novel"] = np.arange(query.n_obs) < 3
    query.obs["novel_cluster"] = pd.Categorical(np.where(query.obs["novel"], "novel 1", None))
    query.obs["novel_label"] = query.obs["cell_type"]
    border.works(
        lambda: sp.tl.name_novel(query, {"novel 1": "delta"}, copy=True),
        lambda found: found.uns["scarches_plus"]["novel"]["novel"]["predictions"] == "novel_label" and "obs['novel_label']" in logged(),
        kind="S", case="labels of known cells by default", shown="name_novel(query, names)",
    )  # fmt: skip


def test_evaluate(border, logged):
    cells = few_cells(80, 60)
    cells.obsm["X"] = np.log1p(cells.X.toarray())[:, :5]
    border.works(
        lambda: sp.metrics.evaluate(cells, "X", "batch", progress=False),
        lambda report: report.provenance["left_out"]["cLISI"] == "labels_key" and "cLISI needs labels_key" in logged(),
        kind="S", case="scores that lack labels", shown="evaluate(cells, 'X', 'batch')",
    )  # fmt: skip


def test_rank_genes(border, logged):
    cells = few_cells(80, 60)
    border.works(
        lambda: sp.tl.rank_genes(cells, "cell_type", max_cells=10, copy=True),
        lambda found: found.uns["rank_genes_groups"]["params"]["n_cells"] == 20 and "of 20 of 80 cells" in logged(),
        kind="S", case="genes ranked on a sample", shown="rank_genes(cells, 'cell_type', max_cells=10)",
    )  # fmt: skip


def test_build_map_and_evaluate_of_commands(border, tmp_path):
    from border_rows import run_command

    from scarches_plus.cli import main

    cells = few_cells(80, 60)
    for batch in ("batch0", "batch1"):
        cells[cells.obs["batch"] == batch].write_h5ad(tmp_path / f"{batch}.h5ad")
    few = ["--max-epochs", 1]
    for words, says in (
        (["build", tmp_path / "batch0.h5ad", "--batch-key", "batch", "--labels-key", "cell_type", "--out", tmp_path / "m", *few],
         "note: counts are X, batches obs['batch'], labels not used"),
        (["map", tmp_path / "batch1.h5ad", "--model", tmp_path / "m", "--out", tmp_path / "o.h5ad", *few],
         "note: mapped by counts in X on 60 of the reference's 60 genes, batches in obs['batch'], 1 epochs"),
        (["seeds", tmp_path / "batch1.h5ad", "--markers", tmp_path / "markers.json", "--n-seeds", 2, "--out", tmp_path / "o.h5ad"],
         "note: seed_label: scores are of counts in X"),
    ):  # fmt: skip
        (tmp_path / "markers.json").write_text('{"a": ["gene0"], "b": ["gene1"]}')
        status, _, err = run_command(main, list(map(str, words)))
        assert status == 0, err
        border.works(
            lambda err=err: err, lambda err, says=says: says in err,
            kind="S", case=f"the command {words[0]} says what it used", shown=f"scarches-plus {words[0]}",
        )  # fmt: skip
    record = anndata.read_h5ad(tmp_path / "o.h5ad")
    assert "seed_label" in record.obs


def test_colours_that_do_not_suffice(border, pair, logged):
    joint = sp.tl.joint_embedding(*pair)
    joint.obsm["X_umap"] = joint.obsm["X_scarches"][:, :2]
    joint.uns["cell_type_colors"] = ["#000000"]
    border.works(
        lambda: sp.pl.joint_umap(joint, color="cell_type", cells="all"),
        lambda ax: "1 colours for 2 names" in logged(),
        kind="S", case="fewer colours than names", shown="sp.pl.joint_umap(joint, color='cell_type')",
    )  # fmt: skip


def test_plots(border, pair, logged):
    reference, query = pair
    sp.tl.transfer_labels(query, reference, "cell_type", k=5)
    for name in ("confusion_matrix", "uncertainty_by_type"):
        border.works(
            lambda name=name: getattr(sp.pl, name)(query, "cell_type"),
            lambda ax: "obs['cell_type_" in logged(),
            kind="S", case=f"the column that {name} takes by default", shown=f"sp.pl.{name}(query, 'cell_type')",
        )  # fmt: skip


def test_report_and_abundance_of_commands(border, files, capfd):
    reference = ["--reference", files / "reference.h5ad", "--labels-key", "cell_type"]
    words = ["abundance", files / "query.h5ad", *reference, "--out", files / "shares.csv"]
    from border_rows import run_command

    from scarches_plus.cli import main

    for command, says in (
        (words, "labels of 'query' are the column obs['cell_type'], and not those transferred"),
        (["transfer", files / "query.h5ad", *reference, "--k", 5, "--out", files / "again.h5ad"], "note: cell_type_pred from obs['cell_type']"),
        (["report", files / "query.h5ad", *reference, "--out", files / "report"], "note: report: true labels: column cell_type of the query"),
    ):  # fmt: skip
        status, _, err = run_command(main, list(map(str, command)))
        assert status == 0, err
        border.works(
            lambda err=err: err, lambda err, says=says: says in err,
            kind="S", case=f"the command {command[0]} says what it used", shown="scarches-plus " + command[0],
        )  # fmt: skip
    assert "column of predictions" in (files / "report" / "report.html").read_text()


def test_the_advice_for_abundance_leads_to_success(border, files):
    options = ["--reference", files / "reference.h5ad", "--labels-key", "cell_type"]
    bare = anndata.read_h5ad(files / "query.h5ad")
    del bare.obs["cell_type"]
    bare.write_h5ad(files / "bare.h5ad")
    words = ["abundance", files / "bare.h5ad", *options, "--out", files / "shares.csv"]
    border.command(words, ["--probabilities", "the query"], kind="S", case="abundance without labels or probabilities")
    border.command(
        ["transfer", files / "bare.h5ad", *options, "--k", 5, "--probabilities", "--out", files / "bare.h5ad"],
        "wrote", kind="S", case="transfer --probabilities, as advised", status=0,
    )  # fmt: skip
    border.command(words, "wrote", kind="S", case="abundance of these", status=0)

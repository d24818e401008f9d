"""Arguments: a text for a list, names that files cannot hold, numbers beyond reason, columns that are the same.

``tests/arguments/`` gives every parameter of every public function wrong values; these are the cases that hurt.
"""

import math

import anndata
import numpy as np
import pytest
from anndata import AnnData
from small_models import NETWORK, cells, reference, setup, split

import scarches_plus as sp

pytestmark = pytest.mark.border
HOLDS_NO_SUCH_NAME = "files cannot hold such a name"


@pytest.fixture(scope="module")
def adata():
    adata = cells(90)
    adata.obsm["X_scarches"] = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    adata.obs["cell/type"] = adata.obs["cell_type"].to_numpy()
    adata.obs["phase"] = np.where(np.arange(90) % 2, "G1", "S")
    return adata


@pytest.fixture(scope="module")
def model(adata):
    registered = adata.copy()
    setup(sp.model.SCVI, registered)
    return sp.model.SCVI(registered, **NETWORK)


# --- B3: names that files cannot hold ---

SLOTS = {
    "embed": lambda q, m: sp.tl.embed(q, m, key_added="X/latent"),
    "map_query": lambda q, m: sp.tl.map_query(q, m, key_added="X/latent"),
    "build_reference": lambda q, m: sp.tl.build_reference(q, "batch", key_added="X/latent"),
    "cluster": lambda q, m: sp.tl.cluster(q, key_added="cluster/fine"),
    "rank_genes": lambda q, m: sp.tl.rank_genes(q, "cell_type", key_added="."),
    "detect_novel": lambda q, m: sp.tl.detect_novel(q, q, "cell_type", batch_key="batch", key_added="novel/cells"),
    "seed_labels": lambda q, m: sp.pp.seed_labels(q, {"a": ["gene0"], "b": ["gene1"]}, scores=True, key_added="a\0b"),
    "seed_labels, _index": lambda q, m: sp.pp.seed_labels(q, {"a": ["gene0"], "b": ["gene1"]}, key_added="_index"),
    "concat_studies, study": lambda q, m: sp.pp.concat_studies({"a/b": q, "c": q}),
    "concat_studies, column": lambda q, m: sp.pp.concat_studies({"a": q, "c": q}, study_key="study/site"),
    "transfer_labels": lambda q, m: sp.tl.transfer_labels(q, q, "cell/type", probabilities=True),
    "transfer_labels, one of two": lambda q, m: sp.tl.transfer_labels(q, q, ["cell_type", "cell/type"]),
    "save_bundle": lambda q, m: sp.hub.save_bundle(m, "no_such_folder", labels_key="cell/type"),
    "summarize_reference": lambda q, m: sp.train.summarize_reference(m, "cell/type"),
}  # fmt: skip


@pytest.mark.parametrize("case", SLOTS)
def test_names_that_files_cannot_hold(border, adata, model, case):
    before = repr(adata)
    border.refused(
        lambda: SLOTS[case](adata, model),
        ValueError,
        HOLDS_NO_SUCH_NAME,
        kind="B3",
        case=case,
        shown=f"sp.{case}(...)",
    )
    assert repr(adata) == before


def test_the_advice_for_a_column_works(border, adata, tmp_path):
    labelled = adata.copy()
    message = border.refused(
        lambda: sp.tl.transfer_labels(labelled, labelled, "cell/type"),
        ValueError,
        ["obs['cell/type_pred']", "rename the column"],
        kind="B3",
        case="the advice is executed",
        shown="sp.tl.transfer_labels(q, r, 'cell/type')",
    )
    exec(message.partition("rename the column, ")[2], {"reference": labelled})  # noqa: S102 (the advice itself)
    assert {"cell_type", "cell_type_"} <= set(labelled.obs)
    sp.tl.transfer_labels(labelled, labelled, "cell_type_", probabilities=True)
    labelled.write_h5ad(tmp_path / "cells.h5ad")
    assert "cell_type__probabilities" in anndata.read_h5ad(tmp_path / "cells.h5ad").obsm


def test_the_advice_for_a_summary_works(border):
    model = reference(sp.model.SCANVI)
    model.adata.obs["cell/type"] = model.adata.obs["cell_type"].to_numpy()
    message = border.refused(
        lambda: sp.train.summarize_reference(model, "cell/type"),
        ValueError,
        "labels=",
        kind="B3",
        case="the advice is executed",
        shown="sp.train.summarize_reference(m, 'cell/type')",
    )
    key, _, labels = message.partition(": pass ")[2].partition(", and labels=")
    key = key.strip("'")
    summary = sp.train.summarize_reference(model, key, labels=eval(labels, {"model": model}), min_cells=2)
    model.remember(summaries={"cell/type": summary})  # as an earlier version would have kept it
    query = split(cells(), "batch2")[0]
    sp.tl.embed(query, model)
    message = border.refused(
        lambda: sp.tl.transfer_labels(query, model, "cell/type"),
        ValueError,
        "rename the summary",
        kind="B3",
        case="the advice is executed",
        shown="sp.tl.transfer_labels(q, m, 'cell/type')",
    )
    exec(message.partition("rename the summary, ")[2], {"model": model})  # noqa: S102 (the advice itself)
    sp.tl.transfer_labels(query, model, "cell_type")
    assert "cell_type_pred" in query.obs


@pytest.mark.parametrize("name", ["a.b", "T cell (CD4+)", "a\\b", "é", " a ", "..."])
def test_names_that_files_hold_are_taken(border, adata, name, tmp_path):
    found = adata.copy()
    del found.obs["cell/type"]

    def written():
        sp.tl.cluster(found, key_added=name)
        found.write_h5ad(tmp_path / "cells.h5ad")
        return anndata.read_h5ad(tmp_path / "cells.h5ad")

    border.works(
        written, lambda again: name in again.obs, kind="B3", case="a name that files hold", shown=f"key_added={name!r}"
    )


# --- B5: a text where a list is meant ---

TEXTS = {
    "categorical_covariate_keys": lambda q, m: sp.tl.build_reference(q, "batch", categorical_covariate_keys="phase"),
    "continuous_covariate_keys": lambda q, m: sp.tl.build_reference(q, "batch", continuous_covariate_keys="depth"),
    "shared_batches": lambda q, m: sp.tl.map_query(q, m, shared_batches="batch0"),
    "columns": lambda q, m: sp.pp.label_tree(q, "cell_type"),
    "keep": lambda q, m: sp.pp.label_tree(q, ["clade_1", "cell_type"], keep="type0"),
    "groups": lambda q, m: sp.tl.rank_genes(q, "cell_type", groups="type0"),
    "groups of differential_abundance": lambda q, m: sp.tl.differential_abundance(q, "cell_type", "batch", groups="ab"),
    "categorical_covariate_keys of setup_anndata": lambda q, m: sp.model.SCVI.setup_anndata(
        q.copy(), batch_key="batch", categorical_covariate_keys="phase"
    ),
    "unlabelled": lambda q, m: sp.metrics.kni(q.obsm["X_scarches"], q.obs["batch"], q.obs["cell_type"], unlabelled="NA"),
    "known_labels": lambda q, m: sp.metrics.label_transfer_report(q.obs["cell_type"], q.obs["cell_type"], known_labels="a"),
    "var_names": lambda q, m: sp.pp.align_genes(q, "gene0"),
    "batchid1": lambda q, m: scanvi(q).label_differential_expression(batchid1="batch0"),
    "mirrors": lambda q, m: sp.hub.write_index("no_such_folder", mirrors={"a": "https://example.org/{file}"}),
    "penalties": lambda q, m: sp.tl.map_query(q, m, penalties=sp.train.EWC()),
}  # fmt: skip


def scanvi(adata):
    registered = adata.copy()
    setup(sp.model.SCANVI, registered)
    return sp.model.SCANVI(registered, **NETWORK)


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_where_a_list_is_meant(border, adata, model, case):
    name = case.partition(" ")[0].rstrip(",")
    border.refused(
        lambda: TEXTS[case](adata, model), TypeError, [name, "list"], kind="B5", case=case, shown=f"{case}='...'"
    )


def test_a_class_where_its_objects_are_meant(border, adata, model):
    border.refused(
        lambda: sp.tl.map_query(adata, model, penalties=[sp.train.EWC]), TypeError, ["penalties", "EWC()"],
        kind="B5", case="penalties, a class", shown="penalties=[EWC]",
    )  # fmt: skip


def test_the_advice_for_a_text_works(border):
    adata = cells(90)
    adata.obs["phase"] = np.where(np.arange(90) % 2, "G1", "S")
    message = border.refused(
        lambda: sp.tl.build_reference(adata, "batch", categorical_covariate_keys="phase"),
        TypeError,
        "categorical_covariate_keys=['phase']",
        kind="B5",
        case="the advice is executed",
        shown="categorical_covariate_keys='phase'",
    )
    advice = eval(f"dict({message.partition('such as ')[2].partition(', not')[0]})")
    quick = {"enable_progress_bar": False}
    model = sp.tl.build_reference(adata, "batch", max_epochs=1, model_kwargs=NETWORK, train_kwargs=quick, **advice)
    assert list(model.spec.categorical_covariates) == ["phase"]


# --- B11: beyond reason ---

NUMBERS = {
    "batch_size=-5, fast engine": lambda q, m: {"train_kwargs": {"batch_size": -5}, "engine": "fast"},
    "batch_size=2.5": lambda q, m: {"train_kwargs": {"batch_size": 2.5}},
    "lr=-1": lambda q, m: {"plan_kwargs": {"lr": -1}},
    "lr=nan": lambda q, m: {"plan_kwargs": {"lr": math.nan}},
    "weight_decay=-1": lambda q, m: {"plan_kwargs": {"weight_decay": -1}},
    "max_epochs=2.5": lambda q, m: {"max_epochs": 2.5},
    "max_epochs=True": lambda q, m: {"max_epochs": True},
    "max_epochs=10**9": lambda q, m: {"max_epochs": 10**9},
    "train_size=1.5": lambda q, m: {"train_kwargs": {"train_size": 1.5}},
    "n_epochs_kl_warmup=-1": lambda q, m: {"plan_kwargs": {"n_epochs_kl_warmup": -1}},
    "weigth_decay, misspelt": lambda q, m: {"plan_kwargs": {"weigth_decay": 0.0}},
    "batchsize, misspelt": lambda q, m: {"train_kwargs": {"batchsize": 128}},
    "gradient_clip_val='text'": lambda q, m: {"train_kwargs": {"gradient_clip_val": "text"}},
}  # fmt: skip


@pytest.mark.parametrize("case", NUMBERS)
def test_training_beyond_reason(border, case):
    trained, query = split(cells(120), "batch2")
    setup(sp.model.SCVI, trained)
    model = sp.model.SCVI(trained, **NETWORK)
    before = repr(query)
    name = case.partition("=")[0].partition(",")[0]
    border.refused(
        lambda: sp.tl.map_query(query, model, **NUMBERS[case](query, model)),
        (TypeError, ValueError),
        name,
        kind="B11",
        case=case,
        shown=f"sp.tl.map_query(q, m, {case})",
    )
    assert repr(query) == before
    assert not model.is_trained


OTHERS = {
    "n_latent=0": lambda q: sp.tl.build_reference(q, "batch", model_kwargs={"n_latent": 0}),
    "n_latent=10**9": lambda q: sp.tl.build_reference(q, "batch", model_kwargs={"n_latent": 10**9}),
    "dropout_rate=1": lambda q: sp.tl.build_reference(q, "batch", model_kwargs={"dropout_rate": 1}),
    "n_laten, misspelt": lambda q: sp.tl.build_reference(q, "batch", model_kwargs={"n_laten": 5}),
    "batch_key and labels_key": lambda q: sp.tl.build_reference(q, "batch", "batch", recipe="scanvi"),
    "batch_key and categorical_covariate_keys": lambda q: sp.tl.build_reference(
        q, "batch", categorical_covariate_keys=["batch"]
    ),
    "batch_key and labels_key of setup_anndata": lambda q: sp.model.SCANVI.setup_anndata(
        q.copy(), batch_key="batch", labels_key="batch", unlabeled_category="Unknown"
    ),
    "labels_key and groupby": lambda q: sp.tl.differential_abundance(q, "batch", "batch"),
    "k=2.5": lambda q: sp.tl.transfer_labels(q, q, "cell_type", k=2.5),
    "unknown_above=nan": lambda q: sp.tl.transfer_labels(q, q, "cell_type", unknown_above=math.nan),
    "n_draws=10**12": lambda q: sp.tl.differential_abundance(q, "cell_type", "batch", n_draws=10**12),
    "rng=True": lambda q: sp.tl.cluster(q, rng=True),
    "weight=inf": lambda q: sp.train.MMD(weight=math.inf),
    "kernel='gausian'": lambda q: sp.tl.transfer_labels(q, q, "cell_type", kernel="gausian"),
    "adata='cells.h5ad'": lambda q: sp.tl.cluster("cells.h5ad"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_beyond_reason(border, adata, case):
    name, _, other = case.partition("=")[0].partition(",")[0].partition(" of ")[0].partition(" and ")
    before = repr(adata)
    border.refused(
        lambda: OTHERS[case](adata),
        (TypeError, ValueError),
        [name, *([other] if other else [])],
        kind="B11",
        case=case,
        shown=f"sp...({case})",
    )
    assert repr(adata) == before


def test_whole_floats_and_numpy_numbers_are_taken(border):
    adata = cells(90)
    options = {
        "max_epochs": 1.0,
        "model_kwargs": {**NETWORK, "n_latent": 4.0, "n_layers": np.int64(2)},
        "train_kwargs": {"batch_size": np.float32(64), "enable_progress_bar": np.bool_(False)},
        "plan_kwargs": {"lr": np.float32(1e-3), "n_epochs_kl_warmup": 4.0},
    }
    border.works(
        lambda: sp.tl.build_reference(adata, "batch", **options),
        lambda model: model.module.n_latent == 4 and adata.obsm["X_scarches"].shape == (90, 4),
        kind="B11",
        case="whole floats, numpy's numbers",
        shown="sp.tl.build_reference(..., max_epochs=1.0, model_kwargs={'n_latent': 4.0})",
    )


def test_the_nearest_option_works(border):
    model = reference()
    query = split(cells(), "batch2")[1]
    message = border.refused(
        lambda: sp.tl.map_query(query, model, strategy="conditon"),
        ValueError,
        "did you mean 'condition'",
        kind="B11",
        case="the advice is executed",
        shown="sp.tl.map_query(q, m, strategy='conditon')",
    )
    strategy = message.partition("did you mean '")[2].partition("'")[0]
    sp.tl.map_query(query, model, strategy=strategy, max_epochs=1)
    assert "X_scarches" in query.obsm


def test_embeddings_that_are_none(border):
    batches, labels = np.arange(30) % 2, np.arange(30) % 3
    for case, embedding in {
        "one dimension": np.arange(30.0),
        "NaN": np.full((30, 2), np.nan),
        "texts": np.full((30, 2), "a"),
        "other rows": np.ones((20, 2)),
        "no cells": np.ones((0, 2)),
    }.items():
        border.refused(
            lambda embedding=embedding: sp.metrics.isolated_label_score(embedding, batches, labels),
            (TypeError, ValueError),
            "batches" if "rows" in case or "no" in case else "embedding",
            kind="B11",
            case=f"an embedding of {case}",
            shown="sp.metrics.isolated_label_score(...)",
        )


def test_a_path_is_no_cells(border, tmp_path):
    path = tmp_path / "cells.h5ad"
    cells(90).write_h5ad(path)
    message = border.refused(
        lambda: sp.pp.balance_cells(str(path), "batch", 5),
        TypeError,
        "sc.read_h5ad",
        kind="B11",
        case="the advice is executed",
        shown="sp.pp.balance_cells('cells.h5ad', ...)",
    )
    import scanpy as sc

    adata = eval(message.partition("read it first, ")[2], {"sc": sc})
    assert isinstance(adata, AnnData)
    sp.pp.balance_cells(adata, "batch", 5)

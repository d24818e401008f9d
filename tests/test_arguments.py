"""Every argument of every public function refuses what makes no sense: by its name, before any work, leaving cells alone.

A parameter is of a kind (``KINDS``), and a kind has values that are wrong (``WRONG``). A new parameter needs a kind, else
:func:`test_every_parameter_has_a_kind` fails.
"""

import inspect
import math
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from border_rows import CRYPTIC
from small_models import NETWORK, cells, setup
from test_public_api import CLASSES, FUNCTIONS, resolve

import scarches_plus as sp

NAN, INF = math.nan, math.inf
WRONG = {
    "size": (-1, 0, 2.5, NAN, INF, True, "text", []),
    "count": (-1, 2.5, NAN, INF, True, "text", []),
    "few": (-1, 0, 2.5, NAN, INF, True, "text", [], 10**9),
    "positive": (-1, 0, NAN, INF, True, "text", []),
    "not negative": (-1, NAN, INF, True, "text", []),
    "share": (-0.1, 1.5, NAN, INF, True, "text", []),
    "flag": (1, 2.5, "text", []),
    "name": (1, 2.5, "", True, []),
    "slot": ("a/b", ".", "a\0b", "\udc80", "_index", "", 1, True, []),
    "column and slot": ("a/b", ".", "a\0b", "", 1, True),
    "choice": ("text", 1, True, []),
    "names": ("text", 1, True, [1], {"a": 1}),
    "name or names": (1, True, [1], {"a": 1}),
    "values": ("text", 1, True),
    "sizes": ("text", 1, [0], [2.5], ["a"], [True]),
    "seed": ("text", -1, 2.5, True, []),
    "cells": ("cells.h5ad", 1, True, [], pd.DataFrame()),
    "model": (1, True, [], pd.DataFrame()),
    "source": (1, True),
    "array": ("text", 1, True, {"a": 1}),
    "labels": ("text", 1, True, []),
    "mapping": ("text", 1, True),
    "options": ("text", 1, True, {"no_such_option": 1}),
    "table": ("text", 1, True, []),
    "path": (1, True, [], ""),
    "paths": (1, True, [1]),
    "axes": ("text", 1, True, []),
    "penalties": ("text", 1, sp.train.EWC, sp.train.EWC(), [sp.train.EWC], [1]),
    "optimiser": (-1, 0, NAN, INF, True, "text", []),
}
#: Parameter, or function and parameter, to its kind. A kind that ends in "?" takes ``None``, too.
KINDS = {
    "adata": "cells", "reference": "cells", "query": "cells", "model": "model", "hierarchy": "mapping",
    "drift_cells": "cells?", "mapped": "model", "path": "path", "bundle": "path", "folder": "path", "index": "paths",
    "name": "name", "cache_dir": "path?", "source": "model", "prefix": "name?", "token": None,
    "labels_key": "name", "batch_key": "name", "layer": "name?", "use_rep": "name", "unknown_category": "name",
    "unlabeled_category": "name", "groupby": "name", "novel_key": "name?", "sample_key": "name?", "role_key": "name",
    "key": "name", "predictions": "name?", "predicted_key": "name?", "uncertainty_key": "name?", "cluster_key": "name",
    "reference_layer": "name?", "before": "name?", "rows": "name", "columns": "name", "key_added": "slot",
    "study_key": "slot", "copy": "flag", "probabilities": "flag", "normalize": "flag", "progress": "flag", "directed": "flag",
    "include_self": "flag", "drop_isolated": "flag", "gene_shares": "flag", "scores": "flag", "strip_version": "flag",
    "train_reference_columns": "flag", "use_query_labels": "flag", "overwrite": "flag", "summary": "flag",
    "importance": "flag", "anchors": "flag", "allow_latest": "flag", "offline": "flag", "trust_pickle": "flag",
    "sandbox": "flag", "publish": "flag", "restricted": "flag", "allow_cells": "flag", "add_to_previous": "flag",
    "keep": "flag", "k": "size", "n": "size", "n_cells": "size?", "n_bins": "few", "n_clusters": "size?",
    "n_genes": "size?", "n_draws": "few", "n_samples": "few", "n_types": "few", "n_batches": "few", "n_seeds": "size",
    "min_cells": "size", "min_studies": "size", "max_sweeps": "size", "max_cells": "size?", "max_batches": "size?",
    "max_components": "size", "max_bytes": "size", "max_epochs": "few?", "min_other": "size?", "subsample": "size?",
    "branching": "size", "batch_size": "size", "n_steps": "size", "longest": "size", "fewest": "size",
    "alpha": "share", "unknown_above": "share?", "level": "share", "threshold": "share?", "max_same_batch": "share",
    "min_other_share": "share?", "min_share": "share", "tail": "share", "prior": "positive", "depth": "positive?",
    "radius": "positive", "reference_std_factor": "positive", "max_enrichment": "positive?", "size": "positive?",
    "inverse_dispersion": "positive", "mean_depth": "positive", "min_total": "not negative", "decay": "not negative",
    "type_effect": "not negative", "batch_effect": "not negative", "depth_effect": "not negative", "seed": "seed",
    "rng": "seed?", "kernel": "choice", "method": "choice", "strategy": "choice", "engine": "choice",
    "on_problem": "choice", "estimator": "choice", "backend": "choice", "cells": "choice", "many_to_one": "choice",
    "one_to_many": "choice", "unmapped": "choice", "recipe": "choice", "shared_batches": "values",
    "categorical_covariate_keys": "names", "continuous_covariate_keys": "names", "var_names": "names",
    "groups": "values?", "unlabelled": "values", "known_labels": "values?", "clades": "sizes", "ks": "sizes",
    "genes": "name or names", "keys": "name or names", "clusters": "name or names", "labels": "labels",
    "embeddings": "name or names", "color": "name or names", "creators": "name or names", "include": "name or names",
    "embedding": "array", "separate": "array", "batches": "labels", "ordering": "array", "proteins": "array",
    "counts": "array", "neighbors": "array?", "protein_neighbors": "array?", "confidence": "array", "correct": "array",
    "uncertainty": "array?", "after": "array", "metric": "model", "arguments": "values", "uploads": "values",
    "reference_mask": "array?", "names": "mapping", "markers": "mapping", "parents": "mapping?", "min_values": "mapping?",
    "type_shares": "mapping?", "missing_types": "mapping?", "trajectories": "mapping?", "calibration": "mapping?",
    "mirrors": "mapping?", "card": "mapping?", "plan_kwargs": "options?", "train_kwargs": "options?",
    "model_kwargs": "options?", "penalties": "penalties", "explanation": "table", "curve": "table", "report": "table",
    "lineage": "values", "table": "source", "lengths": "model", "gene_mask": "choice?", "ax": "axes?", "axes": "axes?",
    "cmap": None, "profiles": "model?", "new_version_of": "name?", "adatas": "values",
    # where a name means something else
    "cluster_agreement.labels": "name or names", "cluster_table.columns": "name or names", "label_tree.columns": "names",
    "label_tree.keep": "names?", "label_tree.source": "source", "map_gene_ids.columns": "names?",
    "map_orthologs.columns": "names?", "map_orthologs.table": "source?", "concat_studies.keys": "values?",
    "transfer_labels.labels_key": "column and slot", "summarize_reference.labels_key": "column and slot",
    "transfer_labels.reference": "model", "detect_novel.reference": "model", "detect_novel.labels_key": "name?",
    "detect_novel.batch_key": "name?", "differential_abundance.groupby": "name?", "build_reference.labels_key": "name?",
    "build_reference.penalties": "penalties?", "map_query.batch_key": "name?", "embed.batch_key": "name?",
    "check_query.batch_key": "name?", "explain_labels.batch_key": "name?", "explain_labels.cells": "model?",
    "differential_abundance.reference": "cells?", "extend_reference.reference": "cells?",
    "save_bundle.reference": "cells?", "save_bundle.labels_key": "name or names", "carry_anchors.reference": "model",
    "carry_summaries.reference": "model", "evaluate.labels_key": "name?", "evaluate.scores": "name or names",
    "batch_entropy.cells": "array?", "joint_umap.color": "name or names?", "novelty.groupby": "name?",
    "label_transfer_report.predictions": "labels", "hierarchical_label_scores.predictions": "labels",
    "reference_drift.before": "array", "reference_drift.labels": "labels?", "neighbor_preservation.batches": "labels?",
    "summarize_reference.labels": "labels?", "name_novel.key_added": "slot?", "pl.label_summary.summary": "table",
    "simulate.n_cells": "few", "simulate.n_genes": "few", "kni.subsample": "size?", "info.name": "path",
    **dict.fromkeys(
        (f"{one}.rng" for one in ("calibrate_labels", "detect_novel", "extend_reference", "label_profiles", "evaluate", "summarize_reference")),
        "seed",
    ),
    "build_reference.hierarchy": "mapping?", "transfer_labels.hierarchy": "mapping?", "evaluate.reference_mask": "model?",
    "model.load.adata": "cells?",  "calibrate_labels.n_cells": "size", "store_anchors.n_cells": "size",
    "check_query.model": "model?", "match_gene_names.reference": "model",
    "map_gene_ids.to": "choice?", "map_gene_ids.species": "choice?", "map_gene_ids.table": "source?",
    "map_gene_ids.many_to_one": "choice?", "map_orthologs.to": "choice?", "map_orthologs.many_to_one": "choice?",
    "label_tree.unlabeled_category": "name", "write_index.uploads": "values",
}  # fmt: skip


@cache
def things():
    """What calls are made of: cells with an embedding, a model that is not trained yet, arrays."""
    adata = cells(90)
    adata.obsm["X_scarches"] = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    adata.obs["other"] = adata.obs["cell_type"].to_numpy()[::-1]
    for name in ("cell_type_pred", "novel_label", "novel_cluster", "cluster"):
        adata.obs[name] = adata.obs["cell_type"].to_numpy()
    adata.obs["novel"] = np.arange(90) % 2 == 0
    registered = adata.copy()
    setup(sp.model.SCANVI, registered)
    model = sp.model.SCANVI(registered, **NETWORK)
    return adata, model


def valid(path):
    """Arguments that a function takes."""
    adata, model = things()
    embedding, labels = np.asarray(adata.obsm["X_scarches"]), adata.obs["cell_type"].to_numpy()
    batches, tree = adata.obs["batch"].to_numpy(), {"type0": None, "type1": None, "type2": None}
    shares = np.linspace(0, 1, 90)
    vote = {"adata": adata, "reference": adata, "labels_key": "cell_type"}
    plain = {
        "adata": adata, "query": adata, "reference": adata, "model": model, "mapped": model, "source": model,
        "labels_key": "cell_type", "batch_key": "batch", "groupby": "batch", "rows": "cell_type", "columns": "batch",
        "genes": ["gene0"], "keys": ["batch"], "n": 2, "clusters": "cluster", "labels": labels, "predictions": labels,
        "embedding": embedding, "separate": embedding, "batches": batches, "ordering": shares, "proteins": embedding,
        "counts": embedding, "confidence": shares, "correct": shares > 0.5, "before": embedding, "after": embedding,
        "hierarchy": tree, "embeddings": ["X_scarches"], "var_names": list(adata.var_names), "adatas": [adata, adata],
        "markers": {"type0": ["gene0"], "type1": ["gene1"]}, "names": {"type0": "new"}, "table": {"gene0": "A"},
        "lengths": np.ones(adata.n_vars), "path": "no_such_folder", "bundle": "no_such_folder", "name": "no_such_model",
        "folder": "no_such_folder", "metric": sp.metrics.label_purity, "arguments": (labels,), "ks": (5, 10),
        "lineage": [{"drift": {"relative_rmsd": 0.0}}], "n_steps": 10, "longest": 5, "fewest": 2,
        "explanation": pd.DataFrame(), "summary": pd.DataFrame(), "curve": pd.DataFrame(), "report": sp.metrics.Report(pd.DataFrame(), pd.DataFrame()),
    }  # fmt: skip
    changed = {
        "tl.cluster_agreement": {"labels": "cell_type"},
        "tl.name_novel": {"predictions": "cell_type_pred"},
        "tl.explain_labels": vote,
        "tl.evaluate": {"before": None},
        "tl.extend_reference": {"reference": None},
        "tl.differential_abundance": {"groupby": "batch"},
        "train.carry_anchors": {"reference": model},
        "train.carry_summaries": {"reference": model},
        "metrics.over_k": {"ks": (5, 10)},
        "metrics.evaluate": {"before": None},
        "pp.label_tree": {"source": adata, "columns": ["clade_1", "cell_type"]},
        "pp.concat_studies": {"keys": ["a", "b"]},
        "pl.label_summary": {"summary": pd.DataFrame()},
        "model.load": {"source": model},
        "tl.cluster_table": {"columns": ["batch"]},
        "pp.map_gene_ids": {"columns": None},
        "pp.map_orthologs": {"columns": None},
        "tl.detect_novel": {"batch_key": "batch"},
        "hub.save_bundle": {"reference": None, "summary": False, "labels_key": ()},
        "pl.novelty": {"groupby": None},
        "train.summarize_reference": {"labels": None},
        "pl.confusion_matrix": {},
    }.get(path, {})
    needed = [one for one in parameters(path) if one.default is one.empty]
    return {one.name: {**plain, **changed}[one.name] for one in needed} | {
        name: value for name, value in changed.items() if name in {one.name for one in parameters(path)}
    }


def parameters(path):
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one for one in inspect.signature(resolve(path)).parameters.values() if one.kind not in variadic]


def kind_of(path, name):
    function = path.split(".")[1]
    for key in (f"{path}.{name}", f"{function}.{name}", name):
        if key in KINDS:
            return KINDS[key]
    message = f"say in KINDS what {path} takes for {name}"
    raise KeyError(message)


def looks(adata):
    return {name: list(getattr(adata, name)) for name in ("obs", "var", "obsm", "varm", "uns", "layers")} | {
        "record": repr(adata.uns.get("scarches_plus"))
    }


def complaint(call, name):
    """Say what is wrong about how a call refuses; ``None`` if it refuses by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            call()
        except (TypeError, ValueError, KeyError) as error:
            message = str(error.args[0] if error.args else error)
            if name not in message or any(text in message for text in CRYPTIC):
                return f"cryptic: {type(error).__name__}: {message[:150]}"
            return None
        except Exception as error:  # noqa: BLE001 (any other is wrong)
            return f"{type(error).__name__}: {str(error)[:150]}"
    return "silent"


def complaints(call, given, kinds, said=None):
    found = []
    for name, kind in kinds.items():
        if kind is None:
            continue
        wrong = WRONG[kind.rstrip("?")] + (() if kind.endswith("?") else (None,))
        for value in wrong:
            what = complaint(
                lambda name=name, value=value: call(**{**given, name: value}), (said or {}).get(name, name)
            )
            if what is not None:
                found.append(f"{name}={value!r}: {what}")
    return found


@pytest.mark.parametrize("path", FUNCTIONS)
def test_functions(path):
    adata, _ = things()
    before = looks(adata)
    found = complaints(resolve(path), valid(path), {one.name: kind_of(path, one.name) for one in parameters(path)})
    assert not found, "\n".join(found)
    assert looks(adata) == before


def test_every_parameter_has_a_kind():
    for path in FUNCTIONS:
        for one in parameters(path):
            kind = kind_of(path, one.name)
            assert kind is None or kind.rstrip("?") in WRONG
    used = {(path.split(".")[1], one.name) for path in FUNCTIONS for one in parameters(path)}
    names = {name for _, name in used}
    stale = [key for key in KINDS if "." not in key and key not in names]
    stale += [key for key in KINDS if "." in key and tuple(key.split(".")[-2:]) not in used]
    assert not stale


NETWORK_KINDS = {"n_hidden": "few", "n_latent": "few", "n_layers": "few", "dropout_rate": "share", "dispersion": "choice",
    "gene_likelihood": "choice", "latent_distribution": "choice", "use_observed_lib_size": "flag",
    "encode_covariates": "flag", "use_layer_norm": "choice", "batch_free_decoder_layer": "flag",
    "reconstruction_weight": "positive"}  # fmt: skip
PENALTY = {"weight": "not negative", "warmup_epochs": "count", "warmup": "choice"}
#: Class, what it takes, and the kinds of its parameters.
CONSTRUCTORS = {
    "train.EWC": ({}, PENALTY),
    "train.MMD": (
        {},
        {**PENALTY, "on": "choice", "group": "name?", "bandwidths": "choice", "estimator": "choice",
         "reduction": "choice", "max_groups": "size?"},
    ),
    "train.BatchAdversary": (
        {},
        {**PENALTY, "layers_read": "name or names", "objective": "choice", "lr": "positive", "lr_decay": "positive",
         "n_hidden": "size", "n_steps": "size", "gradient_clip": "positive?", "normalize_logits": "flag"},
    ),
    "train.CellReplay": (
        {"cells": AnnData(np.ones((2, 2), dtype=np.float32))},
        {**PENALTY, "cells": "cells", "n_cells": "size", "n_kept": "size"},
    ),
    "train.LatentReplay": ({}, {**PENALTY, "n_cells": "size", "distillation": "not negative"}),
    "train.AdamStrides": (
        {"parameters": ()},
        {"lr": "positive", "eps": "not negative", "weight_decay": "not negative", "betas": "sizes"},
    ),
    "model.Recipe": (
        {"model": "SCVI", "source": ""},
        {"model": "choice", "model_kwargs": "mapping", "plan_kwargs": "mapping", "train_kwargs": "mapping",
         "penalties": "penalties", "max_epochs": "size", "semi_supervised_epochs": "count"},
    ),
    "module.VAE": ({"n_input": 5}, NETWORK_KINDS),
    "module.SCANVAE": (
        {"n_input": 5, "n_labels": 2},
        {name: kind for name, kind in {**NETWORK_KINDS, "n_unobserved": "count"}.items() if name != "latent_distribution"},
    ),
    "module.TOTALVAE": (
        {"n_input_genes": 5, "n_input_proteins": 2, "n_panel": 1},
        {"n_hidden": "few", "n_latent": "few", "n_layers_encoder": "few", "n_layers_decoder": "few",
         "dropout_rate_encoder": "share", "dropout_rate_decoder": "share", "latent_distribution": "choice"},
    ),
    "tl.LabelCalibration": (
        {"exponent": 1.0, "floor": 0.01, "error": 0.0, "error_before": 0.0, "n_cells": 1, "k": 1, "kernel": "paper"},
        {"exponent": "positive", "floor": "positive", "n_cells": "size", "k": "size", "kernel": "choice"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", CONSTRUCTORS)
def test_constructors(path):
    assert path in CLASSES
    given, kinds = CONSTRUCTORS[path]
    resolve(path)(**given)
    found = complaints(resolve(path), given, {name: kind for name, kind in kinds.items() if kind is not None})
    assert not found, "\n".join(found)


@pytest.mark.parametrize("cls", ["SCVI", "SCANVI"])
def test_models(cls):
    cls = getattr(sp.model, cls)
    adata = cells(90)
    setup(cls, adata)
    kinds = {name: NETWORK_KINDS[name] for name in ("n_hidden", "n_latent", "n_layers", "dropout_rate", "dispersion")}
    found = complaints(lambda **kwargs: cls(adata, **kwargs), {}, kinds)
    assert not found, "\n".join(found)
    with pytest.raises(TypeError, match="'n_laten', which is no option; did you mean 'n_latent'"):
        cls(adata, n_laten=5)
    assert cls(adata, n_latent=4.0, n_layers=np.int64(1)).init_params_["non_kwargs"]["n_latent"] == 4


TRAIN = {"max_epochs": "few?", "batch_size": "size?", "penalties": "penalties", "engine": "choice",
    "module_mode": "choice?", "plan_kwargs": "options?", "train_size": "share?", "early_stopping": "flag",
    "enable_progress_bar": "flag", "early_stopping_patience": "size"}  # fmt: skip
PLAN = {"lr": "positive", "eps": "not negative", "weight_decay": "not negative", "n_epochs_kl_warmup": "count?",
    "n_steps_kl_warmup": "count?", "max_kl_weight": "not negative", "reduce_lr_on_plateau": "flag",
    "classification_ratio": "not negative", "schedule": "choice", "classifier_epochs": "size",
    "classifier_lr": "positive"}  # fmt: skip
METHODS = {
    "load_query_data": (
        {"adata": None, "reference_model": None},
        {"adata": "cells", "strategy": "choice", "shared_batches": "values", "layer": "name?", "batch_key": "name?",
         "train_reference_columns": "flag", "use_query_labels": "flag"},
    ),
    "embed": ({"adata": None}, {"adata": "cells", "layer": "name?", "batch_key": "name?"}),
    "save": ({"dir_path": "no_such_folder"}, {"dir_path": "path", "prefix": "name?", "overwrite": "flag"}),
    "label_differential_expression": (
        {},
        {"group1": "name or names?", "group2": "name?", "mode": "choice", "delta": "positive", "batchid1": "names?",
         "batchid2": "names?", "n_samples_overall": "few", "fdr_target": "share", "silent": "flag"},
    ),
    "predict": ({}, {"adata": "cells?", "soft": "flag", "unknown_above": "share?", "batch_size": "size?"}),
    "confidence": ({}, {"adata": "cells?", "batch_size": "size?"}),
    "get_latent_representation": (
        {},
        {"adata": "cells?", "give_mean": "flag", "return_dist": "flag", "mc_samples": "size", "batch_size": "size?"},
    ),
    "differential_expression": (
        {"groupby": "batch"},
        {"adata": "cells?", "groupby": "name?", "mode": "choice", "delta": "positive", "fdr_target": "share",
         "batch_size": "size?", "batch_correction": "flag", "silent": "flag"},
    ),
    "remember": ({}, {"importance": "source?", "anchors": "source?", "summaries": "mapping?"}),
    "load": ({"dir_path": "no_such_folder"}, {"dir_path": "path", "adata": "cells?"}),
}  # fmt: skip


def test_training():
    adata, model = things()
    found = complaints(model.train, {}, TRAIN)
    found += complaints(lambda **plan: model.train(1, plan_kwargs=plan), {}, PLAN)
    found += complaints(lambda **plan: sp.tl.map_query(adata, model, plan_kwargs=plan), {}, PLAN)
    assert not found, "\n".join(found)
    assert not model.is_trained
    for call in (
        lambda: model.train(1, plan_kwargs={"weigth_decay": 0.0}),
        lambda: sp.tl.map_query(adata, model, plan_kwargs={"weigth_decay": 0.0}),
        lambda: sp.tl.build_reference(adata, "batch", plan_kwargs={"weigth_decay": 0.0}),
    ):
        with pytest.raises(
            TypeError, match="plan_kwargs has 'weigth_decay', which is no option; did you mean 'weight_decay'"
        ):
            call()


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    adata, model = things()
    given, kinds = METHODS[name]
    given = {key: {"adata": adata, "reference_model": model}.get(key, value) for key, value in given.items()}
    found = complaints(getattr(model, name), given, kinds)
    assert not found, "\n".join(found)


def test_arrays_of_cells():
    adata, _ = things()
    embedding, labels = adata.obsm["X_scarches"], adata.obs["cell_type"].to_numpy()
    for call, name in (
        (lambda: sp.metrics.label_purity(embedding, np.stack([labels, labels], 1)), "labels must have one entry"),
        (lambda: sp.metrics.label_purity(embedding, labels[:-1]), "labels must have one entry"),
        (lambda: sp.metrics.label_transfer_report(np.stack([labels, labels], 1), labels), "labels must have one entry"),
        (lambda: sp.metrics.label_purity(embedding * 1j, labels), "embedding must be an array of numbers"),
        (lambda: sp.metrics.label_purity(embedding, labels, neighbors=np.ones((90, 30))), "neighbors must be indices"),
        (lambda: sp.metrics.batch_entropy(embedding, labels, cells=[90]), "cells has 1 entries outside of 0 to 89"),
        (
            lambda: sp.pp.LabelTree({"a": None, "b": None}).node_probabilities(np.ones((3, 5))),
            "probabilities must have",
        ),
        (lambda: sp.pp.LabelTree(["a"]), "parents must be a dict"),
        (lambda: sp.pl.reliability({"a": 1}), r"curve\['a'\] must be a DataFrame"),
    ):
        with pytest.raises((TypeError, ValueError), match=name):
            call()


@pytest.mark.parametrize("value", ["text", 1j, np.nan, np.inf])
def test_embeddings_in_cells(value):
    adata = things()[0].copy()
    adata.obsm["X_scarches"] = np.full((90, 4), value)
    for call in (
        lambda: sp.tl.transfer_labels(adata, adata, "cell_type"),
        lambda: sp.tl.calibrate_labels(adata, "cell_type", batch_key="batch"),
        lambda: sp.tl.joint_embedding(adata, adata),
    ):
        with pytest.raises((TypeError, ValueError), match=r"obsm\['X_scarches'\]"):
            call()

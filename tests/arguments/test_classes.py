"""Constructors of public classes, and methods of others than models, refuse what makes no sense by the argument's
name.
"""

import inspect

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from small_models import TOTALVI, cells, setup, with_proteins
from test_public_api import CLASSES, resolve
from wrong_arguments import complaints, things

import scarches_plus as sp

NETWORK_KINDS = {"n_hidden": "few", "n_latent": "few", "n_layers": "few", "dropout_rate": "share", "dispersion": "choice",
    "gene_likelihood": "choice", "latent_distribution": "choice", "use_observed_lib_size": "flag",
    "encode_covariates": "flag", "use_layer_norm": "choice", "batch_free_decoder_layer": "flag",
    "reconstruction_weight": "positive"}  # fmt: skip
PENALTY = {"weight": "not negative", "warmup_epochs": "count", "warmup": "choice"}
#: Class, what it takes, and the kinds of its parameters.
CONSTRUCTORS = {
    "app.Client": ({"address": "http://127.0.0.1:1/?token=a"}, {"address": "name", "token": "name?"}),
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
    "train.LabelReplay": ({}, {**PENALTY, "n_cells": "size"}),
    "train.LatentReplay": ({}, {**PENALTY, "n_cells": "size", "distillation": "not negative"}),
    "train.AdamStrides": (
        {"parameters": ()},
        {"lr": "positive", "eps": "not negative", "weight_decay": "not negative", "betas": "sizes"},
    ),
    "model.Recipe": (
        {"model": "SCVI", "source": ""},
        {"model": "choice", "model_kwargs": "mapping", "plan_kwargs": "mapping", "train_kwargs": "mapping",
         "penalties": "penalties", "max_epochs": "size", "semi_supervised_epochs": "count",
         "classifier_steps": "count"},
    ),
    "module.VAE": ({"n_input": 5}, NETWORK_KINDS),
    "module.SCANVAE": (
        {"n_input": 5, "n_labels": 2},
        {name: kind for name, kind in {**NETWORK_KINDS, "n_unobserved": "count", "labels_in_elbo": "flag"}.items() if name != "latent_distribution"},
    ),
    "module.TOTALVAE": (
        {"n_input_genes": 5, "n_input_proteins": 2, "n_panel": 1},
        {"n_hidden": "few", "n_latent": "few", "n_layers_encoder": "few", "n_layers_decoder": "few",
         "dropout_rate_encoder": "share", "dropout_rate_decoder": "share", "latent_distribution": "choice"},
    ),
    "pp.LabelTree": ({"parents": {"a": None}}, {"parents": "mapping"}),
    "pp.LabelHarmony": (
        {"table": pd.DataFrame({"study": ["s"], "label": ["a"], "proposal": ["b"], "status": ["apply"]})},
        {"table": "table"},
    ),
}  # fmt: skip
MODELS = ["SCVI", "SCANVI", "TOTALVI"]
#: Classes whose objects this package makes, and those whose arguments pydantic checks.
MADE = {
    "hub.BundleError", "hub.Card", "hub.Manifest", "hub.Upload", "metrics.HierarchicalLabelScores", "metrics.KNIScore",
    "metrics.LabelTransferReport", "metrics.RbNIScore", "metrics.ReferenceDrift", "metrics.Report", "model.ModelState",
    "model.ReferenceSpec", "model.InheritedTraining", "model.TrainingRecord",
    "model.Surgery", "pp.GeneReport", "pp.GeneSelection", "pp.Problem", "pp.QueryError", "pp.QueryReport", "tl.ExpressionClassifier", "tl.LabelProfiles",
    "tl.ReferenceAssessment",
    "tl.ReferenceMap",
    "tl.ReferenceSummary",
    "tl.Summary",
    "train.AdversarialTrainingPlan", "train.Anchors", "train.FreeEntries", "train.Grouping", "train.Importance",
    "train.LatentSummary", "train.Penalty", "train.SemiSupervisedTrainingPlan", "train.Setting", "train.Step",
    "train.TrainingPlan",
}  # fmt: skip


def test_every_class_is_here():
    assert sorted(CLASSES) == sorted([*CONSTRUCTORS, *MADE, *(f"model.{name}" for name in MODELS)])


@pytest.mark.parametrize("path", CONSTRUCTORS)
def test_constructors(path):
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
    with pytest.raises(ValueError, match="n_hidden must be at least 1"):
        cls(adata, None, 0)
    with pytest.raises(TypeError, match="got two values for adata"):
        cls(adata, adata=adata)
    assert cls(adata, n_latent=4.0, n_layers=np.int64(1)).init_params_["non_kwargs"]["n_latent"] == 4


def test_totalvi():
    mdata = with_proteins(cells(90))
    setup(TOTALVI, mdata)
    kinds = {
        "n_latent": "few", "gene_dispersion": "choice", "protein_dispersion": "choice", "gene_likelihood": "choice",
        "latent_distribution": "choice", "empirical_protein_background_prior": "flag?", "override_missing_proteins": "flag",
        "n_hidden": "few", "n_layers_encoder": "few", "dropout_rate_decoder": "share", "use_layer_norm": "choice",
    }  # fmt: skip
    found = complaints(lambda **kwargs: TOTALVI(mdata, **kwargs), {}, kinds)
    assert not found, "\n".join(found)
    with pytest.raises(ValueError, match="n_latent must be at least 1"):
        TOTALVI(mdata, 0)


def tree():
    return sp.pp.LabelTree({"a": None, "b": None, "c": "a", "d": "a"})


def harmony():
    return sp.pp.harmonize_labels({"s": ["a"]})


def assessment():
    return sp.tl.assess_reference(things()[0], batch_key="batch", labels_key="cell_type")


def importance():
    return sp.train.Importance({}, {}, 1, "hooks")


def classifier():
    return sp.tl.expression_classifier(things()[0], "cell_type", batch_key="batch")


#: Method to an object that has it, what it takes, and the kinds of its parameters.
METHODS = {
    "pp.LabelTree.certain": (
        tree, {"node_probabilities": np.ones((3, 4)), "unknown_above": 0.5},
        {"node_probabilities": "array", "unknown_above": "share"},
    ),
    "pp.LabelTree.node_probabilities": (
        tree, {"probabilities": np.ones((3, 3))}, {"probabilities": "array", "labels": "names?"}
    ),
    "pp.LabelHarmony.read": (lambda: sp.pp.LabelHarmony, {"path": "nowhere.csv"}, {"path": "path"}),
    "pp.LabelHarmony.apply": (
        harmony, {"labels": ["a"], "studies": "s"}, {"labels": "values", "studies": "name or names"},
    ),
    "tl.ReferenceAssessment.to_html": (assessment, {"path": "no_such_folder/report.html"}, {"path": "path"}),
    "pp.LabelTree.covers": (tree, {}, {"labels": "values"}),
    "pp.LabelTree.require": (tree, {}, {"labels": "values"}),
    "pp.LabelTree.path": (tree, {}, {"node": "name"}),
    "pp.LabelTree.of": (tree, {}, {"hierarchy": "mapping"}),
    "pp.QueryReport.raise_for_problems": (
        lambda: sp.pp.check_query(things()[0]), {}, {"on_problem": "choice", "offer_warn": "flag"}
    ),
    "metrics.Report.to_html": (lambda: sp.metrics.Report(pd.DataFrame(), pd.DataFrame()), {}, {"path": "path"}),
    "tl.ExpressionClassifier.probabilities": (
        classifier, {"counts": np.ones((3, 40)), "genes": [f"gene{i}" for i in range(40)]},
        {"counts": "array", "genes": "names"},
    ),
    "tl.ReferenceMap.without_cells": (
        lambda: sp.tl.ReferenceMap(np.ones((90, 2)), np.ones((90, 4)), np.ones(90), np.full(90, -1), (), None, "X"), {}, {"rng": "seed?"}
    ),
    "train.Importance.plus": (importance, {"earlier": importance()}, {"decay": "not negative"}),
}  # fmt: skip
#: Scores of one kind are compared, and plain values are read, by methods with tests of their own.
OTHERS = {"compared_with", "from_plain"}


def test_every_method_is_here():
    found = {
        f"{path}.{name}"
        for path in CLASSES
        if path.split(".")[0] in {"hub", "metrics", "pp", "tl"}
        for name, method in inspect.getmembers(resolve(path), inspect.isroutine)
        if not name.startswith("_") and (getattr(method, "__module__", None) or "").startswith("scarches_plus") and name not in OTHERS
        and set(inspect.signature(method).parameters) - {"self"}
    }  # fmt: skip
    assert found == {path for path in METHODS if not path.startswith("train.")}


@pytest.mark.parametrize("path", METHODS)
def test_methods(path):
    made, given, kinds = METHODS[path]
    found = complaints(getattr(made(), path.rpartition(".")[2]), given, kinds)
    assert not found, "\n".join(found)

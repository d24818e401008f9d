"""Methods of models refuse what makes no sense: by the argument's name, before any work."""

import inspect

import numpy as np
import pytest
import scvi
from small_models import MODALITIES, TOTALVI, network, setup, with_proteins
from wrong_arguments import complaints, things

import scarches_plus as sp

TRAIN = {"max_epochs": "few?", "batch_size": "size?", "penalties": "penalties", "engine": "choice",
    "module_mode": "choice?", "plan_kwargs": "options?", "train_size": "share?", "early_stopping": "flag",
    "enable_progress_bar": "flag", "early_stopping_patience": "size"}  # fmt: skip
PLAN = {"lr": "positive", "eps": "not negative", "weight_decay": "not negative", "n_epochs_kl_warmup": "count?",
    "n_steps_kl_warmup": "count?", "max_kl_weight": "not negative", "reduce_lr_on_plateau": "flag",
    "classification_ratio": "not negative", "schedule": "choice", "classifier_epochs": "size",
    "classifier_lr": "positive", "label_balance": "share"}  # fmt: skip
PLACE = {"dir_path": "path", "prefix": "name?"}
METHODS = {
    "load_query_data": (
        {"adata": None, "reference_model": None},
        {"adata": "cells", "reference_model": "model", "strategy": "choice", "shared_batches": "values", "layer": "name?", "batch_key": "name?",
         "train_reference_columns": "flag", "use_query_labels": "flag"},
    ),
    "take_cells": ({"adata": None}, {"adata": "cells"}),
    "embed": ({"adata": None}, {"adata": "cells", "layer": "name?", "batch_key": "name?"}),
    "save": ({"dir_path": "no_such_folder"}, {"dir_path": "path", "prefix": "name?", "overwrite": "flag"}),
    "label_differential_expression": (
        {},
        {"group1": "name or names?", "group2": "name?", "mode": "choice", "delta": "positive", "batchid1": "names?",
         "batchid2": "names?", "n_samples_overall": "few", "fdr_target": "share", "silent": "flag"},
    ),
    "predict": ({}, {"adata": "cells?", "soft": "flag", "unknown_above": "share?", "batch_size": "size?"}),
    "fit_classifier": ({}, {"steps": "size", "label_balance": "share"}),
    "own_penalties": ({}, {"penalties": "penalties"}),
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
    "inherit_memory": ({}, {"reference_model": "model"}),
    "inherited_training": ({}, {}),
    "forget": ({}, {}),
    "add_to_lineage": ({}, {"record": "mapping"}),
    "remember": ({}, {"importance": "source?", "anchors": "source?", "summaries": "mapping?"}),
    "load": ({"dir_path": "no_such_folder"}, {"dir_path": "path", "adata": "cells?", "prefix": "name?", "trust_pickle": "flag"}),
    "load_registry": ({"dir_path": "no_such_folder"}, PLACE),
    "view_setup_args": ({"dir_path": "no_such_folder"}, PLACE),
    "convert_legacy_save": (
        {"dir_path": "no_such_folder", "output_dir_path": "no_such_folder"},
        {**PLACE, "output_dir_path": "path", "overwrite": "flag"},
    ),
    "prepare_query_anndata": ({"adata": None, "reference_model": None}, {"adata": "cells", "reference_model": "model"}),
    "prepare_query_mudata": ({"mdata": None, "reference_model": None}, {"mdata": "cells", "reference_model": "model"}),
    "from_scvi_model": ({"unlabeled_category": "Unknown"}, {"scvi_model": "model"}),
    "predict_embedding": ({"embedding": np.ones((3, 4))}, {"embedding": "array"}),
    "predict_nodes": ({}, {"adata": "cells?", "batch_size": "size?"}),
}  # fmt: skip
#: Registrations of cells: those of their columns, and what is peculiar to a class.
COLUMNS = {"batch_key": "name?", "size_factor_key": "name?", "categorical_covariate_keys": "names?",
    "continuous_covariate_keys": "names?"}  # fmt: skip
SETUPS = {
    "SCVI": {**COLUMNS, "adata": "cells", "layer": "name?", "labels_key": "name?"},
    "SCANVI": {**COLUMNS, "adata": "cells", "layer": "name?", "labels_key": "name", "unlabeled_category": "name"},
    "TOTALVI": {**COLUMNS, "mdata": "cells", "rna_layer": "name?", "protein_layer": "name?", "modalities": "mapping"},
}


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
    given = {
        key: {"adata": adata, "mdata": adata, "reference_model": model}.get(key, value) for key, value in given.items()
    }
    found = complaints(getattr(model, name), given, kinds)
    assert not found, "\n".join(found)


def setup_arguments(name):
    adata = things()[0].copy()
    if name == "TOTALVI":
        return TOTALVI.setup_mudata, {"mdata": with_proteins(adata), "modalities": MODALITIES}
    labels = {"labels_key": "cell_type", "unlabeled_category": "Unknown"} if name == "SCANVI" else {}
    return getattr(sp.model, name).setup_anndata, {"adata": adata, **labels}


@pytest.mark.parametrize("name", SETUPS)
def test_registrations(name):
    register, given = setup_arguments(name)
    found = complaints(register, {**given, "batch_key": "batch"}, SETUPS[name])
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", SETUPS)
def test_registrations_by_position(name):
    """What scvi-tools takes by position is looked at like what is named."""
    register, given = setup_arguments(name)
    theirs = getattr(scvi.model, name).__dict__[register.__name__].__func__
    before = list(inspect.signature(theirs).parameters)[1:]
    before = [given.get(one) for one in before[: before.index("batch_key")]]
    with pytest.raises(TypeError, match="batch_key must be a name"):
        register(*before, 1)
    with pytest.raises(TypeError, match="got two values for batch_key"):
        register(*before, "batch", batch_key="batch")
    with pytest.raises(ValueError, match="are both 'batch'"):
        register(*before, "batch", categorical_covariate_keys=["batch"])


def test_methods_of_totalvi():
    mdata = with_proteins(things()[0])
    setup(TOTALVI, mdata)
    model = TOTALVI(mdata, **network(TOTALVI))
    found = complaints(model.train, {}, {**TRAIN, "adversarial_classifier": "flag?", "reduce_lr_on_plateau": "flag"})
    found += complaints(
        TOTALVI.load_query_data, {"adata": mdata, "reference_model": model},
        {"adata": "cells", "reference_model": "model", "strategy": "choice", "shared_batches": "values"},
    )  # fmt: skip
    found += complaints(TOTALVI.from_scvi_tools, {}, {"model": "model"})
    found += complaints(model.set_unmeasured_proteins, {}, {"unmeasured": "mapping"})
    found += complaints(model.embed, {"adata": mdata}, {"adata": "cells", "layer": "name?", "batch_key": "name?"})
    assert not found, "\n".join(found)
    assert not model.is_trained


def test_every_method_is_here():
    """``setup_anndata`` of totalVI always refuses, ``get_var_names`` is that of scvi-tools."""
    classes = (sp.model.SCVI, sp.model.SCANVI, TOTALVI)
    own = {
        name
        for cls in classes
        for name, method in inspect.getmembers(cls, inspect.isroutine)
        if not name.startswith("_") and (getattr(method, "__module__", None) or "").startswith("scarches_plus")
    }
    elsewhere = {
        "train",
        "setup_anndata",
        "setup_mudata",
        "from_scvi_tools",
        "set_unmeasured_proteins",
        "get_var_names",
    }
    assert own == {*METHODS, *elsewhere}

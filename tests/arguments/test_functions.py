"""Every argument of every public function refuses what makes no sense: by its name, before any work, leaving cells
alone.

A new parameter needs a kind in `argument_kinds.py`, else :func:`test_every_parameter_has_a_kind` fails.
"""

import inspect

import numpy as np
import pandas as pd
import pytest
from argument_kinds import KINDS, kind_of
from test_public_api import FUNCTIONS, resolve
from wrong_arguments import WRONG, complaints, things

import scarches_plus as sp


def valid(path):
    """Arguments that a function takes."""
    adata, model = things()
    picture = sp.tl.ReferenceMap(
        np.zeros((90, 2)), np.asarray(adata.obsm["X_scarches"]), np.ones(90, int), np.full(90, -1), (), None, "X_umap"
    )
    embedding, labels = np.asarray(adata.obsm["X_scarches"]), adata.obs["cell_type"].to_numpy()
    batches, tree = adata.obs["batch"].to_numpy(), {"type0": None, "type1": None, "type2": None}
    shares = np.linspace(0, 1, 90)
    vote = {"adata": adata, "reference": adata, "labels_key": "cell_type"}
    plain = {
        "adata": adata, "query": adata, "reference": adata, "model": model, "mapped": model, "what": model,
        "labels_key": "cell_type", "batch_key": "batch", "groupby": "batch", "rows": "cell_type", "columns": "batch",
        "genes": ["gene0"], "keys": ["batch"], "n": 2, "clusters": "cluster", "labels": labels, "predictions": labels,
        "embedding": embedding, "separate": embedding, "batches": batches, "ordering": shares, "proteins": embedding,
        "counts": embedding, "confidence": shares, "correct": shares > 0.5, "before": embedding, "after": embedding,
        "hierarchy": tree, "embeddings": ["X_scarches"], "var_names": list(adata.var_names), "adatas": [adata, adata],
        "markers": {"type0": ["gene0"], "type1": ["gene1"]}, "names": {"type0": "new"}, "table": {"gene0": "A"},
        "lengths": np.ones(adata.n_vars), "path": "no_such_folder", "bundle": "no_such_folder", "name": "no_such_model",
        "folder": "no_such_folder", "metric": sp.metrics.label_purity, "arguments": (labels,), "ks": (5, 10),
        "lineage": [{"drift": {"relative_rmsd": 0.0}}], "queries": ["no_such.h5ad"], "out": "no_such_folder", "n_steps": 10, "longest": 5, "fewest": 2,
        "reference_map": picture, "explanation": pd.DataFrame(), "summary": pd.DataFrame(), "curve": pd.DataFrame(), "report": sp.metrics.Report(pd.DataFrame(), pd.DataFrame()),
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
        "pp.harmonize_labels": {"labels": {"a": labels}},
        "pp.select_genes": {"n": 20},
        "pp.write_store": {"keys": ["a", "b"], "columns": ["batch"], "out": "no_such.zarr"},
        **{path: {"table": pd.DataFrame()} for path in ("pl.abundance", "pl.differential_expression")},
        "pl.label_summary": {"summary": pd.DataFrame()},
        "tl.cluster_table": {"columns": ["batch"]},
        "pp.map_gene_ids": {"columns": None},
        "pp.map_orthologs": {"columns": None},
        "tl.conserved_clusters": {"by": "batch", "spans": "clade_1", "cluster_key": "cell_type"},
        "tl.label_similarity": dict.fromkeys(
            ("first", "second"), sp.tl.label_profiles(adata, "cell_type", "batch", min_cells=2)
        ),
        "tl.annotate": {"labels_key": "cell_type", "batch_key": "batch"},
        "tl.assess_reference": {"batch_key": "batch", "labels_key": "cell_type"},
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


def looks(adata):
    return {name: list(getattr(adata, name)) for name in ("obs", "var", "obsm", "varm", "uns", "layers")} | {
        "record": repr(adata.uns.get("scarches_plus"))
    }


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

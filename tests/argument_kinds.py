"""What public functions take: each parameter is of a kind, and `wrong_arguments.py` has values that are wrong for
it.
"""

#: Parameter, or function and parameter, to its kind. A kind that ends in "?" takes ``None``, too.
KINDS = {
    "adata": "cells", "reference": "cells", "query": "cells", "model": "model", "hierarchy": "mapping",
    "drift_cells": "cells?", "mapped": "model", "path": "path", "bundle": "path", "folder": "path", "index": "paths",
    "name": "name", "cache_dir": "path?", "what": "model", "prefix": "name?", "token": None,
    "labels_key": "name", "batch_key": "name", "layer": "name?", "use_rep": "name", "unknown_category": "name",
    "unlabeled_category": "name", "groupby": "name", "novel_key": "name?", "sample_key": "name?", "role_key": "name",
    "key": "name", "predictions": "name?", "predicted_key": "name?", "uncertainty_key": "name?", "cluster_key": "name",
    "reference_layer": "name?", "protein_key": "name?", "before": "name?", "rows": "name", "columns": "name", "key_added": "slot",
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
    "min_other_share": "share?", "min_share": "share", "tail": "share", "prior": "positive",
    "radius": "positive", "reference_std_factor": "positive", "max_enrichment": "positive?", "size": "positive?",
    "inverse_dispersion": "positive", "mean_depth": "positive", "min_total": "not negative", "decay": "not negative",
    "type_effect": "not negative", "batch_effect": "not negative", "depth_effect": "not negative", "seed": "seed",
    "rng": "seed?", "kernel": "choice", "method": "choice", "strategy": "choice", "engine": "choice",
    "on_problem": "choice", "estimator": "choice", "backend": "choice", "cells": "choice", "many_to_one": "choice",
    "one_to_many": "choice", "unmapped": "choice", "recipe": "choice", "shared_batches": "values",
    "categorical_covariate_keys": "names", "continuous_covariate_keys": "names", "var_names": "names",
    "groups": "values?", "unlabelled": "values?", "known_labels": "values?", "clades": "sizes", "ks": "sizes",
    "genes": "name or names", "keys": "name or names", "clusters": "name or names", "labels": "labels",
    "embeddings": "name or names", "color": "name or names", "creators": "name or names", "include": "name or names",
    "embedding": "array", "separate": "array?", "among": "choice", "batches": "labels", "ordering": "array",
    "proteins": "array",
    "counts": "array", "neighbors": "array?", "protein_neighbors": "array?", "confidence": "array", "correct": "array",
    "uncertainty": "array?", "after": "array", "metric": "model", "arguments": "values", "uploads": "values",
    "reference_mask": "array?", "names": "mapping", "markers": "mapping", "parents": "mapping?", "min_values": "mapping?",
    "type_shares": "mapping?", "missing_types": "mapping?", "trajectories": "mapping?", "calibration": "mapping?",
    "mirrors": "mapping?", "card": "mapping?", "plan_kwargs": "options?", "train_kwargs": "options?",
    "model_kwargs": "options?", "penalties": "penalties", "explanation": "table", "curve": "table", "report": "table",
    "lineage": "values", "table": "source", "lengths": "model", "gene_mask": "choice?", "ax": "axes?", "axes": "axes?",
    "cmap": None, "new_version_of": "name?", "adatas": "values",
    # where a name means something else
    "cluster_agreement.labels": "name or names", "cluster_table.columns": "name or names", "label_tree.columns": "names",
    "label_tree.keep": "names?", "label_tree.source": "source", "map_gene_ids.columns": "names?",
    "map_orthologs.columns": "names?", "map_orthologs.table": "source?", "concat_studies.keys": "values?", "write_store.keys": "values?", "write_store.adatas": "paths", "write_store.columns": "names?", "build_reference.adata": "model",
    "transfer_labels.labels_key": "column and slot", "summarize_reference.labels_key": "column and slot",
    "transfer_labels.reference": "model", "annotate.reference": "model", "annotate.labels_key": "name?", "annotate.batch_key": "name?",
    "annotate.key_added": "slot?", "annotate.hierarchy": "mapping?", "transfer_labels.classifier": "mapping?", "explain_labels.classifier": "model?", "expression_classifier.batch_key": "name?",
    "expression_classifier.use_rep": "name?", "reference_summary.use_rep": "name?", "save_bundle.summary": None, "detect_novel.reference": "model", "detect_novel.labels_key": "name?",
    "detect_novel.batch_key": "name?", "differential_abundance.groupby": "name?", "build_reference.labels_key": "name?",
    "build_reference.penalties": "penalties?", "map_query.penalties": "penalties?", "map_query.batch_key": "name?", "embed.batch_key": "name?",
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
        (f"{one}.rng" for one in ("annotate", "reference_summary", "detect_novel", "expression_classifier", "extend_reference", "evaluate", "summarize_reference")),
        "seed",
    ),
    "build_reference.hierarchy": "mapping?", "transfer_labels.hierarchy": "mapping?", "evaluate.reference_mask": "model?",
    "load.adata": "cells?", "load.accelerator": "name", "load.device": None, "known": "flag", "with_cells": "flag", "store_anchors.n_cells": "size",
    "check_query.model": "model?", "match_gene_names.reference": "model",
    "map_gene_ids.to": "choice?", "map_gene_ids.species": "choice?", "map_gene_ids.table": "source?",
    "map_gene_ids.many_to_one": "choice?", "map_orthologs.to": "choice?", "map_orthologs.many_to_one": "choice?",
    "label_tree.unlabeled_category": "name", "write_index.uploads": "values",
    "references": "paths", "host": "name", "port": "count", "allowed_hosts": "names", "upload_bytes": "size",
    "open_browser": "flag", "tell": None,
    "reference_map": "model", "presence.reference": "model", "presence.labels_key": "name?", "basis": "name", "reference_summary.basis": "name?", "parametric": "flag",
    "queries": "paths", "out": "path", "client": None, "n_jobs": "size?", "n_threads": "size", "modality": "name?",
    "map_many.labels_key": "name?", "map_many.batch_key": "name?", "map_many.hierarchy": "mapping?",
    "tl.reference_map.labels_key": "name?", "pl.reference_map.query": "cells?", "pl.reference_map.color": "name?",
}  # fmt: skip


def kind_of(path, name):
    function = path.split(".")[1]
    for key in (f"{path}.{name}", f"{function}.{name}", name):
        if key in KINDS:
            return KINDS[key]
    message = f"say in KINDS what {path} takes for {name}"
    raise KeyError(message)

"""What the surgery benchmarks share: data, scores, intervals."""

from __future__ import annotations

import csv
import logging
import os
import warnings
from typing import TYPE_CHECKING

import anndata
import numpy as np
import scanpy as sc
import torch
from scipy import stats

import scarches_plus as sp

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

QUIET = {"enable_progress_bar": False}


def quiet() -> None:
    """Let the tables stand alone."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def split(path: Path, query_batches: list[str], n_genes: int | None = None) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Return reference and query, on the genes that vary most in the reference (by dispersion of log counts)."""
    adata = anndata.read_h5ad(path)
    query = adata.obs["batch"].isin(query_batches).to_numpy()
    if not query.any() or query.all():
        message = f"--query must name some of {sorted(adata.obs['batch'].unique())}"
        raise SystemExit(message)
    reference, query = adata[~query].copy(), adata[query].copy()
    if n_genes is not None and n_genes < adata.n_vars:
        normalized = sc.pp.normalize_total(reference, target_sum=1e4, copy=True)
        sc.pp.log1p(normalized)
        sc.pp.highly_variable_genes(normalized, n_top_genes=n_genes)
        chosen = normalized.var["highly_variable"].to_numpy()
        reference, query = reference[:, chosen].copy(), query[:, chosen].copy()
    return reference, query


def with_embedding(adata: anndata.AnnData, embedding: np.ndarray) -> anndata.AnnData:
    """Return the cells with an embedding of unknown space, so that any two can be compared."""
    return anndata.AnnData(obs=adata.obs.copy(), obsm={"X": embedding})


def scores(reference: anndata.AnnData, query: anndata.AnnData, z_reference: np.ndarray, z_query: np.ndarray) -> dict:
    """Score an embedding by label transfer (k = 50, the paper's kernel) and by mixing of batches."""
    ref, mapped = with_embedding(reference, z_reference), with_embedding(query, z_query)
    sp.tl.transfer_labels(mapped, ref, "cell_type", use_rep="X", unknown_above=None)
    known = ref.obs["cell_type"].astype(str).unique()
    labels, uncertainty = mapped.obs["cell_type"].astype(str), mapped.obs["cell_type_uncertainty"]
    report = sp.metrics.label_transfer_report(
        labels, mapped.obs["cell_type_pred"].astype(str), uncertainty, known_labels=known
    )
    joint = np.concatenate([z_reference, z_query])
    batches = np.concatenate([reference.obs["batch"].astype(str), query.obs["batch"].astype(str)])
    rejected = (uncertainty > 0.5).to_numpy()
    is_known = labels.isin(known).to_numpy()
    return {
        "accuracy": report.accuracy,
        "weighted_accuracy": report.weighted_accuracy,
        "auroc": report.auroc_unseen,
        "ebm_k15": sp.metrics.entropy_batch_mixing(joint, batches, k=15, normalize=True),
        "ebm_k50": sp.metrics.entropy_batch_mixing(joint, batches, k=50, normalize=True),
        "unknown_known": rejected[is_known].mean(),
        "unknown_unseen": rejected[~is_known].mean() if (~is_known).any() else np.nan,
    }


def append(results: Path, row: dict) -> None:
    """Print the first values of a run and add it to a table of runs."""
    shown = list(row.items())[:20]
    print({name: round(value, 4) if isinstance(value, float) else value for name, value in shown}, flush=True)
    new = not results.exists()
    with results.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of paired differences with its 95 % interval (Student's t)."""
    differences = np.asarray(differences, dtype=float)
    mean = differences.mean()
    half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences))
    return mean, mean - half, mean + half


def show(table: pd.DataFrame, title: str) -> None:
    print(f"\n{title}\n{table.to_string(float_format='{:.4f}'.format)}", flush=True)

"""Parse arguments, read cells, train models, print and assert claims, for all experiments.

A script offers ``run(options)``, which measures once, for ``options.seed``, and returns a table and its claims.
``main`` runs it for every seed, prints both, and exits with 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd
import scanpy as sc
import scvi
import torch

import scarches_plus as sp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE, IDENTITY = "package", "identity"
QUIET = {"enable_progress_bar": False}


@dataclass(frozen=True)
class Claim:
    """A statement of a paper as a number that has to exceed a margin.

    Parameters
    ----------
    statement
        What the paper says.
    effect
        How large it is here: a difference in the paper's direction, or a score.
    margin
        What it has to exceed, in each seed; the README says what the seeds gave.
    paper
        The paper's figure, if it prints one.
    asserted
        False for what does not hold here, or says little: it is shown, and fails nothing.
    """

    statement: str
    effect: float
    margin: float = 0.0
    paper: str = ""
    asserted: bool = True

    @property
    def holds(self) -> bool:
        return bool(self.effect > self.margin)


class ClaimError(AssertionError):
    """A claim that is asserted does not hold."""


def options_of(
    arguments: dict[str, dict[str, Any]] | None = None,
    given: list[str] | None = None,
    doc: str = "",
    *,
    takes_data: bool = True,
):
    """Read the command line: what all scripts take, and arguments of one's own."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="simulated or packaged cells (the default without --data)")
    parser.add_argument("--data", help="a name in sp.datasets, or an h5ad file with counts in X or layers['counts']")
    parser.add_argument("--method", choices=[PACKAGE, IDENTITY], default=PACKAGE,
                        help="identity puts a method that does nothing in the package's place: claims must fail")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="of each training, instead of the script's")
    for name, details in (arguments or {}).items():
        parser.add_argument(name, **details)
    options = parser.parse_args(given)
    if options.small and options.data:
        parser.error("--small and --data exclude each other")
    if options.data and not takes_data:
        parser.error("this script has no mode for real cells; leave out --data")
    options.small = options.data is None
    options.seed = options.seeds[0]
    return options


def measure(run: Callable, options: argparse.Namespace) -> tuple[pd.DataFrame, list[list[Claim]]]:
    """Run for every seed; return the tables one below the other and the claims of each seed."""
    tables, claims = [], []
    for seed in options.seeds:
        options.seed = seed
        with quiet():
            table, found = run(options)
        tables.append(table.assign(seed=seed) if len(options.seeds) > 1 else table)
        claims.append(found)
    return pd.concat(tables, ignore_index=True), claims


def require(claims: list[list[Claim]]) -> None:
    """Raise if an asserted claim does not hold in some seed."""
    failed = {
        one.statement: f"{one.effect:.3f} is not above {one.margin:g}"
        for of_seed in claims
        for one in of_seed
        if one.asserted and not one.holds
    }
    if failed:
        raise ClaimError("; ".join(f"{statement}: {why}" for statement, why in failed.items()))


def summary(claims: list[list[Claim]]) -> pd.DataFrame:
    """Return a row for each claim: mean and lowest effect over the seeds, margin, whether it holds."""
    rows = []
    for same in zip(*claims, strict=True):
        effects = [one.effect for one in same]
        held = sum(one.holds for one in same)
        if same[0].asserted:
            verdict = "holds" if held == len(same) else "FAILS"
        else:
            some = "holds, not asserted" if held == len(same) else "not in every seed"
            verdict = some if held else "does not hold here"
        rows.append(
            {
                "claim": same[0].statement,
                "paper": same[0].paper,
                "effect": np.mean(effects),
                "lowest": np.min(effects),
                "margin": same[0].margin,
                "": verdict,
            }
        )
    return pd.DataFrame(rows)


def main(
    run: Callable, doc: str, arguments: dict[str, dict[str, Any]] | None = None, *, takes_data: bool = True
) -> None:
    """Run a script from the command line."""
    options = options_of(arguments, doc=doc, takes_data=takes_data)
    start = time.perf_counter()
    table, claims = measure(run, options)
    print(f"{doc.partition(chr(10))[0]}\nmethod: {options.method}, cells: {options.data or 'simulated or packaged'}\n")
    print(table.to_string(index=False, float_format="{:.3f}".format))
    print(f"\n{summary(claims).to_string(index=False, float_format='{:.3f}'.format)}")
    print(f"\n{time.perf_counter() - start:.0f} s", flush=True)
    try:
        require(claims)
    except ClaimError as error:
        sys.exit(f"claims that do not hold: {error}")


@contextmanager
def quiet() -> Iterator[None]:
    """Let the tables stand alone."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def read(data: str, n_genes: int | None = 2000) -> anndata.AnnData:
    """Read cells with ``obs["batch"]`` and ``obs["cell_type"]``, counts into X, on genes that vary most."""
    if data in sp.datasets.__all__:
        adata = getattr(sp.datasets, data)()
        adata = sp.pp.concat_studies(adata) if isinstance(adata, dict) else adata
    else:
        adata = anndata.read_h5ad(data)
    if "counts" in adata.layers:
        adata.X = adata.layers["counts"].copy()
    if lacking := {"batch", "cell_type"} - set(adata.obs):
        raise SystemExit(f"{data} has no obs columns {sorted(lacking)}; see experiments/README.md")
    return adata if n_genes is None else adata[:, most_variable(adata, n_genes)].copy()


def most_variable(adata: anndata.AnnData, n_genes: int = 2000) -> list[str]:
    """Return the names of the genes that vary most, in their order."""
    if n_genes >= adata.n_vars:
        return list(adata.var_names)
    logged = log_normalized(adata)
    sc.pp.highly_variable_genes(logged, n_top_genes=n_genes)
    return list(adata.var_names[logged.var["highly_variable"].to_numpy()])


def log_normalized(adata: anndata.AnnData) -> anndata.AnnData:
    """Return a copy with log(1 + counts per 10,000)."""
    logged = sc.pp.normalize_total(adata, target_sum=1e4, copy=True)
    sc.pp.log1p(logged)
    return logged


def as_they_are(*parts: anndata.AnnData) -> list[np.ndarray]:
    """Embed cells without any integration, by 10 principal components of log counts: the identity."""
    joined = anndata.concat(parts, index_unique="-")
    scores = sc.pp.pca(log_normalized(joined).X, n_comps=10, random_state=0)
    return np.split(scores, np.cumsum([part.n_obs for part in parts])[:-1])


def begin(seed: int) -> None:
    """Seed a training, and give torch one thread unless OMP_NUM_THREADS says otherwise.

    numba, which scanpy and pynndescent use, raises torch's threads through the OpenMP library that both share.
    """
    scvi.settings.seed = seed
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def reference(adata: anndata.AnnData, labels_key: str | None = None, *, seed: int, epochs: int, **options: Any):
    """Train a reference; its embedding is in ``obsm["X_scarches"]``."""
    begin(seed)
    return sp.tl.build_reference(adata, "batch", labels_key, max_epochs=epochs, train_kwargs=QUIET, **options)


def mapped(query: anndata.AnnData, model: Any, *, seed: int, epochs: int, **options: Any):
    """Map a query; its embedding is in ``obsm["X_scarches"]``."""
    begin(seed)
    return sp.tl.map_query(query, model, max_epochs=epochs, train_kwargs=QUIET, **options)


def with_embedding(adata: anndata.AnnData, embedding: np.ndarray) -> anndata.AnnData:
    """Return the cells with an embedding, so that any two can be compared."""
    return anndata.AnnData(obs=adata.obs.copy(), obsm={"X": np.asarray(embedding)})


def labels_of(adata: anndata.AnnData, key: str = "cell_type") -> np.ndarray:
    return adata.obs[key].astype(str).to_numpy()


def split(adata: anndata.AnnData, batches: list[str]) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Return the cells of other batches, and those of these."""
    chosen = adata.obs["batch"].isin(batches).to_numpy()
    if not chosen.any() or chosen.all():
        raise SystemExit(f"name some of the batches {sorted(map(str, adata.obs['batch'].unique()))}")
    return adata[~chosen].copy(), adata[chosen].copy()

"""Make open-set scenarios: a reference, a query, and what the reference lacks.

A task is a pair of a reference and a query from another batch, study or species. Its scenarios withhold types from the
reference, change which cells the query has, or cut the genes. Tasks, not scenarios, are split into two halves: ``look``
for development and ``final``, opened once at the end.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import anndata
import numpy as np
import scanpy as sc

import scarches_plus as sp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SYM, KANG = ["sym_3pv1", "sym_3pv2", "sym_5p"], ["kang_ctrl", "kang_stim"]
DONORS = ["donor_101", "donor_107", "donor_1039"]
C1, SMART, INDROP = "FluidigmC1_Lawlor", "SmartSeq2_Segerstolpe", "inDrop_Baron"
#: Types of the mouse that human islets have under another name.
HUMAN_NAMES = {"activated_stellate": "activated_stellate", "quiescent_stellate": "quiescent_stellate"}
#: Most cells of a reference and of a query.
MOST = 2500, 1500
#: A withheld type needs so many cells in the query.
FEWEST = 20


@dataclass(frozen=True)
class Task:
    """A reference and a query of other batches; ``half`` is ``look`` or ``final``."""

    name: str
    half: str
    setting: str
    make: Callable[[Path], tuple[anndata.AnnData, anndata.AnnData]]


@dataclass(frozen=True)
class Scenario:
    """Hold reference and query of one test; ``obs["cell_type"]`` of the query is the truth."""

    task: str
    half: str
    family: str
    detail: str
    reference: anndata.AnnData
    query: anndata.AnnData

    @property
    def name(self) -> str:
        return f"{self.task} | {self.family} | {self.detail}"

    @property
    def unseen(self) -> np.ndarray:
        return ~self.query.obs["cell_type"].isin(set(self.reference.obs["cell_type"])).to_numpy()


@cache
def _read(path: Path) -> anndata.AnnData:
    adata = anndata.read_h5ad(path)
    adata = adata[(adata.obs["cell_type"].astype(str) != "Unknown").to_numpy()].copy()
    adata.obs = adata.obs[["cell_type", "batch"]].astype(str)
    adata.obs_names_make_unique()
    return adata


def _batches(file: str, query: list[str], reference: list[str] | None = None):
    def make(data_dir: Path):
        adata = _read(data_dir / file)
        in_query = adata.obs["batch"].isin(query).to_numpy()
        kept = ~in_query if reference is None else adata.obs["batch"].isin(reference).to_numpy()
        return adata[kept].copy(), adata[in_query].copy()

    return make


def _simulated(shift: float, seed: int):
    def make(_: Path):
        adata = sp.datasets.simulate(2400, 1000, 8, n_batches=3, batch_effect=shift, rng=seed)
        adata.obs = adata.obs[["cell_type", "batch"]].astype(str)
        query = (adata.obs["batch"] == "batch2").to_numpy()
        return adata[~query].copy(), adata[query].copy()

    return make


def _lanes(data_dir: Path):
    adata = sp.datasets.pbmc68k()
    adata.obs = adata.obs[["cell_type", "batch"]].astype(str)
    query = adata.obs["batch"].isin(["lane6", "lane7", "lane8"]).to_numpy()
    return adata[~query].copy(), adata[query].copy()


def _halves(file: str):
    """Split cells of one batch at random; the query's counts are thinned to a half."""

    def make(data_dir: Path):
        adata, rng = _read(data_dir / file), np.random.default_rng(0)
        query = rng.random(adata.n_obs) < 0.5
        second = adata[query].copy()
        second.X.data = rng.binomial(second.X.data.astype(int), 0.5).astype(np.float32)
        second.X.eliminate_zeros()
        return adata[~query].copy(), second

    return make


def _species(human_batches: list[str], to: str):
    """Human and mouse islets on genes of one name; types of one name are the same."""

    def make(data_dir: Path):
        human, mouse = _read(data_dir / "islets_3tech_plus.h5ad"), _read(data_dir / "baron_mouse.h5ad").copy()
        human = human[human.obs["batch"].isin(human_batches).to_numpy()].copy()
        mouse.var_names = mouse.var_names.str.upper()
        mouse.var_names_make_unique()
        return (human, mouse) if to == "mouse" else (mouse, human)

    return make


ISLETS, DEMO, PBMC6, PBMC3 = "islets_3tech_plus.h5ad", "demo_islets.h5ad", "pbmc_6batch.h5ad", "pbmc_3batch.h5ad"
EIGHT, MOUSE, KANG1 = "kang_ctrl_8donors.h5ad", "baron_mouse.h5ad", "kang_ifnb1k.h5ad"
TASKS = (
    Task("islets to inDrop", "look", "technology", _batches(ISLETS, [INDROP])),
    Task("islets to C1", "look", "technology", _batches(DEMO, [C1])),
    Task("PBMC 3' to 5'", "look", "batch", _batches(PBMC6, ["sym_5p"], ["pbmc3k", "sym_3pv1", "sym_3pv2"])),
    Task("10x to Kang", "look", "study", _batches(PBMC6, KANG)),
    Task("donors", "look", "batch", _batches(EIGHT, DONORS)),
    Task("mouse 1 to 2", "look", "one batch", _batches(MOUSE, ["mouse2"])),
    Task("control to stimulated", "look", "one batch", _batches(KANG1, ["stim"])),
    Task("simulated 0.6", "look", "simulated", _simulated(0.6, 0)),
    Task("human to mouse", "look", "species", _species([INDROP, SMART, C1], "mouse")),
    Task("islets to Smart-seq2", "final", "technology", _batches(ISLETS, [SMART])),
    Task("PBMC to 3k", "final", "batch", _batches(PBMC6, ["pbmc3k"], [*SYM, "kang_ctrl"])),
    Task("Kang to 10x", "final", "study", _batches(PBMC6, SYM, KANG)),
    Task("PBMC stimulated", "final", "study", _batches(PBMC3, ["kang_stim"])),
    Task("two donors", "final", "batch", _batches(EIGHT, ["donor_1015", "donor_1256"], [*DONORS, "donor_1244"])),
    Task("mouse 2 to 1", "final", "one batch", _batches(MOUSE, ["mouse1"])),
    Task("endocrinogenesis", "final", "one batch", _halves("endocrinogenesis739.h5ad")),
    Task("lanes", "final", "batch", _lanes),
    Task("simulated 1.0", "final", "simulated", _simulated(1.0, 7)),
    Task("simulated 0.3", "final", "simulated", _simulated(0.3, 8)),
    Task("mouse to human", "final", "species", _species([INDROP, SMART], "human")),
)  # fmt: skip


def scenarios(data_dir: Path, half: str | None = None, tasks: list[str] | None = None) -> Iterator[Scenario]:
    """Yield the scenarios of some tasks; simulated cells and pbmc68k need no data."""
    for task in TASKS:
        if (half is None or task.half == half) and (tasks is None or task.name in tasks):
            reference, query = (_at_most(one, most) for one, most in zip(task.make(data_dir), MOST, strict=True))
            yield from _of_task(task, reference, query)


def _at_most(adata: anndata.AnnData, most: int) -> anndata.AnnData:
    rows = np.sort(np.random.default_rng(0).permutation(adata.n_obs)[:most])
    adata = adata[rows].copy()
    adata.X = adata.X.astype(np.float32)
    return adata


def _of_task(task: Task, reference: anndata.AnnData, query: anndata.AnnData) -> Iterator[Scenario]:
    rng = np.random.default_rng(zlib.crc32(task.name.encode()))
    truth = query.obs["cell_type"].to_numpy()
    in_reference = reference.obs["cell_type"].value_counts()
    sizes = query.obs["cell_type"].value_counts()
    known = [one for one in sizes.index if in_reference.get(one, 0) >= FEWEST]
    large = [one for one in known if sizes[one] >= FEWEST]

    def scenario(family, detail, rows=None, without=(), genes=None):
        rows = np.arange(query.n_obs) if rows is None else np.sort(rows)
        kept = reference[~reference.obs["cell_type"].isin(without).to_numpy()]
        cells = query[rows]
        if genes is not None:
            kept = kept[:, genes]
            cells = cells[:, np.isin(query.var_names, kept.var_names)]
        return Scenario(task.name, task.half, family, detail, kept.copy(), cells.copy())

    only_known = np.flatnonzero(np.isin(truth, in_reference.index))
    if len(only_known) < query.n_obs:
        yield scenario("natural unseen", "as they are")
    yield scenario("nothing unseen", "all types", only_known)
    enough = len(known) > 2
    if enough:
        for one in large:
            yield scenario("a type withheld", one, without=[one])
    some = list(rng.permutation(large)[:3])
    of_some = np.flatnonzero(np.isin(truth, some))
    if len(known) > 3:
        yield scenario("few types", f"only {', '.join(some)}", of_some)
        yield scenario("few types", f"only {', '.join(some)}; {some[0]} withheld", of_some, without=[some[0]])
    for n in (20, 50, 200):
        yield scenario("few cells", f"{n}, nothing unseen", rng.permutation(only_known)[:n])
    hidden = some[0]
    rest, of_hidden = only_known[truth[only_known] != hidden], np.flatnonzero(truth == hidden)
    if enough:
        rows = np.concatenate([rng.permutation(rest)[:160], rng.permutation(of_hidden)[:40]])
        yield scenario("few cells", f"{len(rows)}, {hidden} withheld", rows, without=[hidden])
        for share in (0.01, 0.05, 0.3, 0.6):
            yield scenario(
                "shares",
                f"{share:.0%} {hidden} withheld",
                _mixed(rest, of_hidden, share, rng),
                without=[hidden],
            )
    for one in large[:2]:
        rows = np.flatnonzero(truth == one)
        yield scenario("one type", f"{one} known", rows)
        if enough:
            yield scenario("one type", f"{one} withheld", rows, without=[one])
    variable = _by_variance(reference)
    for n in (300, 500, 1000):
        if n < reference.n_vars - 200:
            yield scenario(
                "panels", f"{n} genes, nothing unseen", rng.permutation(only_known)[:500], genes=variable[:n]
            )
            if enough:
                rows = np.concatenate([rng.permutation(rest)[:400], rng.permutation(of_hidden)[:100]])
                yield scenario("panels", f"{n} genes, {hidden} withheld", rows, without=[hidden], genes=variable[:n])
    if reference.n_vars > 4000 and enough:
        for one in large[:3]:
            yield scenario("variable genes", f"2000 genes, {one} withheld", without=[one], genes=variable[:2000])


def _mixed(rest: np.ndarray, hidden: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return as many rows as there are at hand such that this share of them is hidden."""
    n = min(len(rest) / (1 - share), len(hidden) / share)
    return np.concatenate(
        [
            rng.permutation(rest)[: round(n * (1 - share))],
            rng.permutation(hidden)[: max(1, round(n * share))],
        ]
    )


def _by_variance(reference: anndata.AnnData) -> np.ndarray:
    """Return names of genes, those that vary most in the reference first."""
    normalized = reference.copy()
    sc.pp.normalize_total(normalized, target_sum=1e4)
    sc.pp.log1p(normalized)
    sc.pp.highly_variable_genes(normalized)
    return normalized.var["dispersions_norm"].fillna(-np.inf).sort_values(ascending=False, kind="stable").index

"""Join studies on their genes: check them, find common genes and columns, and read their counts on these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd
from anndata import AnnData, concat
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from scarches_plus import _arguments as check
from scarches_plus._cells import (
    CountsOnDisk,
    StackedCounts,
    counts_layer,
    is_in_memory,
    measured_genes,
    names_of,
    row_blocks,
    stored_counts,
)
from scarches_plus._logging import logger
from scarches_plus.pp._checks._counts import check_counts
from scarches_plus.pp._genes._match import other_names
from scarches_plus.pp._genes._names import as_text
from scarches_plus.pp._query_report import QueryError

from ._open_studies import open_studies

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Cells of which values are counted where the file does not say.
_SAMPLED = 64


@dataclass(frozen=True)
class JoinedStudies:
    """Cells of several studies on the genes that they keep.

    Attributes
    ----------
    obs
        Columns of all cells, studies one after the other.
    study_key
        Column of ``obs`` that names the study.
    measured
        Which study measured which gene: boolean, genes x studies.
    """

    obs: pd.DataFrame
    study_key: str
    measured: pd.DataFrame
    _matrices: tuple[tuple[pd.Index, Any], ...]

    @property
    def dtype(self) -> np.dtype:
        """Type of the counts."""
        return np.result_type(*(counts.dtype for _, counts in self._matrices))

    @property
    def values_of_cell(self) -> float:
        """Stored values of a cell, on the mean of all."""
        return sum(_n_values(counts) for _, counts in self._matrices) / len(self.obs)

    def counts(self) -> sparse.csr_matrix | CountsOnDisk:
        """Return the counts of all cells in order: in memory if those of every study are, else read on demand."""
        if all(is_in_memory(counts) for _, counts in self._matrices):
            return sparse.vstack(list(self.blocks()), format="csr")
        genes = self.measured.index
        parts = [_readable(counts).on_genes(names.get_indexer(genes)) for names, counts in self._matrices]
        return CountsOnDisk(StackedCounts(parts))

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Read the counts of all cells in order, some at a time: zero where a study lacks a gene."""
        genes = self.measured.index
        for names, counts in self._matrices:
            position = genes.get_indexer(names)
            for block in row_blocks(counts):
                yield _on_genes(sparse.csr_matrix(block), position, len(genes))


def join_studies(
    adatas: Any, *, keys: Sequence[str] | None, study_key: str, min_studies: int, layer: str | None, stacklevel: int
) -> JoinedStudies:
    """Check studies and join them, as :func:`scarches_plus.pp.concat_studies` takes and describes them.

    Parameters
    ----------
    adatas, keys, study_key, min_studies, layer
        As in :func:`scarches_plus.pp.concat_studies`.
    stacklevel
        Of warnings; 2 is the caller.
    """
    check.slot("study_key", study_key)
    check.texts_or_none(layer=layer)
    studies = open_studies(adatas, keys, study_key=study_key, layer=layer)
    min_studies = check.whole("min_studies", min_studies, least=1, most=len(studies))
    for name, study in studies.items():
        _check_study(name, study, study_key, layer, stacklevel + 1)
    _check_names(studies, stacklevel + 1)
    measured = _measured(studies)
    measured = measured[measured.sum(axis=1) >= min_studies]
    _check_overlap(measured, min_studies)
    # without a value, a column would only blur the type that it has elsewhere
    cells = {name: AnnData(obs=study.obs.dropna(axis=1, how="all")) for name, study in studies.items()}
    obs = concat(cells, join="outer", label=study_key, index_unique="-" if _names_clash(studies) else None).obs
    source = counts_layer(layer, None)
    matrices = tuple((study.var_names, stored_counts(study, source)) for study in studies.values())
    logger.info(
        "joined %d studies: %d cells, %d genes, of which all measured %d",
        len(studies), len(obs), len(measured), measured.all(axis=1).sum(),
    )  # fmt: skip
    return JoinedStudies(obs, study_key, measured, matrices)


def _check_study(name: str, study: AnnData, study_key: str, layer: str | None, stacklevel: int) -> None:
    check.cells(f"study {name!r}", study)
    if study.n_obs == 0:
        message = f"study {name!r} has no cells; leave it out"
        raise ValueError(message)
    for what, names in (("genes", study.var_names), ("cells", study.obs_names)):
        if not names.is_unique:
            axis = "var" if what == "genes" else "obs"
            message = (
                f"names of {what} of study {name!r} are not unique, for example "
                f"{names[names.duplicated()][:3].tolist()}; sum or rename them (adata.{axis}_names_make_unique())"
            )
            raise ValueError(message)
    if study_key in study.obs and not (names_of(study.obs[study_key]) == name).all():
        message = (
            f"obs[{study_key!r}] of study {name!r} holds other names already: pass another study_key (of "
            "sp.pp.concat_studies, whose result is taken wherever cells are)"
        )
        raise ValueError(message)
    for problem in check_counts(study, counts_layer(layer, None), empty=None):
        message = f"study {name!r}: {problem}"
        if problem.severity != "warning":
            raise QueryError(message)
        warn(message, UserWarning, stacklevel=stacklevel)


def _check_names(studies: Mapping[str, AnnData], stacklevel: int) -> None:
    """Warn of studies that have genes of those before them under other names, which would become genes of their own."""
    before: dict[str, None] = {}
    for name, study in studies.items():
        names = as_text(study.var_names)
        if "" in names:
            message = (
                f"{names.count('')} genes of study {name!r} have no name; leave them out: adata[:, "
                "adata.var_names.notna() & (adata.var_names != '')]"
            )
            raise ValueError(message)
        if before:
            said = other_names(names, before, "sp.pp.match_gene_names(adata, names), with the names of the others")
            if said:
                warn(f"genes of study {name!r} would be joined as others{said}", UserWarning, stacklevel=stacklevel)
        before.update(dict.fromkeys(names))


def _measured(studies: Mapping[str, AnnData]) -> pd.DataFrame:
    """Return which study measured which gene: boolean, all genes in the order of the studies x studies."""
    own = {}
    for name, study in studies.items():
        recorded = measured_genes(study, np.full(study.n_obs, name))
        own[name] = study.var_names if recorded is None else study.var_names[recorded[name]]
    genes = pd.Index(dict.fromkeys(gene for names in own.values() for gene in names), dtype=str)
    return pd.DataFrame({name: genes.isin(names) for name, names in own.items()}, index=genes)


def _check_overlap(measured: pd.DataFrame, min_studies: int) -> None:
    lacking = measured.columns[~measured.any()].tolist()
    if lacking:
        message = f"no gene of studies {lacking[:5]} was measured by {min_studies} studies (min_studies) or more"
        raise ValueError(message)
    incidence = sparse.csr_matrix(measured.to_numpy(dtype=np.int32))
    n_groups, group = connected_components(incidence.T @ incidence, directed=False)
    if n_groups > 1:
        one, other = (measured.columns[group == i] for i in (0, 1))
        genes = [measured.index[measured[names[0]]][:3].tolist() for names in (one, other)]
        message = (
            f"studies {one[:3].tolist()} and {other[:3].tolist()} share no gene (for example {genes[0]} and "
            f"{genes[1]}); give them names of one kind with sp.pp.map_gene_ids, of one species with sp.pp.map_orthologs"
        )
        raise ValueError(message)


def _n_values(counts: Any) -> float:
    """Return how many values other than zero a matrix has, of one that is dense or a view on disk by some cells."""
    if sparse.issparse(counts):
        return int(counts.nnz)
    if hasattr(counts, "group"):
        return int(counts.group["data"].shape[0])
    n_cells = counts.shape[0]
    rows = np.unique(np.linspace(0, n_cells - 1, _SAMPLED).astype(np.int64))
    return sparse.csr_matrix(_readable(counts)[rows]).nnz / len(rows) * n_cells


def _readable(counts: Any) -> CountsOnDisk:
    """Return counts such that any cells of them can be read."""
    return counts if isinstance(counts, CountsOnDisk) else CountsOnDisk(counts)


def _on_genes(counts: sparse.csr_matrix, position: np.ndarray, n_genes: int) -> sparse.csr_matrix:
    """Return counts with each gene at its position among all, -1 for one that is left out."""
    kept = position >= 0
    if not kept.all():
        counts, position = counts[:, kept], position[kept]
    indices = position.astype(counts.indices.dtype)[counts.indices]
    return sparse.csr_matrix((counts.data, indices, counts.indptr), shape=(counts.shape[0], n_genes))


def _names_clash(studies: Mapping[str, AnnData]) -> bool:
    first, *others = (study.obs_names for study in studies.values())
    return not first.append(others).is_unique

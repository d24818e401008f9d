"""Concatenate studies that measured different genes, and record which measured which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd
from anndata import AnnData, concat
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from scarches_plus import _arguments as check
from scarches_plus._cells import counts_layer, counts_of, measured_genes, names_of, write_record
from scarches_plus._logging import logger

from ._checks._counts import check_counts
from ._genes._match import other_names
from ._genes._names import as_text
from ._query_report import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence


def concat_studies(
    adatas: Mapping[str, AnnData] | Sequence[AnnData],
    *,
    keys: Sequence[str] | None = None,
    study_key: str = "study",
    min_studies: int = 1,
    layer: str | None = None,
) -> AnnData:
    """Join the cells of studies that measured different genes, and record which study measured which gene.

    Genes that a study did not measure are filled with zeros without ever storing them.
    :func:`scarches_plus.tl.build_reference` reads the record and leaves these genes out of the likelihood of the
    study's batches; :func:`scarches_plus.tl.map_query` does so for queries. The record lies in ``varm["measured"]``, so
    it stays right when genes or cells are left out, and is written to h5ad.

    Parameters
    ----------
    adatas
        Studies by name, or in a sequence. They are not changed. A study may be a part of cells joined before: of those,
        the genes it measured count.
    keys
        Names of the studies of a sequence; ``None`` numbers them from ``"0"``.
    study_key
        New ``obs`` column of the study's name.
    min_studies
        Keep genes that at least so many studies measured. BA-scVI [1]_ kept genes common to 30 data sets or more.
    layer
        Layer with raw counts; ``None`` means ``X``. The result holds the counts in ``X`` and under the same name.

    Returns
    -------
    AnnData
        Counts as CSR, studies one after the other, genes in the order in which the studies bring them; all columns of
        ``obs`` that hold any value, missing where a study has none; ``varm["measured"]`` (boolean, genes x studies).
        Names of cells get ``-<study>`` appended if two studies share any. Nothing else of the studies is kept: what
        belongs to genes or to an embedding of one study holds for that study only.

    Raises
    ------
    QueryError
        If a study holds no raw counts (:func:`check_query` has the rules).
    ValueError
        If there are no studies, one has no cells, names of studies, genes or cells are used twice, no gene is left, or
        studies share no genes.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    .. [1] Díaz-Mejía et al. (2025), Adversarial learning enables unbiased organism-wide cross-species alignment of
       single-cell RNA data at scale.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> cells = sp.datasets.simulate(200, 100)
    >>> joined = sp.pp.concat_studies({"a": cells[:100, :80], "b": cells[100:, 20:]}, min_studies=2)
    >>> joined.shape
    (200, 60)
    """
    check.slot("study_key", study_key)
    check.texts_or_none(layer=layer)
    if not isinstance(adatas, Mapping):
        adatas = check.names("adatas", adatas, of=object, least=1)
    keys = None if keys is None else check.names("keys", keys, of=object)
    studies = _named(adatas, keys)
    min_studies = check.whole("min_studies", min_studies, least=1, most=len(studies))
    for name, study in studies.items():
        _check_study(name, study, study_key, layer)
    _check_names(studies)
    measured = _measured(studies)
    measured = measured[measured.sum(axis=1) >= min_studies]
    _check_overlap(measured, min_studies)

    source = counts_layer(layer, None)
    blocks = [_on_genes(study, measured.index, source) for study in studies.values()]
    counts = sparse.vstack(blocks, format="csr")
    # without a value, a column would only blur the type that it has elsewhere
    cells = {name: AnnData(obs=study.obs.dropna(axis=1, how="all")) for name, study in studies.items()}
    obs = concat(cells, join="outer", label=study_key, index_unique="-" if _names_clash(studies) else None).obs
    layers = None if source is None else {source: counts}
    joined = AnnData(X=counts, obs=obs, var=pd.DataFrame(index=measured.index), layers=layers)
    write_record(joined, study_key, measured)
    logger.info(
        "joined %d studies: %d cells, %d genes, of which all measured %d",
        len(studies),
        *joined.shape,
        measured.all(axis=1).sum(),
    )
    return joined


def _named(adatas: Any, keys: Sequence[str] | None) -> dict[str, AnnData]:
    """Return the studies by name."""
    if isinstance(adatas, Mapping):
        if keys is not None:
            message = "keys has no use: adatas names its studies itself"
            raise ValueError(message)
        keys, adatas = list(adatas), list(adatas.values())
    else:
        adatas = list(adatas)
        keys = list(map(str, range(len(adatas)))) if keys is None else list(keys)
    if not adatas or len(keys) != len(adatas):
        message = f"there are {len(adatas)} studies and {len(keys)} names; pass studies, and one name for each"
        raise ValueError(message)
    names = pd.Index([str(key) for key in keys])
    if names.has_duplicates:
        message = (
            f"names of studies must differ (they name columns in h5ad files): {names[names.duplicated()].tolist()}"
        )
        raise ValueError(message)
    for name in names:
        check.slot("study", name)
    return dict(zip(names, adatas, strict=True))


def _check_study(name: str, study: AnnData, study_key: str, layer: str | None) -> None:
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
        message = f"obs[{study_key!r}] of study {name!r} holds other names already; pass another study_key"
        raise ValueError(message)
    for problem in check_counts(study, counts_layer(layer, None), empty=None):
        message = f"study {name!r}: {problem}"
        if problem.severity != "warning":
            raise QueryError(message)
        warn(message, UserWarning, stacklevel=3)


def _check_names(studies: Mapping[str, AnnData]) -> None:
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
                warn(f"genes of study {name!r} would be joined as others{said}", UserWarning, stacklevel=3)
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


def _on_genes(study: AnnData, genes: pd.Index, layer: str | None) -> sparse.csr_matrix:
    """Return the counts of a study on all genes, zero where it lacks them."""
    counts = sparse.csr_matrix(counts_of(study, layer))
    position = genes.get_indexer(study.var_names)
    kept = position >= 0
    if not kept.all():
        counts, position = counts[:, kept], position[kept]
    indices = position.astype(counts.indices.dtype)[counts.indices]
    return sparse.csr_matrix((counts.data, indices, counts.indptr), shape=(study.n_obs, len(genes)))


def _names_clash(studies: Mapping[str, AnnData]) -> bool:
    first, *others = (study.obs_names for study in studies.values())
    return not first.append(others).is_unique

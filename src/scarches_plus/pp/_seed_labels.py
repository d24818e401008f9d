"""Seed labels by marker genes, for training scANVI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import counts_layer, name_of, require_writable, row_blocks, stored_counts
from scarches_plus._logging import logger

from ._check_query import require_counts
from ._genes._match import other_names
from ._seeding._marker_scores import pick_seeds, signature_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

_SIDES = {"positive": 1, "negative": -1}


def seed_labels(
    adata: AnnData,
    markers: Mapping[str, Sequence[str] | Mapping[str, Sequence[str]]],
    n_seeds: int = 50,
    *,
    layer: str | None = None,
    unlabeled_category: str = _keys.UNKNOWN,
    key_added: str = _keys.SEEDS,
    scores: bool = False,
    copy: bool = False,
) -> AnnData | None:
    """Label the cells that markers single out, to train scANVI on.

    For each label the cells with the highest signature score become its seeds: counts over the cell's total,
    ``log(1 + 1e4 x)``, z-scored per gene, averaged over the markers with a minus sign for those against the label. All
    other cells stay unlabelled, and ``sp.tl.build_reference(adata, batch_key, "seed_label", recipe="scanvi")`` learns
    from both.

    Parameters
    ----------
    adata
        Cells with raw counts of all measured genes, whose sum is a cell's total. Receives ``obs[key_added]``,
        categorical: the labels in the order of ``markers``, then ``unlabeled_category``.
    markers
        Label to its marker genes, or to ``{"positive": [...], "negative": [...]}``.
    n_seeds
        Seeds of each label at most.
    layer
        Layer with raw counts; ``None`` means ``X``.
    unlabeled_category
        Value of cells that are no seeds.
    key_added
        ``obs`` column to write.
    scores
        Also write the scores of all cells, ``obsm["{key_added}_scores"]``, shape ``(n_cells, n_labels)``, labels in the
        order of ``markers``.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    ValueError
        If a label has no marker among the genes, or no seed, or a gene for and against it, or reads like another, or
        values are negative, missing or logarithms rather than counts, or a number is out of range.
    KeyError
        If the layer does not exist.
    TypeError
        If the markers of a label are one text.

    Warns
    -----
    UserWarning
        If markers are not among the genes, naming them; if counts are not whole numbers; or if a label has fewer than
        ``n_seeds`` seeds.

    Notes
    -----
    A cell among the best of two labels becomes a seed of the one it scores higher for (of neither if equal), and the
    other takes its next best cell. Cells that tie for the last places are left out together, since the markers do not
    tell them apart: where few cells show any marker there are fewer seeds. Markers often leave with the choice of
    variable genes; find seeds before it.

    References
    ----------
    Xu et al. 2021 (scANVI), "Signature calculus" and Fig. 6: 50 seeds of each of four subsets of T cells. The paper
    does not say what becomes of ties and overlaps.

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(400, n_types=2)
    >>> markers = {"type0": {"positive": ["gene3", "gene8"], "negative": ["gene5"]}, "type1": ["gene1", "gene5"]}
    >>> sp.pp.seed_labels(adata, markers, n_seeds=20)
    >>> adata.obs["seed_label"].value_counts()["type0"]
    np.int64(20)
    """
    check.cells("adata", adata)
    check.mapping("markers", markers)
    n_seeds = check.whole("n_seeds", n_seeds, least=1)
    check.texts_or_none(layer=layer)
    check.texts(unlabeled_category=unlabeled_category)
    check.slot("key_added", key_added)
    check.flags(scores=scores, copy=copy)
    require_writable(adata, copy=copy)
    signs = _signs(_named(markers), adata.var_names)
    labels = list(signs.columns)
    if unlabeled_category in labels:
        message = (
            f"{unlabeled_category!r} is a label and the name of cells without one: pass another unlabeled_category"
        )
        raise ValueError(message)
    require_counts(adata, layer, scaled="warning")
    counts, totals = _marker_counts(adata, adata.var_names.get_indexer(signs.index), layer)
    score = signature_scores(counts, totals, signs.to_numpy())
    codes = pick_seeds(score, n_seeds)
    _require_seeds(np.bincount(codes[codes >= 0], minlength=len(labels)), labels, n_seeds)

    if copy:
        adata = adata.to_memory() if adata.isbacked else adata.copy()
    codes = np.where(codes < 0, len(labels), codes)
    logger.info("%s: scores are of counts in %s", key_added, counts_layer(layer, None) or "X")
    adata.obs[key_added] = pd.Categorical.from_codes(codes.tolist(), pd.Index([*labels, unlabeled_category]))
    if scores:
        adata.obsm[_keys.scores(key_added)] = score
    return adata if copy else None


def _named(markers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the markers by label, as text."""
    named = {name_of(label): given for label, given in markers.items()}
    if len(named) < len(markers):
        message = f"labels {list(markers)} of the markers read the same: give each a name of its own"
        raise ValueError(message)
    return named


def _signs(markers: Mapping[str, Sequence[str] | Mapping[str, Sequence[str]]], genes: pd.Index) -> pd.DataFrame:
    """Return 1 for markers, -1 for those against a label, else 0: genes that are there x labels."""
    if not markers:
        message = "markers is empty: name the marker genes of each label"
        raise ValueError(message)
    sides: dict[tuple[str, str], int] = {}
    for label, given in markers.items():
        if isinstance(given, Mapping) and set(given) - set(_SIDES):
            message = f"markers of {label!r} are {sorted(_SIDES)}, not {sorted(set(given) - set(_SIDES))}"
            raise ValueError(message)
        for side, names in (given if isinstance(given, Mapping) else {"positive": given}).items():
            if isinstance(names, str):
                message = f"markers of {label!r} must be a sequence of genes, not the text {names!r}"
                raise TypeError(message)
            for name in names:
                if sides.setdefault((name, label), _SIDES[side]) != _SIDES[side]:
                    message = f"gene {name!r} is a marker both for and against {label!r}"
                    raise ValueError(message)
    wanted = pd.Series(sides, dtype=np.int64).unstack(fill_value=0) if sides else pd.DataFrame()
    wanted = wanted.reindex(columns=list(markers), fill_value=0)
    repeated = sorted(set(wanted.index) & set(genes[genes.duplicated()]))
    if repeated:
        message = f"markers {repeated} are each the name of several genes: adata.var_names_make_unique(), or sum them"
        raise ValueError(message)
    signs = wanted[wanted.index.isin(genes)]
    absent = {
        label: [gene for gene in wanted.index if gene not in signs.index and wanted.loc[gene, label]]
        for label in markers
    }
    absent = {label: names for label, names in absent.items() if names}
    hint = (
        other_names(genes, wanted.index, "sp.pp.match_gene_names(adata, names), with the markers' names")
        if absent
        else ""
    )
    bare = [label for label in markers if not signs[label].any()]
    if bare:
        message = f"no gene of adata is a marker of {bare}; markers not found: {absent}{hint}"
        raise ValueError(message)
    if absent:
        message = f"markers that are no genes of adata are left out: {absent}{hint}"
        warn(message, UserWarning, stacklevel=3)
    return signs


def _marker_counts(adata: AnnData, genes: np.ndarray, layer: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return counts of some genes, and of all together, reading cells block by block."""
    found, totals = [], []
    for block in row_blocks(stored_counts(adata, counts_layer(layer, None))):
        some = block[:, genes]
        found.append(some.toarray() if sparse.issparse(some) else np.asarray(some))
        totals.append(np.asarray(block.sum(axis=1), dtype=np.float64).ravel())
    return np.concatenate(found).astype(np.float64), np.concatenate(totals)


def _require_seeds(n_found: np.ndarray, labels: list[str], n_seeds: int) -> None:
    """Say which labels have fewer seeds than asked for.

    Raises
    ------
    ValueError
        If one has none.
    """
    found = dict(zip(labels, n_found.tolist(), strict=True))
    logger.info("seeds: %s", found)
    if none := [label for label in labels if not found[label]]:
        message = f"no cell stands out as {none}: their markers are not detected, or rank too many cells alike"
        raise ValueError(message)
    if few := {label: n for label, n in found.items() if n < n_seeds}:
        message = (
            f"fewer seeds than n_seeds={n_seeds}, because cells tie for the other places or there are no more: {few}"
        )
        warn(message, UserWarning, stacklevel=3)

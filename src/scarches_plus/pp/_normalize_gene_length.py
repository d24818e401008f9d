"""Normalise full-length read counts (Smart-seq2) by transcript length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus._cells import counts_layer, counts_of
from scarches_plus._text import for_line

from ._check_query import require_counts
from ._genes._match import other_names

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike

#: Relative rounding error of the division, so that a count stays whole where its gene has the average length.
_ROUNDING = 1e-12


def normalize_gene_length(
    adata: AnnData,
    lengths: Mapping[str, float] | pd.Series | ArrayLike,
    *,
    layer: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Make full-length read counts (Smart-seq2) comparable to UMI counts by dividing out transcript length.

    Long transcripts yield more reads. Each count is divided by the gene's relative transcript length and cut to its
    whole part, as in scANVI [1]_ ("Normalization of SmartSeq2 data"):

    .. math:: x'_{ng} = \left\lfloor x_{ng} \Big/ \frac{l_g}{\bar l} \right\rfloor

    with :math:`\bar l` the mean length over the genes of ``adata``. Cell sizes are left as they are; the model
    accounts for them. Do this to the Smart-seq2 cells alone, before joining them with others.

    Parameters
    ----------
    adata
        Read counts of cells x genes, changed in place.
    lengths
        Average transcript length of each gene, in any unit: a dict or :class:`~pandas.Series` by gene name, of which
        genes that ``adata`` lacks are ignored, or an array in the order of ``adata.var_names``.
    layer
        Layer with the counts; ``None`` means ``X``.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    AnnData or None
        The copy, or ``None`` if ``adata`` was changed. Sparse counts stay sparse (as CSR), types of numbers stay.

    Raises
    ------
    KeyError
        If the layer does not exist or a gene has no length.
    ValueError
        If gene names are not unique, an array has another number of lengths than genes, a length is not above 0 and
        finite, values are no counts (:class:`QueryError` says what they probably are), or ``adata`` is a view or backed
        by a file and would be changed in place.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    .. [1] Xu et al. (2021), Probabilistic harmonization and annotation of single-cell transcriptomics data with deep
       generative models, Molecular Systems Biology 17, e9620, https://doi.org/10.15252/msb.20209620

    Examples
    --------
    >>> import scarches_plus as sp
    >>> adata = sp.datasets.simulate(100, 3)
    >>> sp.pp.normalize_gene_length(adata, {"gene0": 900.0, "gene1": 2400.0, "gene2": 1200.0})
    """
    check.cells("adata", adata)
    check.texts_or_none(layer=layer)
    check.flags(copy=copy)
    if copy:
        adata = adata.to_memory() if adata.isbacked else adata.copy()
    elif adata.is_view or adata.isbacked:
        message = "adata is a view or backed by a file; pass copy=True, or make it a copy in memory first"
        raise ValueError(message)
    lengths_of_genes = _lengths_of(adata.var_names, lengths)
    require_counts(adata, layer)
    layer = counts_layer(layer, None)
    normalized = _divide(counts_of(adata, layer), lengths_of_genes / lengths_of_genes.mean())
    if layer is None:
        adata.X = normalized
    else:
        adata.layers[layer] = normalized
    return adata if copy else None


def _divide(counts: Any, relative: np.ndarray) -> Any:
    """Return ``floor(counts / relative)`` of shape ``(n_cells, n_genes)`` in the storage and type of ``counts``."""
    factor = (1 + _ROUNDING) / relative
    if not sparse.issparse(counts):
        return np.floor(counts * factor).astype(counts.dtype)
    data = np.floor(counts.data * factor[counts.indices]).astype(counts.dtype)
    divided = sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape, copy=True)
    divided.eliminate_zeros()
    return divided


def _lengths_of(genes: pd.Index, lengths: Any) -> np.ndarray:
    """Return the length of every gene, shape ``(n_genes,)``."""
    if isinstance(lengths, Mapping):
        lengths = pd.Series(dict(lengths), dtype=np.float64)
    if isinstance(lengths, pd.Series):
        for owner, names in (("adata.var_names", genes), ("the index of lengths", lengths.index)):
            if not names.is_unique:
                message = f"{owner} is not unique: {_some(names[names.duplicated()].unique())}"
                raise ValueError(message)
        missing = genes.difference(lengths.index, sort=False)
        if len(missing):
            message = (
                f"lengths lacks {len(missing)} genes: {_some(missing)}; leave them out of adata or add their length"
                + other_names(missing, lengths.index, "sp.pp.match_gene_names(adata, lengths.index)")
            )
            raise KeyError(message)
        lengths = lengths.loc[genes]
    values = check.array("lengths", lengths)
    if values.shape != genes.shape:
        message = f"lengths has shape {values.shape}, but adata has {len(genes)} genes; pass one length per gene"
        raise ValueError(message)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        message = f"lengths of {bad.sum()} genes are not above 0 and finite: {_some(genes[bad])}"
        raise ValueError(message)
    return values


def _some(names: pd.Index) -> str:
    """Return the first names, for a message."""
    return ", ".join(map(for_line, names[:10])) + (", ..." if len(names) > 10 else "")

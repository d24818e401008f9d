"""Build the index by which nearest neighbours in a reference are searched, to keep it with its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import require_writable
from scarches_plus._logging import logger
from scarches_plus._neighbors import METHODS, build_index

from ._provenance._embedding_record import copy_of, embedding_of

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def index_neighbors(
    adata: AnnData | MuData,
    *,
    use_rep: str = _keys.EMBEDDING,
    method: Literal["auto", "exact", "faiss", "pynndescent", "cuml"] = "auto",
    copy: bool = False,
) -> MuData | AnnData | None:
    """Choose how neighbours in a reference are searched, and build the index for it once.

    :func:`transfer_labels`, :func:`explain_labels` and :func:`presence` search a reference by its index if it has one,
    else by what suits the number of cells. An index of other cells, of another embedding, or by a library that is not
    installed, is left aside with a warning. It consists of plain arrays, is written to h5ad with the cells, and goes
    into a bundle with ``save_bundle(..., include=["latent", "index"])``.

    Parameters
    ----------
    adata
        Reference with an embedding. It receives ``uns["scarches_plus"]["neighbor_index"][use_rep]``: the ``method``
        and, for ``"exact"`` and ``"faiss"``, ``centers``, shape ``(n_regions, n_dimensions)``, and ``regions``, the
        region of every cell, shape ``(n_cells,)``.
    use_rep
        ``obsm`` slot of the embedding.
    method
        ``"exact"``: no neighbour is missed, proven for each cell. ``"faiss"``: inverted lists of faiss-cpu (``pip
        install 'scarches-plus[faiss]'``), not on macOS, where its OpenMP clashes with torch's. ``"pynndescent"``: its
        graph, built anew at each search. ``"cuml"``: brute force on a GPU by RAPIDS cuML, which is not tested here.
        ``"auto"``: exact up to a million cells, above faiss if it is installed, else pynndescent. All are seeded.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    AnnData, MuData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    KeyError
        If the embedding is missing.
    ValueError
        If it is no table of finite numbers.
    ModuleNotFoundError
        If the library of the method is not installed; the message says how to.
    RuntimeError
        If the method is ``"faiss"`` on macOS.

    References
    ----------
    Douze et al. 2024, The Faiss library; Dong et al. 2011 (nearest-neighbour descent).
    """
    check.cells("adata", adata, mudata=True)
    check.texts(use_rep=use_rep)
    check.choice("method", method, ("auto", *METHODS))
    check.flags(copy=copy)
    require_writable(adata, copy=copy)
    embedding = embedding_of(adata, use_rep)
    adata = copy_of(adata) if copy else adata
    index = build_index(embedding, method)
    adata.uns.setdefault(_keys.UNS, {}).setdefault(_keys.NEIGHBOR_INDEX, {})[use_rep] = index
    logger.info("neighbours in obsm[%r] of %d cells are searched by %s", use_rep, len(embedding), index["method"])
    return adata if copy else None

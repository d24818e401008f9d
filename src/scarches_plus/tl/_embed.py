"""Embed cells without training a model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from warnings import warn

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import require_writable
from scarches_plus.pp import check_query

from ._provenance._embedding_record import copy_of, write_embedding
from ._provenance.summary import tell_outcome

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData

    from scarches_plus.model import SCANVI, SCVI, TOTALVI


def embed(
    adata: AnnData | MuData,
    model: SCVI | SCANVI | TOTALVI | str | Path,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    key_added: str = _keys.EMBEDDING,
    copy: bool = False,
) -> MuData | AnnData | None:
    """Embed cells without training.

    For the reference after a strategy that moved it, for cells held back from a batch, for a saved model; all of
    batches that the model knows. A model whose encoder does not see the batch (``encode_covariates=False``, as in
    BA-scVI) embeds cells of any batch, and reads no column of ``adata.obs``.

    Cells on disk (``anndata.read_h5ad(path, backed="r")``) are read a block at a time, once to check and once to embed
    them, and never held as a whole. The result is written into ``adata`` in memory; its file stays as it is until you
    write it.

    Parameters
    ----------
    adata
        Cells with raw counts, MuData for a totalVI model; genes may be in any order. Receives ``obsm[key_added]``,
        shape ``(n_cells, n_latent)``, and a record in ``uns["scarches_plus"]``.
    model
        Model of this package or of scvi-tools, or what names one for :func:`scarches_plus.load`: a path, a name, a DOI,
        an address.
    layer, batch_key
        Where the cells keep counts (``"X"`` for ``adata.X``) and batches, if not where the reference does. Batches are
        not read where the encoder does not see them.
    key_added
        ``obsm`` slot of the embedding.
    copy
        Return a copy instead of writing into ``adata``. The copy of cells on disk is in memory, counts and all.

    Returns
    -------
    AnnData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    QueryError
        If the cells cannot be embedded, naming every problem and its fix.
    ValueError
        If the encoder sees a batch that the model does not know; map such cells with :func:`map_query`.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        For each problem of the cells that embedding gets over.
    """
    from scarches_plus.model import embed_checked, load

    check.cells("adata", adata, mudata=True)
    check.texts_or_none(layer=layer, batch_key=batch_key)
    check.slot("key_added", key_added)
    check.flags(copy=copy)
    require_writable(adata, copy=copy)
    model = load(model)
    spec = model.spec
    if not spec.encodes_batch:
        spec = replace(spec, batch_key=None, categorical_covariates={}, continuous_covariates=(), size_factor_key=None)
        batch_key = None
    report = check_query(adata, spec, layer=layer, batch_key=batch_key, shared_batches=spec.batches)
    report.raise_for_problems()
    for problem in report.problems:
        warn(str(problem), UserWarning, stacklevel=2)
    embedding = embed_checked(model, adata, layer=layer, batch_key=batch_key)
    adata = copy_of(adata) if copy else adata
    write_embedding(adata, key_added, embedding, model, layer=layer)
    tell_outcome(adata, _keys.EMBEDDINGS, key_added)
    return adata if copy else None

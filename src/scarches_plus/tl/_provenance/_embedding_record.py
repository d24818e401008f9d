"""Record the provenance of an embedding: model, latent space and versions."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scarches_plus import _keys
from scarches_plus._cells import counts_layer, in_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scarches_plus.model import SCANVI, SCVI

_PACKAGES = ("scarches-plus", "scvi-tools", "torch", "anndata")


def versions() -> dict[str, str]:
    """Return the versions of the packages that shape a result."""
    return {package: version(package) for package in _PACKAGES}


def write_embedding(
    adata: AnnData, key: str, embedding: np.ndarray, model: SCVI | SCANVI, *, layer: str | None = None, **record: Any
) -> None:
    """Write an embedding and the identity of its latent space and model.

    Parameters
    ----------
    adata
        Receives ``obsm[key]`` and ``uns["scarches_plus"]["embeddings"][key]``.
    key
        Name of the embedding.
    embedding
        Shape ``(n_cells, n_latent)``.
    model
        Model that made it.
    layer
        Layer that it was made from, if not that of the reference.
    **record
        What else to record; only values that h5ad can hold.
    """
    from scarches_plus.model import hash_of

    adata.obsm[key] = embedding
    embeddings = adata.uns.setdefault(_keys.UNS, {}).setdefault(_keys.EMBEDDINGS, {})
    embeddings[key] = {
        "space": model.state.space,
        "layer": counts_layer(layer, model.spec.layer) or "X",
        "modality": model.spec.modalities.get("genes", ""),
        "model_class": type(model).__name__,
        "model_hash": hash_of(model),
        "versions": versions(),
        **record,
    }


def record_of(adata: AnnData, key: str) -> Mapping[str, Any]:
    """Return what is recorded of an embedding, empty if this package did not make it."""
    return adata.uns.get(_keys.UNS, {}).get(_keys.EMBEDDINGS, {}).get(key, {})


def with_batches_of(adata: AnnData, key: str, batch_key: str | None) -> AnnData:
    """Return the cells with their batches under the model's name, if they were mapped by a column of another name.

    Shares all but ``obs`` with ``adata``.
    """
    column = record_of(adata, key).get("mapping", {}).get("batch_key")
    if batch_key is None or batch_key in adata.obs or column not in adata.obs or not isinstance(adata, AnnData):
        return adata
    obs = adata.obs.assign(**{batch_key: adata.obs[column]})
    return AnnData(adata.X, obs, adata.var, adata.uns, obsm=adata.obsm, varm=adata.varm, layers=adata.layers)


def are_cells(value: Any) -> TypeGuard[AnnData]:
    """Return whether a value is AnnData or MuData, which have embeddings and columns alike."""
    return isinstance(value, AnnData | MuData)


def copy_of(adata: AnnData) -> AnnData:
    """Return a copy in memory."""
    return adata.to_memory() if adata.isbacked else adata.copy()


def embedding_space(adata: AnnData, key: str) -> str | None:
    """Return the identifier of an embedding's latent space, ``None`` if this package did not make it.

    Raises
    ------
    KeyError
        If there is no such embedding.
    ValueError
        If it is no table of finite numbers.
    """
    embedding_of(adata, key)
    return _recorded_space(adata, key)


def require_same_space(adata: AnnData, reference: AnnData, key: str) -> None:
    """Refuse to compare embeddings that lie in different latent spaces.

    Raises
    ------
    ValueError
        If the spaces differ, or only one of them is known.
    """
    embedding_of(adata, key)
    n_dimensions = embedding_of(reference, key, "reference").shape[1]
    require_space(adata, key, _recorded_space(reference, key), n_dimensions, "the reference")


def require_space(adata: AnnData, key: str, space: str | None, n_dimensions: int, owner: str) -> None:
    """Refuse an embedding that lies in another latent space than a reference, a map of one for instance.

    Parameters
    ----------
    adata
        Query with an embedding in ``obsm[key]``.
    key
        Name of the embedding.
    space, n_dimensions
        What is recorded of the reference's latent space, and its number of dimensions.
    owner
        Whose it is, for messages.

    Raises
    ------
    ValueError
        If the spaces differ, or only one of them is known.
    """
    found = embedding_of(adata, key).shape[1]
    if _recorded_space(adata, key) != space:
        raise ValueError(_different_spaces(_recorded_space(adata, key), space, key))
    if found != n_dimensions:
        message = f"obsm[{key!r}] has {found} dimensions in the query and {n_dimensions} in {owner}"
        raise ValueError(message)


def embedding_of(adata: AnnData, key: str, owner: str = "adata") -> np.ndarray:
    """Return an embedding as a dense array of finite numbers, shape ``(n_cells, n_dimensions)``.

    Raises
    ------
    KeyError
        If there is no such embedding.
    ValueError
        If it is no table of finite numbers.
    """
    if key not in adata.obsm:
        message = (
            f"embedding {key!r} not found in {owner}.obsm, which holds {sorted(adata.obsm)}: map the cells first "
            "(sp.tl.map_query, or sp.tl.embed for cells of the reference), or name another with use_rep"
        )
        raise KeyError(message)
    values = adata.obsm[key]
    values = in_memory(values.to_numpy() if hasattr(values, "iloc") else values, f"{owner}.obsm[{key!r}]")
    values = values.toarray() if sparse.issparse(values) else values
    if values.ndim != 2 or not values.shape[1]:
        message = (
            f"{owner}.obsm[{key!r}] has shape {values.shape}; an embedding has a row for each cell and a column or more"
        )
        raise ValueError(message)
    n_bad = int((~np.isfinite(values)).any(axis=1).sum())
    if n_bad:
        message = (
            f"{owner}.obsm[{key!r}] has missing or infinite values in {n_bad} cells; embed them again with "
            "sp.tl.embed, or leave these cells out"
        )
        raise ValueError(message)
    return values


def _recorded_space(adata: AnnData, key: str) -> str | None:
    space = record_of(adata, key).get("space")
    return None if space is None else str(space)


def _different_spaces(query: str | None, reference: str | None, key: str) -> str:
    """Say which of two embeddings has to be made again: one whose record is gone, or the reference's."""
    if query is None or reference is None:
        lost = "query" if query is None else "reference"
        return (
            f"it is not recorded which latent space obsm[{key!r}] of the {lost} lies in (anndata.concat drops uns, for "
            f"example); embed the {lost} again with the mapped model: sp.tl.embed({lost}, mapped_model, "
            f"key_added={key!r})"
        )
    return (
        f"obsm[{key!r}] of query and reference lie in different latent spaces ({query} and {reference}). Embed "
        f"the reference again with the mapped model: sp.tl.embed(reference, mapped_model, key_added={key!r})"
    )

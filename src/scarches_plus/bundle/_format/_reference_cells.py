"""Serialise the reference cells of a bundle to safetensors and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from scarches_plus import _keys
from scarches_plus._cells import name_of, names_of
from scarches_plus.bundle._manifest import BundleError
from scarches_plus.pp import align_genes

from ._tensors import pack, refuse_rest, take, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mudata import MuData
    from numpy.typing import NDArray
    from pandas import Series

    from scarches_plus.bundle._manifest import Manifest

_UMAP = "X_umap"
_PARTS = ("latent", "variance", "labels", "umap", "counts", "index")


def label_column(cells: AnnData | MuData, key: str) -> Series | None:
    """Return a column of ``obs`` of cells, or of the first modality that has it; ``None`` if there is none."""
    if key in cells.obs:
        return cells.obs[key]
    tables = [modality.obs for modality in getattr(cells, "mod", {}).values()]
    return next((table[key].reindex(cells.obs_names) for table in tables if key in table), None)


def coded_names(column: Series) -> tuple[NDArray[np.int32], list[str]]:
    """Return labels as codes, -1 where there is none, and their names in the column's order."""
    kept = pd.Categorical(column)
    names = list(dict.fromkeys(name_of(value) for value in kept.categories))
    return pd.Categorical(names_of(column), categories=names).codes.astype(np.int32), names


def pack_reference(
    adata: AnnData, model: Any, include: Sequence[str], labels_key: Sequence[str]
) -> tuple[bytes, dict[str, Any]]:
    """Return the file of reference cells, and its section. Names of cells and other columns stay behind.

    Raises
    ------
    ValueError
        If something is asked for that the cells do not have, or their embedding is of another latent space.
    """
    from scarches_plus.model import latent_variances

    unknown = sorted(set(include) - set(_PARTS))
    if unknown:
        message = f"include={unknown} is none of {_PARTS}"
        raise ValueError(message)
    tensors, labels = {}, {}
    if "latent" in include:
        record = adata.uns.get(_keys.UNS, {}).get(_keys.EMBEDDINGS, {}).get(_keys.EMBEDDING, {})
        if _keys.EMBEDDING not in adata.obsm or record.get("space") != model.state.space:
            message = (
                f"obsm[{_keys.EMBEDDING!r}] of the reference is missing or of another latent space than the model's; "
                "call sp.tl.embed(reference, model)"
            )
            raise ValueError(message)
        tensors["latent"] = torch.tensor(np.asarray(adata.obsm[_keys.EMBEDDING], dtype=np.float32))
    if "variance" in include:
        if "latent" not in include:
            message = "include='variance' belongs to the means: ask for 'latent', too"
            raise ValueError(message)
        tensors["variance"] = torch.as_tensor(latent_variances(model, adata))
    if "umap" in include:
        if _UMAP not in adata.obsm:
            message = f"obsm[{_UMAP!r}] of the reference is missing; call sc.tl.umap(reference)"
            raise ValueError(message)
        tensors["umap"] = torch.tensor(np.asarray(adata.obsm[_UMAP], dtype=np.float32))
    if "labels" in include:
        for key in labels_key or filter(None, [model.spec.labels_key]):
            found = label_column(adata, key)
            if found is None:
                message = f"labels_key={key!r} is no column of reference.obs"
                raise ValueError(message)
            codes, labels[key] = coded_names(found)
            tensors[f"labels/{key}"] = torch.tensor(codes)
        if not labels:
            message = "include='labels' needs labels_key="
            raise ValueError(message)
    if "counts" in include:
        tensors |= _pack_counts(adata, model)
    method = None
    if "index" in include:
        index, method = _pack_index(adata, include)
        tensors |= index
    holds = [part for part in _PARTS if part in include]
    section = {
        "n_cells": adata.n_obs, "space": model.state.space, "holds": holds, "labels": labels, "index": method,
    }  # fmt: skip
    return pack(tensors), section


def unpack_reference(contents: bytes, manifest: Manifest, name: str) -> AnnData:
    """Return reference cells as an AnnData.

    Raises
    ------
    BundleError
        If the file does not hold what the manifest says.
    """
    section, genes = manifest.reference, manifest.cells.var_names
    if section is None:
        message = f"{name} is not in the manifest"
        raise BundleError(message)
    tensors, n = unpack(contents, name), section.n_cells
    columns, obsm, counts = {}, {}, None
    if "latent" in section.holds:
        obsm[_keys.EMBEDDING] = _coordinates(tensors, "latent", n, name)
    if "variance" in section.holds:
        obsm[_keys.VARIANCE] = _coordinates(tensors, "variance", n, name)
        means = obsm.get(_keys.EMBEDDING)
        if means is None or obsm[_keys.VARIANCE].shape != means.shape or not (obsm[_keys.VARIANCE] > 0).all():
            message = f"{name}: variance has to be positive, and of the shape of latent"
            raise BundleError(message)
    if "umap" in section.holds:
        obsm[_UMAP] = _coordinates(tensors, "umap", n, name)
    for key, categories in section.labels.items():
        codes = take(tensors, f"labels/{key}", (n,), name, "i").numpy()
        if n and not -1 <= codes.min() <= codes.max() < len(categories):
            message = f"{name}: labels/{key} has codes without a category"
            raise BundleError(message)
        columns[key] = pd.Categorical.from_codes(codes, categories=pd.Index(categories))
    if "counts" in section.holds:
        parts = [
            take(tensors, f"counts/{part}", (length,), name, kind).numpy()
            for part, length, kind in (("data", None, "f"), ("indices", None, "i"), ("indptr", n + 1, "i"))
        ]
        try:
            counts = sparse.csr_matrix(tuple(parts), shape=(n, len(genes)))
            counts.check_format(full_check=True)
        except ValueError as error:
            message = f"{name}: counts are no matrix of {n} cells and {len(genes)} genes: {error}"
            raise BundleError(message) from error
    index = _unpack_index(tensors, section, name) if "index" in section.holds else None
    refuse_rest(tensors, name)
    if n and not (columns or obsm or counts is not None):
        message = f"{name} holds nothing of the {n} cells that the manifest speaks of"
        raise BundleError(message)
    obs = pd.DataFrame(columns, index=[f"cell{i}" for i in range(n)])
    var = pd.DataFrame(index=genes) if counts is not None else None
    adata = AnnData(counts, obs, var, obsm=obsm)
    if "latent" in section.holds:
        record = {"space": section.space, "model_class": manifest.model.class_name, "versions": manifest.versions}
        adata.uns[_keys.UNS] = {_keys.EMBEDDINGS: {_keys.EMBEDDING: record}}
        if index is not None:
            adata.uns[_keys.UNS][_keys.NEIGHBOR_INDEX] = {_keys.EMBEDDING: index}
    return adata


def _pack_index(adata: AnnData, include: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the index of the embedding as tensors, and its method."""
    if "latent" not in include:
        message = "include='index' belongs to the embedding: ask for 'latent', too"
        raise ValueError(message)
    index = adata.uns.get(_keys.UNS, {}).get(_keys.NEIGHBOR_INDEX, {}).get(_keys.EMBEDDING, {})
    if "centers" not in index:
        message = (
            f"the reference has no index of obsm[{_keys.EMBEDDING!r}] that can be kept; call "
            "sp.tl.index_neighbors(reference, method='exact') or method='faiss'"
        )
        raise ValueError(message)
    parts = {"centers": np.asarray(index["centers"], np.float64), "regions": np.asarray(index["regions"], np.int32)}
    return {f"index/{part}": torch.tensor(values) for part, values in parts.items()}, str(index["method"])


def _unpack_index(tensors: dict[str, Any], section: Any, name: str) -> dict[str, Any]:
    """Return the index of the embedding. Whether it is that of the cells is looked at where they are searched."""
    if section.index is None or "latent" not in section.holds:
        message = f"{name}: an index needs a method, and the embedding it is of"
        raise BundleError(message)
    centers = take(tensors, "index/centers", (None, None), name, "d").numpy()
    regions = take(tensors, "index/regions", (section.n_cells,), name, "i").numpy()
    return {"method": section.index, "centers": centers, "regions": regions}


def _coordinates(tensors: dict[str, Any], key: str, n: int, name: str) -> np.ndarray:
    values = take(tensors, key, (n, None), name).numpy()
    if not values.shape[1]:  # any number of cells would fit
        message = f"{name}: {key} has no dimensions"
        raise BundleError(message)
    return values


def _pack_counts(adata: AnnData, model: Any) -> dict[str, Any]:
    if model.spec.modalities:
        message = "counts of MuData cannot be kept; leave 'counts' out of include"
        raise ValueError(message)
    aligned = align_genes(adata, model.spec.var_names, layer=model.spec.layer)
    values = aligned.X if model.spec.layer is None else aligned.layers[model.spec.layer]
    counts = sparse.csr_matrix(values, dtype=np.float32)
    return {
        "counts/data": torch.as_tensor(counts.data),
        "counts/indices": torch.as_tensor(counts.indices.astype(np.int32)),
        "counts/indptr": torch.as_tensor(counts.indptr.astype(np.int64)),
    }

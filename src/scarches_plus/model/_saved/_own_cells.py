"""Register a loaded model with the cells that it was trained on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from mudata import MuData

from scarches_plus._cells import gene_cells, protein_cells, unmeasured_genes
from scarches_plus.model._mixins._embedding import covariates_of
from scarches_plus.model._registration._multimodal import registrable
from scarches_plus.model._registration._query_columns import prepare_cells
from scarches_plus.model._registration._registry import reference_spec
from scarches_plus.model._state import get_state
from scarches_plus.model._surgery._query_model import QUERY, release_cells_with

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scarches_plus._reference import ReferenceSpec

#: What cells without a label are called where a model only registers labels.
_UNLABELED = "Unknown"
#: What releases up to 1.1 called what they keep in place of counts.
_FORMER = re.compile(r"_((?:scvi|scanvi|totalvi)_)(latent_qz[mv]|observed_lib_size)")


def is_minified(adata: AnnData | MuData) -> bool:
    """Return whether scvi-tools keeps latent posteriors in place of counts."""
    parts = adata.mod.values() if isinstance(adata, MuData) else [adata]
    return any("_scvi_adata_minify_type" in part.uns or "_scvi_latent_qzm" in part.obsm for part in parts)


def with_names_of_today(adata: AnnData | MuData) -> AnnData | MuData:
    """Return minified cells with latent posteriors under the names that scvi-tools has for them today."""
    if isinstance(adata, MuData):
        return adata
    former = {slot: [key for key in getattr(adata, slot) if _FORMER.fullmatch(key)] for slot in ("obsm", "obs")}
    if not any(former.values()):
        return adata
    renamed = adata.copy()
    for slot, keys in former.items():
        for key in keys:
            name = _FORMER.sub(r"\1\2", key) if slot == "obsm" else _FORMER.sub(r"\2", key)
            getattr(renamed, slot)[name] = getattr(renamed, slot).pop(key)
    return renamed


def take_cells(model: Any, adata: AnnData | MuData) -> None:
    """Register the cells of a model, which has none yet, as they were when it was made.

    Parameters
    ----------
    model
        Model without cells.
    adata
        The cells it was trained on, with counts, batches and labels where they were then; not changed. Genes may be in
        any order, and those that a query lacked may be missing. Labels that the model does not know count as none.

    Raises
    ------
    ValueError
        If these are other cells: of batches or categories that the model does not know, or without genes or proteins
        that they measured.
    KeyError
        If a column or layer is missing.
    """
    spec, how = reference_spec(model), getattr(model, QUERY, None) or {}
    batch_key = how.get("batch_key")
    if batch_key is not None and not _has_column(adata, batch_key):
        batch_key = None
    genes = gene_cells(adata, spec, batch_key)
    cells = prepare_cells(
        genes, spec, layer=how.get("layer"), batch_key=batch_key, use_labels=bool(how.get("use_query_labels"))
    )
    if spec.labels_key is not None and get_state(model).surgery is None:
        cells.obs[spec.labels_key] = _labels(genes.obs, spec)
    covariates_of(cells.obs, spec)
    _require_genes(model, cells, spec)
    _require_proteins(model, adata, cells, spec)
    registry = model.registry_
    joint = registrable(cells, adata, spec)
    setup = getattr(type(model), registry.get("setup_method_name", "setup_anndata"))
    setup(joint, source_registry=registry, **registry["setup_args"])
    model.adata = joint
    model.registry_["setup_method_name"] = setup.__name__  # which scvi-tools drops, and opens files by
    release_cells_with(model)
    if hasattr(model, "_set_indices_and_labels"):
        model._set_indices_and_labels()


def _has_column(adata: AnnData | MuData, key: str) -> bool:
    parts = adata.mod.values() if isinstance(adata, MuData) else ()
    return any(key in part.obs for part in (adata, *parts))


def _labels(obs: pd.DataFrame, spec: ReferenceSpec) -> Any:
    """Return the labels of a reference's own cells."""
    none = spec.unlabeled_category or (_UNLABELED if _UNLABELED in spec.labels else spec.labels[0])
    if spec.labels_key not in obs:
        message = f"column {spec.labels_key!r} of labels not found in adata.obs, which holds {obs.columns.tolist()}"
        raise KeyError(message)
    given = obs[spec.labels_key].astype(object)
    given = given.where(given.isna(), given.map(str))
    return given.where(given.isin(spec.labels), none).to_numpy(dtype=object)


def _require_genes(model: Any, cells: AnnData, spec: ReferenceSpec) -> None:
    known = get_state(model).unmeasured
    batches = spec.batches[:1] * cells.n_obs if spec.batch_key is None else cells.obs[spec.batch_key].to_numpy()
    for batch, genes in unmeasured_genes(cells, batches).items():
        lacking = sorted(set(genes) - set(known.get(batch, ())))
        if lacking:
            message = (
                f"batch {batch!r} lacks {len(lacking)} genes that the model was trained on, such as "
                f"{spec.var_names[lacking[0]]!r}; pass the model's own cells, adata=False for a model without cells, "
                "or map other cells with sp.tl.map_query"
            )
            raise ValueError(message)


def _require_proteins(model: Any, adata: AnnData | MuData, cells: AnnData, spec: ReferenceSpec) -> None:
    if not spec.modalities or protein_cells(adata, spec) is not None:
        return
    here = set(spec.batches if spec.batch_key is None else cells.obs[spec.batch_key])
    mask = model.module.protein_batch_mask or {}
    measured = [
        batch for code, batch in enumerate(spec.batches) if batch in here and mask.get(str(code), np.True_).any()
    ]
    if measured:
        message = (
            f"batches {measured[:5]} measured proteins, and these cells have none in {spec.modalities['proteins']!r}; "
            "pass the model's own cells: MuData, or AnnData with proteins in that slot of obsm"
        )
        raise ValueError(message)

"""Select genes and proteins of AnnData, or of the modalities of MuData."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from ._columns import column_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mudata import MuData

    from scarches_plus._reference import ReferenceSpec

#: What modalities are called, and what 10x calls their features.
GENE_NAMES = ("rna", "gex", "genes", "gene expression", "gene_expression", "transcriptome")
PROTEIN_NAMES = (
    "prot", "protein", "proteins", "adt", "cite", "antibody capture", "antibody_capture", "protein_expression",
    "protein_counts",
)  # fmt: skip
_FEATURES = {"genes": "Gene Expression", "proteins": "Antibody Capture"}
#: What the modality of the genes of an AnnData is called; that of the proteins is called as in ``obsm``.
_GENES = "rna"


def is_mudata(value: Any) -> bool:
    """Tell whether a value is MuData, without importing mudata for what is none."""
    return isinstance(getattr(value, "mod", None), Mapping)


def find_modalities(adata: AnnData | MuData, protein_key: str | None) -> dict[str, str]:
    """Return where cells have genes and proteins, as :class:`ReferenceSpec` names it.

    Parameters
    ----------
    adata
        Cells with both; not changed. AnnData has proteins in ``obsm``.
    protein_key
        Modality or ``obsm`` slot of the proteins. Without it they are found as the genes are: by the name, in MuData
        also by ``var["feature_types"]``; the only modality beside the proteins is that of the genes.

    Raises
    ------
    KeyError
        If there is nothing of a given name.
    ValueError
        If it is not clear which they are, or there are no proteins.
    """
    if not is_mudata(adata):
        proteins = _named(adata.obsm, protein_key, "obsm slot") if protein_key else _proteins_of(adata)
        return {"genes": gene_modality(proteins), "proteins": proteins}
    found = {"proteins": _named(adata.mod, protein_key, "modality")} if protein_key else {}
    for part, names in (("genes", GENE_NAMES), ("proteins", PROTEIN_NAMES)):
        if part not in found and (one := _only([name for name in adata.mod if name.lower() in names])):
            found[part] = one
    for part, feature in _FEATURES.items():
        if part not in found and (one := _only([name for name in adata.mod if _kinds(adata.mod[name]) == {feature}])):
            found[part] = one
    if "proteins" in found and (other := _only([name for name in adata.mod if name != found["proteins"]])):
        found.setdefault("genes", other)
    if "proteins" not in found:
        message = (
            f"no proteins found among the modalities {list(adata.mod)}: name theirs with protein_key=, or take "
            "recipe='scvi' for the modality of the genes alone"
        )
        raise ValueError(message)
    if len(set(found.values())) < 2:
        message = (
            f"no genes found among the modalities {list(adata.mod)} beside the proteins in {found['proteins']!r}: call "
            "theirs 'rna', or name that of the proteins with protein_key="
        )
        raise ValueError(message)
    return {"genes": found["genes"], "proteins": found["proteins"]}


def looks_like_proteins(adata: AnnData | MuData) -> list[str]:
    """Return modalities, in AnnData slots of ``obsm``, that are called as proteins are."""
    return [name for name in (adata.mod if is_mudata(adata) else adata.obsm) if name.lower() in PROTEIN_NAMES]


def gene_modality(proteins: str) -> str:
    """Return what the modality of the genes of an AnnData is called beside that of its proteins."""
    return _GENES if proteins != _GENES else f"{_GENES}_genes"


def gene_cells(adata: AnnData | MuData, spec: ReferenceSpec, batch_key: str | None = None) -> AnnData:
    """Return the genes of cells, with all columns that the model reads in ``obs``.

    Parameters
    ----------
    adata
        Cells; not changed. AnnData comes back as it is.
    spec
        What the reference expects.
    batch_key
        Where the cells keep batches, if not where the reference does.

    Raises
    ------
    TypeError
        If the model knows no modalities.
    KeyError
        If the modality of the genes, or a column, is missing.
    ValueError
        If there are cells without genes.
    """
    if not is_mudata(adata):
        return adata  # type: ignore[return-value]
    if not spec.modalities:
        message = "this model was set up with AnnData: pass the modality of the genes, such as mdata.mod['rna']"
        raise TypeError(message)
    name = spec.modalities["genes"]
    if name not in adata.mod:
        message = f"modality {name!r} of the genes not found in the MuData, which holds {list(adata.mod)}"
        raise KeyError(message)
    genes = adata.mod[name]
    require_same_cells(genes, adata, name)
    obs = genes.obs.copy()
    for key in (*columns_of(spec, batch_key), *filter(None, [spec.labels_key])):
        obs[key] = column_of(_table_of(adata, key, spec.column_modalities.get(key)), key).to_numpy()
    layers = {name: genes.layers[name] for name in genes.layers if name is not None}  # from anndata 0.13 on None is X

    return AnnData(genes.X, obs, genes.var, dict(genes.uns), varm=dict(genes.varm), layers=layers, raw=genes.raw)


def protein_cells(adata: AnnData | MuData, spec: ReferenceSpec) -> AnnData | None:
    """Return the proteins of cells as a modality; ``None`` if the cells or the model have none.

    Parameters
    ----------
    adata
        Cells; not changed. AnnData keeps proteins in ``obsm``, under the name of the reference's modality: a table with
        names, or a matrix whose columns are the reference's proteins in order.
    spec
        What the reference expects.
    """
    name = spec.modalities.get("proteins")
    if name is None or is_mudata(adata):
        return None if name is None else adata.mod.get(name)  # type: ignore[union-attr]
    if name not in adata.obsm:
        return None

    found = adata.obsm[name]
    if isinstance(found, pd.DataFrame):
        values, names = found.to_numpy(), list(map(str, found.columns))
    else:
        same = found.shape[1] == len(spec.proteins)
        values, names = found, list(spec.proteins) if same else list(map(str, range(found.shape[1])))
    layers = {} if spec.protein_layer is None else {spec.protein_layer: values}
    return AnnData(values, pd.DataFrame(index=adata.obs_names), pd.DataFrame(index=names), layers=layers)


def columns_of(spec: ReferenceSpec, batch_key: str | None) -> Iterable[str]:
    """Return the columns of ``obs`` that a model reads, labels apart."""
    batch = batch_key or spec.batch_key
    return filter(None, (batch, *spec.categorical_covariates, *spec.continuous_covariates, spec.size_factor_key))


def require_same_cells(part: AnnData, whole: MuData, name: str) -> None:
    """Raise if a modality does not have all cells in their order."""
    if not part.obs_names.equals(whole.obs_names):
        message = (
            f"modality {name!r} has {part.n_obs} of the {whole.n_obs} cells, or has them in another order; "
            + keep_complete_cells(whole)
        )
        raise ValueError(message)


def in_modality(fix: str, name: str) -> str:
    """Write a fix for AnnData as one for a modality of MuData."""
    code, mark, comment = fix.partition("  #")
    update = "; mdata.update()" if re.search(r"\badata(, report)? = ", code) else ""
    return re.sub(r"\badata\b(?!\.obs)", f"mdata.mod[{name!r}]", code) + update + mark + comment


def keep_complete_cells(mdata: MuData) -> str:
    """Say how to keep the cells that have every modality, in one order."""
    first, *others = (f"mdata.mod[{name!r}].obs_names" for name in mdata.mod)
    names = first + "".join(f".intersection({other}, sort=False)" for other in others)
    return (
        f"keep the cells that have every modality, as muon's intersect_obs does: mdata = mdata[{names}].copy(); or "
        "leave the modality out"
    )


def _table_of(adata: MuData, key: str, modality: str | None) -> Any:
    """Return the table that has a column: that of the modality where the reference had it, or any other that has it."""
    tables = [adata.obs if modality is None else adata.mod[modality].obs] if modality in {None, *adata.mod} else []
    tables += [adata.obs, *(part.obs for part in adata.mod.values())]
    return next((table for table in tables if key in table), tables[0])


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _named(slots: Mapping[str, Any], key: str, what: str) -> str:
    if key not in slots:
        message = f"{what} {key!r} not found in the cells, which hold {list(slots)}"
        raise KeyError(message)
    return key


def _proteins_of(adata: AnnData) -> str:
    """Return the slot of ``obsm`` that is called as proteins are."""
    fits = looks_like_proteins(adata)
    if len(fits) == 1:
        return fits[0]
    if fits:
        message = f"proteins may be in {fits} of obsm: name the slot with protein_key="
        raise ValueError(message)
    if _FEATURES["proteins"] in _kinds(adata):
        message = (
            "proteins stand among the genes: take them apart, kind = adata.var['feature_types']; mdata = "
            "mudata.MuData({'rna': adata[:, kind == 'Gene Expression'].copy(), 'prot': adata[:, kind == 'Antibody "
            "Capture'].copy()})"
        )
        raise ValueError(message)
    message = (
        f"no proteins found in obsm, which holds {sorted(adata.obsm)}: name their slot with protein_key=, pass MuData "
        "with a modality of proteins, or take recipe='scvi' for genes alone"
    )
    raise ValueError(message)


def _kinds(adata: AnnData) -> set[str]:
    """Return what 10x says that the variables are, if it does."""
    return set(adata.var["feature_types"]) if "feature_types" in adata.var else set()

"""Open studies by name: of files, AnnData and AnnCollection, with counts left where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scarches_plus import _arguments as check
from scarches_plus._cell_files import open_cells
from scarches_plus._cells import counts_layer, measured_genes, names_of, stored_counts

if TYPE_CHECKING:
    from collections.abc import Sequence


def open_studies(adatas: Any, keys: Sequence[str] | None, *, study_key: str, layer: str | None) -> dict[str, Any]:
    """Return studies by name, files opened with their counts left on disk.

    Parameters
    ----------
    adatas
        Studies by name or in a sequence, paths or AnnData; or an ``AnnCollection`` of anndata.
    keys
        Names of the studies of a sequence; ``None`` takes those of files, and numbers where there are none.
    study_key
        Column of studies; where a collection has one with a name for each part, these are its names.
    layer
        Layer of the counts that a collection is read for; ``None`` means ``X``.
    """
    if is_collection(adatas):
        adatas = _parts(adatas, layer)
        keys = keys or _names_in(study_key, adatas)
    if isinstance(adatas, Mapping):
        if keys is not None:
            message = "keys has no use: adatas names its studies itself"
            raise ValueError(message)
        keys, adatas = list(adatas), list(adatas.values())
    else:
        adatas = check.names("adatas", adatas, of=object, least=1)
        keys = _names_of(adatas) if keys is None else check.names("keys", keys, of=object)
    if not adatas or len(keys) != len(adatas):
        message = f"adatas holds {len(adatas)} studies and keys {len(keys)} names; pass studies, and one name for each"
        raise ValueError(message)
    names = pd.Index([str(key) for key in keys])
    if names.has_duplicates:
        message = (
            f"names of studies must differ (they name columns in h5ad files): {names[names.duplicated()].tolist()}"
        )
        raise ValueError(message)
    for name in names:
        check.slot("study", name)
    return {name: _opened(study) for name, study in zip(names, adatas, strict=True)}


def is_collection(value: Any) -> bool:
    """Tell an ``AnnCollection`` of anndata.

    Raises
    ------
    TypeError
        If it is a part of one, or its values are converted, naming what to pass.
    """
    kind = type(value).__name__  # its module imports torch
    if kind == "AnnCollectionView":
        message = (
            "a part of an AnnCollection is not read: join the collection and take the part of that, "
            "sp.pp.concat_studies(collection)[cells, genes]"
        )
        raise TypeError(message)
    if kind == "AnnCollection" and value.convert is not None:
        message = (
            "the AnnCollection converts its values (convert=), and raw counts are read as they lie: set "
            "collection.convert = None"
        )
        raise TypeError(message)
    return kind == "AnnCollection"


def _parts(collection: Any, layer: str | None) -> list[AnnData]:
    """Return the cells of a collection as it shows them, on those of its genes that they measured."""
    source = counts_layer(layer, None)
    parts, stop = [], 0
    for adata in collection.adatas:
        start, stop = stop, stop + adata.n_obs
        obs = collection.obs.iloc[start:stop]
        obs = obs.set_axis(pd.Index(obs.index.to_numpy()))  # which pandas 2 takes for as unique as all names are
        others = [key for key in collection.attrs_keys["obs"] if key not in obs]  # join_obs=None
        obs = pd.concat([obs, adata.obs[others].set_axis(obs.index)], axis=1)
        measured, genes = measured_genes(adata, np.full(adata.n_obs, "part")), collection.var_names
        if measured is not None:
            genes = genes[measured.loc[genes, "part"].to_numpy()]
        counts = stored_counts(adata if genes.equals(adata.var_names) else adata[:, genes], source)
        layers = None if source is None else {source: counts}
        parts.append(AnnData(None if source else counts, obs, pd.DataFrame(index=genes), layers=layers))
    return parts


def _names_in(study_key: str, parts: Sequence[AnnData]) -> list[str] | None:
    """Return the names that a column has for the parts, if it has one for each."""
    if not all(study_key in part.obs for part in parts):
        return None
    names = [set(names_of(part.obs[study_key])) for part in parts]
    alone = [name for one in names if len(one) == 1 for name in one if name is not None]
    return alone if len(set(alone)) == len(parts) else None


def _names_of(adatas: Sequence[Any]) -> list[str]:
    """Return the names of files, and numbers for what has none."""
    names = [Path(one).stem if isinstance(one, str | Path) else str(i) for i, one in enumerate(adatas)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = (
            f"several files are called {twice[:5]}, and files name their studies: rename one, or pass "
            f"them by name, a dict such as {{{twice[0] + '_1'!r}: path, ...}}"
        )
        raise ValueError(message)
    return names


def _opened(study: Any) -> Any:
    return open_cells(study) if isinstance(study, str | Path) else study

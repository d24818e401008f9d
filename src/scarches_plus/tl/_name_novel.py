"""Name clusters of novel cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _colors, _keys
from scarches_plus._cells import name_of, names_of, require_writable
from scarches_plus._logging import logger, tell

from ._provenance._embedding_record import copy_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData


def name_novel(
    adata: AnnData,
    names: Mapping[str, str],
    predictions: str | None = None,
    *,
    key: str = "novel",
    unknown_category: str = _keys.UNKNOWN,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Name clusters of novel cells, and label the other cells by their predictions.

    Parameters
    ----------
    adata
        Query that :func:`detect_novel` has seen. Receives ``obs[key_added]``, categorical: the name for novel cells of
        a named cluster, the prediction for cells that are neither novel nor in a cluster of novel cells,
        ``unknown_category`` for all others. The record in ``uns["scarches_plus"]["novel"][key]`` gets the names and the
        column of predictions.
    names
        Cluster (of ``obs["{key}_cluster"]``) to name. Several clusters may have one name; a name may be a label of the
        reference that was not recognised.
    predictions
        ``obs`` column of predicted labels, such as ``"cell_type_pred"`` of :func:`transfer_labels`; by default
        ``obs["{key}_label"]``, the label that explains a cell best.
    key
        First part of the names that :func:`detect_novel` wrote.
    unknown_category
        Name of cells without a label.
    key_added
        Column to write; by default ``"{key}_named"``.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If there is no such cluster, or a name is empty or ``unknown_category``.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.cells("adata", adata)
    check.mapping("names", names)
    check.texts(key=key, unknown_category=unknown_category)
    check.texts_or_none(predictions=predictions)
    check.slot("key_added", _keys.novel_named(key) if key_added is None else key_added)
    check.distinct(key=key, predictions=predictions, key_added=key_added)
    check.flags(copy=copy)
    require_writable(adata, copy=copy)
    column = _keys.novel_label(key) if predictions is None else predictions
    needed = {
        key: "sp.tl.detect_novel",
        _keys.novel_cluster(key): "sp.tl.detect_novel",
        column: "sp.tl.transfer_labels",
    }
    for name, verb in needed.items():
        if name not in adata.obs:
            message = f"column {name!r} not found in adata.obs; {verb} writes one"
            raise KeyError(message)
    clusters = adata.obs[_keys.novel_cluster(key)].astype("category")
    if strange := sorted(set(map(name_of, names)) - set(map(name_of, clusters.cat.categories))):
        message = (
            f"there are no clusters {strange} in obs[{_keys.novel_cluster(key)!r}], only "
            f"{list(clusters.cat.categories)}"
        )
        raise ValueError(message)
    chosen = pd.Series(list(names.values()), dtype=object)
    if refused := [
        name
        for name, gap in zip(chosen, chosen.isna(), strict=True)
        if gap or not str(name).strip() or name == unknown_category
    ]:
        message = f"{refused[0]!r} is no name; leave out the clusters that have none"
        raise ValueError(message)

    predicted = adata.obs[column].astype("category")
    novel = adata.obs[key].to_numpy(dtype=bool)
    inside = clusters.notna().to_numpy()
    labels = np.full(adata.n_obs, unknown_category, dtype=object)
    known = ~novel & ~inside & predicted.notna().to_numpy()
    labels[known] = names_of(predicted[known])
    given = pd.Series(names_of(clusters), index=clusters.index, dtype=object).map(
        {name_of(cluster): name_of(name) for cluster, name in names.items()}
    )
    named = novel & given.notna().to_numpy()
    labels[named] = given[named]
    order = [*map(name_of, predicted.cat.categories), *map(name_of, names.values())]
    categories = [*dict.fromkeys(name for name in order if name != unknown_category), unknown_category]

    adata = copy_of(adata) if copy else adata
    key_added = _keys.novel_named(key) if key_added is None else key_added
    adata.obs[key_added] = pd.Categorical(labels, categories=categories)
    _write_colors(adata, column, key_added, unknown_category)
    record = adata.uns.setdefault(_keys.UNS, {}).setdefault(_keys.NOVEL, {}).setdefault(key, {})
    record["names"] = {str(cluster): str(name) for cluster, name in names.items()}
    record["predictions"] = column
    logger.info("%s: known cells have the labels of obs[%r]", key_added, column)
    given_names = list(dict.fromkeys(record["names"].values()))
    line = f"named {int(named.sum()):,} novel cells ({key_added}): {', '.join(given_names)}"
    tell(line, {"what": "named", "key": key_added, "line": line, "cells": int(named.sum()), "names": given_names})
    return adata if copy else None


def _write_colors(adata: AnnData, source: str, key: str, unknown_category: str) -> None:
    """Give labels the colours of the predictions, if these have any, and names others."""
    colors = adata.uns.get(_keys.colors(source))
    if colors is None or not hasattr(adata.obs[source], "cat"):
        return
    known = dict(zip(map(name_of, adata.obs[source].cat.categories), colors, strict=False))
    known[unknown_category] = _colors.GREY
    free = (color for color in _colors.LABELS if color not in known.values())
    adata.uns[_keys.colors(key)] = [
        known[label] if label in known else next(free, "grey") for label in adata.obs[key].cat.categories
    ]

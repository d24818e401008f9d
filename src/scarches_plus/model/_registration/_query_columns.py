"""Read the batch column, covariates, labels and counts of a query as a model takes them.

The user's AnnData is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scarches_plus._cells import column_of, complete_names, counts_layer, left_on_disk, missing, names_of
from scarches_plus.pp import align_genes

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scarches_plus._reference import ReferenceSpec


def prepare_cells(
    adata: AnnData,
    spec: ReferenceSpec,
    *,
    layer: str | None = None,
    batch_key: str | None = None,
    use_labels: bool = False,
) -> AnnData:
    """Return the cells as a reference model takes them.

    Parameters
    ----------
    adata
        Cells; not changed.
    spec
        What the reference expects.
    layer, batch_key
        Where the query keeps counts (``"X"`` for ``adata.X``) and batches, if not where the reference does.
    use_labels
        Keep the labels that the reference knows; otherwise, and for all others, cells become unlabelled.

    Returns
    -------
    AnnData
        Counts on the reference's genes (shared with ``adata`` if these agree, left on disk if they lie there), a copy
        of ``obs`` with the columns the model reads, ``var["measured"]``, and what
        :func:`scarches_plus.pp.concat_studies` recorded.

    Raises
    ------
    KeyError
        If a column that the reference expects is missing.
    ValueError
        If a column has missing values, or an option has no use with this reference.
    """
    obs = prepare_obs(adata.obs, spec, batch_key=batch_key, use_labels=use_labels)
    source = counts_layer(layer, spec.layer)
    prepared = align_genes(left_on_disk(adata, source), spec.var_names, layer=source)
    if source != spec.layer:
        counts = prepared.X
        if source is not None:
            del prepared.layers[source]
        if spec.layer is not None:
            prepared.layers[spec.layer] = counts
    prepared.obs = obs.set_axis(prepared.obs_names)
    return prepared


def prepare_obs(
    obs: pd.DataFrame, spec: ReferenceSpec, *, batch_key: str | None = None, use_labels: bool = False
) -> pd.DataFrame:
    """Return a copy of ``obs`` with the columns that a reference model reads, as :func:`prepare_cells` does."""
    if batch_key is not None and spec.batch_key is None:
        message = f"batch_key={batch_key!r} has no use: the reference was set up without batches"
        raise ValueError(message)
    if use_labels and spec.unlabeled_category is None:
        message = "use_query_labels needs a scANVI reference: this model does not train on labels"
        raise ValueError(message)
    prepared = obs.copy()
    if spec.batch_key is not None:
        prepared[spec.batch_key] = complete_names(obs, batch_key or spec.batch_key)
    for key in spec.categorical_covariates:
        prepared[key] = complete_names(obs, key)
    for key in (*spec.continuous_covariates, *filter(None, [spec.size_factor_key])):
        column_of(obs, key)
    if spec.labels_key is not None:
        prepared[spec.labels_key] = _labels(obs, spec, use_labels=use_labels)
    return prepared


def _labels(obs: pd.DataFrame, spec: ReferenceSpec, *, use_labels: bool) -> np.ndarray:
    unlabeled = spec.unlabeled_category
    if unlabeled is None:  # a model that only registers labels, such as SCVI
        unlabeled = spec.labels[0]
    labels = np.full(len(obs), unlabeled, dtype=object)
    if use_labels:
        given = names_of(column_of(obs, str(spec.labels_key)))
        known = np.isin(given.astype(str), spec.labels) & ~missing(given)
        if not known.any():
            message = (
                f"the reference knows none of the query's labels in obs[{spec.labels_key!r}], only {list(spec.labels)}"
            )
            raise ValueError(message)
        labels[known] = given[known]
    return labels

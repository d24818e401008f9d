"""Transfer labels from a reference to a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scarches_plus import _keys

from ._provenance import copy_of, require_same_space
from ._summaries import summaries_for
from ._transfer import best_labels, kernel_weights, vote

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData

    from scarches_plus.model import SCANVI, SCVI, TOTALVI


def transfer_labels(
    adata: AnnData,
    reference: AnnData | SCVI | SCANVI | TOTALVI,
    labels_key: str | Sequence[str],
    *,
    use_rep: str = _keys.EMBEDDING,
    k: int = 50,
    kernel: Literal["paper", "scarches", "gaussian"] = "paper",
    unknown_above: float | None = 0.5,
    unknown_category: str = _keys.UNKNOWN,
    probabilities: bool = False,
    copy: bool = False,
) -> AnnData | None:
    """Give every query cell the label that its nearest reference cells vote for, and how uncertain that is.

    Parameters
    ----------
    adata
        Query with an embedding. For every key in ``labels_key`` it receives ``obs["{key}_pred"]`` (categorical, in the
        reference's order and colours), ``obs["{key}_uncertainty"]`` in [0, 1] and, on request,
        ``obsm["{key}_probabilities"]``, shape ``(n_cells, n_labels)``, whose columns are named in
        ``uns["scarches_plus"]["probability_labels"][key]``.
    reference
        Reference with an embedding in the same latent space, and labels. Or a model that carries a summary of its labels
        (from :func:`scarches_plus.hub.load_bundle` or :func:`scarches_plus.train.summarize_reference`), such as the mapped
        model: then no reference cell is needed, and each cell gets the label of highest probability under the label's mixture.
    labels_key
        ``obs`` column of the reference, or several; they share one neighbour search. For a model, names of its summaries.
    use_rep
        ``obsm`` slot of the embedding, in both.
    k
        Number of neighbours (not for a model), all cells of a smaller reference. The search is exact up to 2.5e9 pairs of cells, approximate (pynndescent) above.
    kernel
        How distances weigh votes (not for a model): ``"paper"`` as in the paper, ``"scarches"`` as in the released code (with the
        standard deviation about the mean), ``"gaussian"`` independent of the scale of the space.
    unknown_above
        Uncertainty above which a cell is called unknown; ``None`` never rejects.
    unknown_category
        Name of the rejected, and of reference cells without a label, which do not vote (nor do missing values).
    probabilities
        Also write the probabilities of all labels.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    KeyError
        If an embedding or a label column is missing.
    ValueError
        If the embeddings lie in different latent spaces, no reference cell has a label, or no column is named.
    TypeError
        If the reference is neither AnnData nor model.

    Notes
    -----
    Uncertainty is 1 minus the probability of the best label (eq. 21). The vote sees only which labels are near, not how
    near they are: cells of a type the reference lacks are often labelled with confidence, by Bayes' rule over a model's
    mixtures as well.

    References
    ----------
    Lotfollahi et al. 2021 (scArches), eq. 17-22.
    """
    import pandas as pd
    from anndata import AnnData

    from scarches_plus._neighbors import nearest

    if unknown_above is not None and not 0 <= unknown_above <= 1:
        message = f"unknown_above must lie between 0 and 1, not {unknown_above}"
        raise ValueError(message)
    keys = [labels_key] if isinstance(labels_key, str) else list(labels_key)
    if not keys:
        message = "labels_key names no column"
        raise ValueError(message)
    unknown: dict[str, Any] = {"unknown_above": unknown_above, "unknown_category": unknown_category}
    if not isinstance(reference, AnnData):
        summaries = summaries_for(adata, reference, keys, use_rep)
        adata = copy_of(adata) if copy else adata
        for key, summary in summaries.items():
            shares = summary.probabilities(np.asarray(adata.obsm[use_rep]))
            column = pd.Categorical([], categories=list(summary.labels))
            _write(adata, key, column, (shares.argmax(axis=1), shares.max(axis=1)), **unknown)
            if probabilities:
                _write_probabilities(adata, key, column, shares)
        return adata if copy else None
    require_same_space(adata, reference, use_rep)
    labels = {key: _reference_labels(reference, key, unknown_category) for key in keys}

    adata = copy_of(adata) if copy else adata
    k = min(k, reference.n_obs)
    neighbors = nearest(np.asarray(adata.obsm[use_rep]), np.asarray(reference.obsm[use_rep]), k)
    weights = kernel_weights(neighbors.distances, kernel)
    for key, column in labels.items():
        _write(
            adata, key, column, best_labels(neighbors.indices, weights, column.codes, len(column.categories)), **unknown
        )
        if probabilities:
            shares = vote(column.codes[neighbors.indices], weights, len(column.categories))
            _write_probabilities(adata, key, column, shares)
        _write_colors(adata, reference, key, unknown_category)
    return adata if copy else None


def _reference_labels(reference: AnnData, key: str, unknown_category: str) -> pd.Categorical:
    """Return the labels of the reference; cells without one have code -1."""
    import pandas as pd

    if key not in reference.obs:
        message = f"labels {key!r} not found in reference.obs, which holds {list(reference.obs.columns)}"
        raise KeyError(message)
    column = reference.obs[key]
    column = column.where(column.notna() & (column.astype(object) != unknown_category))
    labels = pd.Categorical(column).remove_unused_categories()
    labels = labels.rename_categories(str)
    if not len(labels.categories):
        message = f"no cell of the reference has a label in obs[{key!r}]"
        raise ValueError(message)
    return labels


def _predictions(labels: pd.Categorical, codes: np.ndarray, unknown_category: str) -> pd.Categorical:
    """Return labels by code, in the reference's order with unknown (code -1) last."""
    import pandas as pd

    categories = [*labels.categories, unknown_category]
    codes = np.where(codes < 0, len(labels.categories), codes)
    return pd.Categorical.from_codes(codes.tolist(), categories=pd.Index(categories))


def _write(
    adata: AnnData,
    key: str,
    labels: pd.Categorical,
    votes: tuple[np.ndarray, np.ndarray],
    *,
    unknown_above: float | None,
    unknown_category: str,
) -> None:
    """Write the best labels, unknown where they are too uncertain, and how uncertain they are."""
    best, probability = votes
    uncertainty = np.clip(1.0 - probability, 0.0, 1.0)
    rejected = (best < 0) | (uncertainty > (1.0 if unknown_above is None else unknown_above))
    adata.obs[_keys.predicted(key)] = _predictions(labels, np.where(rejected, -1, best), unknown_category)
    adata.obs[_keys.uncertainty(key)] = uncertainty


def _write_probabilities(adata: AnnData, key: str, labels: pd.Categorical, shares: np.ndarray) -> None:
    adata.obsm[_keys.probabilities(key)] = shares
    # not a table: column names with a slash, as cell types have them, cannot be written to h5ad
    names = adata.uns.setdefault(_keys.UNS, {}).setdefault(_keys.PROBABILITY_LABELS, {})
    names[key] = [str(label) for label in labels.categories]


def _write_colors(adata: AnnData, reference: AnnData, key: str, unknown_category: str) -> None:
    """Give predicted labels the colours the reference draws them in."""
    colors = reference.uns.get(_keys.colors(key))
    if colors is None or not hasattr(reference.obs[key], "cat"):
        return
    by_label = dict(zip(map(str, reference.obs[key].cat.categories), colors, strict=False)) | {
        unknown_category: _keys.UNKNOWN_COLOR
    }
    predicted = _keys.predicted(key)
    adata.uns[_keys.colors(predicted)] = [
        by_label.get(label, _keys.UNKNOWN_COLOR) for label in adata.obs[predicted].cat.categories
    ]

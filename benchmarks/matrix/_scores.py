"""Scores of a mapping: the same for every method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._data import UNKNOWN
from ._normalize import log_normalized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from ._study import Mapped, Study

K = 15
#: Components of the embedding of each batch alone, with which neighbours are compared.
N_COMPS = 10
UNKNOWN_ABOVE = 0.5
#: Columns, in the order of the table of results.
EVALUATED = (
    "mixing", "conservation", "total", "scib total", "EBM", "iLISI", "kBET", "cLISI", "graph connectivity", "label purity",
    "isolated labels", "NMI k-means", "ARI k-means", "one-batch types apart", "KNI", "label accuracy", "macro F1",
    "AUROC of unseen types",
)  # fmt: skip
TRANSFER = (
    "transfer accuracy", "transfer macro F1", "transfer weighted accuracy", "transfer AUROC", "known called unknown",
    "unseen called unknown",
)  # fmt: skip
OWN = ("own accuracy", "own macro F1", "own weighted accuracy", "own AUROC")
SCORES = (*EVALUATED, "neighbour preservation", *TRANSFER, *OWN, "reference drift")
#: Scores of :func:`scarches_plus.metrics.evaluate` beyond its cheap set, which a matrix may ask for.
EXTRA = (
    "BRAS", "silhouette of batches", "kBET per label", "silhouette of labels", "isolated labels (silhouette)", "RbNI"
)  # fmt: skip


def score(study: Study, mapped: Mapped, extra: Sequence[str] = ()) -> dict[str, float]:
    """Return every score that is defined for a mapping."""
    scores = _label_scores(study, mapped.labels, mapped.uncertainty, "own")
    if mapped.query is None:
        return scores
    return {**scores, **_embedding_scores(study, mapped, extra), **_transfer_scores(study, mapped)}


def _embedding_scores(study: Study, mapped: Mapped, extra: Sequence[str]) -> dict[str, float]:
    import scarches_plus as sp

    joint = _bare(study.reference, mapped.reference, study.query, mapped.query)
    of_reference = np.arange(joint.n_obs) < study.reference.n_obs
    scores = _evaluated(joint, of_reference, "cheap")
    if extra:
        more = _evaluated(joint, of_reference, list(extra))
        scores |= {name: value for name, value in more.items() if name in extra}
    scores["neighbour preservation"] = _preservation(study, joint)
    scores["reference drift"] = (
        float("nan")
        if mapped.before is None
        else sp.metrics.reference_drift(mapped.before, mapped.reference).relative_rmsd
    )
    return scores


def _evaluated(joint: AnnData, of_reference: np.ndarray, scores: str | list[str]) -> dict[str, float]:
    import scarches_plus as sp

    report = sp.metrics.evaluate(
        joint,
        "mapped",
        "batch",
        labels_key="cell_type",
        reference_mask=of_reference,
        scores=scores,
        k=min(K, joint.n_obs - 1),
        progress=False,
    )
    return {name: float(value) for (_, name), value in report.table().loc["mapped"].items()}


def _preservation(study: Study, joint: AnnData) -> float:
    """Return the share of each batch's neighbourhoods by its own principal components that the mapping keeps."""
    from sklearn.decomposition import PCA

    import scarches_plus as sp

    embedding, batches = joint.obsm["mapped"], joint.obs["batch"].to_numpy()
    large = [batch for batch in np.unique(batches) if (batches == batch).sum() > K]
    rows = np.isin(batches, large)
    if not rows.any():
        return float("nan")
    separate = {}
    for batch in large:
        parts = [cells[(cells.obs["batch"] == batch).to_numpy()] for cells in (study.reference, study.query)]
        values = np.concatenate([log_normalized(part).X.toarray() for part in parts if part.n_obs])
        separate[batch] = PCA(min(N_COMPS, *values.shape), random_state=0).fit_transform(values)
    return sp.metrics.neighbor_preservation(embedding[rows], separate, batches[rows], k=K)


def _transfer_scores(study: Study, mapped: Mapped) -> dict[str, float]:
    """Labels by the paper's kernel."""
    import scarches_plus as sp

    reference, query = _bare(study.reference, mapped.reference), _bare(study.query, mapped.query)
    sp.tl.transfer_labels(query, reference, "cell_type", use_rep="mapped", unknown_above=None)
    uncertainty = query.obs["cell_type_uncertainty"].to_numpy()
    scores = _label_scores(study, query.obs["cell_type_pred"].astype(str).to_numpy(), uncertainty, "transfer")
    truth = study.query.obs["cell_type"]
    known = truth.isin(study.reference.obs["cell_type"]).to_numpy()
    labelled = (truth != UNKNOWN).to_numpy()
    for name, rows in {"known": known & labelled, "unseen": ~known & labelled}.items():
        rejected = (uncertainty > UNKNOWN_ABOVE)[rows]
        scores[f"{name} called unknown"] = float(rejected.mean()) if len(rejected) else float("nan")
    return scores


def _label_scores(
    study: Study, labels: np.ndarray | None, uncertainty: np.ndarray | None, kind: str
) -> dict[str, float]:
    import scarches_plus as sp

    if labels is None:
        return {}
    report = sp.metrics.label_transfer_report(
        study.query.obs["cell_type"].to_numpy(),
        labels,
        uncertainty,
        known_labels=study.reference.obs["cell_type"].to_numpy(),
    )
    return {
        f"{kind} accuracy": report.accuracy,
        f"{kind} macro F1": report.macro_f1,
        f"{kind} weighted accuracy": report.weighted_accuracy,
        f"{kind} AUROC": report.auroc_unseen,
    }


def _bare(*cells_and_embeddings) -> AnnData:
    """Return cells with labels, batches and the embedding alone."""
    import pandas as pd
    from anndata import AnnData

    cells, embeddings = cells_and_embeddings[::2], cells_and_embeddings[1::2]
    obs = pd.concat([one.obs[["batch", "cell_type"]] for one in cells])
    obs.index = [str(row) for row in range(len(obs))]
    return AnnData(obs=obs, obsm={"mapped": np.concatenate(embeddings)})

"""Write scores and figures of a mapped query as text, PNG and one HTML page."""

from __future__ import annotations

import io
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from anndata import AnnData

from scarches_plus import _keys, metrics, pl, tl
from scarches_plus._cells import are_prototypes, names_of, without_label
from scarches_plus._files import write_file
from scarches_plus._html import heading, image, listing, page, table_of, verdict
from scarches_plus._score_words import MAPPING
from scarches_plus._visit import Verdict, verdict_of

from ._settings import mapping_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from scarches_plus._reference_map import ReferenceMap

#: Title of the first figure.
ON_THE_MAP = "Query on the map of the reference"
COVERED = "States of the reference that the query covers"
#: Neighbours of the entropy of batch mixing; scANVI's number.
_MIXING_NEIGHBORS = 50


@dataclass(frozen=True)
class MappingReport:
    """Contents of a page about a mapped query.

    Attributes
    ----------
    verdict
        How well it mapped, and what to look at.
    scores
        Score to value.
    settings
        How the mapping was made.
    tables
        Title to table.
    figures
        Title to figure.
    """

    verdict: Verdict
    scores: Mapping[str, float]
    settings: Mapping[str, object]
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Figure]

    def write_html(self, path: Path, title: str) -> None:
        """Write one page that needs no other file."""
        words = {name: MAPPING[name] for name in self.scores}
        values = {words[name].name: shown(value) for name, value in self.scores.items()}
        explained = {one.name: one.sentence for one in words.values()}
        parts = [verdict(self.verdict.sentence, self.verdict.points)]
        parts += [image(name, _png(figure)) for name, figure in self.figures.items()]
        parts += [heading("Scores"), listing(values, explained)]
        for name, table in self.tables.items():
            columns = {column: str(column).replace("_", " ") for column in table}
            parts += [heading(name), table_of(table.rename(columns=columns))]
        write_file(path, page(title, [*parts, heading("Settings"), listing(self.settings)]))


def mapping_report(
    reference: AnnData | ReferenceMap,
    query: AnnData,
    labels_key: str,
    unlabelled: tuple[str, ...] | None = None,
    picture: ReferenceMap | None = None,
) -> MappingReport:
    """Score and draw a query that was mapped and labelled.

    Parameters
    ----------
    reference
        Cells with an embedding in the latent space of the query, or their map, where they stay at home.
    query
        Cells with an embedding and transferred labels. If they have labels of their own in ``obs[labels_key]``,
        predictions are scored against them.
    labels_key
        ``obs`` column of labels.
    unlabelled
        Words that are no label of the query's own; ``None`` for the package's.
    picture
        Map of the reference's cells, if it is made already.

    Returns
    -------
    MappingReport
        Scores, settings, tables and figures.

    Raises
    ------
    KeyError
        If the query has no transferred labels.
    """
    predicted = _keys.predicted(labels_key)
    if predicted not in query.obs:
        message = f"obs[{predicted!r}] not found: transfer labels first (scarches-plus transfer)"
        raise KeyError(message)
    cells = reference if isinstance(reference, AnnData) else None
    if isinstance(reference, AnnData):
        picture = picture or tl.reference_map(reference, labels_key=labels_key, unlabelled=unlabelled)
    else:
        picture = reference
    placed = AnnData(obs=query.obs, obsm={_keys.EMBEDDING: query.obsm[_keys.EMBEDDING]}, uns=deepcopy(dict(query.uns)))
    tl.place(placed, picture)
    joint = None
    if cells is not None and len(picture.points) == cells.n_obs:
        joint = _joint(cells, query, picture.points, placed.obsm[_keys.MAP])
    novel_key = _novel_key(query)

    mapping = mapping_of(query)
    scores = _scores(query, predicted, mapping, novel_key)
    mixing = None
    if joint is not None and cells is not None and not are_prototypes(cells):
        scores["entropy of reference and query mixing (0 to 1)"] = metrics.entropy_batch_mixing(
            joint.obsm[_keys.EMBEDDING],
            joint.obs[_keys.ROLE].to_numpy(),
            k=min(_MIXING_NEIGHBORS, joint.n_obs - 1),
            normalize=True,
        )
        mixing = scores["entropy of reference and query mixing (0 to 1)"] / _even(joint)
    covered = novel_key is None or not placed.obs[novel_key].all()
    tables = {COVERED: tl.presence(picture, placed, novel_key=novel_key)} if covered else {}
    names = {*picture.labels} if cells is None else set(names_of(cells.obs[labels_key]))
    names |= set(names_of(query.obs[predicted]))  # of few cells, or from within a hierarchy
    known = [label for label in names if label not in {None, _keys.UNKNOWN}]
    truth = (
        labels_key in query.obs
        and not without_label(names_of(query.obs[labels_key]), unlabelled, always=[_keys.UNKNOWN]).all()
    )
    per_type = None
    if truth:
        transfer = metrics.label_transfer_report(
            query.obs[labels_key].to_numpy(),
            query.obs[predicted].astype(str).to_numpy(),
            query.obs[_keys.uncertainty(labels_key)].to_numpy(),
            known_labels=known,
            unlabelled=unlabelled,
        )
        scores |= {str(name).replace("_", " "): float(value) for name, value in transfer.to_series().items()}
        tables["Types"] = per_type = transfer.per_type
    judged = verdict_of(query, labels_key, scores, mixing=mixing, per_type=per_type)
    figures = {ON_THE_MAP: pl.reference_map(picture, placed, color=predicted, novel_key=novel_key).figure}
    if joint is not None:
        batch_key = str(mapping.get("batch_key", ""))
        figures["Reference and query"] = _umaps(joint, labels_key, truth=truth, batch_key=batch_key)
    if truth:
        figures["Labels against predictions"] = pl.confusion_matrix(query, labels_key, unlabelled=unlabelled).figure
        figures["Uncertainty by type"] = pl.uncertainty_by_type(
            query, labels_key, known_labels=known, unlabelled=unlabelled
        ).figure
    if novel_key is not None and _has_threshold(query, novel_key):
        figures["Novelty by label"] = pl.novelty(query, novel_key).figure
    settings = settings_of(query, labels_key, novel_key)
    return MappingReport(judged, scores, settings, tables, figures)


def _scores(query: AnnData, predicted: str, mapping: Mapping[str, Any], novel_key: str | None) -> dict[str, float]:
    """Return what the query's own columns and records say, by name."""
    scores = {
        "cells of the query": query.n_obs,
        "called unknown": float((query.obs[predicted] == _keys.UNKNOWN).mean()),
    }
    if novel_key is not None:
        state = query.obs.get(_keys.novel_state(novel_key), query.obs[novel_key]).astype(str)
        clusters = query.obs.get(_keys.novel_cluster(novel_key))
        scores["called novel"] = float(query.obs[novel_key].astype(bool).mean())
        scores["clusters of novel cells"] = 0 if clusters is None else int(clusters.nunique())
        scores["not judged novel or known"] = float((state == "not judged").mean())
    drift = mapping.get("drift", {})
    if "weights" in drift:
        scores["reference drift, largest change of a weight"] = float(drift["weights"])
    if "relative_rmsd" in drift:
        scores["reference drift, cells (relative RMSD)"] = float(drift["relative_rmsd"])
    return scores


def _even(joint: AnnData) -> float:
    """Return the entropy of reference and query if they mixed evenly, from 0 to 1."""
    shares = joint.obs[_keys.ROLE].value_counts(normalize=True).to_numpy()
    return float(-(shares * np.log2(shares)).sum())


def _novel_key(query: AnnData) -> str | None:
    """Return the column of novel cells that were looked for, ``None`` if none were."""
    looked_for = {_keys.NOVEL, _keys.novel_state(_keys.NOVEL)} <= set(query.obs)
    return _keys.NOVEL if looked_for and query.obs[_keys.NOVEL].dtype == bool else None


def _has_threshold(query: AnnData, novel_key: str) -> bool:
    record = query.uns.get(_keys.UNS, {}).get(_keys.NOVEL, {}).get(novel_key, {})
    columns = {_keys.novel_score(novel_key), _keys.novel_label(novel_key)}
    return "threshold" in record and bool(record.get("judged", True)) and columns <= set(query.obs)


def _joint(reference: AnnData, query: AnnData, points: NDArray, places: NDArray) -> AnnData:
    """Return reference and query with their positions on the map of the reference."""
    joint = tl.joint_embedding(reference, query)
    in_reference = (joint.obs[_keys.ROLE] == _keys.REFERENCE).to_numpy()
    positions = np.empty((joint.n_obs, 2), dtype=np.float32)
    positions[in_reference], positions[~in_reference] = points, places
    joint.obsm["X_umap"] = positions
    return joint


def _umaps(joint: AnnData, labels_key: str, *, truth: bool, batch_key: str) -> Figure:
    import matplotlib.pyplot as plt

    panels: list[tuple[str, Literal["query", "reference", "all"], str]] = [
        (_keys.ROLE, "query", "query on reference"),
        (labels_key, "reference", "labels of the reference"),
        (_keys.predicted(labels_key), "query", "transferred labels of the query"),
        (_keys.uncertainty(labels_key), "query", "uncertainty of the query"),
    ]
    if truth:
        panels.insert(3, (labels_key, "query", "true labels of the query"))
    if batch_key in joint.obs:
        panels.append((batch_key, "all", "batches"))
    figure, axes = plt.subplots(-(-len(panels) // 2), 2, figsize=(13, 4.2 * -(-len(panels) // 2)), layout="constrained")
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (color, cells, title) in zip(axes.flat, panels, strict=False):
        pl.joint_umap(joint, color=color, cells=cells, ax=axis)
        axis.set_title(title)
    return figure


def text_of(scores: Mapping[str, float]) -> str:
    """Return scores as aligned lines, by names that people say."""
    names = {name: MAPPING[name].name for name in scores}
    width = max(map(len, names.values()))
    return "\n".join(f"{names[name]:<{width}}  {shown(value)}" for name, value in scores.items())


def shown(value: float) -> str:
    """Return a number of cells, or a share with three digits."""
    if isinstance(value, int) or (value >= 1 and float(value).is_integer()):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value == value else "not defined"  # noqa: PLR0124 (NaN)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return buffer.getvalue()

"""Collect labelled cells for teaching a model new labels beside those that it knows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from scarches_plus._cells import column_of, gene_cells, names_of, without_label
from scarches_plus.pp import check_query
from scarches_plus.tl._provenance._embedding_record import embedding_of, embedding_space

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

    from scarches_plus._reference import ReferenceSpec
    from scarches_plus.model import SCANVI
    from scarches_plus.train import LatentSummary

#: Cells drawn from each component of a summary, where the reference's cells are not at hand.
_DRAWN = 100


@dataclass(frozen=True)
class LabelledCells:
    """Labels and latent means, shape ``(n_cells, n_latent)``."""

    labels: NDArray[np.object_]
    means: NDArray[np.float32]


def text_labels(
    adata: AnnData | MuData,
    key: str,
    *,
    spec: ReferenceSpec,
    nothing: set[str],
    unlabelled: Collection[Any] | None,
    known: set[str],
) -> NDArray[np.object_]:
    """Return labels as names, ``None`` for cells without one.

    Parameters
    ----------
    adata
        Cells.
    key
        ``obs`` column, of MuData in the whole or in a modality.
    spec
        Where the model's cells have what it reads.
    nothing
        Names of no label.
    unlabelled
        Further words that are no label; ``None`` for the package's.
    known
        Labels that count all the same.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    if spec.modalities:
        others: dict[str, Any] = {"categorical_covariates": {}, "continuous_covariates": (), "size_factor_key": None}
        adata = gene_cells(adata, replace(spec, labels_key=key, batch_key=None, **others))
    labels = names_of(column_of(adata.obs, key))
    labels[without_label(labels, unlabelled, always=nothing, known=known, where=f"obs[{key!r}]")] = None
    return labels


def nothing_new(
    adata: AnnData | MuData, key: str, labels: NDArray[np.object_], labels_of: Callable[..., NDArray[np.object_]]
) -> ValueError:
    """Return the error that a model knows all labels of cells, with the words that were not taken for labels."""
    found = set(labels) - {None}
    message = f"the model knows all labels of obs[{key!r}]: {sorted(found)}"
    if left_out := sorted(set(labels_of(adata, key, unlabelled=())) - found - {None}):
        message = f"{message}. {left_out} are taken for no labels; unlabelled=() lets them count"
    return ValueError(message)


def learned_from(model: SCANVI, adata: AnnData, labels: NDArray[np.object_]) -> tuple[AnnData, NDArray[np.object_]]:
    """Return the cells that a model learns new labels from, and their labels.

    Parameters
    ----------
    model
        Model.
    adata
        All or some of its cells, by name. For a model that came without counts, any cells with counts of batches that
        it knows.
    labels
        Label of each of these, ``None`` for none.

    Raises
    ------
    QueryError
        If the model came without counts and the cells cannot be embedded.
    ValueError
        If the cells are not the model's own, or of batches that it does not know.
    """
    if model.adata is None or model.minified_data_type is not None:
        report = check_query(adata, model.spec, shared_batches=model.spec.batches)
        report.raise_for_problems()
        if report.new_batches:
            message = f"the model knows no batches {list(report.new_batches)}; pass the cells that it was mapped with"
            raise ValueError(message)
        return adata, labels
    names = model.adata.obs_names
    if names.equals(adata.obs_names):
        return model.adata, labels
    if not names.is_unique or not adata.obs_names.is_unique:
        message = "names of cells are not unique, so the model's cells cannot be told; pass all of them, in their order"
        raise ValueError(message)
    rows = names.get_indexer(adata.obs_names)
    if (rows < 0).any():
        message = (
            f"{(rows < 0).sum()} of {adata.n_obs} cells are not the model's; pass the cells that it was mapped with"
        )
        raise ValueError(message)
    of_cells = np.full(len(names), None, dtype=object)
    of_cells[rows] = labels
    return model.adata, of_cells


def reference_cells(
    model: SCANVI,
    reference: AnnData | None,
    use_rep: str,
    labels_of: Callable[[AnnData, str], NDArray[np.object_]],
    *,
    at_hand: set[str],
    rng: int,
) -> LabelledCells:
    """Return labelled cells of the reference, and draw cells of labels without any from the model's summary.

    Parameters
    ----------
    model
        Model.
    reference
        Reference cells, with labels in the column that the model was trained on.
    use_rep
        Their embedding.
    labels_of
        Reads a column of labels, ``None`` for cells without one.
    at_hand
        Labels that other cells have.
    rng
        Seed of what is drawn.

    Raises
    ------
    ValueError
        If the embedding lies in another latent space than the model's.

    Warns
    -----
    UserWarning
        If there are none, or labels are left without cells.
    """
    space, key = model.state.space, str(model.spec.labels_key)
    summary = model.state.summaries.get(key)
    if summary is not None and summary.space != space:
        summary = None
    if reference is None:
        if summary is None:
            message = (
                "without the reference's cells (reference=...), or a summary of them that the model carries, new "
                "labels are told from old ones by labelled cells of the query only, and types that the query lacks may "
                "be taken for new"
            )
            warn(message, UserWarning, stacklevel=3)
            return LabelledCells(np.empty(0, dtype=object), np.empty((0, model.module.n_latent), dtype=np.float32))
        return draw_cells(summary, list(summary.labels), rng)
    if embedding_space(reference, use_rep) != space:
        message = (
            f"obsm[{use_rep!r}] of the reference lies in another latent space than the model's; embed the reference "
            f"with it: sp.tl.embed(reference, model, key_added={use_rep!r})"
        )
        raise ValueError(message)
    labels = labels_of(reference, key)
    rows = np.flatnonzero([label is not None for label in labels])
    cells = LabelledCells(labels[rows], embedding_of(reference, use_rep, "reference")[rows])
    lacking = _without_cells(model, at_hand | set(cells.labels))
    described = [] if summary is None else [label for label in lacking if label in summary.labels]
    if undescribed := [label for label in lacking if label not in described]:
        message = (
            f"neither the reference nor the query has cells of {undescribed}, which the model knows; new labels may "
            "take theirs. Types of earlier rounds: reference=sp.tl.joint_embedding(reference, earlier query)"
        )
        warn(message, UserWarning, stacklevel=3)
    if summary is None or not described:
        return cells
    drawn = draw_cells(summary, described, rng)
    return LabelledCells(np.concatenate([cells.labels, drawn.labels]), np.concatenate([cells.means, drawn.means]))


def _without_cells(model: SCANVI, labels: set[str]) -> list[str]:
    """Return the classes of a model that no label with cells is or contains."""
    known = [label for label in model.spec.labels if label in labels]
    n_names = model._tree.covers(known).sum(axis=0)
    return [label for label, n in zip(model.classes, n_names.tolist(), strict=True) if not n]


def draw_cells(summary: LatentSummary, labels: list[str], rng: int) -> LabelledCells:
    """Draw artificial cells of the labels that a summary describes."""
    import torch

    of_cells = np.array(summary.labels, dtype=object)[summary.of_label.repeat_interleave(_DRAWN).numpy()]
    rows = np.isin(of_cells, labels)
    return LabelledCells(of_cells[rows], summary.draw(_DRAWN, torch.Generator().manual_seed(rng)).z_mean.numpy()[rows])

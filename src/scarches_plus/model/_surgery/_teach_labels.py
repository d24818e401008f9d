"""Teach a scANVI model further labels: surgery on its networks, then a fit of what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus.model._state import hash_of, update_state
from scarches_plus.train import fit_classifier, fit_conditional, observe_cells

from ._label_surgery import with_labels
from ._teach_summary import extend_summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from scarches_plus.model._scanvi import SCANVI

#: Cells of a label that the new ones are fitted to, at most.
_MOST_CELLS = 500
_CLASSIFIER = "classifier."


def teach_labels(
    model: SCANVI,
    new: Sequence[str],
    *,
    parents: Mapping[str, str | None],
    cells: AnnData,
    of_cells: NDArray[np.object_],
    old_means: NDArray[np.float32],
    old_labels: NDArray[np.object_],
    rng: int,
) -> SCANVI:
    """Return a model that also knows further labels, fitted to labelled cells; all else of it is the same.

    Parameters
    ----------
    model
        Model, which is not changed.
    new
        New labels.
    parents
        New label to the label of the hierarchy that contains it, ``None`` at the top. Empty without a hierarchy.
    cells
        Cells for the new model: those of the old one, or others of batches that it knows.
    of_cells
        Label of each, known or new; ``None`` for those that have none.
    old_means, old_labels
        Latent means of the reference's cells, shape ``(n_reference, n_latent)``, and their labels.
    rng
        Seed.
    """
    named = np.array([label if label in set(new) else None for label in of_cells], dtype=object)
    extended, entries = with_labels(model, new, parents=parents, cells=cells, of_cells=named)
    _fit(extended, of_cells, old_means, old_labels, new=new, entries=entries, rng=rng)
    update_state(extended, weights=hash_of(extended))
    extend_summary(extended, named, rng)
    return extended


def _fit(
    extended: SCANVI,
    of_cells: NDArray[np.object_],
    old_means: NDArray[np.float32],
    old_labels: NDArray[np.object_],
    *,
    new: Sequence[str],
    entries: Mapping[str, Any],
    rng: int,
) -> None:
    """Fit what is new of the model to its own labelled cells, and in the classifier to the reference's."""
    module, device = extended.module, extended.device
    rows, chosen = _some_of_each(of_cells, rng), _some_of_each(old_labels, rng)
    own = {name: values.to(device) for name, values in observe_cells(extended, rows.tolist()).items()}
    means = torch.cat([own["z_mean"], torch.as_tensor(old_means[chosen]).to(own["z_mean"])])
    labels = [*of_cells[rows], *old_labels[chosen]]
    names = list(dict.fromkeys(labels))
    covers = np.zeros((len(names), module.n_labels), dtype=bool)
    # beyond are classes that no cell is labelled with
    covers[:, : len(extended.classes)] = extended._tree.covers(names)
    allowed = torch.from_numpy(covers[[names.index(label) for label in labels]]).to(device)
    of_classifier = {
        name.removeprefix(_CLASSIFIER): where for name, where in entries.items() if name.startswith(_CLASSIFIER)
    }
    fit_classifier(module.classifier, means, allowed, of_classifier)

    # the posteriors of reference cells are taken to be as wide as those of the model's own
    variances = torch.cat([own["z_var"], own["z_var"].mean(0).expand(len(chosen), -1)])
    single = allowed.sum(1) == 1
    is_new = torch.tensor([label in new for label in labels], device=device)
    columns = {name: where for name, where in entries.items() if not name.startswith(_CLASSIFIER)}
    fit_conditional(
        module,
        means[single],
        variances[single],
        allowed[single].int().argmax(1),
        is_new[single],
        entries=columns,
        rng=rng,
    )


def _some_of_each(labels: NDArray[np.object_], seed: int) -> NDArray[np.int64]:
    """Return positions of at most 500 cells of each label; cells without one are left out."""
    rng = np.random.default_rng(seed)
    of_label = (np.flatnonzero(labels == label) for label in dict.fromkeys(labels) if label is not None)
    parts = [rows if len(rows) <= _MOST_CELLS else rng.choice(rows, _MOST_CELLS, replace=False) for rows in of_label]
    return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))

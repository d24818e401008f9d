"""Summarise the labels of a reference by Gaussian mixtures, without keeping a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import column_of, name_of, names_of, without_label
from scarches_plus._logging import logger
from scarches_plus.train._estimation._fit_mixture import fit_mixture
from scarches_plus.train._estimation._held_out_temperature import held_out_temperature
from scarches_plus.train._estimation._observe_cells import observe_cells
from scarches_plus.train._estimation._reference_model import require_model

from .latent_summary import LatentSummary

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from scarches_plus.train._estimation._reference_model import ReferenceModel

#: Cells of a label that its mixture is fitted to, at most.
_MOST_CELLS = 5000
#: Added to the variances of components, as a share of the mean variance of the latent space.
_REGULARIZATION = 1e-3


def summarize_reference(
    model: ReferenceModel,
    labels_key: str,
    *,
    labels: Sequence[Any] | None = None,
    unlabelled: Collection[Any] | None = None,
    max_components: int = 4,
    min_cells: int = 20,
    rng: int = 0,
    keep: bool = True,
) -> LatentSummary:
    """Describe each label of a reference by a Gaussian mixture of its latent means, and keep that with the model.

    The model then labels cells where no reference cell is at hand (:func:`scarches_plus.tl.transfer_labels`). No
    component stands for fewer than ``min_cells`` cells, and labels with fewer are left out. That is a rule about how
    little a summary tells of single cells, not a proof that it tells nothing.

    How sure the mixtures may be of labels is learned from the reference itself: its batches are held out in turn (in
    five parts at most; random fifths of a single batch), mixtures fitted to the others, and the temperature kept that
    makes the true labels most probable.

    Parameters
    ----------
    model
        Reference model with its cells. It then carries the summary through saving, loading and surgery; where a query
        moves the latent space, :func:`carry_summaries` takes it along.
    labels_key
        Name of the labels, and the ``obs`` column of the model's cells that holds them.
    labels
        Labels of the model's cells, in their order, if they are not in that column. Missing values are none.
    unlabelled
        Words that are no label, beside the model's own (``"Unknown"`` if it has none), as they are spelt; ``()`` lets
        all count. ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case, except labels
        that the model's classifier knows; the log names those that occur.
    max_components
        Largest number of components of a label. How many it gets, and whether with full or diagonal covariances, is
        what has the smallest BIC.
    min_cells
        Smallest number of cells that a component may stand for.
    rng
        Seed.
    keep
        Keep the summary with the model.

    Returns
    -------
    LatentSummary
        The summary.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If the model has no cells, or no label has enough, or there are not as many labels as cells.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    References
    ----------
    Scrucca et al. 2016 (mixtures by BIC); Guo et al. 2017 (temperature); CLCVAE 2022, limitation 2 (reference cells
    should not be needed).
    """
    labels = None if labels is None else check.names("labels", labels, of=object)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    require_model(model)
    check.slot("labels_key", labels_key, advice="pass {new!r}, and labels=model.adata.obs[{old!r}]")
    max_components = check.whole("max_components", max_components, least=1)
    min_cells = check.whole("min_cells", min_cells, least=1)
    check.seed("rng", rng, generator=False)
    check.flags(keep=keep)
    names = _named_labels(model, labels_key, labels, unlabelled)
    known = sorted(set(names) - {None})
    sizes = {label: int((names == label).sum()) for label in known}
    described = [label for label in known if sizes[label] >= min_cells]
    left_out = [label for label in known if sizes[label] < min_cells]
    if not described:
        message = f"no label in {labels_key!r} has {min_cells} cells"
        raise ValueError(message)
    if left_out:
        logger.warning("the summary leaves out %s, which have fewer than %d cells", left_out, min_cells)

    generator = np.random.default_rng(rng)
    drawn = [_some(np.flatnonzero(names == label), generator) for label in described]
    observed = observe_cells(model, np.concatenate(drawn).tolist())
    latent = observed["z_mean"].double().numpy()
    regularization = _REGULARIZATION * float(latent.var(axis=0).mean())
    n_groups = {name: len(one.names) for name, one in model.groupings.items()}
    parts: list[dict[str, Any]] = []
    start = 0
    for code, (label, rows) in enumerate(zip(described, drawn, strict=True)):
        where = slice(start, start + len(rows))
        means, covariances, shares = fit_mixture(
            latent[where],
            max_components=max_components,
            min_cells=min_cells,
            regularization=regularization,
            seed=rng,
        )
        own = {name: values[where].double().numpy() for name, values in observed.items()}
        part = _weighed(own, shares, n_groups)
        part |= {"of_label": np.full(len(means), code), "means": means, "covariances": covariances}
        part["n_cells"] = shares.mean(axis=0) * sizes[label]
        parts.append(part)
        start += len(rows)

    def joined(name: str) -> torch.Tensor:
        values = np.concatenate([part[name] for part in parts])
        return torch.as_tensor(values, dtype=torch.int64 if name == "of_label" else torch.float32)

    temperature = held_out_temperature(
        latent,
        np.repeat(np.arange(len(described)), [len(rows) for rows in drawn]),
        observed[f"group {next(iter(n_groups))}"].numpy(),
        max_components=max_components,
        min_cells=min_cells,
        regularization=regularization,
        seed=rng,
    )
    summary = LatentSummary(
        labels=tuple(described),
        left_out=tuple(left_out),
        groups={name: joined(f"group {name}") for name in n_groups},
        space=model.state.space,
        continuous=joined("continuous") if "continuous" in observed else None,
        temperature=temperature,
        **{name: joined(name) for name in ("of_label", "n_cells", "means", "covariances", "z_var", "library")},
    )
    if keep:
        model.remember(summaries={**model.state.summaries, labels_key: summary})
    return summary


def _named_labels(
    model: ReferenceModel, labels_key: str, labels: Sequence[Any] | None, unlabelled: Collection[Any] | None
) -> np.ndarray:
    """Return the label of each cell, ``None`` for those without one."""
    cells = model.adata
    if cells is None:
        message = "a summary is made from the model's cells, and this model came without them"
        raise ValueError(message)
    if labels is None:
        owner = "the obs of the model's cells (labels not in it can be passed as labels=)"
        names = names_of(column_of(cells.obs, labels_key, owner))
    else:
        names = names_of(labels)
    if len(names) != cells.n_obs:
        message = f"there are {len(names)} labels and {cells.n_obs} cells"
        raise ValueError(message)
    always = [name_of(getattr(model, "unlabeled_category_", _keys.UNKNOWN))]
    known, where = getattr(model, "classes", ()), f"labels of {labels_key!r}"
    names[without_label(names, unlabelled, always=always, known=known, where=where)] = None
    return names


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= _MOST_CELLS else np.sort(rng.choice(rows, _MOST_CELLS, replace=False))


def _weighed(observed: dict[str, np.ndarray], shares: np.ndarray, n_groups: dict[str, int]) -> dict[str, np.ndarray]:
    """Return means of what was observed, over the cells of each component."""
    weights = (shares / shares.sum(axis=0)).T
    library = weights @ observed["library"]
    spread = weights @ observed["library"] ** 2 - library**2
    means = {"z_var": weights @ observed["z_var"], "library": np.hstack([library, np.maximum(spread, 0.0)])}
    for name, n in n_groups.items():
        means[f"group {name}"] = weights @ np.eye(n)[observed[f"group {name}"].astype(int)]
    if "continuous" in observed:
        means["continuous"] = weights @ observed["continuous"]
    return means

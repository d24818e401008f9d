"""Extend a reference model by new labels that a query has."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._logging import tell

from ._novelty._extend_summary import extend_summary
from ._novelty._labelled_cells import learned_from, nothing_new, reference_cells, text_labels
from ._provenance._embedding_record import versions, with_batches_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import NDArray

    from scarches_plus.model import SCANVI, SCVI, TOTALVI

#: Share of reference cells that may change their label before it is worth a warning.
_TOLERATED = 0.01


def extend_reference(
    adata: AnnData | MuData,
    model: SCANVI | SCVI | TOTALVI | str | Path,
    labels_key: str,
    *,
    reference: AnnData | None = None,
    parents: Mapping[str, str | None] | None = None,
    use_rep: str = _keys.EMBEDDING,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    rng: int = 0,
) -> SCANVI | SCVI | TOTALVI:
    """Extend a model by the labels of mapped cells that it does not know, such as named novel clusters.

    The classifier of scANVI gets an output for each new label, and the networks that are conditioned on labels a
    column; only these are fitted. All else stays bit for bit: the latent space, the embeddings in it, what the model
    thinks of old labels relative to each other, its anchors and summaries. The new model is a reference like any other:
    it predicts, is saved, bundled and mapped onto.

    scVI and totalVI have no classifier. They label cells by the summary of labels that they carry, and that is what is
    extended: each new label of 20 cells and more gets its mixture (:func:`transfer_labels` with the model).

    Parameters
    ----------
    adata
        Cells that the model was mapped with (MuData for totalVI), or some of them, with names for new types in
        ``obs[labels_key]`` (:func:`name_novel`). Cells with labels that the model knows help to tell these from the new
        ones; missing values and ``unknown_category`` are no label. Not changed.
    model
        Model as :func:`map_query` returned it, or what names it for :func:`scarches_plus.load`. It is not
        changed.
    labels_key
        ``obs`` column of ``adata``, of MuData in the whole or in a modality. Without a classifier it extends the
        summary of that name, or the only one.
    reference
        Reference cells with an embedding in ``obsm[use_rep]`` and labels in the column that the model was trained on,
        so that new labels are told from all old ones. For labels that neither they nor ``adata`` have (those of an
        earlier round), and for all without a reference, cells of no one are drawn from the model's summary of its
        labels (:func:`scarches_plus.train.summarize_reference`) if it carries one. Without a classifier they only tell
        how many cells would change their label.
    parents
        For a model with a hierarchy: new label to the inner label that contains it, ``None`` at the top.
    use_rep
        ``obsm`` slot of the reference's embedding.
    unknown_category
        Name of cells without a label.
    unlabelled
        Words that are no label, beside ``unknown_category``, as they are spelt; ``()`` lets all count. ``None``:
        "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case, except labels that the model knows;
        the log names those that occur.
    rng
        Seed.

    Returns
    -------
    SCANVI, SCVI or TOTALVI
        The extended model, of the class of ``model``, with its cells (those of ``adata`` if it came without), of which
        those with new labels are labelled.
        ``state.lineage`` says which labels came with how many cells, and which share of the reference cells is given a
        new one.

    Raises
    ------
    TypeError
        If the model has neither a classifier nor a summary of its labels. Join reference and query then
        (:func:`joint_embedding`): the joint cells are the extended reference of :func:`transfer_labels`.
    KeyError
        If a column or the embedding is missing.
    ValueError
        If ``adata`` has cells that are not the model's, no label is new, ``parents`` does not fit the hierarchy, the
        reference's embedding is of another latent space, nothing tells new labels from old, or, without a classifier,
        no new label has 20 cells.

    Warns
    -----
    UserWarning
        If more than 1 % of the reference cells would be given a new label, there are none to say, the model knows
        labels that no cell has, or, without a classifier, a new label has fewer than 20 cells.

    Notes
    -----
    Logits of old labels do not change: their probabilities, divided by their sum, differ by rounding only (below 1e-6).
    With a hierarchy the same holds among the siblings of a new label; probabilities of inner labels do not change.

    The classifier's new rows are fitted by maximum a posteriori, which is convex, to cells with labels, at most 500 of
    each.

    References
    ----------
    Lotfollahi et al. 2021 (scArches), iterative reference building; Xu et al. 2021 (scANVI).
    """
    from scarches_plus.model import SCANVI, load, teach_labels

    check.cells("adata", adata, mudata=True)
    check.texts(labels_key=labels_key, use_rep=use_rep, unknown_category=unknown_category)
    check.cells("reference", reference, mudata=True, or_none=True)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    if parents is not None:
        check.mapping("parents", parents)
    check.seed("rng", rng, generator=False)
    model = load(model)  # type: ignore[assignment]
    adata = with_batches_of(adata, use_rep, model.spec.batch_key)
    if not isinstance(model, SCANVI):
        if parents:
            message = "the model has no hierarchy, so parents have no use; leave them out"
            raise ValueError(message)
        by_summary, record = extend_summary(
            model,
            adata,
            labels_key,
            reference=reference,
            use_rep=use_rep,
            labels_of=partial(text_labels, spec=model.spec, nothing={unknown_category}, unlabelled=unlabelled),
            rng=rng,
        )
        _warn_of_change(record["reference_changed"], list(record["new_labels"]))
        by_summary.add_to_lineage({**record, "seed": rng, "versions": versions()})
        _tell(record)
        return by_summary
    nothing = {unknown_category, str(model.unlabeled_category_)}
    known = set(model.spec.labels)
    labels_of = partial(text_labels, spec=model.spec, nothing=nothing, unlabelled=unlabelled, known=known)
    cells, of_cells = learned_from(model, adata, labels_of(adata, labels_key))
    new = sorted(set(of_cells) - known - {None})
    if not new:
        raise nothing_new(adata, labels_key, of_cells, labels_of)
    below = _parents(model, new, parents)
    old = reference_cells(model, reference, use_rep, labels_of, at_hand=set(of_cells) - {None}, rng=rng)
    if strange := sorted(set(old.labels) - known - set(new)):
        message = f"labels {strange} of the reference are neither the model's nor new"
        raise ValueError(message)
    if not len(old.labels) and not {label for label in of_cells if label in known}:
        message = (
            "nothing tells the new labels from the old: pass reference=..., the reference's cells with their "
            f"embedding, or label cells of known types in obs[{labels_key!r}], too"
        )
        raise ValueError(message)

    named = np.array([label if label in set(new) else None for label in of_cells], dtype=object)
    extended = teach_labels(
        model, new, parents=below, cells=cells, of_cells=of_cells, old_means=old.means, old_labels=old.labels, rng=rng
    )
    record = {
        "new_labels": {label: int((named == label).sum()) for label in new},
        "parents": below,
        "reference_cells": len(old.labels),
        "seed": rng,
        "versions": versions(),
    }
    if len(old.labels):
        record["reference_changed"] = _share_changed(model, extended, old.means[~np.isin(old.labels, new)])
        _warn_of_change(record["reference_changed"], new)
    extended.add_to_lineage(record)
    _tell(record)
    return extended


def _tell(record: Mapping[str, Any]) -> None:
    """Say what was learned."""
    learned = ", ".join(f"{label} (from {n:,} cells)" for label, n in record["new_labels"].items())
    line = f"the model learned {learned}"
    if "reference_changed" in record:
        line += f"; {record['reference_changed']:.2%} of the reference's cells would be given a new label"
    numbers = {name: record[name] for name in ("new_labels", "reference_changed") if name in record}
    tell(line, {"what": "extended", "line": line, **numbers})


def _warn_of_change(changed: float, new: list[str]) -> None:
    if changed > _TOLERATED:
        message = f"{changed:.1%} of the reference cells would be given a new label: are {new} types of their own?"
        warn(message, UserWarning, stacklevel=3)


def _parents(model: SCANVI, new: Sequence[str], parents: Mapping[str, str | None] | None) -> dict[str, str | None]:
    tree = model.hierarchy
    if tree is None:
        if parents:
            message = "the model has no hierarchy, so parents have no use; leave them out"
            raise ValueError(message)
        return {}
    given = dict(parents or {})
    if lacking := [label for label in new if label not in given]:
        message = f"say with parents= which label of the hierarchy contains {lacking}; None puts them at the top"
        raise ValueError(message)
    if stray := sorted(set(given) - set(new)):
        message = f"parents has {stray}, which are no new labels; those are {list(new)}"
        raise ValueError(message)
    inner = [node for node in tree.nodes if node not in tree.leaves]
    if wrong := [above for above in given.values() if above is not None and above not in inner]:
        message = f"{wrong[0]!r} is no inner label of the hierarchy, which are {inner}"
        raise ValueError(message)
    return given


def _share_changed(model: SCANVI, extended: SCANVI, means: NDArray[np.float32]) -> float:
    """Return the share of cells whose likeliest label is a new one."""
    import torch

    with torch.no_grad():
        z = torch.as_tensor(means).to(extended.device)
        best = extended.module.classifier(z).argmax(-1).cpu().numpy()
    added = [i for i, label in enumerate(extended.classes) if label not in model.classes]
    return float(np.isin(best, added).mean())

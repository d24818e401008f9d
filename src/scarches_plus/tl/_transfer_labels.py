"""Transfer labels from a reference to a query by kNN votes or label summaries."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import require_writable
from scarches_plus._label_profiles import FEWEST_CELLS
from scarches_plus._label_tree import LabelTree
from scarches_plus._load import load
from scarches_plus._reference_map import ReferenceMap
from scarches_plus._reference_summary import part_of

from ._expression._opinions import opinions_for
from ._novelty._novel_cells import novel_cells
from ._provenance._embedding_record import are_cells, copy_of, embedding_of, require_same_space
from ._votes._neighbor_votes import KERNELS, vote
from ._votes._reference_labels import reference_labels, sizes_of
from ._votes._summary_votes import described_labels, summaries_for
from ._votes._voters import described, n_cells_of, points_of, voters_in
from ._votes._write_labels import label_answers, write_colors, write_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

    from scarches_plus._expression_classifier import ExpressionClassifier
    from scarches_plus._reference_summary import ReferenceSummary
    from scarches_plus.model import SCANVI, SCVI, TOTALVI
    from scarches_plus.train import LatentSummary

    from ._votes._neighbor_votes import Kernel
    from ._votes._summary_votes import Classifier
    from ._votes._voters import Voters


_RENAME_COLUMN = "rename the column, reference.obs.rename(columns={{{old!r}: {new!r}}}, inplace=True)"
_RENAME_SUMMARY = "rename the summary, model.remember(summaries={{{new!r}: model.state.summaries[{old!r}]}})"


def transfer_labels(
    adata: AnnData | MuData,
    reference: AnnData | MuData | ReferenceMap | ReferenceSummary | SCVI | SCANVI | TOTALVI | str | Path,
    labels_key: str | Sequence[str],
    *,
    use_rep: str = _keys.EMBEDDING,
    k: int = 50,
    kernel: Literal["paper", "scarches", "gaussian"] = "paper",
    unknown_above: float | None = 0.5,
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    hierarchy: LabelTree | Mapping[str, str | None] | None = None,
    classifier: ReferenceSummary
    | ExpressionClassifier
    | Mapping[str, ReferenceSummary | ExpressionClassifier]
    | None = None,
    novel_key: str | None = None,
    probabilities: bool = False,
    copy: bool = False,
) -> MuData | AnnData | None:
    """Give every query cell the label that its nearest reference cells vote for, and how uncertain that is.

    Parameters
    ----------
    adata
        Query with an embedding. For every key in ``labels_key`` it receives ``obs["{key}_pred"]`` (categorical, in the
        reference's order and colours), ``obs["{key}_uncertainty"]`` in [0, 1] and, on request,
        ``obsm["{key}_probabilities"]``, shape ``(n_cells, n_labels)``, whose columns are named in
        ``uns["scarches_plus"]["probability_labels"][key]``. What was used is recorded in
        ``uns["scarches_plus"]["transfer"][key]``.
    reference
        Reference with an embedding in the same latent space, and labels. Or a model that carries a summary of its
        labels (from a bundle or :func:`scarches_plus.train.summarize_reference`), such as the mapped model, or what
        names one for :func:`scarches_plus.load`: then no reference cell is needed, and each cell gets the label of
        highest probability under the label's mixture. A scANVI model without a summary, such as a folder of scvi-tools,
        labels by its classifier. Or prototypes (:func:`reference_prototypes`), or a map
        (:func:`reference_map`) or a summary with one, whose points vote.
    labels_key
        ``obs`` column of the reference, or several; they share one neighbour search. For a model, names of its
        summaries; for a map, the name under which its labels are written.
    use_rep
        ``obsm`` slot of the embedding, in both.
    k
        Number of neighbours (not for a model), all cells of a smaller reference. How they are searched,
        exactly or not, is chosen by :func:`index_neighbors`, else by the number of cells.
    kernel
        How distances weigh votes (not for a model, nor for prototypes): ``"paper"`` as in the paper, ``"scarches"`` as
        in the released code (with the standard deviation about the mean), ``"gaussian"`` independent of the scale of
        the space.
    unknown_above
        Uncertainty above which a cell is called unknown; ``None`` never rejects.
    unknown_category
        Name of the rejected, and of reference cells without a label, which do not vote (nor do missing values).
    unlabelled
        Words that are no label of the reference (not for a model), beside ``unknown_category``, as they are spelt:
        their cells do not vote. ``()`` lets all vote. ``None``: "Unknown", "Mixed" and the other words in
        :doc:`/guide/labels`, in any case; the log names those that occur.
    hierarchy
        Hierarchy of the labels (:func:`scarches_plus.pp.label_tree`). A cell then gets the deepest label whose
        probability, the sum of those below it, is at least ``1 - unknown_above``, and is unknown where no label has so
        much. Labels of the reference may stand at any level: an inner one counts for itself and what contains it.
    classifier
        What :func:`expression_classifier` or :func:`reference_summary` learned of the reference's expression and of the
        same vote (``use_rep="X_scarches"``), by label column if there are several. The label is then the consensus of
        both, read from the counts that the query was mapped by, and its probabilities are calibrated. Labels of fewer
        than 20 cells that it does not know are left to the vote.
    novel_key
        ``obs`` column of :func:`detect_novel`, ``"novel"`` unless named otherwise: cells that it calls novel are
        unknown, whatever their neighbours say. Their uncertainty stays that of the vote.
    probabilities
        Also write the probabilities of the reference's labels, which sum to 1 (with a hierarchy,
        :meth:`~scarches_plus.pp.LabelTree.node_probabilities` gives those of what contains them). Without, those that
        an earlier call wrote are deleted.
    copy
        Return a copy instead of writing into ``adata``.

    Returns
    -------
    AnnData, MuData or None
        The copy if ``copy``, else nothing.

    Raises
    ------
    KeyError
        If an embedding, a column or a classifier is missing.
    ValueError
        If the embeddings lie in different latent spaces, no reference cell has a label, a label is not in the
        hierarchy, no column is named, ``unknown_category`` or two values of a column read like one label, a classifier
        is of another vote, ``unlabelled`` is given with a model, or the column of novel cells is not boolean.
    TypeError
        If the reference is neither cells nor a model, the classifier is none, or MuData comes with a classifier.

    Warns
    -----
    UserWarning
        If vote and classifier agree on far fewer cells than on those of held-out batches.

    Notes
    -----
    Uncertainty is 1 minus the probability of the best label (eq. 21), with a hierarchy of the label given. The vote
    sees only which labels are near, not how near they are: cells of a type the reference lacks are often labelled with
    confidence, by Bayes' rule over a model's mixtures as well.

    Prototypes, of ``n`` cells each, weigh ``n exp(-D d^2 / (2 m^2))``: ``D`` dimensions, ``m^2`` the mean squared
    distance of the five nearest.

    References
    ----------
    Lotfollahi et al. 2021 (scArches), eq. 17-22.
    """
    check.cells("adata", adata, mudata=True)
    keys = list(check.names("labels_key", labels_key, or_one=True, least=1))
    reference = load(reference) if isinstance(reference, str | Path) else reference
    check.texts(use_rep=use_rep, unknown_category=unknown_category)
    reference = part_of(reference, "map")
    if isinstance(reference, ReferenceMap):
        reference = points_of(reference, keys, use_rep)
    advice = _RENAME_COLUMN if are_cells(reference) else _RENAME_SUMMARY
    for key in keys:
        check.slot(
            "labels_key",
            key,
            writes="obs['{}_pred']",
            advice=advice,
            taken=reference.obs if are_cells(reference) else (),
        )
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.texts_or_none(novel_key=novel_key)
    k = check.whole("k", k, least=1)
    check.choice("kernel", kernel, KERNELS)
    if unknown_above is not None:
        check.number("unknown_above", unknown_above, least=0, most=1)
    check.flags(probabilities=probabilities, copy=copy)
    require_writable(adata, copy=copy)
    if are_cells(reference):
        require_same_space(adata, reference, use_rep)
        columns = {key: reference_labels(reference, key, unknown_category, unlabelled) for key in keys}
        sizes = {key: sizes_of(column, n_cells_of(reference)) for key, column in columns.items()}
    elif unlabelled is not None:
        message = "unlabelled is of a reference with cells; a model's summary holds labels only: leave it out"
        raise ValueError(message)
    else:
        summaries = summaries_for(adata, reference, keys, use_rep)
        sizes = {key: dict.fromkeys(summary.labels, FEWEST_CELLS) for key, summary in summaries.items()}
    labels = {key: list(one) for key, one in sizes.items()}
    opinions = opinions_for(adata, sizes, classifier, use_rep=use_rep, k=k, kernel=kernel)
    novel = None if novel_key is None else novel_cells(adata, novel_key)
    tree = None if hierarchy is None else LabelTree.of(hierarchy)
    labels |= {key: list(opinion.labels) for key, opinion in opinions.items()}
    answers = {key: label_answers(names, key, tree, unknown_category) for key, names in labels.items()}

    adata = copy_of(adata) if copy else adata
    embedding = embedding_of(adata, use_rep)
    if are_cells(reference):
        voters = voters_in(reference, embedding, use_rep, k)
        shares = {key: partial(_votes, voters, kernel, column) for key, column in columns.items()}
    else:
        shares = {key: partial(_by_mixture, summary, embedding) for key, summary in summaries.items()}
    for key, opinion in opinions.items():
        shares[key] = partial(opinion.consensus, shares[key])
    for key, names in labels.items():
        votes = {"k": voters.k, "kernel": "prototypes" if voters.prototypes else kernel} if are_cells(reference) else {}
        source = f"obs[{key!r}] of {described(reference)}" if are_cells(reference) else described_labels(summaries, key)
        record = {
            "labels": source, "embedding": use_rep, **votes, "classifier": key in opinions,
            "hierarchy": tree is not None, "novel_key": novel_key or "",
            "by": f"obsm[{use_rep!r}]" + (f", {votes['k']} neighbours" if votes else "")
            + (", expression" if key in opinions else ""),
        }  # fmt: skip
        write_labels(
            adata, key, shares[key], names, answers[key],
            tree=tree, unknown_above=unknown_above, unknown_category=unknown_category, novel=novel,
            probabilities=probabilities, record=record,
        )  # fmt: skip
        if key in opinions and adata.n_obs:
            adata.uns[_keys.UNS][_keys.TRANSFER][key]["agreement"] = opinions[key].agreement(key)
        if are_cells(reference):
            write_colors(adata, reference, key, unknown_category)
    return adata if copy else None


def _votes(voters: Voters, kernel: Kernel, labels: pd.Categorical, rows: slice) -> np.ndarray:
    codes = labels.codes[voters.neighbors.indices[rows]]
    return vote(codes, voters.weights(kernel, rows), len(labels.categories))


def _by_mixture(summary: LatentSummary | Classifier, embedding: np.ndarray, rows: slice) -> np.ndarray:
    return summary.probabilities(embedding[rows])

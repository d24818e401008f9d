"""Look up what classifiers of expression say of the cells that neighbours vote on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
from mudata import MuData
from scipy import sparse

from scarches_plus import _arguments as check
from scarches_plus._cells import counts_layer, counts_of
from scarches_plus._expression_classifier import ExpressionClassifier
from scarches_plus._label_profiles import FEWEST_CELLS
from scarches_plus._reference_summary import part_of
from scarches_plus.pp import require_counts
from scarches_plus.tl._provenance._embedding_record import embedding_space, record_of

from ._stack import stacked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

#: By how much vote and classifier may agree on fewer cells than on held-out ones.
_SLACK = 0.15


@dataclass(frozen=True, eq=False)
class Opinion:
    """A classifier with the counts of the cells that it is asked about; ``labels`` begin with those of the vote."""

    classifier: ExpressionClassifier
    labels: tuple[str, ...]
    n_voted: int
    counts: sparse.csr_matrix
    genes: tuple[str, ...]
    agreed: list[NDArray[np.bool_]] = field(default_factory=list)

    def consensus(self, shares_of: Callable[[slice], NDArray], rows: slice) -> NDArray[np.float64]:
        """Return the probabilities of the labels by vote and classifier together, for a slice of cells."""
        return self.joined(shares_of(rows), self.by_expression(rows))

    def by_expression(self, rows: slice) -> NDArray[np.float64]:
        """Return the probabilities of the labels by the classifier alone."""
        found = self.classifier.probabilities(self.counts[rows], self.genes)
        probabilities = np.zeros((len(found), len(self.labels)))
        position = {label: column for column, label in enumerate(self.labels)}
        probabilities[:, [position[label] for label in self.classifier.labels]] = found
        return probabilities

    def joined(self, votes: NDArray, probabilities: NDArray) -> NDArray[np.float64]:
        """Return the consensus of the vote's shares, shape ``(n_cells, n_voted)``, and the classifier's.

        The classifier shares out what the vote leaves for the labels that it knows; of others it takes the vote's word.
        """
        shares = np.zeros_like(probabilities)
        shares[:, : self.n_voted] = votes
        lacking = ~np.isin(self.labels, self.classifier.labels)
        if lacking.any():
            left = 1 - shares[:, lacking].sum(axis=1, keepdims=True)
            counted = probabilities.any(axis=1, keepdims=True)
            probabilities = np.where(lacking & counted, shares, probabilities * left)
        best = probabilities.argmax(axis=1)
        self.agreed.append((shares.argmax(axis=1) == best)[best < self.n_voted])
        vote = self.classifier.vote or {}
        return stacked(shares, probabilities, **{name: vote[name] for name in ("sharpness", "weight", "floor")})

    def agreement(self, key: str) -> float:
        """Return the share of cells on whose label vote and classifier agreed, and warn if it is too small.

        Cells for which the classifier gives a label that does not vote are left out.
        """
        agreed, held_out = np.concatenate(self.agreed), (self.classifier.vote or {})["agreement"]
        share = float(agreed.mean()) if len(agreed) else 0.0
        if share < held_out - _SLACK:
            message = (
                f"vote and classifier agree on the {key!r} of {share:.0%} of the cells, and of {held_out:.0%} of cells "
                "of held-out batches: the query differs from the reference in another way than its batches do, and one "
                "of the two is often wrong. Compare both (transfer_labels without a classifier, sp.tl.annotate)"
            )
            warn(message, UserWarning, stacklevel=3)
        return share


def opinions_for(
    adata: AnnData | MuData,
    labels: Mapping[str, Mapping[str, int]],
    classifier: Any,
    *,
    use_rep: str,
    k: int,
    kernel: str,
) -> dict[str, Opinion]:
    """Return the opinion on each label column, empty if there is no classifier.

    Parameters
    ----------
    adata
        Query with an embedding and counts.
    labels
        By column: how many cells of the reference have each label. A classifier need not know labels of few cells.
    classifier
        Classifier or summary, by column if there are several.
    use_rep, k, kernel
        Of the vote.

    Raises
    ------
    KeyError
        If there are several columns and one has no classifier.
    TypeError
        If a classifier is something else, or the cells are MuData.
    ValueError
        If a classifier is of another vote, or does not know a label of the reference.
    """
    if classifier is None:
        return {}
    classifier = part_of(classifier, "classifier")
    if not isinstance(classifier, ExpressionClassifier | Mapping):
        message = (
            "classifier must be what sp.tl.reference_summary or sp.tl.expression_classifier returned, not "
            f"{check.shown(classifier)}"
        )
        raise TypeError(message)
    if isinstance(classifier, ExpressionClassifier) and len(labels) > 1:
        message = (
            f"there are {len(labels)} label columns: pass classifier={{column: expression_classifier(reference, "
            "column, ...)}"
        )
        raise ValueError(message)
    if isinstance(adata, MuData):
        message = "adata is MuData; a classifier reads genes' counts: pass that modality with the embedding"
        raise TypeError(message)
    by_key = dict.fromkeys(labels, classifier) if isinstance(classifier, ExpressionClassifier) else dict(classifier)
    by_key = {key: part_of(one, "classifier") for key, one in by_key.items()}
    if lacking := [key for key in labels if key not in by_key]:
        message = f"no classifier of {lacking}: call sp.tl.expression_classifier(reference, {lacking[0]!r}, ...)"
        raise KeyError(message)
    vote = {"k": k, "kernel": kernel, "space": embedding_space(adata, use_rep) or ""}
    for key in labels:
        _require_fitting(key, by_key[key], labels[key], vote)
    layer = record_of(adata, use_rep).get("layer")
    require_counts(adata, layer)
    counts = sparse.csr_matrix(counts_of(adata, counts_layer(layer, None)))
    return {key: _opinion(by_key[key], list(labels[key]), counts, adata) for key in labels}


def _require_fitting(key: str, classifier: Any, sizes: Mapping[str, int], vote: Mapping[str, Any]) -> None:
    if not isinstance(classifier, ExpressionClassifier):
        message = (
            f"the classifier of {key!r} must be what sp.tl.expression_classifier returned, not "
            f"{check.shown(classifier)}"
        )
        raise TypeError(message)
    learned = {name: (classifier.vote or {}).get(name) for name in vote}
    if learned != vote:
        of = "no vote" if classifier.vote is None else f"another vote {learned}"
        message = (
            f"the classifier of {key!r} was fitted beside {of}, and this one is {dict(vote)}: call "
            f"sp.tl.expression_classifier(reference, {key!r}, ..., use_rep=...) with these"
        )
        raise ValueError(message)
    if unknown := [label for label, n in sizes.items() if n >= FEWEST_CELLS and label not in classifier.labels]:
        message = f"the classifier of {key!r} does not know the reference's labels {unknown}: fit it to this reference"
        raise ValueError(message)


def _opinion(
    classifier: ExpressionClassifier, labels: Sequence[str], counts: sparse.csr_matrix, adata: AnnData
) -> Opinion:
    known = adata.var_names.isin(classifier.genes)
    if not adata.var_names.is_unique or not known.any():
        message = (
            f"the query has none of the classifier's genes, such as {list(classifier.genes[:3])}, or has names twice: "
            "see sp.pp.match_gene_names and adata.var_names_make_unique()"
        )
        raise ValueError(message)
    more = [label for label in classifier.labels if label not in set(labels)]
    genes = tuple(map(str, adata.var_names[known]))
    return Opinion(classifier, (*labels, *more), len(labels), counts[:, np.flatnonzero(known)], genes)

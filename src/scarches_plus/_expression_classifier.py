"""Hold a classifier of expression: labels of a reference as plain numbers, without its cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.special import softmax

from . import _arguments as check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

#: Counts that cells are scaled to.
TARGET = 1e4
#: Standardised expression is cut off here, so that no single gene decides.
_FARTHEST = 6.0
#: Values of a block of cells, zeros included.
_BLOCK = 2**24


@dataclass(frozen=True, eq=False)
class ExpressionClassifier:
    r"""Logistic regression on expression that tells the labels of a reference apart, as plain numbers.

    A cell's counts of the classifier's genes are scaled to 10,000, their logarithms :math:`\log(1 + x)` standardised
    with the reference's mean and scale, and cut off at 6. Its probabilities are the softmax of
    ``(coefficients @ x + intercepts) / temperature``.

    Attributes
    ----------
    labels
        Names of labels.
    genes
        Names of genes.
    mean, scale
        Of the logarithms in the reference, shape ``(n_genes,)``.
    coefficients, intercepts
        Shapes ``(n_labels, n_genes)`` and ``(n_labels,)``.
    temperature
        What scores are divided by, learned on held-out batches.
    shares
        Share of each gene in the counts of the genes, averaged over the reference, shape ``(n_genes,)``.
    factors, noise
        Principal components of the standardised reference, each times its standard deviation, shape
        ``(n_factors, n_genes)``, and the variance that they leave, shape ``(n_genes,)``. From these, genes that a query
        lacks are inferred.
    n_cells
        Number of cells of each label, shape ``(n_labels,)``.
    labels_key
        Column that the labels come from.
    held_out
        What the held-out batches said: ``"accuracy"``, ``"calibration_error"``, ``"n_cells"``, the inverse
        regularisation ``"strength"`` that was chosen, and whether these were batches (``"batches"``) or random parts of
        a single one.
    vote
        How much the vote of neighbours in the latent space counts beside the classifier, for
        :func:`scarches_plus.tl.transfer_labels`: ``"sharpness"``, ``"weight"`` and ``"floor"`` of the stack, the share
        of held-out cells on which both agree (``"agreement"``), ``"k"`` and ``"kernel"`` of the vote, and the
        ``"space"``. ``None`` if it was not learned.
    """

    labels: tuple[str, ...]
    genes: tuple[str, ...] = field(repr=False)
    mean: NDArray = field(repr=False)
    scale: NDArray = field(repr=False)
    coefficients: NDArray = field(repr=False)
    intercepts: NDArray = field(repr=False)
    temperature: float
    shares: NDArray = field(repr=False)
    factors: NDArray = field(repr=False)
    noise: NDArray = field(repr=False)
    n_cells: NDArray = field(repr=False)
    labels_key: str
    held_out: Mapping[str, Any]
    vote: Mapping[str, Any] | None = None

    def probabilities(self, counts: Any, genes: Sequence[str]) -> NDArray[np.float64]:
        """Return the probabilities of the labels.

        Parameters
        ----------
        counts
            Raw counts, dense or sparse, shape ``(n_cells, n_columns)``.
        genes
            Names of the columns, in any order. Genes that the classifier does not know are left out. Those that it
            knows and that are not named count as not measured: they are inferred from those measured, by the principal
            components of the reference.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_cells, n_labels)``; rows sum to 1, or to 0 where a cell has no count of the genes.

        Raises
        ------
        ValueError
            If counts and names do not fit, a name is there twice, or no gene is known.
        """
        names = check.names("genes", genes)
        counts = _matrix(counts)
        if counts.shape[1] != len(names):
            message = f"counts have {counts.shape[1]} columns, and genes names {len(names)}"
            raise ValueError(message)
        position = {name: column for column, name in enumerate(names)}
        if len(position) < len(names):
            message = "genes names a gene twice: make names unique, adata.var_names_make_unique()"
            raise ValueError(message)
        columns = np.array([position.get(gene, -1) for gene in self.genes])
        measured = columns >= 0
        if not measured.any():
            message = (
                f"genes names no gene of the classifier, such as {list(self.genes[:3])}: see sp.pp.match_gene_names"
            )
            raise ValueError(message)
        weights, intercepts = self._weights(measured)
        counts = counts[:, columns[measured]]
        target = TARGET * self.shares[measured].sum() / self.shares.sum()
        rows = max(1, _BLOCK // int(measured.sum()))
        parts = (counts[start : start + rows] for start in range(0, counts.shape[0], rows))
        mean, scale = (np.asarray(one[measured], dtype=np.float32) for one in (self.mean, self.scale))
        scores = (standardized(log_expression(part, target), mean, scale) @ weights.T + intercepts for part in parts)
        found = [np.asarray(softmax(part, axis=1), dtype=np.float64) for part in scores]
        if not found:
            return np.zeros((0, len(self.labels)))
        probabilities = np.concatenate(found)
        probabilities[np.asarray(counts.sum(axis=1)).ravel() == 0] = 0
        return probabilities

    def _weights(self, measured: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
        """Return coefficients of measured genes, with those of the others carried over, and intercepts."""
        coefficients = np.asarray(self.coefficients, dtype=np.float64)
        weights = coefficients[:, measured]
        if not measured.all():
            weights = weights + coefficients[:, ~measured] @ inferred(self.factors, self.noise, measured)
        return weights / self.temperature, self.intercepts / self.temperature

    def to_plain(self) -> dict[str, Any]:
        """Return lists of names, numbers and arrays."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ExpressionClassifier:
        """Undo :meth:`to_plain`."""
        kinds = {
            "labels": tuple,
            "genes": tuple,
            "temperature": float,
            "labels_key": str,
            "held_out": dict,
            "vote": dict,
        }
        values: dict[str, Any] = {
            key: None if value is None else kinds.get(key, np.asarray)(value) for key, value in plain.items()
        }
        return cls(**values)


def log_expression(counts: Any, target: float = TARGET) -> NDArray[np.float32]:
    """Return ``log(1 + x)`` of counts scaled to a total, dense; cells without counts are 0."""
    dense = np.asarray(counts.toarray() if sparse.issparse(counts) else counts, dtype=np.float32)
    return np.log1p(dense * (target / np.maximum(dense.sum(axis=1, keepdims=True), np.float32(1e-9))))


def standardized(logs: NDArray, mean: NDArray, scale: NDArray) -> NDArray:
    """Return logarithms less their mean, in units of their scale, cut off where they are far."""
    return np.clip((logs - mean) / scale, -_FARTHEST, _FARTHEST)


def inferred(factors: NDArray, noise: NDArray, measured: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the expectation of genes that were not measured as a linear function of those that were.

    With factors :math:`F` of variance 1 and independent noise :math:`D`, the expectation of :math:`x_u` given
    :math:`x_m` is :math:`F_u^T (I + F_m D_m^{-1} F_m^T)^{-1} F_m D_m^{-1} x_m` (factor analysis).

    Parameters
    ----------
    factors
        Shape ``(n_factors, n_genes)``.
    noise
        Shape ``(n_genes,)``, positive.
    measured
        Shape ``(n_genes,)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_not_measured, n_measured)``.
    """
    seen = np.asarray(factors, dtype=np.float64)[:, measured]
    precise = seen / noise[measured]
    return factors[:, ~measured].T @ np.linalg.solve(np.eye(len(factors)) + precise @ seen.T, precise)  # type: ignore[no-any-return]


def _matrix(counts: Any) -> Any:
    if sparse.issparse(counts):
        return sparse.csr_matrix(counts)
    found = check.array("counts", counts)
    if found.ndim != 2:
        message = f"counts must have shape (cells, genes); their shape is {found.shape}"
        raise ValueError(message)
    return found

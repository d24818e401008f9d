"""Fit a logistic regression on expression, its genes and regularisation chosen on held-out batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import numpy as np
from scipy import sparse
from scipy.special import log_softmax

from scarches_plus._expression_classifier import TARGET, log_expression, standardized
from scarches_plus._temperature import best_temperature, mean_loss
from scarches_plus.metrics import calibration_error

from ._informative_genes import gene_information
from ._sample_cells import even_sample, held_out_folds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

#: Numbers of genes and inverse strengths of regularisation to choose from.
SIZES = (300, 1000)
STRENGTHS = (0.02, 0.1, 0.5, 2.5)
#: All cells together weigh as much as so many, so that strengths mean the same for references of any size.
_WEIGHT = 1000.0
#: Added to the standard deviation of genes, so that those of a few cells do not win.
_LEAST_SPREAD = 0.1
#: Cells to fit, cells to choose by, folds at most, and random parts of a reference of one batch.
_CELLS, _TRIED, _FOLDS, _PARTS = 20_000, 4_000, 4, 3
#: Principal components that are kept, and the least variance that they leave.
_FACTORS, _LEAST_NOISE = 50, 0.05
#: Temperatures; below 1 only where batches were held out, since random parts are too easy.
_COLDEST, _HOTTEST = 0.5, 10.0
#: Score of a label that a fold does not know.
_NEVER = -1e3


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Logarithms of the probabilities that labels have where a cell's fold was held out.

    ``cells`` are positions, ``folds`` their folds, ``logs`` has shape ``(n_cells, n_labels)``, and ``by_batch`` says
    whether folds are batches.
    """

    cells: NDArray[np.intp]
    folds: NDArray[np.intp]
    logs: NDArray[np.float64]
    by_batch: bool


@dataclass(frozen=True, eq=False)
class _Linear:
    """Logistic regression on some genes."""

    genes: NDArray[np.intp]
    mean: NDArray
    scale: NDArray
    coefficients: NDArray
    intercepts: NDArray

    def scores(self, counts: sparse.csr_matrix) -> NDArray[np.float64]:
        x = standardized(log_expression(counts[:, self.genes]), self.mean, self.scale)
        return np.asarray(x @ self.coefficients.T + self.intercepts, dtype=np.float64)


def fit_classifier(
    counts: sparse.csr_matrix, codes: NDArray, batches: NDArray, n_labels: int, rng: int
) -> tuple[dict[str, Any], NDArray[np.intp], HeldOut]:
    """Fit a classifier.

    Parameters
    ----------
    counts
        Shape ``(n_cells, n_genes)``.
    codes, batches
        Labels and batches, whole numbers from 0, shape ``(n_cells,)``.
    n_labels
        Number of labels, at least 2.
    rng
        Seed of the draw of cells and of random parts.

    Returns
    -------
    tuple
        Attributes of an :class:`ExpressionClassifier` that are numbers, its genes as columns of ``counts``, and the
        scores of cells that were held out.
    """
    generator = np.random.default_rng(rng)
    tried = even_sample(codes, batches, _TRIED, generator)
    folds, by_batch = held_out_folds(batches[tried], _FOLDS, _PARTS, generator)
    size, strength, temperature, scores = _choose(
        counts[tried], codes[tried], batches[tried], folds, by_batch=by_batch, n_labels=n_labels
    )
    cells = even_sample(codes, batches, _CELLS, generator)
    counts, codes, batches = counts[cells], codes[cells], batches[cells]
    genes = np.sort(ranked_genes(counts, codes, batches)[:size])
    (model,) = fit_path(counts, codes, n_labels, genes, [strength])
    x = standardized(log_expression(counts[:, genes]), model.mean, model.scale)
    factors, noise = _factors(x)
    totals = np.maximum(np.asarray(counts[:, genes].sum(axis=1)).ravel(), 1e-9)
    plain = {
        "mean": model.mean.astype(np.float64),
        "scale": model.scale.astype(np.float64),
        "coefficients": model.coefficients.astype(np.float32),
        "intercepts": model.intercepts,
        "temperature": temperature,
        "shares": np.asarray((sparse.diags(1 / totals) @ counts[:, genes]).mean(axis=0), dtype=np.float64).ravel(),
        "factors": factors.astype(np.float32),
        "noise": noise,
    }
    known = scores.max(axis=1) > _NEVER
    held = HeldOut(tried[known], folds[known], log_softmax(scores[known] / temperature, axis=1), by_batch)
    return plain | {"held_out": {"strength": strength, "batches": by_batch}}, genes, held


def held_out_scores(held: HeldOut, codes: NDArray) -> dict[str, float]:
    """Return accuracy and expected calibration error of held-out cells, NaN where there are none."""
    right = held.logs.argmax(axis=1) == codes
    sure = np.exp(held.logs.max(axis=1, initial=-np.inf))
    return {
        "accuracy": float(right.mean()) if len(right) else np.nan,
        "calibration_error": calibration_error(sure, right) if len(right) else np.nan,
        "n_cells": len(right),
    }


def ranked_genes(counts: sparse.csr_matrix, codes: NDArray, batches: NDArray) -> NDArray[np.intp]:
    """Return genes from the one that tells most about labels within batches."""
    totals = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1e-9)
    logs = sparse.csr_matrix(sparse.diags(TARGET / totals) @ counts).log1p()
    return np.argsort(-gene_information(logs, codes, batches), kind="stable")


def fit_path(
    counts: sparse.csr_matrix, codes: NDArray, n_labels: int, genes: NDArray, strengths: Sequence[float]
) -> Iterator[_Linear]:
    """Fit from the strongest regularisation on, each starting where the last one ended; labels weigh the same."""
    from sklearn.linear_model import LogisticRegression

    logs = log_expression(counts[:, genes])
    mean, scale = logs.mean(axis=0), logs.std(axis=0) + _LEAST_SPREAD
    x = standardized(logs, mean, scale)
    labels, own, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    weights = _WEIGHT / (len(labels) * sizes[own])
    regression = LogisticRegression(max_iter=300, tol=1e-4, warm_start=True)
    for strength in strengths:
        with catch_warnings():
            filterwarnings("ignore", "lbfgs failed to converge")  # nobody needs the last digits
            regression.set_params(C=strength).fit(x, own, sample_weight=weights)
        coefficients, intercepts = np.zeros((n_labels, len(genes))), np.full(n_labels, _NEVER)
        two = len(labels) == 2
        halves = np.array([[-0.5], [0.5]])
        coefficients[labels] = halves * regression.coef_ if two else regression.coef_
        intercepts[labels] = halves.ravel() * regression.intercept_ if two else regression.intercept_
        yield _Linear(genes, mean, scale, coefficients, intercepts)


def _choose(
    counts: sparse.csr_matrix, codes: NDArray, batches: NDArray, folds: NDArray, *, by_batch: bool, n_labels: int
) -> tuple[int, float, float, NDArray]:
    """Return number of genes, strength and temperature under which held-out labels are most probable, and scores."""
    sizes = sorted({min(size, counts.shape[1]) for size in SIZES})
    scores = {(size, strength): np.full((len(codes), n_labels), _NEVER) for size in sizes for strength in STRENGTHS}
    for fold in np.unique(folds):
        out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        labels = np.unique(codes[rest])
        out = out[np.isin(codes[out], labels)]
        if len(labels) < 2 or not len(out):
            continue
        ranked = ranked_genes(counts[rest], codes[rest], batches[rest])
        for size in sizes:
            path = fit_path(counts[rest], codes[rest], n_labels, np.sort(ranked[:size]), STRENGTHS)
            for strength, model in zip(STRENGTHS, path, strict=True):
                scores[size, strength][out] = model.scores(counts[out])
    known = next(iter(scores.values())).max(axis=1) > _NEVER
    if not known.any():  # no label is in two batches: nothing can be held out
        return sizes[-1], STRENGTHS[1], 1.0, next(iter(scores.values()))
    losses, truth = {}, codes[known]
    for setting, each in scores.items():
        temperature = best_temperature(each[known], truth, hottest=_HOTTEST)
        losses[setting] = mean_loss(each[known] / temperature, truth)
    size, strength = min(losses, key=losses.__getitem__)
    best = scores[size, strength]
    coldest = _COLDEST if by_batch else 1.0
    return size, strength, best_temperature(best[known], truth, hottest=_HOTTEST, coldest=coldest), best


def _factors(x: NDArray) -> tuple[NDArray, NDArray]:
    """Return principal components times their standard deviations, and the variance that they leave."""
    centered = (x - x.mean(axis=0)).astype(np.float64)
    variances, components = np.linalg.eigh(centered.T @ centered / len(x))
    factors = (components * np.sqrt(np.maximum(variances, 0)))[:, : -_FACTORS - 1 : -1].T
    return factors, np.maximum(centered.var(axis=0) - (factors**2).sum(axis=0), _LEAST_NOISE)

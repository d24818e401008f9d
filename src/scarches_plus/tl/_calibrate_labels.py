"""Calibrate label transfer on held-out batches of the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import column_of
from scarches_plus._logging import logger
from scarches_plus._neighbors import nearest
from scarches_plus.metrics import calibration_error

from ._label_calibration import LEAST_FLOOR, LabelCalibration, calibrated_shares, fit
from ._provenance._embedding_record import embedding_of, embedding_space
from ._votes._neighbor_votes import KERNELS, Kernel, kernel_weights, vote
from ._votes._reference_labels import reference_labels

if TYPE_CHECKING:
    from collections.abc import Collection

    from anndata import AnnData
    from numpy.typing import NDArray

#: Parts that a reference of one batch, and the batches of a reference, are dealt into.
_PARTS = 5


def calibrate_labels(
    reference: AnnData,
    labels_key: str,
    *,
    batch_key: str,
    use_rep: str = _keys.EMBEDDING,
    k: int = 50,
    kernel: Kernel = "paper",
    unknown_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
    n_cells: int = 20_000,
    rng: int = 0,
) -> LabelCalibration:
    """Hold out each batch of a reference in turn and learn how often the vote of the others is right.

    Parameters
    ----------
    reference
        Reference with an embedding, labels and batches.
    labels_key, batch_key
        Columns of ``obs``.
    use_rep
        ``obsm`` slot of the embedding.
    k, kernel
        As :func:`transfer_labels` will be called.
    unknown_category
        Name of cells without a label, which are left out.
    unlabelled
        Words that are no label of the reference, beside ``unknown_category``, as they are spelt; ``()`` lets all count.
        ``None``: "Unknown", "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that
        occur.
    n_cells
        Most cells that are held out, drawn at random if there are more; all others vote.
    rng
        Seed.

    Returns
    -------
    LabelCalibration
        For ``transfer_labels(..., calibration=...)``.

    Raises
    ------
    KeyError
        If the embedding or a column is missing.
    ValueError
        If no cell has a label that another batch has too, or ``n_cells`` is not positive.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.

    Warns
    -----
    UserWarning
        If there is one batch: a fifth of the cells at a time is held out, which is too easy.

    Notes
    -----
    Held-out cells whose label no other batch has are left out: no vote could be right. Probabilities are those of the
    known labels; types that the reference lacks are another question (:func:`detect_novel`). Batches say of one another
    whether calibration helps: each is calibrated by what the others say, and if the error does not fall, the vote stays
    as it is. The latent space has seen all batches of the reference, so a query that differs from them more than they
    do from one another is somewhat less certain than it says.

    References
    ----------
    Guo et al. 2017, On Calibration of Modern Neural Networks.
    """
    check.cells("reference", reference, mudata=True)
    check.texts(labels_key=labels_key, batch_key=batch_key, use_rep=use_rep, unknown_category=unknown_category)
    check.distinct(labels_key=labels_key, batch_key=batch_key)
    k = check.whole("k", k, least=1)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    check.choice("kernel", kernel, KERNELS)
    n_cells = check.whole("n_cells", n_cells, least=1)
    check.seed("rng", rng, generator=False)
    space = embedding_space(reference, use_rep)
    labels = reference_labels(reference, labels_key, unknown_category, unlabelled)
    folds = _folds(reference, batch_key, rng)
    embedding, codes = embedding_of(reference, use_rep, "reference"), np.asarray(labels.codes, dtype=np.int64)
    voters = codes >= 0
    held = _held_out(codes, folds, n_cells, rng)
    if not len(held):
        message = (
            f"no label of obs[{labels_key!r}] occurs in more than one batch of obs[{batch_key!r}]: no batch can tell "
            "how right the others are"
        )
        raise ValueError(message)
    shares = np.empty((len(held), len(labels.categories)))
    for fold in np.unique(folds[held]):
        of_fold = folds[held] == fold
        others = np.flatnonzero(voters & (folds != fold))
        found = nearest(embedding[held[of_fold]], embedding[others], min(k, len(others)))
        shares[of_fold] = vote(codes[others][found.indices], kernel_weights(found.distances, kernel), shares.shape[1])
    truth = codes[held]
    before = _error(shares, truth)
    after = _error(_cross_calibrated(shares, truth, folds[held]), truth)
    exponent, floor = fit(shares, truth)
    if after >= before:
        logger.info(
            "the vote stays as it is: by what other batches say its error would be %.3f, and is %.3f without",
            after, before,
        )  # fmt: skip
        exponent, floor, after = 1.0, LEAST_FLOOR, before
    return LabelCalibration(exponent, floor, after, before, len(held), k, kernel, space)


def _cross_calibrated(shares: NDArray, codes: NDArray, folds: NDArray) -> NDArray:
    """Return the shares of each part of the folds as the cells of the other parts calibrate them."""
    parts = np.unique(folds, return_inverse=True)[1] % _PARTS
    if len(np.unique(parts)) == 1:
        return shares  # nothing else to learn from
    found = np.empty_like(shares)
    for part in np.unique(parts):
        own = parts == part
        found[own] = calibrated_shares(shares[own], *fit(shares[~own], codes[~own]))
    return found


def _error(shares: NDArray, codes: NDArray) -> float:
    return calibration_error(shares.max(axis=1), shares.argmax(axis=1) == codes)


def _folds(reference: AnnData, batch_key: str, rng: int) -> NDArray[np.int64]:
    """Return which cells are held out together: those of a batch."""
    folds = pd.factorize(column_of(reference.obs, batch_key, "reference.obs"), use_na_sentinel=False)[0]
    if len(np.unique(folds)) == 1:
        message = (
            f"the reference has one batch in obs[{batch_key!r}]: random fifths of it are held out, which is too easy a "
            "test"
        )
        warn(message, UserWarning, stacklevel=3)
        return np.random.default_rng(rng).integers(0, _PARTS, reference.n_obs)
    return np.asarray(folds, dtype=np.int64)


def _held_out(codes: NDArray, folds: NDArray, n_cells: int, rng: int) -> NDArray[np.int64]:
    """Return cells whose label occurs in another fold too, ``n_cells`` at most."""
    table = np.zeros((folds.max() + 1, codes.max() + 2), dtype=np.int64)
    np.add.at(table, (folds, codes), 1)  # cells without a label are in the last column
    elsewhere = table.sum(axis=0) - table
    cells = np.flatnonzero((codes >= 0) & (elsewhere[folds, codes] > 0))
    if len(cells) > n_cells:
        cells = np.sort(np.random.default_rng(rng).choice(cells, n_cells, replace=False))
    return cells

"""Evaluate embeddings by batch mixing, conservation of biology and label transfer."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal
from warnings import warn

import numpy as np
import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._cells import column_of, missing, names_of, refuse_prototypes, without_label
from scarches_plus._logging import logger
from scarches_plus._neighbors import coordinates
from scarches_plus._progress import progress_bar
from scarches_plus._text import for_line
from scarches_plus.metrics._shared._cell_scores import CELL_SCORES, scores_of_samples
from scarches_plus.metrics._shared._checks import coded_batches
from scarches_plus.metrics._shared._scored_cells import ScoredCells
from scarches_plus.metrics._shared._scores import by_chance, scored
from scarches_plus.metrics._shared._undefined import PER_LABEL, why_undefined

from .draws import draws, mean_of_labels, mean_of_scores
from .report import Report

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from anndata import AnnData
    from mudata import MuData
    from numpy.typing import ArrayLike, NDArray

_PACKAGES = ("scarches-plus", "scib-metrics", "scikit-learn", "pynndescent", "numpy")
#: Scores of the cheap set, by what they say, and those that the full set adds.
_CHEAP = {
    "mixing": ("EBM", "iLISI", "kBET"),
    "conservation": (
        "cLISI", "graph connectivity", "label purity", "isolated labels", "k-means", "one-batch types apart",
    ),
    "agreement": ("KNI",),
    "mapping": ("mapping",),
}  # fmt: skip
_FULL = {
    "mixing": ("BRAS", "silhouette of batches", "kBET per label", "PCR"),
    "conservation": ("Leiden", "silhouette of labels", "isolated labels (silhouette)"),
    "agreement": ("RbNI",),
}
#: What to do with prototypes, which are spread over each label and batch and mix as no cells do.
_CELLS_INSTEAD = (
    "score the cells that they stand for; labels that prototypes gave to a query are scored alone, by "
    "sp.metrics.label_transfer_report (on the command line: report)"
)
_NEED_LABELS = {"BRAS", "silhouette of batches", "kBET per label"}


def evaluate(  # noqa: PLR0915 (arguments are checked one by one)
    adata: AnnData | MuData,
    embeddings: Sequence[str] | str,
    batch_key: str,
    *,
    labels_key: str | None = None,
    sample_key: str | None = None,
    reference_mask: ArrayLike | str | None = None,
    scores: Literal["cheap", "full"] | Sequence[str] = "cheap",
    before: str | None = None,
    unlabelled: Collection[Any] | None = None,
    k: int = 15,
    subsample: int = 20_000,
    n_cells: int | None = None,
    n_draws: int | None = None,
    rng: int = 0,
    progress: bool = True,
) -> Report:
    """Score embeddings: are batches mixed, is biology kept, do types of one batch stay apart, is the mapping right.

    For each embedding one search for neighbours serves all scores but KNI and RbNI, which scale the embedding first.
    scib-metrics' functions run on the same neighbours. Nothing is written into ``adata``.

    Parameters
    ----------
    adata
        Cells with embeddings in ``obsm``. Counts are not read, wherever they lie; prototypes are refused.
    embeddings
        Names of the embeddings.
    batch_key, labels_key
        ``obs`` columns of batches and of cell types. Cells without a label take part in what needs none.
    sample_key
        ``obs`` column of samples, such as donors or the batches themselves: scores that are averages over cells come
        for each of them, too, with neighbours among all cells. Cells of no sample are left out of that table.
    reference_mask
        Which cells are the reference, for scores of mapping: booleans, shape ``(n,)``, or the name of an ``obs`` column
        of booleans. The others get the label that most of their `k` nearest reference cells have. A Series must have
        the cells' names in their order.
    scores
        ``"cheap"`` or ``"full"``, without what lacks labels, `reference_mask` or `before`, or names of scores.
    before
        ``obsm`` slot of an embedding without integration, such as principal components, for scib's PCR comparison.
    unlabelled
        Words that are no label, as they are spelt; ``()`` lets all count. ``None``: "Unknown", "Mixed" and the other
        words in :doc:`/guide/labels`, in any case; the log names those that occur.
    k
        Neighbours of a cell for entropy, connectivity, and the vote of the reference. LISI takes 90, kBET and KNI 50,
        label purity 30, as their sources do, or all other cells of fewer.
    subsample
        Cells, drawn from each pair of batch and label in proportion, for scores whose time grows with the square of
        their number.
    n_cells
        Score so many cells, drawn from each pair of batch and label in proportion, as if there were no other. ``None``:
        all up to 500,000, 100,000 of more. Of the others only columns and coordinates are read. Most scores depend on
        the number of cells, so compare scores of equally many only.
    n_draws
        Draw `n_cells` so many times, no cell twice; scores are means over the draws, with an interval. ``None``: 3
        draws, or as many as there are cells for.
    rng
        Seed of these draws.
    progress
        Show a progress bar.

    Returns
    -------
    Report
        Scores between 0 and 1, 1 being best (KNI and RbNI cannot reach 1 where types live in one batch only), a table
        per label in both directions, and one per sample with `sample_key`.

    Raises
    ------
    KeyError
        If an embedding or a column is missing.
    ValueError
        If no embedding or score is named, coordinates are not finite or sparse, a cell has no batch or all have the
        same, `k` exceeds the other cells, `reference_mask` does not fit, there is no such score, a score that was
        named lacks labels, `reference_mask` or `before`, no cell is of a sample, rows are prototypes
        (:func:`scarches_plus.tl.reference_prototypes`), or the draws need more cells than there are.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    KeyboardInterrupt
        If the user stops it; the report of the scores so far is in ``sys.last_value.report``.

    Warns
    -----
    UserWarning
        If a score is not defined and therefore NaN, such as of a query without labels or of labels in one batch only.

    Notes
    -----
    KNI and RbNI are 0 if all cells lie at one point, where :func:`kni` and :func:`rbni` raise.

    References
    ----------
    Luecken et al. 2022 (scib); Lotfollahi et al. 2021 (scArches); BA-scVI (arXiv 2503.20730).
    """
    check.cells("adata", adata, mudata=True)
    names = check.names("embeddings", embeddings, or_one=True, least=1)
    check.texts(batch_key=batch_key)
    check.texts_or_none(labels_key=labels_key, sample_key=sample_key, before=before)
    check.distinct(batch_key=batch_key, labels_key=labels_key)
    check.distinct(sample_key=sample_key, labels_key=labels_key)
    scores = scores if isinstance(scores, str) else check.names("scores", scores, least=1)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    k = check.whole("k", k, least=1)
    subsample = check.whole("subsample", subsample, least=2)
    n_cells = None if n_cells is None else check.whole("n_cells", n_cells, least=2)
    n_draws = None if n_draws is None else check.whole("n_draws", n_draws, least=1)
    check.seed("rng", rng, generator=False)
    check.flags(progress=progress)
    refuse_prototypes("adata", adata, _CELLS_INSTEAD)
    for name in (*names, *([before] if before else [])):
        if name not in adata.obsm:
            message = f"embedding {name!r} not found in adata.obsm, which holds {sorted(adata.obsm)}"
            raise KeyError(message)
        coordinates(adata.obsm[name], f"adata.obsm[{name!r}]")
    batches, n_batches = _batches(adata, batch_key)
    labels = None if labels_key is None else _labels(adata, labels_key, unlabelled)
    samples = None if sample_key is None else _samples(adata, sample_key)
    drawn = draws(batches, labels, n_cells, n_draws, rng)
    n_drawn = len(batches[drawn[0]])
    _check_k(k, n_drawn)
    mask = _mask(adata, reference_mask)
    given = {"labels_key": labels is not None, "reference_mask": mask is not None, "before": before is not None}
    wanted = _wanted(scores, {what for what, is_given in given.items() if is_given})
    left_out = _left_out(scores, wanted, given)
    if left_out:
        logger.info("scores left out: %s", "; ".join(f"{score} needs {need}" for score, need in left_out.items()))
    undefined: dict[tuple[str, str], Counter[str]] = {}
    rows: list[dict[str, Any]] = []
    of_samples: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    provenance = {
        "n_cells": len(batches),
        "n_drawn": n_drawn,
        "n_draws": len(drawn),
        "n_batches": n_batches,
        "batch_key": batch_key,
        "labels_key": labels_key,
        "sample_key": sample_key,
        "k": k,
        "subsample": subsample,
        "left_out": left_out,
        "seed": rng,
        "versions": {package: version(package) for package in _PACKAGES},
    }
    if n_drawn < len(batches):
        logger.info("%d of %d cells are scored, drawn %d times", n_drawn, len(batches), len(drawn))
    try:
        n_steps = len(names) * len(drawn) * len(wanted)
        with progress_bar(n_steps, "Evaluating", unit=" scores", shown=progress) as bar:
            for name, some in product(names, drawn):
                cells = ScoredCells(
                    np.asarray(adata.obsm[name])[some],
                    batches[some],
                    None if labels is None else labels[some],
                    k,
                    subsample,
                    rng,
                    None if mask is None else mask[some],
                    None if before is None else np.asarray(adata.obsm[before])[some],
                    None if samples is None else samples[some],
                )
                for kind, score in wanted:
                    bar.set_postfix_str(for_line(f"{name}: {score}"))
                    start = perf_counter()
                    numbers, n_scored, why = scored(cells, score)
                    if why:
                        undefined.setdefault((name, why), Counter())[score] += 1
                    chance = by_chance(cells, score) if kind == "conservation" and not why else {}
                    seconds = perf_counter() - start
                    rows += [
                        {
                            "embedding": name,
                            "kind": kind,
                            "score": part,
                            "value": float(number),
                            "chance": float(chance.get(part, np.nan)),
                            "n_cells": n_scored,
                            "seconds": seconds,
                        }
                        for part, number in numbers.items()
                    ]
                    if samples is not None and not why:
                        of_samples += [
                            {"embedding": name, "kind": kind} | row
                            for part in numbers
                            if part in CELL_SCORES
                            for row in scores_of_samples(cells, part)
                        ]
                    bar.update()
                if labels is None:
                    continue
                if why := why_undefined(PER_LABEL, cells.labelled):
                    undefined.setdefault((name, why), Counter())[PER_LABEL] += 1
                else:
                    tables.append(cells.per_label().reset_index(names="label").assign(embedding=name))
    except KeyboardInterrupt as stop:
        if rows:
            stop.report = _report(rows, of_samples, tables, provenance)  # type: ignore[attr-defined]
            stop.args = (f"evaluation was interrupted; the {len(rows)} scores so far are in sys.last_value.report",)
        raise
    if undefined:
        reasons = "; ".join(
            f"of {name!r} {', '.join(_in_draws(*one, len(drawn)) for one in lacking.items())}: {why}"
            for (name, why), lacking in undefined.items()
        )
        warn(f"some scores are not defined, and NaN: {reasons}", UserWarning, stacklevel=2)
    return _report(rows, of_samples, tables, provenance)


def _in_draws(score: str, n: int, n_draws: int) -> str:
    return score if n == n_draws else f"{score} (in {n} of {n_draws} draws)"


def _report(
    rows: list[dict[str, Any]],
    of_samples: list[dict[str, Any]],
    tables: list[pd.DataFrame],
    provenance: dict[str, Any],
) -> Report:
    per_sample = mean_of_scores(of_samples, ("embedding", "sample", "kind", "score"))
    return Report(mean_of_scores(rows), mean_of_labels(tables), provenance, per_sample)


def _column(adata: AnnData | MuData, key: str) -> NDArray:
    return names_of(column_of(adata.obs, key))


def _labels(adata: AnnData | MuData, key: str, unlabelled: Collection[Any] | None) -> NDArray:
    """Return labels as names, ``None`` for cells without one."""
    names = _column(adata, key)
    names[without_label(names, unlabelled, where=f"obs[{key!r}]")] = None
    return names


def _samples(adata: AnnData | MuData, key: str) -> NDArray:
    samples = _column(adata, key)
    if missing(samples).all():
        message = f"adata.obs[{key!r}] names no sample: every cell has a missing value"
        raise ValueError(message)
    return samples


def _batches(adata: AnnData | MuData, key: str) -> tuple[NDArray, int]:
    column = _column(adata, key)
    n_batches = len(coded_batches(column, len(column), f"adata.obs[{key!r}]")[1])
    if n_batches < 2:
        message = f"there is nothing to mix: adata.obs[{key!r}] has {n_batches} batches, and two are needed"
        raise ValueError(message)
    return column, n_batches


def _check_k(k: int, n_cells: int) -> None:
    if not 1 <= k < n_cells:
        message = f"k={k} neighbours must be at least 1 and at most the {n_cells - 1} other cells"
        raise ValueError(message)


def _mask(adata: AnnData | MuData, reference_mask: ArrayLike | str | None) -> NDArray[np.bool_] | None:
    if reference_mask is None:
        return None
    if isinstance(reference_mask, pd.Series) and list(reference_mask.index) != list(adata.obs_names):
        message = (
            "the index of reference_mask is not adata.obs_names in their order: give "
            "reference_mask.loc[adata.obs_names], or an array in the order of the cells"
        )
        raise ValueError(message)
    mask = np.asarray(column_of(adata.obs, reference_mask) if isinstance(reference_mask, str) else reference_mask)
    if mask.shape != (adata.n_obs,) or not np.isin(mask, [True, False]).all():
        message = f"reference_mask must be booleans of shape ({adata.n_obs},); it has shape {mask.shape}"
        raise ValueError(message)
    mask = mask.astype(bool)
    if mask.all() or not mask.any():
        message = f"reference_mask must leave cells on both sides; it is {bool(mask.any())} for all of them"
        raise ValueError(message)
    return mask


def _wanted(scores: Any, given: set[str]) -> list[tuple[str, str]]:
    """Return kind and name of each score to compute; of a set, those that what is given suffices for."""
    all_scores = {kind: (*_CHEAP[kind], *_FULL.get(kind, ())) for kind in _CHEAP}
    sets = {"cheap": _CHEAP, "full": all_scores}
    if isinstance(scores, str) and scores in sets:
        return [(kind, name) for kind, names in sets[scores].items() for name in names if _needs(kind, name) <= given]
    named = {scores} if isinstance(scores, str) else set(scores)
    unknown = sorted(named - {name for names in all_scores.values() for name in names})
    if not named:
        message = f"scores is empty: choose 'cheap', 'full' or of {all_scores}"
        raise ValueError(message)
    if unknown:
        message = f"there are no scores {unknown}; choose 'cheap', 'full' or of {all_scores}"
        raise ValueError(message)
    wanted = [(kind, name) for kind, names in all_scores.items() for name in names if name in named]
    for kind, name in wanted:
        if lacking := sorted(_needs(kind, name) - given):
            message = f"score {name!r} needs {' and '.join(lacking)}: give it, or leave the score out"
            raise ValueError(message)
    return wanted


def _left_out(scores: Any, wanted: list[tuple[str, str]], given: dict[str, bool]) -> dict[str, str]:
    """Return the scores of a set that are not computed, and what each lacks."""
    if not isinstance(scores, str) or scores not in {"cheap", "full"}:
        return {}
    everything = _wanted(scores, set(given))
    has = {what for what, is_given in given.items() if is_given}
    return {
        name: " and ".join(sorted(_needs(kind, name) - has)) for kind, name in everything if (kind, name) not in wanted
    }


def _needs(kind: str, score: str) -> set[str]:
    """Return the options without which a score cannot be computed."""
    needs = {"mapping": {"labels_key", "reference_mask"}, "PCR": {"before"}}
    return needs.get(score, {"labels_key"} if kind != "mixing" or score in _NEED_LABELS else set())

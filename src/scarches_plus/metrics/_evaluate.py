from __future__ import annotations

from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ._report import Report
from ._scored_cells import ScoredCells, by_chance, score_functions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

_PACKAGES = ("scarches-plus", "scib-metrics", "scikit-learn", "pynndescent", "numpy")
#: Scores of the cheap set, by what they say, and those that the full set adds.
_CHEAP = {
    "mixing": ("EBM", "iLISI", "kBET"),
    "conservation": ("cLISI", "graph connectivity", "label purity", "isolated labels", "k-means", "one-batch types apart"),
    "agreement": ("KNI",),
    "mapping": ("mapping",),
}  # fmt: skip
_FULL = {
    "mixing": ("BRAS", "silhouette of batches", "kBET per label", "PCR"),
    "conservation": ("Leiden", "silhouette of labels", "isolated labels (silhouette)"),
    "agreement": ("RbNI",),
}
_NEED_LABELS = {"BRAS", "silhouette of batches", "kBET per label"}


def evaluate(
    adata: Any,
    embeddings: Sequence[str] | str,
    batch_key: str,
    *,
    labels_key: str | None = None,
    reference_mask: ArrayLike | str | None = None,
    scores: Literal["cheap", "full"] | Sequence[str] = "cheap",
    before: str | None = None,
    k: int = 15,
    subsample: int = 20_000,
    rng: int = 0,
    progress: bool = True,
) -> Report:
    """Score embeddings: are batches mixed, is biology kept, do types of one batch stay apart, is the mapping right.

    For each embedding one search for neighbours serves all scores but KNI and RbNI, which scale the embedding first.
    scib-metrics' functions run on the same neighbours. Nothing is written into ``adata``.

    Parameters
    ----------
    adata
        Cells with embeddings in ``obsm``.
    embeddings
        Names of the embeddings.
    batch_key, labels_key
        ``obs`` columns of batches and of cell types. Cells without a label take part in what needs none.
    reference_mask
        Which cells are the reference, for scores of mapping: booleans, shape ``(n,)``, or the name of an ``obs`` column
        of booleans. The others get the label that most of their `k` nearest reference cells have.
    scores
        ``"cheap"``, ``"full"``, or names of scores.
    before
        ``obsm`` slot of an embedding without integration, such as principal components, for scib's PCR comparison.
    k
        Neighbours of a cell for entropy, connectivity, and the vote of the reference. LISI takes 90, kBET and KNI 50, label
        purity 30, as their sources do.
    subsample
        Cells, drawn from each pair of batch and label in proportion, for scores whose time grows with the square of
        their number.
    rng
        Seed of that draw.
    progress
        Show a progress bar.

    Returns
    -------
    Report
        Scores between 0 and 1, 1 being best (KNI and RbNI cannot reach 1 where types live in one batch only), and a table
        per label in both directions.

    Raises
    ------
    KeyError
        If an embedding or a column is missing.
    ValueError
        If there are too few cells or one batch only, `reference_mask` does not fit, or there is no such score.

    References
    ----------
    Luecken et al. 2022 (scib); Lotfollahi et al. 2021 (scArches); BA-scVI (arXiv 2503.20730).
    """
    import pandas as pd
    from tqdm.auto import tqdm

    names = [embeddings] if isinstance(embeddings, str) else list(embeddings)
    for name in (*names, *([before] if before else [])):
        if name not in adata.obsm:
            message = f"embedding {name!r} not found in adata.obsm, which holds {sorted(adata.obsm)}"
            raise KeyError(message)
    batches = _column(adata, batch_key)
    labels = None if labels_key is None else _column(adata, labels_key)
    mask = _mask(adata, reference_mask)
    wanted = _wanted(scores, labels is not None, mask is not None, before is not None)
    rows: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    with tqdm(total=len(names) * len(wanted), desc="Evaluating", unit=" scores", disable=not progress) as bar:
        for name in names:
            cells = ScoredCells(np.asarray(adata.obsm[name]), batches, labels, k, subsample, rng)
            compute = score_functions(cells, mask, None if before is None else np.asarray(adata.obsm[before]))
            for kind, score in wanted:
                bar.set_postfix_str(f"{name}: {score}")
                start = perf_counter()
                value, n_cells = compute[score]()
                parts = value if isinstance(value, dict) else {score: value}
                chance = by_chance(cells, score) if kind == "conservation" else None
                at_random = chance if isinstance(chance, dict) else {score: np.nan if chance is None else chance}
                seconds = perf_counter() - start
                rows += [
                    {
                        "embedding": name,
                        "kind": kind,
                        "score": part,
                        "value": float(number),
                        "chance": float(at_random.get(part, np.nan)),
                        "n_cells": n_cells,
                        "seconds": seconds,
                    }
                    for part, number in parts.items()
                ]
                bar.update()
            if labels is not None:
                tables.append(cells.per_label().reset_index(names="label").assign(embedding=name))
    per_label = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if len(per_label):
        per_label.insert(0, "embedding", per_label.pop("embedding"))
    provenance = {
        "n_cells": len(batches),
        "n_batches": int(pd.Series(batches).nunique()),
        "batch_key": batch_key,
        "labels_key": labels_key,
        "k": k,
        "subsample": subsample,
        "seed": rng,
        "versions": {package: version(package) for package in _PACKAGES},
    }
    return Report(pd.DataFrame(rows), per_label, provenance)


def _column(adata: Any, key: str) -> NDArray:
    if key not in adata.obs:
        message = f"column {key!r} not found in adata.obs, which holds {adata.obs.columns.astype(str).tolist()}"
        raise KeyError(message)
    return adata.obs[key].astype(object).to_numpy()  # type: ignore[no-any-return]


def _mask(adata: Any, reference_mask: ArrayLike | str | None) -> NDArray[np.bool_] | None:
    if reference_mask is None:
        return None
    mask = np.asarray(_column(adata, reference_mask) if isinstance(reference_mask, str) else reference_mask)
    if mask.shape != (adata.n_obs,) or not np.isin(mask, [True, False]).all():
        message = f"reference_mask must be booleans of shape ({adata.n_obs},); it has shape {mask.shape}"
        raise ValueError(message)
    mask = mask.astype(bool)
    if mask.all() or not mask.any():
        message = f"reference_mask must leave cells on both sides; it is {bool(mask.any())} for all of them"
        raise ValueError(message)
    return mask


def _wanted(scores: Any, has_labels: bool, has_reference: bool, has_before: bool) -> list[tuple[str, str]]:  # noqa: FBT001
    """Return kind and name of each score to compute."""
    all_scores = {kind: (*_CHEAP[kind], *_FULL.get(kind, ())) for kind in _CHEAP}
    chosen = {"cheap": _CHEAP, "full": all_scores}.get(scores) if isinstance(scores, str) else None
    if chosen is None:
        named = {scores} if isinstance(scores, str) else set(scores)
        unknown = sorted(named - {name for names in all_scores.values() for name in names})
        if unknown:
            message = f"there are no scores {unknown}; choose 'cheap', 'full' or of {all_scores}"
            raise ValueError(message)
        chosen = {kind: tuple(name for name in names if name in named) for kind, names in all_scores.items()}
    wanted = []
    for kind, names in chosen.items():
        for name in names:
            lacks_labels = not has_labels and (kind != "mixing" or name in _NEED_LABELS)
            lacks_more = (name == "mapping" and not has_reference) or (name == "PCR" and not has_before)
            if not (lacks_labels or lacks_more):
                wanted.append((kind, name))
    return wanted

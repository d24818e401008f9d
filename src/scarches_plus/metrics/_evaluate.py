from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scarches_plus._neighbors import Neighbors, nearest, nearest_within

from ._batch_entropy import batch_entropy
from ._checks import coded_batches
from ._graph_connectivity import graph_connectivity
from ._isolated_label_score import isolated_label_score
from ._kni import kni
from ._label_mixing import label_mixing
from ._label_purity import label_purity
from ._label_transfer_report import label_transfer_report
from ._neighbor_vote import UNLABELLED
from ._rbni import rbni
from ._report import Report
from ._scib import principal_component_regression, scib_functions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

_LARGEST_K = 90
_PACKAGES = ("scarches-plus", "scib-metrics", "scikit-learn", "pynndescent", "numpy")
#: Scores whose time grows with the square of the number of cells.
_QUADRATIC = {
    "silhouette of labels", "silhouette of batches", "BRAS", "isolated labels (silhouette)", "kBET per label", "RbNI"
}  # fmt: skip
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
#: Clusterings that are compared with labels.
_AGREEMENTS = {"k-means", "Leiden"}
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
            cells = _Cells(np.asarray(adata.obsm[name]), batches, labels, k, subsample, rng)
            compute = _functions(cells, mask, None if before is None else np.asarray(adata.obsm[before]))
            for kind, score in wanted:
                bar.set_postfix_str(f"{name}: {score}")
                start = perf_counter()
                value, n_cells = compute[score]()
                parts = value if isinstance(value, dict) else {score: value}
                chance = _by_chance(cells, score) if kind == "conservation" else None
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


@dataclass(frozen=True)
class _Cells:
    """An embedding with all that its scores share."""

    embedding: NDArray
    batches: NDArray
    labels: Any  # NDArray, or None
    k: int
    n_sampled: int
    seed: int

    @cached_property
    def neighbors(self) -> Neighbors:
        return nearest_within(self.embedding, min(_LARGEST_K, len(self.embedding) - 1))

    @cached_property
    def has_label(self) -> NDArray[np.bool_]:
        import pandas as pd

        return ~(pd.isna(self.labels) | np.isin(self.labels.astype(str), list(UNLABELLED)))  # type: ignore[no-any-return]

    @cached_property
    def labelled(self) -> _Cells:
        """The cells that have a label; the same object if all have."""
        return self if self.has_label.all() else self._some(np.flatnonzero(self.has_label))

    @cached_property
    def shuffled(self) -> _Cells:
        """The labelled cells with their labels dealt anew; neighbours stay."""
        cells = self.labelled
        labels = np.random.default_rng(self.seed).permutation(cells.labels)
        dealt = replace(cells, labels=labels)
        vars(dealt)["neighbors"] = cells.neighbors
        return dealt

    @cached_property
    def sampled(self) -> _Cells:
        """So many labelled cells that a score may take the square of their number."""
        cells = self.labelled
        if len(cells.batches) <= self.n_sampled:
            return cells
        return cells._some(_draw(cells.batches, cells.labels, self.n_sampled, self.seed))

    def _some(self, rows: NDArray) -> _Cells:
        labels = None if self.labels is None else self.labels[rows]
        return _Cells(self.embedding[rows], self.batches[rows], labels, self.k, self.n_sampled, self.seed)

    @cached_property
    def scib(self) -> dict[str, Callable[[], Any]]:
        import pandas as pd

        batches, _ = coded_batches(self.batches, len(self.embedding))
        labels = batches if self.labels is None else pd.factorize(self.labels, sort=True)[0]
        return scib_functions(self.embedding, self.neighbors, batches, labels)

    def around(self, k: int) -> dict[str, Any]:
        k = min(k, self.neighbors.indices.shape[1])
        return {"k": k, "neighbors": self.neighbors.indices}

    @cached_property
    def label_mixing(self) -> pd.DataFrame:
        return label_mixing(self.embedding, self.batches, self.labels, **self.around(self.k))

    def per_label(self) -> pd.DataFrame:
        cells = self.labelled
        return cells.label_mixing.assign(label_purity=label_purity(cells.embedding, cells.labels, **cells.around(30)))


def _functions(cells: _Cells, reference: NDArray | None, before: Any) -> dict[str, Callable[[], tuple[Any, int]]]:
    """Return what computes each score, with the number of cells it takes."""

    def on(view: Callable[[], _Cells], compute: Callable[[_Cells], Any]) -> Callable[[], tuple[Any, int]]:
        def run() -> tuple[Any, int]:
            seen = view()
            return compute(seen), len(seen.batches)

        return run

    every, labelled, sampled = (lambda: cells), (lambda: cells.labelled), (lambda: cells.sampled)
    functions: dict[str, Callable[[], tuple[Any, int]]] = {
        "EBM": on(every, lambda c: batch_entropy(c.embedding, c.batches, normalize=True, **c.around(c.k)).mean()),
        "iLISI": on(every, lambda c: c.scib["iLISI"]()),
        "kBET": on(every, lambda c: c.scib["kBET"]()),
        "graph connectivity": on(labelled, lambda c: graph_connectivity(c.embedding, c.labels, **c.around(c.k)).mean()),
        "label purity": on(labelled, lambda c: label_purity(c.embedding, c.labels, **c.around(30)).mean()),
        "isolated labels": on(
            labelled, lambda c: isolated_label_score(c.embedding, c.batches, c.labels, **c.around(c.k)).mean()
        ),
        "one-batch types apart": on(labelled, _apart),
        "KNI": on(labelled, lambda c: kni(c.embedding, c.batches, c.labels, k=min(50, len(c.batches) - 1)).score),
        "RbNI": on(sampled, lambda c: rbni(c.embedding, c.batches, c.labels).score),
        "mapping": lambda: (_mapping(cells, reference), len(cells.batches)),
        "PCR": on(every, lambda c: principal_component_regression(before, c.embedding, c.batches)),
    }
    for name in ("cLISI", *_AGREEMENTS):
        functions[name] = on(labelled, partial(_scib, name))
    for name in _QUADRATIC - {"RbNI"}:
        functions[name] = on(sampled, partial(_scib, name))
    return functions


def _by_chance(cells: _Cells, score: str) -> Any:
    """Return what the embedding would score if labels were dealt to the cells at random."""
    if score == "one-batch types apart":  # their labels would not be of one batch any more
        around = cells.labelled
        return 1 - batch_entropy(around.embedding, around.batches, normalize=True, **around.around(around.k)).mean()
    if score in _AGREEMENTS:  # near 0 by definition, and clusters cost the most
        return {f"{name} {score}": 0.0 for name in ("NMI", "ARI")}
    return _functions(cells.shuffled, None, None)[score]()[0]


def _scib(name: str, cells: _Cells) -> Any:
    return cells.scib[name]()


def _apart(cells: _Cells) -> float:
    """Return 1 for types of one batch that keep apart from other batches, NaN if there is no such type."""
    table = cells.label_mixing
    entropies = table.loc[table["expected"] == "apart", "entropy"]
    return float(1 - entropies.mean())


def _mapping(cells: _Cells, reference: Any) -> dict[str, float]:
    """Give query cells the label that most of their nearest reference cells have."""
    labelled, reference = cells.labelled, reference[cells.has_label]
    theirs, ours = labelled.embedding[reference], labelled.embedding[~reference]
    labels = labelled.labels.astype(str)
    codes, names = coded_batches(labels[reference], len(theirs), "labels")
    k = min(cells.k, len(theirs))
    votes = np.zeros((len(ours), len(names)))
    indices = nearest(ours, theirs, k).indices
    np.add.at(votes, (np.arange(len(ours))[:, None], codes[indices]), 1 / k)
    best = votes.argmax(axis=1)
    report = label_transfer_report(
        labels[~reference],
        np.asarray(names)[best],
        np.clip(1 - votes[np.arange(len(ours)), best], 0, 1),
        known_labels=names,
    )
    return {
        "label accuracy": report.accuracy,
        "macro F1": report.macro_f1,
        "AUROC of unseen types": report.auroc_unseen,
    }


def _draw(batches: NDArray, labels: NDArray | None, n_cells: int, seed: int) -> NDArray[np.int64]:
    """Draw cells such that each pair of batch and label keeps its share, to within a cell."""
    import pandas as pd

    strata = pd.factorize(pd.MultiIndex.from_arrays([batches, batches if labels is None else labels]))[0]
    order = np.random.default_rng(seed).permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]  # stratum by stratum, at random within
    evenly = np.floor(np.linspace(0, len(order), n_cells, endpoint=False)).astype(int)
    return np.sort(order[evenly])


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

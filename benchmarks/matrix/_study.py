"""What a method gets, and what it gives back."""

from __future__ import annotations

import hashlib
import json
import re
import resource
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from anndata import AnnData


#: Label of cells without one.
UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Mapped:
    """Reference and query, mapped.

    Attributes
    ----------
    reference, query
        Embeddings, shape ``(n, d)``; ``None`` for methods that only label cells.
    before
        Embedding of the reference before the query came; ``None`` where the two are embedded together.
    labels, uncertainty
        Of the query by the method's own way, uncertainty between 0 and 1.
    trained
        Parameters that the query's training changed.
    """

    reference: np.ndarray | None
    query: np.ndarray | None
    before: np.ndarray | None = None
    labels: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    trained: float = float("nan")


@dataclass
class Study:
    """A reference and a query, and a clock for each.

    Attributes
    ----------
    reference, query
        Cells with counts, ``obs["batch"]`` and ``obs["cell_type"]``.
    key
        All that the reference depends on besides the method.
    """

    reference: AnnData
    query: AnnData
    seed: int
    epochs: int
    key: dict[str, Any]
    cache: Path
    costs: dict[str, float] = field(default_factory=dict)

    def seed_all(self) -> None:
        import scvi

        scvi.settings.seed = self.seed

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time inside to that of ``"reference"``, ``"query"`` or ``"score"``."""
        clocks = {f"{part} seconds": perf_counter, f"{part} CPU seconds": process_time}
        start = {name: clock() for name, clock in clocks.items()}
        yield
        for name, clock in clocks.items():
            self.costs[name] = self.costs.get(name, 0.0) + clock() - start[name]

    def together(self) -> AnnData:
        """Return all cells, those of the reference first, and labels of the query hidden."""
        import anndata

        cells = anndata.concat([self.reference, self.query], index_unique="-", keys=["reference", "query"])
        cells.obs["cell_type"] = [*self.reference.obs["cell_type"], *[UNKNOWN] * self.query.n_obs]
        return cells

    def split(self, joint: np.ndarray, **more: Any) -> Mapped:
        """Return the embedding of :meth:`together` in its two parts."""
        return Mapped(joint[: self.reference.n_obs], joint[self.reference.n_obs :], **more)

    def trained(self, options: dict[str, Any], train: Callable[[Path], None]) -> Path:
        """Return the folder of a reference model, which ``train`` writes if it is not there yet.

        ``options`` are all those of the method's :attr:`Method.train`, defaults included.
        """
        target = cache_folder(self.cache, self.key, options)
        if not (target / "cost.json").is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.cache, prefix=".part-") as part:
                with self.timed("reference"):
                    train(Path(part) / "new" / "model")
                cost = {**self.costs, "reference MiB": peak_mib()}
                (Path(part) / "new" / "cost.json").write_text(json.dumps(cost))
                try:
                    (Path(part) / "new").rename(target)
                except OSError:  # another run was first
                    if not (target / "cost.json").is_file():
                        raise
        self.costs |= json.loads((target / "cost.json").read_text())
        return target / "model"


@dataclass(frozen=True)
class Method:
    """A way to map.

    Attributes
    ----------
    map
        Takes a study and options, gives :class:`Mapped`.
    train
        Writes the reference model into the study's cache; takes some of the options. ``None``: there is none to keep.
    peer
        Distribution that the method comes from, if it is another's.
    """

    map: Callable[..., Mapped]
    train: Callable[..., Path] | None = None
    peer: str | None = None


def digest(content: Any) -> str:
    """Eight digits that change with the content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:8]


def cache_folder(cache: Path, key: dict[str, Any], options: dict[str, Any]) -> Path:
    """Return where the reference model of some cells, a seed and options is kept."""
    words = [key["name"], *(value for value in options.values() if isinstance(value, str)), f"seed{key['seed']}"]
    return cache / re.sub(r"[^\w.-]+", "-", "_".join([*words, digest([key, options])]))


def peak_mib() -> float:
    """Most memory that this process has held so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)

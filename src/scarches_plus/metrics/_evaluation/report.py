"""Report the scores of an evaluation as tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus._files import check_output_file, write_file
from scarches_plus._html import table_of
from scarches_plus._text import for_html, for_terminal

from .page import page_of

if TYPE_CHECKING:
    from pathlib import Path


#: Weights of the total, those of scib.
WEIGHTS = {"mixing": 0.4, "conservation": 0.6}
_ROUNDING = 1e-9
_INTERVALS = "intervals of 95 % over draws"


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """Scores of embeddings, made by :func:`evaluate`.

    Parameters
    ----------
    scores
        Tidy, one row for each embedding and score, with the columns `embedding`, `kind` (``"mixing"``,
        ``"conservation"``, ``"agreement"`` or ``"mapping"``), `score`, `value` (higher is better, NaN where it is not
        defined; over several draws of cells their mean), `low` and `high` (its interval of 95 % over draws, NaN without
        them), `n_draws` on which the score is defined, `chance` (for conservation, the value if labels were dealt at
        random), `n_cells` it was computed on, and `seconds`.
    per_label
        One row for each embedding and label: :func:`label_mixing`, with the label's :func:`label_purity`. Empty
        without labels.
    provenance
        Numbers of cells, versions, and options.
    per_sample
        Tidy, one row for each embedding, sample and score that is an average over cells, with the columns `embedding`,
        `sample`, `kind`, `score`, `value`, `low`, `high` and `n_draws` as in `scores`, and `n_cells` of the sample that
        it was computed on. Empty without samples.
    """

    scores: pd.DataFrame
    per_label: pd.DataFrame
    provenance: dict[str, Any] = field(default_factory=dict)
    per_sample: pd.DataFrame = field(default_factory=pd.DataFrame)

    def table(self) -> pd.DataFrame:
        r"""Return embeddings x scores, and a summary of them.

        ``("summary", "mixing")`` is the mean of what is defined; ``("summary", "conservation")`` the same of
        :math:`(s - s_0) / (1 - s_0)`, which is 0 where a score :math:`s` is that of random labels, :math:`s_0`; a score
        that random labels reach in full in any of the embeddings (:math:`s_0 = 1`) counts for none. The total is
        :math:`m^{0.4} c^{0.6}`, with the weights of scib: an embedding that mixes everything has a conservation of 0,
        and so has its total. scib adds the two, :math:`0.4 m + 0.6 c` with :math:`c` as it is (``"scib total"``), which
        noise passes.
        """
        scores = self.scores
        order = scores.drop_duplicates(["kind", "score"])[["kind", "score"]]
        wide = scores.pivot_table(index="embedding", columns=["kind", "score"], values="value", dropna=False)
        wide = wide.reindex(index=scores["embedding"].drop_duplicates(), columns=pd.MultiIndex.from_frame(order))
        says_something = scores.groupby("score")["chance"].transform("max").fillna(0) < 1 - _ROUNDING
        above = ((scores["value"] - scores["chance"]) / (1 - scores["chance"])).clip(lower=0).where(says_something)
        summary: dict[str, Any] = {}
        plain: Any = 0.0
        for kind, weight in WEIGHTS.items():
            of_kind = scores["kind"] == kind
            if of_kind.any():
                means = scores["value"][of_kind].groupby(scores["embedding"]).mean()
                plain = plain + weight * means
                summary[kind] = means if kind == "mixing" else above[of_kind].groupby(scores["embedding"]).mean()
        if len(summary) == len(WEIGHTS):
            summary["total"] = (
                summary["mixing"] ** WEIGHTS["mixing"] * summary["conservation"] ** WEIGHTS["conservation"]
            )
            summary["scib total"] = plain
        for name, values in summary.items():
            wide["summary", name] = values
        return wide

    def intervals(self) -> pd.DataFrame:
        """Return scores x embeddings, as texts such as ``"0.71 to 0.74"``; empty without several draws of cells."""
        scores = self.scores
        if "low" not in scores or scores["low"].isna().all():
            return pd.DataFrame()
        texts = [f"{low:.3f} to {high:.3f}" for low, high in zip(scores["low"], scores["high"], strict=True)]
        return scores.assign(interval=texts).pivot_table(
            index="score", columns="embedding", values="interval", aggfunc="first", sort=False
        )

    def by_sample(self) -> pd.DataFrame:
        """Return (embeddings, samples) x scores, with `n_cells`, the most that a score takes; empty without samples."""
        samples = self.per_sample
        if samples.empty:
            return pd.DataFrame()
        index = ["embedding", "sample"]
        wide = samples.pivot(index=index, columns="score", values="value")
        wide = wide.reindex(
            index=pd.MultiIndex.from_frame(samples[index].drop_duplicates()), columns=samples["score"].unique()
        )
        wide.columns.name = None
        wide.insert(0, "n_cells", samples.groupby(index)["n_cells"].max())
        return wide

    def __repr__(self) -> str:
        parts = [self._title(), self.table().T.to_string(float_format="{:.3f}".format)]
        if len(intervals := self.intervals()):
            parts += ["", _INTERVALS, intervals.to_string()]
        return for_terminal("\n".join(parts))

    def _repr_html_(self) -> str:
        html = f"<p>{for_html(self._title())}</p>{table_of(self.table())}"
        if len(intervals := self.intervals()):
            html += f"<p>{for_html(_INTERVALS)}</p>{table_of(intervals)}"
        return html

    def _title(self) -> str:
        n_cells, n_batches = (self.provenance.get(name, "?") for name in ("n_cells", "n_batches"))
        n_drawn, n_draws = (self.provenance.get(name, "?") for name in ("n_drawn", "n_draws"))
        drawn = "" if n_drawn in {n_cells, "?"} else f", of which {n_drawn} were drawn {n_draws} times"
        return f"{n_cells} cells{drawn}, {n_batches} batches; 1 is best"

    def to_html(self, path: str | Path) -> None:
        """Write one page that needs no other file: a verdict, the scores in words, the table per label, provenance.

        Parameters
        ----------
        path
            File to write (.html); it appears whole or not at all.

        Raises
        ------
        ValueError
            If its name ends otherwise.
        OSError
            If it cannot be written there.
        """
        check_output_file(check.path("path", path), suffixes=(".html", ".htm"))
        write_file(path, page_of(self, self._title(), _INTERVALS))

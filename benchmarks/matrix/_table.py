"""Means over seeds with intervals, and paired differences from a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ._rows import COSTS, read_rows
from ._scores import EXTRA, SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ._config import Matrix

CONFIDENCE = 0.95
_GROUP = ["data", "method", "epochs", "fraction"]
#: Columns of the tables for readers; the CSV files have all.
SHOWN = (
    "total", "mixing", "conservation", "EBM", "KNI", "neighbour preservation", "transfer accuracy", "transfer AUROC",
    "own accuracy", "reference drift", "query CPU seconds",
)  # fmt: skip
#: Methods of a data set for a correlation over them.
_FEWEST_METHODS = 5
#: Scores side by side: wider tables are cut off on a page.
_MOST_SCORES = 7


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and half width of its interval by Student's t; half a width of NaN for a single value."""
    from scipy import stats

    values = np.asarray(values, dtype=float)
    if not len(values):
        return float("nan"), float("nan")
    if len(values) == 1:
        return float(values[0]), float("nan")
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def succeeded(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["error"].isna()]


def aggregate(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per data set, method and score: number of seeds, mean, standard deviation, interval."""
    return _summarized(_long(succeeded(rows)))


def differences(rows: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return the same of each method's score minus the baseline's, paired by seed; the baseline itself has none."""
    pair = [*(name for name in _GROUP if name != "method"), "seed", "score"]
    long = _long(succeeded(rows))
    of_baseline = long[long["method"] == baseline]
    if of_baseline.empty:
        raise ValueError(f"there is no result of the baseline {baseline!r}; there are {sorted(set(long['method']))}")
    both = long[long["method"] != baseline].merge(of_baseline, on=pair, suffixes=("", " of baseline"))
    both["value"] -= both["value of baseline"]
    return _summarized(both)


def correlations(rows: pd.DataFrame, score: str = "KNI") -> pd.DataFrame:
    """Return Spearman's correlation of a score with each other over the methods (BA-scVI, Table S2).

    A row for each score: the mean over data sets of the correlations of the methods' means, the lowest and the highest,
    and the number of data sets. Numbers of cells and data sets with fewer than five methods are left out.
    """
    means = aggregate(rows[rows["fraction"] == 1])
    found = []
    for _, of_data in means[means["score"].isin([*SCORES, *EXTRA])].groupby("data", sort=False):
        wide = of_data.pivot_table(index="method", columns="score", values="mean")
        complete = wide.columns[(wide.notna().sum() >= _FEWEST_METHODS) & (wide.nunique() > 1)]
        if score in complete:
            found.append(wide[complete].corr("spearman")[score].drop(score))
    both = pd.concat(found, axis=1) if found else pd.DataFrame()
    table = pd.DataFrame({"mean": both.mean(axis=1), "lowest": both.min(axis=1), "highest": both.max(axis=1)})
    return table.assign(**{"data sets": both.notna().sum(axis=1)}).sort_values("mean", ascending=False)


def write_tables(matrix: Matrix, table: Path, out: Path, baseline: str | None = None) -> None:
    """Write aggregated.csv, differences.csv, correlations.csv and tables.md."""
    rows = of_matrix(read_rows(table), matrix)
    baseline = baseline or matrix.baseline
    means = aggregate(rows)
    means.to_csv(out / "aggregated.csv", index=False, float_format="%.6g")
    parts = [_markdown("Means", means, matrix)]
    if baseline:
        compared = differences(rows, baseline)
        compared.to_csv(out / "differences.csv", index=False, float_format="%.6g")
        parts.append(_markdown(f"Differences from {baseline}, paired by seed", compared, matrix, sign="+"))
    related = correlations(succeeded(rows))
    if len(related):
        related.to_csv(out / "correlations.csv", index_label="score", float_format="%.3f")
        lines = [
            [str(name), *(f"{value:.2f}" for value in line[:3]), str(int(line.iloc[3]))]
            for name, line in related.iterrows()
        ]
        header = ["score", "mean", "lowest", "highest", "data sets"]
        parts.append(
            "## Spearman correlation of KNI with other scores\n\n" + "\n".join(markdown_lines(header, lines)) + "\n"
        )
    if failed := _failures(rows):
        parts.append("## Failed runs\n\n" + failed)
    (out / "tables.md").write_text("\n".join(parts), encoding="utf-8")
    print(f"wrote tables.md and its CSV files in {out}")


def of_matrix(rows: pd.DataFrame, matrix: Matrix) -> pd.DataFrame:
    """Return the rows of the matrix's data, methods and epochs, in its order."""
    epochs = rows["data"].map({name: data.epochs or matrix.epochs for name, data in matrix.data.items()})
    rows = rows[(rows["epochs"] == epochs) & rows["method"].isin(matrix.methods)].copy()
    for column, names in (("data", matrix.data), ("method", matrix.methods)):
        rows[column] = pd.Categorical(rows[column], categories=list(names))
    return rows.sort_values(["data", "fraction", "method", "seed"]).astype({"data": str, "method": str})


def _long(rows: pd.DataFrame) -> pd.DataFrame:
    scores = [name for name in (*SCORES, *EXTRA, *COSTS) if name in rows]
    long = rows.melt([*_GROUP, "seed"], scores, "score", "value").dropna(subset="value")
    return long.astype({"value": float})


def _summarized(long: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for key, values in long.groupby([*_GROUP, "score"], sort=False)["value"]:
        mean, half = interval(values)
        line = dict(zip([*_GROUP, "score"], key, strict=True))
        spread = values.std(ddof=1) if len(values) > 1 else float("nan")
        lines.append({**line, "n": len(values), "mean": mean, "sd": spread, "low": mean - half, "high": mean + half})
    return pd.DataFrame(lines, columns=[*_GROUP, "score", "n", "mean", "sd", "low", "high"])


def _markdown(title: str, summary: pd.DataFrame, matrix: Matrix, sign: str = "") -> str:
    parts = [f"## {title}\n"]
    summary = summary[summary["score"].isin(SHOWN)]
    for (data, fraction, epochs), one in summary.groupby(["data", "fraction", "epochs"], sort=False):
        share = "" if fraction == 1 else f", {fraction:g} of the cells"
        parts.append(f"### {data}{share} ({one['n'].max()} seeds, {epochs} epochs)\n")
        scores = [name for name in SHOWN if name in set(one["score"])]
        cells = {(line.method, line.score): _cell(line.mean, line.high - line.mean, sign) for line in one.itertuples()}
        methods = [name for name in matrix.methods if name in set(one["method"])]
        for some in (scores[i : i + _MOST_SCORES] for i in range(0, len(scores), _MOST_SCORES)):
            table = [[m, *(cells.get((m, s), "") for s in some)] for m in methods]
            parts += ["\n".join(markdown_lines(["method", *some], table)), ""]
    return "\n".join(parts)


def markdown_lines(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines)]


def _cell(mean: float, half: float, sign: str) -> str:
    digits = 3 if abs(mean) < 10 else 1
    return f"{mean:{sign}.{digits}f}" + ("" if np.isnan(half) else f" ± {half:.{digits}f}")


def _failures(rows: pd.DataFrame) -> str:
    failed = rows[rows["error"].notna()]
    counts = failed.groupby(["data", "method", "error"], sort=False).size().reset_index(name="runs")
    return "\n".join(f"- {one.data} / {one.method}, {one.runs} runs: {one.error}" for one in counts.itertuples())

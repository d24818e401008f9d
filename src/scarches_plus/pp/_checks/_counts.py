"""Check a matrix of counts: its values, and cells that have none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from scarches_plus._cells import (
    UnreadableMatrixError,
    in_memory,
    is_in_memory,
    names_of,
    require_sound,
    row_blocks,
    stored_counts,
)
from scarches_plus.pp._query_report import Problem

from ._count_summary import CountSummary, summarize_counts
from ._value_kinds import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData
    from numpy.typing import NDArray

    from ._value_kinds import Verdict

#: Cells of another matrix that are looked at before it is recommended.
_LOOKED_AT = 200
#: Kinds of values that are counts but for a factor of each cell.
_SCALED = {"normalised", "multiplied"}
#: Normalised cells of which all values are whole, as a share of the others, at most.
_BY_CHANCE = 0.1


def check_counts(
    adata: AnnData,
    layer: str | None,
    *,
    genes: NDArray[np.bool_] | None = None,
    batch_key: str | None = None,
    counts: bool = True,
    empty: Literal["error", "warning"] | None = "error",
    scaled: Literal["error", "warning"] = "error",
) -> Iterator[Problem]:
    """Find what is wrong with counts.

    Parameters
    ----------
    adata
        Cells; not changed. Counts are read once, a block of cells at a time.
    layer
        Layer that holds them; ``None`` means ``X``.
    genes
        Which genes matter, shape ``(n_genes,)``; ``None`` means all.
    batch_key
        ``obs`` column of batches, each of which is judged by itself.
    counts
        Whether they have to be counts, or just numbers.
    empty
        How bad cells are that have no count on these genes; ``None``: not at all.
    scaled
        How bad counts are that were only normalised or multiplied: a verb that normalises by itself does not mind.
    """
    where = "adata.X" if layer is None else f"adata.layers[{layer!r}]"
    try:
        batches, names = _batches(adata.obs, batch_key)
        found = summarize_counts(row_blocks(stored_counts(adata, layer)), genes, batches)
    except KeyError as error:
        yield Problem("fatal", str(error.args[0]), _where_counts_are(adata, layer))
        return
    except UnreadableMatrixError as error:
        yield Problem("fatal", str(error), "read the file again, or make the matrix anew")
        return
    if found.n_impossible:
        yield Problem(
            "fatal",
            f"{found.n_impossible} cells have missing, infinite or absurdly large values in {where}",
            "remove these cells or values",
        )
        return
    if not counts:
        return
    yield from _no_counts(adata, layer, found, names, scaled)
    if found.n_empty and empty and (genes is None or genes.any()) and found.signed is None:
        of = "" if genes is None else " on the reference's genes"
        on_genes = "" if genes is None else "[:, adata.var_names.isin(model.spec.var_names)]"
        yield Problem(
            empty,
            f"{found.n_empty} cells have no counts{of}, and would get a label nevertheless",
            "remove them, for example: sc.pp.filter_cells(adata, min_counts=1)"
            if layer is None and (genes is None or genes.all())
            else f"remove them: adata = adata[np.ravel({where}{on_genes}.sum(axis=1)) > 0].copy()",
        )


def kinds_of(matrix: Any) -> set[str]:
    """Return what the first cells of a matrix hold, in words of :class:`~._value_kinds.Verdict`."""
    require_sound(matrix)
    cells = in_memory(matrix[:_LOOKED_AT])
    found = summarize_counts([cells], None, np.zeros(cells.shape[0], dtype=np.int64))
    kinds = {verdict.what for verdict in (found.signed, *found.verdicts().values()) if verdict is not None}
    return kinds | ({"values that are missing, infinite or absurdly large"} if found.n_impossible else set())


def _no_counts(
    adata: AnnData, layer: str | None, found: CountSummary, names: list[str], scaled: Literal["error", "warning"]
) -> Iterator[Problem]:
    """Say what the values are that are no counts, each verdict once with the batches that it is about."""
    if found.signed is not None:
        yield Problem(
            "fatal",
            f"there are negative values: {found.signed.figure}; these are probably {found.signed.what}, not raw counts",
            _where_counts_are(adata, layer),
        )
        return
    by_verdict: dict[tuple[str, str], list[tuple[Verdict, int, int]]] = {}
    verdicts = found.verdicts()
    for (batch, fractional), part in found.parts.items():
        verdict = verdicts[batch, fractional]
        other, rest = verdicts.get((batch, True)), found.parts.get((batch, True))
        if not fractional and other and rest and not other.is_counts and part.n_cells < _BY_CHANCE * rest.n_cells:
            verdict = other  # cells of which all values happen to be whole
        if verdict.kind != "counts":
            by_verdict.setdefault((verdict.kind, verdict.what), []).append((verdict, batch, part.n_cells))
    n_all = sum(part.n_cells for part in found.parts.values())
    for told in by_verdict.values():
        verdict, n = told[0][0], sum(n_cells for _, _, n_cells in told)
        own = sorted({names[batch] for _, batch, _ in told}) if names else []
        which = "" if n == n_all else f"{n} of {n_all} cells" + (f" (batches {own[:5]})" if own else "") + ": "
        what = f"log-normalised values ({verdict.what})" if verdict.kind == "logarithms" else verdict.what
        fix = _where_counts_are(adata, layer, verdict)
        if verdict.kind == "estimated counts":
            what, fix = "estimated counts (salmon, RSEM, SoupX)", f"nothing, if they estimate counts; else {fix}"
        severity = "warning" if verdict.is_counts else scaled if verdict.kind in _SCALED else "error"
        yield Problem(severity, f"{which}{verdict.figure}: probably {what}, not raw counts", fix)


def _where_counts_are(adata: AnnData, layer: str | None, verdict: Verdict | None = None) -> str:
    """Say where the cells have raw counts, if they have."""
    for name in (None, *adata.layers):
        if name != layer and _holds_counts(adata.X if name is None else adata.layers[name]):
            return f"pass layer={name or 'X'!r}, which holds whole numbers"
    if adata.raw is not None and not adata.isbacked and _holds_counts(adata.raw.X):
        return "use the counts in adata.raw: adata = adata.raw.to_adata()"
    if verdict is not None and verdict.kind in {"multiplied", "rescaled"}:
        slot = "adata.X" if layer is None else f"adata.layers[{layer!r}]"
        return f"divide by it: {slot} = np.rint({slot} / {verdict.what.rsplit(' ', 1)[1]})"
    return (
        "pass raw counts, as the counting software wrote them; neither X, a layer nor adata.raw of these cells holds "
        "any"
    )


def _holds_counts(matrix: Any) -> bool:
    """Tell whether a matrix holds raw counts, if it lies in memory."""
    try:
        return matrix is not None and is_in_memory(matrix) and kinds_of(matrix) == {COUNTS.what}
    except UnreadableMatrixError:
        return False


def _batches(obs: pd.DataFrame, key: str | None) -> tuple[NDArray[np.int64], list[str]]:
    """Return the batch of each cell, from 0, and their names."""
    if key is None or key not in obs or obs[key].ndim != 1:
        return np.zeros(len(obs), dtype=np.int64), []
    names = names_of(obs[key])
    codes, found = pd.factorize(np.where(pd.isna(names), "nan", names))
    return codes.astype(np.int64), list(found)

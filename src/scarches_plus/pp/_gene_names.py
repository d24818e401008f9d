"""Why gene names of a query and a reference do not match."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{6,}(\.\d+)?$")
_VERSION = re.compile(r"\.\d+$")


def namespace(names: pd.Index) -> str:
    """Name the kind of gene ids, judged by the majority of the first thousand."""
    sample = names[:1000].astype(str)
    share = sum(bool(_ENSEMBL.match(name)) for name in sample) / max(len(sample), 1)
    return "Ensembl ids" if share > 0.5 else "gene symbols"


def strip_version(name: str) -> str:
    """Remove the version at the end of an Ensembl id; other names stay (``AC004556.1`` is a name of its own)."""
    return _VERSION.sub("", name) if _ENSEMBL.match(name) else name


def suggest_names(query: pd.Index, reference: pd.Index, var: pd.DataFrame, found: int) -> str | None:
    """Say how the query's names could be made to match more of the reference's; ``None`` if nothing helps."""
    changes: list[tuple[str, Callable[[str], str], str]] = [
        (
            "version suffixes such as '.1'",
            strip_version,
            "adata.var_names = adata.var_names.str.replace(r'\\.\\d+$', '', regex=True)",
        ),
        (
            "upper and lower case (another species?)",
            str.upper,
            "map orthologues, or adata.var_names = adata.var_names.str.upper()",
        ),
    ]
    best, advice = found, None
    for what, change, fix in changes:
        matched = len(set(map(change, query.astype(str))) & set(map(change, reference.astype(str))))
        if matched > best:
            best, advice = matched, f"names differ in {what}; with that removed {matched} match: {fix}"
    for column in var.columns:
        if var[column].dtype.kind in "biufM" or not isinstance(column, str):
            continue
        matched = int(reference.isin(var[column].astype(str)).sum())
        if matched > best:
            best, advice = (
                matched,
                f"adata.var[{column!r}] matches {matched}: adata.var_names = adata.var[{column!r}].astype(str)",
            )
    return advice

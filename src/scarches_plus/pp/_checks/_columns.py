"""Check the batch column, covariates and labels of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scarches_plus._cells import column_not_found, column_repeated, look_alike, name_of, names_of
from scarches_plus.pp._query_report import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scarches_plus._reference import ReferenceSpec

SMALL_BATCH = 20
#: What a missing value reads like once it was turned into text.
_ONCE_MISSING = {"", "nan", "None", "NA", "<NA>", "NaN", "NaT"}


def present(obs: pd.DataFrame, key: str | None) -> list[str]:
    """Return the names that a column holds, sorted; none if it cannot be read."""
    if key is None or key not in obs or obs[key].ndim != 1:
        return []
    return sorted(set(names_of(obs[key])) - {None})


def check_batches(
    obs: pd.DataFrame, spec: ReferenceSpec, batch_key: str | None, shared: Sequence[str]
) -> Iterator[Problem]:
    """Find what is wrong with batches."""
    if spec.batch_key is None or batch_key is None:
        return
    yield from check_column(obs, batch_key, "pass batch_key=..., or add the column (one value if it is one batch)")
    if batch_key not in obs or obs[batch_key].ndim != 1:
        return
    sizes = pd.Series(names_of(obs[batch_key]), dtype=object).value_counts()
    known = set(map(name_of, shared))
    reused = sorted((set(sizes.index) & set(spec.batches)) - known)
    if reused:
        yield Problem(
            "fatal",
            f"batches {reused} have the names of batches of the reference",
            f"pass shared_batches={reused} if they are the same batches, else rename them in obs[{batch_key!r}]",
        )
    once_missing = sorted(set(sizes.index) & _ONCE_MISSING)
    if once_missing:
        yield Problem(
            "warning",
            f"batches are named {once_missing}, which missing values become as text",
            f"name them in obs[{batch_key!r}], or leave these cells out",
        )
    yield from check_spelling(obs, batch_key, spec.batches)
    small = sizes[(sizes < SMALL_BATCH) & ~sizes.index.isin(known)]  # others are corrected as the model does already
    if len(small):
        yield Problem(
            "warning",
            f"{len(small)} batches have fewer than {SMALL_BATCH} cells, for example {small.index[:3].tolist()}",
            "join them with similar batches if they are technical replicates",
        )


def check_spelling(obs: pd.DataFrame, key: str | None, known: Sequence[str]) -> Iterator[Problem]:
    """Find names that look like a known one, or like another name of their column, and are not the same."""
    names = present(obs, key)
    wrong = look_alike(names, known)
    for name in names:
        if name not in wrong and name not in known:
            wrong |= look_alike([other for other in names if other not in wrong], [name])
    if wrong:
        yield Problem(
            "warning",
            f"obs[{key!r}] has {list(wrong)[:5]}, which look like {list(wrong.values())[:5]} and differ in blanks or "
            "characters that nobody sees",
            f"if they are the same: adata.obs[{key!r}] = adata.obs[{key!r}].astype(object).replace({wrong})",
        )


def check_covariates(obs: pd.DataFrame, spec: ReferenceSpec) -> Iterator[Problem]:
    """Find what is wrong with further covariates."""
    numeric = (*spec.continuous_covariates, *filter(None, [spec.size_factor_key]))
    for key in (*spec.categorical_covariates, *numeric):
        yield from check_column(obs, key, "the reference was trained with this covariate: add it")
    for key in numeric:
        if key not in obs or obs[key].ndim != 1:
            continue
        if not pd.api.types.is_numeric_dtype(obs[key]):
            yield Problem(
                "fatal",
                f"obs[{key!r}] is not numeric",
                f"make it numeric: adata.obs[{key!r}] = adata.obs[{key!r}].astype(float)",
            )
            continue
        values = obs[key].to_numpy(dtype=float, na_value=np.nan)
        if np.isinf(values).any():
            yield Problem("fatal", f"obs[{key!r}] has infinite values", "replace them or remove these cells")
        if key == spec.size_factor_key and (values <= 0).any():
            yield Problem(
                "fatal",
                f"obs[{key!r}] has size factors that are not above 0",
                "compute them anew, or remove these cells",
            )


def check_column(obs: pd.DataFrame, key: str, fix_missing: str) -> Iterator[Problem]:
    """Find whether a column is there, once and without missing values."""
    if key not in obs:
        yield Problem("fatal", column_not_found(obs, key), fix_missing)
    elif obs[key].ndim != 1:
        yield Problem("fatal", *column_repeated(obs, key).split("; "))
    elif n_missing := int(obs[key].isna().sum()):
        yield Problem("fatal", f"obs[{key!r}] has {n_missing} missing values", "fill them in or remove these cells")

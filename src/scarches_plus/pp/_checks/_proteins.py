"""Check proteins, in MuData or in ``obsm``."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus._cells import (
    counts_layer,
    in_modality,
    is_mudata,
    keep_complete_cells,
    looks_like_proteins,
    protein_cells,
)
from scarches_plus.pp._query_report import Problem

from ._counts import check_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData
    from mudata import MuData

    from scarches_plus._reference import ReferenceSpec

_NOT_MEASURED = "; proteins that a batch did not measure are 0 in all of its cells"


def check_proteins(adata: AnnData | MuData, spec: ReferenceSpec) -> Iterator[Problem]:
    """Find what is wrong with proteins; a query may lack some, or the whole modality.

    Parameters
    ----------
    adata
        Cells; not changed.
    spec
        What the reference expects.
    """
    name, proteins = spec.modalities.get("proteins"), protein_cells(adata, spec)
    if name is None:
        return
    if proteins is None:
        yield from _check_names(adata, name)
        return
    place, data = (
        (f"modality {name!r}", f"mdata.mod[{name!r}].var_names_make_unique()")
        if is_mudata(adata)
        else (f"obsm[{name!r}]", f"adata.obsm[{name!r}].columns = [...]")
    )
    if not proteins.obs_names.equals(adata.obs_names):
        yield Problem(
            "fatal",
            f"modality {name!r} has {proteins.n_obs} of the {adata.n_obs} cells, or has them in another order",
            keep_complete_cells(adata),  # type: ignore[arg-type]
        )
        return
    names = proteins.var_names
    if not names.is_unique:
        yield Problem(
            "fatal",
            f"names of proteins in {place} occur more than once, for example "
            f"{names[names.duplicated()].unique()[:3].tolist()}",
            f"rename them: {data}",
        )
        return
    known = pd.Index(spec.proteins)
    if not known.isin(names).any():
        yield Problem(
            "fatal",
            f"none of the proteins in {place}, such as {names[:3].tolist()}, is one of the reference's, such as "
            f"{list(spec.proteins[:3])}",
            "rename them, or leave them out",
        )
    of_interest = proteins[:, names.isin(known)]
    layer = counts_layer(None, spec.protein_layer)
    if layer is not None and layer not in proteins.layers:
        here = f"mdata.mod[{name!r}]"
        yield Problem(
            "fatal",
            f"proteins ({place}) have no layer {layer!r}, where the reference keeps their raw counts",
            f"{here}.layers[{layer!r}] = {here}.X.copy()  # if these are raw counts",
        )
        return
    slot = "X" if layer is None else f"layers[{layer!r}]"
    for problem in check_counts(of_interest, layer, empty=None):
        fix = re.sub(r"pass layer='X'", f"adata.{slot} = adata.X", problem.fix)  # `layer` is where genes are
        fix += _NOT_MEASURED if "missing" in problem.message else ""
        fix = re.sub(r"pass layer=('.*')", rf"adata.{slot} = adata.layers[\1]", fix)
        yield replace(
            problem,
            message=f"proteins ({place}): {problem.message}",
            fix=fix if not is_mudata(adata) else in_modality(fix, name),
        )


def _check_names(adata: AnnData | MuData, name: str) -> Iterator[Problem]:
    """Find proteins that lie where the reference does not have them."""
    slots, update = ("mdata.mod", "; mdata.update()") if is_mudata(adata) else ("adata.obsm", "")
    for other in looks_like_proteins(adata):
        yield Problem(
            "warning",
            f"{slots}[{other!r}] is not read: the reference has proteins in {name!r}, and these cells count as cells "
            "without any",
            f"{slots}[{name!r}] = {slots}.pop({other!r}){update}  # if these are their raw counts",
        )

"""Find what is wrong with the modalities of MuData besides genes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from scarches_plus._cells import counts_layer, in_modality, keep_complete_cells
from scarches_plus.pp._query_report import Problem

from ._counts import check_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mudata import MuData

    from scarches_plus._reference import ReferenceSpec


def check_proteins(mdata: MuData, spec: ReferenceSpec) -> Iterator[Problem]:
    """Find what is wrong with proteins; a query may lack some, or the whole modality.

    Parameters
    ----------
    mdata
        Cells; not changed.
    spec
        What the reference expects.
    """
    name = spec.modalities.get("proteins")
    if name is None or name not in mdata.mod:
        return
    proteins = mdata.mod[name]
    if not proteins.obs_names.equals(mdata.obs_names):
        yield Problem(
            "fatal",
            f"modality {name!r} has {proteins.n_obs} of the {mdata.n_obs} cells, or has them in another order",
            keep_complete_cells(mdata),
        )
        return
    names = proteins.var_names
    if not names.is_unique:
        yield Problem(
            "fatal",
            f"names of proteins in modality {name!r} occur more than once, for example "
            f"{names[names.duplicated()].unique()[:3].tolist()}",
            f"rename them: mdata.mod[{name!r}].var_names_make_unique()",
        )
        return
    known = pd.Index(spec.proteins)
    if not known.isin(names).any():
        yield Problem(
            "fatal",
            f"none of the proteins in modality {name!r}, such as {names[:3].tolist()}, is one of the reference's, such as "
            f"{list(spec.proteins[:3])}",
            "rename them, or leave the modality out",
        )
    of_interest = proteins[:, names.isin(known)]
    layer = counts_layer(None, spec.protein_layer)
    slot = "X" if layer is None else f"layers[{layer!r}]"
    for problem in check_counts(of_interest, layer, empty=None):
        fix = re.sub(r"pass layer='X'", f"adata.{slot} = adata.X", problem.fix)  # `layer` is where genes are
        fix = re.sub(r"pass layer=('.*')", rf"adata.{slot} = adata.layers[\1]", fix)
        yield replace(problem, message=f"proteins (modality {name!r}): {problem.message}", fix=in_modality(fix, name))

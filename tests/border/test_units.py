"""Counts and logarithms are not joined into one matrix."""

import numpy as np
import pytest
from border_cells import (
    FAST,
    mapped,
    model,
    per_cell,
    proteins_model,
    proteins_query,
    query,
    ref,
    with_x,
)

import scarches_plus as sp

pytestmark = pytest.mark.border


def _logs_in_x(adata):
    adata.layers["counts"] = adata.X.copy()
    return with_x(adata, lambda x: np.log1p(per_cell(x)))


def test_units_of_a_joint_embedding(border):
    raw = query().X
    adata = _logs_in_x(query())
    sp.tl.map_query(adata, model(), layer="counts", **FAST)
    border.works(
        lambda: sp.tl.joint_embedding(ref(), adata).X, lambda x: (x[-raw.shape[0] :] != raw).nnz == 0, kind="B10",
        case="a query mapped by its layer", shown="joint_embedding(reference, query).X",
    )  # fmt: skip
    embedded = _logs_in_x(ref())
    sp.tl.embed(embedded, model(), layer="counts")
    border.works(
        lambda: sp.tl.joint_embedding(embedded, adata).X, lambda x: (x.data % 1 == 0).all(), kind="B10",
        case="both embedded by their layer", shown="joint_embedding(reference, query).X",
    )  # fmt: skip
    border.works(
        lambda: adata.uns["scarches_plus"]["embeddings"]["X_scarches"]["layer"], lambda layer: layer == "counts", kind="B10",
        case="the layer is recorded", shown="query.uns['scarches_plus']['embeddings']['X_scarches']['layer']",
    )  # fmt: skip
    other = with_x(mapped(), lambda x: np.log1p(per_cell(x)))
    joint = border.warned(
        lambda: sp.tl.joint_embedding(ref(), other), ("not in the same units", "log1p of counts"), kind="B10",
        case="X was changed after mapping", shown="joint_embedding(reference, query)",
    )  # fmt: skip
    assert joint.X is None
    scaled = with_x(mapped(), lambda x: x - x.mean(axis=0))
    border.warned(
        lambda: sp.tl.joint_embedding(ref(), scaled), "not in the same units", kind="B10",
        case="X was centred after mapping", shown="joint_embedding(reference, query)",
    )  # fmt: skip
    targets = with_x(ref(), lambda x: np.log1p(per_cell(x, 400.0)))
    border.warned(
        lambda: sp.tl.joint_embedding(targets, other), "normalised to 400", kind="B10",
        case="logarithms of two depths", shown="joint_embedding(reference, query)",
    )  # fmt: skip
    both = with_x(ref(), lambda x: np.log1p(per_cell(x)))
    border.works(
        lambda: sp.tl.joint_embedding(both, other).X, lambda x: x is not None, kind="B10",
        case="logarithms of one depth", shown="joint_embedding(reference, query)",
    )  # fmt: skip
    gone = adata.copy()
    del gone.layers["counts"]
    border.warned(
        lambda: sp.tl.joint_embedding(ref(), gone), "not in the same units", kind="B10",
        case="the layer is gone", shown="joint_embedding(reference, query)",
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:The lr scheduler dict contains")
def test_units_of_mudata(border):
    reference = proteins_query()
    trained = proteins_model()
    sp.tl.map_query(reference, trained, **FAST)
    border.works(
        lambda: sp.tl.joint_embedding(reference[:100].copy(), reference[100:].copy()),
        lambda joint: joint.X is not None and joint.n_vars == 40, kind="B10", case="MuData", shown="joint_embedding(mdata, mdata)",
    )  # fmt: skip
    other = reference.copy()
    other.mod["rna"].X = np.log1p(per_cell(other.mod["rna"].X.toarray()))
    border.warned(
        lambda: sp.tl.joint_embedding(reference, other), "not in the same units", kind="B10",
        case="MuData with logarithms", shown="joint_embedding(mdata, mdata)",
    )  # fmt: skip

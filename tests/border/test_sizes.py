"""Cells of any number: a verb works, or refuses before the work."""

import numpy as np
import pytest
from border_cells import (
    FAST,
    mapped,
    model,
    query,
    ref,
)

import scarches_plus as sp
from scarches_plus.pp import QueryError, check_query

pytestmark = pytest.mark.border
FEW = pytest.mark.filterwarnings(
    "ignore:warning. there are only", "ignore:warning. .* batches have fewer", "ignore:Category .* fewer than 3"
)


NOTHING = {
    "map_query, no cells": (lambda: sp.tl.map_query(query()[:0], model(), **FAST), "0 cells"),
    "map_query, default epochs": (lambda: sp.tl.map_query(query()[:0], model()), "0 cells"),
    "map_query, no genes": (lambda: sp.tl.map_query(query()[:, :0], model(), **FAST), "0 genes"),
    "embed, no cells": (lambda: sp.tl.embed(ref()[:0].copy(), model()), "0 cells"),
    "build_reference, no cells": (lambda: sp.tl.build_reference(ref()[:0], "batch"), "0 cells"),
    "detect_novel, no cells": (
        lambda: sp.tl.detect_novel(query()[:0], ref(), "cell_type", batch_key="batch"), "0 cells"
    ),
    "label_profiles, no cells": (lambda: sp.tl.label_profiles(ref()[:0], "cell_type", "batch"), "0 cells"),
    "expression_classifier, no cells": (
        lambda: sp.tl.expression_classifier(ref()[:0], "cell_type"), "no cell of the reference has a label"
    ),
    "annotate, no cells": (
        lambda: sp.tl.annotate(query()[:0], sp.tl.expression_classifier(ref(), "cell_type")), "0 cells"
    ),
    "seed_labels, no cells": (lambda: sp.pp.seed_labels(query()[:0].copy(), {"a": ["gene1"]}), "0 cells"),
    "transfer_labels, no reference": (
        lambda: sp.tl.transfer_labels(mapped(), ref()[:0], "cell_type"), "no cell of the reference has a label"
    ),
    "rank_genes, no cells": (lambda: sp.tl.rank_genes(query()[:0].copy(), "cell_type"), "no cell has a group"),
    "concat_studies, no cells": (lambda: sp.pp.concat_studies({"a": query()[:0]}), "no cells"),
    "evaluate, no cells": (lambda: sp.metrics.evaluate(mapped()[:0], "X_scarches", "batch"), "0"),
    "check_query, no cells": (lambda: check_query(query()[:0]).raise_for_problems(), "0 cells"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTHING)
def test_nothing(border, case):
    call, says = NOTHING[case]
    border.refused(call, (ValueError, KeyError), says, kind="B7", case=case, shown=f"{case.split(',')[0]}(...)")


@FEW
@pytest.mark.parametrize("n", [1, 2])
def test_one_cell(border, n):
    adata = query()[:n].copy()
    border.warned(
        lambda: sp.tl.map_query(adata, model(), **FAST), f"only {n} cells", kind="B7", case=f"{n} cells",
        shown=f"map_query(query[:{n}], model)",
    )  # fmt: skip
    assert adata.obsm["X_scarches"].shape == (n, 4)
    border.works(
        lambda: sp.tl.transfer_labels(adata, ref(), "cell_type"), lambda _: adata.obs["cell_type_pred"].notna().all(),
        kind="B7", case=f"labels of {n} cells", shown="transfer_labels(query, reference, 'cell_type')",
    )  # fmt: skip


def test_one_label_and_one_gene(border):
    adata = ref()
    adata.obs["one"] = "T"
    border.refused(
        lambda: sp.tl.build_reference(adata, "batch", "one", recipe="scanvi", max_epochs=1), ValueError,
        "is the only label", kind="B7", case="one label", shown="build_reference(..., recipe='scanvi')",
    )  # fmt: skip
    border.refused(
        lambda: sp.tl.label_profiles(adata, "one", "batch"), ValueError, "contrasts need two", kind="B7",
        case="profiles of one label", shown="label_profiles(adata, 'one', 'batch')",
    )  # fmt: skip
    border.refused(
        lambda: sp.tl.map_query(query()[:, :1], model(), **FAST), QueryError, "only 1 of the reference's 40 genes",
        kind="B7", case="one gene", shown="map_query(query[:, :1], model)",
    )  # fmt: skip
    adata.obs["gone"] = np.nan
    border.refused(
        lambda: sp.tl.build_reference(adata, "batch", "gone", recipe="scanvi", max_epochs=1), ValueError,
        "no cell has a label", kind="B7", case="no label", shown="build_reference(..., 'gone', recipe='scanvi')",
    )  # fmt: skip

"""Cells stay as they are but for what a verb writes."""

import pandas as pd
import pytest
from anndata import AnnData
from border_cells import (
    FAST,
    QUICK,
    model,
    query,
    ref,
)

import scarches_plus as sp
from scarches_plus.pp import check_query

pytestmark = pytest.mark.border


def _state(adata):
    return {
        "obs": adata.obs.copy(), "var": adata.var.copy(), "obsm": sorted(adata.obsm), "uns": sorted(adata.uns),
        "layers": sorted(filter(None, adata.layers)), "X": adata.X.copy(), "names": list(adata.obs_names),
    }  # fmt: skip


def _same(one, other, *, but=()):
    return all(
        key in but or (one[key].equals(other[key]) if isinstance(one[key], pd.DataFrame) else
                       (one[key] != other[key]).nnz == 0 if key == "X" else one[key] == other[key])
        for key in one
    )  # fmt: skip


UNTOUCHED = {
    "map_query": (lambda q: sp.tl.map_query(q, model(), **FAST), ("obsm", "uns")),
    "map_query, refused": (lambda q: sp.tl.map_query(q, model(), batch_key="nope", **FAST), ()),
    "embed, refused": (lambda q: sp.tl.embed(q, model()), ()),
    "check_query": (lambda q: check_query(q, model()), ()),
    "align_genes": (lambda q: sp.pp.align_genes(q, model().spec.var_names[::-1]), ()),
    "build_reference": (lambda q: sp.tl.build_reference(q, "batch", max_epochs=1, train_kwargs=QUICK), ("obsm", "uns")),
    "label_profiles": (lambda q: sp.tl.label_profiles(q, "cell_type", "batch"), ()),
    "expression_classifier": (lambda q: sp.tl.expression_classifier(q, "cell_type"), ()),
    "annotate": (lambda q: sp.tl.annotate(q, sp.tl.expression_classifier(ref(), "cell_type")), ("obs", "uns")),
    "annotate, refused": (lambda q: sp.tl.annotate(q, ref(), "cell_type", batch_key="nope"), ()),
    "seed_labels": (lambda q: sp.pp.seed_labels(q, {"a": ["gene1"], "b": ["gene2"]}, 2), ("obs",)),
    "detect_novel, refused": (lambda q: sp.tl.detect_novel(q, ref(), "cell_type", batch_key="nope"), ()),
    "transfer_labels, refused": (lambda q: sp.tl.transfer_labels(q, ref(), "cell_type"), ()),
    "rank_genes": (lambda q: sp.tl.rank_genes(q, "cell_type"), ("uns",)),
}


@pytest.mark.parametrize("verb", UNTOUCHED)
def test_cells_stay_as_they_are(border, verb):
    call, but = UNTOUCHED[verb]
    adata = query()
    before = _state(adata)

    def run():
        try:
            call(adata)
        except (ValueError, KeyError):
            assert "refused" in verb
        return _state(adata)

    border.works(
        run, lambda after: _same(before, after, but=but), kind="B8", case=f"what {verb} changes of the cells",
        shown=f"{verb.split(',')[0]}(query, ...)",
    )  # fmt: skip


def test_copies_of_empty_records(border):
    adata = AnnData(query().X, query().obs, query().var)
    border.works(
        lambda: sp.tl.map_query(adata, model(), **FAST), lambda _: sorted(adata.uns) == ["scarches_plus"], kind="B8",
        case="cells with nothing else", shown="map_query(query, model)",
    )  # fmt: skip

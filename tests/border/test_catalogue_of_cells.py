"""The bad inputs of cells that others' tools fell over, row by row."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from border_cells import FAST, QUICK, mapped, model, per_cell, query, ref, with_x
from scipy import sparse

import scarches_plus as sp
from scarches_plus.model import ReferenceSpec
from scarches_plus.pp import QueryError, check_query

pytestmark = [
    pytest.mark.border,
    pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:Observation names are not unique"),
]
MAP = "map_query(query, model)"


def map_it(adata, **options):
    return sp.tl.map_query(adata, model(), **{**FAST, **options})


def of_genes(adata, share):
    return adata[:, : max(1, int(share * adata.n_vars))].copy()


def named(adata, *names):
    adata.var_names = [*names, *adata.var_names[len(names) :]]
    return adata


def values(change):
    return lambda: with_x(query(), change)


def with_value(value):
    def make():
        adata = query()
        adata.X.data[5] = value
        return adata

    return make


def with_column(key, entries):
    def make():
        adata = query()
        adata.obs[key] = entries(adata) if callable(entries) else entries
        return adata

    return make


def missing_batches(adata):
    batches = adata.obs["batch"].astype(object)
    batches.iloc[:3] = np.nan
    return batches


def without(key):
    def make():
        adata = query()
        del adata.obs[key]
        return adata

    return make


REFUSED = {
    1: ("duplicate genes", lambda: named(query(), "gene1"), {}, ("gene names occur more than once", "gene1")),
    5: ("90 % of the genes missing", lambda: of_genes(query(), 0.1), {}, "only 4 of the reference's 40 genes"),
    8: ("log-normalised counts", values(lambda x: np.log1p(per_cell(x))), {}, "log1p of counts normalised to 10,000"),
    9: ("negative values", with_value(-2), {}, "negative values"),
    10: ("one NaN", with_value(np.nan), {}, "1 cells have missing, infinite"),
    11: ("one inf", with_value(np.inf), {}, "1 cells have missing, infinite"),
    12: ("10 % empty cells", values(lambda x: np.where(np.arange(len(x))[:, None] < 24, 0, x)), {}, "24 cells have no counts"),
    13: ("empty AnnData", lambda: query()[:0].copy(), {}, "0 cells"),
    24: ("NaN batch", with_column("batch", missing_batches), {}, "3 missing values"),
    26: ("batch column missing", without("batch"), {}, "column 'batch' not found in adata.obs"),
    27: ("layer missing", query, {"layer": "counts"}, "layer 'counts' not found in adata.layers"),
    30: ("batch names of the reference", ref, {}, "shared_batches=['batch0', 'batch1']"),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED)
def test_refused(border, row):
    case, make, options, says = REFUSED[row]
    border.refused(lambda: map_it(make(), **options), QueryError, says, kind=f"C3/{row}", case=case, shown=MAP)


OTHER_NAMES = {
    "Ensembl ids for symbols": (lambda name: f"ENSG{int(name[4:]):011d}", ("Ensembl ids", "gene symbols")),
    "all with a suffix": (lambda name: f"{name}.1", "match_gene_names"),
    "in mouse case": (str.capitalize, "match_gene_names"),
    "no gene in common": (lambda name: f"other{name}", "use names of the same kind"),
}


@pytest.mark.parametrize("case", OTHER_NAMES)
def test_other_names(border, case):
    renamed, says = OTHER_NAMES[case]
    adata = named(query(), *map(renamed, query().var_names))
    border.refused(
        lambda: map_it(adata), QueryError, says, kind="C3/7", case=f"names: {case}", shown=MAP
    )  # fmt: skip


WARNED = {
    4: ("30 % of the genes missing", lambda: of_genes(query(), 0.7), "only 28 of the reference's 40 genes"),
    14: ("counts times 0.37", values(lambda x: 0.37 * x), "counts multiplied by 0.37"),
    20: (
        "a batch with one cell", with_column("batch", lambda a: ["one", *a.obs["batch"].astype(str)[1:]]),
        "1 batches have fewer than 20 cells, for example ['one']",
    ),
    29: ("one cell", lambda: query()[:1].copy(), "only 1 cells"),
    42: (
        "a batch for each cell, with other letters", with_column("batch", lambda a: [f"π{i}" for i in range(a.n_obs)]),
        "240 batches have fewer than 20 cells",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Category .* fewer than 3")
@pytest.mark.parametrize("row", WARNED)
def test_warned(border, row):
    case, make, says = WARNED[row]
    border.warned(lambda: map_it(make()), says, kind=f"C3/{row}", case=case, shown=MAP)


def test_version_suffixes(border):
    ids = [f"ENSG{i:011d}" for i in range(40)]
    spec = ReferenceSpec(var_names=tuple(ids))
    adata = named(query(), *(f"{name}.{i % 7}" if i < 6 else name for i, name in enumerate(ids)))
    border.works(
        lambda: str(check_query(adata, spec)), lambda told: "6 of the reference's 40 genes are not found by name" in told and "versions of ids: 6" in told,
        kind="C3/6", case="15 % of ids with version suffixes", shown="check_query(query, model)",
    )  # fmt: skip


def _cells_of_one_name():
    adata = query()
    adata.obs.index = pd.Index(["cell"] * adata.n_obs)
    return adata


def test_duplicate_names_of_cells(border):
    for row, adata in ((2, _cells_of_one_name()), (3, _cells_of_one_name()[:, 1:].copy())):
        border.warned(
            lambda adata=adata: map_it(adata), "Observation names are not unique", kind=f"C3/{row}",
            case="cells of one name" + (", a gene missing: works" if row == 3 else ": works"), shown=MAP,
        )  # fmt: skip
        assert np.isfinite(adata.obsm["X_scarches"]).all()


def _labels(*values):
    return with_column(
        "cell_type", lambda a: pd.Series(np.resize(np.array(values, dtype=object), a.n_obs), a.obs_names)
    )


WORKS = {
    "15a": ("CSC", lambda: _as(lambda x: x.tocsc()), {}),
    "15b": ("dense float64", lambda: _as(lambda x: x.toarray().astype(float)), {}),
    "15c": ("int64", lambda: _as(lambda x: x.astype(np.int64)), {}),
    "15d": ("float16", lambda: _as(lambda x: x.toarray().astype(np.float16)), {}),
    16: ("csr_array", lambda: _as(sparse.csr_array), {}),
    21: ("a label that the reference lacks", _labels("type0", "new"), {"use_query_labels": True}),
    22: ("'unknown' instead of 'Unknown'", _labels("type0", "unknown"), {"use_query_labels": True}),
    23: ("NaN labels", _labels("type0", np.nan), {"use_query_labels": True}),
    25: ("label column missing", without("cell_type"), {}),
    28: ("integer batches", with_column("batch", 7), {}),
    31: ("shuffled genes", lambda: query()[:, ::-1].copy(), {}),
    33: (
        "more genes", lambda: AnnData(sparse.hstack([query().X, query().X], format="csr"), query().obs,
                                      pd.DataFrame(index=[*query().var_names, *(f"x{i}" for i in range(40))])), {},
    ),
    48: ("an unused category", with_column("batch", lambda a: a.obs["batch"].astype("category").cat.add_categories("never")), {}),
}  # fmt: skip


def _as(change):
    adata = query()
    adata.X = change(adata.X)
    return adata


@pytest.mark.parametrize("row", WORKS)
def test_works(border, row):
    case, make, options = WORKS[row]
    adata = make()
    reference = model("scanvi" if options else "scvi")
    kind = f"C3/{str(row).rstrip('abcd')}"
    border.works(
        lambda: sp.tl.map_query(adata, reference, **{**FAST, **options}),
        lambda found: np.isfinite(adata.obsm["X_scarches"]).all() and "never" not in found.spec.batches, kind=kind,
        case=case, shown=MAP,
    )  # fmt: skip


def test_shuffled_genes_are_put_in_order(border):
    right, reference = ref().obsm["X_scarches"], model()
    border.works(
        lambda: reference.embed(ref()[:, ::-1].copy()), lambda found: np.allclose(found, right, atol=1e-5), kind="C3/31",
        case="shuffled genes give the same latents", shown="model.embed(query[:, ::-1])",
    )  # fmt: skip


def test_missing_genes_are_filled_in(border):
    border.works(
        lambda: type(model()).load_query_data(query()[:, :38].copy(), model()),
        lambda found: list(found.adata.var_names) == list(model().spec.var_names), kind="C3/32",
        case="38 of the 40 genes, not aligned before", shown="SCVI.load_query_data(query[:, :38], model)",
    )  # fmt: skip


def test_another_word_for_unlabelled(border):
    adata = _labels("type0", "unknown")()
    border.works(
        lambda: sp.tl.map_query(adata, model("scanvi"), use_query_labels=True, **FAST).adata.obs["cell_type"],
        lambda found: set(found) == {"type0", "Unknown"}, kind="C3/22", case="'unknown' means unlabelled", shown=MAP,
    )  # fmt: skip


def test_on_disk_and_views(border, tmp_path):
    query().write_h5ad(tmp_path / "query.h5ad")
    backed = anndata.read_h5ad(tmp_path / "query.h5ad", backed="r")
    border.works(
        lambda: map_it(backed), lambda _: "X_scarches" in backed.obsm, kind="C3/17", case="a backed file", shown=MAP
    )
    view = query()[::2]
    border.warned(
        lambda: map_it(view),
        "view",
        kind="C3/18",
        case="a view becomes cells of its own: works, and anndata says so",
        shown=MAP,
    )
    assert view.obsm["X_scarches"].shape == (120, 4)


def test_models(border, tmp_path):
    scanvi = model("scanvi")
    border.refused(
        lambda: type(scanvi).load_query_data(query(), model()), ValueError, "a model from a different class", kind="C3/34",
        case="a model of another class", shown="SCANVI.load_query_data(query, SCVI model)",
    )  # fmt: skip
    model().save(tmp_path / "model", overwrite=True)
    border.works(
        lambda: sp.tl.map_query(query(), Path(tmp_path / "model"), **FAST), lambda found: found.is_trained, kind="C3/35",
        case="a pathlib.Path", shown="map_query(query, Path(...))",
    )  # fmt: skip


def test_prediction_without_training(border):
    trained, cells = model("scanvi"), ref("scanvi")
    untrained = type(trained).load_query_data(query(), trained)
    border.works(
        lambda: untrained.embed(cells), lambda found: np.array_equal(found, trained.embed(cells)), kind="C3/44",
        case="a query model before it is trained embeds by its reference's weights", shown="mapped.embed(reference)",
    )  # fmt: skip
    border.works(
        lambda: untrained.predict(cells), lambda found: np.array_equal(found, trained.predict(cells)), kind="C3/44",
        case="and predicts by them", shown="mapped.predict(reference)",
    )  # fmt: skip


def test_nothing_of_the_cells_is_lost(border):
    adata = query()[:, :35].copy()
    adata.raw = query()
    adata.uns["mine"], adata.obsm["X_pca"] = {"a": 1}, np.zeros((adata.n_obs, 2))
    border.works(
        lambda: map_it(adata), lambda _: "mine" in adata.uns and adata.raw is not None and "X_pca" in adata.obsm
        and adata.n_vars == 35, kind="C3/47", case="uns, raw, obsm and genes of the query stay", shown=MAP,
    )  # fmt: skip


def test_interruption_leaves_the_cells(border):
    from lightning.pytorch.callbacks import Callback

    class Stop(Callback):
        def on_train_epoch_end(self, *_):
            raise KeyboardInterrupt

    adata = query()
    border.refused(
        lambda: map_it(adata, engine="scvi", max_epochs=5, train_kwargs={**QUICK, "callbacks": [Stop()]}),
        KeyboardInterrupt, "holds the weights of the last step", kind="C3/43", case="Ctrl-C during training", shown=MAP,
    )  # fmt: skip
    assert "X_scarches" not in adata.obsm


def test_results_go_where_they_can(border, tmp_path):
    border.refused(
        lambda: model().save("/proc/nope/model"), OSError, "/proc/nope", kind="C3/45", case="a path that cannot be written",
        shown="model.save('/proc/nope/model')",
    )  # fmt: skip


def test_cells_without_counts_get_no_label_by_accident(border):
    adata = mapped()
    adata.obsm["X_scarches"][:5] = np.nan
    border.refused(
        lambda: sp.tl.transfer_labels(adata, ref(), "cell_type"), ValueError, "missing or infinite values in 5 cells",
        kind="C3/12", case="cells whose embedding is missing", shown="transfer_labels(query, reference, 'cell_type')",
    )  # fmt: skip

"""Gene names with blanks, versions, gaps and of another kind, in the query or in the reference: named, with advice that
works.
"""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from small_models import SCVI, cells, reference, split

import scarches_plus as sp
from scarches_plus.pp import QueryError, check_query

pytestmark = [pytest.mark.border, pytest.mark.filterwarnings("ignore:Variable names are not unique")]

GENES = [
    "ACTB", "GAPDH", "TP53", "CD3E", "CD8A", "CD4", "MS4A1", "NKG7", "LYZ", "FCGR3A", "HLA-DRB1", "HLA-A", "NKX2-1", "C1orf43", "B2M", "PTPRC",
    "EPCAM", "COL1A1", "VIM", "KRT19", "INSR", "GCG", "SST", "PPY", "MKI67", "TOP2A", "CDK1", "MALAT1", "XIST", "RPL3", "RPS6", "EEF1A1", "TMSB4X",
    "FTL", "CCL5", "IL7R", "S100A8", "MARCHF1", "SEPTIN2", "TENT5C",
]  # fmt: skip
IDS = sp.pp.map_gene_ids(AnnData(np.ones((1, 40)), var=pd.DataFrame(index=GENES)))[0].var_names.tolist()
MOUSE = sp.pp.map_orthologs(AnnData(np.ones((1, 40)), var=pd.DataFrame(index=GENES)), "human", unmapped="keep")[0]
OLD = {"MARCHF1": "MARCH1", "SEPTIN2": "SEPT2", "TENT5C": "FAM46C"}
#: Kinds of names that are not those of the other side.
ODD = {
    "15 % with a trailing blank": [f"{name} " if i < 6 else name for i, name in enumerate(GENES)],
    "leading blanks": [f"  {name}" for name in GENES],
    "no-break spaces": [f"{name}\u00a0" for name in GENES],
    "zero-width characters": [f"{name}\u200b" for name in GENES],
    "quotation marks": [f'"{name}"' for name in GENES],
    "a genome before": [f"GRCh38______{name}" for name in GENES],
    "lower case": [name.lower() for name in GENES],
    "names as R writes them": [name.replace("-", ".") for name in GENES],
    "id and symbol joined": [f"{one}_{name}" for one, name in zip(IDS, GENES, strict=True)],
    "ids": IDS,
    "ids with versions": [f"{one}.{i + 1}" for i, one in enumerate(IDS)],
    "ids in lower case": [one.lower() for one in IDS],
    "older symbols": [OLD.get(name, name) for name in GENES],
    "a third of each": [[name, f"{name} ", IDS[i]][i % 3] for i, name in enumerate(GENES)],
}


@pytest.fixture(scope="module")
def models():
    """Return a function from names to a reference model that has them."""
    made = {}

    def model(names):
        key = tuple(names)
        if key not in made:
            ref = split(cells(), "batch2")[0]
            ref.var_names = list(names)
            made[key] = reference(SCVI, ref)
        return made[key]

    return model


@pytest.fixture
def query():
    def with_names(names):
        adata = split(cells(), "batch2")[1]
        return AnnData(adata.X, obs=adata.obs, var=pd.DataFrame(index=pd.Index(list(names), dtype=object)))

    return with_names


def gene_problems(adata, model):
    return [one for one in check_query(adata, model).problems if "gene" in one.message]


def advised(adata, model):
    """Do what the first problem says until there is none, with a limit, and map."""
    scope = {"adata": adata, "model": model, "sp": sp}
    for _ in range(4):
        problems = gene_problems(scope["adata"], model)
        if not problems:
            break
        exec(problems[0].fix, scope)  # noqa: S102
    adata = scope["adata"]
    assert check_query(adata, model).ok
    assert set(model.spec.var_names) <= set(adata.var_names)
    sp.tl.map_query(adata, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    return adata


def mapped(adata):
    return bool(np.isfinite(adata.obsm["X_scarches"]).all())


def advice_works(border, adata, model, case):
    """Require that names are refused with advice that works, or (a few of them) that they are warned of."""
    if any(one.severity != "warning" for one in gene_problems(adata, model)):
        border.refused(
            lambda: sp.tl.map_query(adata, model, max_epochs=1),
            QueryError,
            ["match_gene_names", "of the reference's 40 genes"],
            kind="B6",
            case=f"{case}: its advice is executed",
            shown="map_query(q, m)",
        )
        assert mapped(advised(adata, model))
    else:
        assert gene_problems(adata, model)
        border.works(lambda: advised(adata, model), mapped, kind="B6", case=case, shown="its advice, then map_query")


@pytest.mark.parametrize("odd", ODD)
def test_advice_works_for_a_query(border, models, query, odd):
    advice_works(border, query(ODD[odd]), models(GENES), f"{odd} in the query")


@pytest.mark.parametrize("odd", ODD)
def test_advice_works_for_a_reference(border, models, query, odd):
    advice_works(border, query(GENES), models(ODD[odd]), f"{odd} in the reference")


@pytest.mark.parametrize("of_the_query", [True, False])
@pytest.mark.parametrize("odd", ["15 % with a trailing blank", "zero-width characters", "ids with versions"])
def test_odd_names_are_counted(border, models, query, odd, of_the_query):
    plain = IDS if odd.startswith("ids") else GENES
    names, known = (ODD[odd], plain) if of_the_query else (plain, ODD[odd])
    n = sum(one != other for one, other in zip(names, known, strict=True))
    border.works(
        lambda: str(check_query(query(names), models(known))),
        lambda told: f"{n} of the reference's 40 genes are not found by name, and {n} of them are there" in told,
        kind="B4", case=f"{odd} in the {'query' if of_the_query else 'reference'}", shown="check_query(q, m)",
    )  # fmt: skip


def test_advice_works_for_versions_on_one_side(border, models, query):
    versions = ODD["ids with versions"]
    advice_works(border, query(IDS), models(versions), "versions of ids in the reference alone")
    advice_works(border, query(versions), models(IDS), "versions of ids in the query alone")


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, "", "nan", "NA"], ids=repr)
def test_genes_without_a_name(border, models, query, missing):
    model = models(GENES)
    adata = query([*GENES[:-1], missing])
    if not isinstance(missing, str) or missing == "":
        border.refused(
            lambda: sp.tl.map_query(adata, model, max_epochs=1),
            QueryError,
            "1 genes have no name",
            kind="B4",
            case=f"a gene called {missing!r}",
            shown="map_query(q, m)",
        )
    scope = {"adata": adata}
    exec(next(one.fix for one in gene_problems(adata, model) if "no name" in one.message), scope)  # noqa: S102
    border.works(
        lambda: sp.tl.map_query(scope["adata"], model, max_epochs=1, train_kwargs={"enable_progress_bar": False}),
        lambda _: mapped(scope["adata"]),
        kind="B4",
        case=f"a gene called {missing!r}",
        shown="its advice, then map_query",
    )


@pytest.mark.parametrize("missing", [np.nan, None, ""], ids=repr)
def test_a_reference_without_a_name(border, missing):
    cells_ = split(cells(), "batch2")[0]
    adata = AnnData(cells_.X, obs=cells_.obs, var=pd.DataFrame(index=pd.Index([*GENES[:-1], missing], dtype=object)))
    border.refused(
        lambda: sp.tl.build_reference(adata, "batch", max_epochs=1),
        QueryError,
        "1 genes have no name",
        kind="B4",
        case=f"a reference's gene called {missing!r}",
        shown="build_reference(r)",
    )
    scope = {"adata": adata}
    exec(next(one.fix for one in check_query(adata, spec(adata)).problems if "no name" in one.message), scope)  # noqa: S102
    assert not [one for one in check_query(scope["adata"], spec(scope["adata"])).problems if "no name" in one.message]


def spec(adata):
    from scarches_plus.model import ReferenceSpec

    return ReferenceSpec(var_names=tuple(adata.var_names))


@pytest.mark.parametrize(
    ("twice", "n_result"), [(["ACTB"], 40), (["ACTB", "GAPDH", "GAPDH"], 40), (["mine", "mine"], 41)]
)
def test_names_that_occur_twice(border, models, query, twice, n_result):
    adata, model = query(GENES), models(GENES)
    counts = np.hstack([np.asarray(adata.X.todense()), np.ones((adata.n_obs, len(twice)), np.float32)])
    joined = AnnData(counts, obs=adata.obs, var=pd.DataFrame(index=[*GENES, *twice]))
    border.refused(
        lambda: sp.tl.map_query(joined, model, max_epochs=1),
        QueryError,
        "occur more than once",
        kind="B4",
        case=f"{twice} besides {len(GENES)} genes",
        shown="map_query(q, m)",
    )
    result = border.works(
        lambda: advised(joined, model), mapped, kind="B4", case=f"{twice} besides", shown="its advice, then map_query"
    )
    assert result.n_vars == n_result
    assert result.X.sum() == joined.X.sum()


def test_dates_of_a_spreadsheet(border, models, query):
    adata, model = query(["2-Sep" if name == "SEPTIN2" else name for name in GENES]), models(GENES)
    report = border.works(
        lambda: check_query(adata, model),
        lambda report: any("dates" in one.message for one in report.problems),
        kind="B4",
        case="2-Sep for SEPTIN2",
        shown="check_query(q, m)",
    )
    assert report.ok
    border.works(
        lambda: advised(adata, model), mapped, kind="B6", case="2-Sep for SEPTIN2", shown="its advice, then map_query"
    )


def test_numbers_for_names(border, models, query):
    adata, model = query([str(i) for i in range(40)]), models(GENES)
    border.refused(
        lambda: sp.tl.map_query(adata, model, max_epochs=1),
        QueryError,
        "only 0 of the reference's 40 genes",
        kind="B4",
        case="positions for names",
        shown="map_query(q, m)",
    )
    adata.var["symbol"] = GENES
    border.refused(
        lambda: sp.tl.map_query(adata, model, max_epochs=1),
        QueryError,
        "adata.var['symbol']",
        kind="B6",
        case="positions for names, and names in a column",
        shown="map_query(q, m)",
    )
    border.works(
        lambda: advised(adata, model), mapped, kind="B6", case="names in a column", shown="its advice, then map_query"
    )


@pytest.mark.parametrize(
    ("names", "says"),
    [(MOUSE.var_names, "map_orthologs(adata, 'mouse')"), ([name.capitalize() for name in GENES], "map_orthologs")],
)
def test_another_species_is_no_match_by_letter_case(border, models, query, names, says):
    adata, model = query(names), models(GENES)
    border.refused(
        lambda: sp.tl.map_query(adata, model, max_epochs=1),
        QueryError,
        says,
        kind="B6",
        case="mouse names, a human reference",
        shown="map_query(q, m)",
    )


@pytest.mark.parametrize("wanted", [GENES, IDS, [f"{one}.3" for one in IDS]], ids=["symbols", "ids", "versions"])
def test_the_advice_for_another_species_works(border, models, query, wanted):
    adata, model = query(MOUSE.var_names), models(wanted)
    scope = {"adata": adata, "model": model, "sp": sp}
    for _ in range(2):
        for problem in gene_problems(scope["adata"], model)[:1]:
            exec(problem.fix, scope)  # noqa: S102
    border.works(
        lambda: sp.tl.map_query(scope["adata"], model, max_epochs=1, train_kwargs={"enable_progress_bar": False}),
        lambda _: mapped(scope["adata"]),
        kind="B6",
        case="mouse names, a human reference",
        shown="its advice, then map_query",
    )


def small(genes):
    return AnnData(
        np.random.default_rng(0).poisson(3.0, (30, len(genes))).astype(np.float32),
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(30)]),
        var=pd.DataFrame(index=genes),
    )


#: Other verbs that compare names of genes: the call, the names it wants, its error.
VERBS = {
    "align_genes": (lambda adata: sp.pp.align_genes(adata, GENES), GENES, ValueError),
    "normalize_gene_length": (
        lambda adata: sp.pp.normalize_gene_length(adata, dict.fromkeys(GENES, 1000.0)),
        GENES,
        KeyError,
    ),
    "seed_labels": (
        lambda adata: sp.pp.seed_labels(adata, {"T": ["CD3E", "CD8A"], "B": ["MS4A1"]}, 5),
        ["CD3E", "CD8A", "MS4A1"],
        ValueError,
    ),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("odd", ["leading blanks", "ids with versions", "id and symbol joined"])
def test_other_verbs_that_compare_names(border, verb, odd):
    call, wanted, error = VERBS[verb]
    adata = small(ODD[odd])
    border.refused(
        lambda: call(adata), error, "match_gene_names", kind="B6", case=f"{odd}, {verb}", shown=f"{verb}(q, ...)"
    )
    renamed, _ = sp.pp.match_gene_names(adata, wanted)
    border.works(
        lambda: call(renamed), lambda _: True, kind="B6", case=f"{odd}, {verb}", shown=f"its advice, then {verb}"
    )


@pytest.mark.parametrize("odd", ["15 % with a trailing blank", "names as R writes them", "older symbols"])
def test_studies_that_are_joined(border, odd):
    one, other = small(GENES), small(ODD[odd])
    border.warned(
        lambda: sp.pp.concat_studies({"x": one, "y": other}),
        ["match_gene_names", "study 'y'"],
        kind="B6",
        case=f"{odd} in one of two studies",
        shown="concat_studies({'x': r, 'y': q})",
    )
    renamed, _ = sp.pp.match_gene_names(other, one)
    border.works(
        lambda: sp.pp.concat_studies({"x": one, "y": renamed}),
        lambda joined: joined.n_vars == len(GENES),
        kind="B6",
        case=f"{odd} in one of two studies",
        shown="its advice, then concat_studies",
    )


@pytest.mark.parametrize("missing", [np.nan, None, ""], ids=repr)
def test_studies_with_a_gene_without_a_name(border, missing):
    one, other = small(GENES), small(pd.Index([*GENES[:-1], missing], dtype=object))
    border.refused(
        lambda: sp.pp.concat_studies({"x": one, "y": other}),
        ValueError,
        "1 genes of study 'y' have no name",
        kind="B4",
        case=f"a study's gene called {missing!r}",
        shown="concat_studies({'x': r, 'y': q})",
    )
    named = other[:, other.var_names.notna() & (other.var_names != "")]
    border.works(
        lambda: sp.pp.concat_studies({"x": one, "y": named}),
        lambda joined: joined.n_vars == len(GENES),
        kind="B4",
        case=f"a study's gene called {missing!r}",
        shown="its advice, then concat_studies",
    )

"""Studies with different genes become one AnnData that knows which study measured what."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from scarches_plus.model import ReferenceSpec
from scarches_plus.pp import QueryError, check_query, concat_studies, open_cells

KINDS = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "csr_array": sparse.csr_array, "dense": np.asarray}


def study(genes, n_cells=4, *, seed=0, kind="csr", prefix="cell", **obs):
    counts = np.random.default_rng(seed).poisson(1.0, (n_cells, len(genes))).astype(np.float32)
    obs = pd.DataFrame(obs, index=[f"{prefix}{i}" for i in range(n_cells)])
    return AnnData(KINDS[kind](counts), obs=obs, var=pd.DataFrame(index=list(genes)))


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def frame(adata):
    return pd.DataFrame(dense(adata.X), index=adata.obs_names, columns=adata.var_names)


sets_of_genes = st.lists(
    st.lists(st.sampled_from("bcdefgh"), unique=True).flatmap(lambda genes: st.permutations(["a", *genes])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(genes=sets_of_genes, kinds=st.lists(st.sampled_from(list(KINDS)), min_size=4, max_size=4), data=st.data())
def test_is_an_outer_join_that_remembers_and_can_be_undone(genes, kinds, data):
    studies = {f"s{i}": study(names, 3, seed=i, kind=kinds[i], prefix=f"s{i}c") for i, names in enumerate(genes)}
    before = {name: one.copy() for name, one in studies.items()}
    min_studies = data.draw(st.integers(1, len(studies)))
    joined = concat_studies(studies, min_studies=min_studies)

    truth = anndata.concat(studies, join="outer", label="study", fill_value=0)
    n_studies = pd.Series(np.concatenate(genes)).value_counts()
    kept = n_studies.index[n_studies >= min_studies]
    assert set(joined.var_names) == set(kept)
    pd.testing.assert_frame_equal(frame(joined), frame(truth)[joined.var_names], check_dtype=False)
    assert isinstance(joined.X, sparse.csr_matrix)
    assert joined.X.nnz <= sum(np.count_nonzero(dense(one.X)) for one in studies.values())
    pd.testing.assert_frame_equal(joined.obs, truth.obs)

    for name, one in studies.items():
        np.testing.assert_array_equal(joined.varm["measured"][name], joined.var_names.isin(one.var_names))
        own = joined[joined.obs["study"] == name, joined.varm["measured"][name].to_numpy()]
        assert set(own.var_names) == set(one.var_names) & set(kept)
        pd.testing.assert_frame_equal(frame(own), frame(one)[own.var_names])
        np.testing.assert_array_equal(dense(one.X), dense(before[name].X))
        assert one.obs.equals(before[name].obs)
        assert not one.uns
        assert not one.varm

    order = data.draw(st.permutations(list(studies)))
    other = concat_studies({name: studies[name] for name in order}, min_studies=min_studies)
    pd.testing.assert_frame_equal(frame(other).loc[joined.obs_names, joined.var_names], frame(joined))
    measured = joined.varm["measured"]
    pd.testing.assert_frame_equal(other.varm["measured"].loc[measured.index, measured.columns], measured)


def test_genes_come_in_the_order_of_the_studies():
    joined = concat_studies({"x": study("cab"), "y": study("bda", prefix="y")})
    assert joined.var_names.tolist() == list("cabd")


def test_the_record_survives_leaving_out_and_h5ad(tmp_path):
    joined = concat_studies({"x": study("abc"), "y": study("bcd", prefix="y")})
    part = joined[joined.obs["study"] == "y", ["d", "b", "a"]].copy()
    part.write_h5ad(tmp_path / "part.h5ad")
    for adata in (part, anndata.read_h5ad(tmp_path / "part.h5ad")):
        assert adata.varm["measured"].to_dict("list") == {"x": [False, True, True], "y": [True, True, False]}
        assert adata.varm["measured"].dtypes.eq(bool).all()
        assert adata.uns["scarches_plus"]["study_key"] == "study"


def test_names():
    joined = concat_studies([study("ab"), study("bc")])
    assert joined.obs["study"].astype(str).tolist() == ["0"] * 4 + ["1"] * 4
    assert joined.obs_names.tolist() == [f"cell{i}-{name}" for name in "01" for i in range(4)]
    joined = concat_studies([study("ab"), study("bc", prefix="other")], keys=["x", "y"], study_key="paper")
    assert joined.obs["paper"].cat.categories.tolist() == ["x", "y"]
    assert joined.obs_names[0] == "cell0"
    assert joined.obs_names.is_unique


def test_columns_of_obs():
    one = study("ab", tissue=pd.Categorical(["lung", "gut"] * 2), age=1.0, batch="p", sorted=True, sex=None)
    other = study("ab", prefix="y", tissue=pd.Categorical(["skin"] * 4), batch="q", study="y", sex=np.nan, age=None)
    obs = concat_studies({"x": one, "y": other}).obs
    assert obs["tissue"].dtype == "category"
    assert obs["tissue"].tolist() == ["lung", "gut"] * 2 + ["skin"] * 4
    assert obs["age"].dtype == float
    assert obs["age"].isna().tolist() == obs["sorted"].isna().tolist() == [False] * 4 + [True] * 4
    assert "sex" not in obs
    assert obs["batch"].tolist() == ["p"] * 4 + ["q"] * 4


def test_what_holds_for_one_study_only_is_left_out():
    one = study("ab")
    one.uns["neighbors"], one.obsm["X_pca"], one.var["highly_variable"] = {"k": 1}, np.ones((4, 2)), True
    one.layers["scaled"] = dense(one.X)
    joined = concat_studies({"x": one, "y": study("ab", prefix="y")})
    assert not joined.obsm
    assert not set(joined.layers) - {None}
    assert joined.var.columns.empty
    assert list(joined.varm) == ["measured"]
    assert joined.uns == {"scarches_plus": {"study_key": "study"}}


def test_layer():
    studies = {"x": study("ab"), "y": study("bc", prefix="y")}
    expected = frame(concat_studies(studies))
    for one in studies.values():
        one.layers["counts"] = one.X
        one.X = -dense(one.X)
    joined = concat_studies(studies, layer="counts")
    pd.testing.assert_frame_equal(frame(joined), expected)
    assert (joined.layers["counts"] != joined.X).nnz == 0


def test_types_of_counts():
    one, other = study("ab"), study("bc", prefix="y")
    one.X, other.X = one.X.astype(np.int64), other.X.astype(np.int32)
    assert concat_studies([one, other]).X.dtype == np.int64


def written(adata, path):
    (adata.write_h5ad if path.suffix == ".h5ad" else adata.write_zarr)(path)
    return path


def on_disk(adata, how, folder):
    """The same cells with their counts in a file, as users come to them."""
    if how == "memory":
        return adata
    if how == "view":
        path = written(adata[::-1].copy(), folder / "whole.h5ad")
        return open_cells(path)[adata.obs_names, adata.var_names]
    path = written(adata, folder / f"{how}.{'zarr' if how == 'zarr' else 'h5ad'}")
    return {"backed": lambda: anndata.read_h5ad(path, backed="r"), "path": lambda: path}.get(
        how, lambda: open_cells(path)
    )()


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data")
@pytest.mark.parametrize("kind", ["csr", "dense"])
@pytest.mark.parametrize("how", ["h5ad", "zarr", "backed", "path", "view"])
@pytest.mark.parametrize("other", ["memory", "h5ad"])
def test_counts_on_disk_stay_there(tmp_path, kind, how, other):
    studies = {
        "x": study("abe", 5, kind=kind),
        "y": study("ebdc", 6, seed=1, prefix="y"),
        "z": study("cab", prefix="z"),
    }
    expected = concat_studies(studies, min_studies=2)
    (tmp_path / "y").mkdir()
    studies["x"], studies["y"] = on_disk(studies["x"], how, tmp_path), on_disk(studies["y"], other, tmp_path / "y")
    joined = concat_studies(studies, min_studies=2)
    assert not isinstance(joined.X, np.ndarray)
    assert not sparse.issparse(joined.X)
    pd.testing.assert_frame_equal(joined.obs, expected.obs)
    pd.testing.assert_frame_equal(joined.varm["measured"], expected.varm["measured"])
    truth = frame(expected)
    pd.testing.assert_frame_equal(frame(joined.to_memory()), truth)
    assert joined.X.dtype == expected.X.dtype
    for part in (slice(1, 3), slice(3, 8), slice(6, 13), slice(14, 15), slice(4, 4)):  # within studies, and across
        np.testing.assert_array_equal(dense(joined.X[part]), truth[joined.var_names].to_numpy()[part])
    rows = np.random.default_rng(0).permutation(15)[:9]  # across the studies, in any order
    pd.testing.assert_frame_equal(frame(joined[rows, ::-1].to_memory()), truth.iloc[rows, ::-1])
    again = concat_studies([joined[:5], joined[5:11], joined[11:]], study_key="part")  # parts of what lies on disk
    pd.testing.assert_frame_equal(frame(again.to_memory())[truth.columns], truth)


def test_a_layer_stays_on_disk(tmp_path):
    one, other = study("ab"), study("bc", prefix="y")
    for adata in (one, other):
        adata.layers["counts"] = adata.X
        adata.X = -dense(adata.X)
    expected = concat_studies({"x": one, "y": other}, layer="counts")
    joined = concat_studies({"x": written(one, tmp_path / "x.h5ad"), "y": other}, layer="counts")
    for matrix in (joined.X, joined.layers["counts"]):
        assert (matrix.to_memory() != expected.X).nnz == 0


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data")
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_what_lies_in_several_files_is_written_into_one(tmp_path, limits, suffix):
    limits(piece=100)  # some cells at a time
    studies = {"x": study("abe", 5), "y": study("ebdc", 6, seed=1, prefix="y")}
    expected = concat_studies(studies)
    paths = {name: written(one, tmp_path / f"{name}.h5ad") for name, one in studies.items()}
    out = written(concat_studies(paths), tmp_path / f"joined.{suffix}")
    again = anndata.read_h5ad(out) if suffix == "h5ad" else anndata.read_zarr(out)
    pd.testing.assert_frame_equal(frame(again), frame(expected))
    assert again.X.dtype == expected.X.dtype
    assert (again.X != open_cells(out).to_memory().X).nnz == 0


def test_files_name_their_studies(tmp_path):
    paths = [written(study("ab"), tmp_path / "smith.h5ad"), str(written(study("bc"), tmp_path / "jones.h5ad"))]
    assert concat_studies([*paths, study("b")]).obs["study"].cat.categories.tolist() == ["smith", "jones", "2"]
    (tmp_path / "again").mkdir()
    twice = [paths[0], written(study("ab"), tmp_path / "again" / "smith.h5ad")]
    with pytest.raises(ValueError, match=r"several files are called \['smith'\].*by name"):
        concat_studies(twice)
    assert set(concat_studies({"smith_1": twice[0], "smith_2": twice[1]}).obs["study"]) == {"smith_1", "smith_2"}


def collection(parts, **kwargs):
    from anndata.experimental import AnnCollection

    return AnnCollection(parts, join_vars="inner", **kwargs)


@pytest.mark.parametrize("join_obs", ["inner", "outer", None])
@pytest.mark.parametrize("backed", [False, True])
def test_a_collection_is_its_parts_on_its_genes_with_its_columns(tmp_path, join_obs, backed):
    parts = {"x": study("abe", 5, tissue="lung"), "y": study("ebda", 6, seed=1, tissue="gut", age=3.0)}
    if backed:
        parts["x"] = anndata.read_h5ad(written(parts["x"], tmp_path / "x.h5ad"), backed="r")
    given = collection(parts, label="source", index_unique="/", join_obs=join_obs)
    joined = concat_studies(given, study_key="source")
    assert sparse.issparse(joined.X) is not backed
    shown = given[:]  # what anndata shows of it
    assert joined.obs_names.tolist() == given.obs_names.tolist()
    pd.testing.assert_frame_equal(
        frame(joined.to_memory()), pd.DataFrame(dense(shown.X), given.obs_names, given.var_names)[joined.var_names]
    )
    assert joined.obs["source"].tolist() == ["x"] * 5 + ["y"] * 6
    assert joined.obs["tissue"].tolist() == ["lung"] * 5 + ["gut"] * 6
    assert ("age" in joined.obs) == (join_obs == "outer")
    assert concat_studies(given).obs["study"].tolist() == ["0"] * 5 + ["1"] * 6
    assert concat_studies(given, keys=["p", "q"]).obs["study"].tolist() == ["p"] * 5 + ["q"] * 6


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_parts_of_a_collection_may_share_names_of_cells():
    parts = [study("ab", prefix="same"), study("abc", prefix="same", seed=1)]
    joined, expected = concat_studies(collection(parts)), concat_studies(parts)
    assert joined.obs_names.tolist() == expected.obs_names.tolist()
    assert joined.obs_names.is_unique


def test_a_collection_keeps_what_its_parts_measured():
    one = concat_studies({"x": study("ab"), "y": study("bc", prefix="y")})
    joined = concat_studies(
        collection([one[one.obs["study"] == "x"].copy(), study("abc", prefix="z")]), study_key="part"
    )
    assert joined.varm["measured"].loc[list("abc")].to_dict("list") == {"0": [True, True, False], "1": [True] * 3}


def test_collections_that_show_other_than_they_hold_are_refused():
    given = collection([study("ab", n=1), study("ab", prefix="y", n=1)], convert={"X": np.sqrt})
    with pytest.raises(TypeError, match=r"converts its values.*collection\.convert = None"):
        concat_studies(given)
    given.convert = None
    part = given[:3, ["b"]]
    with pytest.raises(TypeError, match=r"part of an AnnCollection.*concat_studies\(collection\)\[cells, genes\]"):
        concat_studies(part)
    expected = pd.DataFrame(dense(part.X), given.obs_names[:3], ["b"])
    pd.testing.assert_frame_equal(frame(concat_studies(given)[:3, ["b"]]), expected, check_names=False)


class TestJoinedBefore:
    def test_parts_count_the_genes_they_measured(self):
        studies = {"x": study("abc"), "y": study("bcd", prefix="y"), "z": study("cde", prefix="z")}
        first = concat_studies({name: studies[name] for name in "xy"})
        parts = {name: first[first.obs["study"] == name] for name in "xy"}
        again, expected = concat_studies({**parts, "z": studies["z"]}), concat_studies(studies)
        pd.testing.assert_frame_equal(frame(again)[expected.var_names], frame(expected))
        pd.testing.assert_frame_equal(again.varm["measured"].loc[expected.var_names], expected.varm["measured"])

    def test_several_studies_at_once_are_refused(self):
        joined = concat_studies({"x": study("abc"), "y": study("bcd", prefix="y")})
        with pytest.raises(ValueError, match=r"'z' spans the studies \['x', 'y'\], which measured different genes"):
            concat_studies({"z": joined, "w": study("ab", prefix="w")}, study_key="paper")
        kept = concat_studies({"z": joined[:, ["b", "c"]], "w": study("ab", prefix="w")}, study_key="paper")
        assert kept.varm["measured"].to_dict("list") == {"z": [True, True, False], "w": [True, False, True]}


class TestRefusals:
    @pytest.mark.parametrize(
        ("studies", "options", "message"),
        [
            ({}, {}, "0 studies"),
            ([study("ab")], {"keys": ["x", "y"]}, "1 studies and keys 2 names"),
            ([study("ab"), study("ab")], {"keys": ["x", "x"]}, r"must differ.*'x'"),
            ({1: study("ab"), "1": study("ab")}, {}, "must differ"),
            ({"x/y": study("ab")}, {}, "'x/y'.*'x_y'"),
            ({"x": study("ab")}, {"keys": ["x"]}, "no use"),
            ({"x": study("ab")}, {"min_studies": 2}, "min_studies must be .* at most 1, not 2"),
            ({"x": study("ab")}, {"min_studies": 0}, "min_studies must be at least 1"),
            ({"x": study("ab")}, {"min_studies": 0.5}, "min_studies must be a whole number"),
            ({"x": study("ab"), "y": study("cd")}, {}, r"\['x'\] and \['y'\] share no gene.*map_gene_ids"),
            (
                {"x": study("ab"), "y": study("bc"), "z": study("de"), "w": study("ef")},
                {},
                r"\['x', 'y'\] and \['z', 'w'\]",
            ),
            ({"x": study("ab"), "y": study("ab"), "z": study("cd")}, {"min_studies": 2}, r"no gene of studies \['z'\]"),
            ({"x": study("ab"), "y": study("ab", 0)}, {}, "study 'y' has no cells"),
            ({"x": study("ab", study="other")}, {}, r"obs\['study'\] of study 'x' holds other names"),
        ],
    )
    def test_arguments(self, studies, options, message):
        with pytest.raises(ValueError, match=message):
            concat_studies(studies, **options)

    def test_studies_that_share_genes_by_way_of_another_are_fine(self):
        joined = concat_studies({"x": study("ab"), "y": study("cd", prefix="y"), "z": study("bc", prefix="z")})
        assert joined.var_names.tolist() == list("abcd")

    @pytest.mark.filterwarnings("ignore:.*names are not unique")
    def test_names_used_twice(self):
        with pytest.raises(ValueError, match=r"genes of study 'x' are not unique, for example \['a'\].*var_names_make"):
            concat_studies({"x": study("aab")})
        cells = study("ab")
        cells.obs_names = ["c", "c", "d", "e"]
        with pytest.raises(ValueError, match=r"cells of study 'x' are not unique, for example \['c'\].*obs_names_make"):
            concat_studies({"x": cells})

    def test_no_anndata(self):
        with pytest.raises(TypeError, match="study 'x' must be an AnnData, not a DataFrame"):
            concat_studies({"x": pd.DataFrame()})

    def test_no_counts(self):
        logged = study("abcdefgh", 50, prefix="y")
        logged.X = np.log1p(dense(logged.X) * 1.37)
        with pytest.raises(QueryError, match=r"study 'y': error: .*log-normalised"):
            concat_studies({"x": study("ab"), "y": logged})
        with pytest.raises(QueryError, match="study 'x': fatal: layer 'counts' not found"):
            concat_studies({"x": study("ab")}, layer="counts")
        fractional = study("ab")
        fractional.X = fractional.X * np.float32(100.5)
        with pytest.warns(UserWarning, match="study 'x': warning: .*not whole numbers"):
            concat_studies({"x": fractional})


def test_a_query_with_a_study_that_measured_few_genes_of_the_reference():
    genes = [f"g{i}" for i in range(50)]
    for n_measured, severity in ((5, "error"), (30, "warning")):
        query = concat_studies({"x": study(genes, 30), "y": study(genes[:n_measured], 30, prefix="y")})
        query = query[dense(query.X).sum(axis=1) > 0]
        spec = ReferenceSpec(var_names=tuple(genes), batch_key="study", batches=("a",))
        (problem,) = check_query(query, spec).problems
        assert problem.severity == severity
        assert f"studies ['y'] measured as little as {n_measured * 2}%" in problem.message
        assert check_query(query[query.obs["study"] == "x"], spec).problems == ()
        assert check_query(query, ReferenceSpec(var_names=tuple(genes))).problems == ()


def test_genes_under_other_names_are_pointed_out():
    with pytest.warns(
        UserWarning, match=r"study 'y' would be joined as others; 1 .*\(versions of ids: 1\).*match_gene_names"
    ):
        joined = concat_studies({"x": study(["ENSG00000111640", "b"]), "y": study(["ENSG00000111640.5", "b"])})
    assert joined.n_vars == 3

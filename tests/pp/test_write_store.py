"""Many files become one shuffled store with the genes of all."""

import errno
import os

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import sparse
from small_models import cells

import scarches_plus as sp

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2 data")  # the default of anndata 0.12


@pytest.fixture
def studies(tmp_path):
    """Two studies of different genes in files of both kinds, and one in memory."""
    adata = cells(240)
    adata.obs["only_in_a"] = pd.Series("x", adata.obs_names[:80])
    parts = {"a": adata[:80, :30].copy(), "b": adata[80:160, 10:].copy(), "c": adata[160:, ::-1].copy()}
    parts["a"].write_h5ad(tmp_path / "a.h5ad")
    parts["b"].write_zarr(tmp_path / "b.zarr")
    return parts, {"a": tmp_path / "a.h5ad", "b": str(tmp_path / "b.zarr"), "c": parts["c"]}


@pytest.mark.parametrize("min_studies", [1, 2, 3])
def test_holds_what_concat_studies_returns(studies, tmp_path, small_windows, min_studies):
    parts, given = studies
    store = sp.pp.write_store(given, tmp_path / "store.zarr", min_studies=min_studies)
    joined, written = sp.pp.concat_studies(parts, min_studies=min_studies), anndata.read_zarr(store)
    order = joined.obs_names.get_indexer(written.obs_names)
    assert sorted(set(order)) == np.arange(240).tolist()
    assert len(order) == 240
    assert (joined.X[order] != written.X).nnz == 0
    assert written.X.dtype == joined.X.dtype
    assert list(written.obs) == list(joined.obs)
    for name in joined.obs:
        assert [str(one) for one in written.obs[name]] == [str(one) for one in joined.obs[name].iloc[order]]
    pd.testing.assert_frame_equal(written.varm["measured"], joined.varm["measured"])
    assert dict(written.uns["scarches_plus"]) == {"study_key": "study"}


def test_counts_are_of_a_type_that_holds_those_of_every_study(studies, tmp_path):
    parts, _ = studies
    parts["a"].X, parts["b"].X = parts["a"].X.astype(np.uint8), parts["b"].X.astype(np.float32)
    parts["b"].X.data[0] = 1000
    written = anndata.read_zarr(sp.pp.write_store({name: parts[name] for name in "ab"}, tmp_path / "store.zarr"))
    assert written.X.dtype == np.float32
    assert written.X.max() == 1000


@pytest.mark.parametrize("kind", ["sparse", "dense", "h5ad", "dense h5ad", "view of h5ad"])
def test_piles_stay_small_if_the_first_study_is_nearly_empty(tmp_path, small_windows, monkeypatch, kind):
    adata = cells(240)
    few, many = adata[:120].copy(), adata[120:].copy()
    few.X = sparse.csr_matrix(few.X.multiply(np.arange(few.n_vars) < 2))
    if "dense" in kind:
        few.X, many.X = few.X.toarray(), many.X.toarray()
    given = {"few": few, "many": many}
    if "h5ad" in kind:
        for name, study in given.items():
            study.write_h5ad(tmp_path / f"{name}.h5ad")
        given = {name: sp.pp.open_cells(tmp_path / f"{name}.h5ad") for name in given}
    if "view" in kind:
        given = {name: study[::2] for name, study in given.items()}
    sizes, read = [], np.fromfile
    monkeypatch.setattr(np, "fromfile", lambda file, dtype: sizes.append(file.stat().st_size) or read(file, dtype))
    sp.pp.write_store(given, tmp_path / "store.zarr")
    assert max(sizes) < 2**12


def test_cells_are_shuffled_by_the_seed_alone(studies, tmp_path, small_windows, monkeypatch):
    parts, given = studies
    one = anndata.read_zarr(sp.pp.write_store(given, tmp_path / "one.zarr", rng=3))
    monkeypatch.undo()  # a single pile
    other = anndata.read_zarr(sp.pp.write_store(parts, tmp_path / "other.zarr", rng=np.random.default_rng(3)))
    assert list(one.obs_names) == list(other.obs_names)
    assert (one.X != other.X).nnz == 0
    third = anndata.read_zarr(sp.pp.write_store(parts, tmp_path / "third.zarr", rng=4))
    assert list(third.obs_names) != list(one.obs_names)
    counts = [(one.obs["study"][start : start + 60] == "a").sum() for start in range(0, 240, 60)]
    assert all(10 <= n <= 30 for n in counts)  # of 20 expected, 2.7 standard deviations


def test_names_of_files_name_studies_and_columns_may_go(studies, tmp_path):
    _, given = studies
    store = sp.pp.write_store(list(given.values()), tmp_path / "store.zarr", columns=["batch"])
    written = anndata.read_zarr(store)
    assert list(written.obs) == ["study", "batch"]
    assert set(written.obs["study"]) == {"a", "b", "2"}
    with pytest.raises(KeyError, match="'nowhere'"):
        sp.pp.write_store(given, tmp_path / "other.zarr", columns=["nowhere"])
    assert not (tmp_path / "other.zarr").exists()


def test_one_file_is_enough(studies, tmp_path):
    _, given = studies
    written = anndata.read_zarr(sp.pp.write_store(given["a"], tmp_path / "store.zarr"))
    assert written.shape == (80, 30)
    assert set(written.obs["study"]) == {"a"}


def test_nothing_is_overwritten_unasked(studies, tmp_path):
    _, given = studies
    store = sp.pp.write_store(given["a"], tmp_path / "store.zarr")
    with pytest.raises(FileExistsError, match="overwrite"):
        sp.pp.write_store(given["b"], store)
    sp.pp.write_store(given["b"], store, overwrite=True)
    assert set(anndata.read_zarr(store).obs["study"]) == {"b"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="no zarr store"):
        sp.pp.write_store(given["b"], tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_anndata_of_any_zarr_format_may_be_replaced_and_other_zarr_not(studies, tmp_path):
    _, given = studies
    copy = tmp_path / "copy.zarr"
    anndata.read_zarr(given["b"]).write_zarr(copy)
    sp.pp.write_store(given["a"], copy, overwrite=True)
    assert set(anndata.read_zarr(copy).obs["study"]) == {"a"}
    zarr.create_array(tmp_path / "image.zarr", shape=(3,), dtype="i4")[:] = 1
    with pytest.raises(FileExistsError, match="no zarr store of AnnData"):
        sp.pp.write_store(given["a"], tmp_path / "image.zarr", overwrite=True)
    assert (zarr.open_array(tmp_path / "image.zarr")[:] == 1).all()


def test_files_of_one_name_need_keys(studies, tmp_path):
    _, given = studies
    (tmp_path / "other").mkdir()
    cells(60).write_h5ad(tmp_path / "other" / "a.h5ad")
    files = [given["a"], tmp_path / "other" / "a.h5ad"]
    with pytest.raises(ValueError, match=r"several files are called \['a'\].*by name"):
        sp.pp.write_store(files, tmp_path / "store.zarr")
    written = anndata.read_zarr(sp.pp.write_store(files, tmp_path / "store.zarr", keys=["one", "two"]))
    assert set(written.obs["study"]) == {"one", "two"}


def test_too_many_open_files_are_no_damage(studies, tmp_path, monkeypatch):
    _, given = studies

    def none_left(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(h5py, "File", none_left)
    with pytest.raises(OSError, match=r"as many files open as it may.*ulimit -n"):
        sp.pp.open_cells(given["a"])


def test_what_fails_on_the_way_leaves_nothing(studies, tmp_path, small_windows, monkeypatch):
    _, given = studies
    before = sorted(tmp_path.iterdir())

    def full(*_):
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(np, "fromfile", full)
    with pytest.raises(OSError, match="disk is gone"):
        sp.pp.write_store(given, tmp_path / "store.zarr")
    assert sorted(tmp_path.iterdir()) == before


def test_no_counts_and_no_common_gene_are_refused_before_any_work(studies, tmp_path):
    parts, given = studies
    logs = parts["c"].copy()
    logs.X = np.log1p(logs.X.toarray())
    with pytest.raises(sp.pp.QueryError, match=r"study 'c'.*log"):
        sp.pp.write_store({**given, "c": logs}, tmp_path / "store.zarr")
    other = parts["c"].copy()
    other.var_names = "z" + other.var_names
    with pytest.raises(ValueError, match="share no gene"):
        sp.pp.write_store({**given, "c": other}, tmp_path / "store.zarr")
    assert not (tmp_path / "store.zarr").exists()

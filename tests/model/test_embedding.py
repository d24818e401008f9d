"""Latent means straight from stored counts, against scvi-tools' own."""

from functools import partial

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
import torch
import zarr
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from small_models import NETWORK, cells, reference, setup, split, train

from scarches_plus.model import SCANVI, SCVI

CLASSES = {SCVI: scvi.model.SCVI, SCANVI: scvi.model.SCANVI}
COVARIATES = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"]}
CASES = {
    "plain": ({}, {}),
    "scvi-tools' defaults": ({"encode_covariates": False, "use_layer_norm": "none", "use_batch_norm": "both"}, {}),
    "first layer only": ({"deeply_inject_covariates": False}, COVARIATES),
    "covariates": ({}, COVARIATES),
    "covariates the encoder does not see": ({"encode_covariates": False}, COVARIATES),
    "batch embedding": ({"batch_representation": "embedding"}, COVARIATES),
    "no logarithm": ({"log_variational": False}, {}),
    "modelled library": ({"use_observed_lib_size": False}, {}),
    "normalised expression": ({"gene_likelihood": "mse"}, {}),
    "normalised expression, no logarithm": ({"gene_likelihood": "sse", "log_variational": False}, COVARIATES),
    "one layer, no batch": ({"n_layers": 1}, {"batch_key": None}),
}


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def theirs(model, adata=None, **kwargs):
    """What scvi-tools makes of the cells."""
    return CLASSES[type(model)].get_latent_representation(model, adata, **kwargs)


def cells_with_covariates():
    adata = split(cells(), "batch2")[0]
    adata.obs["donor"] = np.resize(["x", "y", "z"], adata.n_obs)
    adata.obs["age"] = np.linspace(-1, 1, adata.n_obs)
    return adata


def fresh(adata):
    """Return cells that scvi-tools knows nothing of."""
    return AnnData(adata.X.copy(), obs=adata.obs.drop(columns=adata.obs.filter(like="_scvi")), var=adata.var[[]])


@pytest.fixture(scope="module")
def model():
    return reference(SCVI)


@pytest.fixture(scope="module")
def expected(model):
    return theirs(model)


class TestSameNumbers:
    @pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
    @pytest.mark.parametrize("case", CASES)
    def test_every_network(self, cls, case):
        network, columns = CASES[case]
        if cls is SCANVI and "batch_representation" in network:
            pytest.skip("scVI's only")
        model = reference(cls, cells_with_covariates(), setup_kwargs=columns, **network)
        same(model.get_latent_representation(), theirs(model))
        same(model.embed(fresh(model.adata)), theirs(model))

    def test_logistic_normal(self):
        model = reference(SCVI, latent_distribution="ln")
        scvi.settings.seed = 1
        ours = model.get_latent_representation()
        scvi.settings.seed = 1
        np.testing.assert_array_equal(ours, theirs(model))
        embedded = model.embed(fresh(model.adata))
        np.testing.assert_allclose(embedded, ours, atol=0.03)  # 5,000 samples
        np.testing.assert_allclose(embedded.sum(axis=1), 1, rtol=1e-5)

    @pytest.mark.parametrize(
        "kind", ["csc", "csr_array", "dense", "int32", "float64", "unsorted", "repeated", "read-only"]
    )
    def test_any_storage(self, model, expected, kind):
        adata = fresh(model.adata)
        counts = adata.X
        if kind == "unsorted":
            for row in range(counts.shape[0]):
                part = slice(*counts.indptr[row : row + 2])
                counts.indices[part], counts.data[part] = (
                    counts.indices[part][::-1].copy(),
                    counts.data[part][::-1].copy(),
                )
            counts = sparse.csr_matrix((counts.data, counts.indices, counts.indptr), shape=counts.shape)
        elif kind == "repeated":  # every count in two entries, the first of 1
            indices, ones = np.repeat(counts.indices, 2), np.ones_like(counts.data)
            data = np.column_stack([ones, counts.data - 1]).ravel()
            counts = sparse.csr_matrix((data, indices, 2 * counts.indptr), shape=counts.shape)
        elif kind == "read-only":
            counts.data.flags.writeable = counts.indices.flags.writeable = False
        else:
            counts = {"csc": sparse.csc_matrix, "csr_array": sparse.csr_array, "dense": lambda x: x.toarray()}.get(
                kind, lambda x: x.astype(kind)
            )(counts)
        adata.X = counts
        before = adata.X.copy()
        same(model.embed(adata), expected)
        assert (before != adata.X).sum() == 0

    @given(n_rows=st.integers(1, 200))
    @settings(max_examples=10, deadline=None)
    def test_size_of_blocks_does_not_matter(self, model, expected, n_rows):
        same(model.get_latent_representation(batch_size=n_rows), expected)

    @given(data=st.data(), kind=st.sampled_from(["csr", "dense"]))
    @settings(max_examples=10, deadline=None)
    def test_genes_in_any_order_some_missing_some_more(self, model, data, kind):
        adata = fresh(model.adata)
        names = data.draw(st.permutations(list(adata.var_names)))[: data.draw(st.integers(20, 40))]
        n_more = data.draw(st.integers(0, 3))
        shuffled = adata[:, names]
        counts = np.hstack([shuffled.X.toarray(), np.full((adata.n_obs, n_more), 9, np.float32)])
        more = [f"more{i}" for i in range(n_more)]
        counts = sparse.csr_matrix(counts) if kind == "csr" else counts
        query = AnnData(counts, obs=adata.obs, var=pd.DataFrame(index=[*names, *more]))
        zeroed = adata.copy()
        zeroed.X = sparse.csr_matrix(adata.X.multiply(adata.var_names.isin(names).astype(np.float32)))
        same(model.embed(query), theirs(model, zeroed))

    def test_threads_do_not_matter(self, model, expected, limits):
        limits(embedded_by_threads=10)
        n_threads = torch.get_num_threads()
        torch.set_num_threads(3)
        try:
            same(model.embed(fresh(model.adata)), expected)
            same(model.get_latent_representation(batch_size=31), expected)
            assert torch.get_num_threads() == 3
        finally:
            torch.set_num_threads(n_threads)

    def test_some_cells(self, model, expected):
        for some in ([5, 3, 3, -1], np.arange(model.adata.n_obs) % 3 == 0, slice(0, 4)):
            given_ = np.arange(model.adata.n_obs)[some] if isinstance(some, slice) else some
            same(model.get_latent_representation(indices=given_), expected[some])

    def test_cells_of_another_object(self, model):
        other = fresh(model.adata)[::-1].copy()
        same(model.get_latent_representation(other), theirs(model, other.copy()))

    def test_counts_in_a_layer(self):
        adata = split(cells(), "batch2")[0]
        adata.layers["counts"] = adata.X.copy()
        adata.X = np.zeros(adata.shape, np.float32)
        model = reference(SCVI, adata, setup_kwargs={"layer": "counts"})
        same(model.get_latent_representation(), theirs(model))
        plain = fresh(adata)
        plain.X = adata.layers["counts"]
        same(model.embed(plain, layer="X"), theirs(model))

    def test_after_further_training(self):
        model = reference(SCVI)
        model.get_latent_representation()
        train(model)
        same(model.get_latent_representation(), theirs(model))


class TestLeftToScviTools:
    @pytest.mark.parametrize("kwargs", [{"give_mean": False}, {"return_dist": True}, {"shuffle": False}])
    def test_other_requests(self, model, kwargs):
        results = []
        for get in (model.get_latent_representation, partial(theirs, model)):
            scvi.settings.seed = 0
            results.append(get(**kwargs))
        np.testing.assert_array_equal(*results)

    def test_dataloader(self, model, expected):
        loader = model._make_data_loader(adata=model.adata)
        np.testing.assert_array_equal(model.get_latent_representation(dataloader=loader), expected)

    def test_training_mode(self, model, expected):
        model.module.train()
        assert np.abs(model.get_latent_representation() - expected).max() > 1e-3  # dropout, as in scvi-tools
        model.module.eval()

    def test_untrained_and_no_cells(self, tmp_path, model):
        adata = cells()
        setup(SCVI, adata)
        with pytest.raises(RuntimeError, match="untrained"):
            SCVI(adata, **NETWORK).get_latent_representation()
        model.save(tmp_path / "model")
        with pytest.raises((ValueError, AttributeError)):
            SCVI.load(tmp_path / "model", adata=False).get_latent_representation()


def test_the_state_of_random_numbers_stays(model):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    model.embed(fresh(model.adata))
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_what_is_no_count_warns(model):
    adata = fresh(model.adata)
    adata.X = np.log1p(adata.X.toarray())
    with pytest.warns(UserWarning, match="no raw counts"):
        model.embed(adata)


@pytest.mark.filterwarnings("ignore")
def test_progress_only_when_it_takes_long(model, limits, capsys, on_screen):
    adata = fresh(model.adata)
    model.embed(adata)
    assert "Embedding" not in capsys.readouterr().err
    limits(embedding_seconds=0)
    model.embed(adata)
    assert "Embedding" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data")
class TestOnDisk:
    @pytest.fixture(params=["h5ad", "h5ad dense", "zarr", "h5 group", "zarr dense"])
    def on_disk(self, request, model, tmp_path):
        adata = fresh(model.adata)
        if "dense" in request.param:
            adata.X = adata.X.toarray()
        path = tmp_path / "cells"
        if "zarr" in request.param:
            adata.write_zarr(path)
            stored = zarr.open_group(path, mode="r")["X"]
            stored = stored if "dense" in request.param else anndata.io.sparse_dataset(stored)
            yield AnnData(stored, obs=adata.obs, var=adata.var)
        else:
            adata.write_h5ad(path)
            backed = anndata.read_h5ad(path, backed="r")
            if request.param == "h5 group":
                yield AnnData(anndata.io.sparse_dataset(backed.file["X"]), obs=adata.obs, var=adata.var)
            else:
                yield backed
            backed.file.close()

    @pytest.fixture(autouse=True)
    def small_blocks(self, limits):
        limits(on_disk=40 * 17)

    def test_all(self, model, on_disk, expected):
        same(model.embed(on_disk), expected)

    def test_views(self, model, on_disk, expected):
        rows = np.random.default_rng(0).permutation(on_disk.n_obs)[:50]
        same(model.embed(on_disk[rows]), expected[rows])
        mask = np.arange(on_disk.n_obs) % 2 == 1
        same(model.embed(on_disk[mask, ::-1]), expected[mask])
        same(model.embed(on_disk[3:60]), expected[3:60])
        ends = np.r_[-9:9]
        same(model.embed(on_disk[ends]), expected[ends])

    def test_backed_cells_of_the_model(self, model, tmp_path, expected):
        fresh(model.adata).write_h5ad(tmp_path / "cells.h5ad")
        backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
        same(model.get_latent_representation(backed), expected)
        same(model.get_latent_representation(backed, indices=[1, 4, 6]), expected[[1, 4, 6]])
        backed.file.close()


def test_no_cells_have_no_rows(model):
    none = model.adata[:0].copy()
    assert model.embed(none).shape == (0, model.module.n_latent)
    assert model.get_latent_representation(indices=[]).shape == (0, model.module.n_latent)

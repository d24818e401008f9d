"""A small reference, its model and a query, made once for all cases of cells."""

from functools import cache

import numpy as np
import scvi
from scipy import sparse
from small_models import TOTALVI, cells, reference, split, with_proteins

import scarches_plus as sp

QUICK = {"enable_progress_bar": False}
FAST = {"max_epochs": 1, "train_kwargs": QUICK}


@cache
def _all_cells():
    adata = cells(n_cells=480, n_batches=4)
    adata.obs_names = [f"cell{i}" for i in range(adata.n_obs)]
    return split(adata, "batch2", "batch3")


@cache
def _built(recipe):
    scvi.settings.seed = 0
    ref = _all_cells()[0].copy()
    network = {"n_hidden": 12, "n_latent": 4}
    model = sp.tl.build_reference(
        ref, "batch", "cell_type", recipe=recipe, max_epochs=3, model_kwargs=network, train_kwargs=QUICK
    )
    return ref, model


def model(recipe="scvi"):
    """A trained reference model; not to be changed."""
    return _built(recipe)[1]


def ref(recipe="scvi"):
    """Its cells with their embedding."""
    return _built(recipe)[0].copy()


def query():
    """Cells of two further batches with raw counts."""
    return _all_cells()[1].copy()


@cache
def _mapped():
    adata = query()
    sp.tl.map_query(adata, model(), **FAST)
    return adata


def mapped():
    """The same with their embedding."""
    return _mapped().copy()


@cache
def proteins_model():
    """A totalVI model of genes and proteins."""
    return reference(TOTALVI, with_proteins(_all_cells()[0]))


def proteins_query():
    """Genes and proteins of the query."""
    return with_proteins(query())


def with_x(adata, function):
    """The same cells with other values: `function` takes and returns a dense array."""
    adata = adata.copy()
    values = np.asarray(function(adata.X.toarray().astype(np.float64)), dtype=np.float32)
    adata.X = sparse.csr_matrix(values)
    return adata


def per_cell(values, target=1e4):
    """Values that sum to `target` in each cell."""
    return values / np.maximum(values.sum(axis=1, keepdims=True), 1) * target


class LikeDask:
    """What of dask arrays is used: slices that are computed when asked for."""

    def __init__(self, x):
        self._x, self.shape, self.dtype = x, x.shape, x.dtype

    def __getitem__(self, rows):
        return LikeDask(self._x[rows])

    def compute(self):
        return self._x

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import scarches_plus as sp


def cells(counts=None):
    counts = np.random.default_rng(0).poisson(1.0, (20, 6)) if counts is None else counts
    obs = {"label": ["ctrl", "stim"] * 10, "cell_type": ["B cells"] * 12 + ["NK cells"] * 8, "replicate": ["p1"] * 20}
    return AnnData(sparse.csc_matrix(counts.astype(np.float32)), pd.DataFrame(obs, [f"c{i}" for i in range(20)]))


def saved(adata, folder):
    adata.write_h5ad(folder / "cells.h5ad")
    return folder / "cells.h5ad"


def test_counts_batches_and_labels_lie_where_the_verbs_look(publish_data, tmp_path):
    published = cells()
    server = publish_data("kang", cells=saved(published, tmp_path))
    adata = sp.datasets.kang()
    assert (adata.X != published.X).nnz == 0
    assert adata.X.format == "csr"
    assert adata.obs["batch"].tolist() == published.obs["label"].tolist()
    assert adata.obs["cell_type"].tolist() == published.obs["cell_type"].tolist()
    assert adata.obs["cell_type"].dtype == "category"
    sp.datasets.kang()
    assert len(server.requests) == 1, "kept"


def test_a_file_of_another_kind_is_named(publish_data, tmp_path):
    publish_data("kang", cells=saved(cells(np.full((20, 6), 0.5)), tmp_path))
    with pytest.raises(OSError, match=r"kang_2018.h5ad does not hold raw counts, such as \[0.5"):
        sp.datasets.kang(cache_dir=tmp_path / "one")
    adata = cells()
    del adata.obs["label"]
    publish_data("kang", cells=saved(adata, tmp_path))
    with pytest.raises(OSError, match=r"kang_2018.h5ad has no obs columns \['label'\]"):
        sp.datasets.kang(cache_dir=tmp_path / "other")

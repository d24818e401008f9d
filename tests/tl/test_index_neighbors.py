"""An index of a reference: the same neighbours by every method, in files, and where it is not the reference's."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scarches_plus as sp


def cells(n, seed, d=6):
    """Cells of five types, far enough apart for one right label."""
    centers = 6 * np.random.default_rng(99).normal(size=(5, d))
    rng = np.random.default_rng(seed)
    types = rng.integers(0, 5, n)
    obs = pd.DataFrame({"cell_type": [f"type{i}" for i in types]}, index=[f"{seed}-{i}" for i in range(n)])
    latent = (centers[types] + rng.normal(size=(n, d))).astype(np.float32)
    return AnnData(obs=obs, obsm={"X_scarches": latent})


def kept(adata, use_rep="X_scarches"):
    return adata.uns["scarches_plus"]["neighbor_index"][use_rep]


def transferred(reference):
    query = cells(80, 1)
    sp.tl.transfer_labels(query, reference, "cell_type", k=9)
    return query.obs[["cell_type_pred", "cell_type_uncertainty"]].astype({"cell_type_pred": str})


@pytest.fixture
def reference():
    return cells(700, 0)


def test_it_holds_centres_and_the_region_of_every_cell(reference):
    sp.tl.index_neighbors(reference)
    index, latent = kept(reference), reference.obsm["X_scarches"]
    assert index["method"] == "exact"
    apart = np.linalg.norm(latent[:, None] - index["centers"], axis=2)
    np.testing.assert_allclose(apart[np.arange(700), index["regions"]], apart.min(axis=1), rtol=1e-6)


@pytest.mark.parametrize("method", ["auto", "exact"])
def test_labels_are_those_without(reference, method):
    expected = transferred(reference)
    sp.tl.index_neighbors(reference, method=method)
    pd.testing.assert_frame_equal(transferred(reference), expected)


def test_it_is_written_with_the_cells(reference, tmp_path):
    sp.tl.index_neighbors(reference)
    reference.write_h5ad(tmp_path / "reference.h5ad")
    read = anndata.read_h5ad(tmp_path / "reference.h5ad")
    for part in ("centers", "regions"):
        np.testing.assert_array_equal(kept(read)[part], kept(reference)[part])
    pd.testing.assert_frame_equal(transferred(read), transferred(reference))


def test_explanations_and_presence_search_by_it(reference, caplog):
    query = cells(40, 1)
    expected = sp.tl.explain_labels(query, reference, "cell_type", k=7), sp.tl.presence(reference, query, k=7)
    sp.tl.index_neighbors(reference)
    found = sp.tl.explain_labels(query, reference, "cell_type", k=7), sp.tl.presence(reference, query, k=7)
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(one, other)
    kept(reference)["regions"][:] = 0
    with caplog.at_level("WARNING", logger="scarches_plus"):
        sp.tl.explain_labels(query, reference, "cell_type", k=7)
        sp.tl.presence(reference, query, k=7)
    assert [("left aside" in record.message) for record in caplog.records] == [True, True]


def test_an_index_by_a_library_that_is_not_here_is_left_aside(reference, caplog):
    """A reference that others indexed with a GPU still labels."""
    query = cells(40, 1)
    expected = sp.tl.explain_labels(query, reference, "cell_type", k=7)
    sp.tl.index_neighbors(reference)
    kept(reference)["method"] = "cuml"
    with caplog.at_level("WARNING", logger="scarches_plus"):
        pd.testing.assert_frame_equal(sp.tl.explain_labels(query, reference, "cell_type", k=7), expected)
    assert "needs cuml, which is not installed" in caplog.text


def test_a_part_of_the_reference_is_searched_without_it(reference, caplog):
    sp.tl.index_neighbors(reference)
    part = reference[:500].copy()
    with caplog.at_level("WARNING", logger="scarches_plus"):
        found = transferred(part)
    assert "it is of 700 cells, and there are 500; sp.tl.index_neighbors makes one anew" in caplog.text
    sp.tl.index_neighbors(part)
    caplog.clear()
    pd.testing.assert_frame_equal(transferred(part), found)
    assert not caplog.records


def test_another_embedding_has_another_index(reference):
    reference.obsm["X_pca"] = reference.obsm["X_scarches"][:, :3].copy()
    sp.tl.index_neighbors(reference)
    sp.tl.index_neighbors(reference, use_rep="X_pca")
    assert [kept(reference, name)["centers"].shape[1] for name in ("X_scarches", "X_pca")] == [6, 3]


def test_a_copy(reference):
    copied = sp.tl.index_neighbors(reference, copy=True)
    assert "scarches_plus" not in reference.uns
    assert kept(copied)["method"] == "exact"


def test_what_is_not_there(reference):
    with pytest.raises(KeyError, match="'X_pca' not found"):
        sp.tl.index_neighbors(reference, use_rep="X_pca")
    with pytest.raises(ValueError, match="method"):
        sp.tl.index_neighbors(reference, method="usearch")
    with pytest.raises(ModuleNotFoundError, match="needs cuml, which is not installed"):
        sp.tl.index_neighbors(reference, method="cuml")
    assert "scarches_plus" not in reference.uns

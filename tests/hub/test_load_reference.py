import numpy as np
import pytest

import scarches_plus as sp


def test_what_was_put_in(bundle, ref, model, query):
    cells = sp.hub.load_reference(bundle)
    np.testing.assert_array_equal(cells.obsm["X_scarches"], model.embed(ref))
    assert cells.obs["cell_type"].tolist() == ref.obs["cell_type"].tolist()
    assert cells.obs.columns.tolist() == ["cell_type"]
    np.testing.assert_array_equal(cells.X.toarray(), ref.X.toarray())
    assert cells.var_names.tolist() == ref.var_names.tolist()
    assert not set(cells.obs_names) & set(ref.obs_names)


def test_labels_are_transferred_from_it(bundle, query):
    query = query.copy()
    sp.tl.map_query(query, sp.hub.load_bundle(bundle), max_epochs=1, train_kwargs={"enable_progress_bar": False})
    sp.tl.transfer_labels(query, sp.hub.load_reference(bundle), "cell_type")
    assert "cell_type_pred" in query.obs


def test_genes_in_another_order_umap_and_missing_labels(model, ref, tmp_path):
    shuffled = ref[:, ::-1].copy()
    shuffled.obsm["X_umap"] = np.random.default_rng(0).normal(size=(ref.n_obs, 2))
    shuffled.obs["state"] = np.where(np.arange(ref.n_obs) % 3, "a", None)
    folder = sp.hub.save_bundle(
        model,
        tmp_path / "bundle",
        reference=shuffled,
        include=["umap", "counts", "labels"],
        labels_key="state",
        summary=False,
    )
    cells = sp.hub.load_reference(folder)
    np.testing.assert_array_equal(cells.X.toarray(), ref.X.toarray())
    np.testing.assert_allclose(cells.obsm["X_umap"], shuffled.obsm["X_umap"], rtol=1e-6)
    assert cells.obs["state"].isna().to_numpy().tolist() == (np.arange(ref.n_obs) % 3 == 0).tolist()
    sp.hub.verify_bundle(folder)


def test_means_and_variances_of_the_latent_posterior(model, ref, tmp_path):
    embedded = sp.tl.embed(ref, model, copy=True)
    embedded = embedded[::-1, ::-1].copy()
    folder = sp.hub.save_bundle(model, tmp_path / "bundle", reference=embedded, include=["latent", "variance"])
    cells = sp.hub.load_reference(folder)
    means, variances = model.get_latent_representation(return_dist=True)
    np.testing.assert_allclose(cells.obsm["X_scarches"], means[::-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cells.obsm["X_scarches_variance"], variances[::-1], rtol=1e-5, atol=1e-7)
    sp.hub.verify_bundle(folder)
    with pytest.raises(ValueError, match="ask for 'latent', too"):
        sp.hub.save_bundle(model, tmp_path / "other", reference=embedded, include="variance")
    foreign = embedded.copy()
    foreign.obs["batch"] = "elsewhere"
    with pytest.raises(ValueError, match=r"the model knows no \['elsewhere'\]"):
        sp.hub.save_bundle(model, tmp_path / "other", reference=foreign, include=["latent", "variance"])


def test_without_cells(model, tmp_path):
    folder = sp.hub.save_bundle(model, tmp_path / "bundle")
    with pytest.raises(sp.hub.BundleError, match="no reference cells"):
        sp.hub.load_reference(folder)


def test_an_index_of_neighbours(model, ref, tmp_path, caplog):
    embedded = sp.tl.embed(ref, model, copy=True)
    asked = {"reference": embedded, "labels_key": "cell_type"}
    with pytest.raises(ValueError, match=r"has no index of .* call sp.tl.index_neighbors"):
        sp.hub.save_bundle(model, tmp_path / "other", include=["latent", "index"], **asked)
    sp.tl.index_neighbors(embedded, method="exact")
    with pytest.raises(ValueError, match="ask for 'latent', too"):
        sp.hub.save_bundle(model, tmp_path / "other", include=["labels", "index"], **asked)
    folder = sp.hub.save_bundle(model, tmp_path / "bundle", include=["latent", "labels", "index"], **asked)
    sp.hub.verify_bundle(folder)
    cells = sp.hub.load_reference(folder)
    kept, index = (one.uns["scarches_plus"]["neighbor_index"]["X_scarches"] for one in (cells, embedded))
    assert kept["method"] == index["method"] == "exact"
    for part in ("centers", "regions"):
        np.testing.assert_array_equal(kept[part], index[part])
    query = sp.tl.embed(ref, model, copy=True)
    with caplog.at_level("WARNING", logger="scarches_plus"):
        sp.tl.transfer_labels(query, cells, "cell_type", k=5)
    assert not caplog.records

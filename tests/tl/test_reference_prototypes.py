"""Prototypes stand for cells: means of at least 20 of one label and one batch, that vote and draw like cells."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scarches_plus as sp

LATENT = "X_scarches"


def cells_of(sizes, rng=0, spread=1.0, d=5):
    """Draw ``sizes[label][batch]`` cells of each label and batch."""
    draw = np.random.default_rng(rng)
    groups = [(label, batch, n) for label, row in enumerate(sizes) for batch, n in enumerate(row)]
    obs = pd.DataFrame({
        "type": np.concatenate([np.full(n, f"type{label}") for label, _, n in groups]),
        "batch": np.concatenate([np.full(n, f"batch{batch}") for _, batch, n in groups]),
    })  # fmt: skip
    centers = 6 * draw.normal(size=(len(sizes), d))
    latent = np.concatenate([centers[label] + spread * draw.normal(size=(n, d)) for label, _, n in groups])
    order = draw.permutation(len(obs))
    return anndata.AnnData(obs=obs.iloc[order].set_axis([f"cell{row}" for row in order]), obsm={LATENT: latent[order]})


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 120), min_size=2, max_size=2), min_size=1, max_size=4),
    st.integers(1, 12),
    st.integers(0, 99),
)
def test_prototypes_are_means_of_cells_that_belong_together(sizes, most, rng):
    adata = cells_of(sizes, rng)
    able = {f"type{label}": sum(row) for label, row in enumerate(sizes) if sum(row) >= 20}
    if not able:
        if adata.n_obs:
            with pytest.raises(ValueError, match="20 cells"):
                sp.tl.reference_prototypes(adata, "type", "batch", n_prototypes=most)
        return
    if len(able) > most:
        with pytest.raises(ValueError, match=f"there are {len(able)} labels"):
            sp.tl.reference_prototypes(adata, "type", "batch", n_prototypes=most)
        return
    found = sp.tl.reference_prototypes(adata, "type", "batch", n_prototypes=most, rng=rng)
    assert 1 <= found.n_obs <= most
    assert found.obs["n_cells"].min() >= 20
    assert found.obs.groupby("type", observed=True)["n_cells"].sum().to_dict() == able  # every cell counts
    for label, batch in {*zip(found.obs["type"], found.obs["batch"], strict=True)}:
        if pd.isna(batch):  # a label's batches of fewer than 20 cells, joined
            continue
        rows = (found.obs["type"] == label).to_numpy() & (found.obs["batch"] == batch).to_numpy()
        own = (adata.obs["type"] == label).to_numpy() & (adata.obs["batch"] == batch).to_numpy()
        weights = found.obs["n_cells"].to_numpy()[rows]
        assert weights.sum() <= own.sum()
        if weights.sum() == own.sum():
            mean = np.average(found.obsm[LATENT][rows], axis=0, weights=weights)
            np.testing.assert_allclose(mean, adata.obsm[LATENT][own].mean(axis=0), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["paper", "gaussian"]), st.integers(1, 12), st.integers(0, 99))
def test_prototypes_vote_by_bayes_rule(kernel, k, rng):
    """Against Gaussians that are as wide as the five nearest prototypes are far; the kernel is that of cells."""
    found = sp.tl.reference_prototypes(cells_of([[90, 40], [25, 30], [15, 10]], rng, spread=5.0), "type", "batch")
    query = cells_of([[5, 5], [5, 5]], rng + 1, spread=5.0)
    sp.tl.transfer_labels(query, found, "type", k=k, kernel=kernel, unknown_above=None, probabilities=True)
    names = query.uns["scarches_plus"]["probability_labels"]["type"]
    for row, cell in enumerate(query.obsm[LATENT]):
        squares = ((found.obsm[LATENT].astype(float) - cell) ** 2).sum(axis=1)
        nearest = np.argsort(squares)[:k]
        variance = squares[nearest][:5].mean() / len(cell)
        density = found.obs["n_cells"].to_numpy()[nearest] * np.exp(-squares[nearest] / (2 * variance))
        shares = [density[(found.obs["type"] == name).to_numpy()[nearest]].sum() for name in names]
        np.testing.assert_allclose(query.obsm["type_probabilities"][row], shares / np.sum(shares), atol=1e-5)
    told = sp.tl.explain_labels(query, found, "type", k=k, kernel=kernel, unknown_above=None)
    assert told["prediction"].tolist() == query.obs["type_pred"].tolist()
    first = told["neighbor_labels"].iloc[0]
    squares = ((found.obsm[LATENT].astype(float) - query.obsm[LATENT][0]) ** 2).sum(axis=1)
    voted = found.obs.iloc[np.argsort(squares)[:k]]
    for name, n in voted.groupby("type", observed=True)["n_cells"].sum().items():
        assert f"{name} {n}" in first


def test_as_many_as_there_are_groups_of_twenty():
    """No more, whatever is asked for, and each near the cells that it stands for."""
    adata = cells_of([[400, 400], [200, 0]])
    found = sp.tl.reference_prototypes(adata, "type", "batch")
    assert found.obs["n_cells"].sum() == 1000
    assert found.obs["n_cells"].between(20, 39).all()
    again = sp.tl.reference_prototypes(adata, "type", "batch")
    np.testing.assert_array_equal(found.obsm[LATENT], again.obsm[LATENT])
    spread = {name: np.var(one.obsm[LATENT][(one.obs["type"] == "type0").to_numpy()], axis=0).sum() for name, one in (("cells", adata), ("prototypes", found))}  # fmt: skip
    assert 0.3 * spread["cells"] < spread["prototypes"] < spread["cells"]


def test_few_cells_and_cells_without_a_label(caplog):
    adata = cells_of([[100, 10], [9, 10], [60, 10], [15, 15]])
    adata.obs["type"] = adata.obs["type"].astype(object)
    adata.obs.loc[adata.obs["type"] == "type2", "type"] = "Unknown"
    with caplog.at_level("WARNING"):
        found = sp.tl.reference_prototypes(adata, "type", "batch")
    assert "type1" in caplog.text
    assert list(found.obs["type"].cat.categories) == ["type0", "type3"]
    assert found.obs.loc[found.obs["type"].isna(), "n_cells"].sum() == 70
    assert found.obs.loc[found.obs["type"] == "type0", "n_cells"].sum() == 110  # with the ten of the other batch
    rare = found.obs[found.obs["type"] == "type3"]
    assert rare["n_cells"].tolist() == [30]
    assert rare["batch"].isna().all()


def test_prototypes_vote_like_the_cells():
    """On labels that overlap and a rare one, against the cells, and against as many of them as there are prototypes."""
    adata = cells_of([[9000, 3000], [6000, 6000], [2000, 0], [4000, 4000], [120, 40]], spread=4.0)
    of_query = np.arange(adata.n_obs) % 20 == 0
    cells, query = adata[~of_query].copy(), adata[of_query].copy()
    small = sp.tl.reference_prototypes(cells, "type", "batch", n_prototypes=1000)
    right = {}
    for name, reference in {"cells": cells, "prototypes": small, "some": cells[:: cells.n_obs // 1000].copy()}.items():
        labelled = sp.tl.transfer_labels(query, reference, "type", unknown_above=None, copy=True)
        right[name] = (labelled.obs["type_pred"].astype(str) == query.obs["type"]).mean()
    assert small.n_obs == 1000
    assert right["prototypes"] > right["cells"] - 0.005
    assert right["prototypes"] > right["some"]


def test_prototypes_are_the_points_of_a_map(tmp_path):
    """The map votes as they do, before it travels in a bundle and after."""
    model = sp.load("simulated-scanvi")
    adata = sp.datasets.simulate(3000, 150, 6, n_batches=4, mean_depth=2000.0, rng=0)
    adata = adata[adata.obs["batch"].isin(model.spec.batches)].copy()
    sp.tl.embed(adata, model)
    cells, query = adata[::2].copy(), adata[1::2].copy()
    small = sp.tl.reference_prototypes(cells, "cell_type", "batch")
    assert small.n_obs < cells.n_obs / 20
    assert small.uns["scarches_plus"]["embeddings"] == cells.uns["scarches_plus"]["embeddings"]
    picture = sp.tl.reference_map(small, labels_key="cell_type", rng=0)
    assert picture.n_cells.tolist() == small.obs["n_cells"].tolist()
    assert picture.without_cells() is picture
    sp.tl.place(query, picture)
    assert np.isfinite(query.obsm["X_map"]).all()
    table = sp.tl.presence(small, query, labels_key="cell_type")
    expected = small.obs.groupby("cell_type", observed=True)["n_cells"].sum()
    assert table["n_reference"].to_dict() == expected.to_dict()
    folder = sp.hub.save_bundle(model, tmp_path / "bundle", summary=sp.tl.ReferenceSummary(map=picture))
    small.write_h5ad(tmp_path / "small.h5ad")
    references = {
        "prototypes": small,
        "file": anndata.read_h5ad(tmp_path / "small.h5ad"),
        "map": picture,
        "summary": sp.hub.load_summary(folder),
    }
    uncertainty = {}
    for name, reference in references.items():
        sp.tl.transfer_labels(query, reference, "cell_type")
        assert (query.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.9
        assert "prototypes of" in query.uns["scarches_plus"]["transfer"]["cell_type"]["labels"]
        uncertainty[name] = query.obs["cell_type_uncertainty"].to_numpy()
    for found in uncertainty.values():
        np.testing.assert_allclose(found, uncertainty["prototypes"], atol=1e-5)
    with pytest.raises(ValueError, match="one column"):
        sp.tl.transfer_labels(query, picture, ["cell_type", "batch"])
    with pytest.raises(ValueError, match="no labels"):
        sp.tl.transfer_labels(query, sp.tl.reference_map(small), "cell_type")
    with pytest.raises(ValueError, match="which latent space"):
        sp.tl.transfer_labels(cells_of([[30, 30]], d=10), picture, "type")


def test_every_label_has_a_prototype_where_groups_are_more():
    """Batches are joined where labels and batches together are more than prototypes."""
    draw = np.random.default_rng(0)
    types = draw.choice(6, 6000, p=[0.5, 0.3, 0.1, 0.06, 0.03, 0.01])
    sizes = [
        [int(n) for n in np.bincount(draw.integers(20, size=(types == one).sum()), minlength=20)] for one in range(6)
    ]
    adata = cells_of(sizes)
    for n_prototypes in (60, 20, 6):
        found = sp.tl.reference_prototypes(adata, "type", "batch", n_prototypes=n_prototypes)
        assert found.n_obs <= n_prototypes
        assert found.obs["n_cells"].sum() == adata.n_obs
        assert set(found.obs["type"]) == set(adata.obs["type"])
    with pytest.raises(ValueError, match="there are 6 labels"):
        sp.tl.reference_prototypes(adata, "type", "batch", n_prototypes=5)


def test_prototypes_are_not_counted_as_cells(tmp_path):
    """They are refused where a row is a cell, and say what they are in the record."""
    adata = cells_of([[300, 300], [200, 100], [3, 3]])
    adata.obs["type"] = adata.obs["type"].replace("type2", "Unknown").astype("category")
    adata.uns["type_colors"] = ["#000000", "#111111", "#222222"]
    small = sp.tl.reference_prototypes(adata, "type", "batch")
    assert small.uns["type_colors"] == ["#111111", "#222222"]
    query = cells_of([[10, 10]])
    sp.tl.transfer_labels(query, small, "type", kernel="scarches")
    assert query.uns["scarches_plus"]["transfer"]["type"]["kernel"] == "prototypes"
    with pytest.raises(ValueError, match="each of which would count as one cell"):
        sp.tl.differential_abundance(query, "type", reference=small)
    with pytest.raises(ValueError, match=r"ReferenceSummary\(map="):
        sp.hub.save_bundle(sp.load("simulated-scvi"), tmp_path / "bundle", reference=small, include=["latent"])
    joined = anndata.concat([small, adata], join="outer", uns_merge="first")
    with pytest.raises(KeyError, match="after joining prototypes with cells"):
        sp.tl.transfer_labels(query, joined, "type")


def test_a_classifier_has_to_know_the_labels_of_prototypes():
    """By the cells that they stand for: a few prototypes of a label are many cells."""
    model = sp.load("simulated-scanvi")
    adata = sp.datasets.simulate(1200, 150, 6, n_batches=4, mean_depth=2000.0, rng=0)
    adata = adata[adata.obs["batch"].isin(model.spec.batches)].copy()
    sp.tl.embed(adata, model)
    cells, query = adata[::2].copy(), adata[1::2].copy()
    small = sp.tl.reference_prototypes(cells, "cell_type", "batch")
    assert (
        small.obs["cell_type"].value_counts().max()
        < 20
        < small.obs.groupby("cell_type", observed=True)["n_cells"].sum().min()
    )
    some = cells[cells.obs["cell_type"] != "type0"].copy()
    classifier = sp.tl.expression_classifier(some, "cell_type", batch_key="batch", use_rep="X_scarches")
    for reference in (cells, small):
        with pytest.raises(ValueError, match=r"does not know the reference's labels \['type0'\]"):
            sp.tl.transfer_labels(query, reference, "cell_type", classifier=classifier)
        with pytest.raises(ValueError, match=r"does not know the reference's labels \['type0'\]"):
            sp.tl.explain_labels(query, reference, "cell_type", classifier=classifier)


def test_prototypes_that_lost_their_column_do_not_vote():
    small = sp.tl.reference_prototypes(cells_of([[60, 60], [60, 60]]), "type", "batch")
    del small.obs["n_cells"]
    with pytest.raises(KeyError, match="reference_prototypes"):
        sp.tl.transfer_labels(cells_of([[5, 5]]), small, "type")


def test_a_column_of_the_result_is_not_overwritten():
    adata = cells_of([[100, 100]])
    adata.obs["n_cells"] = adata.obs["type"]
    with pytest.raises(ValueError, match="n_cells"):
        sp.tl.reference_prototypes(adata, "n_cells", "batch")
    with pytest.raises(KeyError, match="nothing"):
        sp.tl.reference_prototypes(adata, "type", "nothing")
    with pytest.raises(KeyError, match="X_pca"):
        sp.tl.reference_prototypes(adata, "type", "batch", use_rep="X_pca")


def test_what_reads_counts_says_that_prototypes_have_none():
    adata = sp.datasets.simulate(600, 100, 3, n_batches=2)
    adata.obsm[LATENT] = cells_of([[200, 200], [200, 0]]).obsm[LATENT]
    small = sp.tl.reference_prototypes(adata, "cell_type", "batch")
    query = adata[:100].copy()
    verbs = {
        "annotate": lambda: sp.tl.annotate(query, small, "cell_type"),
        "label_profiles": lambda: sp.tl.label_profiles(small, "cell_type", "batch"),
        "expression_classifier": lambda: sp.tl.expression_classifier(small, "cell_type"),
        "reference_summary": lambda: sp.tl.reference_summary(small, "cell_type", "batch"),
        "rank_genes": lambda: sp.tl.rank_genes(small, "cell_type"),
    }
    for name, verb in verbs.items():
        with pytest.raises(KeyError, match=r"prototypes.*no counts: pass the cells that they stand for"):
            pytest.fail(f"{name} took prototypes: {verb()}")
    with pytest.raises(ValueError, match=r"no genes.*: pass its cells with counts, or its summary"):
        sp.tl.detect_novel(query, small, labels_key="cell_type", batch_key="batch")


def test_joined_with_cells_they_stay_prototypes():
    """To be drawn; what takes each row for a cell, or for a prototype, refuses both together."""
    cells = cells_of([[200, 100], [100, 200]])
    small = sp.tl.reference_prototypes(cells, "type", "batch")
    joint = sp.tl.joint_embedding(small, cells)
    assert joint.obs["mapping_role"].value_counts().to_dict() == {"query": 600, "reference": small.n_obs}
    with pytest.raises(KeyError, match="as after joining prototypes with cells"):
        sp.tl.transfer_labels(cells, joint, "type")
    assert not sp.tl.joint_embedding(cells, cells).uns["scarches_plus"].get("prototypes")

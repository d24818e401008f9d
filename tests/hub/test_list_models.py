"""The table of models, and the models that come with the package."""

from pathlib import Path

import numpy as np
import pytest
import scvi
from golden_references import N_GOLDEN, cells_of, query_of
from shipped import FOLDER, NAMES, RECIPES

import scarches_plus as sp

GOLDEN = Path(__file__).parent / "golden" / "references.npz"


def test_the_package_brings_a_model_for_each_kind_of_recipe():
    table = sp.hub.list_models(offline=True)
    assert table["name"].tolist() == sorted(NAMES)
    assert set(table["recipe"]) == set(RECIPES) <= set(sp.model.RECIPES)
    assert table.loc[table["name"] == "pbmc68k-scanvi", ["species", "tissue", "genes"]].to_numpy().tolist() == [
        ["human", "blood", 765]
    ]
    assert (table["labels"].str.len() > 0).all()
    assert table["bytes"].sum() < 3.3e6
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 3.3e6


@pytest.mark.parametrize("name", NAMES)
def test_they_embed_cells_as_they_did_when_they_were_built(name, tmp_path):
    model = sp.hub.load(name, cache_dir=tmp_path, offline=True)
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(model.embed(cells_of(name)), golden[name], atol=1e-5, rtol=0)
    evaluation = sp.hub.info(name, cache_dir=tmp_path, offline=True).card.evaluation
    assert evaluation["accuracy of transferred labels"] > 0.75  # chance: a sixth or less
    assert {"mixing", "conservation", "total", "EBM", "KNI", "label accuracy"} <= set(evaluation)
    assert evaluation["total"] == pytest.approx(
        evaluation["mixing"] ** 0.4 * evaluation["conservation"] ** 0.6, abs=2e-3
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name != "simulated-bascvi"])  # which maps nothing
def test_they_map_cells_as_they_did_when_they_were_built(name, tmp_path):
    query, model = query_of(name), sp.hub.load(name, cache_dir=tmp_path, offline=True)
    scvi.settings.seed = 0
    sp.tl.map_query(query, model, max_epochs=3, train_kwargs={"enable_progress_bar": False})
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(query.obsm["X_scarches"][:N_GOLDEN], golden[f"{name}, mapped"], atol=1e-4, rtol=0)


def test_a_query_is_mapped_and_labelled_offline(tmp_path):
    adata = sp.datasets.pbmc68k()
    lanes = sorted(adata.obs["batch"].unique())
    query = adata[adata.obs["batch"].isin(lanes[5:])].copy()
    model = sp.hub.load("pbmc68k-scanvi", cache_dir=tmp_path, offline=True)
    mapped = sp.tl.map_query(query, model, max_epochs=20, train_kwargs={"enable_progress_bar": False})
    sp.tl.transfer_labels(query, mapped, "cell_type", unknown_above=None)
    assert (query.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.75

"""The cards of the models that come with the package: their code runs."""

import re

import pytest
from shipped import FOLDER

import scarches_plus as sp
from scarches_plus.bundle import card_text

BUNDLES = sorted(one.parent for one in FOLDER.glob("*/README.md"))


@pytest.fixture(params=BUNDLES, ids=lambda folder: folder.name)
def shipped(request):
    return request.param


@pytest.fixture
def cells_of_card(shipped):
    """Cells of the batches that the model was not trained on, of the data that the card names."""
    manifest = sp.hub.info(shipped)
    (source,) = re.findall(r"sp\.datasets\.\w+\([^)]*\)", manifest.card.description)
    cells = eval(source, {"sp": sp})
    known = cells.obs["batch"].isin(manifest.cells.batches)
    assert known.sum() == manifest.training.n_cells
    return cells[~known][::3].copy()


def test_there_are_cards():
    assert len(BUNDLES) == len(sp.hub.list_models(offline=True)) > 1


def test_the_card_is_what_this_version_writes(shipped):
    assert (shipped / "README.md").read_text() == card_text(sp.hub.info(shipped).model_dump()), "run make cards"


@pytest.mark.filterwarnings("ignore:the query differs much")
def test_the_example_runs(shipped, cells_of_card, monkeypatch, tmp_path):
    monkeypatch.setenv("SCARCHES_PLUS_OFFLINE", "1")
    monkeypatch.setenv("SCARCHES_PLUS_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # no folder is called as the model is
    (code,) = re.findall(r"```python\n(.*?)```", (shipped / "README.md").read_text(), re.DOTALL)
    assert f"{shipped.name}@" in code
    query = cells_of_card
    truth = query.obs.pop("cell_type").astype(str)
    exec(code, {"query": query})  # noqa: S102 (that is the point)
    found = query.obs["cell_type_pred"].astype(str)
    said = found != "Unknown"
    assert said.mean() > 0.5
    assert (found == truth)[said].mean() > 0.75  # chance: a sixth or less
    if sp.hub.info(shipped).summary.profiles is not None:
        assert query.obs["novel"].mean() < 0.5


def test_the_example_of_a_bundle_without_a_version_opens_its_folder(model, query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sp.hub.save_bundle(model, "folder")
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "folder" / "README.md").read_text(), re.DOTALL)
    assert 'model = sp.hub.load_bundle("folder")\n' in code
    mapped = query.copy()
    exec(code, {"query": mapped})  # noqa: S102
    assert mapped.obsm["X_scarches"].shape == (query.n_obs, model.module.n_latent)
    assert "cell_type_pred" in mapped.obs

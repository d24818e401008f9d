"""The golden model folders are whole, small and still those that the old releases wrote."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from golden_models import cells

FOLDERS = Path(__file__).parent / "golden_models"
TABLE = json.loads((FOLDERS / "golden.json").read_text())
KILOBYTE = 1000
N_CELLS = len(cells.BATCHES["reference"]) * cells.PER_BATCH


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def _size(folder):
    return sum(path.stat().st_size for path in _files(folder))


def test_every_folder_stands_in_the_table():
    assert {path.name for path in FOLDERS.iterdir() if path.is_dir() and path.name[0].isdigit()} == set(
        TABLE["folders"]
    )


@pytest.mark.parametrize("name", TABLE["folders"])
def test_files_are_those_that_the_release_wrote(name):
    folder = FOLDERS / name
    found = {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in _files(folder)}
    assert found == TABLE["folders"][name]["sha256"]


@pytest.mark.parametrize("name", TABLE["folders"])
def test_folders_are_small(name):
    limit = 70 if TABLE["folders"][name]["minified"] else 50  # minified cells are an HDF5 file of 25 kB
    assert _size(FOLDERS / name) <= limit * KILOBYTE


def test_all_folders_together_are_small():
    assert sum(_size(FOLDERS / name) for name in TABLE["folders"]) <= 2000 * KILOBYTE


@pytest.mark.parametrize("name", TABLE["folders"])
def test_what_the_release_gave_is_beside_each_model(name):
    latent = np.load(FOLDERS / name / "latent.npy")
    assert latent.shape == (N_CELLS, 4)
    assert latent.dtype == np.float32
    assert np.isfinite(latent).all()
    assert latent.std(axis=0).min() > 1e-3
    if TABLE["folders"][name]["class"] == "SCANVI":
        soft = np.load(FOLDERS / name / "soft.npy")
        assert soft.shape == (N_CELLS, len(cells.LABELS))
        np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("part", cells.BATCHES)
def test_the_same_cells_are_drawn_again(part):
    assert cells.digest(part) == TABLE["cells"][part]


def test_cells_of_both_kinds_hold_the_same_counts():
    adata, mdata = cells.adata("query"), cells.mdata("query")
    np.testing.assert_array_equal(mdata["rna"].X, adata.X)
    np.testing.assert_array_equal(mdata["protein"].X, adata.obsm["proteins"])
    assert mdata.obs["donor"].tolist() == adata.obs["donor"].tolist()


def test_the_releases_that_changed_what_is_saved_are_there():
    released = {(entry["release"], entry["class"]) for entry in TABLE["folders"].values()}
    releases = ["0.8.1", "0.14.6", "0.20.3", "1.0.4", "1.1.6.post2", "1.2.2.post2", "1.3.3", "1.4.2", "1.5.1"]
    assert {(release, cls) for release in releases for cls in ["SCVI", "SCANVI", "TOTALVI"]} <= released
    layouts = {entry["layout"] for entry in TABLE["folders"].values()}
    assert layouts == {"three files, flat arguments", "three files", "converted", "one file"}

"""Bundles of every release, and of each version of scvi-tools, are read for ever, and mean the same."""

from pathlib import Path

import numpy as np
import pytest
import scvi
from golden_cells import answers, golden_cells
from small_models import as_taken

import scarches_plus as sp

GOLDEN = sorted(Path(__file__).parent.glob("golden/scvi-tools-*"))


def test_there_are_bundles_of_both_generations_of_scvi_tools():
    assert {"scvi-tools-1.4.2", "scvi-tools-1.5.1"} <= {folder.name for folder in GOLDEN}


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_answers_are_those_of_the_machine_that_wrote_them(folder):
    found = answers(folder)
    with np.load(folder / "answers.npz") as expected:
        assert set(found) == set(expected.files)
        for name in expected.files:
            assert expected[name].std() > 0.05
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5, rtol=0, err_msg=name)


@pytest.mark.parametrize(
    "bundle", [one for folder in GOLDEN for one in folder.iterdir() if (one / "manifest.json").exists()], ids=str
)
def test_they_are_whole(bundle):
    manifest = sp.hub.verify_bundle(bundle)
    assert manifest.versions["scvi-tools"] in str(bundle)


@pytest.mark.parametrize("name", ["scvi", "scanvi", "totalvi"])
@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_plain_scvi_tools_opens_exports_of_either_version(folder, name):
    own, plain = {
        "scvi": (sp.model.SCVI, scvi.model.SCVI),
        "scanvi": (sp.model.SCANVI, scvi.model.SCANVI),
        "totalvi": (sp.model.TOTALVI, scvi.model.TOTALVI),
    }[name]
    cells = as_taken(own, golden_cells(folder)[0])
    opened = plain.load(str(folder / "exported" / name), adata=cells)
    np.testing.assert_allclose(opened.get_latent_representation(), expected_of(folder, name), atol=1e-5, rtol=0)
    again = sp.hub.import_model(folder / "exported" / name)
    np.testing.assert_allclose(again.embed(cells), expected_of(folder, name), atol=1e-5, rtol=0)


def expected_of(folder, name):
    with np.load(folder / "answers.npz") as expected:
        return expected[f"{name}/embedding"]

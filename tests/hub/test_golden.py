"""Bundles of every release, and of each version of scvi-tools, are read for ever, and mean the same."""

from pathlib import Path

import numpy as np
import pytest
import scvi
from golden_cells import answers, golden_cells

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


@pytest.mark.parametrize("name", ["scvi", "scanvi"])
@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_plain_scvi_tools_opens_exports_of_either_version(folder, name):
    reference, _ = golden_cells(folder)
    cls = {"scvi": scvi.model.SCVI, "scanvi": scvi.model.SCANVI}[name]
    plain = cls.load(str(folder / "exported" / name), adata=reference)
    np.testing.assert_allclose(plain.get_latent_representation(), expected_of(folder, name), atol=1e-5, rtol=0)
    again = sp.hub.import_model(folder / "exported" / name)
    np.testing.assert_allclose(again.embed(golden_cells(folder)[0]), expected_of(folder, name), atol=1e-5, rtol=0)


def expected_of(folder, name):
    with np.load(folder / "answers.npz") as expected:
        return expected[f"{name}/embedding"]

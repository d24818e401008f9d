"""Bundles of every release, and of each version of scvi-tools, are read for ever, and mean the same."""

from pathlib import Path

import numpy as np
import pytest
from golden_cells import answers

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


@pytest.mark.parametrize("bundle", [one for folder in GOLDEN for one in folder.iterdir() if one.is_dir()], ids=str)
def test_they_are_whole(bundle):
    manifest = sp.hub.verify_bundle(bundle)
    assert manifest.versions["scvi-tools"] in str(bundle)

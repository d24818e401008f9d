"""A small model, and the folder in which it is saved."""

import pytest
from small_models import SCVI, cells, reference, split

import scarches_plus as sp


@pytest.fixture(scope="module")
def model():
    """A small reference."""
    return reference(SCVI, split(cells(), "batch2")[0])


@pytest.fixture
def folder(tmp_path, model):
    """A saved model."""
    model.save(tmp_path / "model")
    sp.model.load(tmp_path / "model")  # what is imported once is no cost of a file
    return tmp_path / "model"

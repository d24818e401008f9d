"""Commands open a model by any path of it, and say what a file is that is none."""

import shutil

import anndata
import pytest
from border_rows import run_command
from small_models import SCVI, cells, split
from small_models import reference as small_reference

import scarches_plus as sp
from scarches_plus import cli

pytestmark = [pytest.mark.border, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A query, and a model that the command build made."""
    folder = tmp_path_factory.mktemp("models")
    reference, query = split(cells(), "batch2")
    reference.write_h5ad(folder / "ref.h5ad")
    query.write_h5ad(folder / "query.h5ad")
    words = ["build", folder / "ref.h5ad", "--batch-key", "batch", "--out", folder / "model", "--max-epochs", 1]
    status, _, err = run_command(cli.main, [str(word) for word in words])
    assert status == 0, err
    return folder


@pytest.fixture
def mapped(border, folder, tmp_path):
    """Map the query onto what a path names."""

    def run(model, case, says="trained", status=0, kind="C3"):
        words = ["map", folder / "query.h5ad", "--model", model, "--out", tmp_path / "out.h5ad", "--max-epochs", 1]
        border.command(words, says, kind=kind, case=case, status=status)
        return anndata.read_h5ad(tmp_path / "out.h5ad") if status == 0 else None

    return run


def test_paths_that_are_a_model(mapped, folder, tmp_path, monkeypatch):
    for model, case in ((folder / "model", "the folder"), (folder / "model" / "model.pt", "model.pt itself")):
        assert mapped(model, f"a model by {case}").n_obs == 80
    monkeypatch.setenv("HOME", str(folder))
    assert mapped("~/model", "a model in the home folder").n_obs == 80
    shutil.copy(folder / "model" / "model.pt", tmp_path / "mine_model.pt")
    assert mapped(tmp_path / "mine_", "a model by what its file names begin with").n_obs == 80
    bundle = sp.hub.save_bundle(small_reference(SCVI), tmp_path / "bundle")
    assert mapped(bundle, "a bundle").n_obs == 80


def _flipped(contents):
    middle = len(contents) // 2
    return contents[:middle] + bytes(byte ^ 255 for byte in contents[middle : middle + 64]) + contents[middle + 64 :]


@pytest.mark.parametrize(
    ("case", "contents", "says"),
    [
        ("truncated", lambda good: good[: len(good) // 2], "model.pt"),
        ("64 flipped bytes", _flipped, "model.pt"),
        ("a web page", lambda good: b"<!DOCTYPE html><html>Sign in</html>", "model.pt"),
        ("empty", lambda good: b"", "model.pt"),
        ("a Git LFS pointer", lambda good: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "model.pt"),
        ("text", lambda good: b"hello", "model.pt"),
        ("a plain pickle", lambda good: b"\x80\x04K\x01.", "model.pt"),
    ],
)
def test_files_that_are_no_model(mapped, folder, tmp_path, case, contents, says):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.pt").write_bytes(contents((folder / "model" / "model.pt").read_bytes()))
    mapped(broken, f"a model file: {case}", says=["error: ", says], status=2)


def test_folders_that_are_no_model(mapped, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    mapped(tmp_path / "empty", "an empty folder", says=["error: ", "empty"], status=2)
    mapped(tmp_path / "nowhere", "no folder", says=["error: ", "nowhere"], status=2)
    mapped(folder / "query.h5ad", "a file of cells as --model", says=["error: ", "query.h5ad"], status=2)

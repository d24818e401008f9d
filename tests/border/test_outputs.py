"""C1: outputs are checked before any work, and what cannot be written in the end is kept."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from killing import as_nobody
from small_models import SCVI, cells, reference, split

import scarches_plus as sp
from scarches_plus import _files

pytestmark = pytest.mark.border
UNPRIVILEGED = "as nobody: "


@pytest.fixture(scope="module")
def model():
    return reference(SCVI)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "in it").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "protected.h5ad").write_text("x")
    (tmp_path / "protected.h5ad").chmod(0o444)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere/at all")
    return tmp_path


FILES = {
    "a folder": ("folder", {}, IsADirectoryError, "name of a file in it"),
    "the working folder": (".", {}, IsADirectoryError, "name of a file in it"),
    "below a file": ("file/x.h5ad", {}, NotADirectoryError, "is not a folder"),
    "deep below a file": ("file/a/b/x.h5ad", {}, NotADirectoryError, "is not a folder"),
    "below a dangling link": ("link/x.h5ad", {}, NotADirectoryError, "is not a folder"),
    "a device": ("/dev/null", {}, FileExistsError, "not a regular file"),
    "a pipe": ("pipe", {}, FileExistsError, "not a regular file"),
    "write-protected": ("protected.h5ad", {}, PermissionError, "chmod u+w"),
    "a name that is too long": ("x" * 300 + ".h5ad", {}, OSError, "too long"),
    "a folder whose name is too long": ("x" * 300 + "/x.h5ad", {}, OSError, "too long"),
    "another type": ("x.csv", {"suffixes": (".h5ad",)}, ValueError, ".h5ad"),
    "no type": ("x", {"suffixes": (".h5ad", ".h5mu")}, ValueError, ".h5ad or .h5mu"),
    "larger than the disk": ("x.h5ad", {"n_bytes": 10**16}, OSError, "free"),
    "a name with a zero": ("x\0.h5ad", {}, ValueError, "no name can have"),
    "a file system that is read-only": ("/proc/x/y.h5ad", {}, OSError, "cannot be written"),
}


@pytest.mark.parametrize("case", FILES)
def test_files(place, border, case):
    path, options, error, says = FILES[case]
    before = sorted(place.rglob("*"))
    border.refused(
        lambda: _files.check_output_file(path, **options),
        error,
        says,
        kind="C1",
        case=f"output file: {case}",
        shown=f"check_output_file({path[:20]!r})",
    )
    assert sorted(place.rglob("*")) == before, "a check leaves nothing"


@pytest.mark.parametrize(
    "path", ["x.h5ad", "new/folders/x.h5ad", "X.H5AD", "ü ñ 文.h5ad", "y" * 250 + ".h5ad", "folder/x.h5ad", "link"]
)
def test_files_that_work(place, border, path):
    before = sorted(place.rglob("*"))
    found = border.works(
        lambda: _files.check_output_file(path, n_bytes=10, suffixes=() if path == "link" else (".h5ad",)),
        lambda found: sorted(place.rglob("*")) == before and found == Path(path),
        kind="C1",
        case="a file that can be written",
        shown=f"check_output_file({path[:20]!r})",
    )
    _files.write_file(found, b"contents")
    assert found.read_bytes() == b"contents"


FOLDERS = {
    "there already": ("folder", {}, FileExistsError, "overwrite=True"),
    "a file": ("file", {"overwrite": True}, FileExistsError, "not a folder"),
    "a link": ("link", {"overwrite": True}, FileExistsError, "but a link"),
    "the working folder": (".", {"overwrite": True}, FileExistsError, "choose a folder in it"),
    "above the working folder": ("..", {"overwrite": True}, FileExistsError, "choose a folder in it"),
    "a disk": ("/proc", {"overwrite": True}, FileExistsError, "choose a folder in it"),
    "the root": ("/", {"overwrite": True}, FileExistsError, "choose a folder in it"),
    "below a file": ("file/a/b", {}, NotADirectoryError, "is not a folder"),
    "larger than the disk": ("x", {"n_bytes": 10**16}, OSError, "make room"),
    "foreign": ("folder", {"overwrite": True, "foreign": lambda _: "it is mine"}, FileExistsError, "it is mine"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_folders(place, border, case):
    path, options, error, says = FOLDERS[case]
    border.refused(
        lambda: _files.check_output_folder(path, **options),
        error,
        says,
        kind="C1",
        case=f"output folder: {case}",
        shown=f"check_output_folder({path!r})",
    )


def test_advice_on_protection_works(place):
    with pytest.raises(PermissionError) as caught:
        _files.check_output_file("protected.h5ad")
    command, mode, name = str(caught.value).rpartition(": ")[2].split()
    assert (command, mode) == ("chmod", "u+w")
    Path(name).chmod(0o644)
    _files.write_file(_files.check_output_file(name), b"new")
    assert Path(name).read_bytes() == b"new"


APART = {
    "the input is the output": ({"--out": "file"}, {"the query": "file"}, "the query itself"),
    "by another path": ({"--out": "folder/../file"}, {"the query": "./file"}, "the query itself"),
    "by a link": ({"--out": "alias"}, {"the query": "file"}, "the query itself"),
    "the input lies in the output": ({"--out": "folder"}, {"the reference": "folder/in it"}, "lies in --out"),
    "two outputs are one": ({"--out": "x", "--save-model": "x"}, {}, "are the same"),
}


@pytest.mark.parametrize("case", APART)
def test_apart(place, border, case):
    (place / "alias").symlink_to("file")
    outputs, inputs, says = APART[case]
    border.refused(
        lambda: _files.check_apart(outputs, inputs),
        ValueError,
        [says, "choose"],
        kind="C1",
        case=case,
        shown=f"check_apart({outputs}, {inputs})",
    )


VERBS = {
    "model.save": lambda model, path: model.save(path, overwrite=True),
    "save_bundle": lambda model, path: sp.hub.save_bundle(model, path, overwrite=True),
    "export_model": lambda model, path: sp.hub.export_model(model, path, overwrite=True),
}


@pytest.mark.parametrize("case", ["a file", "below a file", "write-protected", "the working folder"])
@pytest.mark.parametrize("verb", VERBS)
def test_verbs_look_first(place, model, border, monkeypatch, verb, case, around):
    """No bytes are made before the place is looked at."""
    import torch

    def work(*_, **__):
        raise AssertionError("work before the check")

    monkeypatch.setattr("torch.save", work)
    around("a bundle is packed", work)
    path = {"a file": "file", "below a file": "file/x", "write-protected": "locked", "the working folder": "."}[case]
    if case == "write-protected":
        (place / "locked").mkdir(mode=0o555)
    border.refused(
        lambda: VERBS[verb](model, path),
        OSError,
        "choose",
        kind="C1",
        case=f"{verb}: {case}",
        shown=f"{verb}({path!r})",
    )
    assert torch.save is work


def test_prefixes_and_missing_cells(place, model, border):
    border.refused(
        lambda: model.save("new", prefix="../x_"), ValueError, "dir_path", kind="C1", case="a prefix with a folder",
        shown="model.save(folder, prefix='../x_')",
    )  # fmt: skip
    model.save("without")
    empty = SCVI.load("without", adata=False)
    border.refused(
        lambda: empty.save("new", save_anndata=True), ValueError, "leave out save_anndata", kind="C1",
        case="cells that the model does not hold", shown="model.save(folder, save_anndata=True)",
    )  # fmt: skip
    empty.save("new")
    assert (place / "new" / "model.pt").is_file()


def test_read_only_folders(model, border):
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        for verb, call in {
            **{verb: lambda verb=verb: VERBS[verb](model, f"{name}/x") for verb in VERBS},
            "check_output_file": lambda: _files.check_output_file(f"{name}/x.h5ad"),
        }.items():
            assert as_nobody(call), verb
            border._row("C1", f"{UNPRIVILEGED}a folder that cannot be written", verb, "PermissionError", "")
        assert not list(Path(name).iterdir())


KEPT = {
    "a folder took its place": lambda target: target.mkdir(),
    "the folder became a file": lambda target: (shutil.rmtree(target.parent), target.parent.write_text("x")),
}


@pytest.mark.parametrize("case", KEPT)
def test_results_are_kept(place, border, case):
    """What happens while the result is made costs its place, not the result."""
    target = place / "out" / "x.h5ad"
    _files.check_output_file(target)
    target.parent.mkdir()
    ref = split(cells(), "batch2")[0]
    calls = []

    def write(path):
        if not calls:
            calls.append(KEPT[case](target))
            if case == "the folder became a file":
                raise FileNotFoundError(2, "No such file or directory")
        ref.write_h5ad(path)

    message = border.refused(
        lambda: _files.write_file(target, write),
        OSError,
        "the result is kept as",
        kind="C1",
        case=f"{case} while the result is written",
        shown="write_file(path, adata.write_h5ad)",
    )
    import anndata

    kept = Path(message.rpartition("kept as ")[2])
    assert anndata.read_h5ad(kept).n_obs == ref.n_obs
    if case == "a folder took its place":
        assert kept.parent == target.parent


def test_a_model_is_kept(place, model, border, monkeypatch):
    from scarches_plus._files._folders import _write_folder

    def taken(*_):
        raise PermissionError(13, "Permission denied")

    calls = iter([taken])
    put = _write_folder.place
    monkeypatch.setattr(_write_folder, "place", lambda *given: next(calls, put)(*given))
    message = border.refused(
        lambda: model.save(place / "model"), OSError, "kept as", kind="C1", case="the last rename fails",
        shown="model.save(folder)",
    )  # fmt: skip
    kept = message.rpartition("kept as ")[2]
    assert SCVI.load(kept, adata=False).is_trained
    assert not (place / "model").exists()


def test_what_can_be_kept_nowhere(place, border):
    def write(_):
        raise PermissionError(13, "Permission denied")

    border.refused(
        lambda: _files.write_file(place / "x.h5ad", write), OSError, ["x.h5ad cannot be written (Permission denied)", "neither"],
        kind="C1", case="a result that can be kept nowhere", shown="write_file(path, adata.write_h5ad)",
    )  # fmt: skip


def test_a_page_is_called_one(border, tmp_path):
    import pandas as pd

    report = sp.metrics.Report(
        pd.DataFrame({"embedding": ["X"], "kind": ["mixing"], "score": ["EBM"], "value": [1.0]}), pd.DataFrame(), {}
    )
    border.refused(
        lambda: report.to_html(tmp_path / "scores.csv"), ValueError, ["scores.csv", ".html"],
        kind="C1", case="a page named .csv", shown="report.to_html('scores.csv')",
    )  # fmt: skip
    assert not list(tmp_path.iterdir())

"""Commands whose output nobody reads or that cannot be written, odd places to run, and odd names of files: the work is
done.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import pytest
from border_rows import run_command
from cell_files import MARKERS, few_cells

import scarches_plus as sp
from scarches_plus import cli

pytestmark = pytest.mark.border


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with cells, markers and a model."""
    folder = tmp_path_factory.mktemp("files")
    cells = few_cells(80, 60)
    cells[cells.obs["batch"] == "batch0"].write_h5ad(folder / "ref.h5ad")
    cells[cells.obs["batch"] == "batch1"].write_h5ad(folder / "query.h5ad")
    (folder / "markers.json").write_text(MARKERS)
    words = ["build", folder / "ref.h5ad", "--batch-key", "batch", "--out", folder / "model", "--max-epochs", 1]
    assert run_command(cli.main, [*map(str, words)])[0] == 0
    return folder


def shell(files, words, redirected="", *, before="", environment=None):
    """Return status and what a shell showed of a command, given ``$RUN``."""
    code = "from scarches_plus.cli import main; main()"
    command = f'{before} "{sys.executable}" -c "{code}" {words} {redirected}'
    kept = {name: value for name, value in os.environ.items() if name not in {"LANG", "LC_ALL", "COLUMNS"}}
    kept["PYTHONPATH"] = str(Path(sp.__file__).parents[1])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=files,
        env={**kept, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


MAP = "map query.h5ad --model model --max-epochs 1 --out {}"
STREAMS = {
    "the output is closed": (">&-", {}, 0, ""),
    "both outputs are closed": (">&- 2>&-", {}, 0, ""),
    "a full disk takes the results that are printed": ("> /dev/full", {}, 2, "the standard output: No space left"),
    "a full disk takes the log": ("2> /dev/full", {}, 0, "wrote"),
    "nobody reads the output": ("| head -c 0; exit ${PIPESTATUS[0]}", {}, 141, ""),
    "warnings are errors": ("", {"PYTHONWARNINGS": "error"}, 0, "wrote"),
    "no home": ("", {"HOME": "/nonexistent/home"}, 0, "wrote"),
    "an ASCII terminal of 20 columns": ("", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "20"}, 0, "wrote"),
}  # fmt: skip


@pytest.mark.parametrize("case", STREAMS)
def test_results_are_written(border, files, case):
    redirected, environment, status, says = STREAMS[case]
    out = files / f"{len(case)} é.h5ad"
    _, shown = border.works(
        lambda: shell(files, MAP.format(f"'{out.name}'"), redirected, environment=environment),
        lambda ended: ended[0] == status and says in ended[1],
        kind="D", case=f"a process: {case}", shown=f"scarches-plus {MAP.format('out.h5ad')} {redirected}",
    )  # fmt: skip
    assert "X_scarches" in anndata.read_h5ad(out).obsm, shown


def test_a_disk_that_fills(border, files):
    """HDF5 2.0 complains of each of its objects, and crashes at the end of the process."""
    words = "seeds query.h5ad --markers markers.json --n-seeds 2 --out full.h5ad"
    status, shown = border.works(
        lambda: shell(files, words, before="ulimit -f 20;"),
        lambda ended: ended[0] == 2,
        kind="C1", case="no file above 20 kB can be written, in a process", shown=f"scarches-plus {words}",
    )  # fmt: skip
    assert shown.splitlines()[-1].startswith("error: full.h5ad cannot be written (File too large)"), status
    assert not [path.name for path in files.iterdir() if "full" in path.name]


@pytest.mark.parametrize("engine", ["fast", "scvi"])
def test_only_results_are_on_the_standard_output(border, files, engine):
    words = f"{MAP.format('out.h5ad')} --engine {engine}"
    border.works(
        lambda: shell(files, words, "2>/dev/null"),
        lambda ended: ended[0] == 0 and [line.split()[0] for line in ended[1].splitlines()] == ["trained", "wrote"],
        kind="D", case=f"progress is not on the standard output, engine {engine}", shown=f"scarches-plus {words}",
    )  # fmt: skip


def test_a_working_folder_that_is_gone(border, files, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    border.command(
        ["seeds", files / "query.h5ad", "--markers", files / "markers.json", "--out", files / "o.h5ad"],
        ["working folder is no longer there", "cd"], kind="D", case="the working folder was removed",
    )  # fmt: skip


NAMES = {
    "blanks": " a  b .h5ad",
    "a new line": "a\nb.h5ad",
    "quotes": "a'b\"c.h5ad",
    "a leading dash": "-o.h5ad",
    "what looks like an option": "--out=x.h5ad",
    "other letters": "π é 細胞.h5ad",
    "a home of nobody": "~nobody-of-that-name.h5ad",
    "markup and formats": "[red]%s{}$HOME.h5ad",
    "200 letters": f"{'x' * 200}.h5ad",
    "upper case": "CELLS.H5AD",
    "an escape": "\x1b[31m.h5ad",
    "half a character": "\udcff.h5ad",
}


@pytest.mark.parametrize("case", NAMES)
def test_names_of_files(border, files, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    name = NAMES[case]
    with contextlib.suppress(OSError):  # a file system that has no such names
        shutil.copy(files / "query.h5ad", name)
        out = f"out{name}"
        words = ["seeds", "--markers", files / "markers.json", "--n-seeds", 2, "--out", out, "--", name]
        border.command(words, "wrote", kind="D", case=f"a file name: {case}", status=0)
        assert "seed_label" in anndata.read_h5ad(out).obs


def test_the_advice_for_a_saved_model_that_is_no_bundle_works(border, files, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for words in (["hub", "verify"], ["hub", "info"], ["hub", "card"], ["hub", "push"]):
        border.command(
            [*words, files / "model"],
            ["is no bundle", "save_bundle"],
            kind="D",
            case=f"{' '.join(words)} of a saved model",
        )
    with pytest.raises(sp.hub.BundleError) as caught:
        sp.hub.verify_bundle(files / "model")
    exec(str(caught.value).partition("make one of it, ")[2], {"sp": sp})  # noqa: S102 (the advice itself)
    border.command(["hub", "verify", "bundle"], "is whole", kind="D", case="hub verify of it, as advised", status=0)


def test_options_that_would_have_no_effect(border, files):
    words = [
        "abundance",
        files / "query.h5ad",
        "--reference",
        files / "ref.h5ad",
        "--labels-key",
        "cell_type",
        "--out",
        files / "o.csv",
    ]
    border.command([*words, "--groups", "a", "b"], ["groups", "groupby"], kind="S", case="--groups without --groupby")
    border.command(
        [*words, "--novel-key", "Batch"],
        ["'Batch' not found", "near it: 'batch'"],
        kind="D",
        case="a misspelled --novel-key",
    )
    border.command(words, "wrote", kind="S", case="without them, as advised", status=0)


def test_rooms_of_folders_of_models(border, files, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 120_000})())
    monkeypatch.setattr(sp.tl, "build_reference", lambda *_, **__: pytest.fail("it was trained"))
    wide = few_cells(80, 600)
    wide.write_h5ad(files / "wide.h5ad")
    border.command(
        ["build", files / "wide.h5ad", "--batch-key", "batch", "--out", files / "wide"],
        ["wide needs", "free"], kind="C1", case="build: a disk too small for the model",
    )  # fmt: skip
    border.command(
        ["map", files / "query.h5ad", "--model", files / "model", "--out", files / "o.h5ad", "--save-model", files / "mapped"],
        ["mapped needs", "free"], kind="C1", case="map --save-model: a disk too small for a model of that size",
    )  # fmt: skip


def test_more_columns_for_commands_of_mapped_cells(border, files, tmp_path):
    mapped, table, out = tmp_path / "mapped.h5ad", tmp_path / "truth.csv", tmp_path / "out.h5ad"
    border.command(["map", files / "query.h5ad", "--model", files / "model", "--max-epochs", 1, "--out", mapped], "wrote",
                   kind="D", case="map", status=0)  # fmt: skip
    names = anndata.read_h5ad(mapped).obs_names
    table.write_text("cell,truth\n" + "".join(f"{name},t{i % 2}\n" for i, name in enumerate(names)))
    border.command(
        ["transfer", mapped, "--columns", table, "--reference", files / "model" / "reference.h5ad", "--labels-key", "cell_type",
         "--k", 5, "--out", out], "wrote", kind="D", case="transfer --columns", status=0,
    )  # fmt: skip
    assert {"truth", "cell_type_pred"} <= set(anndata.read_h5ad(out).obs)
    border.command(
        ["evaluate", mapped, "--batch-key", "truth", "--columns", table, "--modality", "rna", "--out", tmp_path / "e"],
        ["mapped.h5ad has no modalities", "leave it out"], kind="D", case="evaluate --modality of an h5ad",
    )  # fmt: skip

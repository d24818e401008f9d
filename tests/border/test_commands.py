"""Commands end in one message and a status, and look at options, columns and outputs before any work."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import anndata
import numpy as np
import pytest
from border_rows import run_command
from cell_files import MARKERS, few_cells, table_of

import scarches_plus as sp
from scarches_plus import cli

pytestmark = pytest.mark.border


@pytest.fixture
def files(tmp_path):
    """A folder with cells and markers."""
    few_cells().write_h5ad(tmp_path / "cells.h5ad")
    (tmp_path / "markers.json").write_text(MARKERS)
    return tmp_path


def _seeds(folder, out="seeds.h5ad", *options):
    return [
        "seeds",
        folder / "cells.h5ad",
        "--markers",
        folder / "markers.json",
        "--n-seeds",
        3,
        "--out",
        folder / out,
        *options,
    ]


class _OddError(Exception):
    pass


@pytest.mark.parametrize(
    ("case", "error", "says", "status"),
    [
        ("out of memory", MemoryError("Unable to allocate 7 TiB"), ["out of memory", "fewer cells", "cells.h5ad"], 2),
        ("a RuntimeError from below", RuntimeError("[enforce fail at inline_container.cc]"), ["traceback is in", "cells.h5ad"], 2),
        ("an AttributeError", AttributeError("'X' has no shape"), ["AttributeError", "traceback is in"], 2),
        ("a RecursionError", RecursionError("maximum recursion depth exceeded"), ["traceback is in"], 2),
        ("an error of no known kind", _OddError("odd"), ["_OddError", ": odd; its traceback is in"], 2),
        ("an error without text", _OddError(), ["_OddError", "traceback is in"], 2),
        ("an AssertionError of a library", AssertionError(), ["AssertionError", "traceback is in"], 2),
        ("a full disk", OSError(errno.ENOSPC, "No space left on device", "out.h5ad"), ["error: out.h5ad: No space left"], 2),
        ("Ctrl-C", KeyboardInterrupt(), "interrupted", 130),
        ("a reader that is gone", BrokenPipeError(), "", 141),
        ("lines and escapes in a message", _OddError("a\n\x1b[31mb"), [": a [31mb; "], 2),
    ],
)  # fmt: skip
def test_the_last_resort(border, files, monkeypatch, case, error, says, status):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(sp.pp, "seed_labels", fail)
    border.command(_seeds(files), says, kind="D", case=f"last resort: {case}", status=status)


def test_tracebacks_are_private_and_without_tokens(border, files, monkeypatch):
    monkeypatch.setenv("ZENODO_TOKEN", "s3cret-t0ken-of-mine")
    monkeypatch.setenv("TMPDIR", str(files))
    monkeypatch.setattr("tempfile.tempdir", None)

    def fail(*_, **__):
        raise RuntimeError("401 for Authorization: Bearer s3cret-t0ken-of-mine, access_token=abcdefgh1234")

    monkeypatch.setattr(sp.pp, "seed_labels", fail)
    border.command(
        _seeds(files), ["Bearer ***", "traceback is in"], kind="D", case="last resort: a token in the message"
    )
    (saved,) = files.glob("scarches-plus-*.txt")
    assert saved.stat().st_mode & 0o777 == 0o600
    text = saved.read_text()
    assert "Traceback" in text
    assert "s3cret" not in text
    assert "abcdefgh1234" not in text


def test_a_mistake_of_the_package_keeps_its_traceback(border, files, monkeypatch):
    monkeypatch.setattr(sp.pp, "seed_labels", None)
    border.command(
        _seeds(files), ["TypeError", "traceback is in"], kind="D", case="last resort: a mistake of the package"
    )


def test_errors_of_libraries_name_the_file(border, files, monkeypatch):
    monkeypatch.setattr(sp.pp, "seed_labels", lambda *_, **__: np.zeros(2) + np.zeros(3))
    border.command(_seeds(files), ["ValueError", "cells.h5ad"], kind="D", case="last resort: a ValueError of NumPy")


@pytest.mark.parametrize(
    ("case", "words", "says"),
    [
        ("no such command", ["mapp"], ["mapp", "map"]),
        ("no such option", ["seeds", "cells.h5ad", "--marker", "x"], ["--marker", "--markers"]),
        ("an option that is missing", ["seeds", "cells.h5ad", "--out", "x.h5ad"], "--markers"),
        ("an unknown recipe", ["build", "nowhere.h5ad", "--batch-key", "b", "--out", "m", "--recipe", "scANVI2"], ["scANVI2", "scanvi"]),
        ("an unknown penalty", ["build", "cells.h5ad", "--batch-key", "batch", "--out", "m", "--penalty", "mdm"], ["'mdm'", "mmd"]),
        ("an option of a penalty", ["build", "cells.h5ad", "--batch-key", "batch", "--out", "m", "--penalty", "mmd:z=1"], "z=1"),
        ("0 epochs", ["build", "cells.h5ad", "--batch-key", "batch", "--out", "m", "--max-epochs", "0"], "between 1 and 1,000,000"),
        ("2.5 neighbours", ["transfer", "q.h5ad", "--reference", "r.h5ad", "--labels-key", "l", "--out", "o.h5ad", "--k", "2.5"],
         "not a whole number"),
        ("a negative seed", ["build", "cells.h5ad", "--batch-key", "batch", "--out", "m", "--seed", "-1"], "--seed"),
        ("alpha of 1", ["novel", "q.h5ad", "--reference", "r.h5ad", "--out", "o.h5ad", "--alpha", "1"], "between 0 and 1"),
        ("unknown_above NaN",
         ["transfer", "q.h5ad", "--reference", "r.h5ad", "--labels-key", "l", "--out", "o.h5ad", "--unknown-above", "nan"], "between"),
        ("scanvi without labels", ["build", "nowhere.h5ad", "--batch-key", "b", "--out", "m", "--recipe", "scanvi"], "--labels-key"),
        ("one column for two", ["build", "nowhere.h5ad", "--batch-key", "b", "--labels-key", "b", "--out", "m"],
         ["--labels-key", "--batch-key", "name different columns"]),
        ("no path", ["seeds", "", "--markers", "x.json", "--out", "o.h5ad"], "is a folder"),
    ],
)  # fmt: skip
def test_options(border, files, monkeypatch, case, words, says):
    monkeypatch.chdir(files)
    border.command(words, says, kind="D", case=f"options: {case}")


def test_recipes_are_those_of_the_package():
    words = ["build", "cells.h5ad", "--batch-key", "batch", "--out", "m", "--recipe", "none of them"]
    said = run_command(cli.main, words)[2]
    assert re.findall(r'"(\w+)"', said.partition("Choose from:")[2]) == list(sp.model.RECIPES)


def test_columns_are_looked_for_before_training(border, files):
    cells, model = files / "cells.h5ad", files / "model"
    start = time.monotonic()
    border.command(["build", cells, "--batch-key", "Batch", "--out", model],
                   ["column 'Batch' not found in", "cells.h5ad", "near it: 'batch'"], kind="D", case="a batch column in another case")  # fmt: skip
    border.command(["build", cells, "--batch-key", "batch", "--labels-key", "celltype", "--out", model],
                   ["'celltype'", "near it: 'cell_type'"], kind="D", case="a misspelled label column")  # fmt: skip
    border.command(["build", cells, "--batch-key", "batch", "--layer", "raw", "--out", model],
                   ["layer 'raw' not found in", "cells.h5ad"], kind="D", case="a layer that is not there")  # fmt: skip
    table_of(few_cells()).to_csv(files / "counts.csv")
    border.command(["build", files / "counts.csv", "--batch-key", "batch", "--out", model],
                   ["'batch'", "counts.csv", "--columns"], kind="D", case="a table without columns of cells")  # fmt: skip
    border.command(["evaluate", cells, "--batch-key", "batches", "--out", files / "e"],
                   ["near it: 'batch'", "cells.h5ad"], kind="D", case="evaluate with a misspelled column")  # fmt: skip
    border.command(["novel", cells, "--reference", cells, "--labels-key", "cell_type", "--out", files / "o.h5ad"],
                   ["--batch-key", "cells.h5ad"], kind="D", case="novel without the reference's batches")  # fmt: skip
    bare = few_cells()
    anndata.AnnData(obs=bare.obs, obsm={"X_scarches": bare.X.toarray()[:, :3]}).write_h5ad(files / "bare.h5ad")
    border.command(
        ["novel", cells, "--reference", files / "bare.h5ad", "--labels-key", "cell_type", "--batch-key", "batch", "--out", files / "o.h5ad"],
        ["bare.h5ad holds no counts"], kind="D", case="novel with reference.h5ad of build",
    )  # fmt: skip
    assert not model.exists()
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    ("case", "contents", "says"),
    [
        ("no JSON", "{a: 1}", ["markers.json is not JSON", '["MS4A1"']),
        ("a list", '["a"]', ["markers.json holds no labels", "a list"]),
        ("a label twice", '{"a": ["gene0"], "a": ["gene1"]}', ["markers.json", "'a' is given twice"]),
        ("brackets in brackets", "[" * 100_000, ["markers.json is not JSON"]),
        ("not UTF-8", b"\xff\xfe\xfa", ["markers.json is not JSON"]),
    ],
)
def test_files_of_names(border, files, case, contents, says):
    (files / "markers.json").write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    border.command(_seeds(files), says, kind="D", case=f"markers: {case}")


def test_a_file_of_names_with_a_mark_of_order(border, files):
    (files / "markers.json").write_bytes(b"\xef\xbb\xbf" + MARKERS.encode())
    border.command(_seeds(files), "wrote", kind="D", case="markers: a byte order mark, as Notepad writes it", status=0)


def test_outputs_come_first(border, files, monkeypatch, around):
    around("cells are read", lambda *_, **__: pytest.fail("cells were read"))
    (files / "dir.h5ad").mkdir()
    (files / "file").write_text("")
    (files / "guarded.h5ad").write_text("")
    (files / "guarded.h5ad").chmod(0o400)
    table_of(few_cells()).to_csv(files / "counts.csv")
    (files / "photos").mkdir()
    (files / "photos" / "me.png").write_text("")
    for out, case, says in (
        ("dir.h5ad", "--out is a folder", ["dir.h5ad is a folder"]),
        ("file/seeds.h5ad", "--out lies below a file", ["file is not a folder"]),
        ("seeds.csv", "an h5ad named .csv", ["seeds.csv", ".h5ad"]),
        ("markers.json", "--out is the file of markers", ["--out is --markers itself"]),
        ("guarded.h5ad", "--out is write-protected", ["guarded.h5ad is write-protected", "chmod u+w"]),
    ):
        border.command(_seeds(files, out), says, kind="C1", case=f"seeds: {case}")
    reference = ["--reference", files / "cells.h5ad"]
    for words, case, says in (
        (["build", files / "cells.h5ad", "--batch-key", "batch", "--out", files, "--overwrite"],
         "build: --out holds the reference", ["the reference", "lies in --out"]),
        (["build", files / "cells.h5ad", "--batch-key", "batch", "--out", files / "photos", "--overwrite"],
         "build: --out holds something else", ["photos is left alone: it holds no model"]),
        (["build", files / "cells.h5ad", "--batch-key", "batch", "--out", files / "photos"],
         "build: --out is there", ["photos exists", "--overwrite"]),
        (["map", files / "cells.h5ad", "--model", files / "m", "--out", files / "o.h5ad", "--save-model", files / "o.h5ad"],
         "map: two outputs the same", ["--out and --save-model are the same"]),
        (["map", files / "cells.h5ad", "--model", files / "m", "--out", files / "dir.h5ad"],
         "map: --out is a folder", ["dir.h5ad is a folder"]),
        (["map", files / "cells.h5ad", "--model", files / "m", "--out", files / "photos"],
         "map: --out is a folder of other files", ["photos is a folder", "name of a file in it"]),
        (["map", files / "cells.h5ad", "--model", files / "m", "--out", files / "o.csv"],
         "map: an h5ad named .csv", ["o.csv", ".h5ad"]),
        (["map", files / "cells.h5ad", "--model", files / "m", "--out", files / "o.h5mu"],
         "map: .h5mu of an .h5ad", ["o.h5mu", ".h5ad"]),
        (["transfer", files / "cells.h5ad", *reference, "--labels-key", "l", "--out", files / "cells.h5ad"],
         "transfer: --out is the reference", ["--out is --reference itself"]),
        (["abundance", files / "counts.csv", *reference, "--labels-key", "l", "--out", files / "counts.csv"],
         "abundance: --out is the file of cells", ["--out is the file of cells itself"]),
        (["evaluate", files / "cells.h5ad", "--batch-key", "batch", "--out", files / "file"],
         "evaluate: the folder is a file", ["file is not a folder"]),
        (["report", files / "cells.h5ad", *reference, "--labels-key", "l", "--out", files / "file"],
         "report: the folder is a file", ["file is not a folder"]),
        (["demo", "--out", files / "file"], "demo: the folder is a file", ["file is not a folder"]),
    ):  # fmt: skip
        border.command(words, says, kind="C1", case=case)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    border.command(_seeds(files), ["seeds.h5ad needs", "free"], kind="C1", case="seeds: a full disk")
    border.command(["build", files / "cells.h5ad", "--batch-key", "batch", "--out", files / "m"],
                   ["m needs", "free"], kind="C1", case="build: a full disk")  # fmt: skip
    assert (files / "photos" / "me.png").is_file()


def test_results_survive_a_failure_at_the_end(border, files, monkeypatch):
    real, places = os.replace, []

    def fail(source, target):
        if Path(target).name == "seeds.h5ad" and not places:
            places.append(target)
            raise OSError(errno.EIO, "Input/output error", str(target))
        return real(source, target)

    monkeypatch.setattr(os, "replace", fail)
    border.command(
        _seeds(files), ["seeds"], kind="C1", case="seeds: the last step fails, and the message says where the result is"
    )
    kept = [path for path in files.iterdir() if path.name.startswith("seeds") and path.suffix == ".h5ad"]
    assert any("seed_label" in anndata.read_h5ad(path).obs for path in kept)


def test_in_place_and_into_new_folders(border, files):
    border.command(
        _seeds(files, "a/b/seeds.h5ad"), "wrote", kind="C1", case="seeds: missing folders are made", status=0
    )
    border.command(
        _seeds(files, "cells.h5ad"), "wrote", kind="C1", case="seeds: an h5ad gets more columns in place", status=0
    )
    assert anndata.read_h5ad(files / "cells.h5ad").n_obs == 40


def test_warnings_are_one_line(files, monkeypatch):
    def warn(adata, *_, **__):
        for _ in range(2):
            warnings.warn("first line\nsecond \x1b[31mline", UserWarning, stacklevel=1)
        warnings.warn("only developers can change this", FutureWarning, stacklevel=1)
        adata.obs["seed_label"] = "a"

    monkeypatch.setattr(sp.pp, "seed_labels", warn)
    status, _, err = run_command(cli.main, [str(word) for word in _seeds(files)])
    assert status == 0
    assert [line for line in err.splitlines() if line.startswith("warning")] == ["warning: first line second [31mline"]
    assert "developers" not in err


def _process(words, **options):
    code = f"import sys; sys.argv = {['scarches-plus', *map(str, words)]!r}\nfrom scarches_plus.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def _ends(border, process, status, says, case):
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    assert "Traceback" not in out + err
    for text in says:
        assert text in err
    border.works(
        lambda: process.returncode, lambda found: found == status, kind="D", case=f"a process: {case}", shown=case
    )


def test_real_processes(border, files):
    _ends(border, _process(["mapp"]), 2, ["error: ", "mapp"], "an unknown command ends with status 2")
    _ends(
        border,
        _process(["seeds", files / "no.h5ad", "--markers", "x", "--out", "y.h5ad"]),
        2,
        ["no.h5ad is not a file"],
        "a missing file",
    )
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.argv = ['scarches-plus', '--help']\nfrom scarches_plus.cli import main; main()"],
        stdout=write, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(write)
    _, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    assert "Errno" not in err
    assert process.returncode in {0, 141}
    border.works(
        lambda: 0,
        lambda found: found == 0,
        kind="D",
        case="a process: its reader is gone",
        shown="scarches-plus --help | true",
    )


def _opened_by(process, pipe):
    """Return the end of a pipe to write to, once a process reads it."""
    while process.poll() is None:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.05)
    pytest.fail(process.stderr.read())


def test_ctrl_c_in_a_process(border, files):
    os.mkfifo(files / "wait")
    code = (
        "import sys; from scarches_plus import _cell_files\n"
        f"_cell_files.read_cells = lambda *_, **__: open({str(files / 'wait')!r}).read()\n"
        f"sys.argv = ['scarches-plus', *{[str(word) for word in _seeds(files)]!r}]\n"
        "from scarches_plus.cli import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    reader = _opened_by(process, files / "wait")
    time.sleep(0.3)  # until it reads: a signal between open and read is only seen after the read
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    os.close(reader)
    assert process.returncode == 130
    assert "Traceback" not in err
    border.works(
        lambda: 0, lambda found: found == 0, kind="D", case="a process: Ctrl-C ends with status 130", shown="kill -INT"
    )


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ((), 0, "no problems found"),
        (("--layer", "counts"), 2, "counts"),
        (("--batch-key", "lane"), 2, "'lane' not found"),
        (("--shared-batches", "batch1"), 0, "no problems found"),
    ],
)
def test_check(border, files, words, status, says):
    out = border.command(
        ["check", files / "cells.h5ad", *words], "see the report" if status else says, kind="D",
        case=f"check {' '.join(words)}", status=status,
    )  # fmt: skip
    assert says in out


@pytest.mark.parametrize(
    ("words", "says"),
    [(("--model", "nowhere"), "nowhere"), (("--modality", "rna"), "--modality"), (("--layer",), "--layer")],
)
def test_check_without_a_report(border, files, words, says):
    border.command(["check", files / "cells.h5ad", *words], says, kind="D", case=f"check {' '.join(words)}")

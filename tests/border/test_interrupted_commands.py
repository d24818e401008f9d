"""C4: Ctrl-C ends a command with status 130, says what is kept, and loses no model that was in training for long."""

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from anndata import read_h5ad
from border_rows import fork
from killing import command, names_in, run_whole
from small_models import cells, split
from tqdm import tqdm

import scarches_plus as sp

pytestmark = pytest.mark.border
EPOCHS = 100_000


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    ref, query = split(cells(n_cells=150), "batch2")
    ref.write_h5ad(folder / "ref.h5ad")
    query.write_h5ad(folder / "query.h5ad")
    run_whole(
        command("build", folder / "ref.h5ad", "--batch-key", "batch", "--out", folder / "model", "--max-epochs", 1)
    )
    return folder


def pressed(words, log, *, shown):
    """Run a command in a child, press Ctrl-C once it shows something, and return its exit status and what it showed."""
    child = fork()
    if not child:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tqdm.set_lock(threading.RLock())  # its own outlives the process that held it
        sys.stdout = sys.stderr = log.open("w", buffering=1)
        try:
            command(*words)()
        except SystemExit as end:
            os._exit(end.code or 0)
        os._exit(77)
    end = time.monotonic() + 60
    while not (log.exists() and re.search(shown, log.read_text(errors="replace"))) and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(child, signal.SIGINT)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), log.read_text(errors="replace")


BUILD = ("build", "{0}/ref.h5ad", "--batch-key", "batch", "--out", "{1}/out", "--max-epochs", EPOCHS)
MAP = ("map", "{0}/query.h5ad", "--model", "{0}/model", "--out", "{1}/out.h5ad", "--max-epochs", EPOCHS)
CASES = {
    "build": (BUILD, "out"),
    "build of scanvi": ((*BUILD, "--labels-key", "cell_type", "--recipe", "scanvi"), "out"),
    "map --save-model": ((*MAP, "--save-model", "{1}/mapped"), "mapped"),
    "map --save-model --engine scvi": ((*MAP, "--save-model", "{1}/mapped", "--engine", "scvi"), "mapped"),
    "map": (MAP, None),
}


@pytest.mark.parametrize("case", CASES)
def test_a_training(files, tmp_path, border, case):
    words, kept_as = CASES[case]
    words = [str(word).format(files, tmp_path) for word in words]
    log = tmp_path / "log"
    status, shown = pressed(words, log, shown=r"Epoch [3-9]/|Training: +[1-9]|\b[1-9]\d*/\d+ \[")
    log.unlink()
    border._row("C4", f"Ctrl-C in a process: {case}", f"scarches-plus {case}", f"exit {status}", shown[-200:])
    assert status == 130
    assert shown.endswith("interrupted\n")
    if kept_as is None:
        assert "note: nothing was written" in shown
        assert names_in(tmp_path) == []
        return
    kept = Path(re.search(r"is kept as (.+)", shown).group(1))
    assert names_in(tmp_path) == [kept.name], "nothing has the name of a finished result"
    assert re.fullmatch(rf"{kept_as}-[0-9a-f]{{8}}", kept.name)
    seen = read_h5ad(files / ("ref.h5ad" if words[0] == "build" else "query.h5ad"))
    sp.tl.embed(seen, kept)
    assert np.isfinite(seen.obsm["X_scarches"]).all()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_what_comes_after_a_training(files, tmp_path, border, monkeypatch, stop, around):
    """A finished training is kept, whatever stops the embedding after it."""

    def stops(*_, **__):
        raise stop

    around("an embedding is written", stops)
    words = ["build", files / "ref.h5ad", "--batch-key", "batch", "--out", tmp_path / "out", "--max-epochs", 1]
    border.command(
        words, "is kept as", kind="C4", case=f"{stop.__name__} after the training of build",
        status=130 if stop is KeyboardInterrupt else 2,
    )  # fmt: skip
    (kept,) = tmp_path.iterdir()
    assert sp.model.load(kept).is_trained


def test_before_a_training(files, tmp_path, border, monkeypatch):
    def stops(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("scarches_plus.model.SCVI.train", stops)
    words = ["build", files / "ref.h5ad", "--batch-key", "batch", "--out", tmp_path / "out"]
    border.command(
        words, ["nothing was written", "interrupted"], kind="C4", case="Ctrl-C before a training", status=130
    )
    assert names_in(tmp_path) == []

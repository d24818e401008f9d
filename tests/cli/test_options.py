"""Numbers of the command line: their limits are looked at before any file."""

import pytest
from border_rows import run_command

from scarches_plus import cli

BUILD = ["build", "no_such.h5ad", "--batch-key", "b", "--out", "out"]
TRANSFER = ["transfer", "no_such.h5ad", "--reference", "no_such.h5ad", "--labels-key", "l", "--out", "out.h5ad"]
NOVEL = ["novel", "no_such.h5ad", "--reference", "no_such.h5ad", "--out", "out.h5ad"]


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Run a command in an empty folder, and return what it said."""
    monkeypatch.chdir(tmp_path)

    def run(words):
        status, _, err = run_command(cli.main, list(map(str, words)))
        assert status == 2
        assert not list(tmp_path.iterdir())
        return err

    return run


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*BUILD, "--max-epochs", "0"], "between 1 and 1,000,000"),
        ([*BUILD, "--max-epochs", "1000001"], "between 1 and 1,000,000"),
        ([*BUILD, "--max-epochs", "2.5"], "'2.5' is not a whole number"),
        ([*BUILD, "--seed", "-1"], "--seed"),
        ([*BUILD, "--seed", 2**32], "between 0 and 4,294,967,295"),
        ([*TRANSFER, "--k", "0"], "at least 1"),
        ([*TRANSFER, "--unknown-above", "1.01"], "between 0 and 1"),
        ([*TRANSFER, "--unknown-above", "-0.01"], "between 0 and 1"),
        ([*NOVEL, "--alpha", "0"], "between 0 and 1"),
        ([*NOVEL, "--alpha", "1"], "between 0 and 1"),
    ],
)
def test_beyond_the_limits(ended, words, says):
    assert says in ended(words)


@pytest.mark.parametrize(
    "words",
    [
        [*BUILD, "--max-epochs", "1"],
        [*BUILD, "--max-epochs", "1000000"],
        [*BUILD, "--seed", "0"],
        [*BUILD, "--seed", 2**32 - 1],
        [*TRANSFER, "--k", "1"],
        [*TRANSFER, "--unknown-above", "0"],
        [*TRANSFER, "--unknown-above", "1"],
        [*NOVEL, "--alpha", "0.001"],
    ],
)
def test_at_the_limits_the_file_is_what_is_missing(ended, words):
    assert "no_such.h5ad is not a file" in ended(words)

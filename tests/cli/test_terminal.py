"""How commands end."""

import json
import logging
import warnings

import pytest
from border_rows import run_command

from scarches_plus.cli import app, main

logger = logging.getLogger("scarches_plus")


@pytest.fixture
def ends():
    """Run a command that does nothing, or raises an error, and return its exit status and what it says."""

    def ends(error=None, before=lambda: None, words=()):
        def fails():
            before()
            if error is not None:
                raise error

        app.command(fails, name="fails")
        try:
            status, out, said = run_command(main, ["fails", *words])
        finally:
            del app["fails"]
        return (status, out) if words else (status, said)

    return ends


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (ValueError("wrong"), 2, "error: an unexpected ValueError: wrong; its traceback is in "),
        (OSError("no space"), 2, "error: no space"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 141, ""),
        (SystemExit(3), 3, ""),
    ],
)
def test_statuses(ends, error, status, says):
    found, said = ends(error)
    assert found == status
    assert said.startswith(says)
    assert ends() == (0, "")


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [(KeyboardInterrupt(), 130, "interrupted"), (SystemExit("no space"), 2, "no space")],
)
def test_json_is_printed_however_a_command_ends(ends, error, status, says):
    found, out = ends(error, before=lambda: warnings.warn("few cells", stacklevel=1), words=["--json"])
    assert found == status
    assert json.loads(out) == {"ok": False, "error": says, "warnings": ["few cells"]}


def test_an_error_that_comes_from_itself(ends):
    error = OSError("no space")
    error.__cause__ = error
    assert ends(error) == (2, "error: no space\n")


def test_secrets_are_not_told(monkeypatch, ends):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    text = "hf_0123456789 Authorization: Bearer abcdefghij https://zenodo.org/x?access_token=abcdefghij"
    assert ends(OSError(text)) == (
        2,
        "error: *** Authorization: Bearer *** https://zenodo.org/x?access_token=***\n",
    )


def test_advice_is_given_as_options(ends):
    """In errors, warnings and the log."""
    says = {
        "penalties=() leaves it out": "--penalty none leaves it out",
        "unlabelled=() lets them count": '--unlabelled "" lets them count',
        "model_kwargs has 'nope'": "--model-kwarg has 'nope'",
        "with plan_kwargs={'max_kl_weight': 0.5}": "with --plan-kwarg max_kl_weight=0.5",
    }

    def tells(words):
        for word in words:
            logger.warning(word)
            warnings.warn(f"also {word}", UserWarning, stacklevel=1)

    _, said = ends(OSError("; ".join(says)), before=lambda: tells(says))
    told = said.splitlines()
    assert told[:-1] == [f"warning: {also}{words}" for words in says.values() for also in ("", "also ")]
    assert told[-1] == f"error: {'; '.join(says.values())}"

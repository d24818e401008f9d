"""How commands end."""

import pytest

from scarches_plus.cli._terminal import run, without_secrets


def _raises(error):
    def call():
        raise error

    return call


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
def test_statuses(capsys, error, status, says):
    assert run(_raises(error)) == status
    assert capsys.readouterr().err.startswith(says)
    assert run(lambda: None) == 0


def test_an_error_that_comes_from_itself(capsys):
    error = OSError("no space")
    error.__cause__ = error
    assert run(_raises(error)) == 2
    assert capsys.readouterr().err == "error: no space\n"


def test_secrets_are_not_told(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    text = without_secrets(
        "hf_0123456789 Authorization: Bearer abcdefghij https://zenodo.org/x?access_token=abcdefghij"
    )
    assert text == "*** Authorization: Bearer *** https://zenodo.org/x?access_token=***"

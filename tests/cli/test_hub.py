"""``scarches-plus hub``: thin, over the functions of ``sp.hub``."""

import json

import pytest

import scarches_plus as sp
from scarches_plus.cli import _hub_commands  # noqa: F401 (it registers itself)
from scarches_plus.cli._app import app


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SCARCHES_PLUS_CACHE", str(tmp_path / "cache"))

    def run(*words):
        words = ["hub", *map(str, words)]
        app(words, result_action="return_value", exit_on_error=False, print_error=False)
        return capsys.readouterr().out

    return run


def test_list_info_pull_verify_card(run):
    assert "pbmc68k-scanvi" in run("list", "--offline")
    assert json.loads(run("info", "pbmc68k-scanvi", "--offline"))["card"]["species"] == "human"
    folder = run("pull", "pbmc68k-scanvi", "--offline").strip().splitlines()[-1]
    assert sp.hub.verify_bundle(folder).card.name == "pbmc68k-scanvi"
    assert "is whole" in run("verify", folder)
    assert "# PBMC 68k, five lanes" in run("card", folder)


def test_errors_say_what_to_do(run, tmp_path):
    with pytest.raises(KeyError, match="no index lists"):
        run("pull", "nothing", "--offline")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        run("verify", tmp_path / "nothing")

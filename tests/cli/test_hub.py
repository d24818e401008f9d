"""``scarches-plus hub``: thin, over the functions of ``sp.hub``."""

import json

import pytest
from invenio_server import TOKEN, InvenioServer

import scarches_plus as sp
from scarches_plus.cli import app


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SCARCHES_PLUS_CACHE", str(tmp_path / "cache"))

    def run(*words):
        words = ["hub", *map(str, words)]
        app(words, result_action="return_value", exit_on_error=False, print_error=False)
        return capsys.readouterr().out

    return run


def test_list_info_pull_verify_card(run):
    header, *rows = [line.split() for line in run("list", "--offline").splitlines()]
    (row,) = (dict(zip(header, row, strict=False)) for row in rows if row[0] == "pbmc68k-scanvi")
    assert (row["genes"], row["labels"]) == ("765", str(len(sp.hub.info("pbmc68k-scanvi").cells.labels)))
    assert json.loads(run("info", "pbmc68k-scanvi", "--offline"))["card"]["species"] == "human"
    folder = run("pull", "pbmc68k-scanvi", "--offline").strip().splitlines()[-1]
    assert sp.hub.verify_bundle(folder).card.name == "pbmc68k-scanvi"
    assert "is whole" in run("verify", folder)
    assert "# PBMC 68k, five lanes" in run("card", folder)
    assert "# PBMC 68k, five lanes" in run("card", "pbmc68k-scanvi")
    assert "is whole" in run("verify", "pbmc68k-scanvi")


def test_list_known(run):
    header, *lines = run("list", "--known").partition("\n\n")[0].splitlines()
    rows = [line.split() for line in lines]
    known = sp.hub.list_models(known=True)
    assert [row[0] for row in rows] == known["name"].tolist()
    assert [row[-1] for row in rows] == known["address"].tolist(), "an address that is cut is none"
    assert header.split()[5:] == ["cells", "genes", "license", "openable", "verified", "address"]
    (hlca,) = (line for line in lines if line.split()[0] == "hlca-core")
    assert hlca.split()[5:9] == ["584944", "2000", "CC-BY-4.0", "yes"]
    assert "layout tested, file never fetched" in hlca
    assert "unknown no not openable" in " ".join(next(row for row in rows if row[0] == "hnoca"))
    out = run("list", "--known")
    assert "sp.load('hf://" in out
    assert max(map(len, out.splitlines())) < 220
    with pytest.raises(ValueError, match="no index="):
        run("list", "--known", "--index", "here")


def test_errors_say_what_to_do(run, tmp_path):
    with pytest.raises(KeyError, match="no index lists"):
        run("pull", "nothing", "--offline")
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        run("verify", tmp_path / "nothing")
    for verb in ("info", "card", "push"):
        with pytest.raises(KeyError, match="nothing is no folder"):
            run(verb, tmp_path / "nothing")


@pytest.fixture
def zenodo(monkeypatch, publish_at):
    monkeypatch.setenv("ZENODO_SANDBOX_TOKEN", TOKEN)
    server = InvenioServer()
    publish_at(monkeypatch, "zenodo sandbox", server.address)
    yield server
    server.close()


def test_push(run, zenodo, monkeypatch):
    folder = run("pull", "simulated-scanvi", "--offline").strip().splitlines()[-1]
    words = ("push", folder, "--creators", "Doe, Jane")
    assert run(*words).split()[:2] == ["draft", "10.5072/zenodo.1002"]

    for answer in ("yes", ""):
        monkeypatch.setattr("builtins.input", lambda answer=answer: answer)
        with pytest.raises(ValueError, match="not confirmed"):
            run(*words, "--publish")
    assert not zenodo.records["1002"]["published"]
    monkeypatch.setattr("builtins.input", lambda: "simulated-scanvi@1")
    assert f"published\n10.5072/zenodo.1002\n{zenodo.address}/records/1002" in run(*words, "--publish")
    assert zenodo.records["1002"]["published"]
    assert zenodo.records["1002"]["metadata"]["creators"][0]["person_or_org"]["family_name"] == "Doe"


def test_push_without_a_question(run, zenodo, monkeypatch):
    folder = run("pull", "simulated-scanvi", "--offline").strip().splitlines()[-1]
    monkeypatch.setattr("builtins.input", lambda: pytest.fail("asked"))
    assert run("push", folder, "--creators", "Lab", "--publish", "--yes", "--restricted").startswith("published")
    assert zenodo.records["1002"]["access"]["files"] == "restricted"
    monkeypatch.delenv("ZENODO_SANDBOX_TOKEN")
    with pytest.raises(ValueError, match="set ZENODO_SANDBOX_TOKEN"):
        run("push", folder, "--creators", "Lab")
    monkeypatch.delenv("ZENODO_TOKEN", raising=False)
    with pytest.raises(ValueError, match="set ZENODO_TOKEN"):
        run("push", folder, "--creators", "Lab", "--no-sandbox")

"""Records and repositories are lists of files that others wrote, at services that may lie."""

import json

import pytest
from hugging_face_server import TOKEN as HF_TOKEN
from hugging_face_server import HuggingFaceServer
from invenio_server import TOKEN, InvenioServer

import scarches_plus as sp
from scarches_plus.hub import BundleError

pytestmark = pytest.mark.border

MODEL = bytes(range(256)) * 20


@pytest.fixture
def servers(monkeypatch, no_waits, publish_at):
    """Zenodo, Hugging Face and a thief on this machine, and the user's tokens."""
    zenodo, hub, thief = InvenioServer(), HuggingFaceServer(), InvenioServer()
    publish_at(monkeypatch, "zenodo", zenodo.address)
    publish_at(monkeypatch, "huggingface", hub.address)
    monkeypatch.setenv("ZENODO_TOKEN", TOKEN)
    monkeypatch.setenv("HF_TOKEN", HF_TOKEN)
    yield zenodo, hub, thief
    for one in (zenodo, hub, thief):
        one.close()


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def fetch(what, **kwargs):
        return sp.hub.pull(what, cache_dir=tmp_path / "cache", progress=False, **kwargs)

    return fetch


def files(*values):
    one = {"key": "model.pt", "size": 5120, "checksum": "md5:" + "0" * 32}
    return json.dumps({"id": 7, "conceptrecid": "6", "files": [one | changed for changed in values]}).encode()


ANSWERS = {
    "a path upwards": (files({"key": "../../model.pt"}), ValueError, "and 1 files that cannot be fetched"),
    "an absolute path": (files({"key": "/etc/model.pt"}), ValueError, "and 1 files that cannot be fetched"),
    "a path of Windows": (files({"key": "..\\model.pt"}), ValueError, "and 1 files that cannot be fetched"),
    "control characters": (files({"key": "\x1b[2J\rmodel.pt"}), ValueError, "and 1 files that cannot be fetched"),
    "writing from right to left": (files({"key": "\u202etp.ledom.zip"}), ValueError, "and 1 files that cannot"),
    "a name twice": (files({}, {}), BundleError, "gives the file 'model.pt' twice"),
    "a size below 0": (files({"size": -1}), BundleError, "no list of files: files.entries.0.size"),
    "a size of a number without end": (b'{"id": 7, "files": [{"size": ' + b"9" * 10**6 + b"}]}", BundleError, "digits"),
    "an unknown checksum": (files({"checksum": "none:"}), BundleError, "a kind that is not known here"),
    "ten thousand and one files": (files(*({"key": str(n)} for n in range(10_001))), BundleError, "at most 10000"),
    "a million files": (b'{"id": 7, "files": [' + b"{}," * 10**6 + b"{}]}", BundleError, "tables and lists"),
    "an answer without an end": (b" " * (16 * 2**20 + 1), BundleError, "sends more than"),
    "lists in lists": (b'{"id": 7, "files": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", BundleError, "no list of files"),
    "another record": (files({}).replace(b"7", b"8", 1), BundleError, "about another record, 8"),
    "a page to sign in": (b"<!DOCTYPE html>", BundleError, "no list of files"),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_about_a_record(border, servers, fetch, tmp_path, case):
    zenodo, _, _ = servers
    contents, error, why = ANSWERS[case]
    zenodo.fault("GET", "/records/7", (200, {}, contents))
    border.in_child(
        lambda: fetch("10.5281/zenodo.7"), error, ["/records/7", why],
        kind="A3", case=f"record: {case}", shown="sp.hub.pull('10.5281/zenodo.7')",
    )  # fmt: skip
    assert not list((tmp_path / "cache").rglob("model*"))


def test_files_of_a_record(border, servers, fetch):
    zenodo, _, _ = servers
    number = zenodo.put({"model.pt": MODEL})
    for case, contents, why in (
        ("other bytes", MODEL[::-1], "wrong md5"),
        ("fewer bytes", MODEL[1:], "sends 5119 bytes, and the file has 5120"),
        ("more bytes", MODEL + b"!", "sends 5121 bytes, and the file has 5120"),
        ("a page to sign in", b"<!DOCTYPE html>".ljust(5120), "it is a web page"),
    ):
        zenodo.fault("GET", "/content", (200, {}, contents))
        border.refused(
            lambda: fetch(f"10.5281/zenodo.{number}"), OSError, ["could not fetch model.pt", why],
            kind="A3", case=f"file of a record: {case}", shown=f"sp.hub.pull('10.5281/zenodo.{number}')",
        )  # fmt: skip
    border.works(
        lambda: fetch(f"10.5281/zenodo.{number}"), lambda folder: (folder / "model.pt").read_bytes() == MODEL,
        kind="A3", case="file of a record: itself", shown=f"sp.hub.pull('10.5281/zenodo.{number}')",
    )  # fmt: skip


def test_what_changed_since_first_use(border, servers, fetch, tmp_path):
    zenodo, hub, _ = servers
    number = zenodo.put({"model.pt": MODEL})
    commit = hub.commit("lab/lung", {"model.pt": MODEL})
    for what in (f"10.5281/zenodo.{number}", "hf://lab/lung"):
        (fetch(what) / "model.pt").unlink()
    zenodo.records[number]["files"]["model.pt"]["content"] = MODEL[::-1]
    hub.commits["lab/lung", commit] = {"model.pt": MODEL[::-1]}
    for what in (f"10.5281/zenodo.{number}", "hf://lab/lung"):
        border.refused(
            lambda what=what: fetch(what), BundleError,
            ["is not what it was when it was first used: model.pt had 5120 bytes", f"delete {tmp_path / 'cache'}"],
            kind="A3", case="other contents than at first use", shown=f"sp.hub.pull({what!r})",
        )  # fmt: skip


def test_the_tokens_go_to_their_services(border, servers, fetch):
    zenodo, hub, thief = servers
    number = zenodo.put({"model.pt": MODEL}, access="restricted")
    for place, end in ((f"/api/records/{number}", "record"), (f"/api/records/{number}/files", "list of files")):
        zenodo.fault("GET", place, (403, {}, b""), (302, {"Location": f"{thief.address}/x"}, b""))
        border.refused(
            lambda: fetch(f"10.5281/zenodo.{number}"), OSError, f"/records/{number}",
            kind="A1", case=f"redirect of a {end} with the token", shown=f"sp.hub.pull('10.5281/zenodo.{number}')",
        )  # fmt: skip
        zenodo.faults.clear()
    hub.commit("lab/lung", {"model.pt": MODEL})
    hub.private.add("lab/lung")
    hub.change = lambda values: {**values, "siblings": [{**values["siblings"][0], "url": thief.address}]}
    border.works(
        lambda: fetch("hf://lab/lung"), lambda folder: (folder / "model.pt").read_bytes() == MODEL,
        kind="A1", case="a private repository, with the token", shown="sp.hub.pull('hf://lab/lung')",
    )  # fmt: skip
    assert thief.lines
    assert set(thief.tokens) == {None}
    assert set(zenodo.tokens) == {None, f"Bearer {TOKEN}"}
    assert set(hub.tokens) == {None, f"Bearer {HF_TOKEN}"}


@pytest.mark.parametrize(
    ("what", "error", "why"),
    [
        ("https://zenodo.org@evil.example/records/1", ValueError, "name or password"),
        ("https://zenodo.org.evil.example/records/1", ValueError, "is no address of a record"),
        ("https://evil.example\\@zenodo.org/records/1", ValueError, "backslash"),
        ("https://evil.example/model.pt", ValueError, "fetch it yourself and pass its path"),
        ("hf://lab/../../etc/passwd", ValueError, "is no repository"),
        ("hf://lab/lung@main/../../x", ValueError, "is no repository"),
        ("10.1000/182", KeyError, "only DOIs of Zenodo are known"),
        ("lung/modle.pt", FileNotFoundError, "no file or folder"),
        ("modle.pt", FileNotFoundError, "no file or folder"),
        ("simulated-scvy", KeyError, "did you mean 'simulated-scvi'"),
    ],
)
def test_what_is_asked_for_nowhere(border, servers, tmp_path, monkeypatch, what, error, why):
    monkeypatch.chdir(tmp_path)
    border.refused(
        lambda: sp.load(what), error, why, kind="A1", case="no record, no request", shown=f"sp.load({what!r})"
    )
    assert not [line for one in servers for line in one.lines]

"""The whole way of a model: draft, files, publication, index, another machine. Zenodo is a server on this machine."""

import json
import logging
import shutil
import traceback

import numpy as np
import pytest
from invenio_server import TOKEN, InvenioServer

import scarches_plus as sp
from scarches_plus.hub import BundleError, _backoff, _session

CARD = {"name": "small", "version": "1", "license": "CC-BY-4.0", "contacts": ["Jane Doe <jane@lab.example>"]}


@pytest.fixture(scope="module")
def bundles(model, tmp_path_factory):
    """Two versions of a model, side by side."""
    folder = tmp_path_factory.mktemp("bundles")
    for version in ("1", "2"):
        sp.hub.save_bundle(model, folder / version, card={**CARD, "version": version, "tissue": "none"})
    return folder


@pytest.fixture
def send(zenodo, bundles):
    def send(bundle=None, **kwargs):
        return sp.hub.upload(bundle or bundles / "1", **{"token": TOKEN, "progress": False, **kwargs})

    return send


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def index_of(bundles, tmp_path, *uploads):
    """Write the index on the machine of the author, and take only it to another."""
    sp.hub.write_index(bundles, uploads=uploads)
    (tmp_path / "elsewhere").mkdir(exist_ok=True)
    return shutil.copy(bundles / "index.json", tmp_path / "elsewhere" / "index.json")


# --- The way ---


def test_draft_publication_and_the_way_back(send, zenodo, bundles, tmp_path, model, ref, query):
    draft = send()
    assert (draft.state, draft.doi, draft.version) == ("draft", f"10.5072/zenodo.{draft.id}", "1")
    assert draft.url == f"{zenodo.address}/uploads/{draft.id}"
    with pytest.raises(ValueError, match="is a draft"):
        sp.hub.write_index(bundles, uploads=[draft])

    published = send(publish=True)
    assert (published.id, published.doi, published.state) == (draft.id, draft.doi, "published")
    record = zenodo.records[draft.id]
    assert {name: one["content"] for name, one in record["files"].items()} == contents(bundles / "1")
    metadata = record["metadata"]
    assert metadata["rights"] == [{"id": "cc-by-4.0"}]
    assert metadata["creators"] == [{"person_or_org": {"type": "organizational", "name": "Jane Doe"}}]
    assert "jane@lab.example" not in json.dumps(metadata)

    shutil.copytree(bundles / "1", tmp_path / "author" / "1")
    index = index_of(tmp_path / "author", tmp_path, published)
    assert sp.hub.list_models(index=index).iloc[0]["doi"] == published.doi
    assert str(tmp_path) not in index.read_text()
    n_sent = len(zenodo.log)
    folder = sp.hub.pull(published.doi, index=index, cache_dir=tmp_path / "cache", progress=False)
    assert all("/files/" in line and line.endswith("200") for line in zenodo.log[n_sent:])
    assert set(zenodo.tokens[n_sent:]) == {None}
    assert contents(folder) == contents(bundles / "1")
    again = sp.hub.load(f"https://doi.org/{published.doi}", index=index, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(again.embed(ref), model.embed(ref))
    cells = query.copy()
    sp.tl.map_query(cells, again, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    assert np.isfinite(cells.obsm["X_scarches"]).all()


def test_versions_and_the_doi_of_all(send, bundles, tmp_path):
    first = send(publish=True)
    second = send(bundles / "2", publish=True, new_version_of=first.doi)
    assert first.concept_doi == second.concept_doi != first.doi != second.doi
    index = index_of(bundles, tmp_path, first, second)
    options = {"index": index, "cache_dir": tmp_path / "cache"}
    assert sp.hub.info(first.doi, **options).card.version == "1"
    with pytest.raises(KeyError, match=r"is the DOI of all versions.*'2': '10.5072/zenodo.*allow_latest"):
        sp.hub.pull(first.concept_doi, **options, progress=False)
    with pytest.raises(KeyError, match="no index lists a model with the DOI"):
        sp.hub.pull("10.5072/zenodo.1", **options)
    assert not (tmp_path / "cache" / "hub" / "resolved.jsonl").exists()
    folder = sp.hub.pull(first.concept_doi, **options, allow_latest=True, progress=False)
    assert sp.hub.info(folder).card.version == "2"
    (noted,) = map(json.loads, (tmp_path / "cache" / "hub" / "resolved.jsonl").read_text().splitlines())
    assert (noted["asked"], noted["taken"], noted["doi"]) == (first.concept_doi, "small@2", second.doi)


def test_a_new_version_that_broke_off(send, zenodo, bundles):
    first = send(publish=True)
    zenodo.fault("PUT", "/draft", "hang up", "hang up", "hang up", "hang up")
    with pytest.raises(OSError, match="no answer"):
        send(bundles / "2", new_version_of=first.id)
    assert send(bundles / "2", new_version_of=first.id).state == "draft"
    assert len(zenodo.records) == 2


def test_the_same_bundle_twice_is_one_record(send, zenodo):
    first = send(publish=True)
    n_sent = len(zenodo.log)
    assert send(publish=True) == first
    assert send() == first
    assert [line.split()[0] for line in zenodo.log[n_sent:]] == ["GET", "GET"]


def test_restricted_files(send, zenodo, bundles, tmp_path, monkeypatch):
    published = send(publish=True, restricted=True)
    shutil.copytree(bundles / "1", tmp_path / "author" / "1")
    options = {"index": index_of(tmp_path / "author", tmp_path, published), "progress": False}
    options["cache_dir"] = tmp_path / "cache"
    with pytest.raises(OSError, match=r"403.*ZENODO_SANDBOX_TOKEN"):
        sp.hub.pull("small@1", **options)
    monkeypatch.setenv("ZENODO_SANDBOX_TOKEN", TOKEN)
    assert contents(sp.hub.pull("small@1", **options)) == contents(bundles / "1")


def test_an_unknown_licence_is_said_before_files_are_sent(send, zenodo, model, tmp_path):
    folder = sp.hub.save_bundle(model, tmp_path / "odd", card={**CARD, "license": "My-Own-1"})
    with pytest.raises(ValueError, match=r"metadata\.rights: \['Invalid value"):
        send(folder)
    assert not any("content" in line for line in zenodo.log)


# --- Broken connections, busy servers ---


def test_an_upload_that_broke_off_goes_on(send, zenodo):
    end = "weights.safetensors/content"
    zenodo.fault("PUT", end, *["hang up"] * 4)
    with pytest.raises(OSError, match=r"weights\.safetensors/content: no answer"):
        send()
    before = len(zenodo.log)
    draft = send()
    assert len(zenodo.records) == 1
    stored = [line.split("/")[-2] for line in zenodo.log[before:] if line.startswith("PUT") and "/content" in line]
    sent_before = {line.split("/")[-2] for line in zenodo.log[:before] if line.endswith("commit -> 200")}
    assert sent_before
    assert not sent_before & set(stored)
    assert "weights.safetensors" in stored
    assert {one["status"] for one in zenodo.records[draft.id]["files"].values()} == {"completed"}


def test_busy_servers_are_left_alone_as_long_as_they_ask(send, zenodo, monkeypatch):
    waits = []
    monkeypatch.setattr(_backoff.time, "sleep", waits.append)
    monkeypatch.setattr(_backoff.time, "time", lambda: 1_000_000_000)
    zenodo.fault("GET", "user/records", (429, {"Retry-After": "7"}, b""), (429, {"Retry-After": "1e9"}, b""))
    zenodo.fault("GET", "user/records", (503, {"Retry-After": "999999999"}, b""))
    limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000000030"}
    zenodo.fault("POST", "/api/records", (429, limit, b'{"message": "30 per 1 minute"}'))
    zenodo.fault("PUT", "weights.safetensors/content", (500, {}, b""), (502, {}, b"<html>"), "hang up")
    send()
    assert waits == [7.0, 0.002, 120.0, 30.0, 0.001, 0.002, 0.004]


def test_a_record_is_not_made_twice(send, zenodo):
    zenodo.fault("POST", "/api/records", "done, but 502")
    with pytest.raises(OSError, match="502"):
        send()
    assert send().state == "draft"
    assert len(zenodo.records) == 1


@pytest.mark.parametrize("end", ["/commit", "/publish", "/pids/doi", "/draft/files"])
def test_what_was_done_though_the_answer_was_lost(end, send, zenodo):
    zenodo.fault("POST", end, "done, but 502")
    with pytest.raises(OSError, match="502"):
        send(publish=True)
    assert send(publish=True).state == "published"
    assert len(zenodo.records) == 1


def test_what_arrived_damaged_is_taken_back(send, zenodo):
    zenodo.fault("PUT", "weights.safetensors/content", "flip a bit")
    with pytest.raises(OSError, match=r"weights\.safetensors: the service has md5:.* was sent"):
        send(publish=True)
    (record,) = zenodo.records.values()
    assert "weights.safetensors" not in record["files"]
    assert not record["published"]
    assert send(publish=True).state == "published"


def test_a_draft_with_a_damaged_file_is_mended(send, zenodo, bundles):
    draft = send()
    zenodo.records[draft.id]["files"]["README.md"]["content"] = b"other"
    send(publish=True)
    assert zenodo.records[draft.id]["files"]["README.md"]["content"] == (bundles / "1" / "README.md").read_bytes()
    zenodo.records[draft.id]["published"] = False
    zenodo.records[draft.id]["files"]["notes.txt"] = {"status": "completed", "content": b"mine"}
    with pytest.raises(ValueError, match=r"the draft holds \['notes.txt'\]"):
        send()


def test_a_file_that_changes_while_it_is_sent(send, zenodo, bundles, tmp_path, monkeypatch):
    folder = shutil.copytree(bundles / "1", tmp_path / "changing")
    original = sp.hub._record_files.send_files

    def change_then_send(*args):
        path = folder / "weights.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"x" + b"more than was announced")
        original(*args)

    monkeypatch.setattr("scarches_plus.hub._zenodo.send_files", change_then_send)
    with pytest.raises(BundleError, match=r"weights\.safetensors has changed while"):
        send(folder)
    (record,) = zenodo.records.values()
    assert record["files"].get("weights.safetensors", {}).get("status") != "completed"


# --- Servers that lie ---


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, {}, b"<!DOCTYPE html><html>Sign in</html>"), "the answer is a web page"),
        ((200, {}, b"[]"), "something else than a list of records"),
        ((200, {}, b'{"hits": {"hits": [{"id": "../../x"}]}}'), "something else than a record"),
        ((200, {}, b'{"hits": {"hits": [{"id": "1"}], "hits": []}}'), "no JSON"),
        ((200, {}, b'{"hits": {"hits": [{"id": "1", "pids": {"doi": {"identifier": "x y"}}}]}}'), "than a record"),
        ((200, {}, b" " * 10_001), "sends more than 10000 bytes"),
        ((403, {}, b'{"message": "Permission denied."}'), r"403 Permission denied\.; is the token"),
        ((301, {"Location": "http://["}, b""), "sends us to another address"),
        ((301, {}, b""), "sends us to another address"),
        ((418, {}, f'{{"message": "you sent {TOKEN}"}}'.encode()), r"you sent \[token\]"),
        ((400, {}, b'{"errors": [{"field": "a", "messages": ["no"]}, 3], "message": "bad"}'), "400 bad; a: "),
    ],
)
def test_answers_that_make_no_sense(zenodo, answer, why, monkeypatch):
    monkeypatch.setattr(_session, "_LARGEST", 10_000)
    zenodo.fault("GET", "user/records", *[answer] * 4)
    with pytest.raises(OSError, match=why) as caught:
        sp.hub.list_uploads(token=TOKEN)
    assert TOKEN not in str(caught.value)


def test_a_commit_that_claims_another_checksum(send, zenodo):
    lie = json.dumps({"key": "README.md", "status": "completed", "checksum": "md5:0", "size": 1}).encode()
    zenodo.fault("POST", "README.md/commit", (200, {}, lie))
    with pytest.raises(OSError, match="md5:0"):
        send(publish=True)
    assert not any(one["published"] for one in zenodo.records.values())


@pytest.mark.parametrize(("method", "end"), [("GET", "user/records"), ("POST", "/api/records"), ("PUT", "/content")])
@pytest.mark.parametrize("status", [302, 307])
def test_no_redirect_is_followed_with_the_token(send, zenodo, method, end, status):
    thief = InvenioServer()
    try:
        zenodo.fault(method, end, (status, {"Location": f"{thief.address}/api/records"}, b""))
        with pytest.raises(OSError, match=r"sends us to 127\.0\.0\.1, where the token does not go"):
            send()
        assert thief.lines == []
    finally:
        thief.close()


def test_a_download_that_is_sent_elsewhere_leaves_the_token_behind(send, zenodo, bundles, tmp_path, monkeypatch):
    published = send(publish=True, restricted=True)
    shutil.copytree(bundles / "1", tmp_path / "author" / "1")
    index = index_of(tmp_path / "author", tmp_path, published)
    monkeypatch.setenv("ZENODO_SANDBOX_TOKEN", TOKEN)
    thief = InvenioServer()
    try:
        for file in (bundles / "1").iterdir():
            end = f"{file.name}/content"
            zenodo.fault("GET", end, (403, {}, b""), (302, {"Location": f"{thief.address}/{file.name}"}, b""))
            thief.fault("GET", file.name, (200, {}, file.read_bytes()))
        folder = sp.hub.pull("small@1", index=index, cache_dir=tmp_path / "cache", progress=False)
        assert contents(folder) == contents(bundles / "1")
        assert set(thief.tokens) == {None}
        assert f"Bearer {TOKEN}" in zenodo.tokens
    finally:
        thief.close()


# --- The token ---


def test_the_token_is_nowhere_but_in_the_header(send, zenodo, caplog, capfd, tmp_path, monkeypatch, bundles):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    zenodo.fault("PUT", "README.md/content", (400, {}, f'{{"message": "Bearer {TOKEN}"}}'.encode()))
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(OSError, match="400") as caught:
            send()
        assert repr(send(publish=True))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "scarches_plus" in frame.filename]
    assert ours
    said = caplog.text + "".join(capfd.readouterr()) + str(caught.value) + str([frame.locals for frame in ours])
    assert "Token(hidden)" in said
    assert TOKEN not in said
    assert caught.value.__context__ is None
    assert set(zenodo.tokens) == {f"Bearer {TOKEN}"}
    assert all(TOKEN not in line for line in zenodo.lines)
    assert all(agent.startswith("scarches_plus/") for agent in zenodo.agents)
    assert not any(TOKEN.encode() in file.read_bytes() for file in bundles.rglob("*") if file.is_file())


def test_a_lost_connection_does_not_carry_the_request(send, zenodo):
    zenodo.fault("GET", "user/records", *["hang up"] * 4)
    with pytest.raises(OSError, match="no answer") as caught:
        send()
    assert not hasattr(caught.value, "request")
    assert caught.value.__context__ is None


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "", "ä"])
def test_what_is_no_token(send, zenodo, token, monkeypatch):
    monkeypatch.delenv("ZENODO_SANDBOX_TOKEN", raising=False)
    with pytest.raises(ValueError, match="token") as caught:
        send(token=token)
    assert not token or token not in str(caught.value)
    assert zenodo.lines == []


def test_tokens_of_the_environment(send, zenodo, monkeypatch):
    monkeypatch.delenv("ZENODO_SANDBOX_TOKEN", raising=False)
    with pytest.raises(ValueError, match="pass token= or set ZENODO_SANDBOX_TOKEN"):
        send(token=None)
    monkeypatch.setenv("ZENODO_SANDBOX_TOKEN", f" {TOKEN}\n")
    assert send(token=None).state == "draft"
    with pytest.raises(PermissionError, match="403"):
        send(token="another")


def test_the_sandbox_unless_asked(bundles, monkeypatch):
    """Real addresses, which the tests cannot reach: see tests/conftest.py."""
    monkeypatch.setattr(_backoff, "WAIT", 0.001)
    for sandbox, host in ((True, "sandbox.zenodo.org"), (False, "zenodo.org")):
        with pytest.raises(RuntimeError, match=f"'{host}'"):
            sp.hub.upload(bundles / "1", token=TOKEN, sandbox=sandbox)


# --- What is not sent ---


def test_bundles_that_are_not_fit(send, zenodo, model, bundles, bundle, tmp_path):
    with pytest.raises(ValueError, match=r"needs \['license'\]"):
        send(bundle)
    for missing in ("name", "version"):
        card = {key: value for key, value in CARD.items() if key != missing}
        with pytest.raises(ValueError, match=rf"needs \['{missing}'\]"):
            send(sp.hub.save_bundle(model, tmp_path / missing, card=card))
    nobody = sp.hub.save_bundle(model, tmp_path / "nobody", card={**CARD, "contacts": []})
    with pytest.raises(ValueError, match="nobody is cited"):
        send(nobody)
    cells = sp.hub.save_bundle(model, tmp_path / "cells", card=CARD, anchors=True)
    with pytest.raises(ValueError, match=r"data of single cells \(anchors\)"):
        send(cells)
    with pytest.raises(ValueError, match="none of"):
        send(backend="elsewhere")
    damaged = shutil.copytree(bundles / "1", tmp_path / "damaged")
    (damaged / "README.md").write_text("other")
    with pytest.raises(BundleError, match="README"):
        send(damaged)
    assert zenodo.lines == []
    assert send(cells, allow_cells=True, creators=["Doe, Jane"]).state == "draft"
    (record,) = zenodo.records.values()
    person = {"type": "personal", "family_name": "Doe", "given_name": "Jane"}
    assert record["metadata"]["creators"] == [{"person_or_org": person}]


def test_ids_that_lead_elsewhere(send, zenodo):
    with pytest.raises(ValueError, match="is no id of a record"):
        send(new_version_of="../../user")
    with pytest.raises(FileNotFoundError, match="404"):
        send(new_version_of="999")
    assert not any("/user/" in line and "user/records" not in line for line in zenodo.lines)

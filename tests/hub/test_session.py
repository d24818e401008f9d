"""Servers that lie, and the token, which goes to its service and is shown nowhere."""

import json
import logging
import traceback

import pytest
from invenio_server import TOKEN, InvenioServer

import scarches_plus as sp


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# --- Servers that lie ---


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, {}, b"<!DOCTYPE html><html>Sign in</html>"), "the answer is a web page"),
        ((200, {}, b"[]"), "something else than a list of records"),
        ((200, {}, b'{"hits": {"hits": [3]}}'), "something else than a list of records"),
        ((200, {}, b'{"hits": {"hits": [{"id": "1"}], "hits": []}}'), "no JSON"),
        ((200, {}, b" " * (16 * 2**20 + 1)), "sends more than 16777216 bytes"),
        ((403, {}, b'{"message": "Permission denied."}'), r"403 Permission denied\.; is the token"),
        ((301, {"Location": "http://["}, b""), "sends us to another address"),
        ((301, {}, b""), "sends us to another address"),
        ((418, {}, f'{{"message": "you sent {TOKEN}"}}'.encode()), r"you sent \[token\]"),
        ((400, {}, b'{"errors": [{"field": "a", "messages": ["no"]}, 3], "message": "bad"}'), "400 bad; a: "),
    ],
)
def test_answers_that_make_no_sense(zenodo, answer, why):
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


def test_a_download_that_is_sent_elsewhere_leaves_the_token_behind(
    send, zenodo, bundles, index_of, tmp_path, monkeypatch
):
    published = send(publish=True, restricted=True)
    index = index_of(published)
    monkeypatch.setenv("ZENODO_SANDBOX_TOKEN", TOKEN)
    thief = InvenioServer()
    try:
        for file in (bundles / "1").iterdir():
            end = f"{file.name}/content"
            zenodo.fault("GET", end, (403, {}, b""), (302, {"Location": f"{thief.address}/{file.name}"}, b""))
            thief.fault("GET", file.name, (200, {}, file.read_bytes()))
        folder = sp.hub.pull("small@1", index=index, cache_dir=tmp_path / "cache", progress=False)
        assert files_of(folder) == files_of(bundles / "1")
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


def test_the_sandbox_unless_asked(bundles, no_waits):
    """Real addresses, which the tests cannot reach: see tests/conftest.py."""
    for sandbox, host in ((True, "sandbox.zenodo.org"), (False, "zenodo.org")):
        with pytest.raises(RuntimeError, match=f"'{host}'"):
            sp.hub.upload(bundles / "1", token=TOKEN, sandbox=sandbox)

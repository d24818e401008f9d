"""Indexes that cannot be reached, which spoil neither each other nor the models that come with the package."""

import json
import re
import shutil
import traceback

import pytest
from file_server import FileServer
from invenio_server import InvenioServer
from shipped import FOLDER, entry_of

import scarches_plus as sp
from scarches_plus.hub import BundleError

TOKEN = "s3cret-t0ken"


@pytest.fixture
def lab(tmp_path):
    """A folder with a bundle and its index, as a lab has it."""
    shutil.copytree(FOLDER / "simulated-scvi", tmp_path / "lab" / "ours")
    entry = entry_of("simulated-scvi") | {
        "name": "ours",
        "mirrors": ["ours"],
        "doi": "10.5072/Zenodo.7",
        "concept_doi": "10.5072/zenodo.6",
    }
    (tmp_path / "lab" / "index.json").write_text(json.dumps({"schema_version": 1, "models": [entry]}))
    return tmp_path / "lab"


@pytest.fixture
def server(lab, monkeypatch, no_waits):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = FileServer(lab)
    yield server
    server.close()


@pytest.fixture
def url(server):
    return f"{server.address}/index.json"


@pytest.fixture
def options(url, tmp_path):
    return {"index": url, "cache_dir": tmp_path / "cache"}


BROKEN = (500, {}, b"")


def test_offline_with_the_last_copy(server, options):
    folder = sp.hub.pull("ours", **options, progress=False)
    server.requests.clear()
    assert sp.hub.pull("ours", **options, offline=True) == folder
    assert sp.hub.info("ours", **options, offline=True) == sp.hub.info(folder)
    assert "ours" in set(sp.hub.list_models(**options, offline=True)["name"])
    assert server.requests == []


def test_the_last_good_copy_where_nothing_good_comes(server, options, lab):
    sp.hub.list_models(**options)
    kept = [(path.name, path.read_bytes()) for path in (options["cache_dir"] / "hub" / "indexes").iterdir()]
    assert [contents for _, contents in kept] == [(lab / "index.json").read_bytes()]
    for answers in ([BROKEN] * 4, [(404, {}, b"")], [(200, {}, b"<html>sign in</html>")], [(200, {}, b"{}")]):
        server.faults["index.json"] = answers
        with pytest.warns(UserWarning, match=f"the last copy of {options['index']} is used: "):
            assert "ours" in set(sp.hub.list_models(**options)["name"])
    assert [(path.name, path.read_bytes()) for path in (options["cache_dir"] / "hub" / "indexes").iterdir()] == kept
    (lab / "index.json").write_text('{"schema_version": 1, "models": []}')
    assert "ours" not in set(sp.hub.list_models(**options)["name"])
    assert "ours" not in set(sp.hub.list_models(**options, offline=True)["name"])


def test_overloaded_servers_are_asked_again(server, options):
    server.faults["index.json"] = [(429, {"Retry-After": "0"}, b"slow down"), BROKEN, (200, {}, 10)]
    assert "ours" in set(sp.hub.list_models(**options)["name"])
    assert len(server.requests) == 4


def test_a_dead_index_spoils_no_other(server, url, tmp_path, monkeypatch):
    monkeypatch.setenv("SCARCHES_PLUS_HUB_INDEX", f"{url} {tmp_path / 'not_mounted'}")
    server.faults["index.json"] = [BROKEN] * 8
    with pytest.warns(UserWarning, match="an index is left out") as caught:
        table = sp.hub.list_models(cache_dir=tmp_path / "cache")
    assert len(table) == 9
    assert f"{url}: answers 500" in str(caught[0].message)
    assert "not_mounted" in str(caught[1].message)
    with pytest.warns(UserWarning, match="is left out"):
        sp.hub.load("simulated-scvi", cache_dir=tmp_path / "cache")
    with pytest.warns(UserWarning, match="is left out") as caught:
        sp.hub.load("simulated-scvi", cache_dir=tmp_path / "cache", offline=True)
    assert f"{url} is not fetched: offline" in str(caught[0].message)
    for name in ("ours", "simulated-scvi@99", "10.1000/7"):
        server.faults["index.json"] = [BROKEN] * 4
        with pytest.raises(OSError, match=f"could not be read:\n  {url}: answers 500\n.*not_mounted"):
            sp.hub.load(name, cache_dir=tmp_path / "cache")


def test_what_is_no_index_and_has_no_copy(server, options):
    for answer in (b"<html>sign in</html>", b'{"schema_version": 2, "models": []}'):
        server.faults["index.json"] = [(200, {}, answer)] * 3
        with pytest.warns(UserWarning, match=f"is left out: {options['index']} is no index"):
            assert "ours" not in set(sp.hub.list_models(**options)["name"])
        with pytest.warns(UserWarning, match="is left out"):
            sp.hub.load("simulated-scvi", **options)
        with pytest.raises(OSError, match=r"no index lists .*could not be read:\n.* is no index"):
            sp.hub.load("ours", **options)


def test_a_file_of_the_environment_that_is_no_index(tmp_path, monkeypatch):
    path = tmp_path / "index.json"
    path.write_text("<html>")
    monkeypatch.setenv("SCARCHES_PLUS_HUB_INDEX", str(path))
    with pytest.warns(UserWarning, match="is no index"):
        sp.hub.info("simulated-scvi", cache_dir=tmp_path)
    with pytest.raises(BundleError, match="is no index"):
        sp.hub.info("simulated-scvi", index=path, cache_dir=tmp_path)


@pytest.mark.parametrize("place", ["http://[::1", "https://a:99999999/", "//["])
def test_addresses_that_are_none(place, server, options):
    server.faults["index.json"] = [(302, {"Location": place}, b"")]
    with pytest.warns(UserWarning, match=f"left out: {re.escape(options['index'])}.*{re.escape(place)}"):
        sp.hub.info("simulated-scvi", **options)
    if not place.startswith("//"):
        with pytest.warns(UserWarning, match=f"left out: {re.escape(place)} is no address"):
            sp.hub.info("simulated-scvi", index=place, cache_dir=options["cache_dir"])


@pytest.mark.parametrize("unusable", ["/dev/null/cache", "file"])
def test_a_cache_that_cannot_be_used(unusable, options, tmp_path):
    (tmp_path / "file").write_text("")
    cache = tmp_path / unusable  # an absolute one replaces it
    assert sp.hub.pull("simulated-scvi", cache_dir=cache) == FOLDER / "simulated-scvi"
    assert sp.hub.info("simulated-scvi", cache_dir=cache, allow_latest=True).card.name == "simulated-scvi"
    assert "ours" in set(sp.hub.list_models(index=options["index"], cache_dir=cache)["name"])


def test_a_damaged_copy_is_no_copy(options):
    sp.hub.list_models(**options)
    (copy,) = (options["cache_dir"] / "hub" / "indexes").iterdir()
    copy.write_bytes(copy.read_bytes()[:100])
    with pytest.raises(OSError, match="offline"):
        sp.hub.info("ours", **options, offline=True)


# --- What names stand for ---


@pytest.mark.parametrize("ask", [sp.hub.info, sp.hub.pull])
def test_what_is_noted(ask, lab, tmp_path):
    def noted(name):
        ask(name, index=lab, cache_dir=tmp_path / "cache", allow_latest=True)
        path = tmp_path / "cache" / "hub" / "resolved.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [json.loads(line)["asked"] for line in lines]

    version = "10.5072/ZENODO.7"
    for name in ("ours@1", version, f"https://doi.org/{version}", f"doi:{version.lower()}"):
        assert noted(name) == [], "it says the version"
    for name in ("ours", "10.5072/zenodo.6", "https://doi.org/10.5072/Zenodo.6"):
        assert noted(name) == [name]


# --- The token ---


def shown(error):
    """What a traceback with local variables shows, beside those of this file."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return str(error) + str([frame.locals for frame in told.stack if frame.filename != __file__])


@pytest.mark.parametrize("moment", ["the answer", "the body"])
def test_a_lost_connection_does_not_carry_the_token(moment, tmp_path, monkeypatch, no_waits, publish_at):
    monkeypatch.setenv("ZENODO_SANDBOX_TOKEN", TOKEN)
    service = InvenioServer()
    url = f"{service.address}/api/records/1/files/index.json"
    publish_at(monkeypatch, "zenodo sandbox", service.address)
    broken = "hang up" if moment == "the answer" else (200, {"Content-Length": "1000"}, b"{")
    try:
        for _ in range(4):
            service.fault("GET", "index.json", (403, {}, b""), broken)
        with pytest.raises(OSError, match=re.escape(url)) as caught:
            sp.hub.load("ours", index=url, cache_dir=tmp_path)
    finally:
        service.close()
    assert f"Bearer {TOKEN}" in service.tokens
    assert TOKEN not in shown(caught.value)
    assert caught.value.__context__ is None
    assert not hasattr(caught.value, "request")
    assert type(caught.value) is OSError


def test_a_token_that_cannot_stand_in_a_header_is_not_shown(monkeypatch):
    secret = f"{TOKEN} and more"
    monkeypatch.setenv("ZENODO_SANDBOX_TOKEN", secret)
    with pytest.raises(ValueError, match="one word") as caught:
        sp.hub.list_uploads()
    assert secret not in shown(caught.value)

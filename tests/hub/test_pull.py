"""Models come from folders and web servers whole, or not at all."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from file_server import FileServer

import scarches_plus as sp
from scarches_plus.hub import BundleError


@pytest.fixture(scope="module")
def lab(model, tmp_path_factory):
    """A folder of bundles with an index."""
    folder = tmp_path_factory.mktemp("lab")
    for version in ("1.0", "1.10", "1.9"):
        sp.hub.save_bundle(model, folder / f"small-{version}", card={"name": "small", "version": version})
    sp.hub.write_index(folder)
    return folder


@pytest.fixture
def server(lab, monkeypatch, no_waits, limits):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    limits(received=100)
    server = FileServer(lab)
    yield server
    server.close()


@pytest.fixture
def pull(server, tmp_path):
    def pull(name="small@1.0", **kwargs):
        kwargs = {"index": f"{server.address}/index.json", "cache_dir": tmp_path / "cache", "progress": False, **kwargs}
        return sp.hub.pull(name, **kwargs)

    return pull


def test_from_a_web_server_once(pull, server, model, ref):
    folder = pull()
    manifest = sp.hub.verify_bundle(folder)
    assert manifest.card.version == "1.0"
    np.testing.assert_array_equal(sp.hub.load_bundle(folder).embed(ref), model.embed(ref))
    n_requests = len(server.requests)
    assert pull() == folder
    assert server.requests[n_requests:] == [("/index.json", None)]
    assert all(agent.startswith("scarches_plus/") for agent in server.agents)


def test_from_a_folder(lab, tmp_path):
    folder = sp.hub.pull("small@1.9", index=lab, cache_dir=tmp_path)
    assert sp.hub.verify_bundle(folder).card.version == "1.9"


def test_versions(pull):
    with pytest.raises(KeyError, match=r"\['1.0', '1.9', '1.10'\]; name one, such as 'small@1.10'"):
        pull("small")
    assert sp.hub.info(pull("small", allow_latest=True)).card.version == "1.10"
    with pytest.raises(KeyError, match="no version '3'"):
        pull("small@3")
    with pytest.raises(KeyError, match="no index lists a model 'large'"):
        pull("large")


def test_overloaded_servers_are_asked_again(pull, server):
    server.faults["weights.safetensors"] = [
        (429, {"Retry-After": "0"}, b"slow down"),
        (503, {}, b"busy"),
        (500, {}, b""),
    ]
    sp.hub.verify_bundle(pull())
    assert [path for path, _ in server.requests].count("/small-1.0/weights.safetensors") == 4


def test_what_broke_off_goes_on(pull, server):
    server.faults["weights.safetensors"] = [(200, {}, 1000), (200, {}, 500)]
    sp.hub.verify_bundle(pull())
    ranges = [given for path, given in server.requests if path.endswith("weights.safetensors")]
    assert ranges == [None, "bytes=1000-", "bytes=1500-"]


def test_everybody_may_read_a_shared_cache(pull, capfd):
    before = os.umask(0o022)
    try:
        folder = pull()
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert "ownload" not in "".join(capfd.readouterr())


def test_an_interrupt_while_hashes_are_compared_loses_nothing(pull, server, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pull()
    arrived, _ = server.requests[-1]
    server.requests.clear()
    sp.hub.verify_bundle(pull())
    assert arrived not in [path for path, _ in server.requests]


def test_a_second_call_goes_on_where_the_first_broke_off(pull, server):
    server.faults["weights.safetensors"] = [(200, {}, 1000), *[(503, {}, b"")] * 3]
    with pytest.raises(OSError, match=r"weights\.safetensors"):
        pull()
    server.requests.clear()
    sp.hub.verify_bundle(pull())
    assert ("/small-1.0/weights.safetensors", "bytes=1000-") in server.requests


@pytest.mark.parametrize("end", ["weights.safetensors", "manifest.json", "README.md", "SHA256SUMS"])
def test_other_contents_are_refused_and_not_kept(pull, server, end, lab, tmp_path):
    size = (lab / "small-1.0" / end).stat().st_size
    page = b"<!DOCTYPE html><html>Sign in".ljust(size)
    html, unknown = {"Content-Type": "text/html"}, {"Content-Length": None}
    for headers, body, why in (
        ({}, page, "web page"),
        ({}, bytes(size), "something else"),
        (unknown, bytes(size + 1), "more than"),
        ({}, bytes(size + 1), f"sends {size + 1} bytes, and the file has {size}"),
        (html, b"<!DOCTYPE html>", f"sends 15 bytes of a web page, and the file has {size}"),
    ):
        server.faults[f"1.0/{end}"] = [(200, headers, body)]
        with pytest.raises(OSError, match=why) as caught:
            pull()
        assert end in str(caught.value)
        assert not list((tmp_path / "cache").rglob(f"{end}*")) or not any(
            one.is_file() and one.parent.name != ".locks" for one in (tmp_path / "cache").rglob(f"{end}*")
        )
    sp.hub.verify_bundle(pull())


@pytest.fixture
def from_mirrors(server, lab, tmp_path):
    """Pull a model that lies at a mirror that signs in, and at one that is whole."""

    def from_mirrors():
        values = json.loads((lab / "index.json").read_text())
        values["models"][0]["mirrors"] = [f"{server.address}/{name}/{{file}}" for name in ("signs-in", "small-1.0")]
        index = tmp_path / "index.json"
        index.write_text(json.dumps(values))
        return sp.hub.pull("small@1.0", index=index, cache_dir=tmp_path / "cache", progress=False)

    return from_mirrors


@pytest.mark.parametrize("announced", [True, False])
def test_a_short_page_does_not_spoil_the_next_mirror(announced, server, from_mirrors):
    headers = {} if announced else {"Content-Length": None}
    server.faults["signs-in/weights.safetensors"] = [(200, headers, b"<html>Sign in</html>")] * 4
    sp.hub.verify_bundle(from_mirrors())
    assert ("/small-1.0/weights.safetensors", None) in server.requests


def test_a_short_page_does_not_replace_what_has_arrived(server, pull, from_mirrors):
    server.faults["weights.safetensors"] = [(200, {}, 1000), *[(503, {}, b"")] * 3]
    with pytest.raises(OSError, match="503"):
        pull()
    server.faults["signs-in/weights.safetensors"] = [(200, {}, b"<html>Sign in</html>")]
    server.requests.clear()
    sp.hub.verify_bundle(from_mirrors())
    assert ("/small-1.0/weights.safetensors", "bytes=1000-") in server.requests


def test_what_arrived_before_was_of_something_else(pull, server):
    part = pull() / "weights.safetensors.part"
    (part.parent / "weights.safetensors").unlink()
    part.write_bytes(b"something else")
    server.requests.clear()
    sp.hub.verify_bundle(pull())
    assert [given for path, given in server.requests if path.endswith("weights.safetensors")] == ["bytes=14-", None]


def test_missing_files_and_mirrors(server, lab, tmp_path):
    values = json.loads((lab / "index.json").read_text())
    mirrors = [f"{server.address}/nowhere/{{file}}", f"{server.address}/small-1.0/{{file}}"]
    values["models"][0]["mirrors"] = mirrors[:1]
    index = tmp_path / "index.json"
    index.write_text(json.dumps(values))
    with pytest.raises(OSError, match="404"):
        sp.hub.pull("small@1.0", index=index, cache_dir=tmp_path / "cache", progress=False)
    assert len(server.requests) == 1, "asking again would not help"
    values["models"][0]["mirrors"] = mirrors
    index.write_text(json.dumps(values))
    sp.hub.verify_bundle(sp.hub.pull("small@1.0", index=index, cache_dir=tmp_path / "cache", progress=False))


def test_offline(pull, server, lab, monkeypatch, tmp_path):
    with pytest.raises(OSError, match="offline"):
        pull(offline=True)
    folder = pull()
    server.requests.clear()
    monkeypatch.setenv("SCARCHES_PLUS_OFFLINE", "1")
    index = tmp_path / "index.json"  # which knows the server, and is at hand
    values = json.loads((lab / "index.json").read_text())
    for one in values["models"]:
        one["mirrors"] = [f"{server.address}/{one['mirrors'][0]}"]
    index.write_text(json.dumps(values))
    assert pull(index=index) == folder
    with pytest.raises(OSError, match="offline"):
        pull("small@1.9", index=index)
    assert server.requests == []


def test_a_tampered_cache_is_fetched_again(pull):
    path = pull() / "weights.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    sp.hub.verify_bundle(pull())


def test_a_whole_cache_that_cannot_be_written(pull, lab, tmp_path):
    folder = pull(index=lab)
    locks = tmp_path / "cache" / "hub" / ".locks"
    shutil.rmtree(locks)
    locks.write_text("")  # permissions do not bind every user
    assert pull(index=lab, offline=True) == folder
    (folder / "README.md").unlink()
    with pytest.raises(OSError, match="locks"):
        pull(index=lab)


def test_limits(pull, server):
    with pytest.raises(BundleError, match="max_bytes"):
        pull(max_bytes=1000)
    with pytest.raises(OSError, match="only https"):
        pull(index="http://example.org/index.json")
    assert all("example" not in path for path, _ in server.requests)


def test_redirects(pull, server, lab, tmp_path):
    def moved(*places):
        server.faults["weights.safetensors"] = [(302, {"Location": place}, b"x" * 1000) for place in places]

    moved("/small-1.0/weights.safetensors", "weights.safetensors", server.address + "/small-1.0/weights.safetensors")
    sp.hub.verify_bundle(pull())
    for place, why in (
        ("http://example.org/x", "only https"),
        ("http://[", "IPv6"),
        ("file:///etc/passwd", "only https"),
    ):
        moved(place)
        with pytest.raises(OSError, match=why):
            pull("small@1.9")
    moved(*["/small-1.9/weights.safetensors"] * 10)
    with pytest.raises(OSError, match="from place to place"):
        pull("small@1.9")


PULL = """
    import sys
    import scarches_plus as sp

    address, cache = sys.argv[1:]
    print(sp.hub.pull("small@1.0", index=address + "/index.json", cache_dir=cache, progress=False))
"""


KILLED = """
    import os

    from scarches_plus._http import _download

    def die(response, chunks=_download.chunks):
        yield next(chunks(response))
        os._exit(9)

    _download.chunks = die
"""


def test_a_killed_pull_leaves_nothing_in_the_way(pull, server, tmp_path):
    script = textwrap.dedent(KILLED) + textwrap.dedent(PULL)
    command = [sys.executable, "-c", script, server.address, str(tmp_path / "cache")]
    assert subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 9
    assert [path.name for path in (tmp_path / "cache").rglob("*.part")] == ["manifest.json.part"]
    sp.hub.verify_bundle(pull())


def test_two_processes_fetch_once(server, tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(PULL), server.address, str(tmp_path / "cache")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = {one.communicate()[0].strip() for one in processes}
    assert len(folders) == 1
    sp.hub.verify_bundle(folders.pop())
    assert [path for path, _ in server.requests].count("/small-1.0/weights.safetensors") == 1


BAD = {
    "twice": b'{"schema_version": 1, "schema_version": 1, "models": []}',
    "schema_version": b'{"schema_version": 2, "models": []}',
    "models.0": b'{"schema_version": 1, "models": [{"name": "../x"}]}',
    "no index": b"<html></html>",
}


@pytest.mark.parametrize("why", BAD)
def test_what_is_no_index(why, tmp_path):
    path = tmp_path / "index.json"
    path.write_bytes(BAD[why])
    with pytest.raises(BundleError, match=why):
        sp.hub.list_models(index=path)


def test_names_of_files_that_lead_elsewhere(lab, tmp_path):
    values = json.loads((lab / "index.json").read_text())
    values["models"][0]["files"]["../evil"] = {"size": 1, "sha256": "0" * 64}
    (tmp_path / "index.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match="files"):
        sp.hub.pull("small@1.0", index=tmp_path, cache_dir=tmp_path / "cache")

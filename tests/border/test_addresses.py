"""An address means one server to everybody who reads it, and the token goes to its service only."""

import json

import pytest
from file_server import FileServer
from invenio_server import TOKEN, InvenioServer
from shipped import entry_of

import scarches_plus as sp
from scarches_plus._http import (
    AddressError,
    address_below,
    check_address,
    join_address,
    origin_of,
    require_step,
)
from scarches_plus.datasets._sources._download import RemoteFile, fetch
from scarches_plus.hub import BundleError
from scarches_plus.hub._web._services import Token
from scarches_plus.hub._web._session import Session

pytestmark = pytest.mark.border


@pytest.fixture
def servers(monkeypatch, no_waits, publish_at):
    """Zenodo and a thief on this machine, and the user's token for Zenodo."""
    zenodo, thief = InvenioServer(), InvenioServer()
    publish_at(monkeypatch, "zenodo", zenodo.address)
    monkeypatch.setenv("ZENODO_TOKEN", TOKEN)
    yield zenodo, thief
    zenodo.close()
    thief.close()


@pytest.fixture
def pull(tmp_path):
    """Pull a model whose files lie at one mirror."""

    def pull(mirror):
        entry = entry_of("simulated-scvi")
        values = {"schema_version": 1, "models": [entry | {"name": "theirs", "mirrors": [mirror]}]}
        (tmp_path / "index.json").write_text(json.dumps(values))
        return sp.hub.pull("theirs", index=tmp_path, cache_dir=tmp_path / "cache", progress=False)

    return pull


def filled(form, zenodo, thief):
    """Return an address in which Z and T stand for host and port of the two, z for the port, and F for the file."""
    for letter, text in {
        "Z": zenodo.address[7:], "T": thief.address[7:], "z": zenodo.address.rpartition(":")[2], "F": "{file}",
    }.items():  # fmt: skip
        form = form.replace(f"<{letter}>", text)
    return form


MIRRORS = {
    "backslash before @": ("http://<T>\\@<Z>/<F>", "backslash"),
    "backslash in the path": ("http://<T>\\.<Z>/<F>", "backslash"),
    "name before the host": ("http://<Z>@<T>/<F>", "name or password"),
    "name and password": ("http://<Z>:x@<T>/<F>", "name or password"),
    "@ in disguise": ("http://<Z>%40<T>/<F>", "host holds a %"),
    "tab in the host": ("http://<T>\t@<Z>/<F>", "control character"),
    "line break": ("http://<T>/\r\nAuthorization: Bearer x/<F>", "control character"),
    "line break in disguise": ("http://<T>/%0d%0aX: y/<F>", "control character"),
    "blank": ("http://<T> @<Z>/<F>", "blank"),
    "dot of another alphabet": ("http://127\u30020.0.1:<z>/<F>", "another alphabet"),
    "digits of another alphabet": ("http://\uff11\uff12\uff17.0.0.1:<z>/<F>", "another alphabet"),
    "invisible character": ("http://127.0.0.1\u200b:<z>/<F>", "another alphabet"),
    "short number": ("http://127.1:<z>/<F>", "usual form"),
    "hexadecimal number": ("http://0x7f000001:<z>/<F>", "usual form"),
    "number in a number": ("http://[::ffff:127.0.0.1]:<z>/<F>", "usual form"),
}


@pytest.mark.parametrize("form", MIRRORS)
def test_mirrors_that_two_programs_read_in_two_ways(border, servers, pull, form):
    mirror, why = MIRRORS[form]
    mirror = filled(mirror, *servers)
    border.refused(
        lambda: pull(mirror), BundleError, ["models.0.mirrors.0", "is no address", why],
        kind="A1", case=f"mirror: {form}", shown=f"hub.pull(..., index=...) with the mirror {mirror!r}",
    )  # fmt: skip
    assert not servers[0].lines
    assert not servers[1].lines


OTHERS = {
    "host in the fragment": "http://<T>/x#@<Z>/<F>",
    "host in the query": "http://<T>/?@<Z>/<F>",
    "host in the path": "http://<T>/@<Z>/<F>",
    "host after a semicolon": "http://<T>/;@<Z>/<F>",
    "another name of the machine": "http://localhost:<z>/<F>",
    "another number of the machine": "http://127.0.0.2:<z>/<F>",
    "another port": "http://<T>/<F>",
}


@pytest.mark.parametrize("form", OTHERS)
def test_other_origins_get_no_token(border, servers, pull, form):
    mirror = filled(OTHERS[form], *servers)
    border.refused(
        lambda: pull(mirror), OSError, "could not fetch manifest.json",
        kind="A1", case=f"another origin: {form}", shown=f"hub.pull(..., index=...) with the mirror {mirror!r}",
    )  # fmt: skip
    assert {*servers[0].tokens, *servers[1].tokens} <= {None}


def test_the_service_gets_the_token(border, servers, pull):
    zenodo, thief = servers
    for form in ("http://<Z>/<F>", "HTTP://<Z>/a/../<F>", "http://<Z>?<F>"):
        mirror = filled(form, *servers)
        border.refused(
            lambda mirror=mirror: pull(mirror), OSError, "could not fetch",
            kind="A1", case="the service itself, without such a file", shown=f"hub.pull(...) with the mirror {mirror!r}",
        )  # fmt: skip
        assert f"Bearer {TOKEN}" in zenodo.tokens
        zenodo.tokens.clear()
    assert not thief.lines


REDIRECTS = {
    "another port": ("http://<T>/x", "403"),
    "without a scheme": ("//<T>/x", "403"),
    "name before the host": ("http://<Z>@<T>/x", "name or password"),
    "name without a scheme": ("//<Z>@<T>/x", "name or password"),
    "backslash": ("http://<T>\\@<Z>/x", "backslash"),
    "backslashes": ("\\\\<T>\\x", "backslash"),
    "slash and backslash": ("/\\<T>/x", "backslash"),
    "blank": (" http://<T>/x y", "blank"),
    "scheme without slashes": ("http:<T>/x", "only https"),
    "three slashes": ("http:///<T>/x", "usual form"),
    "@ in disguise": ("http://<Z>%40<T>/x", "host holds a %"),
    "a page's script": ("javascript://<T>/%0aalert(1)", "only https"),
    "a file of this machine": ("file:///etc/passwd", "only https"),
    "another machine, not encrypted": ("http://thief.example/x", "only https"),
}


@pytest.mark.parametrize("form", REDIRECTS)
def test_redirects_with_the_token(border, servers, pull, form):
    zenodo, thief = servers
    place, why = REDIRECTS[form]
    place = filled(place, *servers)
    zenodo.fault("GET", "manifest.json", (403, {}, b""), (302, {"Location": place}, b""))
    border.refused(
        lambda: pull(f"{zenodo.address}/{{file}}"), OSError, ["could not fetch manifest.json", why],
        kind="A1", case=f"redirect: {form}", shown=f"Location: {place}",
    )  # fmt: skip
    assert f"Bearer {TOKEN}" in zenodo.tokens
    assert set(thief.tokens) <= {None}


STEPS = {
    "to this machine": ("https://lab.example/i", "https://127.0.0.1/x", "this machine"),
    "to this machine, by name": ("https://lab.example/i", "https://localhost/x", "this machine"),
    "to this machine, not encrypted": ("https://lab.example/i", "http://[::1]:6379/x", "only https"),
    "into a private network": ("https://lab.example/i", "https://10.0.0.1/x", "private network"),
    "into a private network of version 6": ("https://lab.example/i", "https://[fd00::1]/x", "private network"),
    "to the keys of a cloud machine": ("https://lab.example/i", "https://169.254.169.254/latest", "private network"),
    "to all addresses of this machine": ("https://lab.example/i", "https://0.0.0.0/x", "private network"),
    "to a name without a domain": ("https://lab.example/i", "https://router/x", "private network"),
    "to a name of this network": ("https://lab.example/i", "https://printer.local/x", "private network"),
    "to a name of a home or office": ("https://lab.example/i", "https://nas.lan/x", "private network"),
    "into a private network through NAT64": ("https://lab.example/i", "https://[64:ff9b::a00:1]/x", "usual form"),
    "to this machine through 6to4": ("https://lab.example/i", "https://[2002:7f00:1::]/x", "usual form"),
    "to this machine through Teredo": ("https://lab.example/i", "https://[2001::7f00:1]/x", "usual form"),
    "to this machine, an old form": ("https://lab.example/i", "https://[::127.0.0.1]/x", "usual form"),
    "without encryption": ("https://lab.example/i", "http://lab.example/x", "only https"),
    "without encryption on this machine": ("https://127.0.0.1/i", "http://127.0.0.1/x", "leads there"),
}


@pytest.mark.parametrize("form", STEPS)
def test_where_one_address_may_not_lead(border, form):
    source, target, why = STEPS[form]
    border.refused(
        lambda: require_step(source, target), AddressError, [why],
        kind="A1", case=f"an address leads {form}", shown=f"{source} -> {target}",
    )  # fmt: skip


def test_an_index_of_the_web_does_not_lead_to_this_machine(border, tmp_path, monkeypatch, around):
    entry = entry_of("simulated-scvi")
    text = json.dumps({"schema_version": 1, "models": [entry | {"name": "x", "mirrors": ["http://127.0.0.1:6379/"]}]})
    around("an index is fetched", lambda *_, **__: text.encode())
    border.warned(
        lambda: sp.hub.list_models(index="https://lab.example/index.json", cache_dir=tmp_path),
        ["left out", "127.0.0.1:6379", "only https"],
        kind="A1", case="index of the web with a mirror on this machine", shown="hub.list_models(index='https://...')",
    )  # fmt: skip


SOURCES = ["https://a\\@lab.example/i", "https://me:secret@lab.example/i", "https://lab.example:0/i", "ftp://lab.example/i",
           "https://lab.ex\u0430mple/i", "http://lab.example/i", "https://[fe80::1%25eth0]/i", "https://.../i"]  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_indexes_of_the_environment(border, tmp_path, monkeypatch, source):
    monkeypatch.setenv("SCARCHES_PLUS_HUB_INDEX", source)
    said = []
    border.warned(
        lambda: said.append(len(sp.hub.list_models(cache_dir=tmp_path))), ["left out"],
        kind="A1", case="index of the environment", shown=f"SCARCHES_PLUS_HUB_INDEX={source!r}",
    )  # fmt: skip
    assert said == [9]


@pytest.mark.parametrize("path", ["records/../../admin", "records//x", "records/./x", ""])
def test_paths_of_a_service_stay_below_it(border, servers, path):
    zenodo, _ = servers
    session = Session(f"{zenodo.address}/api", Token(TOKEN, zenodo.address))
    border.refused(
        lambda: session.ask("GET", path), OSError, "is no path below",
        kind="A1", case="path of a request", shown=f"Session(...).ask('GET', {path!r})",
    )  # fmt: skip
    assert not zenodo.lines


def test_segments_are_quoted(border):
    for segment, right in (
        ("a/b", "a%2Fb"),
        ("?x=1#y", "%3Fx=1%23y"),
        ("\\\r\n", "%5C%0D%0A"),
        ("\u00e4 b", "%C3%A4%20b"),
    ):
        call = lambda segment=segment: address_below("https://lab.example/api", segment)  # noqa: E731
        if "%0" in right:
            border.refused(call, AddressError, "control", kind="A1", case="segment of a path", shown=repr(segment))
        else:
            border.works(
                call,
                f"https://lab.example/api/{right}".__eq__,
                kind="A1",
                case="segment of a path",
                shown=repr(segment),
            )


def test_passwords_of_netrc_go_nowhere(border, servers, pull, tmp_path, monkeypatch):
    zenodo, thief = servers
    (tmp_path / "netrc").write_text("default login me password secret\nmachine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    border.refused(
        lambda: pull(f"{thief.address}/{{file}}"), OSError, "could not fetch",
        kind="A1", case=".netrc knows the host", shown="hub.pull(...) with NETRC set",
    )  # fmt: skip
    assert set(thief.tokens) == {None}
    assert sp.hub.list_uploads(sandbox=False) == []
    assert set(zenodo.tokens) == {f"Bearer {TOKEN}"}


def test_no_proxy_hears_what_is_not_encrypted(border, servers, pull, monkeypatch):
    zenodo, thief = servers
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, thief.address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    border.refused(
        lambda: pull(f"{zenodo.address}/{{file}}"), OSError, "could not fetch",
        kind="A1", case="a proxy for http", shown="hub.pull(...) with HTTP_PROXY set",
    )  # fmt: skip
    assert f"Bearer {TOKEN}" in zenodo.tokens
    assert not thief.lines


@pytest.mark.parametrize(
    "there", ["http://127.0.0.1:81/", "https://127.0.0.1:80/", "http://localhost:80/", "http://evil.example/"]
)
def test_the_token_looks_at_the_request_itself(border, there):
    import requests

    token = Token("s3cret", "http://127.0.0.1/api")
    border.refused(
        lambda: requests.Request("GET", there, auth=token).prepare(), PermissionError, "is for another service",
        kind="A1", case="a prepared request to another origin", shown=f"Token('...', 'http://127.0.0.1/api') for {there}",
    )  # fmt: skip
    right = requests.Request("GET", "http://127.0.0.1:80/x", auth=token).prepare()
    assert right.headers["Authorization"] == "Bearer s3cret"


def test_a_token_of_no_service_is_sent_nowhere(border):
    import requests

    border.refused(
        lambda: requests.Request("GET", "https://zenodo.org/", auth=Token("s3cret")).prepare(), PermissionError,
        "another service", kind="A1", case="a token without a service", shown="Token('...')",
    )  # fmt: skip


def test_the_parser_that_connects_reads_the_same():
    from urllib3.util import parse_url

    for address in ("https://zenodo.org/x?y=%20", "HTTPS://Zenodo.org:443", "https://[2001:DB8::1]:8443/a/b;c"):
        read, origin = parse_url(check_address(address)), origin_of(address)
        assert (read.scheme, read.host, read.port or 443) == origin
    assert join_address("https://a.example/b/c?d", "../e") == "https://a.example/e"
    assert join_address("https://a.example/b/c?d", "?f") == "https://a.example/b/c?f"


def test_a_file_server_sends_nobody_to_a_private_place(border, tmp_path, monkeypatch):
    """A redirect loop, and one that goes through every form of the same address, end."""
    server = FileServer(tmp_path)
    try:
        server.faults["index.json"] = [(302, {"Location": "/index.json"}, b"")] * 20
        border.warned(
            lambda: sp.hub.list_models(index=f"{server.address}/index.json", cache_dir=tmp_path / "cache"),
            "from place to place", kind="A1", case="redirects in a circle", shown="hub.list_models(index=...)",
        )  # fmt: skip
        assert len(server.requests) == 10
    finally:
        server.close()


@pytest.mark.parametrize(
    "mirror", ["\\\\evil.example\\share", "//evil.example/share", "a\x1b[2Jb", "http://<T>{file}/", "x\0y"]
)
def test_folders_that_are_somewhere_else(border, servers, pull, mirror):
    mirror = filled(mirror, *servers)
    border.refused(
        lambda: pull(mirror), BundleError, ["index.json is no index", "mirrors"],
        kind="A1", case="a folder that is none", shown=f"hub.pull(..., index=...) with the mirror {mirror!r}",
    )  # fmt: skip


@pytest.mark.parametrize(
    "place", ["http://evil.example/x", "file:///etc/passwd", "http://me:secret@<T>/x", "\\\\<T>\\x", "//<T>@x/"]
)
def test_redirects_of_data(border, servers, tmp_path, place):
    zenodo, thief = servers
    place = filled(place, *servers)
    zenodo.fault("GET", "/x.h5ad", (302, {"Location": place}, b""))
    file = RemoteFile("x.h5ad", "0" * 64, "https://page.example", (f"{zenodo.address}/x.h5ad",))
    message = border.refused(
        lambda: fetch(file, tmp_path, rounds=1), OSError, "could not download x.h5ad",
        kind="A1", case="a redirect of data", shown=f"datasets.pancreas(), Location: {place}",
    )  # fmt: skip
    assert "is no address" in message or "only https" in message
    assert "secret" not in message
    assert not thief.lines

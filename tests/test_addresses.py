"""Addresses are read once, the way they are connected to; the many that are refused are in tests/border."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

import scarches_plus as sp
from scarches_plus import _limits
from scarches_plus._http import (
    AddressError,
    address_below,
    check_address,
    is_address,
    join_address,
    origin_of,
    quoted_path,
    require_https,
    require_step,
    segments_below,
    shown,
)

BASE = "https://lab.example:8443/a/b/index.json?q=1"


@pytest.mark.parametrize(
    ("given_", "right"),
    [
        ("https://zenodo.org", "https://zenodo.org"),
        ("HTTPS://Zenodo.ORG:443/a/../b;c?x=%20#y", "https://zenodo.org:443/b;c?x=%20"),
        ("https://xn--exmple-cua.org/", "https://xn--exmple-cua.org/"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("https://under_score.example/a@b", "https://under_score.example/a@b"),
    ],
)
def test_addresses_as_they_are_asked_for(given_, right):
    assert check_address(given_) == right


def test_the_longest_address():
    longest = "https://lab.example/".ljust(_limits.ADDRESS_CHARACTERS, "x")
    assert check_address(longest) == longest
    with pytest.raises(AddressError, match=f"it has more than {_limits.ADDRESS_CHARACTERS} characters"):
        check_address(longest + "x")


def test_the_longest_host_and_the_last_port():
    longest = ".".join(["x" * 61] * 4) + ".abcde"
    assert len(longest) == 253
    assert origin_of(f"https://{longest}:65535").port == 65535
    with pytest.raises(AddressError, match="its host is no name"):
        check_address(f"https://{longest}f/")
    with pytest.raises(AddressError, match="its port is none"):
        check_address("https://lab.example:65536/")


@pytest.mark.parametrize("read", [{"host": "evil.example"}, {"auth": "x"}, {"port": 8443}, {"scheme": "http"}])
def test_what_the_library_that_connects_reads_otherwise(monkeypatch, read):
    monkeypatch.setattr("scarches_plus._http._addresses.parse_url", lambda text: parse_url(text)._replace(**read))
    with pytest.raises(AddressError, match="two programs may read it in two ways"):
        check_address("https://lab.example/x")


@pytest.mark.parametrize(
    ("reference", "right"),
    [
        ("x", "https://lab.example:8443/a/b/x"),
        ("./a:b", "https://lab.example:8443/a/b/a:b"),
        ("../x", "https://lab.example:8443/a/x"),
        ("../../../x", "https://lab.example:8443/x"),
        ("/x", "https://lab.example:8443/x"),
        ("?z", "https://lab.example:8443/a/b/index.json?z"),
        ("#f", BASE),
        ("", BASE),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example", "http://other.example"),
    ],
)
def test_references(reference, right):
    assert join_address(BASE, reference) == right


@pytest.mark.parametrize("reference", ["javascript:alert(1)", "\\\\x", "x\\y", "//", "http:x", "x y", "//a@b/"])
def test_references_that_are_none(reference):
    with pytest.raises(AddressError, match="is no address"):
        join_address(BASE, reference)


def test_origins():
    assert origin_of("https://zenodo.org/x") == origin_of("HTTPS://ZENODO.org:443") == ("https", "zenodo.org", 443)
    assert origin_of("http://zenodo.org").port == 80
    assert origin_of("https://sandbox.zenodo.org") != origin_of("https://zenodo.org")


def test_only_https_but_for_this_machine():
    for address in ("https://lab.example", "http://127.0.0.1:1", "http://localhost", "http://[::1]"):
        require_https(address)
    for address in ("http://lab.example", "ftp://lab.example", "http://127.0.0.1.example", "http://x.localhost"):
        with pytest.raises(AddressError, match="only https is"):
            require_https(address)


def test_steps():
    for source, target in (
        ("https://lab.example", "https://other.example"),
        ("http://127.0.0.1:1", "http://127.0.0.1:2"),
        ("http://127.0.0.1", "https://lab.example"),
        ("https://10.0.0.1", "https://10.0.0.2"),
    ):
        require_step(source, target)
    with pytest.raises(AddressError, match="may not lead to this machine"):
        require_step("https://10.0.0.1", "https://127.0.0.1")


def test_what_is_shown():
    assert shown("https://me:secret@lab.example/\x1b[1m") == "https://...@lab.example/[1m"
    assert is_address("ftp://x")
    assert not is_address("C:\\x")


@given(st.text(min_size=1))
def test_segments_stay_segments(segment):
    try:
        address = address_below("https://lab.example/api", segment)
    except AddressError:
        return
    assert address.startswith("https://lab.example/api/")
    assert address.count("/") == 4
    assert parse_url(address).host == "lab.example"
    assert quoted_path(segment).isascii()


@given(st.text(st.sampled_from("htps:/\\@.#?%[]0127aZ \t"), max_size=30))
def test_both_parsers_agree_on_what_is_not_refused(rest):
    from urllib.parse import urlsplit

    try:
        address = check_address(f"https://{rest}")
    except AddressError:
        return
    ours, theirs = parse_url(address), urlsplit(address)
    assert (ours.host, ours.port) == (theirs.netloc.rpartition(":")[0] if ours.port else theirs.netloc, theirs.port)
    assert origin_of(address).host == urlsplit(f"https://{rest}").netloc.lower().removesuffix(f":{ours.port}")


def test_no_other_module_takes_addresses_apart():
    names = {
        "urlsplit",
        "urlparse",
        "urljoin",
        "urlunsplit",
        "urlunparse",
        "parse_url",
        "quote",
        "unquote",
        "urllib",
        "urllib3",
        "requests",
    }
    allowed = {
        "_addresses.py": {"urllib", "urllib3", "parse_url", "unquote"},
        "_send.py": {"requests", "urllib3"},
        "_session.py": {"requests"},
        "_watch.py": {"requests"},
        # the page's own server, and what asks it
        "_client.py": {"urllib", "urlsplit", "quote"},
        "_security.py": {"urllib", "urlsplit"},
        "_run.py": {"urllib", "quote"},
    }
    for path in Path(sp.__file__).parent.rglob("*.py"):
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {part for one in node.names for part in one.name.split(".")}
            elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("starlette."):
                found |= {*(node.module or "").split("."), *(one.name for one in node.names)}
        assert found & names <= allowed.get(path.name, set()), path


@pytest.mark.parametrize(
    ("address", "segments"),
    [
        ("https://zenodo.org/records/1/files/a%20b%2Fc.zip?download=1#x", ["records", "1", "files", "a b/c.zip"]),
        ("HTTPS://ZENODO.org:443//records/./1/", ["records", "1"]),
        ("https://zenodo.org", []),
        ("https://zenodo.org/%C3%A9", ["\u00e9"]),
        ("http://zenodo.org/records/1", None),
        ("https://zenodo.org:444/records/1", None),
        ("https://zenodo.org.evil.example/records/1", None),
    ],
)
def test_parts_of_a_path(address, segments):
    assert segments_below(address, "https://zenodo.org") == segments


@pytest.mark.parametrize(
    "address", ["https://zenodo.org/%FF", "https://zenodo.org@evil.example/records/1", "records/1"]
)
def test_paths_that_are_none(address):
    with pytest.raises(AddressError):
        segments_below(address, "https://zenodo.org")

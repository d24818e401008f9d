"""Manifests and indexes cost as much as real ones, whatever they hold."""

import json
import os

import pytest
from shipped import INDEX

import scarches_plus as sp
from scarches_plus.hub import BundleError

pytestmark = pytest.mark.border


def many(n, text=b"0"):
    return b",".join([text] * n)


def named(n, text=b"0"):
    return b",".join(b'"%d":%s' % (number, text) for number in range(n))


N = 2_000_000 // 2 - 1000
T = 60_000 - 100
K = 60_000 - 100
MANIFESTS = {
    "empty tables": (b'{"state":{"lineage":[' + many(2_700_000, b"{}") + b"]}}", "tables and lists"),
    "empty lists": (b'{"card":{"evaluation":{"a":[' + many(T, b"[]") + b"]}}}", "is no manifest"),
    "lists in lists": (b'{"card":{"evaluation":{"a":[' + many(T // 2, b"[[]]") + b"]}}}", "is no manifest"),
    "numbers for names": (b'{"cells":{"var_names":[' + many(2 * N) + b"]}}", "is no manifest"),
    "numbers": (b'{"card":{"evaluation":{"a":[' + many(2 * N, b"1.5") + b"]}}}", "is no manifest"),
    "keys that nobody knows": (b"{" + named(K) + b"}", "problems"),
    "more keys that nobody knows": (b"{" + named(200_000) + b"}", "200000 keys"),
    "files that nobody knows": (b'{"files":{' + named(K) + b"}}", "problems"),
    "summaries of nothing": (b'{"summaries":{' + named(K // 2, b"{}") + b"}}", "problems"),
    "entries of nothing": (b'{"state":{"surgery":{"entries":{' + named(K, b"[]") + b"}}}}", "problems"),
    "tables in tables": (b'{"a":' * T, "nests too deep"),
    "lists in lists in lists": (b"[" * T, "nests too deep"),
    "one key very often": (b"{" + many(K, b'"a":0') + b"}", "['a'] twice"),
    "long keys, twice": (b"{" + many(20_000, b'"%s":0' % (b"a" * 300)) + b"}", "twice"),
    "many keys, twice": (b"{" + named(10_000) + b"," + named(10_000) + b"}", "and 9997 more twice"),
    "a long number": (b'{"schema_version":' + b"9" * 10**6 + b"}", "a number of 1000000 digits"),
    "a number without an end": (b'{"schema_version":1e999}', "1e999, which is not JSON"),
    "a large exponent": (b'{"schema_version":1e' + b"9" * 10**6 + b"}", "which is not JSON"),
    "a long text of four bytes a letter": (
        b'{"created":"' + "\U0001f600".encode() + b"a" * (2**24 - 100) + b'"}', "is no manifest",
    ),
    "a long name": (b'{"' + b"a" * (2**24 - 100) + b'":0}', "is no manifest"),
    "no text": (b"\xff" * 2**22, "utf-8"),
    "blanks": (b" " * 2**24, "no valid JSON"),
    "more than anything": (b" " * (2**24 + 1), "more than any bundle has"),
}  # fmt: skip


@pytest.mark.parametrize("what", MANIFESTS)
def test_manifests(border, tmp_path, what):
    text, says = MANIFESTS[what]
    (tmp_path / "manifest.json").write_bytes(text)
    border.in_child(
        lambda: sp.hub.info(tmp_path), BundleError, ["manifest.json", says],
        kind="A3", case=f"a manifest of {what}", shown=f"hub.info(folder), {len(text)} bytes",
    )  # fmt: skip


def index(models):
    return b'{"schema_version":1,"models":[' + models + b"]}"


INDEXES = {
    "40,000 keys, one of them twice": (b"{" + named(40_000) + b',"7":0}', "['7'] twice"),
    "a key that is given 100,000 times": (b"{" + many(100_000, b'"a":1') + b"}", "100000 keys"),
    "a key that is given 20,000 times": (b"{" + many(20_000, b'"a":1') + b"}", "['a'] twice"),
    "empty models": (index(many(12_000, b"{}")), "models.0"),
    "lists for models": (index(many(T, b"[]")), "models.0"),
    "mirrors": (index(b'{"mirrors":[' + many(N, b'"a"') + b"]}"), "models.0"),
    "a mirror of 4 MB": (index(b'{"mirrors":["https://' + b"a" * 4_000_000 + b'"]}'), "models.0"),
    "a mirror of many files": (index(b'{"mirrors":["https://a/' + b"{file}" * 300_000 + b'"]}'), "models.0"),
    "labels that are none": (index(b'{"labels":[' + many(2 * N) + b"]}"), "models.0"),
    "a name of 4 MB": (index(b'{"name":"' + b"a" * 4_000_000 + b'"}'), "models.0"),
    "more than anything": (b" " * (4 * 2**20 + 1), "larger than any index"),
}  # fmt: skip


@pytest.mark.parametrize("what", INDEXES)
def test_indexes(border, tmp_path, what):
    text, says = INDEXES[what]
    (tmp_path / "index.json").write_bytes(text)
    border.in_child(
        lambda: sp.hub.list_models(index=tmp_path), BundleError, ["index.json", says],
        kind="A3", case=f"an index of {what}", shown=f"hub.list_models(index=...), {len(text)} bytes",
    )  # fmt: skip


def test_messages_stay_short(border, tmp_path):
    for text in (b'{"' + b"a" * 10**6 + b'":0}', index(b'{"name":"' + b"a" * 10**6 + b'"}')):
        (tmp_path / "index.json").write_bytes(text)
        message = border.refused(
            lambda: sp.hub.list_models(index=tmp_path), BundleError, "is no index",
            kind="A3", case="a long name in a message", shown="hub.list_models(index=...)",
        )  # fmt: skip
        assert len(message) < 1000


@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS", "README.md"])
def test_files_that_are_fetched_first(border, tmp_path, name):
    """They are fetched for what they say of the model, before its size is looked at."""
    values = json.loads(INDEX.read_text())
    values["models"][0]["files"][name]["size"] = 10**12
    (tmp_path / "index.json").write_text(json.dumps(values))
    border.refused(
        lambda: sp.hub.info("x", index=tmp_path), BundleError, [f"{name} has 1000000000000 bytes, more than any"],
        kind="A3", case=f"an index with a {name} of a terabyte", shown="hub.info('x', index=...)",
    )  # fmt: skip


@pytest.mark.parametrize("what", ["/dev/zero", "a pipe", "a folder"])
def test_indexes_that_are_no_files(border, tmp_path, what):
    path = tmp_path / "index.json"
    if what == "a pipe":
        os.mkfifo(path)
    elif what == "a folder":
        path.mkdir()
    else:
        path = what
    border.in_child(
        lambda: sp.hub.info("x", index=path), OSError, "could not be read",
        kind="A3", case=f"an index that is {what}", shown="hub.info('x', index=...)",
    )  # fmt: skip

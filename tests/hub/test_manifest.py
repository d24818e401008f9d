"""The manifest takes what it describes, and nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scarches_plus._json import finite, parse_json, write_json
from scarches_plus.bundle._manifest import parse_manifest
from scarches_plus.hub import BundleError, Card

# all of Unicode takes hypothesis seconds to list
TEXT = st.text(alphabet='aZ0 "\\/\n\t\x00\x7f\u00e9\u2028\ufeff\U0001f9ec')
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(TEXT, PLAIN, max_size=4))
def test_what_is_written_is_read(values):
    assert parse_json(write_json(values)) == values


@pytest.mark.parametrize(
    "text",
    [b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b"NaN", b"[Infinity]", b"[" * 100_000, b"\xff", b"", b"{'a': 1}"],
)
def test_what_is_not_json(text):
    with pytest.raises(ValueError):  # noqa: PT011 (many reasons)
        parse_json(text)


def test_numbers_that_json_does_not_have():
    assert finite({"a": [float("nan"), 1.5], 2: (float("inf"),)}) == {"a": [None, 1.5], "2": [None]}


def manifest_with(bundle, change):
    values = json.loads((bundle / "manifest.json").read_text())
    change(values)
    return json.dumps(values).encode()


CHANGES = {
    "schema 2": lambda one: one.update(schema_version=2),
    "schema_version": lambda one: one.update(schema_version="1"),
    "class_name": lambda one: one["model"].update(class_name="os.system"),
    "extra": lambda one: one.update(extra=1),
    "model.module": lambda one: one["model"].update(module="evil"),
    "files": lambda one: one["files"].update({"../evil": {"size": 1, "sha256": "0" * 64}}),
    "sha256": lambda one: one["files"]["README.md"].update(sha256="0" * 63),
    "size": lambda one: one["files"]["README.md"].update(size=-1),
    "cells.var_names": lambda one: one["cells"].update(var_names=[]),
    "state": lambda one: one.pop("state"),
    "card.name": lambda one: one["card"].update(name="../../evil"),
    "n_cells": lambda one: one["training"].update(n_cells=1.5),
}


@pytest.mark.parametrize("place", CHANGES)
def test_what_is_refused(place, bundle):
    text = manifest_with(bundle, CHANGES[place])
    with pytest.raises(BundleError, match=place) as caught:
        parse_manifest(text, "here/manifest.json")
    assert str(caught.value).startswith("here/manifest.json")


def test_a_web_page_instead_of_a_manifest():
    with pytest.raises(BundleError, match="web page"):
        parse_manifest(b"<!DOCTYPE html><html><body>Sign in</body></html>", "manifest.json")


@pytest.mark.parametrize("name", ["..", "a/b", "-a", "a b", ".hidden", "a" * 101, "a\n"])
def test_names_that_could_be_paths(name):
    with pytest.raises(ValueError, match="name"):
        Card(name=name)

"""The manifest takes what it describes, and nothing else."""

import json

import pytest

from scarches_plus.hub import BundleError, Card, info


def manifest_with(bundle, change):
    values = json.loads((bundle / "manifest.json").read_text())
    change(values)
    return json.dumps(values).encode()


CHANGES = {
    "schema 3": lambda one: one.update(schema_version=3),
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
    file = bundle / "manifest.json"
    file.write_bytes(manifest_with(bundle, CHANGES[place]))
    with pytest.raises(BundleError, match=place) as caught:
        info(bundle)
    assert str(caught.value).startswith(str(file))


def test_a_web_page_instead_of_a_manifest(bundle):
    (bundle / "manifest.json").write_bytes(b"<!DOCTYPE html><html><body>Sign in</body></html>")
    with pytest.raises(BundleError, match="web page"):
        info(bundle)


@pytest.mark.parametrize("name", ["..", "a/b", "-a", "a b", ".hidden", "a" * 101, "a\n"])
def test_names_that_could_be_paths(name):
    with pytest.raises(ValueError, match="name"):
        Card(name=name)

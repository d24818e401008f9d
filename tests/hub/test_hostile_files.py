"""Every file of a bundle is doubted: nothing is executed, nothing is written, and each error names the file."""

import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from hostile_bundles import sign
from safetensors.torch import load, save

import scarches_plus as sp
from scarches_plus.hub import BundleError

TENSORS = ["weights", "importance", "anchors", "summary", "reference"]
FILES = ["manifest.json", "SHA256SUMS", "README.md", *(f"{name}.safetensors" for name in TENSORS)]


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def refused(bundle, match, *, opens=sp.hub.verify_bundle):
    """Require an error that names a file, and that no file appears anywhere near."""
    before = {str(path): path.lstat().st_mtime_ns for path in bundle.parent.rglob("*")}
    here = sorted(Path.cwd().iterdir())
    with pytest.raises(BundleError, match=match) as caught:
        opens(bundle)
    assert any(name in str(caught.value) for name in FILES)
    assert {str(path): path.lstat().st_mtime_ns for path in bundle.parent.rglob("*")} == before
    assert sorted(Path.cwd().iterdir()) == here


def header(tensors, data, *, size=None):
    text = (tensors if isinstance(tensors, str) else json.dumps(tensors)).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


@pytest.mark.parametrize("name", FILES)
def test_one_bit_anywhere(bundle, name):
    path = bundle / name
    whole = path.read_bytes()
    for place in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(bundle, "manifest.json" if name == "SHA256SUMS" else name.replace(".", r"\."))
    path.write_bytes(whole)
    sp.hub.verify_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
def test_other_contents(bundle, name):
    path = bundle / name
    whole = path.read_bytes()
    for contents in (b"", whole[:-1], whole + b"x", pickle.dumps(Evil()), b"<!DOCTYPE html><html>200 OK</html>"):
        path.write_bytes(contents)
        refused(bundle, name.replace(".", r"\."))


@pytest.mark.parametrize("name", TENSORS)
def test_pickles_and_web_pages_with_the_right_hash(bundle, name):
    path = bundle / f"{name}.safetensors"
    for contents in (pickle.dumps(Evil()), b"<!DOCTYPE html><html>200 OK</html>", b"", b"x" * 7):
        path.write_bytes(contents)
        sign(bundle)
        refused(bundle, rf"{name}\.safetensors is no")


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
FORGED = {
    "a header longer than the file": header({"a": F32}, bytes(8), size=2**40),
    "a header longer than the format allows": header({"a": F32}, bytes(8), size=100_000_001),
    "tensors that overlap": header({"a": F32, "b": {**F32, "data_offsets": [4, 12]}}, bytes(12)),
    "a hole": header({"a": F32, "b": {**F32, "data_offsets": [12, 20]}}, bytes(20)),
    "data cut off": header({"a": F32}, bytes(4)),
    "data left over": header({"a": F32}, bytes(16)),
    "a huge shape": header({"a": {**F32, "shape": [2**40, 2**20]}}, bytes(8)),
    "a negative shape": header({"a": {**F32, "shape": [-1, 2]}}, bytes(8)),
    "a shape that does not fit": header({"a": {**F32, "shape": [3]}}, bytes(8)),
    "an unknown type": header({"a": {**F32, "dtype": "OBJECT"}}, bytes(8)),
    "a name twice": header('{"a": %s, "a": %s}' % ((json.dumps(F32),) * 2), bytes(8)),
    "a list": header("[]", b""),
    "no JSON": header("{", b""),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_tensors(bundle, case):
    (bundle / "weights.safetensors").write_bytes(FORGED[case])
    sign(bundle)
    refused(bundle, r"weights\.safetensors")


# an importance need not speak of every weight
CHANGES = [(name, change) for name in TENSORS for change in ("missing", "extra", "shape", "type")]
CHANGES.remove(("importance", "missing"))


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_tensors_of_another_model(bundle, name, change):
    path = bundle / f"{name}.safetensors"
    tensors = load(path.read_bytes())
    first = sorted(tensors)[-1]
    if change == "missing":
        del tensors[first]
    elif change == "extra":
        tensors["extra"] = torch.zeros(1)
    elif change == "shape":
        tensors[first] = torch.cat([tensors[first]] * 3).unsqueeze(0).unsqueeze(0)
    else:
        tensors[first] = tensors[first].long() if tensors[first].is_floating_point() else tensors[first].float()
    path.write_bytes(save({key: value.contiguous() for key, value in tensors.items()}))
    sign(bundle)
    refused(bundle, rf"{name}\.safetensors")


def test_codes_beyond_what_there_is(bundle):
    for name, key in (
        ("anchors", "groups/batch"),
        ("reference", "labels/cell_type"),
        ("summary", "latent/cell_type/of_label"),
    ):
        path = bundle / f"{name}.safetensors"
        whole = path.read_bytes()
        path.write_bytes(save({k: v + 100 if k == key else v for k, v in load(whole).items()}))
        sign(bundle)
        refused(bundle, rf"{name}\.safetensors")
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "a/../../b", "weights.pt", "C:\\x", ".."])
def test_names_that_lead_elsewhere(bundle, name):
    entry = {"size": 1, "sha256": "0" * 64}
    sign(bundle, files=lambda files: {**files, name: entry})
    refused(bundle, r"manifest\.json")


@pytest.mark.parametrize("name", FILES)
def test_links_and_what_is_no_file(bundle, name):
    path = bundle / name
    elsewhere = bundle.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    refused(bundle, "is a link")
    path.unlink()
    path.mkdir()
    refused(bundle, name.replace(".", r"\."))
    path.rmdir()
    os.mkfifo(path)
    refused(bundle, "no regular file")


ARGUMENTS = {
    "n_hidden": 2**40, "n_latent": 9_999, "n_layers": 9_999, "unheard_of": 1, "registry": {}, "dropout_rate": "high",
    "classifier_parameters": {"n_layers": 9_999},
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_make_another_network(bundle, name):
    sign(bundle, model=lambda one: {**one, "arguments": {**one["arguments"], name: ARGUMENTS[name]}})
    refused(bundle, r"manifest\.json")


CELLS = {
    "var_names": ["a"] * 50_000, "batches": [f"b{i}" for i in range(500)], "labels": ["a", "a"], "labels_key": None,
    "batch_key": "cell_type", "unlabeled_category": "type0", "modalities": {"genes": "rna", "proteins": "protein"},
    "categorical_covariates": {"donor": ["a", "b"]},
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_cells_that_make_another_network(bundle, name):
    sign(bundle, cells=lambda one: {**one, name: CELLS[name]})
    refused(bundle, r"manifest\.json")


def test_a_file_that_is_listed_and_not_described(bundle):
    for section in ("importance", "anchors"):
        whole = (bundle / "manifest.json").read_text(), (bundle / "SHA256SUMS").read_text()
        sign(bundle, **{section: lambda _: None})
        refused(bundle, "without describing it")
        (bundle / "manifest.json").write_text(whole[0])
        (bundle / "SHA256SUMS").write_text(whole[1])


def test_a_newer_schema_and_a_key_twice(bundle):
    path = bundle / "manifest.json"
    whole = path.read_text()
    path.write_text(whole.replace('"schema_version": 2', '"schema_version": 3'))
    refused(bundle, r"manifest\.json follows schema 3.*update scarches_plus")
    path.write_text(whole.replace('"schema_version": 2', '"schema_version": 2, "schema_version": 2'))
    refused(bundle, r"manifest\.json.*twice")


def test_a_manifest_larger_than_any(bundle, monkeypatch, limits):
    limits(manifest_bytes=100)
    refused(bundle, r"manifest\.json has .* more than any")


def hold(bundle, **tensors):
    """Put other tensors into the file of reference cells."""
    (bundle / "reference.safetensors").write_bytes(save(tensors))


def test_sizes_that_nothing_stands_behind(bundle):
    """Nothing as large as declared is made before tensors of that size have been seen."""
    whole = (bundle / "manifest.json").read_bytes()
    claims = {
        "latent": ({"latent": torch.zeros(3, 4)}, r"reference\.safetensors: tensor 'latent'"),
        "umap": ({"umap": torch.zeros(10**12, 0)}, r"reference\.safetensors: umap has no dimensions"),
        "": ({}, r"reference\.safetensors holds nothing"),
    }
    for held, (tensors, match) in claims.items():
        hold(bundle, **tensors)
        section = {"n_cells": 10**12, "space": "x", "holds": [held] if held else [], "labels": {}}
        sign(bundle, reference=lambda _, section=section: section)
        refused(bundle, match)
        (bundle / "manifest.json").write_bytes(whole)
    for name, values in (("batches", range(10**6)), ("continuous_covariates", range(10**5))):
        sign(bundle, cells=lambda one, name=name, values=values: {**one, name: list(map(str, values))})
        refused(bundle, rf"manifest\.json.*{name}: {len(values)} are more than the weights have room for")
        (bundle / "manifest.json").write_bytes(whole)


def first(value):
    """Change the first number only."""

    def change(tensor):
        tensor = tensor.clone()
        tensor.flatten()[0] = value
        return tensor

    return change


VALUES = {
    "weights, not finite": ("weights", "px_r", first(torch.nan), "not finite"),
    "weights, infinite": ("weights", "px_r", first(torch.inf), "not finite"),
    "means": ("summary", "latent/cell_type/means", first(torch.nan), "not finite"),
    "means, far away": ("summary", "latent/cell_type/means", first(3e38), "at most 1e\\+06 from 0"),
    "covariances, huge": ("summary", "latent/cell_type/covariances", lambda one: one * 1e30, "at most 1e\\+12"),
    "covariances, negative": ("summary", "latent/cell_type/covariances", torch.neg, "positive definite"),
    "covariances, singular": ("summary", "latent/cell_type/covariances", torch.zeros_like, "positive definite"),
    "covariances, of one side": ("summary", "latent/cell_type/covariances", torch.triu, "symmetric"),
    "no cells": ("summary", "latent/cell_type/n_cells", first(0.0), "positive"),
    "few cells": ("summary", "latent/cell_type/n_cells", first(19.0), r"components of \['type0'\] in 'cell_type' have fewer than 20"),
    "cells, negative": ("summary", "latent/cell_type/n_cells", torch.neg, "positive"),
    "variances": ("summary", "latent/cell_type/z_var", torch.neg, "0 or more"),
    "sizes": ("summary", "latent/cell_type/library", torch.neg, "0 or more"),
    "shares": ("summary", "latent/cell_type/groups/batch", torch.neg, "shares"),
    "no shares": ("summary", "latent/cell_type/groups/batch", torch.zeros_like, "shares"),
    "labels": ("summary", "latent/cell_type/of_label", first(10**6), "of_label"),
    "labels below 0": ("summary", "latent/cell_type/of_label", first(-1), "of_label"),
    "labels of 8 bits": ("summary", "latent/cell_type/of_label", torch.Tensor.byte, "which no model has"),
    "importance, not finite": ("importance", "fisher/px_r", first(torch.nan), "not finite"),
    "importance, negative": ("importance", "fisher/px_r", lambda one: -one - 1, "0 or more"),
    "importance, of another type": ("importance", "fisher/px_r", torch.Tensor.double, "float64"),
    "weights that importance is about": ("importance", "values/px_r", None, "not finite"),
    "anchors": ("anchors", "z_var", lambda one: -one - 1, "0 or more"),
    "latent": ("reference", "latent", first(torch.nan), "not finite"),
    "latent variances": ("reference", "variance", torch.neg, "variance has to be positive"),
    "latent variances of other cells": ("reference", "variance", lambda one: one[:, 1:], "of the shape of latent"),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_values_that_cannot_be(bundle, case):
    name, key, change, match = VALUES[case]
    path = bundle / f"{name}.safetensors"
    tensors = load(path.read_bytes())
    if change is None:
        tensors[key] = torch.full_like(tensors["fisher/px_r"], torch.nan)
    else:
        tensors[key] = change(tensors[key])
    path.write_bytes(save({k: v.contiguous() for k, v in tensors.items()}))
    sign(bundle)
    refused(bundle, rf"{name}\.safetensors.*{match}")


def test_few_cells_are_not_uploaded(bundle):
    path = bundle / "summary.safetensors"
    tensors = load(path.read_bytes())
    path.write_bytes(save(tensors | {"latent/cell_type/n_cells": first(19.0)(tensors["latent/cell_type/n_cells"])}))
    sign(bundle)
    refused(bundle, "fewer than 20", opens=lambda folder: sp.hub.upload(folder, token="none", allow_cells=True))
    sp.hub.load_bundle(bundle)  # at home


ESCAPES = {
    "lineage": ("state", "lineage", [{"new_labels": 5}]),
    "drift": ("state", "lineage", [{"drift": [1.0]}]),
    "summary.latent.cell_type.labels": ("summary", "latent", {"cell_type": {"labels": ["type0", "type1", "type0"]}}),
    "labels": ("cells", "labels", []),
    "y_prior": ("model", "arguments", {"y_prior": 1}),
    "gene_likelihood": ("model", "arguments", {"gene_likelihood": "gauss"}),
    "latent_distribution": ("model", "arguments", {"latent_distribution": ["normal"]}),
    "use_batch_norm": ("model", "arguments", {"use_batch_norm": 1}),
    "classifier_parameters": ("model", "arguments", {"classifier_parameters": {"n_layers": "x"}}),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_values_that_no_field_has(bundle, name):
    section, field, value = ESCAPES[name]
    merge = (lambda old: {**old, **value}) if isinstance(value, dict) else lambda _: value
    sign(bundle, **{section: lambda one: {**one, field: merge(one[field])}})
    refused(bundle, rf"manifest\.json.*{name}")


NO_PROFILES = {
    "logs": lambda values: values * float("nan"),
    "variances": lambda values: -values - 1,
    "of_label": lambda values: values * 0,
    "of_batch": lambda values: values + 99,
    "n_cells": lambda values: values * 0,
}


@pytest.mark.parametrize("name", NO_PROFILES)
def test_values_that_no_profiles_have(bundle, name):
    path = bundle / "summary.safetensors"
    tensors = load(path.read_bytes())
    path.write_bytes(save(tensors | {f"profiles/{name}": NO_PROFILES[name](tensors[f"profiles/{name}"])}))
    sign(bundle)
    for opens in (sp.hub.verify_bundle, sp.hub.load_summary):
        refused(bundle, r"summary\.safetensors", opens=opens)


NO_CLASSIFIER = {
    "coefficients": lambda values: values * float("nan"),
    "scale": lambda values: values * 0,
    "noise": lambda values: -values,
    "shares": lambda values: values * 0,
    "factors": lambda values: values[:, 1:],
    "n_cells": lambda values: values * 0,
}


@pytest.mark.parametrize("name", NO_CLASSIFIER)
def test_values_that_no_classifier_has(bundle, name):
    path = bundle / "summary.safetensors"
    tensors = load(path.read_bytes())
    path.write_bytes(
        save(tensors | {f"classifier/{name}": NO_CLASSIFIER[name](tensors[f"classifier/{name}"]).contiguous()})
    )
    sign(bundle)
    for opens in (sp.hub.verify_bundle, sp.hub.load_summary):
        refused(bundle, r"summary\.safetensors", opens=opens)


NO_MAP = [
    ("points", lambda values: values * float("nan")),
    ("latent", lambda values: values[1:]),
    ("n_cells", lambda values: values * 0),
    ("of_label", lambda values: values + 99),
    ("of_label", lambda values: values - 2),
    ("losses", lambda values: values[None]),
]


@pytest.mark.parametrize(("name", "change"), NO_MAP)
def test_values_that_no_map_has(bundle, name, change):
    path = bundle / "summary.safetensors"
    tensors = load(path.read_bytes())
    path.write_bytes(save(tensors | {f"map/{name}": change(tensors[f"map/{name}"]).contiguous()}))
    sign(bundle)
    for opens in (sp.hub.verify_bundle, sp.hub.load_summary):
        refused(bundle, r"summary\.safetensors", opens=opens)


def with_encoder(bundle, **changed):
    """Put an encoder of two layers into the map of a bundle, some parts of it changed, or taken out (``None``)."""
    path = bundle / "summary.safetensors"
    tensors = load(path.read_bytes())
    d = tensors["map/latent"].shape[1]
    parts = {
        "shift": torch.zeros(d), "scale": torch.ones(d), "center": torch.zeros(2), "unit": torch.tensor(1.0),
        "weight_0": torch.ones(d, 5), "bias_0": torch.zeros(5), "weight_1": torch.ones(5, 2), "bias_1": torch.zeros(2),
    }  # fmt: skip
    parts |= {name: change(parts.get(name)) for name, change in changed.items()}
    path.write_bytes(save(tensors | {f"map/encoder/{name}": one for name, one in parts.items() if one is not None}))
    sign(bundle)


NO_ENCODER = {
    "scale of 0": {"scale": lambda values: values * 0},
    "shift of other dimensions": {"shift": lambda values: values[1:].clone()},
    "scale of other dimensions": {"scale": lambda values: values[1:].clone()},
    "first layer of other dimensions": {"weight_0": lambda values: values[1:].clone()},
    "layers that do not fit": {"weight_1": lambda values: values[1:].clone()},
    "a picture of three dimensions": {"weight_1": lambda _: torch.ones(5, 3), "bias_1": lambda _: torch.zeros(3)},
    "a bias of another length": {"bias_0": lambda values: values[1:].clone()},
    "a layer is missing": {"weight_0": lambda _: None},
    "a layer too many": {"weight_3": lambda _: torch.ones(2, 2)},
    "a bias too many": {"bias_2": lambda _: torch.ones(2)},
    "no layer": {"weight_0": lambda _: None, "weight_1": lambda _: None},
    "not finite": {"weight_0": lambda values: values / 0},
}


@pytest.mark.parametrize("changed", NO_ENCODER.values(), ids=NO_ENCODER)
def test_what_is_no_encoder_of_a_map(bundle, changed):
    with_encoder(bundle, **changed)
    for opens in (sp.hub.verify_bundle, sp.hub.load_summary):
        refused(bundle, r"summary\.safetensors", opens=opens)


def test_an_encoder_comes_with_its_map(bundle):
    with_encoder(bundle)
    assert sp.hub.load_summary(bundle).map.encoder["weight_1"].shape == (5, 2)


def test_a_map_of_another_latent_space_is_refused(bundle):
    sign(bundle, summary=lambda held: held | {"map": held["map"] | {"space": "another"}})
    refused(bundle, "latent space another", opens=sp.hub.load_summary)


@pytest.mark.parametrize("part", ["profiles", "classifier", "map"])
def test_parts_of_a_summary_and_their_description_come_together(bundle, part):
    sign(bundle, summary=lambda held: held | {part: None})
    for opens in (sp.hub.verify_bundle, sp.hub.load_summary):
        refused(bundle, r"summary\.safetensors holds tensors that the manifest does not speak of", opens=opens)


def test_a_summary_and_its_description_come_together(bundle):
    sign(bundle, summary=lambda _: {"latent": {}, "profiles": None, "classifier": None, "map": None})
    for opens in (sp.hub.load_bundle, sp.hub.load_summary):
        refused(bundle, r"summary\.safetensors without describing it", opens=opens)

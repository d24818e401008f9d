"""Bundles whose files cost too much, or whose numbers would crash compiled code, are refused by name."""

import json
import shutil
import struct

import pytest
import torch
from hostile_bundles import sign, sign_text, whole_bundle
from safetensors.torch import load, save

import scarches_plus as sp
from scarches_plus.hub import BundleError

pytestmark = pytest.mark.border


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder, _ = whole_bundle(tmp_path_factory.mktemp("border") / "whole")
    sp.hub.verify_bundle(folder)  # what is imported once is no cost of the file
    sp.hub.load_reference(folder)
    return folder


@pytest.fixture
def bundle(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bundle")


def section(name, **values):
    """Change fields of a section of the manifest."""

    def change(bundle):
        sign(bundle, **{name: lambda old: {**old, **values}})

    return change


def raw(replaced, by):
    """Replace a piece of the manifest's text, which no JSON library would write."""

    def change(bundle):
        text = (bundle / "manifest.json").read_text()
        assert replaced in text
        sign_text(bundle, text.replace(replaced, by, 1).encode())

    return change


def header(text, data=b"", file="weights"):
    def change(bundle):
        (bundle / f"{file}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        sign(bundle)

    return change


def tensors(name, **options):
    """Put other tensors into a file; functions change those that are there."""

    def change(bundle):
        path = bundle / f"{name}.safetensors"
        held = load(path.read_bytes())
        for key, value in options.items():
            held[key] = value(held[key]) if callable(value) else value
        path.write_bytes(save({key: value.contiguous() for key, value in held.items()}))
        sign(bundle)

    return change


def readme(bundle):
    (bundle / "README.md").write_bytes(b"x" * 2**22)
    sign(bundle)


def checksums(bundle):
    (bundle / "SHA256SUMS").write_bytes(b"0" * 2**20)


def wide(bundle):
    """Let one tensor of a million columns make room for a million batches."""
    held = load((bundle / "weights.safetensors").read_bytes())
    held["wide"] = torch.zeros(1, 10**6)
    (bundle / "weights.safetensors").write_bytes(save(held))
    sign(bundle, cells=lambda old: {**old, "batches": list(map(str, range(10**6)))})


def zero_sized(bundle):
    (bundle / "weights.safetensors").write_bytes(save({f"t{i}": torch.zeros(0) for i in range(20_000)}))
    sign(bundle)


F32 = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
NAME = "manifest.json"
A3 = {
    "a manifest of empty tables": (section("calibration", x=[{}] * 2_700_000), (NAME, "tables and lists")),
    "a manifest of empty lists": (section("calibration", x=[[]] * 2_700_000), (NAME, "tables and lists")),
    "a manifest of keys": (section("card", label_hierarchy={f"{i}": "" for i in range(500_000)}), (NAME, "keys")),
    "a manifest of numbers": (section("calibration", x=[1] * 5_000_000), (NAME, "values")),
    "names that are numbers": (section("cells", var_names=[1] * 1_900_000), (NAME, "cells.var_names.0: Input should be")),
    "labels that are numbers": (section("summaries", cell_type={"labels": [0.5] * 10**6, "left_out": [], "space": ""}),
                                (NAME, "summaries.cell_type.labels.0")),
    "positions that are texts": (section("state", unmeasured={"batch0": ["x"] * 10**6}), (NAME, "state.unmeasured")),
    "options that none has": (section("card", **{f"k{i}": 1 for i in range(50_000)}), (NAME, "card.k0")),
    "a manifest of 40 MB": (section("card", description="x" * (40 * 2**20)), (NAME, "more than any bundle has")),
    "tables within tables": (raw('"calibration": {', '"calibration": {"x": ' + "[" * 50_000 + "]" * 50_000 + ", "),
                             (NAME, "nests too deep")),
    "a number of a million digits": (raw('"calibration": {', '"calibration": {"x": ' + "9" * 10**6 + ","), (NAME, "1000000 digits")),
    "a number that is infinite": (raw('"calibration": {', '"calibration": {"x": 1e999'), (NAME, "holds 1e999")),
    "a text without end": (raw('"calibration": {', '"calibration": {"' + 'x\\"' * 10**6), (NAME, "no valid JSON")),
    "15,000 series of a training": (section("training", history={f"k{i}": [[], []] for i in range(15_000)}),
                                    (NAME, "training.history")),
    "a million epochs": (section("training", history={"loss": [list(range(900_000)), [0.0] * 900_000]}),
                         (NAME, "900000 epochs")),
    "50,000 records of queries": (section("state", lineage=[{} for _ in range(50_000)]), (NAME, "state.lineage")),
    "a million batches": (wide, (NAME, "batches")),
    "README.md of 4 MB": (readme, ("README.md", "more than any bundle has")),
    "SHA256SUMS of 1 MB": (checksums, ("SHA256SUMS", "more than any bundle has")),
    "a header of 50 MB": (header(b"{" + b" " * (50 * 2**20) + b"}"), ("weights.safetensors", "header of")),
    "20,000 tensors of nothing": (zero_sized, ("weights.safetensors", "")),
    "a header of tables": (header(b"[" * 300_000 + b"]" * 300_000), ("weights.safetensors", "tables and lists")),
    "a shape beyond 64 bits": (header(json.dumps({"a": {**F32, "shape": [2**63, 2**63]}}).encode()), ("weights.safetensors",)),
    "a shape beyond 64 bits of nothing": (header(json.dumps({"a": {**F32, "shape": [2**63, 0]}}).encode()),
                                          ("weights.safetensors",)),
}  # fmt: skip


@pytest.mark.parametrize("case", A3)
def test_files_that_cost_too_much(border, bundle, case):
    change, says = A3[case]
    change(bundle)
    border.in_child(
        lambda: sp.hub.verify_bundle(bundle), BundleError, says,
        kind="A3", case=f"bundle: {case}", shown="sp.hub.verify_bundle(folder)",
    )  # fmt: skip


def at(place, value):
    def edit(tensor):
        tensor = tensor.clone().long()
        tensor.flatten()[place] = value
        return tensor

    return edit


def first(value):
    def edit(tensor):
        tensor = tensor.clone()
        tensor.flatten()[0] = value
        return tensor

    return edit


REFERENCE = "reference.safetensors"
SUMMARY = "summary.safetensors"
A4 = {
    "an index beyond the genes": (tensors("reference", **{"counts/indices": at(0, 10**6)}), (REFERENCE, "counts")),
    "an index below 0": (tensors("reference", **{"counts/indices": at(0, -1)}), (REFERENCE, "counts")),
    "an index of 62 bits": (tensors("reference", **{"counts/indices": at(0, 2**62)}), (REFERENCE, "counts")),
    "an index that is 0 in 32 bits": (tensors("reference", **{"counts/indices": at(0, 2**32)}), (REFERENCE, "counts")),
    "indptr that descends": (tensors("reference", **{"counts/indptr": at(3, 10**6)}), (REFERENCE, "counts")),
    "indptr below 0": (tensors("reference", **{"counts/indptr": at(0, -1)}), (REFERENCE, "counts")),
    "indptr beyond the values": (tensors("reference", **{"counts/indptr": at(-1, 10**6)}), (REFERENCE, "counts")),
    "indptr of 62 bits": (tensors("reference", **{"counts/indptr": at(5, 2**62)}), (REFERENCE, "counts")),
    "fewer values than indices": (tensors("reference", **{"counts/data": lambda one: one[:-1]}), (REFERENCE, "counts")),
    "codes beyond the categories": (tensors("reference", **{"labels/cell_type": first(100)}), (REFERENCE, "labels/cell_type")),
    "codes below -1": (tensors("reference", **{"labels/cell_type": first(-2)}), (REFERENCE, "labels/cell_type")),
    "groups of anchors": (tensors("anchors", **{"groups/batch": first(-1)}), ("anchors.safetensors", "groups/batch")),
    "components of no label": (tensors("summary", **{"latent/cell_type/of_label": first(10**9)}), (SUMMARY, "of_label")),
    "positions beyond the genes": (section("state", unmeasured={"batch0": [10**6]}), (NAME, "unmeasured")),
    "positions of 62 bits": (section("state", unmeasured={"batch0": [2**62]}), (NAME, "unmeasured")),
    "positions of 300 bits": (section("state", unmeasured={"batch0": [2**300]}), (NAME, "unmeasured")),
    "positions of a batch that nobody has": (section("state", unmeasured={"?": [10**6]}), (NAME, "unmeasured")),
    "columns that train beyond the weights": (section("state", surgery={
        "strategy": "condition", "train_reference_columns": False, "n_trainable": 1, "n_total": 2, "reference_hash": "",
        "entries": {"z_encoder.encoder.fc_layers.Layer 0.0.weight": [1, [10**6]]}}), (NAME, "surgery")),
    "dimensions that no weight has": (section("state", surgery={
        "strategy": "condition", "train_reference_columns": False, "n_trainable": 1, "n_total": 2, "reference_hash": "",
        "entries": {"z_encoder.encoder.fc_layers.Layer 0.0.weight": [7, [0]]}}), (NAME, "surgery")),
    "weights that nobody has": (section("state", surgery={
        "strategy": "condition", "train_reference_columns": False, "n_trainable": 1, "n_total": 2, "reference_hash": "",
        "entries": {"nothing": None}}), (NAME, "surgery")),
    "a strategy that nobody has": (section("state", surgery={
        "strategy": "?", "train_reference_columns": False, "n_trainable": 1, "n_total": 2, "reference_hash": "",
        "entries": {}}), (NAME, "strategy")),
    "covariances of nothing": (tensors("summary", **{"latent/cell_type/covariances": torch.zeros_like}), (SUMMARY, "definite")),
    "importance of another shape": (tensors("importance", **{"fisher/px_r": lambda one: one[:3]}),
                                    ("importance.safetensors", "fisher/px_r")),
}  # fmt: skip


@pytest.mark.parametrize("case", A4)
def test_numbers_that_crash(border, bundle, case):
    change, says = A4[case]
    change(bundle)
    border.in_child(
        lambda: sp.hub.verify_bundle(bundle), BundleError, says,
        kind="A4", case=f"bundle: {case}", shown="sp.hub.verify_bundle(folder)",
    )  # fmt: skip


def test_a_large_real_manifest(border, bundle):
    """60,000 genes twice, 1,000 batches and labels, and what 100 of the batches lack."""
    values = json.loads((bundle / "manifest.json").read_text())
    genes, labels = [f"ENSG{i:011d}.12" for i in range(60_000)], [f"a label of some length {i}" for i in range(1000)]
    batches = [f"a batch of some length {i}" for i in range(1000)]
    values["cells"] |= {"var_names": genes, "batches": batches, "labels": labels}
    values["state"]["unmeasured"] = {name: list(range(0, 10_000)) for name in batches[:100]}
    values["state"]["lineage"] = [{"n_cells": 1, "drift": {"batch": 0.1}} for _ in range(1000)]
    values["training"]["history"] = {f"k{i}": [list(range(100)), [0.1] * 100] for i in range(50)}
    values["summary"]["profiles"] |= {"genes": genes, "labels": labels, "batches": batches}
    values["card"]["label_hierarchy"] = dict.fromkeys(labels, "above")
    text = json.dumps(values).encode()
    sign_text(bundle, text)
    border.in_child(
        lambda: sp.hub.info(bundle), None, "", kind="A3", case=f"bundle: a real manifest of {len(text) / 1e6:.0f} MB",
        shown="sp.hub.load_bundle(folder)",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["weights.safetensors", "manifest.json"])
def test_pointers_of_git_lfs(border, bundle, name):
    (bundle / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    border.in_child(
        lambda: sp.hub.load_bundle(bundle), BundleError, (name, "git lfs pull"), kind="C3", case=f"bundle: {name} is a pointer",
        shown="sp.hub.load_bundle(folder)",
    )  # fmt: skip

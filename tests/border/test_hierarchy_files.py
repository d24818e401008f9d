"""Hierarchies of labels that nest without end, go in circles or are far too large are refused, naming the file."""

import contextlib
import io
import json

import pytest

import scarches_plus as sp
from scarches_plus.cli import app

pytestmark = pytest.mark.border


@pytest.fixture(autouse=True, scope="module")
def imported():
    """Import what is imported once, which is no cost of a file."""
    sp.pp.label_tree({"T": "lymphoid"})
    with contextlib.suppress(ValueError):
        _parse("none")


def chain(n):
    return "\n".join(f"label{i},label{i + 1}" for i in range(n))


def lattice(n_layers, width):
    terms = (
        f"[Term]\nid: X:{i}_{j}\nname: n{i}_{j}\n" + "\n".join(f"is_a: X:{i - 1}_{k}" for k in range(width) if i)
        for i in range(n_layers)
        for j in range(width)
    )
    return "\n\n".join(terms)


TEXTS = {
    "JSON 50,000 deep": ('{"a":' * 50_000 + "{}" + "}" * 50_000, "nests too deep"),
    "a key twice": ('{"T": "lymphoid", "T": "myeloid"}', "['T'] occur more than once"),
    "Newick of 20,000 names within names": (
        "(" * 20_000 + "a" + "".join(f")n{i}" for i in range(20_000)),
        "nests too deep",
    ),
    "comments without end": ("(a" + "[" * 200_000, "do not match"),
    "quotes without end": ("('" + "''" * 200_000, "quotes of the Newick text"),
    "a chain of 20,000": (chain(20_000), "nests too deep"),
    "a circle": (chain(500) + "\nlabel500,label0", "contains itself"),
    "a lattice of an ontology": (lattice(150, 15), "nests too deep"),
    "200,000 labels": ("\n".join(f"top,a{i}" for i in range(200_000)), "has 200000 lines"),
    "60,000 labels": (json.dumps({f"label{i}": "top" for i in range(60_000)}), "has 60001 labels"),
    "33 MB": ("a,b\n" * (9 * 2**20), "is larger than any hierarchy"),
    "no UTF-8": (b"\xff\xfe\xfa", "utf-8"),
    "blanks without end": ("[Term]\nid: a\nis_a: a\nis_a: b" + " " * 10**5 + "c", "contains itself"),
    "a line of 1 MB": ("x" * 10**6, "is no pair"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_hierarchies(border, tmp_path, case):
    text, says = TEXTS[case]
    path = tmp_path / "tree.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    border.in_child(
        lambda: sp.pp.label_tree(path), ValueError, ("tree.txt", says),
        kind="A3", case=f"hierarchy: {case}", shown="sp.pp.label_tree(path)",
    )  # fmt: skip


def test_a_real_ontology(border, tmp_path):
    """As large as the Cell Ontology with all that it takes from others."""
    path = tmp_path / "cl.obo"
    terms = (f"[Term]\nid: X:{i}\nname: term {i}\nis_a: X:{i // 3}\nis_a: X:{i // 3 // 3}" for i in range(1, 17_000))
    path.write_text("\n\n".join(terms))
    border.in_child(
        lambda: sp.pp.label_tree(path), None, "", kind="A3", case="hierarchy: an ontology of 17,000 terms",
        shown="sp.pp.label_tree(path)",
    )  # fmt: skip


@pytest.mark.parametrize("value", ["9" * 10**6, "(" * 5000, "[" * 201, "-" * 500 + "1"])
def test_values_of_penalties(border, value):
    """Python's parser is not given what nests without end."""
    border.in_child(
        lambda: _parse(f"mmd:weight={value}"), ValueError, f"it has {len(value)} letters",
        kind="A3", case=f"penalty: weight={value[:10]}...", shown="scarches-plus build --penalty ...",
    )  # fmt: skip


def _parse(word):
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            words = ["build", "cells.h5ad", "--batch-key", "batch", "--out", "model", "--penalty", word]
            app(words, result_action="return_value", exit_on_error=False, print_error=False)
    except SystemExit as error:
        raise ValueError(" ".join(told.getvalue().split())) from error


def test_levels_of_a_deep_tree(border):
    parents = {f"label{i + 1}": f"label{i}" for i in range(5000)}
    border.in_child(
        lambda: sp.pp.label_tree(json.loads(json.dumps(parents))), ValueError, "nests too deep",
        kind="A3", case="hierarchy: a dict of 5,000 labels in a row", shown="sp.pp.label_tree(parents)",
    )  # fmt: skip

"""What the checks return, and where their limits lie."""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from small_models import cells, with_proteins

from scarches_plus import _arguments as check
from scarches_plus._options import by_name, check_options, or_none, parameters_of
from scarches_plus.model import SCVI


@pytest.mark.parametrize(
    ("call", "right"),
    [
        (lambda: check.whole("k", 2.0), 2),
        (lambda: check.whole("k", np.int8(3), least=3, most=3), 3),
        (lambda: check.whole("k", 10**30), 10**30),
        (lambda: check.number("k", np.float32(0.5)), 0.5),
        (lambda: check.number("k", 1, least=1, most=1), 1.0),
        (lambda: check.number("k", 0.5, above=0, below=1), 0.5),
        (lambda: check.flag("k", np.bool_(True)), True),
        (lambda: check.choice("k", None, ("a", None)), None),
        (lambda: check.text("k", " a "), " a "),
        (lambda: check.texts_or_none(a=None, b="b"), None),
        (lambda: check.names("k", "a", or_one=True), ("a",)),
        (lambda: check.names("k", pd.Index(["a", "b"]), least=2), ("a", "b")),
        (lambda: check.names("k", [1, "a"], of=object), (1, "a")),
        (lambda: check.slot("k", "a.b"), "a.b"),
        (lambda: check.distinct(a="x", b=None, c=["y", "z"]), None),
        (lambda: check.seed("k", np.random.default_rng(0)), None),
        (lambda: check.seed("k", 2**40), None),
        (lambda: check.seed("k", 2**32 - 1, generator=False), None),
        (lambda: check.array("k", [True, 2]).tolist(), [1.0, 2.0]),
        (lambda: check.path("k", "~nobody-of-that-name/x"), Path("~nobody-of-that-name/x")),
        (lambda: check.path("k", "~/x"), Path.home() / "x"),
        (lambda: check.mapping("k", {"a": 1}), {"a": 1}),
        (lambda: check.shown(AnnData()), "an AnnData"),
        (lambda: check.shown(pd.Series([1])), "a Series"),
        (lambda: check.shown(SCVI), "<class 'scarches_plus.model._scvi.SCVI'>"),
        (lambda: check.shown("a" * 500), check.shown("a" * 500)[:100]),
        (lambda: check.nearest("conditon", ["condition", "all", 3]), "; did you mean 'condition'?"),
        (lambda: check.nearest("xyz", ["condition", "all"]), ""),
        (lambda: or_none(check.flag)("k", None), None),
        (lambda: by_name(check.text, ("k",), {"value": 1}), {"name": "k", "value": 1}),
        (lambda: check_options("k", None, ["a"], {}), {}),
        (lambda: check_options("k", {"a": 2.0, "b": "x"}, ["b", "a"], {"a": check.whole}), {"a": 2, "b": "x"}),
    ],
)  # fmt: skip
def test_what_is_taken(call, right):
    assert call() == right


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: check.whole("k", 2.5), ValueError, "k must be a whole number, not 2.5"),
        (lambda: check.whole("k", True), TypeError, "k must be a whole number, not True"),
        (lambda: check.whole("k", 1, least=2, most=9), ValueError, "k must be at least 2 and at most 9, not 1"),
        (lambda: check.whole("k", 10, most=9), ValueError, "k must be at most 9"),
        (lambda: check.number("k", math.nan), ValueError, "k must be a number, not nan"),
        (lambda: check.number("k", int(sys.float_info.max) * 2), ValueError, "k must be a number"),
        (lambda: check.number("k", 0, above=0), ValueError, "k must be above 0"),
        (lambda: check.number("k", 1, below=1), ValueError, "k must be below 1"),
        (lambda: check.flag("k", 1), TypeError, "k must be True or False, not 1"),
        (lambda: check.choice("k", "conditon", ("condition", "all")), ValueError, "'conditon'; did you mean 'condition'"),
        (lambda: check.choice("k", 1, ("a",)), TypeError, r"k must be one of \('a',\), not 1"),
        (lambda: check.text("k", "  "), ValueError, "k must be a name, and '  ' is empty"),
        (lambda: check.names("k", "abc"), TypeError, r"k must be a list of names, such as k=\['abc'\], not 'abc'"),
        (lambda: check.names("k", b"abc"), TypeError, "k must be a list of names, not"),
        (lambda: check.names("k", {"a": 1}), TypeError, "k must be a list"),
        (lambda: check.names("k", ["a", 1]), TypeError, r"k must be a list of names \(texts\), and 1 is none"),
        (lambda: check.names("k", [], least=1), ValueError, "k is empty; name at least 1"),
        (lambda: check.names("k", ["a"], least=2), ValueError, "k holds 1; name at least 2"),
        (lambda: check.slot("k", "a/b", taken=["a_b"]), ValueError, "pass 'a_b_'"),
        (lambda: check.slot("k", "a\0b"), ValueError, "pass 'a_b'"),
        (lambda: check.slot("k", "a\ud800b"), ValueError, r"pass 'a\?b'"),
        (lambda: check.slot("k", "_index"), ValueError, "pass 'index_'"),
        (lambda: check.slot("k", "a/b", writes="obs['{}_pred']"), ValueError, r"what is written \(obs\['a/b_pred'\]\)"),
        (lambda: check.distinct(a="x", b=["y", "x"]), ValueError, "a and b are both 'x'; name different columns"),
        (lambda: check.distinct(b=["y", "y"]), ValueError, "b has 'y' twice"),
        (lambda: check.seed("k", -1), ValueError, "k must be at least 0"),
        (lambda: check.seed("k", 2**32, generator=False), ValueError, "at most 4,294,967,295"),
        (lambda: check.seed("k", None, generator=False), TypeError, r"k must be a whole number \(at least 0\), not None"),
        (lambda: check.cells("k", "x.h5ad"), TypeError, r"not a path: read it first, sc.read_h5ad\('x.h5ad'\)"),
        (lambda: check.cells("k", with_proteins(cells(90))), TypeError, r"not MuData: pass a modality, such as mdata\['rna'\]"),
        (lambda: check.cells("k", None, mudata=True), TypeError, "k must be an AnnData or MuData, not None"),
        (lambda: check.path("k", ""), ValueError, "k must be a path, and '' is none"),
        (lambda: check.path("k", b"x"), TypeError, "k must be a path, not b'x'"),
        (lambda: check.path("k", "a\0"), ValueError, "k must be a path"),
        (lambda: check.at_home("a\0"), ValueError, "a character that no name can have"),
        (lambda: check.array("k", np.array([1j])), TypeError, "k must be an array of numbers"),
        (lambda: check.array("k", 1), TypeError, "k must be an array of numbers, not 1"),
        (lambda: check.mapping("k", []), TypeError, r"k must be a dict, not \[\]"),
        (lambda: by_name(check.text, ("k",), {"name": 1}), TypeError, "text got two values for name"),
        (lambda: by_name(check.text, (1, 2, 3), {}), TypeError, "too many positional"),
        (lambda: check_options("k", {1: 2}, ["a"], {}), TypeError, "k must be a dict of options by name"),
        (lambda: check_options("k", {"weigth": 2}, ["weight"], {}), TypeError, "'weigth', which is no option; did you mean 'weight'"),
        (lambda: check_options("k", {"z": 2}, ["weight"], {}), TypeError, r"which is no option: they are \['weight'\]"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_tables():
    table = pd.DataFrame({"a": [1], "b": ["x"]})
    check.table("k", table, ["a", "b"], numbers=["a"], made_by="sp.f")
    for columns, numbers, given, says in (
        (["a", "c"], [], table, r"k lacks \['c'\]: pass what sp.f returned"),
        (["a"], [], pd.concat([table, table], axis=1), r"several columns named \['a'\]"),
        (["a", "b"], ["b"], table, r"no numbers in \['b'\]"),
    ):
        with pytest.raises(ValueError, match=says):
            check.table("k", given, columns, numbers=numbers, made_by="sp.f")


class _Base:
    def __init__(self, wide: int, *args: int, **more: int) -> None:
        """Take some."""


class _Further(_Base):
    def __init__(self, deep: int, **kwargs: int) -> None:
        """Take others, too."""


def test_parameters_are_those_of_all_bases():
    assert parameters_of(_Further) == {"wide", "deep"}
    assert parameters_of(check.text, _Further.__init__) == {"name", "value", "deep"}

"""Foreign text, in each output; more of it is in tests/border."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scarches_plus._json import finite, parse_json, write_json
from scarches_plus._text import (
    for_csv,
    for_figure,
    for_html,
    for_json,
    for_line,
    for_markdown,
    for_message,
    for_table,
    for_terminal,
)


@pytest.mark.parametrize(
    ("given_", "right"),
    [
        ("T cell", "T cell"), ("cell_type", "cell\\_type"), ("pbmc68k-scanvi", "pbmc68k-scanvi"), ("0.9", "0.9"),
        ("- x", "\\- x"), ("# x", "\\# x"), ("1. x", "1\\. x"), ("a|b", "a\\|b"), ("<b>", "\\<b\\>"),
    ],
)  # fmt: skip
def test_markdown(given_, right):
    assert for_markdown(given_) == right


@pytest.mark.parametrize(
    ("found", "right"),
    [
        (for_terminal("a\u200bb\u202ec\x9bd\ud800e\u2028f"), "abcdef"),
        (for_terminal("a\tb\nc"), "a\tb\nc"),
        (for_message("a" * 50, 50), "a" * 50),
        (for_message("a" * 51, 50), "a" * 47 + "..."),
        (for_json('"\u200b\n\U0001d173\U000e0300"'), '"\\u200b\n\\ud834\\udd73\\udb40\\udf00"'),
        (for_html("<b onclick='\"x\"'>"), "&lt;b onclick=&#x27;&quot;x&quot;&#x27;&gt;"),
        (for_table("\uff1d1"), "'\uff1d1"),
        (for_table(" =1"), "' =1"),
        (for_table("\u200b=1"), "'=1"),
        (for_table("-1.5e-3"), "-1.5e-3"),
        (for_table("-1.5e-3 "), "'-1.5e-3 "),
        (for_figure(["_a", "a", "a\n", ""]), ["_a", "a", "a (2)", " "]),
        (for_figure(["_a"], in_legend=True), [" _a"]),
        (for_figure(["a" * 61]), ["a" * 57 + "..."]),
    ],
)
def test_cases(found, right):
    assert found == right


def test_names_of_tables():
    table = pd.DataFrame([["=x"]], index=pd.Index(["+r"], name="@i"), columns=pd.Index(["-c"], name="=n"))
    safe = for_csv(table)
    assert (safe.index.tolist(), safe.index.name) == (["'+r"], "'@i")
    assert (safe.columns.tolist(), safe.columns.name) == (["'-c"], "'=n")
    assert safe.iloc[0, 0] == "'=x"
    nested = for_csv(table.set_index(pd.MultiIndex.from_tuples([("=a", 1)], names=["=b", None])))
    assert nested.index.tolist() == [("'=a", 1)]
    assert nested.index.names == ["'=b", None]


@given(st.text())
def test_terminals(text):
    plain = for_terminal(text)
    assert all(one.isprintable() or one in "\n\t" or not one.isascii() for one in plain)
    assert for_terminal(plain) == plain
    assert "\n" not in for_line(text)
    assert len(for_message(text * 100, 50)) <= 50


@given(st.recursive(st.text() | st.integers(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
def test_json_means_the_same(values):
    text = json.dumps(values, ensure_ascii=False, indent=1)
    assert json.loads(for_json(text)) == values
    assert all(one == "\n" or one.isprintable() for one in for_json(text))


@given(st.lists(st.text(max_size=80), unique=True))
def test_names_of_a_figure(names):
    shown = for_figure(names, in_legend=True)
    assert len(set(shown)) == len(names)
    assert not any(one.startswith("_") or "\n" in one for one in shown)


def test_tables_keep_numbers():
    table = pd.DataFrame({"a": [-1, 2], "b": [-0.5, None], "c": [True, False], "d": ["-1", "=1"]}, index=[-1, 5])
    safe = for_csv(table)
    pd.testing.assert_frame_equal(safe[["a", "b", "c"]], table[["a", "b", "c"]])
    assert list(safe["d"]) == ["-1", "'=1"]
    assert list(table["d"]) == ["-1", "=1"]
    assert for_table(-1.0) == -1.0
    assert for_table(None) is None


# --- JSON ---

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

import json

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scarches_plus.datasets import simulate
from scarches_plus.pp import LabelTree, label_tree

PARENTS = {"lymphoid": None, "T": "lymphoid", "CD4 T": "T", "CD8 T": "T", "B": "lymphoid", "mono": None}
EXPECTED = LabelTree(PARENTS)
NESTED = {"lymphoid": {"T": ["CD4 T", "CD8 T"], "B": []}, "mono": None}
LYMPHOID = LabelTree({node: above for node, above in PARENTS.items() if node != "mono"})
PAIRS = [("lymphoid", "T"), ("T", "CD4 T"), ("T", "CD8 T"), ("lymphoid", "B")]
OBO = """format-version: 1.2
ontology: cl-subset

[Term]
id: CL:1
name: lymphoid
is_a: CL:0 ! cell

[Term]
id: CL:2
name: T
is_a: CL:1 {source="x"} ! lymphoid
is_a: CL:9 ! alpha-beta

[Term]
id: CL:9
name: alpha-beta
is_a: CL:1

[Term]
id: CL:3
name: CD4 T
is_a: CL:2 ! T
is_a: CL:1 ! lymphoid

[Term]
id: CL:4
name: CD8 T
is_a: CL:2 ! T

[Term]
id: CL:5
name: B
is_a: CL:1 ! lymphoid

[Term]
id: CL:6
name: old
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


def cells():
    return pd.DataFrame(
        {
            "lineage": ["lymphoid", "lymphoid", "lymphoid", "mono", None],
            "type": pd.Categorical(["T", "T", "B", "mono", "Unknown"]),
            "subtype": ["CD4 T", "CD8 T", np.nan, np.nan, None],
        },
        index=pd.Index([f"c{i}" for i in range(5)]),
    )


SOURCES = {
    "nested dict": NESTED,
    "child to parent": PARENTS,
    "a tree": EXPECTED,
    "JSON": json.dumps(NESTED),
    "JSON of parents": json.dumps(PARENTS),
    "Newick in double quotes": '((("CD4 T","CD8 T"[x]:0.1)"T",B)lymphoid,mono) ; [the end]',
    "Newick": "(((CD4 T, 'CD8 T':0.1)T:1[comment],B)lymphoid,mono);",
}
SOURCES_OF_PAIRS = {
    "pairs": PAIRS,
    "edges, tabs": "# parent\tchild\n" + "\n".join("\t".join(pair) for pair in PAIRS),
    "edges, commas": "\n".join(", ".join(pair) for pair in PAIRS),
    "table": "Parent,child\n" + "\n".join(",".join(pair) for pair in PAIRS),
    "table in quotes": '"child", "parent"\n' + "\n".join(f'"{child}", "{parent}"' for parent, child in PAIRS),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_gives_the_same_tree(name):
    assert label_tree(SOURCES[name]) == EXPECTED


@pytest.mark.parametrize("name", SOURCES_OF_PAIRS)
def test_pairs(name):
    assert label_tree(SOURCES_OF_PAIRS[name]) == LYMPHOID


@pytest.mark.parametrize("as_cells", [lambda obs: obs, lambda obs: AnnData(np.zeros((5, 1)), obs=obs)])
def test_label_columns(as_cells):
    assert label_tree(as_cells(cells()), ["lineage", "type", "subtype"]) == EXPECTED


def test_a_gap_between_columns_does_not_make_a_second_parent():
    obs = cells().iloc[[0, 1, 2, 3, 1]].astype(object)
    obs.iloc[-1, 1] = None
    assert label_tree(obs, ["lineage", "type", "subtype"]) == EXPECTED


def test_labels_of_numbers_are_text():
    assert label_tree(pd.DataFrame({"a": [1, 1], "b": [10, 11]}), ["a", "b"]) == LabelTree(
        {"1": None, "10": "1", "11": "1"}
    )


def test_file(tmp_path):
    (tmp_path / "tree.nwk").write_text("((a,b)x,(c,d)y)root;")
    tree = label_tree(tmp_path / "tree.nwk")
    assert tree.leaves == ("a", "b", "c", "d")
    assert tree.path("c") == ("root", "y", "c")


def test_newick_without_names_of_inner_nodes():
    assert label_tree("((a,b),(c,'it''s d')y);").to_plain() == {
        "a": None,
        "b": None,
        "y": None,
        "c": "y",
        "it's d": "y",
    }


def test_newick_with_names_of_any_characters():
    parts = ["'CD4+ T [naive]'", "\"5'UTR, [x]\":1[a comment's end]", "'a\"b'", "'it''s (d); [e]'"]
    text = f'({",".join(parts)})"say ""T""";'
    leaves = ("CD4+ T [naive]", "5'UTR, [x]", 'a"b', "it's (d); [e]")
    assert label_tree(text).to_plain() == {'say "T"': None, **dict.fromkeys(leaves, 'say "T"')}


def test_ontology_restricted_to_names():
    assert label_tree(OBO, keep=["lymphoid", "T", "CD4 T", "CD8 T", "B"]) == LYMPHOID
    assert label_tree(OBO).path("CD8 T") == ("lymphoid", "alpha-beta", "T", "CD8 T")
    assert label_tree(OBO, keep=["CD8 T", "B", "lymphoid"]).parents["CD8 T"] == "lymphoid"


def test_simulated_cells():
    adata = simulate(60, 20, 6)
    levels = adata.uns["simulate"]["levels"]
    tree = label_tree(adata, levels)
    assert tree.to_plain() == {
        child: None if parent == "root" else parent
        for child, parent in label_tree(adata.uns["simulate"]["parents"]).to_plain().items()
        if child != "root"
    }
    assert len(tree.leaves) == 6


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([("a", "c"), ("b", "c")], "'c' has several parents, .*'a', 'b'"),
        ([("a", "b"), ("b", "a")], "'a' contains itself, by way of .*'b'"),
        ({"a": ["x"], "b": ["x"]}, r"\['x'\] occur more than once"),
        ("(a,b)a;", r"\['a'\] occur more than once"),
        ("((a,b)c;", "parentheses"),
        ("(a,b))c;", "parentheses"),
        ("(it's,b)c;", "quotes of the Newick text"),
        ("(5'UTR,3'UTR)c;", "'UTR,3' and 'UTR' of the Newick text stand together"),
        ("tree.nwk", "pathlib.Path"),
        ("a,b,c", "is no pair"),
        ({"a": ["x"], "b": "x"}, "must be a dict or a list"),
        ({}, "no labels"),
        ("", "no labels"),
        ("parent,child", "no labels"),
        (OBO.replace("name: B", "name: T"), r"several terms .* called \['T'\]"),
    ],
)  # fmt: skip
def test_what_is_no_tree_is_named(source, message):
    with pytest.raises(ValueError, match=message):
        label_tree(source)


def test_what_cannot_be_read():
    with pytest.raises(TypeError, match="not int"):
        label_tree(3)
    with pytest.raises(TypeError, match="pairs"):
        label_tree([("a", "b", "c")])
    with pytest.raises(KeyError, match="nothing"):
        label_tree(cells(), ["nothing"])
    with pytest.raises(ValueError, match="columns="):
        label_tree(cells())
    with pytest.raises(TypeError, match="must be a list of names"):
        label_tree(cells(), "type")
    with pytest.raises(TypeError, match="columns are of cells"):
        label_tree(NESTED, ["type"])
    with pytest.raises(ValueError, match=r"lacks: \['NK'\]"):
        label_tree(NESTED, keep=["NK"])

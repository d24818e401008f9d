"""The tree as data: order, sums up the tree, and the way down to what is certain."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scarches_plus.pp import LabelTree

TREE = LabelTree({"T": "lymphoid", "CD4": "T", "CD8": "T", "B": "lymphoid", "mono": None})


@st.composite
def trees(draw):
    """Random trees: every node but the first ones hangs below an earlier one."""
    n = draw(st.integers(2, 12))
    above = [draw(st.one_of(st.none(), st.integers(0, i - 1))) if i else None for i in range(n)]
    return LabelTree({f"n{i}": None if one is None else f"n{one}" for i, one in enumerate(above)})


def test_order_is_depth_first_with_siblings_as_given():
    assert TREE.nodes == ("lymphoid", "T", "CD4", "CD8", "B", "mono")
    assert TREE.leaves == ("CD4", "CD8", "B", "mono")
    assert TREE.n_levels == 3
    assert TREE.path("CD8") == ("lymphoid", "T", "CD8")


def test_str_shows_the_tree():
    assert str(TREE).splitlines()[:3] == ["lymphoid", "  T", "    CD4"]


@given(trees())
def test_survives_json_in_its_order(tree):
    again = LabelTree(json.loads(json.dumps(tree.to_plain())))
    assert again == tree
    assert again.nodes == tree.nodes


@pytest.mark.parametrize("parents", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "b", "d": None}])
def test_cycles_are_named(parents):
    with pytest.raises(ValueError, match=r"contain themselves.*'a'"):
        LabelTree(parents)


def test_unknown_labels_are_named():
    with pytest.raises(ValueError, match=r"\['NK'\] are not in the hierarchy"):
        TREE.path("NK")


def test_a_name_is_needed():
    with pytest.raises(ValueError, match="no name"):
        LabelTree({"": None})


def test_nested_dicts_are_for_label_tree():
    with pytest.raises(TypeError, match=r"not \['CD4', 'CD8'\]; sp\.pp\.label_tree takes nested dicts"):
        LabelTree({"T": ["CD4", "CD8"]})


def test_of_takes_trees_and_plain_parents_only():
    assert LabelTree.of(TREE) is TREE
    assert LabelTree.of(TREE.to_plain()) == TREE
    with pytest.raises(TypeError, match=r"sp\.pp\.label_tree"):
        LabelTree.of(["a"])


def test_covers_by_hand():
    np.testing.assert_array_equal(
        TREE.covers(["lymphoid", "T", "B"]), [[True, True, True, False], [True, True, False, False], [0, 0, 1, 0]]
    )


@given(trees(), st.integers(0, 2**32 - 1))
def test_probabilities_add_up_the_tree(tree, seed):
    leaves = np.random.default_rng(seed).dirichlet(np.ones(len(tree.leaves)), 5)
    nodes = dict(zip(tree.nodes, tree.node_probabilities(leaves).T, strict=True))
    for leaf, column in zip(tree.leaves, leaves.T, strict=True):
        np.testing.assert_array_equal(nodes[leaf], column)
    for node in set(tree.nodes) - set(tree.leaves):
        below = [nodes[child] for child, above in tree.parents.items() if above == node]
        np.testing.assert_allclose(nodes[node], np.sum(below, axis=0))
    np.testing.assert_allclose(sum(nodes[node] for node, above in tree.parents.items() if above is None), 1)


def test_inner_labels_keep_what_is_theirs():
    votes = np.array([[0.5, 0.2, 0.3]])
    np.testing.assert_allclose(
        TREE.node_probabilities(votes, ["lymphoid", "CD4", "mono"]), [[0.7, 0.2, 0.2, 0, 0, 0.3]]
    )


@given(trees(), st.integers(0, 2**32 - 1), st.floats(0, 0.49))
def test_certain_is_the_deepest_node_that_is_probable_enough(tree, seed, unknown_above):
    leaves = np.random.default_rng(seed).dirichlet(np.full(len(tree.leaves), 0.3), 8)
    table = tree.node_probabilities(leaves)
    codes, probabilities = tree.certain(table, unknown_above)
    inner = {node for node in tree.nodes if node not in tree.leaves}
    says_nothing = {node for node in inner if tree.covers([node]).all()}
    for row, code, probability in zip(table, codes, probabilities, strict=True):
        enough = [
            node
            for node, p in zip(tree.nodes, row, strict=True)
            if p > 0 and not 1 - p > unknown_above and node not in says_nothing
        ]
        deepest = max(enough, key=lambda node: len(tree.path(node)), default=None)
        assert (tree.nodes[code] if code >= 0 else None) == deepest
        if code >= 0:
            assert probability == min(row[code], 1)
        else:
            assert 1 - probability > unknown_above or probability == 0


def test_certain_by_hand():
    leaves = np.array([[0.9, 0.05, 0, 0.05], [0.45, 0.4, 0.1, 0.05], [0.3, 0.2, 0.3, 0.2], [0.25, 0.1, 0.1, 0.55]])
    table = TREE.node_probabilities(leaves)
    codes, probabilities = TREE.certain(table, 0.3)
    assert [TREE.nodes[code] if code >= 0 else "" for code in codes] == ["CD4", "T", "lymphoid", ""]
    np.testing.assert_allclose(probabilities, [0.9, 0.85, 0.8, 0.55])
    everything, _ = TREE.certain(table, 1.0)
    assert [TREE.nodes[code] for code in everything] == ["CD4", "CD4", "CD4", "mono"]


def test_one_root_is_no_answer():
    tree = LabelTree({"cell": None, "blood": "cell", "T": "blood", "B": "blood"})
    codes, probabilities = tree.certain(tree.node_probabilities(np.array([[0.5, 0.5], [0.1, 0.9]])), 0.4)
    assert codes.tolist() == [-1, tree.nodes.index("B")]
    np.testing.assert_allclose(probabilities, [0.5, 0.9])


def test_without_votes_nothing_is_certain():
    codes, probabilities = TREE.certain(np.zeros((2, len(TREE.nodes))), 1.0)
    assert codes.tolist() == [-1, -1]
    assert probabilities.tolist() == [0, 0]

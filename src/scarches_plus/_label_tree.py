"""Hold a hierarchy of labels as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arguments as check
from . import _limits
from ._text import for_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelTree:
    """Labels that contain one another: a tree of any depth, or several side by side.

    Parameters
    ----------
    parents
        Every label with the label that contains it, ``None`` at the top. Labels that occur as parents only are at the
        top, too. The order decides the order of everything else: depth first, siblings as given.

    Raises
    ------
    ValueError
        If a label has no name, or labels contain themselves, or nest too deep.
    TypeError
        If a parent is neither text nor ``None``.

    Examples
    --------
    >>> tree = LabelTree({"T": "lymphoid", "B": "lymphoid", "monocyte": None})
    >>> tree.leaves
    ('T', 'B', 'monocyte')
    >>> tree.path("T")
    ('lymphoid', 'T')
    """

    parents: Mapping[str, str | None]

    def __post_init__(self) -> None:
        check.mapping("parents", self.parents)
        if nested := [above for above in self.parents.values() if not isinstance(above, str | None)]:
            message = (
                f"a label has a name or None as its parent, not {nested[0]!r}; sp.pp.label_tree takes nested dicts"
            )
            raise TypeError(message)
        listed = {str(node): None if above is None else str(above) for node, above in self.parents.items()}
        given: dict[str, str | None] = {above: None for above in listed.values() if above is not None}
        given |= listed
        if any(not node.strip() for node in given):
            message = "a label of the hierarchy has no name"
            raise ValueError(message)
        children: dict[str | None, list[str]] = {}
        for node, above in given.items():
            children.setdefault(above, []).append(node)
        ordered: dict[str, str | None] = {}
        depth: dict[str | None, int] = {None: 0}
        waiting = children.get(None, [])[::-1]
        while waiting:
            node = waiting.pop()
            ordered[node] = given[node]
            depth[node] = depth[given[node]] + 1
            if depth[node] > _limits.HIERARCHY_DEPTH:
                message = f"the hierarchy nests too deep: {node!r} lies below {_limits.HIERARCHY_DEPTH} labels"
                raise ValueError(message)
            waiting += children.get(node, [])[::-1]
        if looped := [node for node in given if node not in ordered]:
            message = f"labels of the hierarchy contain themselves, or lie below some that do: {looped[:5]}"
            raise ValueError(message)
        object.__setattr__(self, "parents", ordered)

    @classmethod
    def of(cls, hierarchy: LabelTree | Mapping[str, str | None]) -> LabelTree:
        """Return a tree from a tree or from its ``parents``.

        Raises
        ------
        TypeError
            If it is neither.
        """
        if isinstance(hierarchy, cls):
            return hierarchy
        if isinstance(hierarchy, Mapping):
            return cls(hierarchy)
        message = f"the hierarchy must be a LabelTree, not {check.shown(hierarchy)}: make one with sp.pp.label_tree"
        raise TypeError(message)

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """All labels, depth first."""
        return tuple(self.parents)

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Labels that contain no other, in the order of ``nodes``."""
        inner = set(self.parents.values())
        return tuple(node for node in self.nodes if node not in inner)

    @cached_property
    def n_levels(self) -> int:
        """Labels on the longest way from the top to a leaf."""
        return max((len(self.path(leaf)) for leaf in self.leaves), default=0)

    def path(self, node: str) -> tuple[str, ...]:
        """Return the labels from the top down to a label, which is the last of them."""
        self.require([check.text("node", node)])
        path = [node]
        while (above := self.parents[path[-1]]) is not None:
            path.append(above)
        return tuple(path[::-1])

    def require(self, labels: Iterable[str], what: str = "labels") -> None:
        """Check that labels are in the tree.

        Raises
        ------
        ValueError
            If some are not, naming them.
        """
        labels = check.names("labels", labels, of=object)
        if strange := sorted({str(label) for label in labels} - set(self.parents)):
            message = (
                f"{what} {strange} are not in the hierarchy; add them, or rename them to some of its {len(self.nodes)} "
                f"labels, such as {list(self.nodes[:5])}"
            )
            raise ValueError(message)

    def covers(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Return which leaves each of some labels contains, shape ``(n_labels, n_leaves)``; a leaf contains itself."""
        self.require(labels)
        lines = [set(self.path(leaf)) for leaf in self.leaves]
        return np.array([[label in line for line in lines] for label in labels], dtype=bool).reshape(-1, len(lines))

    def node_probabilities(self, probabilities: NDArray[Any], labels: Sequence[str] | None = None) -> NDArray[Any]:
        """Return the probability of every node: that of all labels in it.

        Parameters
        ----------
        probabilities
            Shape ``(n_cells, n_labels)``.
        labels
            Labels at any level that the columns are of; ``None`` for the leaves.

        Returns
        -------
        numpy.ndarray
            Shape ``(n_cells, n_nodes)``, in the order of ``nodes``.
        """
        labels = self.leaves if labels is None else check.names("labels", labels)
        _require_columns("probabilities", probabilities, len(labels), "labels")
        position = {node: i for i, node in enumerate(self.nodes)}
        upward = np.zeros((len(labels), len(self.nodes)), dtype=probabilities.dtype)
        for row, label in enumerate(labels):
            upward[row, [position[node] for node in self.path(label)]] = 1
        return probabilities @ upward

    def certain(
        self, node_probabilities: NDArray[Any], unknown_above: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Go down from the top to the most probable child, as long as it is certain enough.

        Parameters
        ----------
        node_probabilities
            Shape ``(n_cells, n_nodes)``, as :meth:`node_probabilities` returns.
        unknown_above
            Uncertainty, 1 minus the probability, above which a node is not entered.

        Returns
        -------
        tuple
            Position of each cell's last node in ``nodes``, -1 for cells that stop at the top, and its probability;
            where a cell stops at the top, that of the node it did not enter. Shape ``(n_cells,)`` each.

        Notes
        -----
        With ``unknown_above`` of at most 0.5 the result is the deepest node whose probability is at least
        ``1 - unknown_above``. An inner label that contains all leaves says nothing: it is the top.
        """
        check.number("unknown_above", unknown_above, least=0, most=1)
        _require_columns("node_probabilities", node_probabilities, len(self.nodes), "nodes")
        n_cells = len(node_probabilities)
        cells = np.arange(n_cells)
        position: dict[str | None, int] = {node: i for i, node in enumerate(self.nodes)} | {None: -1}
        top = self._top
        at = np.full(n_cells, position[top])
        reached = np.zeros(n_cells)
        goes_on = np.ones(n_cells, dtype=bool)
        first = 0 if top is None else len(self.path(top))
        for depth in range(first, self.n_levels):
            level = [node for node in self.nodes if len(self.path(node)) == depth + 1]
            columns = np.array([position[node] for node in level])
            above = np.array([position[self.parents[node]] for node in level])
            shares = np.where(above == at[:, None], node_probabilities[:, columns], -1.0)
            best = shares.argmax(axis=1)
            share = shares[cells, best]
            if depth == first:
                reached = share.astype(np.float64)
            goes_on &= (share > 0) & ~(1.0 - share > unknown_above)
            at = np.where(goes_on, columns[best], at)
            reached = np.where(goes_on, share, reached)
        return np.where(at == position[top], -1, at), np.clip(reached, 0.0, 1.0)

    @cached_property
    def _top(self) -> str | None:
        """The deepest inner label that contains all leaves, if any."""
        inner = [node for node in self.nodes if node not in self.leaves]
        whole = [node for node, covered in zip(inner, self.covers(inner), strict=True) if covered.all()]
        return whole[-1] if whole else None

    def to_plain(self) -> dict[str, str | None]:
        """Return ``parents`` as a dict, fit for JSON."""
        return dict(self.parents)

    def __str__(self) -> str:
        return "\n".join(f"{'  ' * (len(self.path(node)) - 1)}{for_line(node)}" for node in self.nodes)


def _require_columns(name: str, values: NDArray[Any], n_columns: int, of: str) -> None:
    if np.ndim(values) != 2 or np.shape(values)[1] != n_columns:
        message = f"{name} must have shape (cells, {n_columns} {of}); its shape is {np.shape(values)}"
        raise ValueError(message)

"""Parse hierarchies of labels from columns, mappings, Newick or OBO text."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from scarches_plus import _arguments as check
from scarches_plus import _keys, _limits
from scarches_plus._cells import column_not_found, name_of, names_of, without_label
from scarches_plus._label_tree import LabelTree

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    #: Every label with those that contain it.
    Containers = dict[str, dict[str, None]]

#: A name in quotes in Newick; a quote in it is doubled.
_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*\""""
#: A tag of a term in OBO, up to its comment or qualifiers.
_OBO_TAG = re.compile(r"^[ \t]*(id|name|is_a|is_obsolete)[ \t]*:([^!{\n]*)", re.MULTILINE)


def label_tree(
    source: AnnData | pd.DataFrame | Mapping[str, Any] | Iterable[tuple[str, str]] | str | Path,
    columns: Sequence[str] = (),
    *,
    keep: Iterable[str] | None = None,
    unlabeled_category: str = _keys.UNKNOWN,
    unlabelled: Collection[Any] | None = None,
) -> LabelTree:
    """Make a hierarchy of labels from label columns, a dict, or the text of a tree.

    Parameters
    ----------
    source
        One of

        - cells (AnnData, or a table like ``obs``) with nested label ``columns``;
        - a nested dict, ``{"lymphoid": {"T": ["CD4 T", "CD8 T"], "B": []}}``, or one from each label to its parent;
        - pairs ``(parent, child)``;
        - text: Newick with names of inner nodes, an ontology in OBO format (labels are the names of terms), JSON of a
          dict, or a pair ``parent, child`` in every line, separated by a tab or a comma, with or without these words in
          the first;
        - the :class:`~pathlib.Path` of a file with such text.
    columns
        Label columns from coarse to fine. A cell may lack any of them (missing value, or ``unlabeled_category``).
    keep
        Labels to keep, as for a part of an ontology; a label's parent is then the nearest that is kept. ``None`` keeps
        all.
    unlabeled_category
        What cells without a label have in a column.
    unlabelled
        Further words that are no label in a column, as they are spelt; ``()`` makes each a label. ``None``: "Unknown",
        "Mixed" and the other words in :doc:`/guide/labels`, in any case; the log names those that occur.

    Returns
    -------
    LabelTree
        A tree of any depth, or several side by side.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If a label has two parents neither of which contains the other, contains itself, or occurs twice; if ``keep``
        names unknown labels; if it nests too deep; or if text cannot be read, naming the file.
    TypeError
        If the source is of another kind.

    References
    ----------
    Xu et al. 2021 (scANVI), Suppl. Note 4: the taxonomy is known beforehand.

    Examples
    --------
    >>> print(label_tree({"lymphoid": ["T", "B"], "myeloid": ["monocyte"]}))
    lymphoid
      T
      B
    myeloid
      monocyte
    """
    columns = check.names("columns", columns)
    check.distinct(columns=columns)
    keep = None if keep is None else check.names("keep", keep, of=object)
    check.texts(unlabeled_category=unlabeled_category)
    unlabelled = None if unlabelled is None else check.names("unlabelled", unlabelled, of=object)
    if isinstance(source, Path):
        return _of_file(source, columns, keep)
    try:
        containers = _containers(source, columns, unlabeled_category, unlabelled)
    except RecursionError as error:
        message = "the hierarchy nests too deep"
        raise ValueError(message) from error
    if len(containers) > _limits.HIERARCHY_LABELS:
        message = f"the hierarchy has {len(containers)} labels, and {_limits.HIERARCHY_LABELS} are the most"
        raise ValueError(message)
    if keep is not None:
        containers = _kept(containers, list(dict.fromkeys(keep)))
    above = _closures(containers, containers)
    parents: dict[str, str | None] = {}
    for label, its in containers.items():
        if label in above[label]:
            message = f"label {label!r} contains itself, by way of {sorted(above[label] - {label})[:5] or 'nothing'}"
            raise ValueError(message)
        nearest = [one for one in its if not any(one in above[other] for other in its)]
        if len(nearest) > 1:
            message = f"label {label!r} has several parents, {nearest}; keep one of them (keep=...), or name it anew"
            raise ValueError(message)
        parents[label] = nearest[0] if nearest else None
    if not parents:
        message = "the hierarchy has no labels"
        raise ValueError(message)
    return LabelTree(parents)


def _of_file(path: Path, columns: Sequence[str], keep: Iterable[str] | None) -> LabelTree:
    """Return the hierarchy of a text file; errors name the file."""
    if path.stat().st_size > _limits.HIERARCHY_BYTES:
        message = f"{path} is larger than any hierarchy ({_limits.HIERARCHY_BYTES} bytes)"
        raise ValueError(message)
    try:
        return label_tree(path.read_text(encoding="utf-8"), columns, keep=keep)
    except ValueError as error:
        message = f"{path}: {error}"
        raise ValueError(message) from error


def _containers(source: Any, columns: Sequence[str], unlabeled: str, unlabelled: Collection[Any] | None) -> Containers:
    obs = getattr(source, "obs", source)
    if hasattr(obs, "columns"):
        return _collect(_pairs_of_columns(obs, columns, unlabeled, unlabelled))
    if columns:
        message = f"columns are of cells, and the source is none: {check.shown(source)}"
        raise TypeError(message)
    if isinstance(source, str):
        return _of_text(source)
    if isinstance(source, LabelTree):
        source = source.parents
    if isinstance(source, Mapping):
        return _of_mapping(source)
    if isinstance(source, Iterable):
        pairs = [tuple(pair) for pair in source]
        if all(len(pair) == 2 for pair in pairs):
            return _collect((str(parent), str(child)) for parent, child in pairs)
    message = (
        "the source must be cells with label columns, a dict, pairs (parent, child), text or a Path, "
        f"not {type(source).__name__}"
    )
    raise TypeError(message)


def _collect(pairs: Iterable[tuple[str | None, str]]) -> Containers:
    """Collect the parents of every label from pairs (parent, child)."""
    containers: Containers = {}
    for parent, child in pairs:
        if parent is not None:
            containers.setdefault(parent, {})
        containers.setdefault(child, {}).update({} if parent is None else {parent: None})
    return containers


def _pairs_of_columns(
    obs: pd.DataFrame, columns: Sequence[str], unlabeled: str, unlabelled: Collection[Any] | None
) -> Iterable[tuple[str | None, str]]:
    if missing := [column for column in columns if column not in obs]:
        raise KeyError(column_not_found(obs, missing, "obs"))
    if not columns:
        message = "name the label columns of the cells, from coarse to fine: columns=[...]"
        raise ValueError(message)
    of_columns = {column: _labels(obs[column], unlabeled, unlabelled) for column in columns}
    table = pd.DataFrame(of_columns, dtype=object).drop_duplicates()
    for row in sorted(table.itertuples(index=False), key=lambda row: [str(value or "") for value in row]):
        above: str | None = None
        for label in (value for value in row if value is not None):
            if label != above:  # a type without finer types may repeat its name
                yield above, label
            above = label


def _labels(column: pd.Series, unlabeled: str, unlabelled: Collection[Any] | None) -> NDArray[Any]:
    """Return a column as names, ``None`` for cells without a label."""
    names = names_of(column)
    names[without_label(names, unlabelled, always=[unlabeled], where=f"obs[{column.name!r}]")] = None
    return names


def _of_mapping(source: Mapping[str, Any]) -> Containers:
    if all(value is None or isinstance(value, str) for value in source.values()):
        return _collect(
            (None if parent is None else name_of(parent), name_of(child)) for child, parent in source.items()
        )
    return _collect(_once(list(_pairs_of_nested(source, None))))


def _pairs_of_nested(source: Any, parent: str | None) -> Iterable[tuple[str | None, str]]:
    source = [] if source is None else source
    if isinstance(source, str) or not isinstance(source, Iterable):
        message = f"the labels below {parent!r} must be a dict or a list, not {check.shown(source)}"
        raise ValueError(message)
    for label in source:
        yield parent, name_of(label)
        if isinstance(source, Mapping):
            yield from _pairs_of_nested(source[label], name_of(label))


def _once(pairs: list[tuple[str | None, str]]) -> list[tuple[str | None, str]]:
    """Return the pairs if no label occurs in two places."""
    if twice := sorted(label for label, n in Counter(child for _, child in pairs).items() if n > 1):
        message = f"labels {twice} occur more than once in the hierarchy; give each a name of its own"
        raise ValueError(message)
    return pairs


def _of_text(text: str) -> Containers:
    stripped = text.strip()
    if "[Term]" in stripped:
        return _of_obo(stripped)
    if stripped.startswith("{"):
        return _of_mapping(json.loads(stripped, object_pairs_hook=_each_once))
    if stripped.startswith("("):
        return _collect(_once(_pairs_of_newick(stripped)))
    lines = [line for line in stripped.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) > 2 * _limits.HIERARCHY_LABELS:
        message = f"the hierarchy has {len(lines)} lines, and {2 * _limits.HIERARCHY_LABELS} are the most"
        raise ValueError(message)
    pairs = [_fields(line) if len(line) < _limits.HIERARCHY_LINE_CHARACTERS else [line] for line in lines]
    for line, pair in zip(lines, pairs, strict=True):
        if len(pair) != 2 or not all(pair):
            message = (
                f"{line[:80]!r} is no pair 'parent, child', and the text is neither Newick nor OBO nor JSON; "
                "to read a file, pass pathlib.Path(...)"
            )
            raise ValueError(message)
    if pairs and sorted(part.lower() for part in pairs[0]) == ["child", "parent"]:  # names of the columns
        first, *pairs = pairs
        pairs = pairs if first[0].lower() == "parent" else [pair[::-1] for pair in pairs]
    return _collect((parent, child) for parent, child in pairs)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _once([(None, name) for name, _ in pairs])
    return dict(pairs)


def _fields(line: str) -> list[str]:
    delimiter = "\t" if "\t" in line else ","
    return [part.strip() for part in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]


def _pairs_of_newick(text: str) -> list[tuple[str | None, str]]:
    """Read Newick from its end, where the name of a node comes before its children; unnamed nodes are left out."""
    text = re.sub(rf"({_QUOTED})|\[[^][]*\]", r"\1", text).rstrip().removesuffix(";")  # without comments
    tokens = re.findall(rf"{_QUOTED}|[(),]|[^(),'\"]+", text)
    if "".join(tokens) != text:
        message = "the quotes of the Newick text do not match; names with quotes in them stand in quotes, as in 'it''s'"
        raise ValueError(message)
    pairs: list[tuple[str | None, str]] = []
    above: list[str | None] = [None]
    name: str | None = None  # of the node just read
    for token in reversed(tokens):
        if token == ")":
            above.append(name or above[-1])
        elif token == "(":
            above.pop()
        quote = token[0]
        label = token[1:-1].replace(quote * 2, quote) if quote in "'\"" else token.split(":")[0].strip()
        if token in "(),":
            name = None
        elif label and name:
            message = (
                f"the names {label!r} and {name!r} of the Newick text stand together; put names with quotes in them in "
                "quotes"
            )
            raise ValueError(message)
        elif label:
            name = label
            pairs.append((above[-1] if above else None, label))
        if not above:
            break
    if len(above) != 1:
        message = "the parentheses of the Newick text do not match"
        raise ValueError(message)
    return pairs[::-1]


def _of_obo(text: str) -> Containers:
    names: dict[str, str] = {}
    above: dict[str, list[str]] = {}
    for stanza in re.split(r"\n\s*\n|\n(?=\[)", text):
        kind, _, rest = stanza.strip().partition("\n")
        if kind.strip() != "[Term]":
            continue
        tags: dict[str, list[str]] = {}
        for tag, value in _OBO_TAG.findall(rest):
            tags.setdefault(tag, []).append(value.strip())
        if "id" not in tags or "true" in tags.get("is_obsolete", []):
            continue
        (identifier, *_) = tags["id"]
        names[identifier] = tags.get("name", [identifier])[0]
        above[identifier] = tags.get("is_a", [])
    if twice := sorted(name for name, n in Counter(names.values()).items() if n > 1):
        message = f"several terms of the ontology are called {twice}; give each a name of its own"
        raise ValueError(message)
    # parents outside of the file are no labels
    return {names[one]: dict.fromkeys(names[up] for up in ups if up in names) for one, ups in above.items()}


def _closures(containers: Containers, labels: Iterable[str]) -> dict[str, set[str]]:
    """Return all labels above each of some labels."""
    above: dict[str, set[str]] = {}
    steps = 0
    for label in labels:
        found = above[label] = set()
        waiting = list(containers[label])
        while waiting:
            one = waiting.pop()
            if one in found:
                continue
            found.add(one)
            if one in above:
                found |= above[one]
                steps += len(above[one])
            else:
                waiting += containers[one]
                steps += len(containers[one])
        steps += len(found)
        if steps > _limits.HIERARCHY_STEPS:
            message = f"the hierarchy nests too deep: more than {_limits.HIERARCHY_STEPS} steps from labels to the top"
            raise ValueError(message)
    return above


def _kept(containers: Containers, keep: list[str]) -> Containers:
    """Leave labels out; what they contained goes to those that contained them."""
    if unknown := sorted(set(keep) - set(containers)):
        message = f"keep names labels that the hierarchy lacks: {unknown}"
        raise ValueError(message)
    above = _closures(containers, keep)
    return {label: dict.fromkeys(one for one in keep if one in above[label]) for label in keep}

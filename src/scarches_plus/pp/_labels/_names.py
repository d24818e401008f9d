"""Hold the names that labels may be matched with: of a tree, a list, an ontology, or other studies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus._cells import name_of
from scarches_plus._label_tree import LabelTree

if TYPE_CHECKING:
    from collections.abc import Iterator

Scope = Literal["EXACT", "BROAD", "NARROW", "RELATED"]


@dataclass(frozen=True)
class Name:
    """A name of a cell type.

    Attributes
    ----------
    name
        What labels are renamed to.
    identifier
        Of the term in an ontology, else empty.
    synonyms
        Other names, and how near they are to this one.
    """

    name: str
    identifier: str = ""
    synonyms: tuple[tuple[str, Scope], ...] = field(default=(), repr=False)


def names_of_tree(tree: Any) -> list[Name]:
    """Return the names in a tree, a list of names, or an ontology in a file.

    Raises
    ------
    ValueError
        If there are none, or the file is no ontology.
    TypeError
        If it is something else.
    """
    if isinstance(tree, Path):
        found = list(_terms(check.path("tree", tree)))
    elif isinstance(tree, LabelTree):
        found = [Name(label) for label in tree.nodes]
    elif isinstance(tree, Iterable) and not isinstance(tree, str | bytes | Mapping):
        found = [Name(label) for label in dict.fromkeys(map(name_of, tree))]
    else:
        advice = f": pathlib.Path({tree!r})" if isinstance(tree, str) else ""
        message = (
            "tree must be a LabelTree (sp.pp.label_tree), a list of names, or the Path of an ontology in OBO format"
            f"{advice}, not {check.shown(tree)}"
        )
        raise TypeError(message)
    if not found:
        message = "tree holds no names"
        raise ValueError(message)
    if len(found) > _limits.HIERARCHY_LABELS:
        message = f"tree holds {len(found)} names, and {_limits.HIERARCHY_LABELS} are the most"
        raise ValueError(message)
    return found


def _terms(path: Path) -> Iterator[Name]:
    """Read the terms of an ontology in OBO format: of its own prefix (CL) where it brings terms of others."""
    if path.suffix.lower() == ".owl":
        message = f"{path} is OWL; take the same release in OBO format ({path.stem}.obo), which has the same terms"
        raise ValueError(message)
    if path.stat().st_size > _limits.HIERARCHY_BYTES:
        message = f"{path} is larger than any ontology of cells ({_limits.HIERARCHY_BYTES} bytes)"
        raise ValueError(message)
    try:
        fastobo = import_module("fastobo")
    except ModuleNotFoundError as error:
        message = "to read ontologies with their synonyms, pip install 'scarches-plus[ontology]'"
        raise ModuleNotFoundError(message, name="fastobo") from error
    try:
        document = fastobo.load(str(path))
    except (SyntaxError, ValueError) as error:
        message = f"{path} is no ontology in OBO format: {error}"
        raise ValueError(message) from error
    frames = [frame for frame in document if isinstance(frame, fastobo.term.TermFrame)]
    terms = [(str(frame.id), _term(frame)) for frame in frames]
    own = [str(clause.ontology).upper() for clause in document.header if type(clause).__name__ == "OntologyClause"]
    prefixes = tuple(f"{name}:" for name in own)
    of_own = [one for one in terms if one[0].startswith(prefixes)]
    yield from (term for _, term in (of_own or terms) if term is not None)


def _term(frame: Any) -> Name | None:
    """Return the name and synonyms of a term, ``None`` if it is obsolete."""
    name, synonyms = "", []
    for clause in frame:
        kind = type(clause).__name__
        if kind == "IsObsoleteClause" and clause.obsolete:
            return None
        if kind == "NameClause":
            name = str(clause.name)
        elif kind == "SynonymClause":
            synonyms.append((str(clause.synonym.desc), clause.synonym.scope))
    return Name(name or str(frame.id), str(frame.id), tuple(synonyms))

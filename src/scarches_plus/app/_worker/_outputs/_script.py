"""Write the Python script that repeats a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus._cells import counts_layer
from scarches_plus._text import for_line
from scarches_plus.app._worker._map import BASIS, DRAWN_CELLS, POSITIONS

if TYPE_CHECKING:
    from scarches_plus.app._worker._reference import Reference


def script_of(
    options: dict[str, Any],
    reference: Reference,
    summary: dict[str, Any],
    query: str,
) -> str:
    """Return a script that does what the job did, with the same seeds.

    Parameters
    ----------
    options
        What was asked for.
    reference
        The reference.
    summary
        What the job found out on its way: kind of the file, columns, and whether novel cells were looked for.
    query
        Path of the cells, or their name where they were sent.
    """
    batch_key, one_batch = summary["batch_key"], summary["one_batch"]
    steps = [
        "# Repeats a mapping that was made on the page of scarches_plus: python script.py",
        "import anndata",
        "import numpy as np",
        "import scvi",
        "import scarches_plus as sp",
        "",
        f"REFERENCE = {options['reference']!r}",
        *_read(summary, query),
        *([f"query.obs[{batch_key!r}] = {one_batch!r}"] if one_batch is not None else []),
        *_reference(reference),
        *_map(options, batch_key),
        *_novelty(options, reference, summary),
        *_labels(options, reference, summary),
        *_positions(options, reference, summary),
        "query.write_h5ad('repeated.h5ad')",
    ]
    return "\n".join(steps) + "\n"


def with_names(script: str, names: dict[str, str], predicted: str) -> str:
    """Return a script that names clusters of novel cells, too, before it writes the cells."""
    *steps, last = script.splitlines()
    named = _call("sp.tl.name_novel", "query", repr(names), repr(predicted))
    return "\n".join([*steps, named, last]) + "\n"


def _call(verb: str, *arguments: str, **options: Any) -> str:
    given = [f"{name}={value!r}" for name, value in options.items() if value is not None]
    return f"{verb}({', '.join([*arguments, *given])})"


def _read(summary: dict[str, Any], query: str) -> list[str]:
    """Return the lines that read the cells; what is no .h5ad was read by the page, and lies in its result."""
    if summary["kind"] == "h5ad":
        return [f"QUERY = {query!r}  # beside this script, or edit this line", "", "query = anndata.read_h5ad(QUERY)"]
    return [
        f"# The page read {for_line(query)} ({summary['kind']}): its cells are in the result that can be downloaded.",
        "QUERY = 'result.h5ad'",
        "",
        "query = anndata.read_h5ad(QUERY)",
        f"columns = {summary['columns_read']!r}",
        "query = anndata.AnnData(query.X, obs=query.obs[columns], var=query.var, layers=query.layers)",
    ]


def _map(options: dict[str, Any], batch_key: str) -> list[str]:
    where = {"layer": options["layer"], "batch_key": batch_key}
    if options["method"] == "zero-shot":
        return [_call("sp.tl.embed", "query", "model", **where)]
    problem = None if options["on_problem"] == "raise" else options["on_problem"]
    return [
        f"scvi.settings.seed = {options['seed']}",
        _call("sp.tl.map_query", "query", "model", **where, max_epochs=options["max_epochs"], on_problem=problem),
    ]


def _reference(reference: Reference) -> list[str]:
    parts = ["model = sp.load(REFERENCE)"]
    if reference.known.summary is not None:
        parts.append("summary = sp.hub.load_summary(REFERENCE)")
    return parts if reference.cells is None else [*parts, f"cells = {reference.opens_cells}"]


def _novelty(options: dict[str, Any], reference: Reference, summary: dict[str, Any]) -> list[str]:
    if not summary["looked_for_novel"]:
        return [f"# {for_line(summary['novelty'])}"]
    spec = reference.model.spec
    where = {"alpha": options["alpha"], "layer": counts_layer(options["layer"], spec.layer)}
    if reference.profiles:
        return [_call("sp.tl.detect_novel", "query", "summary", **where)]
    where |= {"batch_key": spec.batch_key, "reference_layer": reference.known.counts_layer}
    return [_call("sp.tl.detect_novel", "query", "cells", repr(summary["labels_key"]), **where)]


def _labels(options: dict[str, Any], reference: Reference, summary: dict[str, Any]) -> list[str]:
    key, known = summary["labels_key"], reference.known
    source = "model" if known.source_of(key) is known.model else "cells"
    both = ["classifier=summary", "**{one: summary.classifier.vote[one] for one in ('k', 'kernel')}"]
    return [
        _call(
            "sp.tl.transfer_labels", "query", source, repr(key), *(both if summary["consensus"] else []),
            novel_key="novel" if summary["looked_for_novel"] else None,
            unknown_above=options["unknown_above"], probabilities=True,
        )
    ]  # fmt: skip


def _positions(options: dict[str, Any], reference: Reference, summary: dict[str, Any]) -> list[str]:
    place = _call("sp.tl.place", "query", "picture", key_added=POSITIONS)
    cells, key = reference.cells, summary["labels_key"]
    kept = reference.known.summary is not None and reference.known.summary.map is not None
    if summary["map"] == "reference" and kept and (cells is None or BASIS not in cells.obsm):
        return ["picture = summary.map", place]
    if cells is not None:
        labelled = key if key in cells.obs else None
        return [_call("picture = sp.tl.reference_map", "cells", labels_key=labelled), place]
    draw = _call("picture = sp.tl.reference_map", "some", basis=BASIS, rng=options["seed"])
    if summary["n_cells"] <= DRAWN_CELLS:
        choose, place = "some = query.copy()", f"query.obsm[{POSITIONS!r}] = picture.points"
    else:
        seed = options["seed"]
        choose = f"some = query[np.sort(np.random.default_rng({seed}).permutation(query.n_obs)[:{DRAWN_CELLS}])].copy()"
    alone = f"some.obsm.pop({BASIS!r}, None)"
    return ["# the reference has no map: this one is of the query alone", choose, alone, draw, place]

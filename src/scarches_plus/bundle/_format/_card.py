"""Write the model card of a bundle as Markdown, from its manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scarches_plus._text import for_line, for_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_NAMES = 40
#: How an example opens a model by its name; `make cards` writes the cards of the package again.
_OPEN_BY_NAME = "sp.load({name})"


def card_text(manifest: Mapping[str, Any]) -> str:
    """Return a card as Markdown.

    Parameters
    ----------
    manifest
        Sections of a manifest as plain values; ``files`` is not needed.
    """
    card, cells, state = manifest["card"], manifest["cells"], manifest["state"]
    title = card["title"] or card["name"] or "Reference model"
    summary, lineage = manifest["summary"], state["lineage"]
    latent, profiles, classifier = summary["latent"], summary["profiles"], summary["classifier"]
    queries = [one for one in lineage if "new_labels" not in one]
    facts = {
        "Name": " ".join(filter(None, [card["name"], card["version"]])),
        "Model": manifest["model"]["class_name"] + (f", recipe {state['recipe']}" if state["recipe"] else ""),
        "Species": card["species"],
        "Tissue": card["tissue"],
        "Cells": f"{manifest['training']['n_cells']:,}",
        "Genes": f"{len(cells['var_names']):,}" + (f" ({card['gene_namespace']})" if card["gene_namespace"] else ""),
        "Proteins": f"{len(cells['proteins']):,}" if cells["proteins"] else "",
        "Batches": _names(cells["batches"]) if cells["batch_key"] else "",
        "Labels": _names(cells["labels"]),
        "Labels without cells at hand": "; ".join(
            f"{key}: {_names(one['labels'])}"
            + (f" (too few cells: {_names(one['left_out'])})" if one["left_out"] else "")
            for key, one in latent.items()
        ),
        "Labels novel cells are told from": _names(profiles["labels"]) if profiles else "",
        "Labels told by expression": _names(classifier["labels"]) if classifier else "",
        "Map": f"{summary['map']['basis']}, groups of 20 cells and more" if summary["map"] else "",
        "Queries mapped so far": str(len(queries)) if queries else "",
        "Labels named since": _names([label for one in lineage for label in one.get("new_labels", ())]),
        "Penalties": ", ".join(str(one.get("name")) for one in state["penalties"]),
        "License": card["license"],
        "DOI": card["doi"],
        "Data": card["data_url"],
        "Contacts": ", ".join(card["contacts"]),
        "First saved by": state.get("origin", ""),
        "Written by": ", ".join(f"{name} {number}" for name, number in manifest["versions"].items()),
        "Written": manifest["created"],
    }
    rows = "\n".join(f"| {name} | {for_markdown(value)} |" for name, value in facts.items() if value)
    parts = [
        f"# {for_markdown(title)}",
        _paragraphs(card["description"]),
        f"| | |\n|---|---|\n{rows}",
        f"## Use\n\n```python\n{_example(manifest)}\n```",
        _single_cells(manifest),
        f"## Evaluation\n\n{_table(card['evaluation'])}" if card["evaluation"] else "",
        f"## Citation\n\n{_paragraphs(card['citation'])}" if card["citation"] else "",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _example(manifest: Mapping[str, Any]) -> str:
    """Return code that runs where ``query`` is what its comment says."""
    card, cells, arguments = manifest["card"], manifest["cells"], manifest["model"]["arguments"]
    if card["name"] and card["version"]:
        name = _code(f"{card['name']}@{card['version']}")
        opened, folder = _OPEN_BY_NAME.format(name=name), f"sp.hub.pull({name})"
    else:
        folder = _code(card["name"] or "folder")
        opened = f"sp.hub.load_bundle({folder})"
    counts = f"layers[{_code(cells['layer'])}]" if cells["layer"] else "X"
    columns = [
        cells["batch_key"],
        *cells["categorical_covariates"],
        *cells["continuous_covariates"],
        cells["size_factor_key"],
    ]
    needed = ", ".join([f"raw counts in {counts}", *(f"obs[{_code(key)}]" for key in columns if key)])
    lines = [
        "import scarches_plus as sp",
        "",
        f"# query: {'MuData' if cells['modalities'] else 'AnnData'} with {needed}",
        f"model = {opened}",
    ]
    if arguments.get("encode_covariates", manifest["model"]["class_name"] == "TOTALVI"):
        lines.append("model = sp.tl.map_query(query, model)")
    else:
        lines.append("sp.tl.embed(query, model)  # the encoder sees no batch, so there is nothing to train")
    held = manifest["summary"]
    key, classifier = next(iter(held["latent"]), None), held["classifier"]
    if held["profiles"] or classifier or held["map"]:
        lines.append(f"summary = sp.hub.load_summary({folder})")
    if key is not None:
        both = classifier and classifier["vote"] and classifier["labels_key"] == key
        lines.append(f"sp.tl.transfer_labels(query, model, {_code(key)}{', classifier=summary' if both else ''})")
    elif classifier:
        lines.append("sp.tl.annotate(query, summary)")
    if held["profiles"]:
        lines.append("sp.tl.detect_novel(query, summary)")
    if held["map"]:
        lines += ["sp.tl.place(query, summary)", "sp.pl.reference_map(summary, query)"]
    return "\n".join(lines)


def _single_cells(manifest: Mapping[str, Any]) -> str:
    held = []
    if manifest["anchors"]:
        held.append(f"latent posteriors of {manifest['anchors']['n_cells']:,} cells (anchors)")
    if manifest["reference"]:
        one = manifest["reference"]
        held.append(f"{', '.join(one['holds'])} of {one['n_cells']:,} cells")
    means = "means and variances" if manifest["summary"]["profiles"] else "means"
    nothing = f"weights, and {means} over 20 cells and more"
    what = "; ".join(held) if held else f"none: {nothing}"
    return f"## Data of single cells\n\nThis bundle holds {for_markdown(what)}."


def _table(values: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| {for_markdown(name)} | {for_markdown(value)} |" for name, value in values.items())
    return f"| | |\n|---|---|\n{rows}"


def _names(names: Any) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _paragraphs(text: str) -> str:
    """Return text of several paragraphs as Markdown."""
    return "\n\n".join(for_markdown(one) for one in text.split("\n\n") if one.strip())


def _code(text: str) -> str:
    """Return text as a literal of Python, on one line."""
    return json.dumps(for_line(text), ensure_ascii=False)

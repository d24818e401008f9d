"""Answer which states of the reference the cells of a finished job cover."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scarches_plus import _keys as keys
from scarches_plus import tl
from scarches_plus._files import write_file
from scarches_plus._json import finite
from scarches_plus._neighbors import nearest
from scarches_plus.app._jobs._view import view_of

from ._outputs._results import RESULT, cells_without_counts
from ._reference import open_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from scarches_plus._reference_map import ReferenceMap

#: Points of a map whose presence is measured; others take that of the nearest of these.
_MEASURED = 20_000


def presence(out: str, maps: str, tell: Callable[..., None]) -> dict[str, Any]:
    """Write the presence of every point of the reference's map for the page, and return that of its labels.

    Parameters
    ----------
    out
        Folder of the job.
    maps
        Folder for maps of references.
    tell
        Is told that this takes a moment.

    Raises
    ------
    ValueError
        If the reference has no map, or every cell is novel.
    """
    folder = Path(out)
    summary = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    reference = open_reference(summary["reference"])
    picture = reference.picture(summary["labels_key"], Path(maps)) if summary["map"] == "reference" else None
    if picture is None:
        message = "the reference has no map, so which of its states the cells cover is not measured"
        raise ValueError(message)
    name = f"presence-{hashlib.sha256(reference.name.encode()).hexdigest()[:16]}"
    told = folder / f"{name}.json"
    if not told.is_file():
        tell("measuring presence", 0.5, None)
        adata = cells_without_counts(folder)
        measured, of_measured = _thinned(picture.map)
        of_label, n_cells = np.asarray(picture.map.of_label), np.asarray(picture.map.n_cells)
        table = tl.presence(measured, adata, novel_key="novel" if summary["novel"] else None)
        scores = adata.uns[keys.UNS][keys.PRESENCE][keys.PRESENCE]["scores"][of_measured]
        write_file(folder / f"{name}.view", view_of({"values": scores.astype(np.float32)}, kind="number"))
        n_reference = np.zeros(len(picture.labels), dtype=np.int64)
        np.add.at(n_reference, of_label[of_label >= 0], n_cells[of_label >= 0])
        table["n_reference"] = pd.Series(dict(zip(picture.labels, n_reference, strict=True)))
        table["reference_share"] = table["n_reference"] / n_reference.sum()
        labels = [{"label": str(label), **row} for label, row in table.to_dict("index").items()]
        write_file(told, json.dumps(finite({"file": f"{name}.view", "labels": labels})).encode())
    found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return found


def _thinned(whole: ReferenceMap) -> tuple[ReferenceMap, np.ndarray]:
    """Return a map of some of the points, and which of these each point of the whole takes its presence from."""
    n = len(whole.points)
    if n <= _MEASURED:
        return whole, np.arange(n)
    _, one_of_each = np.unique(whole.of_label, return_index=True)
    drawn = np.random.default_rng(0).choice(n, _MEASURED, replace=False)
    some = np.union1d(drawn, one_of_each)
    parts = {name: getattr(whole, name)[some] for name in ("points", "latent", "of_label", "n_cells")}
    thin = replace(whole, **parts)
    return thin, nearest(whole.latent, thin.latent, 1).indices[:, 0]

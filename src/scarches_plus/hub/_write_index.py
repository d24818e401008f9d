"""Make an index of bundles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._folder import CHECKSUMS, read_file, sha256_of
from ._index import INDEX, IndexEntry
from ._json import write_json
from ._manifest import MANIFEST, SCHEMA_VERSION
from ._verify_bundle import verify_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def write_index(folder: str | Path, *, mirrors: Mapping[str, Sequence[str]] | None = None) -> Path:
    """Write an index of all bundles in a folder, for a lab's shared drive or web server.

    Put the folder where others can read it, and give them its path or the address of ``index.json``:
    ``sp.hub.load("name@version", index=...)``.

    Parameters
    ----------
    folder
        Folder whose folders are bundles. Their cards need a name and a version. Every one is verified.
    mirrors
        Name of a model to addresses at which its files lie, ``{file}`` standing for a file's name; default: in the folder, beside
        the index.

    Returns
    -------
    pathlib.Path
        The file ``index.json``.

    Raises
    ------
    BundleError
        If one of the bundles is damaged.
    ValueError
        If a bundle has no name or version, or two have the same, or ``mirrors`` names no model.
    """
    root = Path(folder).expanduser().absolute()
    entries: dict[tuple[str, str], IndexEntry] = {}
    for bundle in sorted(one.parent for one in root.glob(f"*/{MANIFEST}") if not one.parent.name.startswith(".")):
        entry = _entry(bundle, (mirrors or {}).get)
        if (entry.name, entry.version) in entries:
            message = f"two bundles are {entry.name}@{entry.version}; the second is {bundle}"
            raise ValueError(message)
        entries[entry.name, entry.version] = entry
    unknown = sorted(set(mirrors or {}) - {name for name, _ in entries})
    if unknown:
        message = f"mirrors names {unknown}, which are no models in {root}"
        raise ValueError(message)
    models = [one.model_dump(exclude_defaults=True) for one in entries.values()]
    path = root / INDEX
    temporary = path.with_suffix(".part")
    temporary.write_bytes(write_json({"schema_version": SCHEMA_VERSION, "models": models}))
    temporary.replace(path)
    return path


def _entry(bundle: Path, mirrors_of: Any) -> IndexEntry:
    manifest = verify_bundle(bundle)
    card = manifest.card
    if not card.name or not card.version:
        message = (
            f"the card of {bundle} needs a name and a version: save_bundle(..., card={{'name': ..., 'version': ...}})"
        )
        raise ValueError(message)
    own = {name: read_file(bundle, name) for name in (MANIFEST, CHECKSUMS)}
    files = {name: {"size": len(contents), "sha256": sha256_of(contents)} for name, contents in own.items()}
    return IndexEntry(
        name=card.name,
        version=card.version,
        title=card.title,
        species=card.species,
        tissue=card.tissue,
        recipe=manifest.state.recipe,
        model=manifest.model.class_name,
        cells=manifest.training.n_cells,
        genes=len(manifest.cells.var_names),
        labels=manifest.cells.labels or sorted({label for one in manifest.summaries.values() for label in one.labels}),
        license=card.license,
        doi=card.doi,
        mirrors=list(mirrors_of(card.name) or [bundle.name]),
        files=files | {name: one.model_dump() for name, one in manifest.files.items()},  # type: ignore[arg-type]
    )

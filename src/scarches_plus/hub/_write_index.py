"""Write an index of bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus._files import check_output_file, write_file
from scarches_plus._json import write_json
from scarches_plus.bundle import MANIFEST, all_files, verify_bundle

from ._indexes._index import INDEX, IndexEntry, check_mirror, parse_index

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ._registries._parcel import Upload


def write_index(
    folder: str | Path, *, mirrors: Mapping[str, Sequence[str]] | None = None, uploads: Sequence[Upload] = ()
) -> Path:
    """Write an index of all bundles in a folder, for a lab's shared drive or web server.

    Put the folder where others can read it, and give them its path or the address of ``index.json``:
    ``sp.hub.load("name@version", index=...)``.

    Parameters
    ----------
    folder
        Folder whose folders are bundles. Their cards need a name and a version. Every one is verified.
    mirrors
        Name of a model to addresses at which its files lie, ``{file}`` standing for a file's name; default: in the
        folder, beside the index.
    uploads
        What :func:`upload` or :func:`list_uploads` returned: bundles among them are fetched from there (from
        ``mirrors`` first), and found by their DOIs. Those of other bundles are left out.

    Returns
    -------
    pathlib.Path
        The file ``index.json``.

    Raises
    ------
    BundleError
        If one of the bundles is damaged.
    ValueError
        If there are no bundles, one has no name or version, or two have the same, or ``mirrors`` names no model, or one
        of the uploads is a draft.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    root = check.path("folder", folder).absolute()
    mirrors = {
        name: check.names(f"mirrors[{name!r}]", addresses)
        for name, addresses in check.mapping("mirrors", mirrors or {}).items()
    }
    for one in check.names("uploads", uploads, of=object):
        if not hasattr(one, "manifest"):
            message = f"uploads must be what sp.hub.upload returned, not {check.shown(one)}"
            raise TypeError(message)
    path = root / INDEX
    if root.is_dir():
        check_output_file(path)
    at = {one.manifest: one for one in uploads}
    entries: dict[tuple[str, str], IndexEntry] = {}
    for bundle in sorted(one.parent for one in root.glob(f"*/{MANIFEST}") if not one.parent.name.startswith(".")):
        entry = _entry(bundle, mirrors.get, at)
        if (entry.name, entry.version) in entries:
            message = f"two bundles are {entry.name}@{entry.version}; the second is {bundle}"
            raise ValueError(message)
        entries[entry.name, entry.version] = entry
    if not entries:
        message = f"no folder in {root} is a bundle; pass the folder that holds the folders of the bundles"
        raise ValueError(message)
    unknown = sorted(set(mirrors) - {name for name, _ in entries})
    if unknown:
        message = f"mirrors names {unknown}, which are no models in {root}"
        raise ValueError(message)
    models = [one.model_dump(exclude_defaults=True) for one in entries.values()]
    text = write_json({"schema_version": 1, "models": models})
    parse_index(text, str(path))  # what nobody could read is not written
    write_file(path, text)
    return path


def _entry(bundle: Path, mirrors_of: Any, uploads: Mapping[str, Upload]) -> IndexEntry:
    manifest = verify_bundle(bundle)
    card = manifest.card
    if not card.name or not card.version:
        message = (
            f"the card of {bundle} needs a name and a version: save_bundle(..., card={{'name': ..., 'version': ...}})"
        )
        raise ValueError(message)
    files = all_files(bundle, manifest)
    at = uploads.get(files[MANIFEST].sha256)
    if at is not None and at.state != "published":
        message = f"{at.url} is a draft, which others cannot fetch; publish it first"
        raise ValueError(message)
    mirrors = [*map(check_mirror, mirrors_of(card.name) or ()), *([at.files] if at else ())]
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
        labels=manifest.cells.labels
        or sorted({label for one in manifest.summary.latent.values() for label in one.labels}),
        license=card.license,
        doi=at.doi if at and at.doi else card.doi,
        concept_doi=at.concept_doi if at else "",
        mirrors=mirrors or [bundle.name],
        files={name: one.model_dump() for name, one in files.items()},  # type: ignore[misc]
    )

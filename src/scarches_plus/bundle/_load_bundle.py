"""Load the model of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus._reference import ReferenceSpec

from ._format._folder import read_listed, read_manifest
from ._format._state_tensors import unpack_anchors, unpack_importance, unpack_summaries
from ._format._tensors import unpack
from ._layouts._locate import read_bundle
from ._manifest import ANCHORS, IMPORTANCE, MANIFEST, PROFILES, SUMMARIES, WEIGHTS, BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from scarches_plus.model import SCANVI, SCVI, TOTALVI

    from ._manifest import Manifest
    from ._plain._portable import PortableModel


def load_bundle(path: str | Path) -> SCVI | SCANVI | TOTALVI:
    """Open a model that :func:`save_bundle` wrote, here or elsewhere.

    Nothing in the folder is executed. Sizes and hashes of files, and names, types and shapes of tensors, are checked
    before anything is used, and before memory is taken for the network. Neither the reference's cells nor the versions
    of the machine that wrote the bundle are needed.

    Parameters
    ----------
    path
        Folder or archive with the bundle.

    Returns
    -------
    The model, without cells, in evaluation mode. Queries map onto it as onto the model that was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    BundleError
        If anything in it is damaged, missing or not what the manifest says; the message names the file.
    """
    return read_bundle(check.path("path", path), lambda folder: open_model(folder, read_manifest(folder)[0]))


def open_model(folder: Path, manifest: Manifest) -> SCVI | SCANVI | TOTALVI:
    """Return the model of a bundle whose manifest has been read."""
    from ._plain._portable import put_together

    for file, section in (
        (IMPORTANCE, manifest.importance),
        (ANCHORS, manifest.anchors),
        (SUMMARIES, manifest.summaries),
        (PROFILES, manifest.profiles),
    ):
        if bool(section) != (file in manifest.files):
            message = f"{folder / MANIFEST} lists {file} without describing it, or the other way round"
            raise BundleError(message)
    weights = unpack(read_listed(folder, manifest, WEIGHTS), str(folder / WEIGHTS))
    try:
        model = put_together(_parts(manifest, weights))
    except Exception as error:  # a manifest that means no harm does not fail
        what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        message = f"{folder / MANIFEST} and {WEIGHTS} do not make a model: {what}"
        raise BundleError(message) from error
    if manifest.importance is not None:
        contents = read_listed(folder, manifest, IMPORTANCE)
        model.remember(importance=unpack_importance(contents, manifest.importance, weights, str(folder / IMPORTANCE)))
    if manifest.anchors is not None:
        contents = read_listed(folder, manifest, ANCHORS)
        model.remember(anchors=unpack_anchors(contents, manifest.anchors, model, str(folder / ANCHORS)))
    if manifest.summaries:
        contents = read_listed(folder, manifest, SUMMARIES)
        model.remember(summaries=unpack_summaries(contents, manifest.summaries, model, str(folder / SUMMARIES)))
    return model


def _parts(manifest: Manifest, weights: dict[str, Tensor]) -> PortableModel:
    from scarches_plus.model._state import ModelState

    from ._plain._portable import PortableModel

    cells = manifest.cells.model_dump()
    unmeasured_proteins = cells.pop("unmeasured_proteins")
    state = manifest.state.model_dump()
    spec = ReferenceSpec(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in cells.items()}
        | {"categorical_covariates": {key: tuple(values) for key, values in cells["categorical_covariates"].items()}}
    )
    return PortableModel(
        model_class=manifest.model.class_name,
        arguments=manifest.model.arguments,
        spec=spec,
        state=ModelState.from_plain(state),
        weights=weights,
        n_cells=manifest.training.n_cells,
        history=manifest.training.history,
        unmeasured_proteins=unmeasured_proteins,
    )

"""Build the model that the manifest and the tensors of a bundle describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._reference import ReferenceSpec
from scarches_plus.bundle._manifest import (
    ANCHORS,
    IMPORTANCE,
    MANIFEST,
    WEIGHTS,
    BundleError,
)
from scarches_plus.bundle._serialise._portable import PortableModel, put_together
from scarches_plus.bundle._summary._read_summary import read_fields, require_summary_files
from scarches_plus.model import ModelState

from ._folder import read_listed
from ._state_tensors import unpack_anchors, unpack_importance, unpack_summaries
from ._tensors import unpack

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from scarches_plus.bundle._manifest import Manifest
    from scarches_plus.model import SCANVI, SCVI, TOTALVI


def open_model(folder: Path, manifest: Manifest) -> SCVI | SCANVI | TOTALVI:
    """Return the model of a bundle whose manifest has been read."""
    for file, section in (
        (IMPORTANCE, manifest.importance),
        (ANCHORS, manifest.anchors),
    ):
        if bool(section) != (file in manifest.files):
            message = f"{folder / MANIFEST} lists {file} without describing it, or the other way round"
            raise BundleError(message)
    require_summary_files(folder, manifest)
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
    if latent := manifest.summary.latent:
        tensors, name = read_fields(folder, manifest, "latent")["latent"]
        model.remember(summaries=unpack_summaries(tensors, latent, model, name))
    return model


def _parts(manifest: Manifest, weights: dict[str, Tensor]) -> PortableModel:

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

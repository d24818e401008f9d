"""Export a model to a folder that plain scvi-tools opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus import _arguments as check
from scarches_plus._files import check_output_folder, write_folder

from ._finding._find import MODEL_FILE
from ._finding._open import model_of

if TYPE_CHECKING:
    from pathlib import Path

    from scarches_plus.model import SCANVI, SCVI, TOTALVI


def export_model(model: SCVI | SCANVI | TOTALVI | str | Path, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a folder that plain scvi-tools opens, 1.4 and 1.5 alike: ``scvi.model.SCVI.load(path, adata)``.

    Data of single cells (labels, training indices, anchors) stay behind, and so does the training history, which
    scvi-tools 1.4 could not read from 1.5. The file is a pickle, as scvi-tools wants it: whoever opens it has to trust
    you. ``labels_in_elbo=True`` of scANVI, which concerns training alone, is left out: scvi-tools trains on with its
    own ELBO. Share :func:`save_bundle`'s folders with those who use this package.

    Parameters
    ----------
    model
        Trained model, with or without its cells; or the path of one.
    path
        Folder to write.
    overwrite
        Replace a folder that :func:`export_model` wrote. A folder with anything else in it, or with a model that
        scvi-tools or ``model.save`` wrote, is left alone.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder exists and ``overwrite`` is not set, or it is something else.
    OSError
        If it cannot be written, which is looked at first.
    ValueError
        If scvi-tools has no such network (``batch_free_decoder_layer``, ``layer_widths``, ``normalize_encoder_input``,
        ``hierarchy``, ``n_unobserved``, squared errors).
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    from ._layouts._export import no_export, to_scvi_file

    check.flags(overwrite=overwrite)
    folder = check_output_folder(check.path("path", path).absolute(), overwrite=overwrite, foreign=no_export)
    write_folder(folder, {MODEL_FILE: to_scvi_file(model_of(model))}, overwrite=overwrite, foreign=no_export)
    return folder

"""Read models of scvi-tools 0.7 to 0.14 and convert their set-up to today's registry."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from scvi.data._compat import registry_from_setup_dict

from scarches_plus._pickles import FETCH, FORMER_FILES, Table, UnsafeFileError, read_former_folder, read_pickle_file
from scarches_plus.bundle._finding._foreign import require_of_scvi_tools

from ._saved_model import SavedModel

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: The folder does not say what class a model is of: by which weights it is known.
_CLASSES = {
    "TOTALVI": "background_pro_alpha",
    "SCANVI": "encoder_z2_z1.",
    "MULTIVI": "z_encoder_accessibility.",
    "PEAKVI": "region_factors",
    "SCVI": "decoder.px_scale_decoder.",
}
_SETUP = "scvi_setup_dict_"


def read_former(folder: Path, prefix: str) -> SavedModel:
    """Read a model with the registry that scvi-tools makes of its set-up today.

    Raises
    ------
    UnsafeFileError
        If a file is damaged or something else.
    OSError
        If one cannot be read.
    """
    path = folder / f"{prefix}{FORMER_FILES[0]}"
    require_of_scvi_tools(path, read_pickle_file(path).parts())
    former = read_former_folder(folder, prefix)
    name = _class_of(former.weights)
    attributes = {key: value for key, value in former.attributes.items() if key != _SETUP and key.endswith("_")}
    attributes["history_"] = _tables(attributes.get("history_"))
    setup = _as_of_today(former.attributes[_SETUP])
    unlabeled = former.attributes.get("unlabeled_category_") if name == "SCANVI" else None
    try:
        registry = registry_from_setup_dict(SimpleNamespace(__name__=name), setup, unlabeled)
        registry["field_registries"]["X"]["summary_stats"]["n_cells"] = setup["summary_stats"]["n_cells"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        message = (
            f"{path} holds no model of scvi-tools: what its cells were registered with is incomplete "
            f"({type(error).__name__}: {error})"
        )
        raise UnsafeFileError(message) from error
    return SavedModel(
        path,
        former.weights,
        np.array(former.var_names, dtype=object),
        attributes | {"registry_": registry},
        {},
        beside=f"{prefix}{FORMER_FILES[1]}",
        advice=FETCH,
    )


def _tables(history: Any) -> dict[str, Any]:
    """Return the series of a training that have the epochs with them; before 0.9 they were bare lists."""
    series = history if isinstance(history, dict) else {}
    return {name: values for name, values in series.items() if isinstance(values, Table)}


def _class_of(weights: Iterable[str]) -> str:
    names = tuple(weights)
    for name, part in _CLASSES.items():
        if any(one.startswith(part) for one in names):
            return name
    return "unknown"


def _as_of_today(setup: Any) -> Any:
    """Return a set-up as the last release before scvi-tools 0.15 wrote it.

    It has arrays, and no covariates that no network saw.
    """
    if not isinstance(setup, dict):
        return setup
    whole = dict(setup)
    if "extra_categorical_mappings" in setup:  # before 0.9 covariates were registered, and then not used
        whole["data_registry"] = {
            name: place for name, place in setup["data_registry"].items() if name not in {"cat_covs", "cont_covs"}
        }
    columns = ("extra_continuous_keys", "protein_names")
    return whole | {key: np.asarray(setup[key], dtype=object) for key in columns if key in setup}

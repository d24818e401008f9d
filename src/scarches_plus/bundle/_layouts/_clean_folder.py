"""Write a clean ``model.pt`` of tensors, arrays and plain values for scvi-tools to load."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from scarches_plus._pickles import Table
from scarches_plus.bundle._finding._find import MODEL_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from ._saved_model import SavedModel


def write_clean_folder(saved: SavedModel, folder: Path) -> None:
    """Write the ``model.pt`` of a model."""
    content = {
        "model_state_dict": OrderedDict(saved.weights),
        "var_names": saved.var_names,
        "attr_dict": {name: with_tables(value) for name, value in saved.attributes.items()},
    }
    torch.save(content, folder / MODEL_FILE)


def with_tables(value: Any, name: str = "0") -> Any:
    """Return a value with tables of pandas where the file had them, such as the history of a training.

    Parameters
    ----------
    value
        The value.
    name
        Its key, which a history names its only column by.
    """
    if isinstance(value, Table):
        columns = [name] if value.columns is None and value.values.shape[1] == 1 else value.columns
        return pd.DataFrame(value.values, index=pd.Index(value.index, name=value.index_name), columns=columns)
    if isinstance(value, dict):
        return {key: with_tables(one, str(key)) for key, one in value.items()}
    if isinstance(value, list):
        return [with_tables(one, name) for one in value]
    return tuple(with_tables(one, name) for one in value) if isinstance(value, tuple) else value

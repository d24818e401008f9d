"""Copy a model: weights and memory of its own, the same cells."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import TypeVar
from uuid import uuid4

from scvi.model.base import BaseModelClass

from ._query_model import release_cells_with

AnyModel = TypeVar("AnyModel", bound=BaseModelClass)


def copy_model(model: AnyModel) -> AnyModel:
    """Return a copy of a model that can be trained and remember things without changing the model.

    Parameters
    ----------
    model
        Model of this package. Its cells, if it has any, are shared.
    """
    copied = copy(model)
    copied.id = str(uuid4())  # scvi-tools finds the cells of a model by it
    copied.module = deepcopy(model.module)
    copied.history_ = dict(model.history_ or {})
    if model.adata is not None:
        copied._register_manager_for_instance(model.adata_manager)
        release_cells_with(copied)
    return copied

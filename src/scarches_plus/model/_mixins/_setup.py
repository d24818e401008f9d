"""Register cells with a model (``setup_anndata``) after checking its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scarches_plus import _arguments as check
from scarches_plus._logging import libraries_quiet
from scarches_plus._options import by_name

if TYPE_CHECKING:
    from anndata import AnnData

_NAMES = ("batch_key", "labels_key", "layer", "size_factor_key", "rna_layer", "protein_layer")
_COVARIATES = ("categorical_covariate_keys", "continuous_covariate_keys")


class SetupMixin:
    """``setup_anndata`` of scvi-tools that checks its arguments."""

    @classmethod
    @libraries_quiet()
    def setup_anndata(cls, adata: AnnData, *args: Any, **kwargs: Any) -> None:
        """Register cells, as scvi-tools does.

        Parameters
        ----------
        adata
            Cells with raw counts.
        *args, **kwargs
            As in scvi-tools.

        Raises
        ------
        TypeError
            If ``adata`` is no AnnData, or covariates are a text and not a list.
        ValueError
            If two arguments name the same column.
        """
        check.cells("adata", adata)
        setup = super().setup_anndata  # type: ignore[misc]
        setup(**checked_setup(by_name(setup, (adata, *args), kwargs)))


def checked_setup(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of a registration, lists of columns as lists.

    Raises
    ------
    TypeError
        If covariates are a text and not a list.
    ValueError
        If two arguments name the same column.
    """
    if kwargs.get("source_registry") is not None:  # as a model was set up
        return kwargs
    lists = {name: list(check.names(name, kwargs[name])) for name in _COVARIATES if kwargs.get(name) is not None}
    check.texts_or_none(**{name: kwargs.get(name) for name in _NAMES})
    if "unlabeled_category" in kwargs:
        check.texts(labels_key=kwargs.get("labels_key"), unlabeled_category=kwargs["unlabeled_category"])
    if "modalities" in kwargs:
        check.mapping("modalities", kwargs["modalities"])
    check.distinct(**{name: kwargs.get(name) for name in ("batch_key", "labels_key")}, **lists)
    return {**kwargs, **lists}

"""Hold a saved scvi-tools model of any release as tensors and plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from scarches_plus._pickles import TRUST, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch

Result = TypeVar("Result")


@dataclass(frozen=True)
class SavedModel:
    """A saved model as tensors and plain values.

    Attributes
    ----------
    path
        The file.
    weights
        Name to tensor.
    var_names
        Names of genes; by modality for a model of MuData.
    attributes
        Name to value of what scvi-tools saves of a model.
    refused
        Name to reason of attributes that are no plain values.
    beside
        Name of the file that holds the weights, if it is another.
    advice
        What to do about a file that is refused.
    """

    path: Path
    weights: Mapping[str, torch.Tensor]
    var_names: Any
    attributes: Mapping[str, Any]
    refused: Mapping[str, UnsafeFileError]
    beside: str = ""
    advice: str = TRUST

    @property
    def files(self) -> str:
        """Name of the model in messages: its file, or its files."""
        return f"{self.path} with {self.beside}" if self.beside else str(self.path)

    def attribute(self, name: str) -> Any:
        """Return an attribute that a model has to have.

        Raises
        ------
        UnsafeFileError
            If it is missing, or is no plain value.
        """
        if name in self.refused:
            raise self.refused[name]
        if name not in self.attributes:
            message = f"{self.path} holds no model of scvi-tools: it lacks {name}"
            raise UnsafeFileError(message)
        return self.attributes[name]

    @property
    def model_class(self) -> str:
        """Name of the model's class.

        Raises
        ------
        UnsafeFileError
            If it has none.
        """
        registry = self.attribute("registry_")
        name = registry.get("model_name") if isinstance(registry, dict) else None
        if not isinstance(name, str):
            message = f"{self.path} holds no model of scvi-tools: its registry names no class"
            raise UnsafeFileError(message)
        return name


def with_path(saved: SavedModel, make: Callable[[], Result], what: str = "holds no model of scvi-tools") -> Result:
    """Return what is made of a file, with errors that name it."""
    try:
        return make()
    except Exception as error:  # what a model file may say wrong has no end
        if isinstance(error, UnsafeFileError):
            raise
        if isinstance(error, TypeError) and "not supported" in str(error):
            message = f"{saved.path}: {error}"
            raise TypeError(message) from error
        why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        message = f"{saved.files} {what}: {why}; {saved.advice}"
        raise ValueError(message) from error

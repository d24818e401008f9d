"""Map single-cell queries onto reference models of scvi-tools.

Namespaces load when first used, so ``import scarches_plus as sp`` imports neither torch nor scvi-tools.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import app, datasets, hub, metrics, model, module, pl, pp, tl, train
    from ._load import load
    from ._settings import settings

__all__ = ["app", "datasets", "hub", "load", "metrics", "model", "module", "pl", "pp", "settings", "tl", "train"]

#: What is no namespace, but a function or an object of a private module of its name.
_OBJECTS = ("load", "settings")

__version__ = version("scarches-plus")


def __getattr__(name: str) -> Any:
    if name in _OBJECTS:
        return getattr(import_module(f"{__name__}._{name}"), name)
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

"""Refuse models of scvi-tools whose class this package does not support, by name."""

from __future__ import annotations

from typing import Any

#: Classes of scvi-tools that this package has, too.
SUPPORTED = ("SCVI", "SCANVI", "TOTALVI")


def unsupported(name: str) -> str:
    """Say that a class of models is not supported, and what to do instead."""
    return (
        f"models of class {name} are not supported, only {', '.join(SUPPORTED)}. Use it with scvi-tools, and put the "
        "embeddings of reference and query into the same slot of obsm: sp.tl.transfer_labels, sp.tl.joint_embedding "
        "and sp.metrics take them by use_rep="
    )


def supported_model(value: Any) -> None:
    """Refuse a model of scvi-tools whose class is not supported; what is no model passes."""
    bases = type(value).__mro__
    of_scvi = any(one.__name__ == "BaseModelClass" and one.__module__.startswith("scvi.") for one in bases)
    own = any(one.__module__.startswith("scarches_plus.") for one in bases)
    if of_scvi and not own and type(value).__name__ not in SUPPORTED:
        raise TypeError(unsupported(type(value).__name__))

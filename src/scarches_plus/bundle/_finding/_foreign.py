"""Explain why a path holds no model that this package opens, and suggest a fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._pickles import FORMER_FILES, UnsafeFileError

from ._find import MODEL_FILE

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_MOST_SHOWN = 5
#: Models of scArches' own, by attributes that they alone save.
_SCARCHES = {
    "scPoli": "cell_type_keys_",
    "expiMap": "mask_",
    "trVAE": "conditions_",
    "scGen": "x_dim_",
}
_LIGHTNING = "pytorch-lightning_version"
_CHECKPOINT = (
    "holds a checkpoint of a training by lightning, as BA-scVI's released code writes them, and no saved model: load "
    "it with the code that wrote it, and save the model with model.save(folder)"
)


def what_else(path: Path, prefix: str | None) -> str:
    """Return why there is no model at a path, and what is there instead."""
    name = f"{prefix or ''}{MODEL_FILE}"
    if not path.is_dir():
        return (
            f"{path} is neither a folder nor a regular file: give the folder that model.save wrote, or its {MODEL_FILE}"
        )
    lacking = f"{path} holds no saved model ({name})"
    if (path / name).exists() and not (path / name).is_file():
        return f"{lacking}, since {name} is no regular file"
    others = sorted(file.name.removesuffix(MODEL_FILE) for file in path.glob(f"*{MODEL_FILE}"))
    if others:
        return f"{lacking}, but there is one with prefix={', '.join(map(repr, others[:_MOST_SHOWN]))}"
    former = {file for file in FORMER_FILES if (path / f"{prefix or ''}{file}").is_file()}
    if former:
        missing = ", ".join(sorted(set(FORMER_FILES) - former))
        return (
            f"{lacking}; there is {', '.join(sorted(former))} of a model of scvi-tools before 0.15, which lacks "
            f"{missing}"
        )
    there = sorted(file.name for file in path.iterdir())
    checkpoint = next((name for name in there if name.endswith(".ckpt")), None)
    if checkpoint is not None:
        return f"{lacking}: {checkpoint} {_CHECKPOINT}"
    holds = f"it holds {', '.join(there[:_MOST_SHOWN])}" if there else "it is empty"
    more = f" and {len(there) - _MOST_SHOWN} more" if len(there) > _MOST_SHOWN else ""
    return f"{lacking}: {holds}{more}"


def require_of_scvi_tools(path: Path, saved: Collection[str]) -> None:
    """Refuse a model that another package saved, by the names of what it saved.

    Raises
    ------
    UnsafeFileError
        If it is one; the message names the package, and what to do.
    """
    family = next((name for name, own in _SCARCHES.items() if own in saved), None)
    if family is not None:
        message = (
            f"{path} holds a model of scArches' {family}, whose network this package does not have: use it with "
            "scarches"
        )
        raise UnsafeFileError(message)
    if _LIGHTNING in saved:
        message = f"{path} {_CHECKPOINT}"
        raise UnsafeFileError(message)

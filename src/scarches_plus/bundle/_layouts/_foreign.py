"""Say what lies at a path that is no model this package opens, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scarches_plus._pickles import FORMER_FILES

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


def what_else(path: Path, prefix: str | None) -> str:
    """Return why there is no model at a path, and what is there instead."""
    name = f"{prefix or ''}{MODEL_FILE}"
    if not path.is_dir():
        return f"{path} is a file and no saved model: give the folder that model.save wrote, or its {MODEL_FILE}"
    lacking = f"{path} holds no saved model ({name})"
    if (path / name).exists() and not (path / name).is_file():
        return f"{lacking}, since {name} is no regular file"
    others = sorted(file.name.removesuffix(MODEL_FILE) for file in path.glob(f"*{MODEL_FILE}"))
    if others:
        return f"{lacking}, but there is one with prefix={', '.join(map(repr, others[:_MOST_SHOWN]))}"
    former = {file for file in FORMER_FILES if (path / f"{prefix or ''}{file}").is_file()}
    if former:
        missing = ", ".join(sorted(set(FORMER_FILES) - former))
        return f"{lacking}; there is {', '.join(sorted(former))} of a model of scvi-tools before 0.15, which lacks {missing}"
    there = sorted(file.name for file in path.iterdir())
    holds = f"it holds {', '.join(there[:_MOST_SHOWN])}" if there else "it is empty"
    more = f" and {len(there) - _MOST_SHOWN} more" if len(there) > _MOST_SHOWN else ""
    return f"{lacking}: {holds}{more}"


def family_of(attributes: Collection[str]) -> str | None:
    """Return which package saved a model that scvi-tools did not, by the names of what it saved."""
    for name, own in _SCARCHES.items():
        if own in attributes:
            return f"scArches' {name}"
    if _LIGHTNING in attributes:
        return "a training by lightning that was stopped (a checkpoint, as BA-scVI's released code writes them)"
    return None

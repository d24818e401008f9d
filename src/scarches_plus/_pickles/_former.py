"""Read folders of scvi-tools before 0.15: ``attr.pkl``, ``model_params.pt`` and ``var_names.csv``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scarches_plus._limits import GENE_TABLE_BYTES

from ._read import read_pickle_file, read_torch_file, refuse
from ._records import UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Names of the three files.
FORMER_FILES = ("attr.pkl", "model_params.pt", "var_names.csv")
#: A scANVI of 0.8 carries the whole model it was made from, with its cells.
_NEVER_READ = {"pretrained_model"}
_SETUP = "scvi_setup_dict_"


@dataclass(frozen=True)
class FormerModel:
    """Contents of a folder of scvi-tools before 0.15.

    Attributes
    ----------
    attributes
        Name to value of what was saved of the model, where it is plain: ``init_params_`` (arguments of its constructor,
        without models among them) and ``scvi_setup_dict_`` (what its cells were registered with) at least.
    weights
        Name to tensor.
    var_names
        Names of genes.
    """

    attributes: Mapping[str, Any]
    weights: Mapping[str, Any]
    var_names: list[str]


def read_former_folder(folder: Path, prefix: str = "") -> FormerModel:
    """Read a folder of scvi-tools before 0.15; nothing in it is executed.

    Parameters
    ----------
    folder
        The folder.
    prefix
        What the names of its files begin with.

    Raises
    ------
    UnsafeFileError
        If a file is damaged or something else.
    OSError
        If one cannot be read.
    """
    attributes, weights, names = (folder / f"{prefix}{name}" for name in FORMER_FILES)
    parts = read_pickle_file(attributes).parts()
    lacking = {"init_params_", _SETUP} - set(parts)
    if lacking:
        refuse(attributes, f"it lacks {sorted(lacking)}")
    if names.stat().st_size > GENE_TABLE_BYTES:
        refuse(names, f"it has {names.stat().st_size} bytes, and names of genes take less")
    made = {"init_params_": parts["init_params_"].make_but(_NEVER_READ), _SETUP: parts[_SETUP].make()}
    for name in set(parts) - set(made):
        with suppress(UnsafeFileError):
            made[name] = parts[name].make()
    return FormerModel(
        attributes=made,
        weights=read_torch_file(weights).make(),
        var_names=_text_of(names).split("\n")[:-1],
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        refuse(path, f"is no text of names ({error})")

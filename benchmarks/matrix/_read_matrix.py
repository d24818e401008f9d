"""Read a matrix file, and refuse what it names and nobody has."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from ._config import Matrix
from ._figures import FIGURES
from ._scores import EXTRA


def read_matrix(path: Path) -> Matrix:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold fields such as data and methods, not {type(content).__name__}")
    try:
        matrix = Matrix(**content)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        ]
        raise ValueError(f"{path}: " + "; ".join(lines)) from None
    for field, named, known in (("figures", matrix.figures, FIGURES), ("scores", matrix.scores, EXTRA)):
        if unknown := sorted(set(named) - set(known)):
            what = "figures" if field == "figures" else "further scores"
            raise ValueError(f"{path}: {field}: there are no {what} {unknown}; choose of {sorted(known)}")
    return matrix

"""Describe what a matrix file says, checked: an error names the field."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ._methods import OURS
from ._peers import PEERS

METHODS = OURS | PEERS


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Strict):
    """A data set, split into reference and query."""

    file: Path | None = None
    builtin: Literal["pbmc68k", "simulated"] | None = None
    parameters: dict[str, Any] = {}
    query: list[str] = Field(min_length=1)
    batch: str = "batch"
    labels: str = "cell_type"
    unlabelled: str = "Unknown"
    hold_out: list[str] = []
    genes: int = Field(2000, ge=1)
    cells: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1)
    without: list[str] = []

    @model_validator(mode="after")
    def _one_source(self):
        if (self.file is None) == (self.builtin is None):
            raise ValueError("needs either 'file' or 'builtin'")
        if self.parameters and self.builtin != "simulated":
            raise ValueError("'parameters' are for builtin: simulated")
        return self


class Sizes(Strict):
    """Runs on a share of the cells, besides those on all."""

    data: list[str]
    methods: list[str]
    fractions: list[Annotated[float, Field(gt=0, lt=1)]]


class Method(BaseModel):
    """How to map: the name of a function, and its options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    run: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _known(self):
        if self.run not in METHODS:
            raise ValueError(f"there is no run: {self.run}; choose of {sorted(METHODS)}")
        allowed = {
            name: option
            for name, option in inspect.signature(METHODS[self.run].map).parameters.items()
            if option.kind is option.KEYWORD_ONLY
        }
        unknown = sorted(set(self.options) - set(allowed))
        if unknown:
            raise ValueError(f"{self.run} takes no option {unknown}; it has {sorted(allowed)}")
        missing = sorted(name for name, option in allowed.items() if option.default is option.empty)
        if lacking := sorted(set(missing) - set(self.options)):
            raise ValueError(f"{self.run} needs the options {lacking}")
        return self


class Matrix(Strict):
    """A whole matrix file."""

    data: dict[str, Data] = Field(min_length=1)
    methods: dict[str, Method] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    epochs: int = Field(ge=1)
    sizes: Sizes | None = None
    scores: list[str] = []
    baseline: str | None = None
    figures: dict[str, list[str]] = {}

    @model_validator(mode="after")
    def _names_exist(self):
        named = {"baseline": [self.baseline] if self.baseline else []}
        named |= {f"figures.{figure}": names for figure, names in self.figures.items()}
        named |= {f"data.{name}.without": one.without for name, one in self.data.items()}
        if self.sizes:
            named["sizes.methods"] = self.sizes.methods
            if unknown := sorted(set(self.sizes.data) - set(self.data)):
                raise ValueError(f"sizes.data: there are no data {unknown}")
        for field, names in named.items():
            if unknown := sorted(set(names) - set(self.methods)):
                raise ValueError(f"{field}: there are no methods {unknown}")
        return self

"""Describe the bodies of requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from scarches_plus import _limits

Text = Annotated[str, Field(min_length=1, max_length=1_000)]


class ReferenceQuestion(BaseModel):
    """Which reference is meant, and which of its labels."""

    model_config = ConfigDict(extra="forbid")

    what: Text
    labels_key: Text | None = None


class GeneQuestion(BaseModel):
    """Which gene the cells are to be coloured by."""

    model_config = ConfigDict(extra="forbid")

    gene: Text


class ExplainQuestion(BaseModel):
    """Which cells' labels are to be explained, by their places, from 0."""

    model_config = ConfigDict(extra="forbid")

    rows: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=_limits.ASKED_CELLS)]


class NamesQuestion(BaseModel):
    """Names for clusters of novel cells: cluster to name."""

    model_config = ConfigDict(extra="forbid")

    names: Annotated[dict[Text, Text], Field(min_length=1, max_length=1_000)]

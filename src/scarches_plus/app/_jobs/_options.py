"""Check the options of a job: what is mapped onto what, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scarches_plus import _limits

Name = Annotated[str, Field(min_length=1, max_length=1_000)]


class JobOptions(BaseModel):
    """Options of a job, as the HTTP API takes them.

    Parameters
    ----------
    reference
        What names the reference: a name of a hub, a DOI, or a path on the server's disk.
    file
        What ``POST /api/files`` returned of a file that was sent ...
    path
        ... or a path on the server's disk.
    name
        How the job is called; by default as its file.
    batch_key
        Column of batches; without, all cells are one batch.
    labels_key
        Which labels of the reference are transferred; by default those that it was trained with.
    method
        ``surgery`` trains the columns of new batches, ``zero-shot`` nothing.
    layer
        Layer with raw counts, if not where the reference keeps them.
    modality
        Modality of an .h5mu file; by default that of the genes.
    transpose
        Take a table of counts the other way round than its names say.
    max_epochs
        Epochs of surgery.
    unknown_above
        Uncertainty above which a cell is called unknown.
    alpha
        Share of known cells that may be called novel.
    seed
        Seed of the training.
    on_problem
        ``warn`` maps nevertheless what the check calls misleading.
    """

    model_config = ConfigDict(extra="forbid")

    reference: Name
    file: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None
    path: Name | None = None
    name: Annotated[str, Field(max_length=200)] = ""
    batch_key: Name | None = None
    labels_key: Name | None = None
    method: Literal["surgery", "zero-shot"] = "surgery"
    layer: Name | None = None
    modality: Name | None = None
    transpose: bool = False
    max_epochs: Annotated[int, Field(ge=1, le=_limits.EPOCHS)] | None = None
    unknown_above: Annotated[float, Field(ge=0, le=1)] = 0.5
    alpha: Annotated[float, Field(ge=0.005, le=0.3)] = 0.05
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    on_problem: Literal["raise", "warn"] = "raise"

    @model_validator(mode="after")
    def _names_one_query(self) -> JobOptions:
        if (self.file is None) == (self.path is None):
            message = "name the cells by file (what POST /api/files returned) or by path, one of the two"
            raise ValueError(message)
        if self.method == "zero-shot" and (self.max_epochs, self.on_problem) != (None, "raise"):
            message = "max_epochs and on_problem are of surgery; zero-shot trains nothing: leave them out"
            raise ValueError(message)
        return self

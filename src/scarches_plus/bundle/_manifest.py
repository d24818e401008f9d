"""Validate the manifest of a bundle, ``manifest.json``, with pydantic models."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
)

from scarches_plus import _limits
from scarches_plus._json import first_problem, parse_json
from scarches_plus._text import for_terminal

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
WEIGHTS = "weights.safetensors"
IMPORTANCE = "importance.safetensors"
ANCHORS = "anchors.safetensors"
SUMMARY = "summary.safetensors"
REFERENCE = "reference.safetensors"
README = "README.md"
#: Field of the summary that was a file of its own in schema 1.
FILES_OF_SCHEMA_1 = {
    "summaries.safetensors": "latent",
    "profiles.safetensors": "profiles",
    "classifier.safetensors": "classifier",
}
#: All that a bundle may hold besides its manifest and checksums.
FileName = Literal[
    "weights.safetensors",
    "importance.safetensors",
    "anchors.safetensors",
    "summary.safetensors",
    "reference.safetensors",
    "summaries.safetensors",
    "profiles.safetensors",
    "classifier.safetensors",
    "README.md",
]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,49}")
Count = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: Long lists end at the first mistake: pydantic takes 1 kB to tell each.
Texts = Annotated[list[str], Field(fail_fast=True)]
Positions = Annotated[list[Count], Field(fail_fast=True)]
#: JSON has lists only.
_FROM_LIST = Field(strict=False)
Numbers = Annotated[list[float], Field(fail_fast=True)]


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        message = "gives a name twice"
        raise ValueError(message)
    return names


Names = Annotated[Texts, AfterValidator(_each_once)]


def _few_epochs(series: Any) -> Any:
    """Refuse a series of a training that is too long before its values are looked at."""
    if isinstance(series, list | tuple) and any(
        isinstance(one, list) and len(one) > _limits.HISTORY_EPOCHS for one in series
    ):
        message = (
            f"it has {max(len(one) for one in series if isinstance(one, list))} epochs, of {_limits.HISTORY_EPOCHS} at "
            "most"
        )
        raise ValueError(message)
    return series


class BundleError(ValueError):
    """A bundle is damaged, incomplete, or not what it says it is; the message names the file.

    Parameters
    ----------
    message
        Of any length and contents; what is kept of it is fit for a terminal.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(for_terminal(str(message)[: _limits.MESSAGE_CHARACTERS]))


class StrictModel(BaseModel):
    """Takes what it describes, of the right types, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Card(StrictModel):
    """Facts about a model for people who may use it.

    Everything is optional.

    Parameters
    ----------
    name
        Short name for the registry, such as ``"pbmc68k-scanvi"``: letters, digits, ``.``, ``_`` and ``-``.
    version
        Version of the model.
    title, description
        For the heading and the first paragraph of the card.
    license
        SPDX identifier, such as ``"CC-BY-4.0"``.
    citation
        How to cite the model, or the data.
    doi
        Of this version.
    contacts
        Names and addresses of people to ask.
    species, tissue
        Where the cells come from.
    data_url
        Where the reference data lie.
    gene_namespace
        What gene names are: ``"symbol"``, ``"ensembl"`` or text of your own.
    label_hierarchy
        Label to the label above it; by default that of the model, if it has one.
    evaluation
        Scores, as plain values.
    """

    name: str = ""
    version: str = ""
    title: str = ""
    description: str = ""
    license: str = ""
    citation: str = ""
    doi: str = ""
    contacts: Texts = Field(default_factory=list)
    species: str = ""
    tissue: str = ""
    data_url: str = ""
    gene_namespace: str = ""
    label_hierarchy: dict[str, str] = Field(default_factory=dict)
    evaluation: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("name", "version")
    @classmethod
    def _is_safe(cls, value: str, info: Any) -> str:
        if value and not (_NAME if info.field_name == "name" else _VERSION).fullmatch(value):
            message = "may hold letters, digits and . _ - only, and begins with a letter or digit"
            raise ValueError(message)
        return value


class FileEntry(StrictModel):
    """Size in bytes and hash of a file."""

    size: Count
    sha256: Sha256


class ModelSection(StrictModel):
    """Class and arguments of its constructor."""

    class_name: Literal["SCVI", "SCANVI", "TOTALVI"]
    arguments: dict[str, JsonValue]


class CellsSection(StrictModel):
    """Description of cells, as in :class:`scarches_plus._reference.ReferenceSpec`."""

    var_names: Names = Field(min_length=1)
    layer: str | None
    batch_key: str | None
    batches: Names = Field(min_length=1)
    labels_key: str | None
    labels: Names
    unlabeled_category: str | None
    categorical_covariates: dict[str, Texts]
    continuous_covariates: Texts
    size_factor_key: str | None
    modalities: dict[Literal["genes", "proteins"], str]
    column_modalities: dict[str, str | None]
    proteins: Names
    protein_layer: str | None
    unmeasured_proteins: dict[str, Positions]


class SurgerySection(StrictModel):
    """Record of the surgery of a query model, as in :class:`scarches_plus.model.Surgery`."""

    strategy: str
    train_reference_columns: bool
    n_trainable: Count
    n_total: Count
    entries: dict[str, Annotated[tuple[Count, Positions], _FROM_LIST] | None]
    reference_hash: str


class TrainingRecordSection(StrictModel):
    """Record of the reference's training, as in :class:`scarches_plus.model.TrainingRecord`."""

    penalties: Annotated[list[dict[str, JsonValue]], Field(max_length=_limits.STATE_RECORDS)]
    plan_kwargs: dict[str, JsonValue]
    train_kwargs: dict[str, JsonValue]


class StateSection(StrictModel):
    """State of a model, as in :class:`scarches_plus.model.ModelState`, without tensors."""

    space: str
    weights: str
    surgery: SurgerySection | None
    unmeasured: dict[str, Positions]
    lineage: Annotated[list[dict[str, JsonValue]], Field(max_length=_limits.STATE_RECORDS)]
    engine: str
    penalties: Annotated[list[dict[str, JsonValue]], Field(max_length=_limits.STATE_RECORDS)]
    recipe: str
    origin: str = ""
    training: TrainingRecordSection | None = None

    @field_validator("lineage")
    @classmethod
    def _holds_tables(cls, lineage: list[dict[str, JsonValue]]) -> list[dict[str, JsonValue]]:
        for name in ("new_labels", "drift"):
            if any(not isinstance(record.get(name, {}), dict) for record in lineage):
                message = f"{name} of a record has to be a table"
                raise ValueError(message)
        return lineage


class TrainingSection(StrictModel):
    """Size of the reference, and what was logged: name to epochs and values."""

    n_cells: Count
    history: Annotated[
        dict[str, Annotated[tuple[Positions, Numbers], _FROM_LIST, BeforeValidator(_few_epochs)]],
        Field(max_length=_limits.HISTORY_SERIES),
    ]

    @field_validator("history")
    @classmethod
    def _pairs_epochs_with_values(
        cls, history: dict[str, tuple[list[int], list[float]]]
    ) -> dict[str, tuple[list[int], list[float]]]:
        for name, (epochs, values) in history.items():
            if len(epochs) != len(values):
                message = f"{name} has {len(epochs)} epochs and {len(values)} values"
                raise ValueError(message)
        return history


class ImportanceSection(StrictModel):
    """As in :class:`scarches_plus.train.Importance`."""

    n_cells: Count
    estimator: str


class AnchorsSection(StrictModel):
    """As in :class:`scarches_plus.train.Anchors`."""

    n_cells: Count
    space: str


class LatentSection(StrictModel):
    """As in :class:`scarches_plus.train.LatentSummary`."""

    labels: Names
    left_out: Texts
    space: str
    temperature: Annotated[float, Field(gt=0)] | None = None


class ReferenceSection(StrictModel):
    """Description of the reference cells in a bundle, the categories of their labels, the method of their index."""

    n_cells: Count
    space: str
    holds: list[Literal["latent", "variance", "labels", "umap", "counts", "index"]]
    labels: dict[str, Names]
    index: Literal["exact", "faiss"] | None = None


class ProfilesSection(StrictModel):
    """As in :class:`scarches_plus.tl.LabelProfiles`; ``genes`` is ``None`` where they are those of the model."""

    labels: Names = Field(min_length=2)
    left_out: Texts
    genes: Names | None
    batches: Texts = Field(min_length=1)


class VoteSection(StrictModel):
    """Describe the weight of the neighbours' vote beside a classifier."""

    sharpness: float = Field(gt=0)
    weight: float = Field(ge=0)
    floor: float = Field(gt=0)
    agreement: float = Field(ge=0, le=1)
    k: int = Field(ge=1, lt=2**63)
    kernel: str
    space: str


class ClassifierSection(StrictModel):
    """As in :class:`scarches_plus.tl.ExpressionClassifier`."""

    labels: Names = Field(min_length=2)
    genes: Names = Field(min_length=1)
    labels_key: str
    temperature: float = Field(gt=0)
    held_out: dict[str, JsonValue]
    vote: VoteSection | None


class MapSection(StrictModel):
    """As in :class:`scarches_plus.tl.ReferenceMap`."""

    labels: Names
    space: str
    basis: str


class SummarySection(StrictModel):
    """Describe what the reference says without its cells: mixtures of its latent space by label key, and the rest.

    As in :class:`scarches_plus.tl.ReferenceSummary`.
    """

    latent: dict[str, LatentSection]
    profiles: ProfilesSection | None
    classifier: ClassifierSection | None
    map: MapSection | None = None


class Manifest(StrictModel):
    """Manifest of a bundle: ``manifest.json``.

    Parameters
    ----------
    schema_version
        Version of this description.
    created
        When the bundle was written, UTC.
    card
        What people want to know.
    model, cells, training, state
        The model.
    importance, anchors, summary, reference
        What else is there; ``None`` or empty if it is not.
    calibration
        Plain values that came with the model, such as thresholds of rejection.
    versions
        Packages that wrote the bundle. They need not be those that read it.
    files
        Every file but the manifest itself.
    """

    schema_version: Literal[2]
    created: str
    card: Card
    model: ModelSection
    cells: CellsSection
    training: TrainingSection
    state: StateSection
    importance: ImportanceSection | None
    anchors: AnchorsSection | None
    summary: SummarySection
    reference: ReferenceSection | None
    calibration: dict[str, JsonValue]
    versions: dict[str, str]
    files: dict[FileName, FileEntry]


def parse_manifest(text: bytes, name: str) -> Manifest:
    """Return a manifest.

    Raises
    ------
    BundleError
        If it is no manifest, or one that only a newer version understands.
    """
    try:
        values = parse_json(text)
    except ValueError as error:
        start = text[:40].lstrip().lower()
        hint = "; it is a web page" if start.startswith((b"<!doctype", b"<html")) else ""
        message = f"{name} is no valid JSON ({error}){hint}"
        raise BundleError(message) from error
    version = values.get("schema_version") if isinstance(values, dict) else None
    if type(version) is int and version > SCHEMA_VERSION:
        message = f"{name} follows schema {version}, and this version knows {SCHEMA_VERSION}; update scarches_plus"
        raise BundleError(message)
    try:
        return Manifest.model_validate(_of_today(values))
    except ValidationError as error:
        message = f"{name} is no manifest: {first_problem(error)} ({error.error_count()} problems)"
        raise BundleError(message) from None  # its own text shows every problem, with all around it


def _of_today(values: Any) -> Any:
    """Return a manifest of schema 1, in which parts of the summary were sections of their own, in the form of today."""
    if not isinstance(values, dict) or values.get("schema_version") != 1:
        return values
    former = {"latent": values.pop("summaries", {})}
    former |= {part: values.pop(part, None) for part in ("profiles", "classifier")}
    return {"summary": former, **values, "schema_version": SCHEMA_VERSION}

"""Describe as plain data what a reference model expects from a query."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ReferenceSpec:
    """Requirements of a reference model on the queries that are mapped onto it.

    Attributes
    ----------
    var_names
        Genes of the reference, in order.
    layer
        Layer that holds raw counts; ``None`` means ``X``.
    batch_key, batches
        ``obs`` column of batches and the reference's batches, in the order of the model's columns.
    labels_key, labels, unlabeled_category
        ``obs`` column of labels, the labels the reference knows and the name of "no label" (``None`` where the model
        has none).
    categorical_covariates
        ``obs`` columns of further categorical covariates and their categories.
    continuous_covariates
        ``obs`` columns of continuous covariates.
    size_factor_key
        ``obs`` column of size factors, if the model uses one.
    counts
        Whether the likelihood is one of counts.
    encodes_batch
        Whether the encoder sees the batch.
    modalities
        For MuData: modality of the genes (``"genes"``) and of the proteins (``"proteins"``).
    column_modalities
        For MuData: modality of each ``obs`` column, ``None`` for columns of the whole.
    proteins, protein_layer
        Proteins of the reference, in order, and the layer that holds their raw counts.
    """

    var_names: tuple[str, ...]
    layer: str | None = None
    batch_key: str | None = None
    batches: tuple[str, ...] = ()
    labels_key: str | None = None
    labels: tuple[str, ...] = ()
    unlabeled_category: str | None = None
    categorical_covariates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    continuous_covariates: tuple[str, ...] = ()
    size_factor_key: str | None = None
    counts: bool = True
    encodes_batch: bool = True
    modalities: Mapping[str, str] = field(default_factory=dict)
    column_modalities: Mapping[str, str | None] = field(default_factory=dict)
    proteins: tuple[str, ...] = ()
    protein_layer: str | None = None

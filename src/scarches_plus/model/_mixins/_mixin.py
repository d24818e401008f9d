"""Combine surgery, training, saving and embedding in one mixin for model classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from scarches_plus import _arguments as check
from scarches_plus._logging import libraries_quiet
from scarches_plus.model._registration._groupings import groupings_of
from scarches_plus.model._registration._registry import reference_spec
from scarches_plus.model._saved._loading import LoadingMixin
from scarches_plus.model._saved._saving import SavingMixin
from scarches_plus.model._state import get_state, update_state
from scarches_plus.model._surgery._query_model import SurgeryMixin
from scarches_plus.train import Anchors, Importance

from ._embedding import EmbeddingMixin
from ._setup import SetupMixin
from ._training import TrainingMixin

if TYPE_CHECKING:
    from scarches_plus._reference import ReferenceSpec
    from scarches_plus.model._state import ModelState, Surgery
    from scarches_plus.train import Grouping, LatentSummary


class _NoCells:
    """Answers for the cells of a model that is built without any."""

    data_registry: ClassVar[dict[str, Any]] = {}

    @staticmethod
    def get_from_registry(_: str) -> np.ndarray:
        return np.empty((0, 1))


class ReferenceMixin(SetupMixin, SurgeryMixin, TrainingMixin, EmbeddingMixin, LoadingMixin, SavingMixin):
    """Surgery by strategy, exact freezing, explicit modes and a memory of both, for a model of scvi-tools.

    Stands before the scvi-tools class in the list of bases. The class keeps scvi-tools' name, by which both packages
    recognise saved models.
    """

    @property
    def spec(self) -> ReferenceSpec:
        """Requirements of this model on the queries that are mapped onto it."""
        return reference_spec(self)  # type: ignore[arg-type]

    @property
    def state(self) -> ModelState:
        """State that this package remembers: latent space, surgery, gene masks, lineage."""
        return get_state(self)  # type: ignore[arg-type]

    @property
    def surgery(self) -> Surgery | None:
        """Surgery by which this model was made from its reference; ``None`` if it was trained from scratch."""
        return self.state.surgery

    @property
    def groupings(self) -> dict[str, Grouping]:
        """The model's batch and further categorical covariates, by the name of their column."""
        return groupings_of(self)

    def remember(
        self,
        *,
        importance: Importance | None = None,
        anchors: Anchors | None = None,
        summaries: Mapping[str, LatentSummary] | None = None,
    ) -> None:
        """Keep what was found out about the model with it: it is saved, loaded and carried through surgery.

        Parameters
        ----------
        importance
            Result of :func:`scarches_plus.train.estimate_importance`.
        anchors
            Result of :func:`scarches_plus.train.store_anchors`.
        summaries
            Labels key to result of :func:`scarches_plus.train.summarize_reference`.
        """
        given = {"importance": importance, "anchors": anchors, "summaries": summaries}
        kinds = {"importance": Importance, "anchors": Anchors, "summaries": Mapping}
        for name, kind in kinds.items():
            if not isinstance(given[name], kind | None):  # type: ignore[operator]
                message = f"{name} must be what sp.train returns, a {kind.__name__}, not {check.shown(given[name])}"
                raise TypeError(message)
        update_state(self, **{name: one for name, one in given.items() if one is not None})  # type: ignore[arg-type]

    def forget(self, *names: Literal["importance", "anchors", "summaries"]) -> None:
        """Remove what is kept with the model, such as anchors, which are data of single cells, before it is shared.

        Parameters
        ----------
        *names
            What to remove.

        Raises
        ------
        ValueError
            If nothing of this name can be removed.
        """
        empty: dict[str, Any] = {"importance": None, "anchors": None, "summaries": {}}
        for name in names:
            check.choice("names", name, empty)
        update_state(self, **{name: empty[name] for name in names})  # type: ignore[arg-type]

    def add_to_lineage(self, record: Mapping[str, Any]) -> None:
        """Add a record of what was done, such as the mapping of a query, to ``state.lineage``.

        Parameters
        ----------
        record
            Plain values by name.
        """
        check.mapping("record", record)
        update_state(self, lineage=(*self.state.lineage, dict(record)))  # type: ignore[arg-type]

    @libraries_quiet()
    def _validate_anndata(self, adata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Refuse cells that scvi-tools would fall over, in words that say what to do."""
        if adata is not None and getattr(adata, "n_obs", 1) == 0:
            message = "adata has 0 cells: pass some"
            raise ValueError(message)
        try:
            return super()._validate_anndata(adata, *args, **kwargs)  # type: ignore[misc]
        except ValueError as error:
            if "not found in source registry" not in str(error):
                raise
            message = (
                f"{str(error).partition('.')[0]}: the model does not know it; map such cells with sp.tl.map_query first"
            )
            raise ValueError(message) from error

    @property
    def adata_manager(self) -> Any:
        """Manager of the model's cells, ``None`` without cells.

        While the network is built, scvi-tools asks it for library sizes even if there are no cells.
        """
        building = "module" not in vars(self)
        return _NoCells() if building and self._adata_manager is None else self._adata_manager  # type: ignore[attr-defined]

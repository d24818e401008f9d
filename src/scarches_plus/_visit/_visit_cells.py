"""Map, label and place a query by all that its reference carries: one whole visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scarches_plus import _keys, tl
from scarches_plus._cells import names_of, unused_name

from ._steps import find_novel, picture_of, transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

    from scarches_plus._label_tree import LabelTree
    from scarches_plus._reference_map import ReferenceMap
    from scarches_plus.model import SCANVI, SCVI, TOTALVI

    from ._known import Known

#: Name of the only batch of a query that has no column of batches, unless the reference has a batch of that name.
_ONE_BATCH = "query"


@dataclass(frozen=True)
class VisitOptions:
    """Choices of a visit, which have the names and meanings of the verbs' own arguments.

    Attributes
    ----------
    labels_key
        Labels to transfer; ``None`` for those that the model was trained on.
    batch_key, layer
        Where the query keeps batches and counts; ``None`` for where the reference does.
    shared_batches
        Batches of the query that are the reference's own.
    max_epochs, seed
        Of the training.
    unknown_above, unlabelled, hierarchy, probabilities
        Of the transfer of labels.
    """

    labels_key: str | None = None
    batch_key: str | None = None
    layer: str | None = None
    shared_batches: tuple[str, ...] = ()
    max_epochs: int | None = None
    seed: int = 0
    unknown_above: float | None = 0.5
    unlabelled: tuple[Any, ...] | None = None
    hierarchy: LabelTree | None = None
    probabilities: bool = False


@dataclass(frozen=True)
class Visit:
    """A reference that is ready for queries.

    Attributes
    ----------
    known
        The reference.
    options
        What is chosen.
    labels_key
        Labels that are transferred.
    picture
        Map of the reference, ``None`` if it has none.
    """

    known: Known
    options: VisitOptions
    labels_key: str
    picture: ReferenceMap | None

    @classmethod
    def to(cls, known: Known, options: VisitOptions) -> Visit:
        """Prepare visits to a reference.

        Raises
        ------
        ValueError
            If it has no such labels, or words for no label are given and it has no cells that these could stand in.
        """
        key = known.labels_key(options.labels_key)
        if options.unlabelled is not None and known.source_of(key) is known.model:
            message = (
                "unlabelled is of a reference with cells, and this reference has none with labels: leave unlabelled out"
            )
            raise ValueError(message)
        return cls(known, options, key, picture_of(known, key, unlabelled=options.unlabelled))

    @property
    def layer(self) -> str | None:
        """Where the query keeps its counts."""
        return self.options.layer or self.known.model.spec.layer

    def map(
        self, adata: AnnData, name: object, say: Callable[[str], object], *, progress: bool = True
    ) -> SCVI | SCANVI | TOTALVI:
        """Map a query, or embed it where nothing has to be trained: no batch is new, or the encoder sees none.

        Parameters
        ----------
        adata
            Query with raw counts; changed in place.
        name
            What messages call it.
        say
            Is told what was chosen.
        progress
            Show the progress of the training.

        Returns
        -------
        The model that the cells are mapped with: the reference's own where nothing was trained.
        """
        options, spec = self.options, self.known.model.spec
        if options.batch_key is None and spec.batch_key is not None and spec.batch_key not in adata.obs:
            batch = unused_name(_ONE_BATCH, spec.batches)
            say(f"{name} has no column {spec.batch_key!r} of batches: all of its cells are one batch, {batch}")
            adata.obs[spec.batch_key] = batch
        where = {"layer": self.layer, "batch_key": options.batch_key}
        key = options.batch_key or spec.batch_key
        none_is_new = bool(options.shared_batches) and set(names_of(adata.obs[key])) <= set(options.shared_batches)
        if spec.encodes_batch and not none_is_new:
            shown = {} if progress else {"train_kwargs": {"enable_progress_bar": False}}
            how = {"max_epochs": options.max_epochs, "shared_batches": options.shared_batches}
            return map_cells(adata, self.known.model, seed=options.seed, **how, **where, **shown)
        tl.embed(adata, self.known.model, **where)  # type: ignore[arg-type]
        return self.known.model

    def label(self, adata: AnnData, say: Callable[[str], object]) -> bool:
        """Look for novel cells in a mapped query, label the others, and place all of them on the map.

        Returns
        -------
        Whether novel cells could be looked for.
        """
        options = self.options
        why_not = find_novel(
            adata,
            self.known,
            self.labels_key,
            layer=options.layer,
            unlabelled=options.unlabelled,
        )
        if why_not:
            say(f"novel cells were not looked for: {why_not}")
        both = transfer(
            adata,
            self.known,
            self.labels_key,
            novel_key=None if why_not else _keys.NOVEL,
            unknown_above=options.unknown_above,
            unlabelled=options.unlabelled,
            hierarchy=options.hierarchy,
            probabilities=options.probabilities,
        )
        by_classifier = (
            self.known.source_of(self.labels_key) is self.known.model and not self.known.model.state.summaries
        )
        alone = "the model's classifier" if by_classifier else "the vote"
        say(f"labels by {'the consensus of vote and classifier' if both else alone}")
        if self.picture is None:
            say("not placed: the reference has neither cells nor a map")
        else:
            tl.place(adata, self.picture)
        return not why_not


def map_cells(adata: Any, model: SCVI | SCANVI | TOTALVI, *, seed: int, **options: Any) -> SCVI | SCANVI | TOTALVI:
    """Map a query from a seed."""
    set_seed(seed)
    return tl.map_query(adata, model, **options)


def set_seed(seed: int) -> None:
    """Seed what trains."""
    from scarches_plus.model import set_seed

    set_seed(seed)

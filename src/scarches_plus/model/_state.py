"""Store a model's state in one attribute that scvi-tools saves and loads.

The state is what this package remembers of a model: surgery, gene mask, importance, anchors and summaries.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scarches_plus.train import Anchors, Importance, LatentSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scvi.model.base import BaseModelClass
    from torch import Tensor

#: scvi-tools saves attributes that end in an underscore.
ATTRIBUTE = "scarches_plus_"
_RELEASE = re.compile(r"[0-9][0-9A-Za-z.+-]{0,39}")
#: What encoders are called in scvi-tools' modules.
_ENCODERS = ("z_encoder.", "encoder.")


@dataclass(frozen=True)
class Surgery:
    """Record of the surgery that made a query model from its reference.

    Attributes
    ----------
    strategy, train_reference_columns
        As :meth:`SCVI.load_query_data` took them.
    n_trainable, n_total
        Number of values that train, and of all values that the loss depends on.
    entries
        Parameter name to ``(dimension, indices)`` of the slices that train, ``None`` where all of it does.
    reference_hash
        Hash of the reference's weights.
    """

    strategy: str
    train_reference_columns: bool
    n_trainable: int
    n_total: int
    entries: dict[str, tuple[int, list[int]] | None]
    reference_hash: str


@dataclass(frozen=True)
class TrainingRecord:
    """Record of the last training of a reference, as far as mapping onto it follows the same rules.

    Attributes
    ----------
    penalties
        Names and options of the penalties.
    plan_kwargs, train_kwargs
        Arguments of the training plan and of ``train`` that were given: weight and warm-up of the KL term, scANVI's
        schedule, size of minibatches, clipping of gradients.
    """

    penalties: tuple[dict[str, Any], ...] = ()
    plan_kwargs: Mapping[str, Any] = field(default_factory=dict)
    train_kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelState:
    """State of a model that survives saving, loading and surgery.

    Attributes
    ----------
    space
        Identifies the latent space; two embeddings can be compared only if theirs is the same.
    weights
        Hash of the weights that all of this was true of.
    surgery
        ``None`` for a reference that was trained from scratch.
    unmeasured
        Batch to the genes (positions in the model's ``var_names``) that it did not measure.
    lineage
        One record for each query mapped so far, and for each time that labels were added.
    engine
        What trained the weights last: ``"scvi"`` (lightning's loop), ``"loop"`` (this package's loop, the same steps)
        or ``"fast"`` (strides over condition columns); empty if this package did not.
    penalties
        Names and options of the penalties that took part in the last training.
    training
        How the reference was trained last, which mapping inherits; ``None`` if this package did not train it.
    importance
        How much each weight matters to the reference, for :class:`~scarches_plus.train.EWC`.
    anchors
        Reference cells without counts, for penalties that compare a query with its reference.
    summaries
        Labels key to what its labels look like in the latent space.
    recipe
        Name of the recipe that the first reference was built by; empty if it had none.
    origin
        What saved the first reference: a release of scvi-tools, such as ``"scvi-tools 0.8.1"``, or the release of this
        package that exported it for scvi-tools. Empty for other models of this package.
    """

    space: str
    weights: str
    surgery: Surgery | None = None
    unmeasured: dict[str, list[int]] = field(default_factory=dict)
    lineage: tuple[dict[str, Any], ...] = ()
    engine: str = ""
    penalties: tuple[dict[str, Any], ...] = ()
    training: TrainingRecord | None = None
    importance: Importance | None = field(default=None, compare=False)
    anchors: Anchors | None = field(default=None, compare=False)
    summaries: Mapping[str, LatentSummary] = field(default_factory=dict, compare=False)
    recipe: str = ""
    origin: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return nested dicts, lists and tensors only, so that plain scvi-tools opens the file."""
        tensors = {"importance": self.importance, "anchors": self.anchors}
        plain = asdict(replace(self, importance=None, anchors=None, summaries={}))
        plain |= {name: None if one is None else one.to_plain() for name, one in tensors.items()}
        return plain | {"summaries": {key: one.to_plain() for key, one in self.summaries.items()}}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ModelState:
        """Undo :meth:`to_plain`."""
        surgery, training, importance, anchors = (
            plain.get(name) for name in ("surgery", "training", "importance", "anchors")
        )
        return cls(
            space=plain["space"],
            weights=plain["weights"],
            surgery=None if surgery is None else Surgery(**surgery),
            unmeasured=dict(plain["unmeasured"]),
            lineage=tuple(plain["lineage"]),
            engine=plain.get("engine", ""),
            penalties=tuple(plain.get("penalties", ())),
            training=training and TrainingRecord(**training | {"penalties": tuple(training["penalties"])}),
            importance=None if importance is None else Importance.from_plain(importance),
            anchors=None if anchors is None else Anchors.from_plain(anchors),
            summaries={key: LatentSummary.from_plain(one) for key, one in plain.get("summaries", {}).items()},
            recipe=plain.get("recipe", ""),
            origin=plain.get("origin", ""),
        )


def get_state(model: BaseModelClass) -> ModelState:
    """Return what is remembered about a model; for a model of plain scvi-tools, what its weights tell."""
    plain = getattr(model, ATTRIBUTE, None)
    return ModelState(space_of(model), hash_of(model)) if plain is None else ModelState.from_plain(plain)


def set_state(model: BaseModelClass, state: ModelState) -> None:
    """Remember a state and put its gene mask into effect."""
    setattr(model, ATTRIBUTE, state.to_plain())
    apply_gene_mask(model, state)


def update_state(model: BaseModelClass, **changes: Any) -> None:
    """Change some of what is remembered."""
    set_state(model, replace(get_state(model), **changes))


def note_origin(model: BaseModelClass, registry: Mapping[str, Any]) -> None:
    """Remember which release of scvi-tools saved a model of which nothing is remembered yet."""
    if getattr(model, ATTRIBUTE, None) is None:
        release = str(registry.get("scvi_version"))
        update_state(model, origin=f"scvi-tools {release}" if _RELEASE.fullmatch(release) else "scvi-tools")


def refresh_state(model: BaseModelClass, **training: Any) -> None:
    """Bring the state up to weights that this package trained: the space stays only if the reference cannot have moved.

    Parameters
    ----------
    model
        Model whose state to refresh.
    **training
        ``engine``, ``penalties`` and, of a reference, ``training``, if it was trained just now.
    """
    state = get_state(model)
    surgery = state.surgery
    stays = surgery is not None and surgery.strategy == "condition" and not surgery.train_reference_columns
    space = state.space if stays else space_of(model)
    set_state(model, replace(state, weights=hash_of(model), space=space, **training))


def restore_state(model: BaseModelClass) -> None:
    """Put a loaded model's state into effect.

    If the weights are not the remembered ones (plain scvi-tools trained the model meanwhile), the latent space is a new
    one and the surgery no longer tells what is free.
    """
    if getattr(model, ATTRIBUTE, None) is None:
        return
    state = get_state(model)
    if state.weights != hash_of(model):
        state = replace(state, weights=hash_of(model), space=space_of(model), surgery=None)
        state = replace(state, engine="", penalties=(), training=None)
    set_state(model, state)


def apply_gene_mask(model: BaseModelClass, state: ModelState) -> None:
    """Set the module's gene mask from the state, or remove it."""
    from ._registration._registry import categories

    batches = categories(model, "batch")
    unmeasured = {batch: genes for batch, genes in state.unmeasured.items() if genes and batch in batches}
    if not unmeasured:
        model.module.set_gene_mask(None)
        return
    mask = np.ones((len(batches), model.summary_stats.n_vars), dtype=bool)
    for batch, genes in unmeasured.items():
        mask[batches.index(batch), genes] = False
    model.module.set_gene_mask(torch.from_numpy(mask).to(model.device))


def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return a hash of named tensors: equal only if names, shapes and every bit agree."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        values = np.ascontiguousarray(tensor.detach().cpu().numpy())
        digest.update(f"{name}{values.dtype}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]


def hash_of(model: BaseModelClass) -> str:
    """Return a hash of all weights of a model."""
    return fingerprint(model.module.state_dict().items())


def space_of(model: BaseModelClass) -> str:
    """Return an identifier of the latent space that a model's encoder spans."""
    weights = model.module.state_dict().items()
    return fingerprint((name, tensor) for name, tensor in weights if name.startswith(_ENCODERS))

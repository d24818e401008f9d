"""Define the interface of penalties, the terms added to a model's loss."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import exp
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from scarches_plus import _arguments as check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor
    from torch.nn import Module

    from scarches_plus.train._memory.anchors import Anchors
    from scarches_plus.train._memory.importance import Importance
    from scarches_plus.train._memory.latent_summary import LatentSummary

Layer = Literal["encoder", "decoder"]
LAYERS: tuple[str, ...] = get_args(Layer)
Warmup = Literal["linear", "sigmoid"]
_WARMUPS: tuple[str, ...] = get_args(Warmup)
_SIGMOID_STEEPNESS = 10.0


@dataclass(frozen=True)
class Grouping:
    """A categorical column of the cells, as models hold it.

    Attributes
    ----------
    tensor, column
        Where a minibatch holds the codes: name of the tensor, and column in it.
    names
        Categories, in the order of their codes.
    present
        Codes that occur in the cells of the model.
    """

    tensor: str
    column: int
    names: tuple[str, ...]
    present: tuple[int, ...]

    @property
    def n_groups(self) -> int:
        """Number of categories, whether or not they occur."""
        return len(self.names)


@dataclass(frozen=True)
class Setting:
    """Facts that penalties know before training begins.

    Attributes
    ----------
    module
        Module that will train, with the weights it starts from.
    groupings
        Batch (first) and further categorical covariates, by the name of their column.
    trained
        Parameter name to the slices ``(dimension, indices)`` that train, ``None`` where all of it does. ``None`` if
        everything trains.
    importance
        What :func:`estimate_importance` found, if it did.
    anchors
        What :func:`store_anchors` kept, if it did.
    summaries
        What :func:`summarize_reference` kept, by name of the labels.
    load
        Turns cells into tensors as the model reads them.
    """

    module: Module
    groupings: Mapping[str, Grouping]
    trained: Mapping[str, tuple[int, Tensor] | None] | None = None
    importance: Importance | None = None
    anchors: Anchors | None = None
    summaries: Mapping[str, LatentSummary] = field(default_factory=dict)
    load: Callable[[Any], Mapping[str, Tensor]] | None = None

    def choose(self, names: Sequence[str] | None) -> dict[str, Grouping]:
        """Return groupings by name; ``None`` chooses all.

        Raises
        ------
        KeyError
            If the model knows no such column.
        """
        unknown = sorted(set(names or ()) - set(self.groupings))
        if unknown:
            message = f"the model was not set up with columns {unknown}, only with {list(self.groupings)}"
            raise KeyError(message)
        return {name: self.groupings[name] for name in names or self.groupings}


@dataclass
class Step:
    """Facts that penalties know about one minibatch, after the model's own loss was computed.

    Attributes
    ----------
    tensors
        The minibatch, by scvi-tools' names.
    inference, generative
        Outputs of the module's ``inference`` (``"z"``, ``"qz"`` ...) and ``generative`` (``"px"`` ...).
    activations
        Outputs of the hidden layers that the penalty asked for, shape ``(n_cells, n_hidden)``.
    module
        Module that trains.
    epoch
        Epochs done.
    metrics
        Whatever is put here is written into the model's history, as ``"<key>_train"``.
    """

    tensors: Mapping[str, Tensor]
    inference: Mapping[str, Any]
    generative: Mapping[str, Any]
    activations: Mapping[str, Tensor]
    module: Module
    epoch: int = 0
    metrics: dict[str, Tensor] = field(default_factory=dict)

    def codes(self, grouping: Grouping) -> Tensor:
        """Return the group of each cell, shape ``(n_cells,)``."""
        return self.tensors[grouping.tensor][:, grouping.column].long()


@dataclass(frozen=True, kw_only=True)
class Penalty(ABC):
    """A term added to the loss of a model while it trains, on any model of this package.

    A penalty is a set of options that can be compared, printed and used again. A subclass names itself and says what
    its value is::

        class LatentNorm(sp.train.Penalty):
            name = "latent_norm"

            def value(self, step):
                return step.inference["z"].square().sum(1).mean()


        model.train(penalties=[LatentNorm(weight=0.1)])
        model.history["latent_norm_train"]

    What has options of its own is a dataclass, too (``@dataclass(frozen=True, kw_only=True)``). What needs to look at
    the model first, or has state, overrides :meth:`prepare`. Penalties act in training only, so that a validation loss
    stays comparable.

    Parameters
    ----------
    weight
        Factor of the term.
    warmup_epochs
        Epochs over which the factor rises from 0.
    warmup
        How it rises.
    """

    #: Names the term in the history.
    name: ClassVar[str]
    #: Whether the term is a function of latent variables, hidden layers and groups, and keeps nothing from step to
    #: step. Only such penalties go along with the fast training of a query's columns.
    latent_only: ClassVar[bool] = False
    #: Whether the term can compare cells with the reference cells that :func:`store_anchors` keeps.
    uses_anchors: ClassVar[bool] = False

    weight: float = 1.0
    warmup_epochs: int = 0
    warmup: Warmup = "linear"

    def __post_init__(self) -> None:
        if not getattr(self, "name", ""):
            message = f"{type(self).__name__} needs a name, which its term has in the history"
            raise TypeError(message)
        check.number("weight", self.weight, least=0)
        check.choice("warmup", self.warmup, _WARMUPS)
        self._set_whole(warmup_epochs=0)

    def _set_whole(self, **least: int) -> None:
        """Set options as whole numbers of at least so much; whole floats are taken."""
        for option, smallest in least.items():
            object.__setattr__(self, option, check.whole(option, getattr(self, option), least=smallest))

    @property
    def layers(self) -> frozenset[str]:
        """Hidden layers whose output a step must hold: ``"encoder"`` (the last one) and ``"decoder"`` (the first)."""
        return frozenset()

    def prepare(self, setting: Setting) -> Callable[[Step], Tensor]:
        """Return what computes the term of a step, called once before training.

        A :class:`torch.nn.Module` returned here moves to the model's device, and its state is part of checkpoints.

        Raises
        ------
        ValueError
            If the term could have no effect.
        """
        return self.value

    def value(self, step: Step) -> Tensor:
        """Return the term of a minibatch, a scalar, before it is weighed."""
        message = f"{type(self).__name__} must override value or prepare"
        raise NotImplementedError(message)

    def weight_at(self, epoch: float) -> float:
        """Return the factor of the term after a number of epochs."""
        if epoch >= self.warmup_epochs:
            return self.weight
        share = epoch / self.warmup_epochs
        if self.warmup == "sigmoid":
            share = 1 / (1 + exp(-_SIGMOID_STEEPNESS * (share - 0.5)))
        return self.weight * share

    def options(self) -> dict[str, Any]:
        """Return name and options as plain values, for records of how a model was trained."""
        return {"name": self.name} | {one.name: _plain(getattr(self, one.name)) for one in fields(self)}

    @staticmethod
    def from_options(options: Mapping[str, Any]) -> Penalty:
        """Return the penalty that :meth:`options` described.

        Parameters
        ----------
        options
            Name and options. The penalty's class has to be imported, if it is not one of this package.

        Raises
        ------
        ValueError
            If no penalty has this name, or an option is out of range.
        TypeError
            If the penalty has no such option, or one that is no plain value, such as cells.
        """
        given = dict(check.mapping("options", options))
        name = given.pop("name", None)
        kinds = {kind.name: kind for kind in _kinds(Penalty)}
        if name not in kinds:
            message = f"there is no penalty {name!r}, only {sorted(kinds)}: import the class that has this name"
            raise ValueError(message)
        known = {one.name for one in fields(kinds[name])}
        if objects := sorted(option for option, value in given.items() if isinstance(value, Mapping)):
            message = f"options {objects} of penalty {name!r} are no plain values, and only their text was kept"
            raise TypeError(message)
        if unknown := sorted(set(given) - known):
            message = f"penalty {name!r} has no options {unknown}, only {sorted(known)}"
            raise TypeError(message)
        return kinds[name](**given)


def _kinds(kind: type[Penalty]) -> Iterator[type[Penalty]]:
    for one in kind.__subclasses__():
        yield from _kinds(one)
        if getattr(one, "name", ""):
            yield one


def refuse_unless_reference_moves(penalty: Penalty, setting: Setting) -> None:
    """Raise if only columns of new categories train, which leaves nothing to hold."""
    if setting.trained is not None and all(where is not None for where in setting.trained.values()):
        message = (
            f"{type(penalty).__name__} would have no effect: only columns of the query's batches train, so the "
            "reference stays where it is. Map with strategy='all', or leave the penalty out"
        )
        raise ValueError(message)


def _plain(value: Any) -> Any:
    """Return what any reader of a saved model understands."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else {"repr": repr(value)}

"""Penalise batch information with adversarial discriminators (BA-scVI)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
from torch import distributed, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, log_softmax

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus.train._penalties._shared._activations import hidden_layer

from .penalty import LAYERS, Penalty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from scarches_plus.train._memory.anchors import Anchors

    from .penalty import Grouping, Setting, Step

Objective = Literal["uniform", "negative_cross_entropy"]
_STORE_ANCHORS = (
    "Call sp.train.store_anchors(reference_model) before mapping, so that the query can be told from the reference, "
    "and sp.train.carry_anchors(reference_model, model) after the model moved"
)


@dataclass(frozen=True, kw_only=True)
class BatchAdversary(Penalty):
    r"""Discriminators read the batch from hidden layers, and the model trains such that they cannot (BA-scVI).

    One discriminator for each hidden layer and each batch level (such as sample and study): Linear, LayerNorm,
    LeakyReLU, Linear. In every step the discriminators first learn from the minibatch's activations, by cross-entropy
    and with an optimiser of their own; then the term asks the network to fool them. The history holds the term as
    ``"batch_adversary_train"`` and the cross-entropy, averaged over discriminators, as
    ``"batch_adversary_cross_entropy_train"``: of equally large batches nothing is left to read at ``log(n_batches)``.

    Parameters
    ----------
    weight
        Factor of the term. The paper's beta of 10 is ``weight=10, reduction="sum"``. The released code adds up the two
        layers and averages over levels: its weight w is ``weight=2 * w, reduction="mean"`` here.
    reduction
        ``"mean"`` over discriminators (layers times levels), or their ``"sum"`` (paper).
    layers_read
        Hidden layers to read: ``"encoder"``, its last one, and ``"decoder"``, its first one. If the decoder's first
        layer sees the batch (as in scvi-tools), a reader of that layer reads the covariate itself; use it with
        ``batch_free_decoder_layer=True``.
    groups
        Columns to read, one discriminator each: batch and categorical covariates of the model. Default: all with at
        least two groups.
    objective
        What the network minimises: ``"uniform"``, the discriminator's Kullback-Leibler divergence from "any batch
        equally likely", at least 0; or ``"negative_cross_entropy"`` (paper), which has no lower bound and can diverge
        at large weights.
    lr
        Learning rate of the discriminators (paper: 1e-2; Adam).
    lr_decay
        Factor of that rate after each epoch.
    n_hidden
        Width of the discriminators.
    n_steps
        Steps of the discriminators for each step of the model.
    eps, weight_decay
        Those of the discriminators' Adam (paper: 0.01 and 1e-5).
    gradient_clip
        Largest norm of the discriminators' gradient; ``None`` for no limit.
    normalize_logits
        Add the LayerNorm on the logits that the released code has.
    anchors
        Tell the minibatch's groups from those of the reference cells that :func:`store_anchors` kept, too, whose
        activations stay as stored; the term is that of the minibatch's cells alone. Groups then weigh alike in the
        cross-entropy. A query of a single batch needs them. Default: they are used if the cells have but one group in
        a column, and the model has anchors.
    warmup_epochs, warmup
        As in :class:`Penalty`; the discriminators learn from the beginning.

    References
    ----------
    BA-scVI (arXiv 2503.20730): loss and Algorithm 2. There, both sides train in turn with two passes through the
    network; here they share one.
    """

    name = "batch_adversary"
    uses_anchors = True

    layers_read: tuple[str, ...] = ("encoder", "decoder")
    groups: tuple[str, ...] | None = None
    objective: Objective = "uniform"
    reduction: Literal["mean", "sum"] = "mean"
    lr: float = 1e-2
    lr_decay: float = 1.0
    n_hidden: int = 128
    n_steps: int = 1
    eps: float = 1e-8
    weight_decay: float = 0.0
    gradient_clip: float | None = 5.0
    normalize_logits: bool = False
    anchors: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "layers_read", check.names("layers_read", self.layers_read, or_one=True, least=1))
        if self.groups is not None:
            object.__setattr__(self, "groups", check.names("groups", self.groups, or_one=True))
        for layer in self.layers_read:
            check.choice("layers_read", layer, LAYERS)
        check.choice("objective", self.objective, get_args(Objective))
        check.choice("reduction", self.reduction, ("mean", "sum"))
        check.number("lr", self.lr, above=0)
        check.number("eps", self.eps, above=0)
        check.number("weight_decay", self.weight_decay, least=0)
        check.number("lr_decay", self.lr_decay, above=0)
        self._set_whole(n_hidden=1, n_steps=1)
        check.whole("n_hidden", self.n_hidden, least=1, most=_limits.UNITS)  # a model file may bring the options
        check.whole("n_steps", self.n_steps, least=1, most=_limits.EPOCHS)
        if self.gradient_clip is not None:
            check.number("gradient_clip", self.gradient_clip, above=0)
        check.flags(normalize_logits=self.normalize_logits)
        if self.anchors is not None:
            check.flags(anchors=self.anchors)

    @property
    def layers(self) -> frozenset[str]:
        """Hidden layers that are read."""
        return frozenset(self.layers_read)

    def prepare(self, setting: Setting) -> nn.Module:
        """Return the discriminators.

        Raises
        ------
        KeyError
            If the model has no such column.
        ValueError
            If no column has two groups in the cells at hand.
        """
        groupings = setting.choose(self.groups)
        alone = [len(grouping.present) < 2 for grouping in groupings.values()]
        anchors = setting.anchors if (any(alone) if self.anchors is None else self.anchors) else None
        if self.anchors and anchors is None:
            message = f"anchors=True needs anchors, and the model has none. {_STORE_ANCHORS}"
            raise ValueError(message)
        codes = {
            name: {*grouping.present, *([] if anchors is None else anchors.codes(name).tolist())}
            for name, grouping in groupings.items()
        }
        levels = [
            _Level(name, groupings[name], tuple(sorted(known))) for name, known in codes.items() if len(known) > 1
        ]
        lacking = sorted(set(groupings) - {level.name for level in levels})
        if not levels or (self.groups is not None and lacking):
            whose = "the cells here" if anchors is None else "the cells here and the anchors"
            fix = f"{_STORE_ANCHORS}; or train" if anchors is None and self.anchors is not False else "Train"
            message = (
                f"a discriminator needs at least two groups, and {whose} have one in {lacking}. {fix} it on the "
                "reference, or with a query of several batches"
            )
            raise ValueError(message)
        widths = {layer: _width(hidden_layer(setting.module, layer), setting.module) for layer in self.layers_read}
        device = next(setting.module.parameters()).device
        return _Discriminators(self, levels, widths, anchors).to(device)


class _Level(NamedTuple):
    """A column that discriminators read.

    Attributes
    ----------
    name, grouping
        Name of the column, and where a minibatch holds its codes.
    codes
        Codes to tell apart, rising.
    """

    name: str
    grouping: Grouping
    codes: tuple[int, ...]

    def positions(self, codes: Tensor) -> Tensor:
        """Number the groups from 0, in the order of their codes."""
        return torch.searchsorted(torch.tensor(self.codes, device=codes.device), codes)


class _Discriminators(nn.Module):
    """Discriminators with their optimiser; the state of both is part of a checkpoint."""

    def __init__(
        self, options: BatchAdversary, levels: Sequence[_Level], widths: Mapping[str, int], anchors: Anchors | None
    ) -> None:
        super().__init__()
        self._options, self._anchors = options, anchors
        self._places = [(layer, level) for layer in widths for level in levels]
        self._readers = nn.ModuleList(
            _reader(widths[layer], options.n_hidden, len(level.codes), options.normalize_logits)
            for layer, level in self._places
        )
        self._optimizer: torch.optim.Adam | None = None
        self._stored: dict[str, Any] | None = None

    def forward(self, step: Step) -> Tensor:
        inputs = [step.activations[layer] for layer, _ in self._places]
        codes = [level.positions(step.codes(level.grouping)) for _, level in self._places]
        for _ in range(self._options.n_steps):
            learned = self._learn(*self._lesson(inputs, codes), step.epoch)
        step.metrics["batch_adversary_cross_entropy"] = learned
        terms = []
        for reader, x, group in zip(self._readers, inputs, codes, strict=True):
            fixed = {name: parameter.detach() for name, parameter in reader.named_parameters()}
            logits = functional_call(reader, fixed, (x,))
            terms.append(self._term(logits, group))
        together = torch.stack(terms)
        return together.mean() if self._options.reduction == "mean" else together.sum()

    def _lesson(self, inputs: Sequence[Tensor], codes: Sequence[Tensor]) -> tuple[list[Tensor], Sequence[Tensor]]:
        """Return what the discriminators learn from: the minibatch, and as many anchors where there are any."""
        detached = [x.detach() for x in inputs]
        if self._anchors is None:
            return detached, codes
        rows = torch.randperm(len(self._anchors))[: len(inputs[0])]
        theirs = [self._anchors.at(layer, rows).to(x) for (layer, _), x in zip(self._places, detached, strict=True)]
        their_codes = [
            level.positions(self._anchors.codes(level.name)[rows].to(own.device))
            for (_, level), own in zip(self._places, codes, strict=True)
        ]
        return (
            [torch.cat(pair) for pair in zip(detached, theirs, strict=True)],
            [torch.cat(pair) for pair in zip(codes, their_codes, strict=True)],
        )

    def _term(self, logits: Tensor, codes: Tensor) -> Tensor:
        if self._options.objective == "negative_cross_entropy":
            return -cross_entropy(logits, codes)
        log_n = torch.tensor(logits.shape[1], dtype=logits.dtype, device=logits.device).log()
        return -log_softmax(logits, 1).mean() - log_n

    @torch.enable_grad()
    def _learn(self, inputs: Sequence[Tensor], codes: Sequence[Tensor], epoch: int) -> Tensor:
        """Take a step of the discriminators; return their cross-entropy, averaged over layers and levels."""
        parameters = list(self._readers.parameters())
        losses = []
        for reader, x, group in zip(self._readers, inputs, codes, strict=True):
            logits = reader(x)
            alike = None
            if self._anchors is not None:
                alike = 1 / torch.bincount(group, minlength=logits.shape[1]).clamp(min=1).to(logits)
            losses.append(cross_entropy(logits, group, weight=alike))
        optimizer = self._ready_optimizer(parameters)
        for group in optimizer.param_groups:
            group["lr"] = self._options.lr * self._options.lr_decay**epoch
        gradients = torch.autograd.grad(torch.stack(losses).sum(), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = _averaged_over_processes(gradient)
        if self._options.gradient_clip is not None:
            nn.utils.clip_grad_norm_(parameters, self._options.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        return torch.stack(losses).mean().detach()

    def _ready_optimizer(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Adam:
        if self._optimizer is None:  # only now do the parameters lie where they train
            options = self._options
            self._optimizer = torch.optim.Adam(
                parameters, lr=options.lr, eps=options.eps, weight_decay=options.weight_decay
            )
            if self._stored is not None:
                self._optimizer.load_state_dict(self._stored)
                self._stored = None
        return self._optimizer

    def get_extra_state(self) -> dict[str, Any]:
        """Return the optimiser's state, which belongs into a checkpoint."""
        return {} if self._optimizer is None else self._optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take the optimiser's state from a checkpoint."""
        self._stored, self._optimizer = state or None, None


def _reader(n_in: int, n_hidden: int, n_groups: int, normalize_logits: bool) -> nn.Sequential:  # noqa: FBT001
    layers = [nn.Linear(n_in, n_hidden), nn.LayerNorm(n_hidden), nn.LeakyReLU(), nn.Linear(n_hidden, n_groups)]
    return nn.Sequential(*layers, nn.LayerNorm(n_groups)) if normalize_logits else nn.Sequential(*layers)


def _width(layer: nn.Module, module: nn.Module) -> int:
    """Return the number of outputs of a hidden layer: that of the last linear part up to it."""
    from scvi.nn import FCLayers

    if isinstance(layer, FCLayers):
        return [part for part in layer.modules() if isinstance(part, nn.Linear)][-1].out_features
    for block in module.modules():
        if isinstance(block, nn.Sequential) and any(part is layer for part in block):
            return next(part for part in block if isinstance(part, nn.Linear)).out_features
    message = "the width of the hidden layer could not be found"
    raise RuntimeError(message)


def _averaged_over_processes(gradient: Tensor) -> Tensor:
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(gradient)
        gradient = gradient / distributed.get_world_size()
    return gradient

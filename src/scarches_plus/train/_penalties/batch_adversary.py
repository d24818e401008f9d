"""Penalise batch information with adversarial discriminators (BA-scVI)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import distributed, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, log_softmax

from scarches_plus import _arguments as check
from scarches_plus.train._penalties._shared._activations import hidden_layer

from .penalty import LAYERS, Penalty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from .penalty import Grouping, Setting, Step

Objective = Literal["uniform", "negative_cross_entropy"]


@dataclass(frozen=True, kw_only=True)
class BatchAdversary(Penalty):
    r"""Discriminators read the batch from hidden layers, and the model trains such that they cannot (BA-scVI).

    One discriminator for each hidden layer and each batch level (such as sample and study): Linear, LayerNorm,
    LeakyReLU, Linear. The term is the mean over them. In every step the discriminators first learn from the minibatch's
    activations, by cross-entropy and with an optimiser of their own; then the term asks the network to fool them. The
    history holds the term as ``"batch_adversary_train"`` and the cross-entropy as
    ``"batch_adversary_cross_entropy_train"``: of equally large batches nothing is left to read at ``log(n_batches)``.

    Parameters
    ----------
    weight
        Factor of the term (the papers' beta).
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
    gradient_clip
        Largest norm of the discriminators' gradient; ``None`` for no limit.
    normalize_logits
        Add the LayerNorm on the logits that the released code has.
    warmup_epochs, warmup
        As in :class:`Penalty`; the discriminators learn from the beginning.

    References
    ----------
    BA-scVI (arXiv 2503.20730): loss and Algorithm 2. There, both sides train in turn with two passes through the
    network; here they share one.
    """

    name = "batch_adversary"

    layers_read: tuple[str, ...] = ("encoder", "decoder")
    groups: tuple[str, ...] | None = None
    objective: Objective = "uniform"
    lr: float = 1e-2
    lr_decay: float = 1.0
    n_hidden: int = 128
    n_steps: int = 1
    gradient_clip: float | None = 5.0
    normalize_logits: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "layers_read", check.names("layers_read", self.layers_read, or_one=True, least=1))
        if self.groups is not None:
            object.__setattr__(self, "groups", check.names("groups", self.groups, or_one=True))
        for layer in self.layers_read:
            check.choice("layers_read", layer, LAYERS)
        check.choice("objective", self.objective, get_args(Objective))
        check.number("lr", self.lr, above=0)
        check.number("lr_decay", self.lr_decay, above=0)
        self._set_whole(n_hidden=1, n_steps=1)
        if self.gradient_clip is not None:
            check.number("gradient_clip", self.gradient_clip, above=0)
        check.flags(normalize_logits=self.normalize_logits)

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
        readable = {name: grouping for name, grouping in groupings.items() if len(grouping.present) > 1}
        lacking = sorted(set(groupings) - set(readable))
        if not readable or (self.groups is not None and lacking):
            message = (
                f"a discriminator needs at least two groups, and the cells here have one in {lacking}. Train it on the "
                "reference, or with a query of several batches"
            )
            raise ValueError(message)
        widths = {layer: _width(hidden_layer(setting.module, layer), setting.module) for layer in self.layers_read}
        device = next(setting.module.parameters()).device
        return _Discriminators(self, readable, widths).to(device)


class _Discriminators(nn.Module):
    """Discriminators with their optimiser; the state of both is part of a checkpoint."""

    def __init__(self, options: BatchAdversary, groupings: dict[str, Grouping], widths: dict[str, int]) -> None:
        super().__init__()
        self._options = options
        self._places = [(layer, grouping) for layer in widths for grouping in groupings.values()]
        self._readers = nn.ModuleList(
            _reader(widths[layer], options.n_hidden, len(grouping.present), options.normalize_logits)
            for layer, grouping in self._places
        )
        self._optimizer: torch.optim.Adam | None = None
        self._stored: dict[str, Any] | None = None

    def forward(self, step: Step) -> Tensor:
        inputs = [step.activations[layer] for layer, _ in self._places]
        codes = [_positions(step.codes(grouping), grouping) for _, grouping in self._places]
        for _ in range(self._options.n_steps):
            learned = self._learn(inputs, codes, step.epoch)
        step.metrics["batch_adversary_cross_entropy"] = learned
        terms = []
        for reader, x, group in zip(self._readers, inputs, codes, strict=True):
            fixed = {name: parameter.detach() for name, parameter in reader.named_parameters()}
            logits = functional_call(reader, fixed, (x,))
            terms.append(self._term(logits, group))
        return torch.stack(terms).mean()

    def _term(self, logits: Tensor, codes: Tensor) -> Tensor:
        if self._options.objective == "negative_cross_entropy":
            return -cross_entropy(logits, codes)
        log_n = torch.tensor(logits.shape[1], dtype=logits.dtype, device=logits.device).log()
        return -log_softmax(logits, 1).mean() - log_n

    @torch.enable_grad()
    def _learn(self, inputs: Sequence[Tensor], codes: Sequence[Tensor], epoch: int) -> Tensor:
        """Take a step of the discriminators; return their cross-entropy, averaged over layers and levels."""
        parameters = list(self._readers.parameters())
        losses = [
            cross_entropy(reader(x.detach()), group)
            for reader, x, group in zip(self._readers, inputs, codes, strict=True)
        ]
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
            self._optimizer = torch.optim.Adam(parameters, lr=self._options.lr)
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


def _positions(codes: Tensor, grouping: Grouping) -> Tensor:
    """Number the groups that occur from 0, in the order of their codes."""
    return torch.searchsorted(torch.tensor(grouping.present, device=codes.device), codes)


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

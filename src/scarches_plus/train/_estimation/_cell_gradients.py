"""Compute gradients of the loss for single cells from backward passes over minibatches."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from scvi import REGISTRY_KEYS
from torch import nn
from torch.nn.functional import batch_norm, layer_norm, one_hot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor

    Minibatch = Mapping[str, Tensor]
    #: Names of parameters with the factors of their gradient, row by row.
    Products = Iterator[tuple[str, tuple[Tensor, Tensor]]]

#: scANVI's prior over labels, a parameter that scvi-tools never trains.
_CONSTANTS = frozenset({"y_prior"})
_DISPERSION = "px_r"
#: Which tensor tells the column of the dispersion that a cell has.
_DISPERSION_GROUPS = {"gene-batch": REGISTRY_KEYS.BATCH_KEY, "gene-label": REGISTRY_KEYS.LABELS_KEY}
#: Largest difference between a sum over cells and the minibatch's gradient, in units of the cells' gradients.
_TOLERANCE = 1e-2
#: Values of the gradients of single cells that are in memory at once.
_N_VALUES = 2**20


class OuterProducts(NamedTuple):
    """Gradients of one parameter for each of some cells: a sum of outer products of two vectors.

    Attributes
    ----------
    left, right
        Shapes ``(n_terms, n_cells, n_left)`` and ``(n_terms, n_cells, n_right)``; together the parameter's size.
    """

    left: Tensor
    right: Tensor

    @classmethod
    def joined(cls, parts: Iterable[OuterProducts]) -> OuterProducts:
        """Return the sum of gradients of the same cells."""
        left, right = zip(*parts, strict=True)
        return cls(torch.cat(left), torch.cat(right))

    def total(self) -> Tensor:
        """Return the sum over cells, shape ``(n_left, n_right)``."""
        return self.left.flatten(0, 1).t() @ self.right.flatten(0, 1)

    def squares(self) -> Tensor:
        """Return the sum over cells of squares, each of a cell's whole gradient, shape ``(n_left, n_right)``."""
        if len(self.left) == 1:  # the square of an outer product is the outer product of squares
            return self.left[0].square().t() @ self.right[0].square()
        left, right = self.left.permute(1, 2, 0), self.right.transpose(0, 1)
        n_cells = max(1, _N_VALUES // (left.shape[1] * right.shape[2]))
        parts = zip(left.split(n_cells), right.split(n_cells), strict=True)
        return sum(torch.bmm(*part).square_().sum(0) for part in parts)  # type: ignore[return-value]


class CellGradients:
    """Squared gradients of single cells, for little more than a gradient over a minibatch.

    For one cell, the gradient of a linear layer's weights is the outer product of the gradient that arrives at the
    layer's output and of its input; embeddings, affine parameters of norm layers and the dispersion have rules of that
    form, too. A layer that sees a cell several times, as scANVI's do for every label, has a sum of them. Rules are
    checked against the gradient of one minibatch. What has no rule, or uses its weights in another way, goes one cell
    at a time.

    Parameters
    ----------
    module
        Module of scvi-tools in evaluation mode, whose loss is a mean over cells; it is not changed.
    tensors
        Some cells, which show what the loss depends on.
    n_samples
        Samples of the latent variables over which the gradient of each cell is a mean.

    Attributes
    ----------
    used
        Names of the parameters that the loss depends on.
    one_by_one
        Those of them that have no rule.

    References
    ----------
    Goodfellow 2015, Efficient per-example gradient computations.
    """

    def __init__(self, module: nn.Module, tensors: Minibatch, n_samples: int = 1) -> None:
        self._module = module
        self._n_samples = n_samples
        trainable = {
            name: parameter
            for name, parameter in module.named_parameters()
            if parameter.is_floating_point() and name not in _CONSTANTS
        }
        # gradients go to stand-ins, so that flags, hooks and gradients of the parameters do not matter
        self._stand_ins = {name: parameter.detach().requires_grad_() for name, parameter in trainable.items()}
        names = {id(parameter): name for name, parameter in trainable.items()}
        self._owned = {
            layer: {end: names[id(one)] for end, one in layer.named_parameters(recurse=False) if id(one) in names}
            for layer in module.modules()
            if _rule_of(layer)
        }
        gradients, products = self._backward(tensors, self._stand_ins)
        self.used = [name for name, gradient in gradients.items() if gradient is not None]
        self.one_by_one = [name for name in self.used if not _explains(products.get(name), gradients[name])]

    def of_minibatch(self, tensors: Minibatch, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Return the gradient of a minibatch's mean loss, by name of the parameter; ``None`` means all used ones."""
        names = self.used if names is None else list(names)
        losses = [self._loss(tensors)[0] for _ in range(self._n_samples)]
        wanted = [self._stand_ins[name] for name in names]
        gradients = torch.autograd.grad(torch.stack(losses).mean(), wanted, materialize_grads=True)
        return dict(zip(names, gradients, strict=True))

    def squares(self, tensors: Minibatch) -> dict[str, Tensor]:
        """Return the sum over a minibatch's cells of the squared gradient of each, by name of the parameter."""
        products: dict[str, list[OuterProducts]] = defaultdict(list)
        for _ in range(self._n_samples):
            for name, product in self._backward(tensors, {})[1].items():
                products[name].append(product)
        squares = {
            name: OuterProducts.joined(products[name]).squares().reshape(self._stand_ins[name].shape)
            / self._n_samples**2
            for name in self.used
            if name not in self.one_by_one
        }
        if self.one_by_one:
            for cell in range(_n_cells(tensors)):
                one = {key: values[cell : cell + 1] for key, values in tensors.items()}
                for name, gradient in self.of_minibatch(one, self.one_by_one).items():
                    squares[name] = squares.get(name, 0) + gradient.square()
        return squares

    def _loss(self, tensors: Minibatch) -> tuple[Tensor, Any]:
        options = {"loss_kwargs": {"kl_weight": 1.0}}
        _, generative, losses = torch.func.functional_call(self._module, self._stand_ins, (tensors,), options)
        return losses.loss, generative

    def _backward(
        self, tensors: Minibatch, wanted: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor | None], dict[str, OuterProducts]]:
        """Return the gradient of the minibatch's summed loss for what is wanted, and gradients of cells by rule."""
        n_cells = _n_cells(tensors)
        with _watched(self._owned) as calls:
            loss, generative = self._loss(tensors)
        if _DISPERSION in self._stand_ins:
            calls += self._dispersion_call(tensors, generative)
        outputs = [call.output for call in calls]
        gradients = torch.autograd.grad(loss * n_cells, [*outputs, *wanted.values()], allow_unused=True)
        products: dict[str, list[OuterProducts]] = defaultdict(list)
        for call, gradient in zip(calls, gradients, strict=False):
            if gradient is None or gradient.dim() < 2 or gradient.shape[-2] % n_cells:
                continue
            for name, factors in call.products(gradient):
                # layers see a cell more than once as a minibatch repeated as a whole
                products[name].append(OuterProducts(*(f.reshape(-1, n_cells, f.shape[-1]) for f in factors)))
        joined = {name: OuterProducts.joined(parts) for name, parts in products.items()}
        return dict(zip(wanted, gradients[len(calls) :], strict=True)), joined

    def _dispersion_call(self, tensors: Minibatch, generative: Any) -> list[_Call]:
        likelihood = generative.get("px")
        theta = getattr(likelihood, "theta", getattr(likelihood, "scale", None))
        if theta is None or not theta.requires_grad:
            return []
        key = _DISPERSION_GROUPS.get(getattr(self._module, "dispersion", ""))
        n_groups = 1 if key is None else self._stand_ins[_DISPERSION].shape[1]
        group = theta.new_zeros(len(theta), dtype=torch.long) if key is None else tensors[key].squeeze(1).long()
        value, column = theta.detach(), one_hot(group, n_groups).to(theta.dtype)

        def products(gradient: Tensor) -> Products:
            yield _DISPERSION, (gradient * value, column)  # theta is an exponential

        return [_Call(theta, products)]


class _Call(NamedTuple):
    """An output of a forward pass, and how its gradient makes that of the parameters behind it."""

    output: Tensor
    products: Callable[[Tensor], Products]


@contextmanager
def _watched(owned: Mapping[nn.Module, Mapping[str, str]]) -> Iterator[list[_Call]]:
    """Note each use of layers while the context is open."""
    calls: list[_Call] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        rule = _rule_of(layer)
        if rule is None or not inputs or not isinstance(output, torch.Tensor) or not output.requires_grad:
            return
        x = inputs[0].detach()

        def products(gradient: Tensor) -> Products:
            for end, factors in rule(layer, x, gradient):
                if end in owned[layer]:
                    yield owned[layer][end], factors

        calls.append(_Call(output, products))

    handles = [layer.register_forward_hook(note) for layer in owned]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _linear(_: Any, x: Tensor, gradient: Tensor) -> Products:
    yield "weight", (gradient, x)
    yield "bias", (gradient, torch.ones_like(gradient[..., :1]))


def _embedding(layer: Any, x: Tensor, gradient: Tensor) -> Products:
    yield "weight", (one_hot(x.long(), layer.num_embeddings).to(gradient.dtype), gradient)


def _batch_norm(layer: Any, x: Tensor, gradient: Tensor) -> Products:
    normal = batch_norm(x, layer.running_mean, layer.running_var, eps=layer.eps)
    yield from _affine(normal, gradient)


def _layer_norm(layer: Any, x: Tensor, gradient: Tensor) -> Products:
    normal = layer_norm(x, layer.normalized_shape, eps=layer.eps)
    yield from _affine(normal, gradient)


def _affine(normal: Tensor, gradient: Tensor) -> Products:
    one = torch.ones_like(gradient[..., :1])
    yield "weight", (gradient * normal, one)
    yield "bias", (gradient, one)


_RULES: dict[type[nn.Module], Callable[[Any, Tensor, Tensor], Products]] = {
    nn.Linear: _linear,
    nn.Embedding: _embedding,
    nn.BatchNorm1d: _batch_norm,
    nn.LayerNorm: _layer_norm,
}


def _rule_of(layer: nn.Module) -> Callable[[Any, Tensor, Tensor], Products] | None:
    return next((rule for kind, rule in _RULES.items() if isinstance(layer, kind)), None)


def _explains(products: OuterProducts | None, gradient: Tensor) -> bool:
    """Say whether gradients of cells add up to that of their minibatch."""
    if products is None:
        return False
    total = products.total()
    if total.numel() != gradient.numel():
        return False
    difference = (total.reshape(gradient.shape) - gradient).abs().max()
    return not difference > _TOLERANCE * products.squares().max().sqrt()  # what is no number is refused later


def _n_cells(tensors: Minibatch) -> int:
    return len(next(iter(tensors.values())))

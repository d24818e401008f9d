"""Fit new labels in the networks of scANVI, with all other weights fixed."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch.distributions import Normal, kl_divergence

from scarches_plus.train._plans.free_entries import FreeEntries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor
    from torch.nn import Module

    Entries = Mapping[str, tuple[int, Tensor]]

#: Variance of the prior of new weights of the classifier, whose last layer takes values of about unit scale.
_PRIOR_VARIANCE = 10.0
_STEPS = 500
_LEARNING_RATE = 0.05


def fit_classifier(classifier: Module, z: Tensor, allowed: Tensor, entries: Entries) -> None:
    r"""Fit new rows of a classifier's last layer by maximum a posteriori, all other weights fixed.

    The objective,

    .. math:: -\sum_n \log \sum_{y \in \mathrm{allowed}_n} q(y \mid z_n) + \frac{\lVert w \rVert^2}{2 \sigma^2},

    is convex in the rows :math:`w` where every cell has one class: the solution does not depend on where the search
    starts.

    Parameters
    ----------
    classifier
        Gives logits or, as its attribute ``logits`` says, probabilities of classes; changed in place, in ``entries``
        only.
    z
        Latent means, shape ``(n_cells, n_latent)``.
    allowed
        Boolean, shape ``(n_cells, n_classes)``: the classes that a cell's label stands for.
    entries
        Parameter name to ``(dimension, indices)`` of the new rows.
    """
    exact = deepcopy(classifier).double().eval()
    free, points = FreeEntries(exact, entries), z.double()
    rows = free.parameters()
    optimizer = torch.optim.LBFGS(
        rows, max_iter=500, tolerance_grad=1e-6, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        free.scatter_values()
        output = exact(points)
        shares = output.log_softmax(-1) if classifier.logits else output.log()
        loss: Tensor = -shares.masked_fill(~allowed, -torch.inf).logsumexp(-1).sum()
        loss.backward()
        free.gather_gradients()
        with torch.no_grad():
            for row in rows:
                row.grad += row / _PRIOR_VARIANCE
                loss += row.square().sum() / (2 * _PRIOR_VARIANCE)
        return loss

    with _one_thread():
        optimizer.step(objective)  # type: ignore[arg-type]
    free.scatter_values()
    _copy_entries(exact, classifier, entries)


def fit_conditional(
    networks: Any, z_mean: Tensor, z_var: Tensor, classes: Tensor, is_new: Tensor, *, entries: Entries, rng: int
) -> None:
    r"""Fit the columns of new classes in the networks that are conditioned on classes, all other weights fixed.

    Lowers what scANVI's loss has of them, the mean over cells of
    :math:`KL(q(z_2 | z_1, y) \,\|\, p(z_2)) - E_{q(z_2 | z_1, y)} \log p(z_1 | z_2, y)` with
    :math:`z_1 \sim q(z_1 | x)`, until new classes fit their cells as well as old classes fit theirs. Fitted closer,
    they would be so narrow that queries which are mapped later are pushed away from them.

    Parameters
    ----------
    networks
        Module with ``encoder_z2_z1`` and ``decoder_z1_z2``; changed in place, in ``entries`` only.
    z_mean, z_var
        Posteriors of cells, shape ``(n_cells, n_latent)``.
    classes
        Class of each, shape ``(n_cells,)``.
    is_new
        Whether that is a new one, Boolean, shape ``(n_cells,)``.
    entries
        Parameter name to ``(dimension, indices)`` of the new columns.
    rng
        Seed of the samples.
    """
    part = torch.nn.ModuleDict(
        {name: deepcopy(getattr(networks, name)).eval() for name in ("encoder_z2_z1", "decoder_z1_z2")}
    )
    free = FreeEntries(part, entries)
    optimizer = torch.optim.Adam(free.parameters(), lr=_LEARNING_RATE)

    def loss_of(cells: Tensor) -> Tensor:
        z1, y = Normal(z_mean[cells], z_var[cells].sqrt()).sample(), classes[cells][:, None]
        qz2, z2 = part["encoder_z2_z1"](z1, y)
        mean, variance = part["decoder_z1_z2"](z2, y)
        divergence = kl_divergence(qz2, Normal(torch.zeros_like(z2), torch.ones_like(z2)))
        return (divergence - Normal(mean, variance.sqrt()).log_prob(z1)).sum(-1).mean()

    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(rng)
        with torch.no_grad():
            enough = -torch.inf if is_new.all() else float(loss_of(~is_new))
        for _ in range(_STEPS):
            loss = loss_of(is_new)
            if loss <= enough:
                break
            loss.backward()
            free.gather_gradients()
            optimizer.step()
            optimizer.zero_grad()
            free.scatter_values()
    _copy_entries(part, networks, entries)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run on one thread: these steps are so short that several would mostly wait for each other."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@torch.no_grad()
def _copy_entries(source: Module, target: Module, entries: Entries) -> None:
    values, weights = source.state_dict(), dict(target.named_parameters())
    for name, (dim, where) in entries.items():
        index = where.to(weights[name].device)
        weights[name].index_copy_(dim, index, values[name].index_select(dim, index).to(weights[name].dtype))

"""Train scANVI's classifier alone, on posteriors of labelled cells that stand still meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

_MINIBATCH = 128
_LEARNING_RATE = 1e-3


def label_weights(labels: Tensor, balance: float, n_codes: int = 0) -> Tensor:
    """Return how much a cell of each label counts, such that a label of n cells counts n ** (1 - balance) in all.

    Parameters
    ----------
    labels
        Codes of labels, shape ``(n_cells,)``.
    balance
        From 0, every cell alike, to 1, every label alike.
    n_codes
        Number of codes, if some of the last do not occur. Such count as if they had one cell.

    Returns
    -------
    Tensor
        Shape ``(n_codes,)``; the mean over cells is 1.
    """
    n_cells = torch.bincount(labels, minlength=n_codes).float()
    weights = n_cells.clamp(min=1) ** -balance
    return weights * (n_cells.sum() / (weights * n_cells).sum())


def train_classifier(module: Any, z_mean: Tensor, z_var: Tensor, labels: Tensor, *, steps: int, balance: float) -> None:
    r"""Lower the cross-entropy of labels, :math:`E_{q(z | x)} [-\log q(y | z)]`, in the classifier only.

    Latent variables are drawn anew in every step: noise as wide as the posterior keeps a classifier of few cells from
    learning them by heart. Adam, whose rate falls to 0 in a line; dropout is live.

    Parameters
    ----------
    module
        Module of scANVI.
    z_mean, z_var
        Posteriors of labelled cells, shape ``(n_cells, n_latent)``.
    labels
        Code of each, shape ``(n_cells,)``.
    steps
        Minibatches of 128 cells.
    balance
        As in :func:`label_weights`, by which cells are drawn.
    """
    classifier, scale = module.classifier, z_var.sqrt()
    chances = label_weights(labels, balance)[labels]
    parameters = list(classifier.parameters())
    optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE)
    rate = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    training = classifier.training
    classifier.train()
    for _ in range(steps):
        rows = torch.multinomial(chances, _MINIBATCH, replacement=True)
        z = z_mean[rows] + scale[rows] * torch.randn_like(z_mean[rows])
        loss = module.label_loss(classifier(z), labels[rows])
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()
        rate.step()
    optimizer.zero_grad()
    classifier.train(training)

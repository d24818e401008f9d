"""Estimate the importance of weights: the diagonal Fisher information, for EWC."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from scarches_plus import _arguments as check
from scarches_plus import _limits
from scarches_plus._logging import logger
from scarches_plus._progress import progress_bar
from scarches_plus.train._estimation._cell_gradients import CellGradients
from scarches_plus.train._estimation._eval_mode import evaluated
from scarches_plus.train._estimation._observe_cells import lies_on_disk
from scarches_plus.train._estimation._reference_model import require_model

from .importance import Importance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scarches_plus.train._estimation._reference_model import ReferenceModel

Estimator = Literal["per_cell", "batch"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)
#: Cells that show which parameters the loss depends on.
_N_EXAMPLES = 32
#: Seconds without a progress bar.
_PATIENCE = 5


def estimate_importance(
    model: ReferenceModel,
    *,
    n_cells: int | None = None,
    estimator: Estimator = "per_cell",
    batch_size: int = 128,
    n_samples: int = 1,
    rng: int | np.random.Generator = 0,
    add_to_previous: bool = False,
    decay: float = 1.0,
) -> Importance:
    r"""Estimate how much each weight matters to a model's cells: the diagonal Fisher information, for :class:`EWC`.

    It is the mean over cells of the squared gradient of each cell's own negative ELBO,
    :math:`F_i = \frac{1}{n} \sum_c (\partial \mathcal{L}_c / \partial \theta_i)^2`, with a KL weight of 1 and without
    dropout. scANVI's ELBO is the one over all labels; its classification loss has no part. Squares of single cells cost
    little more than one epoch of training, since linear layers, norm layers, embeddings and dispersions have closed
    rules; parameters of other kinds go one cell at a time, and the log names them. The model itself does not change.

    Parameters
    ----------
    model
        Model with its cells. It then carries the importance through saving, loading and surgery.
    n_cells
        Random sample of so many cells, at most; ``None`` takes all.
    estimator
        ``"per_cell"``, or ``"batch"`` for the squared gradient of the mean loss of minibatches, as the code of CLCVAE
        has it, here times the number of their cells. Over random minibatches the two have the same expectation where
        the gradient is zero on average, so that a weight of EWC means about the same with both, at any batch size.
        Elsewhere ``"batch"`` is larger by the squared mean gradient times ``batch_size - 1``: training does not end at
        zero exactly, so keep minibatches small for it. It is also a mean over far fewer numbers.
    batch_size
        Cells of a minibatch; no matter to ``"per_cell"`` but for memory.
    n_samples
        Samples of the latent variables for each cell. A gradient is the mean over them before it is squared; with one,
        their noise counts as importance.
    rng
        Seed or generator for the choice and order of cells and for latent samples.
    add_to_previous
        Add to the importance that the model already carries, that of its reference and earlier queries, for another
        query after this one (online EWC). The weights to stay near are then the present ones.
    decay
        Factor of the earlier importance; below 1, old cells are forgotten little by little.

    Returns
    -------
    Importance
        What the model now carries: tensors on the CPU, with an entry for each parameter that the loss depends on,
        whether or not surgery froze it.

    Raises
    ------
    ValueError
        If the model has no cells, an option is out of range, the model carries no importance to add to, or a gradient
        is not finite.
    TypeError
        If a number is not whole.

    References
    ----------
    Kirkpatrick et al. 2017 (EWC); Schwarz et al. 2018 (online EWC); CLCVAE 2022, ``estimator="batch"``.
    """
    require_model(model)
    n_cells = None if n_cells is None else check.whole("n_cells", n_cells, least=1)
    check.choice("estimator", estimator, ESTIMATORS)
    batch_size = check.whole("batch_size", batch_size, least=1)
    n_samples = check.whole("n_samples", n_samples, least=1, most=_limits.DRAWS)
    check.seed("rng", rng)
    check.flags(add_to_previous=add_to_previous)
    check.number("decay", decay, least=0)
    if model.adata is None or model.minified_data_type is not None:
        message = (
            "importance is estimated on the model's cells, and this model came without their counts; load it with "
            "its cells, and estimate before minifying"
        )
        raise ValueError(message)
    if decay != 1 and not add_to_previous:
        message = "decay weighs the importance that the model already carries: pass add_to_previous=True, too"
        raise ValueError(message)
    previous = model.state.importance if add_to_previous else None
    if add_to_previous and previous is None:
        message = "the model carries no importance to add to; call without add_to_previous=True"
        raise ValueError(message)

    generator = np.random.default_rng(rng)
    rows = generator.permutation(model.adata.n_obs)[:n_cells]
    if estimator == "per_cell" and lies_on_disk(model):  # a sum has no order
        rows = np.sort(rows)
    seed = int(generator.integers(2**63))
    with _undisturbed(model.module):
        fisher = _fisher(model, rows, seed, estimator, batch_size=batch_size, n_samples=n_samples)
    broken = [name for name, values in fisher.items() if not values.isfinite().all()]
    if broken:
        message = f"gradients of {broken} are not finite; look for weights or counts of the model that are not"
        raise ValueError(message)
    parameters = dict(model.module.named_parameters())
    importance = Importance(
        fisher={name: values.float().cpu() for name, values in fisher.items()},
        values={name: parameters[name].detach().to("cpu", torch.float32, copy=True) for name in fisher},
        n_cells=len(rows),
        estimator=estimator,
    )
    if previous is not None:
        importance = importance.plus(previous, decay=decay)
    model.remember(importance=importance)
    return importance


def _fisher(
    model: Any, rows: np.ndarray, seed: int, estimator: str, *, batch_size: int, n_samples: int
) -> dict[str, torch.Tensor]:
    gradients = CellGradients(model.module, next(_minibatches(model, rows[:_N_EXAMPLES], _N_EXAMPLES)), n_samples)
    per_cell = estimator == "per_cell"
    if per_cell and gradients.one_by_one:
        logger.info("gradients one cell at a time, which takes long, for %s", gradients.one_by_one)
    torch.manual_seed(seed)
    fisher = {name: torch.tensor(0.0) for name in gradients.used}
    n_minibatches = 0
    with progress_bar(len(rows), "Estimating importance", unit=" cells", patience=_PATIENCE) as progress:
        for tensors in _minibatches(model, rows, batch_size):
            size = len(next(iter(tensors.values())))
            if per_cell:
                terms = gradients.squares(tensors)
            else:
                terms = {name: size * one.square() for name, one in gradients.of_minibatch(tensors).items()}
            fisher = {name: terms[name].add_(total) for name, total in fisher.items()}
            n_minibatches += 1
            progress.update(size)
    return {name: total / (len(rows) if per_cell else n_minibatches) for name, total in fisher.items()}


def _minibatches(model: Any, rows: np.ndarray, batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
    for tensors in model._make_data_loader(adata=model.adata, indices=rows.tolist(), batch_size=batch_size):
        yield {key: values.to(model.device) for key, values in tensors.items()}


@contextmanager
def _undisturbed(module: torch.nn.Module) -> Iterator[None]:
    """Work on a module in evaluation mode, with gradients and random numbers of one's own."""
    devices = range(torch.cuda.device_count())
    with evaluated(module), torch.enable_grad(), torch.random.fork_rng(devices=devices):
        yield

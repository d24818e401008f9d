"""Compute default epochs, training cells and seeds by scvi-tools' rules.

Layers above, which do not import scvi-tools, take them from here.
"""

from math import ceil

from scvi import settings

#: Cells up to which a training gets all its epochs; above, epochs fall in proportion.
_FULL_TRAINING_CELLS = 40_000
#: Epochs at least, whatever the number of cells.
_FEWEST_EPOCHS = 10

#: Share of the cells that scvi-tools trains on.
_TRAIN_SHARE = 0.9
_SMALLEST_MINIBATCH = 3


def n_training_cells(n_cells: int, batch_size: int) -> int:
    """Return how many cells train, such that no minibatch has one or two cells."""
    n_train = ceil(_TRAIN_SHARE * n_cells)
    rest = n_train % batch_size
    return n_train - rest if 0 < rest < _SMALLEST_MINIBATCH and n_train > rest else n_train


def default_epochs(n_cells: int, most: int) -> int:
    """Return epochs by a budget of steps: those of ``most`` epochs of 40,000 cells, and 10 epochs at least.

    Up to ten times as many cells it is the heuristic of scvi-tools, which goes on to 3 epochs for 1.2 million cells.
    """
    within_budget = min(most, round(most * _FULL_TRAINING_CELLS / n_cells))
    return max(within_budget, min(most, _FEWEST_EPOCHS))


def current_seed() -> int:
    """Return ``scvi.settings.seed``, -1 if it is not set."""
    return -1 if settings.seed is None else int(settings.seed)


def set_seed(seed: int) -> None:
    """Set ``scvi.settings.seed``, which seeds torch and numpy."""
    settings.seed = seed

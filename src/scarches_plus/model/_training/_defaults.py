"""Compute default epochs, training cells and seeds by scvi-tools' rules.

Layers above, which do not import scvi-tools, take them from here.
"""

from math import ceil

from scvi import settings
from scvi.model._utils import get_max_epochs_heuristic

#: Cells up to which a training gets all its epochs; above, epochs fall in proportion.
_FULL_TRAINING_CELLS = 40_000

#: Share of the cells that scvi-tools trains on.
_TRAIN_SHARE = 0.9
_SMALLEST_MINIBATCH = 3


def n_training_cells(n_cells: int, batch_size: int) -> int:
    """Return how many cells train, such that no minibatch has one or two cells."""
    n_train = ceil(_TRAIN_SHARE * n_cells)
    rest = n_train % batch_size
    return n_train - rest if 0 < rest < _SMALLEST_MINIBATCH and n_train > rest else n_train


def default_epochs(n_cells: int, most: int) -> int:
    """Return ``most``, fewer for more than 40,000 cells (the heuristic of scvi-tools for 200 epochs)."""
    return get_max_epochs_heuristic(n_cells, epochs_cap=most, decay_at_n_obs=_FULL_TRAINING_CELLS)


def current_seed() -> int:
    """Return ``scvi.settings.seed``, -1 if it is not set."""
    return -1 if settings.seed is None else int(settings.seed)


def set_seed(seed: int) -> None:
    """Set ``scvi.settings.seed``, which seeds torch and numpy."""
    settings.seed = seed

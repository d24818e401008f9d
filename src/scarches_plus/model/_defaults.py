"""scvi-tools' settings and rules of thumb, for the layers above that do not import it."""

from scvi import settings
from scvi.model._utils import get_max_epochs_heuristic

#: Cells up to which a training gets all its epochs; above, epochs fall in proportion.
_FULL_TRAINING_CELLS = 40_000


def default_epochs(n_cells: int, most: int) -> int:
    """Return ``most``, fewer for more than 40,000 cells (the heuristic of scvi-tools for 200 epochs)."""
    return get_max_epochs_heuristic(n_cells, epochs_cap=most, decay_at_n_obs=_FULL_TRAINING_CELLS)


def current_seed() -> int:
    """Return ``scvi.settings.seed``, -1 if it is not set."""
    return -1 if settings.seed is None else int(settings.seed)


def set_seed(seed: int) -> None:
    """Set ``scvi.settings.seed``, which seeds torch and numpy."""
    settings.seed = seed

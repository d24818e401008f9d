"""Files of cells as users have them, read into AnnData or MuData; errors name the file, and what to do about it.

One module a format. What was chosen while reading (orientation, names, features left out) goes to the log.
"""

from ._kinds import kind_of, resolved
from ._read_cells import read_cells
from ._read_columns import add_columns

__all__ = ["add_columns", "kind_of", "read_cells", "resolved"]

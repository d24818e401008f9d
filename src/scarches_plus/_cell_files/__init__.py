"""Read files of cells into AnnData or MuData, whatever format users have.

One module a format. Errors name the file and say what to do about it. What was chosen while reading (orientation,
names, features left out) goes to the log.
"""

from ._kinds import kind_of, resolved
from ._open_cells import open_cells
from ._read_cells import read_cells
from ._read_columns import add_columns

__all__ = ["add_columns", "kind_of", "open_cells", "read_cells", "resolved"]

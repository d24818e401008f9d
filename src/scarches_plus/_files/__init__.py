"""Replace files and folders in one step, check outputs before the work begins, read what others may change or plant.

Nothing else in the package replaces a file or a folder, or writes into a folder that others can write to.
"""

from ._cache import CACHE_VARIABLE, cache_folder
from ._check import check_apart, check_output_file, check_output_folder, check_space
from ._private_folder import private_folder
from ._read_file import open_regular, read_file
from ._read_folder import read_folder
from ._shared import append_line, cache_subfolder, locked, open_part, place_part
from ._swap import current
from ._unpacked import read_unpacked, unpack_rest, unpacked
from ._write_file import write_file
from ._write_folder import write_folder

__all__ = [
    "CACHE_VARIABLE",
    "append_line",
    "cache_folder",
    "cache_subfolder",
    "check_apart",
    "check_output_file",
    "check_output_folder",
    "check_space",
    "current",
    "locked",
    "open_part",
    "open_regular",
    "place_part",
    "private_folder",
    "read_file",
    "read_folder",
    "read_unpacked",
    "unpack_rest",
    "unpacked",
    "write_file",
    "write_folder",
]

"""Replace files and folders atomically, check outputs early, and read shared files safely.

Nothing else in the package puts a file or a folder in its place, or writes into a folder that others can write to.
"""

from ._cache import CACHE_VARIABLE, cache_folder
from ._check import check_apart, check_output_file, check_output_folder, check_space
from ._folders._private_folder import private_folder
from ._folders._read_folder import read_folder
from ._folders._swap import current
from ._folders._write_folder import write_folder
from ._locks import lock, unlock
from ._read_file import open_regular, read_file
from ._remove_folder import remove_folder
from ._shared import append_line, cache_subfolder, locked, open_part, place_part
from ._unpacked import read_unpacked, unpack_rest, unpacked
from ._write_file import write_file

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
    "lock",
    "locked",
    "open_part",
    "open_regular",
    "place_part",
    "private_folder",
    "read_file",
    "read_folder",
    "read_unpacked",
    "remove_folder",
    "unlock",
    "unpack_rest",
    "unpacked",
    "write_file",
    "write_folder",
]

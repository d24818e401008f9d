"""Read pickles and torch files as plain values, without executing them.

Nothing that a file names is looked up, called or set up: opcodes become inert records, and of those only what is known
to be harmless becomes tensors, arrays and tables, from checked bytes. Whatever knows a model's meaning belongs in
``model``.
"""

from ._former import FORMER_FILES, FormerModel, read_former_folder
from ._read import Content, read_pickle_file, read_torch_file
from ._records import FETCH, TRUST, UnsafeFileError
from ._tables import Table

__all__ = [
    "FETCH",
    "FORMER_FILES",
    "TRUST",
    "Content",
    "FormerModel",
    "Table",
    "UnsafeFileError",
    "read_former_folder",
    "read_pickle_file",
    "read_torch_file",
]

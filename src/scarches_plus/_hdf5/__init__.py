"""Check HDF5 files before they are read.

Every HDF5 file from outside (h5ad, h5mu, 10x h5) passes :func:`check_hdf5` first, because neither HDF5 nor anndata
checks what a file declares. Refusals are ValueErrors that name the file and the place in it.
"""

from ._check_hdf5 import check_hdf5
from ._read_checked import read_checked, read_h5ad

__all__ = ["check_hdf5", "read_checked", "read_h5ad"]

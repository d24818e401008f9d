"""Write the cells of many files into one store on disk, shuffled, from which references are trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import zarr
from anndata import AnnData

from scarches_plus import _arguments as check
from scarches_plus import _keys
from scarches_plus._cells import STUDY_KEY, column_of
from scarches_plus._files import check_output_folder, check_space, private_folder, write_folder
from scarches_plus._progress import progress_bar

from ._studies._join_studies import join_studies
from ._studies._shuffle_cells import shuffle_cells
from ._studies._write_zarr import write_zarr_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from scipy import sparse
    from tqdm.auto import tqdm

    from ._studies._join_studies import JoinedStudies

#: Seconds without a progress bar.
_PATIENCE = 5


def write_store(
    adatas: Mapping[str, AnnData | str | Path] | Sequence[AnnData | str | Path] | AnnData | str | Path,
    out: str | Path,
    *,
    keys: Sequence[str] | None = None,
    study_key: str = "study",
    min_studies: int = 1,
    layer: str | None = None,
    columns: Sequence[str] | None = None,
    rng: int | np.random.Generator = 0,
    overwrite: bool = False,
) -> Path:
    """Write the cells of many files into one store on disk, genes aligned and cells shuffled.

    The store is a .zarr folder that anndata reads, too. It holds what :func:`concat_studies` returns, cells in random
    order: then cells that lie together are a random sample, and training from disk is as from memory
    (:func:`open_cells`, :func:`scarches_plus.tl.build_reference`). Counts are read and written a part at a time, in
    some 500 MB of memory beside the columns of ``obs``; meanwhile the disk needs room for them without packing, too.

    Parameters
    ----------
    adatas
        Studies by name, or in a sequence, or a single one: .h5ad files, .zarr folders or AnnData. They are not changed.
    out
        Folder to write, such as ``"atlas.zarr"``. It is put in place once it is whole.
    keys
        Names of the studies of a sequence; ``None`` takes the names of files, and numbers where there are none.
    study_key
        New ``obs`` column of the study's name.
    min_studies
        Keep genes that at least so many studies measured.
    layer
        Layer with raw counts; ``None`` means ``X``. The store has them in ``X``.
    columns
        Columns of ``obs`` to keep, beside that of the study; ``None`` keeps all.
    rng
        Seed or generator of the order of cells.
    overwrite
        Replace a folder that is there.

    Returns
    -------
    pathlib.Path
        ``out``.

    Raises
    ------
    QueryError
        If a study holds no raw counts.
    FileExistsError
        If ``out`` is there and ``overwrite`` is not set.
    OSError
        If a file cannot be read, or the disk has no room.
    KeyError
        If no study has a column.
    ValueError
        If a file is damaged, or as in :func:`concat_studies`.
    TypeError
        If an argument is of another kind, such as a text where a list is meant.
    """
    check.seed("rng", rng)
    check.flags(overwrite=overwrite)
    columns = None if columns is None else check.names("columns", columns)
    target = check_output_folder(check.path("out", out), overwrite=overwrite, foreign=_no_store)
    studies = [adatas] if isinstance(adatas, AnnData | str | Path) else adatas
    joined = join_studies(studies, keys=keys, study_key=study_key, min_studies=min_studies, layer=layer, stacklevel=3)
    obs = joined.obs if columns is None else _kept(joined, columns)
    positions = np.random.default_rng(rng).permutation(len(obs))
    write_folder(target, lambda folder: _write(folder, joined, obs, positions), overwrite=overwrite, foreign=_no_store)
    return target


def _write(folder: Path, joined: JoinedStudies, obs: pd.DataFrame, positions: np.ndarray) -> None:
    progress = progress_bar(2 * len(obs), "Writing store", unit=" cells", patience=_PATIENCE)
    with private_folder(folder) as piles, progress:
        dealt = _counted(_while_there_is_room(joined.blocks(), folder), progress)
        n_values, blocks = shuffle_cells(
            dealt, positions, len(joined.measured), joined.dtype, piles, values_of_cell=joined.values_of_cell
        )
        order = np.argsort(positions)
        write_zarr_blocks(
            folder,
            _counted(blocks, progress),
            n_values,
            joined.dtype,
            obs=obs.iloc[order],
            var=pd.DataFrame(index=joined.measured.index),
            varm={_keys.MEASURED: joined.measured},
            uns={_keys.UNS: {STUDY_KEY: joined.study_key}},
        )


def _counted(blocks: Iterable[sparse.csr_matrix], progress: tqdm) -> Iterator[sparse.csr_matrix]:
    for block in blocks:
        yield block
        progress.update(block.shape[0])


def _while_there_is_room(blocks: Iterable[sparse.csr_matrix], folder: Path) -> Iterator[sparse.csr_matrix]:
    """Stop before the disk is full, with a message that says so."""
    for block in blocks:
        check_space(folder, 2 * (block.data.nbytes + block.indices.nbytes))
        yield block


def _kept(joined: JoinedStudies, columns: Sequence[str]) -> pd.DataFrame:
    for name in columns:
        column_of(joined.obs, name)
    return joined.obs[list(dict.fromkeys([joined.study_key, *columns]))]


def _no_store(folder: Path) -> str | None:
    """Say why a folder may not be replaced: it is no store, nor other AnnData."""
    if not any(folder.iterdir()):
        return None
    try:
        kind = zarr.open_group(folder, mode="r").attrs.get("encoding-type")
    except (OSError, ValueError, KeyError, TypeError):
        kind = None
    return None if kind == "anndata" else "it holds no zarr store of AnnData"

"""Visit a reference with one query from a file, and write the mapped cells: what a worker does."""

from __future__ import annotations

import logging
import threading
import traceback
import warnings
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from scarches_plus import _keys, _visit
from scarches_plus._cell_files import read_cells
from scarches_plus._errors import is_for_users
from scarches_plus._files import write_file
from scarches_plus._logging import logger
from scarches_plus._text import for_line

from ._tasks import DONE, FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

    from scarches_plus._visit import Visit

    from ._tasks import Task

#: Threads of a worker of Dask share one process, whose seed and warnings are one at a time.
_TURN = threading.Lock()
#: The reference that this process has open, by its path and the setting.
_OPEN: dict[tuple[str, str], Visit] = {}


def visit_query(task: Task) -> dict[str, Any]:
    """Map a query as a task says, write its results, and return its row of the table; errors are told there.

    The reference stays open for the next query of this process.
    """
    row, fingerprint = task.empty_row(), None
    with _TURN:
        try:
            task.begin()
            fingerprint = task.fingerprint()
            visit = _opened(task)
            with _noted(row):
                _map(task, visit, row)
            row["status"] = DONE
        except Exception as error:  # noqa: BLE001 (one bad query stops no other)
            row |= {"status": FAILED, "message": _message_of(error)}
        task.end(row, fingerprint)
    return {name: value for name, value in row.items() if name != "traceback"}


def failed_row(task: Task, error: BaseException) -> dict[str, Any]:
    """Return, and record, the row of a query whose worker could not say what happened."""
    row = {**task.empty_row(), "status": FAILED, "message": for_line(error)}
    task.end(row, None)
    return row


def _message_of(error: BaseException) -> str:
    """Return in one line what users read of an error."""
    text = for_line(error.args[0] if isinstance(error, KeyError) and error.args else error)
    told = text and (isinstance(error, OSError) or is_for_users(error))
    return text if told else f"an unexpected {type(error).__name__}: {text}"


def _map(task: Task, visit: Visit, row: dict[str, Any]) -> None:
    with threadpool_limits(task.n_threads):  # what a process was started with may be more
        adata = read_cells(task.query, modality=task.modality)
        row["n_cells"] = adata.n_obs
        visit.map(adata, Path(task.query).name, row["notes"].append, progress=False)
        try:
            looked_for_novel = visit.label(adata, row["notes"].append)
        finally:  # what is mapped is not lost with what comes after
            write_file(task.result, lambda file: adata.write_h5ad(file, compression="gzip"))
            row["file"] = str(task.result)
    row |= _summary(adata, visit.labels_key, looked_for_novel=looked_for_novel)


def _opened(task: Task) -> Visit:
    """Return the reference, opened once in a process."""
    which = task.reference, task.setting
    if which not in _OPEN:
        _OPEN.clear()
        _OPEN[which] = _visit.Visit.to(_visit.open_known(Path(task.reference)), task.options)
    return _OPEN[which]


def _summary(adata: AnnData, labels_key: str, *, looked_for_novel: bool) -> dict[str, Any]:
    """Return the shares of unknown and novel cells, and the number of each label."""
    predicted = adata.obs[_keys.predicted(labels_key)].astype(str)
    judged = looked_for_novel and adata.uns[_keys.UNS][_keys.NOVEL][_keys.NOVEL]["judged"]
    return {
        "unknown": float((predicted == _keys.UNKNOWN).mean()),
        "novel": float(adata.obs[_keys.NOVEL].astype(bool).mean()) if judged else None,
        "labels": {str(label): int(n) for label, n in predicted.value_counts().items()},
    }


@contextmanager
def _noted(row: dict[str, Any]) -> Iterator[None]:
    """Take down notes and warnings, the traceback of an error, and how long it took."""
    notes, level, start = _Notes(row), logger.level, perf_counter()
    logger.addHandler(notes)
    logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            yield
    except Exception as error:
        if not is_for_users(error):
            row["traceback"] = traceback.format_exc()
        raise
    finally:
        logger.removeHandler(notes)
        logger.setLevel(level)
        ours = (for_line(one.message) for one in caught if issubclass(one.category, UserWarning))
        row["warnings"] = list(dict.fromkeys([*row["warnings"], *ours]))
        row["seconds"] = perf_counter() - start


class _Notes(logging.Handler):
    """Keeps what the log says in a row."""

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__()
        self._row = row

    def emit(self, record: logging.LogRecord) -> None:
        where = "notes" if record.levelno < logging.WARNING else "warnings"
        self._row[where].append(for_line(record.getMessage()))

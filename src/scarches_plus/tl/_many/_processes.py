"""Run tasks in processes of this machine, of which one may die without harm to the others."""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Any, TypeVar

from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

from scarches_plus._logging import logger, quiet_libraries
from scarches_plus._settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from concurrent.futures import Future

    from scarches_plus._settings import Accelerator

T = TypeVar("T")
R = TypeVar("R")

#: What numerical libraries read when they are loaded.
_THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
#: How often a task is begun that its process does not survive.
_ATTEMPTS = 2
_LOST = (
    f"its process was ended {_ATTEMPTS} times in the middle of the work, perhaps for want of memory: fewer jobs at a "
    "time (n_jobs) leave more to each, or pass fewer cells"
)


class WorkerLostError(RuntimeError):
    """The process that worked on a task ended in the middle of it, more than once."""


def in_processes(
    do: Callable[[T], R], tasks: Sequence[T], *, n_jobs: int, n_threads: int
) -> Generator[tuple[T, R | BaseException]]:
    """Yield each task with its result as soon as it is there.

    Each process is a pool of its own: if the system ends it, its task alone is begun again, in a new process.

    Parameters
    ----------
    do
        Does a task.
    tasks
        What is to be done.
    n_jobs
        Processes.
    n_threads
        Threads of each.
    """
    waiting = deque((task, 1) for task in tasks)
    idle = [_process(n_threads) for _ in range(min(n_jobs, len(tasks)))]
    running: dict[Future[R], tuple[Any, T, int]] = {}
    try:
        while waiting or running:
            while waiting and idle:
                process, (task, attempt) = idle.pop(), waiting.popleft()
                try:
                    future = process.submit(do, task)
                except BrokenProcessPool:  # ended while it was idle
                    process.shutdown()
                    process = _process(n_threads)
                    future = process.submit(do, task)
                running[future] = process, task, attempt
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                process, task, attempt = running.pop(future)
                error = future.exception()
                if not isinstance(error, BrokenProcessPool):
                    idle.append(process)
                    yield task, future.result() if error is None else error
                    continue
                process.shutdown()
                idle.append(_process(n_threads))
                if attempt < _ATTEMPTS:
                    logger.warning("a process was ended in the middle of its work: it is begun once more")
                    waiting.append((task, attempt + 1))
                else:
                    yield task, WorkerLostError(_LOST)
    finally:
        for process in idle:
            process.shutdown()
        for process, _, _ in running.values():  # after Ctrl-C
            process.shutdown(kill_workers=True)


def _process(n_threads: int) -> Any:
    """Return a pool of one process, which starts with its first task."""
    env = dict.fromkeys(_THREADS, str(n_threads)) | {
        "OMP_WAIT_POLICY": "PASSIVE",
        "MPLBACKEND": "agg",
        "PYTHONWARNINGS": "ignore",
    }
    return ProcessPoolExecutor(1, env=env, initializer=_begin, initargs=(settings.accelerator,))


def _begin(accelerator: Accelerator) -> None:
    """Set up a process that is ours as its parent is."""
    quiet_libraries()
    settings.accelerator = accelerator

"""Run tasks on the workers of a Dask cluster."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from scarches_plus import _arguments as check

from ._tasks import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def connected(client: Any) -> Iterator[Any]:
    """Connect to the scheduler at an address; a client is taken as it is.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If it is neither.
    """
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        message = 'a Dask cluster needs its library: pip install "scarches-plus[dask]"'
        raise ImportError(message) from error
    if isinstance(client, str):
        with distributed.Client(client) as own:
            yield own
    elif isinstance(client, distributed.Client) and not client.asynchronous:
        yield client
    else:
        message = (
            "client must be a dask.distributed.Client that is not asynchronous, or the address of a scheduler, not "
            f"{check.shown(client)}"
        )
        raise TypeError(message)


def require_alike(client: Any, paths: Sequence[Path]) -> None:
    """Require that workers have this version of the package, and see the files that are seen here.

    Raises
    ------
    ValueError
        If one has or does not, naming it.
    """
    seen = [str(path) for path in paths if path.exists()]
    for worker, (version, missing) in client.run(_look, seen).items():
        if version != VERSION:
            message = (
                f"the worker {worker} has scarches-plus {version}, and this is {VERSION}: install "
                "the same version on both"
            )
            raise ValueError(message)
        if missing:
            message = (
                f"the worker {worker} does not see {missing[0]}: queries, reference and out must lie in a folder that "
                "all workers share, under the same path"
            )
            raise ValueError(message)


def on_cluster(do: Callable[[T], R], tasks: Sequence[T], client: Any) -> Generator[tuple[T, R | BaseException]]:
    """Yield each task with its result, or with an error if no worker survived it, as soon as it is there.

    Dask itself begins a task again whose worker died, up to its ``allowed-failures``.
    """
    futures = {client.submit(do, task, pure=False): task for task in tasks}
    try:
        for future in import_module("distributed").as_completed(list(futures)):
            error = future.exception()
            yield futures[future], future.result() if error is None else error
    finally:
        client.cancel(list(futures))


def _look(paths: list[str]) -> tuple[str, list[str]]:
    """Return the version of the package that a worker has, and the files that it does not see."""
    return VERSION, [path for path in paths if not Path(path).exists()]

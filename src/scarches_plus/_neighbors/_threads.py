"""Share work among threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_info, threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def blas_threads() -> int:
    """Return how many threads matrix products take."""
    return max((library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"), default=1)


def for_each(items: Iterable[Any], work: Callable[[Any], None], n_threads: int) -> None:
    """Do some work on all items, in threads that each take the next one; matrix products take no threads meanwhile."""
    rest = iter(list(items))

    def take() -> None:
        for item in rest:
            work(item)

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(n_threads) as pool:
        for task in [pool.submit(take) for _ in range(n_threads)]:
            task.result()

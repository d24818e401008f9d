"""Run work on chunks of cells in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def threads_for_chunks() -> Iterator[ThreadPoolExecutor]:
    """Run whole chunks of cells on each of torch's threads.

    By itself torch would split every operation among them. These operations are so short that the threads spend a third
    of the time waiting for each other, and all of it as soon as another process wants a core.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as workers:
            yield workers
    finally:
        torch.set_num_threads(n_threads)

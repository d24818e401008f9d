"""Run jobs one at a time, in the order in which they came."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from scarches_plus import _limits
from scarches_plus._logging import logger

from ._process import WorkerError, WorkerStoppedError
from ._store import ENDED

if TYPE_CHECKING:
    from ._process import Worker
    from ._store import Store


class FullError(Exception):
    """Too many jobs or questions wait."""


class Queue:
    """Hands waiting jobs to a worker.

    Parameters
    ----------
    store
        Where jobs are.
    worker
        What runs them.
    """

    def __init__(self, store: Store, worker: Worker) -> None:
        self._store, self._worker = store, worker
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._waiting = [job for job in store if store.state(job).status not in ENDED]
        self._running: str | None = None
        self._cancelled: set[str] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._count()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Stop; the job that runs will wait for the next start."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._worker.close()
        if self._thread.is_alive():
            self._thread.join(10)

    def submit(self, options: dict[str, Any]) -> str:
        """Put a job at the end, and return its name.

        Raises
        ------
        FullError
            If too many wait already.
        """
        with self._news:
            if len(self._waiting) >= _limits.WAITING_JOBS:
                message = f"{len(self._waiting)} jobs wait already: come back later"
                raise FullError(message)
            job = self._store.add(options)
            self._waiting.append(job)
            self._count()
            self._news.notify_all()
        return job

    def cancel(self, job: str) -> None:
        """Take a job off the queue, or stop it."""
        with self._news:
            if job in self._waiting:
                self._waiting.remove(job)
                self._store.change(job, status="cancelled", ended=time.time(), position=0)
                self._count()
                return
            if job == self._running:  # stopped under the lock, so that it is not the next job that is stopped
                self._cancelled.add(job)
                self._worker.stop()

    def _count(self) -> None:
        before = int(self._running is not None)
        for place, job in enumerate(self._waiting):
            if self._store.state(job).position != place + before:
                self._store.change(job, keep=False, position=place + before)

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._waiting and not self._closed:
                    self._news.wait()
                if self._closed:
                    return
                job = self._running = self._waiting.pop(0)
                self._store.change(job, status="running", started=time.time(), position=0, step="starting")
                self._count()
            changes = self._outcome(job)
            with self._news:
                if not self._closed:
                    self._store.change(job, ended=time.time(), seconds_left=None, **changes)
                self._running = None
                self._cancelled.discard(job)
                self._count()

    def _outcome(self, job: str) -> dict[str, Any]:
        """Run a job, and return what became of it; a worker that dies takes no other job with it."""

        def tell(line: dict[str, Any]) -> None:
            if job in self._cancelled:  # which came before the worker had begun
                self._worker.stop()
            self._store.change(
                job, keep=False, step=line["step"], progress=line["progress"], seconds_left=line["seconds_left"]
            )

        try:
            self._worker.ask(self._request(job), tell)
        except KeyError:
            return {"status": "failed", "message": "its file is gone: send it again"}
        except (WorkerError, WorkerStoppedError) as error:
            if job in self._cancelled:
                return {"status": "cancelled"}
            return {"status": "failed", "message": str(error)}
        except Exception as error:  # noqa: BLE001 (whatever it was, the next job is run)
            logger.exception("job %s", job)
            return {"status": "failed", "message": f"the server could not run it: {type(error).__name__}: {error}"}
        return {"status": "done", "step": "", "progress": 1.0}

    def _request(self, job: str) -> dict[str, Any]:
        options = self._store.options(job)
        file = options.get("file")
        query = str(self._store.file(file)) if file is not None else options["path"]
        return {
            "do": "map",
            "options": options,
            "query": query,
            "out": str(self._store.path(job)),
            "maps": str(self._store.maps),
        }

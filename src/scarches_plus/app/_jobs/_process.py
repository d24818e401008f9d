"""Talk to a worker process: a line of JSON for each request, and lines of JSON back."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Requests after which a process makes room for a fresh one, so that memory stays bounded.
_MOST_REQUESTS = 25


class WorkerError(Exception):
    """Carries to people what a worker says went wrong."""


class WorkerStoppedError(Exception):
    """A worker process ended in the middle of its work."""


class Worker:
    """Runs one request at a time in a process of its own, which can be stopped at any moment.

    Parameters
    ----------
    log
        File for what the process has to say.
    most_requests
        Requests after which the process makes room for a fresh one.
    """

    def __init__(self, log: Path, *, most_requests: int = _MOST_REQUESTS) -> None:
        self._log = log
        self._most_requests = most_requests
        self._process: subprocess.Popen[str] | None = None
        self._requests = 0
        self._turn = threading.Lock()  # whose request it is
        self._change = threading.Lock()  # of the process
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Number of the process, ``None`` while there is none."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> None:
        """Start the process ahead of its first request: what it imports takes seconds."""
        self._running()

    def ask(
        self,
        request: dict[str, Any],
        tell: Callable[[dict[str, Any]], None] | None = None,
        *,
        seconds: float | None = None,
    ) -> Any:
        """Return the answer to a request.

        Parameters
        ----------
        request
            Plain values; ``do`` says what is to be done.
        tell
            Is given each line about progress.
        seconds
            How long it may take.

        Raises
        ------
        WorkerError
            If the request fails; the message is for people.
        WorkerStoppedError
            If the process ended, or took longer and was stopped.
        """
        with self._turn:
            process = self._running()
            self._requests += 1
            clock = _Clock(process, seconds)
            try:
                with contextlib.suppress(BrokenPipeError, ValueError):
                    print(json.dumps(request), file=process.stdin, flush=True)
                    for line in process.stdout:  # type: ignore[union-attr]
                        answer = json.loads(line)
                        if answer["kind"] == "done":
                            return answer["result"]
                        if answer["kind"] == "failed":
                            raise WorkerError(answer["message"])
                        if tell is not None:
                            tell(answer)
                status = process.wait()
            finally:
                clock.stop()
                if clock.rang or self._requests >= self._most_requests:
                    self.stop()
            raise WorkerStoppedError(clock.message if clock.rang else _ended(status))

    def stop(self) -> None:
        """End the process, whatever it does. The next request starts another."""
        with self._change:
            process, self._process = self._process, None
        if process is not None:
            _end(process)

    def close(self) -> None:
        """End the process for good."""
        self._closed = True
        self.stop()

    def _running(self) -> subprocess.Popen[str]:
        with self._change:
            if self._closed:
                message = "the server ends"
                raise WorkerStoppedError(message)
            if self._process is None or self._process.poll() is not None:
                if self._process is not None:
                    _end(self._process)
                self._requests = 0
                with self._log.open("ab") as log:
                    self._process = subprocess.Popen(
                        # -P: nothing that lies in the working folder is imported
                        [sys.executable, "-P", "-W", "ignore", "-m", "scarches_plus.app._worker"],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        text=True,
                        encoding="utf-8",
                        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "MPLBACKEND": "agg"},
                        start_new_session=True,  # Ctrl-C at the server is not for it
                    )
            return self._process


class _Clock:
    """Ends a process that takes too long."""

    def __init__(self, process: subprocess.Popen[str], seconds: float | None) -> None:
        self.rang = False
        self.message = f"this took more than {seconds or 0:g} s and was stopped: try with fewer cells, or in Python"
        self._process = process
        self._timer = threading.Timer(seconds or 0, self._ring)
        self._timer.daemon = True
        if seconds is not None:
            self._timer.start()

    def stop(self) -> None:
        """Ring no more from now on."""
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()

    def _ring(self) -> None:
        self.rang = True
        self._process.kill()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            stream.close()  # type: ignore[union-attr]


def _ended(status: int) -> str:
    if status == -9:
        return "the worker process was stopped by the system, perhaps for want of memory: try with fewer cells or genes"
    return f"the worker process ended ({f'signal {-status}' if status < 0 else f'status {status}'}): see worker.log"

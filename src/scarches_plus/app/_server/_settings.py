"""Hold what the server was started with, and what it works with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from scarches_plus import _limits
from scarches_plus.app._jobs._process import Worker
from scarches_plus.app._jobs._queue import FullError, Queue
from scarches_plus.app._jobs._store import Store

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    Attributes
    ----------
    folder
        Folder for results.
    token
        What a visitor has to know.
    hosts
        Names, with ports, under which the server is visited.
    references
        What names the references that are offered, first those of the command line.
    paths
        Whether visitors may name files and models on the server's disk.
    upload_bytes
        The largest file that is taken.
    """

    folder: Path
    token: str
    hosts: frozenset[str]
    references: tuple[str, ...] = ()
    paths: bool = True
    upload_bytes: int = _limits.UPLOAD_BYTES


@dataclass
class Workplace:
    """Jobs and the two processes that do the work: one runs jobs, the other answers quick questions meanwhile."""

    settings: Settings
    store: Store = field(init=False)
    jobs: Worker = field(init=False)
    questions: Worker = field(init=False)
    queue: Queue = field(init=False)
    described: dict[tuple[str, str | None, str], dict[str, Any]] = field(default_factory=dict)
    line: asyncio.Lock = field(default_factory=asyncio.Lock)
    in_line: int = 0

    def __post_init__(self) -> None:
        self.store = Store(self.settings.folder)
        log = self.settings.folder / "worker.log"
        self.jobs, self.questions = Worker(log), Worker(log)
        self.queue = Queue(self.store, self.jobs)

    def start(self) -> None:
        """Start both processes ahead of the first visitor."""
        self.questions.start()
        self.jobs.start()
        self.queue.start()

    async def ask(self, question: dict[str, Any]) -> Any:
        """Return the answer to a question. One is asked at a time; those in line hold no thread that sends files.

        Raises
        ------
        FullError
            If too many wait already.
        """
        if self.in_line >= _limits.WAITING_QUESTIONS:
            message = "too many questions wait already: ask again later"
            raise FullError(message)
        seconds = _limits.MAP_SECONDS if question["do"] == "describe" else _limits.QUESTION_SECONDS
        self.in_line += 1
        try:
            async with self.line:
                return await run_in_threadpool(self.questions.ask, question, seconds=seconds)
        finally:
            self.in_line -= 1

    def close(self) -> None:
        """End both processes."""
        self.questions.close()
        self.queue.close()
        self.store.close()


def own_hosts(host: str, port: int, allowed: tuple[str, ...] = ()) -> frozenset[str]:
    """Return the values of the Host header under which a server is visited.

    Parameters
    ----------
    host, port
        Where it listens.
    allowed
        Further names, such as that of a reverse proxy, with their ports unless that is the usual one.
    """
    names = {"127.0.0.1", "localhost", "[::1]"} if is_local(host) else {f"[{host}]" if ":" in host else host}
    return frozenset({f"{name}:{port}".lower() for name in names} | {name.lower() for name in allowed})


def is_local(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

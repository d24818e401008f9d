"""Break HTTP connections that are too slow for a socket's time-out to notice.

A server that sends a byte a second never meets that time-out.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter

from scarches_plus import _limits

if TYPE_CHECKING:
    from collections.abc import Callable


class Watch:
    """Watches the connections of sessions from :meth:`start` to :meth:`stop`.

    A transfer breaks if less than ``_limits.SLOWEST`` bytes a second have moved over ``window`` seconds, or where it
    takes longer than ``total`` seconds.

    Attributes
    ----------
    broken
        Why connections were broken, for a message; empty if they were not.
    """

    def __init__(self, window: float, total: float = float("inf")) -> None:
        self._window, self._total = window, total
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = Lock()
        self._timer: Timer | None = None
        self._moved, self._end = 0, float("inf")
        self.broken = ""

    def start(self) -> None:
        """Begin to watch a transfer."""
        with self._lock:
            self.broken, self._end = "", time.monotonic() + self._total
            self._set_timer()

    def answered(self) -> None:
        """Begin a new window: the answer is there, and its contents follow."""
        with self._lock:
            if self._timer is not None and not self.broken:
                self._set_timer()

    def moved(self, n_bytes: int) -> None:
        """Count what has arrived or was sent."""
        self._moved += n_bytes

    def stop(self) -> None:
        """Stop watching."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None

    def add(self, connection: Any) -> None:
        """Watch a further connection."""
        with self._lock:
            self._sockets.add(connection)
            if self.broken:
                _break(connection)

    def mount(self, session: Any) -> None:
        """Watch all connections that a session of requests makes, also those through proxies."""
        for prefix in ("https://", "http://"):
            session.mount(prefix, _adapter(self.add))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._moved = 0
        timer = Timer(max(0.0, min(self._window, self._end - time.monotonic())), self._look)
        timer.daemon = True
        self._timer = timer
        timer.start()

    def _look(self) -> None:
        with self._lock:
            if self._timer is None:
                return
            if time.monotonic() >= self._end:
                self.broken = f"takes longer than {self._total:g} s"
            elif self._moved < _limits.SLOWEST * self._window:
                self.broken = f"is too slow: {self._moved} bytes in {self._window:g} s"
            else:
                self._set_timer()
                return
            for connection in list(self._sockets):
                _break(connection)


def _break(connection: Any) -> None:
    """Shut a connection down, which wakes whoever waits for it in any thread; an encrypted one by the socket below."""
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _FewLines:
    """File of a connection that refuses answers made of little but headers, interim answers and sizes of chunks."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._n_lines = self._n_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def readline(self, *args: Any) -> bytes:
        """Return the next line."""
        self._n_lines += 1
        if self._n_lines > _limits.MOST_LINES + self._n_bytes // _limits.LINE_BYTES:
            message = "more lines than contents"
            raise HTTPException(message)
        line: bytes = self._file.readline(*args)
        return line

    def read(self, *args: Any) -> bytes:
        """Return the next bytes."""
        contents: bytes = self._file.read(*args)
        self._n_bytes += len(contents)
        return contents

    def readinto(self, buffer: Any) -> int:
        """Put the next bytes into a buffer."""
        n_bytes: int = self._file.readinto(buffer)
        self._n_bytes += n_bytes
        return n_bytes


def _adapter(add: Callable[[Any], None]) -> Any:
    class Adapter(HTTPAdapter):
        """Adapter of requests that reports every connection to the watch."""

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            _tell(self.poolmanager, add)

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            return _tell(super().proxy_manager_for(*args, **kwargs), add)

    return Adapter()


def _tell(manager: Any, add: Callable[[Any], None]) -> Any:
    if not getattr(manager, "tells", False):  # managers of proxies are kept
        pools = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: _telling(pool, add) for scheme, pool in pools.items()}
        manager.tells = True
    return manager


def _telling(pool: Any, add: Callable[[Any], None]) -> Any:
    class Response(HTTPResponse):
        """Reads an answer whose lines are not too many."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.fp: Any = _FewLines(self.fp)

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        """Connection that reports itself to the watch."""

        response_class = Response

        def connect(self) -> None:
            super().connect()
            add(self.sock)

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})

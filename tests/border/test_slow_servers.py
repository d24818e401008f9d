"""No server can hold a transfer for ever, or fill the memory with it."""

import gzip
import hashlib
import socket
import threading
import time
import zlib

import pytest
from invenio_server import TOKEN
from shipped import entry_of

import scarches_plus as sp
from scarches_plus.datasets._sources._download import RemoteFile, fetch

pytestmark = pytest.mark.border
OK = b"HTTP/1.1 200 OK\r\n"


class RawServer:
    """Answers every connection, after its request, with what ``answer(connection)`` sends."""

    def __init__(self, answer, *, reads=True):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.n_connections, self._ended = 0, threading.Event()

        def serve(connection):
            with connection:
                try:
                    while reads and b"\r\n\r\n" not in connection.recv(65536):
                        pass
                    answer(connection)
                except OSError:
                    pass

        def accept():
            while not self._ended.is_set():
                try:
                    connection, _ = self._socket.accept()
                except OSError:
                    return
                self.n_connections += 1
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def close(self):
        self._ended.set()
        self._socket.close()


def drips(contents, *, first=b"", wait=0.02):
    """Return an answer a byte at a time."""

    def answer(connection):
        connection.sendall(first)
        for byte in contents * (100_000 // len(contents)):
            connection.sendall(bytes([byte]))
            time.sleep(wait)

    return answer


def floods(contents, *, first=b""):
    """Return an answer without an end."""

    def answer(connection):
        connection.sendall(first)
        block = contents * (2**16 // len(contents))
        while True:
            connection.sendall(block)

    return answer


def sends(contents):
    return lambda connection: connection.sendall(contents)


def waits(connection):
    time.sleep(30)


BOMB = gzip.compress(bytes(50 * 2**20))
WEB = {
    "nothing": (waits, "is too slow"),
    "a status line, byte by byte": (drips(b"HTTP/1.1 200 OK" + b" " * 1000), "is too slow"),
    "headers, byte by byte": (drips(b"X-A: b\r\n", first=OK), "is too slow"),
    "contents, byte by byte": (drips(b" ", first=OK + b"Content-Length: 100000\r\n\r\n"), "is too slow"),
    "contents without a length, byte by byte": (drips(b" ", first=OK + b"\r\n"), "is too slow"),
    "chunks of a byte": (drips(b"1\r\n \r\n", first=OK + b"Transfer-Encoding: chunked\r\n\r\n"), "is too slow"),
    "promises to go on": (floods(b"HTTP/1.1 100 Continue\r\n\r\n"), "no answer"),
    "a header without an end": (floods(b"a", first=OK + b"X: "), "no answer"),
    "headers without an end": (floods(b"X: y\r\n", first=OK), "no answer"),
    "a size of a chunk without an end": (floods(b"0", first=OK + b"Transfer-Encoding: chunked\r\n\r\n"), "broke off"),
    "trailers without an end": (floods(b"X: y\r\n", first=OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"), "broke off"),
    "contents without an end": (floods(b"[", first=OK + b"\r\n"), f"sends more than {4 * 2**20} bytes"),
    "chunks without an end": (floods(b"100\r\n" + b" " * 256 + b"\r\n", first=OK + b"Transfer-Encoding: chunked\r\n\r\n"), "sends more"),
    "chunks of a byte, without an end": (floods(b"1\r\n \r\n", first=OK + b"Transfer-Encoding: chunked\r\n\r\n"), "broke off"),
    "packed zeros (gzip)": (sends(OK + b"Content-Encoding: gzip\r\n\r\n" + BOMB), "packed as gzip"),
    "packed zeros (deflate)": (
        sends(OK + b"Content-Encoding: deflate\r\n\r\n" + zlib.compress(bytes(50 * 2**20))), "packed as deflate",
    ),
    "packed twice": (sends(OK + b"Content-Encoding: gzip, gzip\r\n\r\n" + gzip.compress(BOMB)), "packed as gzip, gzip"),
    "a length beyond reason": (sends(OK + b"Content-Length: " + b"9" * 4000 + b"\r\n\r\n{}"), "could not be read"),
    "two lengths": (sends(OK + b"Content-Length: 1\r\nContent-Length: 9\r\n\r\n{}"), "could not be read"),
    "redirects, each slowly": (
        lambda connection: (time.sleep(0.2), connection.sendall(b"HTTP/1.1 302 X\r\nLocation: /x\r\n\r\n")), "is too slow",
    ),
    "wants to be left alone for ages": (
        sends(b"HTTP/1.1 429 X\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n"), "answers 429",
    ),
    "wants to be left alone until the year 9999": (
        sends(b"HTTP/1.1 503 X\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n\r\n"), "answers 503",
    ),
    "wants to be left alone until a date that is none": (
        sends(b"HTTP/1.1 503 X\r\nRetry-After: Fri, 99 Dec 99999999999 99:99:99 +9999999\r\n\r\n"), "answers 503",
    ),
    "no HTTP": (sends(b"SSH-2.0-OpenSSH_9.9\r\n"), "no answer"),
    "zeros": (floods(b"\0"), "no answer"),
}  # fmt: skip


@pytest.fixture
def quick(limits, no_waits):
    """Seconds in place of minutes."""
    limits(window=0.5, registry_seconds=0.5, longest_index_wait=0.01)


@pytest.mark.parametrize("what", WEB)
def test_indexes_of_servers_that_want_to_hurt(border, quick, tmp_path, what):
    answer, says = WEB[what]
    server = RawServer(answer)
    try:
        began = time.monotonic()
        border.in_child(
            lambda: sp.hub.info("x", index=f"{server.address}/index.json", cache_dir=tmp_path), OSError, says,
            kind="A3", case=f"a server sends {what}", shown="hub.info('x', index='http://127.0.0.1:...')",
        )  # fmt: skip
        assert time.monotonic() - began < 10
        assert server.n_connections <= 10
    finally:
        server.close()


def test_a_command_does_not_wait_for_ever(border, quick, tmp_path, monkeypatch):
    monkeypatch.setenv("SCARCHES_PLUS_CACHE", str(tmp_path))
    server = RawServer(drips(b" ", first=OK + b"Content-Length: 100000\r\n\r\n"))
    try:
        border.command(
            ["hub", "list", "--index", f"{server.address}/index.json"], "simulated-scvi", kind="A3",
            case="hub list: a server sends a byte at a time, its index is left out", status=0,
        )  # fmt: skip
        with pytest.warns(UserWarning, match="an index is left out.*is too slow"):
            sp.hub.list_models(index=f"{server.address}/index.json")
    finally:
        server.close()


def test_a_whole_index_has_its_time(border, quick, tmp_path, limits):
    limits(window=0.2, slowest=10, index_seconds=1.0, received=1)
    server = RawServer(drips(b" ", first=OK + b"\r\n", wait=0.001))
    try:
        border.in_child(
            lambda: sp.hub.info("x", index=server.address, cache_dir=tmp_path), OSError, "takes longer than 1 s",
            kind="A3", case="a server that is just fast enough", shown="hub.info('x', index='http://127.0.0.1:...')",
        )  # fmt: skip
    finally:
        server.close()


def test_a_file_that_drips(border, quick, tmp_path):
    import json

    server = RawServer(drips(b"x", first=OK + b"\r\n"))
    entry = entry_of("simulated-scvi")
    values = {"schema_version": 1, "models": [entry | {"name": "x", "mirrors": [server.address]}]}
    (tmp_path / "index.json").write_text(json.dumps(values))
    try:
        border.in_child(
            lambda: sp.hub.pull("x", index=tmp_path, cache_dir=tmp_path / "cache", progress=False), OSError,
            ["could not fetch manifest.json", "is too slow"],
            kind="A3", case="a file that drips", shown="hub.pull('x', index=...)",
        )  # fmt: skip
    finally:
        server.close()


def test_data_that_drip(border, quick, tmp_path):
    server = RawServer(drips(b"x", first=OK + b"\r\n"))
    file = RemoteFile("x.h5ad", hashlib.sha256(b"x").hexdigest(), "https://page.example", (f"{server.address}/x",))
    try:
        border.in_child(
            lambda: fetch(file, tmp_path, rounds=1), OSError, ["could not download x.h5ad", "is too slow"],
            kind="A3", case="data that drip", shown="datasets.pancreas()",
        )  # fmt: skip
    finally:
        server.close()


def reads_slowly(connection):
    while connection.recv(16):
        time.sleep(0.05)


UPLOADS = {
    "does not read": (waits, False, "is too slow"),
    "reads a few bytes at a time": (reads_slowly, False, "is too slow"),
    "answers byte by byte": (drips(b" ", first=OK + b"\r\n"), True, "is too slow"),
    "answers with headers, byte by byte": (drips(b"X: y\r\n", first=OK), True, "is too slow"),
    "answers without an end": (floods(b" ", first=OK + b"\r\n"), True, "sends more than"),
    "answers packed": (sends(OK + b"Content-Encoding: gzip\r\n\r\n" + BOMB), True, "packed as gzip"),
    "answers with too many names": (
        sends(OK + b"\r\n{" + b",".join(b'"%d":0' % i for i in range(250_000)) + b"}"), True, "no JSON",
    ),
    "answers with one key 100,000 times": (sends(OK + b"\r\n{" + b'"a":0,' * 100_000 + b'"a":0}'), True, "no JSON"),
    "answers with a table in a table in a ...": (sends(OK + b"\r\n" + b'{"a":' * 100_000), True, "no JSON"),
}  # fmt: skip


@pytest.mark.parametrize("what", UPLOADS)
def test_registries_that_want_to_hurt(border, quick, monkeypatch, tmp_path, what):
    from scarches_plus.hub._web._services import Token
    from scarches_plus.hub._web._session import Session

    answer, reads, says = UPLOADS[what]
    server = RawServer(answer, reads=reads)
    (tmp_path / "file").write_bytes(bytes(2**23))

    class File:
        def __init__(self, file):
            self.read = file.read

        def __len__(self):
            return 2**23

    def send():
        with (tmp_path / "file").open("rb") as file, Session(server.address, Token(TOKEN, server.address)) as session:
            from contextlib import nullcontext

            if reads:
                session.ask("GET", "user/records")
            session.ask("PUT", "records/1/draft/files/x/content", opened=lambda: nullcontext(File(file)))

    try:
        border.in_child(
            send, OSError, says, kind="A3", case=f"a registry {what}", shown="hub.upload(...), hub.list_uploads()",
        )  # fmt: skip
    finally:
        server.close()


def test_a_slow_server_is_not_asked_again(border, quick, monkeypatch, publish_at):
    server = RawServer(waits)
    publish_at(monkeypatch, "zenodo sandbox", server.address)
    try:
        border.refused(
            lambda: sp.hub.list_uploads(token=TOKEN), OSError, "is too slow: 0 bytes in 0.5 s",
            kind="A3", case="a registry that says nothing", shown="hub.list_uploads(token=...)",
        )  # fmt: skip
        assert server.n_connections == 1
    finally:
        server.close()


def test_a_transfer_that_moves_goes_on(border, quick, tmp_path):
    """What needs several windows is not broken off."""
    contents = bytes(2**16)

    def answer(connection):
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(contents))
        for start in range(0, len(contents), 2**12):
            connection.sendall(contents[start : start + 2**12])
            time.sleep(0.1)

    server = RawServer(answer)
    file = RemoteFile("x.h5ad", hashlib.sha256(contents).hexdigest(), "https://page.example", (f"{server.address}/x",))
    try:
        border.works(
            lambda: fetch(file, tmp_path, rounds=1), lambda path: path.read_bytes() == contents,
            kind="A3", case="a slow server that moves on", shown="datasets.pancreas()",
        )  # fmt: skip
    finally:
        server.close()

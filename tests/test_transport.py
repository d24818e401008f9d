"""Transfers end, and tell nothing; more of it is in tests/border."""

import socket
import threading
import time

import pytest
import requests
from file_server import FileServer

from scarches_plus import _limits
from scarches_plus._http import TransferError, TryLaterError, Watch, follow, new_session
from scarches_plus._http._send import chunks


@pytest.fixture
def server(tmp_path):
    (tmp_path / "x").write_bytes(bytes(100_000))
    server = FileServer(tmp_path)
    yield server
    server.close()


def fetched(server, path="x", **kwargs):
    with follow(f"{server.address}/{path}", {}, **kwargs) as answer:
        return b"".join(chunks(answer))


def test_a_file(server):
    server.faults["y"] = [(302, {"Location": "x"}, b"not read")]
    assert fetched(server) == fetched(server, "y") == bytes(100_000)
    assert all(agent.startswith("scarches_plus/") for agent in server.agents)


@pytest.fixture
def silent():
    """The address of somebody who listens, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_what_stops_moving(silent, monkeypatch):
    monkeypatch.setattr(_limits, "WINDOW_SECONDS", 0.2)
    with pytest.raises(TransferError, match=r"is too slow: 0 bytes in 0\.2 s") as caught:
        follow(silent, {})
    assert not isinstance(caught.value, TryLaterError), "asking again would take as long"


def test_what_takes_too_long(silent):
    with pytest.raises(TransferError, match=r"takes longer than 0\.2 s"):
        follow(silent, {}, within=0.2)


def test_what_breaks_off_or_is_packed(server):
    server.faults["x"] = [
        (200, {}, 10),
        (200, {"Content-Encoding": "br"}, b"x"),
        (200, {"Content-Encoding": "identity"}, b"x"),
    ]
    with pytest.raises(TryLaterError, match="broke off"):
        fetched(server)
    with pytest.raises(TransferError, match="packed as br, which was not asked for"):
        fetched(server)
    assert fetched(server) == b"x"


def test_circles(server):
    server.faults["x"] = [(307, {"Location": "/x"}, b"")] * 20
    with pytest.raises(TransferError, match="from place to place"):
        fetched(server)
    assert len(server.requests) == _limits.MOST_REDIRECTS


def test_contents_have_a_window_of_their_own(monkeypatch):
    """An answer that is slow to begin, and then slow to move on, may take longer than one window."""
    monkeypatch.setattr(_limits, "WINDOW_SECONDS", 1.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                time.sleep(1.0)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
                time.sleep(1.0)
                connection.sendall(b"x")

        threading.Thread(target=answer, daemon=True).start()
        with follow(f"http://127.0.0.1:{listening.getsockname()[1]}", {}) as got:
            assert b"".join(chunks(got)) == b"x"


def test_connections_that_come_too_late():
    """Once a transfer is broken, further connections of it are too."""
    ours, theirs = socket.socketpair()
    watch = Watch(0.01)
    watch.start()
    while not watch.broken:
        time.sleep(0.01)
    with ours, theirs:
        theirs.settimeout(5)
        watch.add(ours)
        assert theirs.recv(1) == b"", "the connection is still open"
    watch.stop()


def test_passwords_of_netrc_stay_at_home(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine lab.example login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    request = requests.Request("GET", "https://lab.example/x")
    assert "Authorization" in requests.Session().prepare_request(request).headers
    with new_session("https://lab.example/x", Watch(1.0)) as session:
        assert "Authorization" not in session.prepare_request(request).headers

"""Every test runs offline, on one thread and without a screen."""

import os
import socket
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from types import SimpleNamespace

import pytest

# Read by torch and matplotlib when they are imported, which is after this file.
for name, value in {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}.items():
    os.environ.setdefault(name, value)


class NetworkBlockedError(RuntimeError):
    """A test tried to leave this machine. Not an OSError, so that no library mistakes it for being offline."""


def _require_loopback(host):
    try:
        local = host in {None, "", "localhost"} or ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        message = f"tests must not use the network: {host!r}"
        raise NetworkBlockedError(message)


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """Let sockets reach this machine only."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded(method):
        def call(self, address):
            if self.family in {socket.AF_INET, socket.AF_INET6}:
                _require_loopback(address[0])
            return method(self, address)

        return call

    def guarded_look_up(host, *args, **kwargs):
        _require_loopback(host.decode() if isinstance(host, bytes) else host)
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(connect))
        patch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


@pytest.fixture(autouse=True)
def _one_thread():
    """Undo what UMAP does to torch, through the OpenMP library that numba and torch share: ten times slower under
    load.
    """
    yield
    if "torch" in sys.modules and sys.modules["torch"].get_num_threads() > 1:
        sys.modules["torch"].set_num_threads(1)


#: How much is worked on at once or waited for: what small data and quick tests do not come near.
LIMITS = {
    "received": "_http._send._CHUNK",
    "window": "_limits.WINDOW_SECONDS",
    "slowest": "_limits.SLOWEST",
    "index_seconds": "_limits.INDEX_SECONDS",
    "registry_seconds": "_limits.REGISTRY_SECONDS",
    "longest_index_wait": "_limits.LONGEST_INDEX_WAIT",
    "manifest_bytes": "_limits.MANIFEST_BYTES",
    "waiting_jobs": "_limits.WAITING_JOBS",
    "waiting_questions": "_limits.WAITING_QUESTIONS",
    "in_memory": "_cells._counts._BLOCK_IN_MEMORY",
    "label_steps": "train._estimation._fit_labels._STEPS",
    "drift_cells": "tl._provenance._drift._CELLS",
    "looked_at": "_limits.TABLE_SAMPLE_BYTES",
    "votes": "metrics._mixing.kni._CHUNK",
    "pairs": "metrics._mixing.rbni._CHUNK",
    "simulated": "datasets._simulate._CHUNK",
    "on_disk": "_cells._counts._BLOCK_ON_DISK",
    "piece": "_cells._on_disk._PIECE",
    "gradients": "train._estimation._cell_gradients._N_VALUES",
    "scanned": "tl._novelty._find_novel._BLOCK",
    "compared": "tl._novelty._find_novel._SAMPLE",
    "embedded_by_threads": "model._mixins._embedding._FEWEST_CELLS",
    "placed": "tl._placement.place._NUMBERS",
    "map_epochs": "tl._placement._train_encoder._MOST_EPOCHS",
    "embedding_seconds": "model._mixins._embedding._PATIENCE",
}


@pytest.fixture
def limits(monkeypatch):
    """Set limits of the package: ``limits(votes=100)``."""

    def set_sizes(**sizes):
        for name, size in sizes.items():
            monkeypatch.setattr(f"scarches_plus.{LIMITS[name]}", size)

    return set_sizes


@pytest.fixture
def no_waits(monkeypatch):
    """Let whoever tries again wait a millisecond."""
    monkeypatch.setattr("scarches_plus._http._retry.WAIT", 0.001)


@pytest.fixture(scope="session")
def publish_at():
    """Let a service be a server of this machine: ``publish_at(monkeypatch, "zenodo", server.address)``."""

    def put(patch, name, address):
        from scarches_plus.hub._web._services import SERVICES

        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setitem(SERVICES, name, replace(SERVICES[name], address=address))

    return put


@pytest.fixture(scope="session")
def serve_page():
    """Serve the page to a client of this process: ``with serve_page(folder) as server``.

    ``server.client`` knows the token; ``server.api`` lists the routes of the API; ``server.workers()`` are the numbers
    of the processes that work.
    """
    from starlette.testclient import TestClient

    from scarches_plus.app._server._application import make_application
    from scarches_plus.app._server._routes import ROUTES
    from scarches_plus.app._server._settings import Settings, own_hosts

    @contextmanager
    def serve(folder, **settings):
        token = "a-token-of-the-tests"
        app = make_application(Settings(folder, token, own_hosts("127.0.0.1", 8765), **settings))
        headers = {"authorization": f"Bearer {token}"}
        with TestClient(app, base_url="http://127.0.0.1:8765", headers=headers, follow_redirects=False) as client:
            place = app._app.state.workplace
            yield SimpleNamespace(
                client=client,
                token=token,
                folder=folder,
                api=[(one.method, one.path) for one in ROUTES],
                workers=lambda: {"jobs": place.jobs.pid, "questions": place.questions.pid},
            )

    return serve


@pytest.fixture
def searches(monkeypatch):
    """How many neighbours each search asks for, in their order."""
    from scarches_plus._neighbors._exact import Exact

    asked, query = [], Exact.query
    monkeypatch.setattr(Exact, "query", lambda self, cells, k: asked.append(k) or query(self, cells, k))
    return asked


@pytest.fixture
def cache_folder():
    """Find the folder of what is fetched: ``cache_folder(cache_dir)``."""
    from scarches_plus._files import cache_folder

    return cache_folder


@pytest.fixture
def process_of_map_many():
    """Start a process as ``map_many`` does: ``process_of_map_many(n_threads)``."""
    from scarches_plus.tl._many._processes import _process

    return _process


@pytest.fixture
def on_screen(monkeypatch):
    """Let a person look at the standard error, as in a terminal."""
    monkeypatch.setattr("scarches_plus._settings._is_terminal", lambda _: True)


@pytest.fixture
def no_exchange(monkeypatch):
    """Let the system exchange no folders, as old ones do."""
    monkeypatch.setattr("scarches_plus._files._folders._swap._function", lambda: None)


@pytest.fixture
def around(monkeypatch):
    """Let something happen at a moment: ``around("a model is read", call)``.

    The call is given what runs then, and its arguments.
    """

    def put(moment, call):
        from scarches_plus import _cell_files
        from scarches_plus._files._folders import _write_folder
        from scarches_plus.app._jobs import _store
        from scarches_plus.bundle._format import _bundle_files
        from scarches_plus.bundle._layouts import _build_model
        from scarches_plus.cli._files import _bundles
        from scarches_plus.hub._indexes import _cached_index
        from scarches_plus.hub._names import _resolve
        from scarches_plus.metrics._evaluation import evaluate
        from scarches_plus.model._saved import _saving
        from scarches_plus.model._speed import _fast_training
        from scarches_plus.tl import _build_reference

        module, name = {
            "a bundle is packed": (_bundle_files, "pack"),
            "a bundle is written": (_bundles, "save_bundle"),
            "a device is chosen": (_build_model, "parse_device_args"),
            "a place is checked": (_saving, "check_output_folder"),
            "an embedding is written": (_build_reference, "write_embedding"),
            "an index is fetched": (_cached_index, "fetch_small"),
            "an index is read": (_resolve, "read_indexes"),
            "cells are read": (_cell_files, "read_cells"),
            "a folder is brought to the disk": (_write_folder, "flush_all"),
            "a job is noted": (_store, "write_file"),
            "a folder takes its place": (_write_folder, "place"),
            "a minibatch trains": (_fast_training, "minibatch_moments"),
            "a model is read": (_build_model, "read_model"),
            "a score is computed": (evaluate, "scored"),
        }[moment]
        monkeypatch.setattr(module, name, partial(call, getattr(module, name)))

    return put


@pytest.fixture
def page_parts():
    """Queue and store of the page, to be tried with a worker of the test's own."""
    from types import SimpleNamespace

    from scarches_plus.app._jobs._process import Worker, WorkerStoppedError
    from scarches_plus.app._jobs._queue import Queue
    from scarches_plus.app._jobs._store import Store

    return SimpleNamespace(Queue=Queue, Store=Store, Worker=Worker, WorkerStoppedError=WorkerStoppedError)


@pytest.fixture
def no_usual_shift(monkeypatch):
    """No shift is one that thresholds of novelty were measured on."""
    monkeypatch.setattr("scarches_plus.tl._detect_novel.USUAL_SHIFT", (9.0, 10.0))


@pytest.fixture
def publish_data(monkeypatch, tmp_path):
    """Publish the files of a data set on this machine: ``publish_data("kang", cells=path)`` returns the server.

    Those whose checksum is known get that of these files; ``gone=True`` takes the files from the server.
    """
    from hashlib import sha256
    from importlib import import_module

    from file_server import FileServer

    from scarches_plus._files import CACHE_VARIABLE

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("time.sleep", lambda _: None)
    folder = tmp_path / "published"
    folder.mkdir()
    server = FileServer(folder)

    def publish(name, *, gone=False, **files):
        known = import_module(f"scarches_plus.datasets._{name}")._FILES
        for key, file in known.items():
            contents = files[key].read_bytes() if key in files else b"nothing"
            (folder / file.name).write_bytes(contents)
            if gone:
                (folder / file.name).unlink()
            digest = sha256(contents).hexdigest() if file.sha256 else None
            mirrors = (f"{server.address}/{file.name}",)
            monkeypatch.setitem(known, key, replace(file, sha256=digest, mirrors=mirrors))
        return server

    yield publish
    server.close()


@pytest.fixture
def small_windows(monkeypatch):
    """Cells on disk are too many for memory: windows of 8 KB train, and a store is shuffled by piles of 4 KB."""
    monkeypatch.setattr("scarches_plus.model._speed._data_splitter.MAX_DENSE_BYTES", 0)
    monkeypatch.setattr("scarches_plus.model._speed._fast_training.MAX_STORED_BYTES", 0)
    monkeypatch.setattr("scarches_plus.model._speed._disk_cells.WINDOW_BYTES", 2**13)
    monkeypatch.setattr("scarches_plus.model._speed._disk_cells.BLOCKS_OF_WINDOW", 4)
    monkeypatch.setattr("scarches_plus.pp._studies._shuffle_cells._PILE_BYTES", 2**12)
    monkeypatch.setattr("scarches_plus._cells._counts._BLOCK_ON_DISK", 2**11)

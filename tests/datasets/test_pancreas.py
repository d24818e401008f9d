"""Downloads, from a server on this machine, and other sources of data."""

import hashlib
import os
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from file_server import FileServer
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats

from scarches_plus._files import CACHE_VARIABLE, cache_folder
from scarches_plus.datasets import _pancreas, _simulate, pancreas, simulate
from scarches_plus.datasets._pbmc68k import _recover_counts
from scarches_plus.datasets._sources._download import RemoteFile, fetch
from scarches_plus.datasets._sources._simulate_design import _apportion


class Server:
    """Answers ``/<name>`` with the answers set for it, in turn; the last one stays."""

    def __init__(self):
        server = self
        self.answers = {}
        self.requests = []
        self.agents = set()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append(self.path[1:])
                server.agents.add(self.headers["User-Agent"])
                answers = server.answers[self.path[1:]]
                status, body, length = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", body)
                    body = b""
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def set(self, name, *answers):
        self.answers[name] = [(*answer, None)[:3] for answer in answers]

    def url(self, name):
        return f"http://127.0.0.1:{self._http.server_port}/{name}"

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The bytes of a small file built like the benchmark's."""
    rng = np.random.default_rng(0)
    tech = np.repeat(["celseq", "smarter", "smartseq2"], 10)
    counts = rng.poisson(2.0, (30, 6)).astype(np.float32)
    counts[tech == "celseq"] += 0.25
    counts[tech == "smarter", 0] = 1.5
    adata = AnnData(
        X=np.log1p(counts),
        obs=pd.DataFrame(
            {"tech": pd.Categorical(tech), "celltype": np.tile(["alpha", "beta"], 15)},
            index=[f"cell{i}" for i in range(30)],
        ),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(6)]),
        layers={"counts": sparse.csr_matrix(counts)},
        uns={"tech_colors": np.array(["#000000", "#111111", "#222222"])},
    )
    path = tmp_path_factory.mktemp("published") / "file.h5ad"
    adata.write_h5ad(path)
    return path.read_bytes()


@pytest.fixture
def file(server, published):
    server.set("a", (200, published))
    return RemoteFile("file.h5ad", hashlib.sha256(published).hexdigest(), "https://page", (server.url("a"),))


def no_file_in(folder):
    return not folder.exists() or not list(folder.iterdir())


def test_downloads_once(server, file, tmp_path):
    path = fetch(file, tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    assert fetch(file, tmp_path) == path == tmp_path / "file.h5ad"
    assert server.requests == ["a"]
    assert all(agent.startswith("scarches_plus/") for agent in server.agents)


def test_follows_redirects(server, file, tmp_path):
    server.set("b", (302, server.url("a")))
    assert fetch(replace(file, mirrors=(server.url("b"),)), tmp_path).exists()


def test_shows_progress(file, tmp_path, capsys, on_screen):
    fetch(file, tmp_path)
    assert "100%" in capsys.readouterr().err


def test_a_file_placed_by_hand_is_used(server, file, published, tmp_path):
    (tmp_path / "file.h5ad").write_bytes(published)
    fetch(file, tmp_path)
    assert not server.requests


def test_a_damaged_cached_file_is_replaced(server, file, tmp_path):
    (tmp_path / "file.h5ad").write_bytes(b"damaged")
    path = fetch(file, tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    assert server.requests == ["a"]


def test_wrong_content_leaves_nothing_behind_and_is_not_asked_for_again(server, file, tmp_path):
    server.set("a", (200, b"<html>are you a robot?</html>"))
    with pytest.raises(OSError, match="wrong sha256"):
        fetch(file, tmp_path, rounds=3, wait=0)
    assert server.requests == ["a"]
    assert no_file_in(tmp_path)


def test_a_truncated_body_is_tried_again(server, file, published, tmp_path):
    server.set("a", (200, published[:100], len(published)), (200, published))
    assert fetch(file, tmp_path, wait=0).read_bytes() == published
    assert server.requests == ["a", "a"]


def test_what_broke_off_goes_on_in_the_next_round(published, tmp_path, monkeypatch, limits):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    limits(received=100)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "x").write_bytes(published)
    server = FileServer(tmp_path / "served")
    server.faults["x"] = [(200, {}, 1000), (503, {}, b"")]
    file = RemoteFile("x.h5ad", hashlib.sha256(published).hexdigest(), "https://page", (f"{server.address}/x",))
    try:
        assert fetch(file, tmp_path / "cache", wait=0).read_bytes() == published
    finally:
        server.close()
    assert [given for _, given in server.requests] == [None, "bytes=1000-", "bytes=1000-"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["x.h5ad"]


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir])
def test_what_is_no_file_in_its_place(file, tmp_path, plant):
    plant(tmp_path / "file.h5ad")
    if plant is os.mkdir:
        with pytest.raises(OSError, match="is a folder, where the file"):
            fetch(file, tmp_path)
    else:
        assert fetch(file, tmp_path).is_file()


def test_a_body_truncated_every_time_leaves_nothing_behind(server, file, published, tmp_path):
    server.set("a", (200, published[:100], len(published)))
    with pytest.raises(OSError, match="the connection broke off"):
        fetch(file, tmp_path, rounds=2, wait=0)
    assert server.requests == ["a", "a"]
    assert no_file_in(tmp_path)


@pytest.mark.parametrize("status", [202, 204, 403, 404, 500, 503])
def test_a_refusal_leads_to_the_next_mirror(server, file, tmp_path, status):
    server.set("b", (status, b""))
    assert fetch(replace(file, mirrors=(server.url("b"), server.url("a"))), tmp_path, wait=0).exists()
    assert server.requests == ["b", "a"]


@pytest.mark.parametrize("status", [202, 403, 500])
def test_when_every_mirror_fails_the_message_says_what_to_do(server, file, tmp_path, status):
    server.set("a", (status, b""))
    with pytest.raises(OSError, match=str(status)) as caught:
        fetch(file, tmp_path / "cache", rounds=2, wait=0)
    message = str(caught.value)
    for part in (server.url("a"), "https://page", str(tmp_path / "cache" / "file.h5ad"), file.sha256):
        assert part in message
    assert server.requests == ["a", "a"]
    assert no_file_in(tmp_path / "cache")


def test_offline(file, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a"  # bound but not listening: refused
        with pytest.raises(OSError, match="Connection") as caught:
            fetch(replace(file, mirrors=(url,)), tmp_path, rounds=2, wait=0)
    assert url in str(caught.value)
    assert no_file_in(tmp_path)


def test_offline_with_a_wrong_file_in_place_says_so(server, file, tmp_path):
    server.set("a", (500, b""))
    (tmp_path / "file.h5ad").write_bytes(b"something else")
    with pytest.raises(OSError, match="the file there now has another"):
        fetch(file, tmp_path, rounds=1)


def test_waits_between_rounds_only(server, file, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    server.set("a", (500, b""))
    with pytest.raises(OSError, match="500"):
        fetch(file, tmp_path, rounds=3, wait=5.0)
    assert waits == [5.0, 5.0]


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "variable"))
    assert cache_folder() == tmp_path / "variable"
    assert cache_folder(tmp_path / "argument") == tmp_path / "argument"
    monkeypatch.delenv(CACHE_VARIABLE)
    assert "scarches_plus" in str(cache_folder())


def test_pancreas(server, file, tmp_path, monkeypatch):
    monkeypatch.setitem(_pancreas._FILES, "cells", file)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    with pytest.warns(UserWarning, match="fractional values for celseq, smarter:") as caught:
        adata = pancreas()
    assert caught[0].filename == __file__
    assert adata.shape == (30, 6)
    for key, original in (("batch", "tech"), ("cell_type", "celltype")):
        assert adata.obs[key].dtype == "category"
        assert adata.obs[key].astype(str).equals(adata.obs[original].astype(str))
    assert list(adata.uns["batch_colors"]) == list(adata.uns["tech_colors"])
    assert (adata.layers["counts"].data % 1 != 0).any()
    with pytest.warns(UserWarning, match="fractional"):
        pancreas(cache_dir=tmp_path)
    assert server.requests == ["a"]


def test_pancreas_is_quiet_about_whole_counts(monkeypatch):
    whole = simulate(40, 5)
    whole.layers["counts"] = whole.X
    monkeypatch.setattr(_pancreas, "_load", lambda *_: whole)
    assert pancreas() is whole


@pytest.mark.parametrize("storage", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_fractional_batches(storage):
    counts = np.array([[1.0, 0.0], [2.0, 3.0], [0.0, 0.5], [0.0, 1.0]])
    batches = pd.Series(pd.Categorical(["x", "x", "y", "y"], categories=["x", "y", "unused"]))
    assert _pancreas._fractional_batches(storage(counts), batches) == ["y"]
    assert _pancreas._fractional_batches(storage(np.floor(counts)), batches) == []


def test_the_published_file_is_named_as_the_benchmark_has_it():
    file = _pancreas._FILES["cells"]
    assert file.sha256 == "97e6dfd65553e4d10aa3ef5d904362970a75c677c31d70fabc9234191a09db8c"
    assert file.page == "https://figshare.com/ndownloader/files/24539828"
    assert all(url.startswith("https://") and url.endswith("/24539828") for url in file.mirrors)


# --- Sources of the other data sets ---


def test_counts_are_recovered_from_rounded_log_values():
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (20, 30))
    depth = counts.sum(axis=1) + 500.0
    logged = sparse.csr_matrix(np.round(np.log1p(counts / depth[:, None] * 1e4), 4).astype(np.float32))
    np.testing.assert_array_equal(_recover_counts(logged, depth).toarray(), counts)


@pytest.mark.parametrize("spoil", [lambda m: m * 1.1, lambda m: m * np.nan])
def test_other_data_are_refused(spoil):
    logged = sparse.csr_matrix(np.log1p(np.array([[0.0, 3.0], [8.0, 1.0]]) / 100 * 1e4))
    with pytest.raises(RuntimeError, match="please report it"):
        _recover_counts(spoil(logged), np.array([100.0, 100.0]))


@pytest.mark.parametrize("theta", [0.5, 2.0, 50.0])
def test_counts_have_the_moments_of_the_negative_binomial(theta):
    mu = np.array([0.05, 0.5, 3.0, 40.0])
    n_cells = 200_000
    counts = _simulate._draw(
        lambda rows: np.tile(mu, (rows.stop - rows.start, 1))[: n_cells - rows.start],
        (n_cells, 4),
        theta,
        np.random.default_rng(1),
    ).toarray()
    variance = mu + mu**2 / theta
    np.testing.assert_allclose(counts.mean(axis=0), mu, atol=5 * np.sqrt(variance.max() / n_cells), rtol=0.03)
    np.testing.assert_allclose(counts.var(axis=0), variance, rtol=0.06)
    # the whole distribution, not only two moments
    expected = stats.nbinom.pmf(np.arange(12), theta, theta / (theta + mu[2])) * n_cells
    observed = np.bincount(counts[:, 2].astype(int), minlength=12)[:12]
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@given(
    shares=st.lists(st.floats(0.001, 1), min_size=1, max_size=12),
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=4),
)
def test_shares_are_met_to_within_one_cell(shares, sizes):
    shares = np.tile(shares, (len(sizes), 1))
    quota = _apportion(shares, np.array(sizes))
    assert quota.sum(axis=1).tolist() == sizes
    assert (quota >= 0).all()
    assert (
        np.abs(
            quota.sum(axis=0) - (shares / shares.sum(axis=1, keepdims=True) * np.array(sizes)[:, None]).sum(axis=0)
        ).max()
        < 2
    )
    assert np.abs(quota - shares / shares.sum(axis=1, keepdims=True) * np.array(sizes)[:, None]).max() < 1

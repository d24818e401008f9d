"""The client against a server that the command line started."""

import re
import socketserver
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

import scarches_plus as sp

REFERENCE = "pbmc68k-scanvi"


@pytest.fixture(scope="module")
def client(address):
    return sp.app.Client(address)


def test_cells_are_checked_mapped_and_fetched(client, query_file, tmp_path):
    assert any(one["what"].startswith(REFERENCE) for one in client.references())
    assert client.reference(REFERENCE)["labels_keys"] == ["cell_type"]
    assert client.check(query_file, REFERENCE, batch_key="batch")["ok"]
    job = client.map(query_file, REFERENCE, batch_key="batch", max_epochs=5)
    states = []
    result = client.wait(job, tell=states.append)
    assert [state["progress"] for state in states] == sorted(state["progress"] for state in states)
    assert client.state(job)["status"] == states[-1]["status"] == "done"
    table = pd.read_csv(client.download(job, "cells.csv", tmp_path / "cells.csv"), index_col=0)
    assert table["cell_type_pred"].value_counts().to_dict() == result["composition"]
    assert job in {one["id"] for one in client.jobs()}
    client.cancel(job)
    assert job not in {one["id"] for one in client.jobs()}


def test_a_finished_job_answers(client, query_file, pbmc_query, tmp_path):
    """By the cells and the table of the job itself."""
    job = client.map(query_file, REFERENCE, batch_key="batch", max_epochs=5)
    client.wait(job)
    table = pd.read_csv(client.download(job, "cells.csv", tmp_path / "cells.csv"), index_col=0)
    counts = np.asarray(pbmc_query.X.todense() if hasattr(pbmc_query.X, "todense") else pbmc_query.X)
    of_gene = counts[:, pbmc_query.var_names.get_loc("CD3D")]
    assert client.gene(job, "cd3d").flags.writeable
    np.testing.assert_allclose(client.gene(job, "cd3d"), np.log1p(1e4 * of_gene / counts.sum(axis=1)), rtol=1e-5)
    with pytest.raises(RuntimeError, match="no gene 'CD3'; near it: CD3"):
        client.gene(job, "CD3")
    first, second = client.explain(job, np.array([7, 2]))
    assert [one["cell"] for one in (first, second)] == [table.index[7], table.index[2]]
    assert first["prediction"] == table["cell_type_pred"].iloc[7]
    with pytest.raises(RuntimeError, match="0 to 263"):
        client.explain(job, [264])
    presence = pd.DataFrame(client.presence(job)).set_index("label")
    assert presence["presence"].between(0, 1).all()
    assert set(table["cell_type_pred"]) - {"Unknown"} <= set(presence.index)
    with pytest.raises(RuntimeError, match="novel 99"):
        client.name_clusters(job, {"novel 99": "B cell"})
    client.cancel(job)


def test_clusters_of_novel_cells_are_named(client, turned, tmp_path):
    turned.write_h5ad(tmp_path / "turned.h5ad")
    job = client.map(tmp_path / "turned.h5ad", REFERENCE, batch_key="batch", max_epochs=5)
    cluster, n_cells = next(iter(client.wait(job)["novel"]["clusters"].items()))
    assert client.name_clusters(job, {cluster: "turned"})["novel"]["names"] == {cluster: "turned"}
    table = pd.read_csv(client.download(job, "cells.csv", tmp_path / "cells.csv"), index_col=0)
    assert (table["novel_named"] == "turned").sum() == n_cells > 0
    client.cancel(job)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("speed", "speed is no option; did you mean 'seed'"),
        ("unkown_above", "unkown_above is no option; did you mean 'unknown_above'"),
        ("zzz", "zzz is no option; options are reference, file, path"),
    ],
)
def test_an_option_that_is_none_is_named_with_the_nearest(client, query_file, option, said):
    with pytest.raises(RuntimeError, match=re.escape(said)):
        client.map(query_file, REFERENCE, **{option: "high"})


def test_errors_are_the_servers_own(client, query_file, tmp_path):
    with pytest.raises(RuntimeError, match="no job"):
        client.state("0" * 16)
    (tmp_path / "cells.csv").write_text("<!doctype html>")
    job = client.map(tmp_path / "cells.csv", REFERENCE)
    with pytest.raises(RuntimeError, match="web page"):
        client.wait(job)
    with pytest.raises(RuntimeError, match="no results"):
        client.download(job, "cells.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_wait_ends(client, query_file):
    job = client.map(query_file, REFERENCE, batch_key="batch", max_epochs=100_000)
    with pytest.raises(TimeoutError, match=job):
        client.wait(job, seconds=0)
    client.cancel(job)
    with pytest.raises(RuntimeError, match="cancelled"):
        client.wait(job)


@pytest.fixture
def silent():
    """An address that takes requests, and sends what it is told to."""
    said = []

    class Visitor(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(2**16)
            self.request.sendall(said[0])

    with socketserver.TCPServer(("127.0.0.1", 0), Visitor) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/?token=a", said
        server.shutdown()
        thread.join()


def test_a_file_that_breaks_off_is_not_kept(silent, tmp_path):
    address, said = silent
    said.append(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\ncell,label\n")
    (tmp_path / "cells.csv").write_text("before")
    with pytest.raises(EOFError, match="989 bytes"):
        sp.app.Client(address).download("0" * 16, "cells.csv", tmp_path / "cells.csv")
    assert (tmp_path / "cells.csv").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_cannot_be_written_is_not_said_to_be_kept(silent, tmp_path, monkeypatch):
    """What came cannot be fetched twice: no part of it is left elsewhere."""
    address, said = silent
    said.append(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\ncell,label\n")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output") as caught:
        sp.app.Client(address).download("0" * 16, "cells.csv", tmp_path / "cells.csv")
    assert "kept" not in str(caught.value)
    assert [one.name for one in tmp_path.rglob("*")] == ["folder"]


def test_a_wait_is_no_longer_than_asked_for(silent):
    """For a job that never changes."""
    address, said = silent
    state = b'{"id": "a", "status": "running", "progress": 0.5, "message": ""}'
    said.append(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(state), state))
    told, start = [], time.monotonic()
    with pytest.raises(TimeoutError, match=r"1\.2 s"):
        sp.app.Client(address).wait("a", seconds=1.2, tell=told.append)
    assert 1.2 <= time.monotonic() - start < 5
    assert len(told) == 1


def test_an_address_needs_its_token(address):
    with pytest.raises(ValueError, match="token"):
        sp.app.Client("http://127.0.0.1:8765/")
    with pytest.raises(ValueError, match="address"):
        sp.app.Client("localhost")
    with pytest.raises(RuntimeError, match="token"):
        sp.app.Client(address.partition("?")[0], token="another").jobs()


def test_the_client_needs_no_library_of_the_server():
    code = (
        "import sys, scarches_plus as sp; sp.app.Client('http://127.0.0.1:1/?token=a'); "
        "print({'starlette', 'uvicorn', 'torch', 'scvi'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

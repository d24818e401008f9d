"""The client against a server that the command line started."""

import subprocess
import sys

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


def test_errors_are_the_servers_own(client, query_file, tmp_path):
    with pytest.raises(RuntimeError, match="speed"):
        client.map(query_file, REFERENCE, speed="high")
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

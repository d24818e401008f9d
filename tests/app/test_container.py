"""The container file of the page. Run with ``make test-container``: it fetches all that the package needs."""

import json
import os
import re
import shlex
import socket
import subprocess
import time
import venv
from importlib.metadata import version
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[2]
CONTAINER = (ROOT / "deploy" / "Containerfile").read_text()
pytestmark = pytest.mark.container


def test_the_container_installs_a_page_that_answers(tmp_path):
    """The image is not built here: its lines of pip fill a bare environment, with this checkout in place of the
    release and the torch at hand in place of the newest, and its command is run there.
    """
    lines = re.findall(r"^RUN pip install (.+)$", CONTAINER, re.MULTILINE)
    assert len(lines) == CONTAINER.count("pip install") == 2
    here = {"$TORCH": f"torch=={version('torch').partition('+')[0]}", '"scarches-plus[app]"': f"{ROOT}[app]"}
    venv.create(tmp_path / "bare", with_pip=True)
    for line in lines:
        (own,) = [one for one in here if one in line]
        given = shlex.split(line.replace(own, here[own]))
        subprocess.run([tmp_path / "bare" / "bin" / "pip", "install", "--quiet", *given], check=True)
    command = json.loads(re.search(r"^CMD (.+)$", CONTAINER, re.MULTILINE)[1])
    program, *options = [str(tmp_path / "results") if one == "/results" else one for one in command]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = "a-token-of-the-container"
    server = subprocess.Popen(
        [tmp_path / "bare" / "bin" / program, *options, "--port", str(port)],
        cwd=tmp_path, env={**os.environ, "SCARCHES_PLUS_APP_TOKEN": token},
    )  # fmt: skip
    try:
        headers = {"host": options[options.index("--allowed-host") + 1], "authorization": f"Bearer {token}"}
        found = _answer(server, f"http://127.0.0.1:{port}/api/references", headers)
    finally:
        server.kill()
        server.wait(timeout=30)
    assert "pbmc68k-scanvi@1" in {one["what"] for one in found["references"]}
    assert not found["paths"]


def _answer(server, address, headers, seconds=120):
    end = time.monotonic() + seconds
    while True:
        assert server.poll() is None
        try:
            with urlopen(Request(address, headers=headers)) as answer:
                return json.load(answer)
        except URLError as error:
            if isinstance(error, HTTPError) or time.monotonic() > end:
                raise
            time.sleep(0.5)

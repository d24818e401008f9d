"""Who is let in, what is taken, and how ``serve`` begins."""

import json
import re
import socket
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from app_jobs import wait
from matplotlib.colors import to_hex

import scarches_plus as sp

FORM = "multipart/form-data; boundary=x"


# --- Who is let in ---


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/api/jobs", "/api/openapi.json", "/nowhere"])
def test_who_does_not_know_the_token_gets_nothing(server, path):
    near = [server.token[:-1], server.token + "s", server.token.upper()]
    for said in ("", "Basic YTpi", *(f"Bearer {token}" for token in ("wrong", *near))):
        answer = server.client.get(path, headers={"authorization": said})
        assert answer.status_code == 401
        assert server.token not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:8765", ""])
def test_another_name_of_the_server_is_refused(server, host):
    """An address of another site that leads to this machine (DNS rebinding)."""
    answer = server.client.get("/api/jobs", headers={"host": host})
    assert answer.status_code == 403
    assert "name" in answer.json()["error"]


def test_two_names_at_once_are_refused(server):
    """A proxy may read the one and this server the other."""
    names = [("host", "127.0.0.1:8765"), ("host", "evil.example")]
    for headers in (names, names[::-1]):
        assert server.client.get("/api/jobs", headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "LOCALHOST:8765"])
def test_own_names_are_let_in(server, host):
    assert server.client.get("/api/jobs", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:8766", "http://localhost:8765", "http://["]
)
def test_other_pages_are_refused(server, origin):
    assert server.client.get("/api/jobs", headers={"origin": origin}).status_code == 403


def test_a_browser_gets_a_cookie_that_scripts_do_not_see(server):
    anyone = {"authorization": ""}
    assert server.client.get("/?token=wrong", headers=anyone).status_code == 401
    welcome = server.client.get(f"/?token={server.token}", headers=anyone)
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/")
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "secure" not in cookie.lower()
    assert server.token not in cookie
    behind = server.client.get(f"/?token={server.token}", headers=anyone | {"x-forwarded-proto": "https"})
    assert "; secure" in behind.headers["set-cookie"].lower()
    assert "8765" in cookie.partition("=")[0]  # browsers share cookies among the ports of a host
    known = anyone | {"cookie": cookie.partition(";")[0]}
    value = known["cookie"].partition("=")[2]
    assert server.client.get("/api/jobs", headers={"authorization": f"Bearer {value}"}).status_code == 401
    server.client.cookies.clear()
    assert server.client.get("/", headers=known).status_code == 200
    body = {"what": "nothing"}
    # who has only a cookie has to show that the page itself asks
    assert server.client.post("/api/references", json=body, headers=known).status_code == 403
    same = known | {"origin": "http://127.0.0.1:8765"}
    assert server.client.post("/api/references", json=body, headers=same).status_code != 403
    foreign = known | {"sec-fetch-site": "cross-site"}
    assert server.client.get("/api/jobs", headers=foreign).status_code == 403
    server.client.cookies.clear()


def test_a_reference_that_no_file_can_be_called_is_told(server):
    answer = server.client.post("/api/references", json={"what": "a\x00b"})
    assert answer.status_code == 422
    assert "a\\x00b" in answer.json()["error"]


def test_too_many_questions_are_told_to_come_back(server, limits):
    limits(waiting_questions=0)
    answer = server.client.post("/api/references", json={"what": "simulated-scvi"})
    assert answer.status_code == 429


def test_pages_may_load_nothing_from_elsewhere(server):
    for path in ("/", "/page/main.js", "/api/jobs", "/nowhere"):
        headers = server.client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    page = server.client.get("/").text
    assert "<script>" not in page
    assert "style=" not in page
    assert "//" not in page.replace("<!--", "")


@pytest.mark.parametrize("name", ["../__init__.py", "..%2f__init__.py", "%2e%2e/_serve.py", "main.py", "index.htm"])
def test_no_other_file_is_sent(server, name):
    assert server.client.get(f"/page/{name}").status_code == 404


@pytest.mark.parametrize(("color", "cells"), [("cell_type", "all"), ("state", "query")])
def test_the_page_has_the_colours_of_figures(server, color, cells):
    """Labels by their place, and the three states of novelty."""
    told = dict(re.findall(r"export const (\w+) = (.*);", server.client.get("/page/palette.js").text))
    palette = {name: json.loads(value) for name, value in told.items()}
    adata = sp.datasets.simulate(60, 20, 4, rng=0)
    adata.obs["mapping_role"] = np.repeat(["reference", "query"], 30)
    adata.obs["state"] = pd.Categorical(np.tile(["known", "novel", "not judged"], 20))
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(60, 2))
    _, ax = plt.subplots()
    drawn = sp.pl.joint_umap(adata, color=color, cells=cells, ax=ax).get_legend()
    colors = {
        text.get_text(): to_hex(handle.get_facecolor()[0])
        for text, handle in zip(drawn.get_texts(), drawn.legend_handles, strict=True)
    }
    plt.close("all")
    states = {"known": palette["GREY"], "novel": palette["NOVEL"], "not judged": palette["UNSURE"]}
    labels = {f"type{place}": palette["LABELS"][place] for place in range(4)}
    expected = states if color == "state" else labels
    assert expected.items() <= colors.items()


# --- What is taken ---


def test_a_file_is_kept_under_a_harmless_name(server):
    for name, kept in (
        ("cells.h5ad", "cells.h5ad"),
        ("../../evil.csv", "evil.csv"),
        ("..", "cells"),
        ("a\x00b.csv", None),
    ):
        answer = server.client.post("/api/files", files={"file": (name, b"a,b\n1,2\n")})
        assert answer.status_code == 201
        found = answer.json()
        (file,) = (server.folder / "files" / found["file"]).iterdir()
        assert file.read_bytes() == b"a,b\n1,2\n"
        assert file.name == found["name"]
        assert kept in {None, file.name}
        assert server.client.delete(f"/api/files/{found['file']}").status_code == 204
        assert not (server.folder / "files" / found["file"]).exists()


def _files(server):
    return {one.name for one in (server.folder / "files").iterdir()}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"--x\r\n", 400),
        (b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of i', 400),
        (b"--y\r\n\r\n\r\n--y--\r\n", 400),
        (b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n', 400),  # no file
        (b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n1\r\n' * 2 + b"--x--\r\n", 400),
        (b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n' + b"1" * 2**21 + b"\r\n--x--\r\n", 413),
    ],
    ids=["nothing", "a start", "half", "another boundary", "no file", "two files", "a long field"],
)
def test_damaged_forms_leave_nothing_behind(server, content, status):
    before = _files(server)
    answer = server.client.post("/api/files", content=content, headers={"content-type": FORM})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]
    assert _files(server) == before


def test_what_is_no_form_is_refused(server):
    assert server.client.post("/api/files", json={}).status_code == 415


def test_large_files_are_refused_before_and_while_they_come(serve_page, tmp_path):
    with serve_page(tmp_path, upload_bytes=1000) as server:
        told = server.client.post("/api/files", files={"file": ("a.csv", b"1" * 2**22)})
        assert told.status_code == 413

        def pieces():  # of unknown length
            yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
            for _ in range(100):
                yield b"1" * 100

        untold = server.client.post("/api/files", content=pieces(), headers={"content-type": FORM})
        assert untold.status_code == 413
        assert "--upload-gb" in untold.json()["error"]
        assert _files(server) == set()


def test_text_fields_are_limited_together(server):
    """Each is small, and all of them would fill the memory."""
    before = _files(server)

    def pieces():
        for number in range(40):
            yield f'--x\r\ncontent-disposition: form-data; name="f{number}"\r\n\r\n'.encode()
            yield b"1" * 2**17 + b"\r\n"
        yield b"--x--\r\n"

    answer = server.client.post("/api/files", content=pieces(), headers={"content-type": FORM})
    assert answer.status_code == 413
    assert _files(server) == before


def test_a_job_too_many_leaves_no_file(server, limits):
    limits(waiting_jobs=0)
    before = _files(server)
    form = {"options": '{"reference": "pbmc68k-scanvi"}'}
    answer = server.client.post("/api/jobs", data=form, files={"file": ("a.h5ad", b"1")})
    assert answer.status_code == 429
    assert _files(server) == before


@pytest.mark.parametrize("options", ["{", "[]", "{}", '{"reference": "pbmc68k-scanvi", "speed": 1}'])
def test_a_form_with_bad_options_leaves_no_file(server, options):
    before = _files(server)
    answer = server.client.post("/api/jobs", data={"options": options}, files={"file": ("a.h5ad", b"1")})
    assert answer.status_code in {400, 422}
    assert _files(server) == before


def test_a_file_stays_while_a_job_needs_it(server, limits):
    file = server.client.post("/api/files", files={"file": ("a.h5ad", b"1")}).json()["file"]
    body = {"reference": "pbmc68k-scanvi", "file": file}
    first, second = (server.client.post("/api/jobs", json=body).json()["id"] for _ in range(2))
    limits(waiting_jobs=0)
    assert server.client.post("/api/jobs", json=body).status_code == 429
    assert file in _files(server)
    assert server.client.delete(f"/api/files/{file}").status_code == 409
    for job, stays in ((first, True), (second, False)):
        wait(server.client, job)
        assert server.client.delete(f"/api/jobs/{job}").status_code == 204
        assert (file in _files(server)) == stays


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "JSON"),
        (b"[]", ""),
        (b'{"reference": "pbmc68k-scanvi"}', "file"),
        (b'{"reference": "pbmc68k-scanvi", "path": "a", "file": "0123456789abcdef"}', "one of the two"),
        (b'{"reference": "pbmc68k-scanvi", "path": "a", "speed": 1}', "speed"),
        (b'{"reference": "pbmc68k-scanvi", "path": "a", "max_epochs": 0}', "max_epochs"),
        (b'{"reference": "pbmc68k-scanvi", "path": "a", "method": "magic"}', "method"),
        (b'{"reference": "pbmc68k-scanvi", "path": "a", "method": "zero-shot", "on_problem": "warn"}', "of surgery"),
        (b'{"reference": "pbmc68k-scanvi", "path": "a", "method": "zero-shot", "max_epochs": 3}', "of surgery"),
        (b'{"reference": "pbmc68k-scanvi", "file": "../../etc/passwd"}', "file"),
        (b'{"reference": "pbmc68k-scanvi", "path": "a", "path": "b"}', "twice"),
        (b'{"a": "' + b"1" * 2**21 + b'"}', "bytes"),
    ],
    ids=[
        "half",
        "a list",
        "no cells",
        "two kinds of cells",
        "unknown",
        "epochs",
        "method",
        "warned zero-shot",
        "epochs of zero-shot",
        "file",
        "twice",
        "long",
    ],
)
def test_options_that_make_no_sense_are_refused(server, body, words):
    for path in ("/api/jobs", "/api/check"):
        answer = server.client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code in {400, 413, 422}
        assert words in answer.json()["error"]
    assert server.client.get("/api/jobs").json()["jobs"] == []


def test_where_others_are_let_in_nobody_names_files_of_this_machine(serve_page, tmp_path, query_file):
    with serve_page(tmp_path, paths=False, references=("/models/atlas",)) as server:
        known = server.client.get("/api/references").json()
        assert known["paths"] is False
        assert known["references"][0] == {"what": "/models/atlas", "title": "atlas"}
        job = {"reference": "pbmc68k-scanvi", "path": str(query_file)}
        assert server.client.post("/api/jobs", json=job).status_code == 403
        assert server.client.post("/api/references", json={"what": str(query_file.parent)}).status_code == 403
        assert server.client.post("/api/references", json={"what": "pbmc68k-scanvi"}).status_code == 200


# --- What the API says of itself ---


def test_the_openapi_document_lists_all_routes_and_no_other(server):
    document = server.client.get("/api/openapi.json").json()
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert listed == set(server.api)
    text = json.dumps(document)
    names = {name.split("/")[-1] for name in _references_in(document)}
    assert names <= set(document["components"]["schemas"])
    assert "JobOptions" in names
    assert "#/$defs" not in text
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert all(one["summary"] for one in operations)


def _references_in(part):
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from _references_in(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references_in(value)


def test_routes_answer_as_the_document_says(server):
    """Each is there, knows its method, and says in JSON what is wrong with a made-up name."""
    for method, path in server.api:
        filled = path.replace("{job}", "0" * 16).replace("{file}", "0" * 16).replace("{name}", "cells.csv")
        answer = server.client.request(method, filled, json={} if method == "POST" else None)
        assert answer.status_code not in {405, 500}, (method, path)
        if "{job}" in path:
            assert answer.status_code == 404
            assert "no job" in answer.json()["error"]
    assert server.client.request("PATCH", "/api/jobs").status_code == 405


# --- How it begins ---


@pytest.mark.parametrize("missing", ["uvicorn", "starlette", "python_multipart"])
def test_the_command_names_the_extra_that_is_missing(missing, tmp_path):
    code = f"import sys; sys.modules[{missing!r}] = None; from scarches_plus.cli import main; main()"
    command = [sys.executable, "-c", code, "app", "--folder", str(tmp_path / "results"), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "scarches-plus[app]"' in done.stderr
    assert "unexpected" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_serve_says_when_the_port_is_taken(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="--port"):
            sp.app.serve(folder=tmp_path, port=other.getsockname()[1])


def test_serve_refuses_a_short_token(monkeypatch, tmp_path):
    monkeypatch.setenv("SCARCHES_PLUS_APP_TOKEN", "short")
    with pytest.raises(ValueError, match="16 characters"):
        sp.app.serve(folder=tmp_path, port=0)


def test_a_token_of_the_environment_opens_the_page(monkeypatch, tmp_path):
    """Whatever its characters: the address that is told is one that browsers read as it is meant."""
    from urllib.parse import parse_qs, urlsplit

    token, told = "a+b/c=d&e f#0123456789", []

    def tell(address):
        told.append(address)
        raise KeyboardInterrupt

    monkeypatch.setenv("SCARCHES_PLUS_APP_TOKEN", token)
    with pytest.raises(KeyboardInterrupt):
        sp.app.serve(folder=tmp_path / "results", port=0, tell=tell)
    assert (tmp_path / "results").stat().st_mode & 0o077 == 0
    parts = urlsplit(told[0])
    assert parse_qs(parts.query)["token"] == [token]
    assert not parts.fragment
    monkeypatch.setenv("SCARCHES_PLUS_APP_TOKEN", "\u00e9" * 20)
    with pytest.raises(ValueError, match="ASCII"):
        sp.app.serve(folder=tmp_path, port=0)


def test_a_second_server_of_a_folder_says_so_before_it_tells_an_address(serve_page, tmp_path):
    with serve_page(tmp_path):
        told = []
        with pytest.raises(ValueError, match="another server works in"):
            sp.app.serve(folder=tmp_path, port=0, tell=told.append)
        assert told == []


def test_serve_refuses_a_file_for_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        sp.app.serve(folder=tmp_path / "file")

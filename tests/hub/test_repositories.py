"""Repositories of Hugging Face are fetched without an index, and stay at the commit of their first use."""

import hashlib
import json
import logging
import shutil

import pytest
from hugging_face_server import TOKEN, HuggingFaceServer
from shipped import FOLDER

from scarches_plus.hub import BundleError, pull

MODEL = bytes(range(256)) * 20
REPOSITORY = {
    "model.pt": MODEL,
    "_scvi_required_metadata.json": b"{}",
    "README.md": b"# A model",
    "adata.h5ad": b"cells",
    "metrics.json": b"{}",
    ".gitattributes": b"",
    "logs/version_0/model.txt": b"",
}


@pytest.fixture
def hub(monkeypatch, no_waits, publish_at):
    server = HuggingFaceServer()
    publish_at(monkeypatch, "huggingface", server.address)
    yield server
    server.close()


@pytest.fixture
def fetch(hub, tmp_path):
    def fetch(what, **kwargs):
        return pull(what, **{"cache_dir": tmp_path / "cache", "progress": False, **kwargs})

    return fetch


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_model_without_its_cells(fetch, hub, tmp_path):
    commit = hub.commit("lab/lung", REPOSITORY)
    folder = fetch("hf://lab/lung")
    assert files_of(folder) == {
        name: REPOSITORY[name] for name in ("model.pt", "_scvi_required_metadata.json", "README.md")
    }
    pins = json.loads((tmp_path / "cache" / "hub" / "pins" / f"hf-lab--lung-{commit[:12]}.json").read_text())
    assert pins["files"]["README.md"]["sha256"] == hashlib.sha256(b"# A model").hexdigest()
    n_requests = len(hub.lines)
    page = f"{hub.address}/lab/lung"
    for again in ("hf://lab/lung@main", f"hf://lab/lung@{commit}", page, f"{page}/tree/main"):
        assert fetch(again) == folder
    assert pull("hf://lab/lung", cache_dir=tmp_path / "cache") == folder
    assert len(hub.lines) == n_requests
    assert fetch("hf://lab/lung", with_cells=True) == folder
    assert (folder / "adata.h5ad").read_bytes() == b"cells"
    assert hub.lines[n_requests:] == [
        f"/api/models/lab/lung/revision/{commit}?blobs=true",
        f"/lab/lung/resolve/{commit}/adata.h5ad",
    ]


def test_a_branch_that_moved(fetch, hub, tmp_path, caplog):
    first = hub.commit("lab/lung", REPOSITORY)
    folder = fetch("hf://lab/lung")
    second = hub.commit("lab/lung", {**REPOSITORY, "model.pt": b"new"})
    hub.lines.clear()
    with caplog.at_level(logging.INFO, "scarches_plus"):
        assert fetch("hf://lab/lung") == folder
    assert hub.lines == []
    assert f"hf://lab/lung stands for hf://lab/lung@{first} since it was first used" in caplog.text
    assert "allow_latest=True asks again" in caplog.text
    shutil.rmtree(tmp_path / "cache" / "hub" / "records")
    assert (fetch("hf://lab/lung") / "model.pt").read_bytes() == MODEL
    newest = fetch("hf://lab/lung", allow_latest=True)
    assert (newest / "model.pt").read_bytes() == b"new"
    assert f"hf://lab/lung stood for hf://lab/lung@{first}, and now stands for hf://lab/lung@{second}" in caplog.text
    assert fetch("hf://lab/lung") == newest == fetch("hf://lab/lung", allow_latest=True, offline=True)
    assert fetch(f"hf://lab/lung@{first}", offline=True) == folder


def test_revisions_and_folders(fetch, hub):
    hub.commit(
        "lab/lung", {f"{kind}/{name}": contents for kind in ("scvi", "scanvi") for name, contents in REPOSITORY.items()}
    )
    tagged = hub.commit("lab/lung", {"models/a.zip": MODEL, "b.zip": b"PK"}, branch="v1.0")
    with pytest.raises(
        ValueError,
        match=r"models in folders: \['scanvi', 'scvi'\]; name one, such as hf://lab/lung@[0-9a-f]{40}/scanvi",
    ):
        fetch("hf://lab/lung")
    one, other = fetch("hf://lab/lung/scvi"), fetch(f"{hub.address}/lab/lung/tree/main/scanvi")
    assert one != other
    assert files_of(one) == files_of(other)
    assert len(files_of(one)) == 3
    archive = fetch("hf://lab/lung@v1.0/models/a.zip")
    assert (archive.name, archive.read_bytes()) == ("a.zip", MODEL)
    assert fetch(f"hf://lab/lung@{tagged}/models") == archive
    assert fetch("hf://lab/lung@v1.0").read_bytes() == b"PK"
    with pytest.raises(ValueError, match=r"holds no 'scvi' .*only \['b.zip', 'models/a.zip'\]"):
        fetch("hf://lab/lung@v1.0/scvi")


def test_a_bundle(fetch, hub):
    there = files_of(FOLDER / "simulated-scvi")
    hub.commit("lab/small", {**there, ".gitattributes": b"", "config.json": b"{}"})
    assert files_of(fetch("hf://lab/small")) == there


@pytest.mark.parametrize("name", ["model.pt", "README.md"])
def test_other_contents(name, fetch, hub):
    """Large files have a sha256, small ones the name that git gives them."""
    commit = hub.commit("lab/lung", REPOSITORY)
    files = dict(REPOSITORY)

    def change(values):
        hub.commits["lab/lung", commit] = {**files, name: files[name][::-1]}
        return values

    hub.change = change
    with pytest.raises(OSError, match=rf"could not fetch {name}:\n.*wrong {'sha256' if name == 'model.pt' else 'git'}"):
        fetch("hf://lab/lung")


def test_who_may_see_it(fetch, hub, monkeypatch):
    hub.commit("lab/lung", REPOSITORY)
    hub.private.add("lab/lung")
    monkeypatch.setenv("ZENODO_TOKEN", "of-another-service")
    with pytest.raises(
        PermissionError, match="hf://lab/lung answers 401: it is not public; set HF_TOKEN if you may see it"
    ):
        fetch("hf://lab/lung")
    assert set(hub.tokens) == {None}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert (fetch("hf://lab/lung") / "model.pt").read_bytes() == MODEL
    assert set(hub.tokens) == {None, f"Bearer {TOKEN}"}


def test_offline(fetch, hub):
    commit = hub.commit("lab/lung", REPOSITORY)
    with pytest.raises(OSError, match="hf://lab/lung is not in the cache, and is not fetched: offline"):
        fetch("hf://lab/lung", offline=True)
    assert hub.lines == []
    folder = fetch("hf://lab/lung")
    assert fetch("hf://lab/lung", offline=True) == fetch(f"hf://lab/lung@{commit}", offline=True) == folder


def sibling(**values):
    return lambda answer: {**answer, "siblings": [{"rfilename": "model.pt", "size": 4, "blobId": "0" * 40, **values}]}


HOSTILE = {
    "another commit": (lambda answer: {**answer, "sha": "0" * 40}, "is about another commit, 0000"),
    "a path for a commit": (lambda answer: {**answer, "sha": "../../etc"}, "sha: "),
    "paths for names": (sibling(rfilename="../model.pt"), r"only \[\], and 1 files"),
    "an absolute path": (sibling(rfilename="/model.pt"), r"only \[\], and 1 files"),
    "control characters": (sibling(rfilename="\x1b[2Jmodel.pt"), r"only \[\], and 1 files"),
    "a size below 0": (sibling(size=-4), "size"),
    "no size": (sibling(size=None), r"only \[\], and 1 files"),
    "a hash that is none": (sibling(blobId="x"), "blobId"),
    "no hash": (sibling(blobId=None), r"only \[\], and 1 files"),
    "a name twice": (lambda answer: {**answer, "siblings": answer["siblings"] * 2}, "gives the file 'model.pt' twice"),
    "more files than any": (lambda answer: {**answer, "siblings": [{"rfilename": str(n)} for n in range(10_001)]}, "siblings: "),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_answers(case, fetch, hub):
    commit = hub.commit("lab/lung", REPOSITORY)
    hub.change, why = HOSTILE[case]
    with pytest.raises(ValueError, match=why) as caught:
        fetch(f"hf://lab/lung@{commit}")
    assert str(caught.value).isprintable()
    assert len(hub.lines) == 1


def test_a_repository_that_changed(fetch, hub, tmp_path):
    """A commit cannot change, unless its service is another one."""
    commit = hub.commit("lab/lung", REPOSITORY)
    fetch("hf://lab/lung")
    hub.commits["lab/lung", commit] = {**REPOSITORY, "model.pt": b"other"}
    shutil.rmtree(tmp_path / "cache" / "hub" / "records")
    with pytest.raises(
        BundleError, match=r"first used: model.pt had 5120 bytes, sha256:.*, and has 5 bytes, sha256:.*delete .*pins"
    ):
        fetch("hf://lab/lung")

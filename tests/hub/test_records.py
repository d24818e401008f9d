"""Records of Zenodo are fetched without an index, and have to stay what they were."""

import hashlib
import json
import logging
import shutil

import pytest
from invenio_server import TOKEN
from shipped import FOLDER, INDEX, entry_of

import scarches_plus as sp
from scarches_plus.hub import BundleError

MODEL = bytes(range(256)) * 20
BUNDLE = FOLDER / "simulated-scvi"


@pytest.fixture
def fetch(zenodo, tmp_path):
    def fetch(what, **kwargs):
        return sp.hub.pull(what, **{"cache_dir": tmp_path / "cache", "progress": False, **kwargs})

    return fetch


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "hub"


def files_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def doi(number):
    return f"10.5072/zenodo.{number}"


@pytest.mark.parametrize("form", ["zenodo", "invenio"])
def test_a_bundle_by_doi_without_an_index(form, fetch, zenodo, cache):
    zenodo.form = form
    there = files_of(BUNDLE)
    number = zenodo.put({**there, "supplement.zip": b"PK", "lab/software-1.0.zip": b"PK"})
    folder = fetch(doi(number))
    assert files_of(folder) == there
    sp.hub.verify_bundle(folder)
    pins = json.loads((cache / "pins" / f"zenodo-sandbox-{number}.json").read_text())
    assert {name: one["sha256"] for name, one in pins["files"].items() if one["sha256"]} == {
        name: hashlib.sha256(contents).hexdigest() for name, contents in there.items()
    }
    n_requests = len(zenodo.log)
    for again in (
        doi(number),
        f"doi:{doi(number)}",
        f"https://doi.org/{doi(number)}",
        f"{zenodo.address}/record/{number}",
    ):
        assert fetch(again) == folder
    assert sp.hub.pull(doi(number), cache_dir=cache.parent) == folder
    assert len(zenodo.log) == n_requests
    assert all(agent.startswith("scarches_plus/") for agent in zenodo.agents)


def test_saved_models(fetch, zenodo):
    beside = {
        "_scvi_required_metadata.json": b"{}",
        "README.md": b"# A model",
        "adata.h5ad": b"cells",
        "notes.txt": b"",
    }
    new = zenodo.put({"model.pt": MODEL, "attr.pkl": b"?", **beside})
    folder = fetch(doi(new))
    assert sorted(files_of(folder)) == ["README.md", "_scvi_required_metadata.json", "model.pt"]
    assert "adata.h5ad" in files_of(fetch(doi(new), with_cells=True))
    old = zenodo.put({"model_params.pt": MODEL, "attr.pkl": b"?", "var_names.csv": b"a\n", "notes.txt": b""})
    assert sorted(files_of(fetch(doi(old)))) == ["attr.pkl", "model_params.pt", "var_names.csv"]
    assert sum("adata.h5ad" in line for line in zenodo.log) == 1


@pytest.mark.parametrize("name", ["model.zip", "Model v1.TAR.GZ", "modèle.tgz", "m.tar", "m.tar.bz2", "lung_model.pt"])
def test_the_only_archive(name, fetch, zenodo):
    number = zenodo.put({name: MODEL, "README.txt": b"", "cells.h5ad": b""})
    path = fetch(doi(number))
    assert (path.name, path.read_bytes()) == (name, MODEL)
    assert files_of(path.parent) == {name: MODEL}


def test_several_are_named_and_one_can_be_chosen(fetch, zenodo):
    number = zenodo.put({"core.zip": MODEL, "full.zip": b"PK", "lab/tool.zip": b"", "cells.csv": b""})
    page = f"{zenodo.address}/records/{number}"
    with pytest.raises(ValueError, match=r"several .*\['core.zip', 'full.zip'\]; name one, such as .*/files/core.zip"):
        fetch(doi(number))
    assert "content" not in "".join(zenodo.log)
    path = fetch(f"{page}/files/full.zip?download=1")
    assert (path.name, path.read_bytes()) == ("full.zip", b"PK")
    with pytest.raises(ValueError, match="several"):
        fetch(page, offline=True)
    assert fetch(f"{page}/files/full.zip", offline=True) == path
    with pytest.raises(ValueError, match=r"holds no 'ful.zip' .*only \['cells.csv', 'core.zip', 'full.zip'"):
        fetch(f"{page}/files/ful.zip")


def test_none_says_what_there_is(fetch, zenodo):
    number = zenodo.put({"cells.h5ad": b"", "x/../y": b"", "a\x1b[2Jb": b""})
    with pytest.raises(ValueError, match=r"holds no model .*only \['cells.h5ad'\], and 2 files that cannot be fetched"):
        fetch(doi(number))
    with pytest.raises(ValueError, match=r"holds no model .*only \[\]$"):
        fetch(doi(zenodo.put({})))


def test_wrong_contents(fetch, zenodo, cache):
    number = zenodo.put({"model.pt": MODEL})
    zenodo.fault("GET", "/content", (200, {}, MODEL[::-1]))
    with pytest.raises(OSError, match=r"could not fetch model.pt:\n.*wrong md5"):
        fetch(doi(number))
    zenodo.fault("GET", "/content", (200, {}, MODEL[1:]))
    with pytest.raises(OSError, match=rf"sends {len(MODEL) - 1} bytes, and the file has {len(MODEL)}"):
        fetch(doi(number))
    assert not list(cache.glob("records/zenodo*/*"))
    assert not (cache / "pins").exists()
    assert files_of(fetch(doi(number))) == {"model.pt": MODEL}


def test_larger_than_allowed(fetch, zenodo):
    number = zenodo.put({"model.pt": MODEL, "adata.h5ad": bytes(10_000)})
    with pytest.raises(BundleError, match=rf"has {len(MODEL)} bytes, more than max_bytes=100"):
        fetch(doi(number), max_bytes=100)
    with pytest.raises(BundleError, match=r"more than max_bytes=6000"):
        fetch(doi(number), max_bytes=6000, with_cells=True)
    fetch(doi(number), max_bytes=6000)


def test_a_record_that_changed(fetch, zenodo, cache):
    number = zenodo.put({"model.pt": MODEL})
    folder = fetch(doi(number))
    zenodo.records[number]["files"]["model.pt"]["content"] = MODEL + b"!"
    assert files_of(fetch(doi(number))) == {"model.pt": MODEL}  # what is there is what it was
    shutil.rmtree(cache / "records")
    pin = cache / "pins" / f"zenodo-sandbox-{number}.json"
    for _ in range(2):
        with pytest.raises(
            BundleError, match=r"is not what it was when it was first used: model.pt had 5120 bytes, md5:"
        ) as caught:
            fetch(doi(number))
        assert "and has 5121 bytes, md5:" in str(caught.value)
        assert f"delete {pin}" in str(caught.value)
        assert not folder.exists()
    zenodo.records[number]["files"] |= {"model.pt": {"status": "completed", "content": MODEL}}
    zenodo.records[number]["files"] |= {"manifest.json": {"status": "completed", "content": b""}}
    with pytest.raises(BundleError, match=r"first used: manifest.json is new\. "):
        fetch(doi(number))
    pin.unlink()
    assert files_of(fetch(doi(number))) == {"model.pt": MODEL}


def test_another_file_with_the_same_md5(fetch, zenodo, cache):
    """Such files can be made; here the record of the first use is changed instead."""
    number = zenodo.put({"model.pt": MODEL})
    folder = fetch(doi(number))
    pin = cache / "pins" / f"zenodo-sandbox-{number}.json"
    sha256 = hashlib.sha256(MODEL).hexdigest()
    pin.write_text(pin.read_text().replace(sha256, "0" * 64))
    with pytest.raises(BundleError, match=f"first used: model.pt had the sha256 {'0' * 64}, and has {sha256}"):
        fetch(doi(number))
    assert not (folder / "model.pt").exists()


def test_a_damaged_cache(fetch, zenodo, cache):
    number = zenodo.put({"model.pt": MODEL})
    folder = fetch(doi(number))
    (folder / "model.pt").write_bytes(MODEL[::-1])
    with pytest.raises(OSError, match="not whole, in the cache"):
        fetch(doi(number), offline=True)
    assert files_of(fetch(doi(number))) == {"model.pt": MODEL}
    pin = cache / "pins" / f"zenodo-sandbox-{number}.json"
    for text in ("{", '{"place": 1}', pin.read_text().replace(number, "77"), '{"schema_version": 2}'):
        pin.write_text(text)
        with pytest.raises(BundleError, match=r"is no list of what .* held .*; delete it to trust the place anew"):
            fetch(doi(number))


def test_the_doi_of_all_versions(fetch, zenodo, caplog):
    first = zenodo.put({"model.pt": MODEL})
    concept = zenodo.records[first]["parent"]
    second = zenodo.put({"model.pt": MODEL + b"2"}, parent=concept)
    for form in ("zenodo", "invenio"):
        zenodo.form = form
        with pytest.raises(
            KeyError,
            match=rf"{doi(concept)} is the DOI of all versions.*newest is {doi(second)}, or pass allow_latest=True",
        ):
            fetch(doi(concept))
    with pytest.raises(OSError, match="offline"):
        fetch(doi(concept), allow_latest=True, offline=True)
    with caplog.at_level(logging.INFO, "scarches_plus"):
        folder = fetch(doi(concept), allow_latest=True)
    assert f"records/{concept} stands for {zenodo.address}/records/{second}" in caplog.text
    assert files_of(folder) == {"model.pt": MODEL + b"2"}
    assert fetch(doi(second)) == folder == fetch(doi(concept), allow_latest=True, offline=True)
    with pytest.raises(KeyError, match=f"newest is {doi(second)}"):
        fetch(doi(concept), offline=True)
    third = zenodo.put({"model.pt": b"3"}, parent=concept)
    assert files_of(fetch(doi(concept), allow_latest=True)) == {"model.pt": b"3"}
    assert (
        f"records/{concept} stood for {zenodo.address}/records/{second}, and now stands for {zenodo.address}/records/{third}"
        in caplog.text
    )
    assert files_of(fetch(doi(first))) == {"model.pt": MODEL}


def test_who_may_see_restricted_files(fetch, zenodo, monkeypatch):
    number = zenodo.put({"model.pt": MODEL}, access="restricted")
    for form in ("zenodo", "invenio"):
        zenodo.form = form
        with pytest.raises(
            PermissionError, match=rf"records/{number} answers 403: it is not public; set ZENODO_SANDBOX_TOKEN"
        ):
            fetch(doi(number))
    monkeypatch.setenv("ZENODO_TOKEN", "of-another-service")
    with pytest.raises(PermissionError, match="set ZENODO_SANDBOX_TOKEN"):
        fetch(doi(number))
    assert set(zenodo.tokens) == {None}
    monkeypatch.setenv("ZENODO_SANDBOX_TOKEN", TOKEN)
    assert files_of(fetch(doi(number))) == {"model.pt": MODEL}
    assert set(zenodo.tokens) == {None, f"Bearer {TOKEN}"}


def test_offline(fetch, zenodo, monkeypatch):
    number = zenodo.put({"model.pt": MODEL, "adata.h5ad": b""})
    with pytest.raises(OSError, match=rf"records/{number} is not in the cache, and is not fetched: offline"):
        fetch(doi(number), offline=True)
    folder = fetch(doi(number))
    zenodo.log.clear()
    monkeypatch.setenv("SCARCHES_PLUS_OFFLINE", "1")
    assert fetch(doi(number)) == folder
    with pytest.raises(OSError, match="not whole, in the cache"):
        fetch(doi(number), with_cells=True)
    assert zenodo.log == []


def test_what_broke_off_goes_on(fetch, zenodo, limits):
    limits(received=100)
    number = zenodo.put({"model.pt": MODEL})
    zenodo.fault("GET", "/content", 1000, (503, {"Retry-After": "0"}, b""), 500)
    assert files_of(fetch(doi(number))) == {"model.pt": MODEL}
    assert sum("content -> 206" in line for line in zenodo.log) == 2
    assert [line.split()[-1] for line in zenodo.log] == ["200", "200", "503", "206", "206"]


def test_a_listed_doi_is_that_of_the_index(fetch, zenodo, tmp_path):
    """With its sha256, and its answer to the DOI of all versions."""
    number = zenodo.put({"model.pt": b"other"})
    entry = entry_of("simulated-scvi") | {"doi": doi(number), "concept_doi": doi("77")}
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "index.json").write_text(json.dumps({**json.loads(INDEX.read_text()), "models": [entry]}))
    shutil.copytree(BUNDLE, tmp_path / "lab" / entry["mirrors"][0])
    assert files_of(fetch(doi(number), index=tmp_path / "lab")) == files_of(BUNDLE)
    with pytest.raises(KeyError, match="is the DOI of all versions; take that of one of them"):
        fetch(doi("77"), index=tmp_path / "lab")
    assert zenodo.log == []


def test_an_index_that_cannot_be_read_is_told(fetch, zenodo, tmp_path):
    number = zenodo.put({"model.pt": MODEL})
    with pytest.warns(UserWarning, match="an index is left out: .*not_mounted is missing"):
        folder = fetch(doi(number), index=tmp_path / "not_mounted")
    assert files_of(folder) == {"model.pt": MODEL}


def changed(files=None, **values):
    """Return an answer about record 7 with something in it that should not be."""
    one = {"key": "model.pt", "size": 4, "checksum": "md5:" + "0" * 32}
    return {
        "id": 7,
        "conceptrecid": "6",
        "files": [one | file for file in ([{}] if files is None else files)],
        **values,
    }


HOSTILE = {
    "a web page": (b"<html>", "is no list of files"),
    "no record": ([], "is no list of files"),
    "another record": (changed(id=8), "is about another record, 8"),
    "a path for a number": (changed(id="../../7"), "id: "),
    "a size below 0": (changed([{"size": -1}]), r"files.*size"),
    "a size that is no number": (changed([{"size": "many"}]), r"files.*size"),
    "a huge size": (changed([{"size": 10**30}]), r"files.*size"),
    "a size beyond the disk": (changed([{"size": 2**62}]), "more than max_bytes"),
    "no checksum": (changed([{"checksum": None}]), r"files.*checksum"),
    "a checksum of an unknown kind": (changed([{"checksum": "crc32:\x1b[2J00"}]), r"not known here: 'crc32:\[2J00'"),
    "a name twice": (changed([{}, {}]), "gives the file 'model.pt' twice"),
    "paths for names": (changed([{"key": key} for key in ("../model.pt", "/model.pt", "a/../../model.pt", "..", "c:\\model.pt", "c:model.pt", "")]), r"only \[\], and 7 files"),
    "control characters in a name": (changed([{"key": "\x1b]0;x\x07\nmodel.pt"}, {"key": "a\u202emodel.pt"}]), r"only \[\], and 2 files"),
    "a name that is too long": (changed([{"key": "x" * 250 + ".zip"}]), r"only \[\], and 1 files"),
    "a name of a megabyte": (changed([{"key": "x" * 2**20}]), r"files.*key"),
    "more files than any record": (changed([{"key": str(number)} for number in range(10_001)]), r"entries: .*10000 items"),
    "a million files": (b'{"id": 7, "files": [' + b"{}," * 10**6 + b"{}]}", "tables and lists"),
    "an answer without an end": (b" " * (16 * 2**20 + 1), "sends more than"),
    "lists in lists": (b'{"id": 7, "files": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "is no list of files"),
    "a key twice": (b'{"id": 7, "id": 8}', "twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_answers(case, fetch, zenodo, cache):
    answer, why = HOSTILE[case]
    contents = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    zenodo.fault("GET", "/records/7", (200, {}, contents))
    with pytest.raises(ValueError, match=why) as caught:
        fetch(doi(7))
    assert str(caught.value).isprintable()
    assert len(zenodo.log) == 1
    assert not list(cache.glob("records/*"))
    assert not (cache / "pins").exists()


def test_links_of_an_answer_are_not_followed(fetch, zenodo):
    """The server gives links to elsewhere.example with every file."""
    number = zenodo.put({"a model, 100 %.zip": MODEL})
    path = fetch(doi(number))
    assert path.read_bytes() == MODEL
    assert zenodo.log[-1] == f"GET /api/records/{number}/files/a%20model,%20100%20%25.zip/content -> 200"


def test_a_record_that_is_not_there(fetch, zenodo):
    with pytest.raises(FileNotFoundError, match=r"/records/9 is not there: answers 404"):
        fetch(doi(9))

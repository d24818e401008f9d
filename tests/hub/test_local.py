"""What is given for a model is a path, a name or an address, and only the latter are asked for."""

import contextlib
from pathlib import Path

import pytest
from hugging_face_server import HuggingFaceServer
from shipped import FOLDER

import scarches_plus as sp
from scarches_plus.hub._indexes._known_references import KnownReference
from scarches_plus.hub._names._local import local_path


@pytest.fixture
def services(zenodo, monkeypatch, publish_at):
    """Zenodo and Hugging Face on this machine."""
    hub = HuggingFaceServer()
    publish_at(monkeypatch, "huggingface", hub.address)
    publish_at(monkeypatch, "zenodo", zenodo.address)
    yield {"zenodo": zenodo, "huggingface": hub}
    hub.close()


@pytest.fixture
def requests_made(services):
    """All that is asked of any service."""
    return lambda: [line for one in services.values() for line in one.lines]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCARCHES_PLUS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "lung").mkdir()
    (tmp_path / "lung" / "model.pt").write_bytes(b"")
    (tmp_path / "pbmc68k-scanvi").mkdir()
    (tmp_path / "10.5281").mkdir()
    (tmp_path / "10.5281" / "zenodo.12").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "what", ["lung", "lung/model.pt", "./lung", "pbmc68k-scanvi", "10.5281/zenodo.12", Path("lung")]
)
def test_what_is_there_is_a_path(what, here, requests_made):
    assert local_path(what) == Path(what)
    assert local_path(here / what) == here / what
    assert requests_made() == []


def test_the_home_of_the_user(here):
    assert local_path("~/lung") == here / "lung"


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("lung/modle.pt", "no file or folder 'lung/modle.pt'; did you mean 'model.pt'?"),
        ("lnug/", "no file or folder 'lnug'; did you mean 'lung'?"),
        ("model.pt", "no file or folder 'model.pt'"),
        ("model.zip@2", "no file or folder 'model.zip@2'"),
        ("nowhere/model.pt", "nor a folder 'nowhere'"),
        ("C:\\models\\lung", "no file or folder"),
        ("./simulated-scvi", "no file or folder"),
        (Path("simulated-scvi"), "no file or folder 'simulated-scvi'"),
        ("~nobody/model.pt", "no file or folder"),
        ("x" * 5000 + ".pt", "no file or folder"),
        ("\x1b[2J.pt", r"no file or folder '\x1b[2J.pt'"),
    ],
)
def test_a_path_that_is_not_there_is_asked_for_nowhere(what, why, here, requests_made, services, monkeypatch):
    monkeypatch.setenv("SCARCHES_PLUS_HUB_INDEX", f"{services['zenodo'].address}/index.json")
    with pytest.raises(FileNotFoundError) as caught:
        local_path(what)
    assert why in str(caught.value)
    if isinstance(what, str):
        with pytest.raises((KeyError, OSError)):
            sp.hub.info(what)
    assert requests_made() == []


def test_names_are_those_of_indexes(here, requests_made):
    assert local_path("simulated-scvi") == FOLDER / "simulated-scvi"
    there_is_a_folder_too = "pbmc68k-scanvi"
    assert sp.hub.pull(there_is_a_folder_too) == FOLDER / there_is_a_folder_too
    with pytest.raises(KeyError, match=r"no index lists a model 'simulated-scvy'.*did you mean 'simulated-scvi'"):
        local_path("simulated-scvy")
    with pytest.raises(KeyError, match=r"'simulated-scvi' has no version '7.5'"):
        local_path("simulated-scvi@7.5")
    with pytest.raises(KeyError, match=r"no index lists a model 'lung-1.0'"):
        local_path("lung-1.0")
    assert requests_made() == []


@pytest.mark.parametrize(
    "what",
    [
        "https://lab.example/model.pt",
        "http://zenodo.org/records/1",
        "https://zenodo.org.evil.example/records/1",
        "https://zenodo.org@evil.example/records/1",
        "s3://bucket/model.pt",
        "file:///etc/passwd",
        "hf://lab",
        "hf://lab/../x",
        "hf://lab/lung@../x",
        "hf://lab/lung/../x",
        "hf://lab/lung/\x1b[2J",
        "{zenodo}/communities/lung",
        "{zenodo}/records/x",
        "{zenodo}/records/1/files/..%2Fmodel.pt",
        "{zenodo}/records/1/files/%ff",
        "{zenodo}/records/1/preview/model.pt",
        "{huggingface}/lab",
        "{huggingface}/lab/lung/discussions/1",
    ],
)
def test_other_addresses(what, here, requests_made, services):
    what = what.format(**{name: one.address for name, one in services.items()})
    for take in (local_path, sp.hub.pull):
        with pytest.raises(ValueError, match=r"is no address|is no repository") as caught:
            take(what)
        assert str(caught.value).isprintable()
    assert requests_made() == []


def test_other_dois(here, requests_made):
    for doi in ("10.1000/182", "doi:10.5281/zenodo.x", "https://doi.org/10.6084/m9.figshare.1"):
        with pytest.raises(KeyError, match="without an index, only DOIs of Zenodo are known"):
            local_path(doi)
    assert requests_made() == []


@pytest.mark.parametrize(
    ("what", "options", "error"),
    [
        (None, {}, TypeError),
        (b"lung", {}, TypeError),
        ("", {}, ValueError),
        ("a\0b", {}, ValueError),
        ("lung", {"with_cells": 1}, TypeError),
        ("lung", {"offline": "no"}, TypeError),
        ("hf://lab/lung", {"max_bytes": 0}, ValueError),
        ("hf://lab/lung", {"cache_dir": 7}, TypeError),
    ],
)
def test_arguments(what, options, error, here, requests_made):
    with pytest.raises(error):
        local_path(what, **options)
    assert requests_made() == []


def test_the_command(here, zenodo, capsys, monkeypatch):
    from scarches_plus.cli import main

    number = zenodo.put({"model.pt": b"m", "adata.h5ad": b"c"})
    monkeypatch.setattr("sys.argv", ["scarches-plus", "hub", "pull", f"10.5072/zenodo.{number}", "--with-cells"])
    with contextlib.suppress(SystemExit):
        main()
    folder = Path(capsys.readouterr().out.strip())
    assert sorted(one.name for one in folder.iterdir()) == ["adata.h5ad", "model.pt"]


# --- Addresses of references that others published ---

KNOWN = sp.hub.list_models(known=True).iloc[0].to_dict()


@pytest.mark.parametrize(
    ("address", "fetched"),
    [
        ("10.5281/zenodo.7599104", True),
        ("hf://owner/repo", True),
        ("hf://owner/repo@v1", True),
        ("https://example.org/model.pt", False),
        ("s3://bucket/folder/model.pt", False),
    ],
)
def test_addresses_of_known_references(address, fetched):
    assert KnownReference(**KNOWN | {"address": address}).fetched is fetched


@pytest.mark.parametrize(
    "address",
    [
        "hf://repo",
        "hf://owner/repo/file",
        "11.5281/zenodo.1",
        "s3://bucket",
        "model.pt",
        "https://a b",
        "ftp://a.org/x",
    ],
)
def test_what_is_no_address_of_a_known_reference(address):
    with pytest.raises(ValueError, match="address"):
        KnownReference(**KNOWN | {"address": address})

"""A5: what others planted where this package writes is never written through."""

import hashlib
import os
import platform
import shutil

import pytest
from cell_files import by_command, few_cells
from small_models import SCVI, reference

import scarches_plus as sp

pytestmark = pytest.mark.border
PRECIOUS = b"years of work"


@pytest.fixture(scope="module")
def model():
    return reference(SCVI)


@pytest.fixture(scope="module")
def lab(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    sp.hub.save_bundle(model, folder / "small", card={"name": "small", "version": "1"}, summary=False)
    sp.hub.write_index(folder)
    return folder


@pytest.fixture
def victim(tmp_path):
    """A file and a folder of the user, and what nobody may have done to them."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "precious").write_bytes(PRECIOUS)
    return folder / "precious"


def unharmed(victim):
    return victim.read_bytes() == PRECIOUS and [one.name for one in victim.parent.iterdir()] == [victim.name]


def of_somebody_else(path, _):
    path.write_bytes(b"trap")
    os.chown(path, 65534, 65534)


PLANTS = {
    "a symbolic link": lambda path, victim: path.symlink_to(victim),
    "a dangling link": lambda path, victim: path.symlink_to(victim.parent / "new"),
    "a link to a folder": lambda path, victim: path.symlink_to(victim.parent),
    "a hard link": lambda path, victim: os.link(victim, path),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
    "a file of somebody else": of_somebody_else,
}


def planted(plant, path, victim):
    path.parent.mkdir(parents=True, exist_ok=True)
    if plant == "a file of somebody else" and os.getuid():
        pytest.skip("only root can give files away")
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    PLANTS[plant](path, victim)


def served(lab, monkeypatch):
    from file_server import FileServer

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return FileServer(lab)


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("place", ["weights.safetensors.part", "lock"])
def test_in_a_shared_cache(lab, victim, tmp_path, border, monkeypatch, no_waits, plant, place):
    server = served(lab, monkeypatch)
    cache = tmp_path / "cache"

    def pull():
        return sp.hub.pull("small@1", index=f"{server.address}/index.json", cache_dir=cache, progress=False)

    folder = pull()
    (folder / "weights.safetensors").unlink()
    path = cache / "hub" / ".locks" / f"{folder.name}-weights.safetensors" if place == "lock" else folder / place
    planted(plant, path, victim)
    border.works(
        pull,
        lambda found: sp.hub.load_bundle(found) is not None and unharmed(victim),
        kind="A5",
        case=f"{plant} in place of {place}",
        shown="hub.pull('small@1')",
    )
    server.close()


@pytest.mark.parametrize("name", ["hub", "hub/.locks", "hub/indexes", "bundle"])
def test_folders_of_a_cache(lab, victim, tmp_path, border, monkeypatch, no_waits, name):
    server = served(lab, monkeypatch)
    cache = tmp_path / "cache"

    def pull():
        return sp.hub.pull("small@1", index=f"{server.address}/index.json", cache_dir=cache, progress=False)

    folder = pull()
    (folder / "weights.safetensors").unlink()
    path = folder if name == "bundle" else cache / name
    shutil.rmtree(path)
    path.symlink_to(victim.parent)
    shown, case = "hub.pull('small@1')", f"the folder {name} of the cache is a link"
    if name == "hub/indexes":  # a copy that is not kept is no reason to fail
        border.works(pull, lambda _: unharmed(victim), kind="A5", case=case, shown=shown)
    else:
        border.refused(pull, OSError, "remove it", kind="A5", case=case, shown=shown)
        path.unlink()  # what the message says
        sp.hub.verify_bundle(pull())
    assert unharmed(victim)
    server.close()


@pytest.mark.parametrize("plant", ["a symbolic link", "a dangling link", "a hard link", "a pipe"])
def test_the_record_of_names(lab, victim, tmp_path, border, plant):
    cache = tmp_path / "cache"
    planted(plant, cache / "hub" / "resolved.jsonl", victim)
    border.works(
        lambda: sp.hub.pull("small", index=lab, cache_dir=cache, allow_latest=True, progress=False),
        lambda found: sp.hub.verify_bundle(found) and unharmed(victim),
        kind="A5",
        case=f"{plant} in place of resolved.jsonl",
        shown="hub.pull('small', allow_latest=True)",
    )


WRITERS = {
    "index.json": ("hub.write_index(folder)", lambda lab, _: sp.hub.write_index(lab)),
    "evaluation.html": (
        "report.to_html(path)",
        lambda folder, _: sp.metrics.Report(*_tables()).to_html(folder / "evaluation.html"),
    ),
    "x.h5ad": ("scarches-plus genes --out x.h5ad", lambda folder, _: by_command(_cells(folder), out=folder / "x.h5ad")),
}


def _cells(folder):
    few_cells().write_h5ad(folder / "cells.h5ad")
    return folder / "cells.h5ad"


def _tables():
    import pandas as pd

    scores = pd.DataFrame({"embedding": ["a"], "kind": ["mixing"], "score": ["kni"], "value": [0.5], "chance": [0.1]})
    return scores, pd.DataFrame()


@pytest.mark.parametrize("plant", ["a symbolic link", "a dangling link", "a hard link"])
@pytest.mark.parametrize("name", WRITERS)
def test_outputs_replace_a_link(lab, model, victim, tmp_path, border, name, plant):
    folder = shutil.copytree(lab, tmp_path / "out")
    planted(plant, folder / name, victim)
    shown, write = WRITERS[name]
    border.works(
        lambda: write(folder, model),
        lambda _: unharmed(victim) and not (folder / name).is_symlink() and (folder / name).read_bytes() != PRECIOUS,
        kind="A5",
        case=f"{plant} in place of {name}",
        shown=shown,
    )


@pytest.mark.parametrize("verb", ["model.save", "save_bundle", "export_model"])
def test_folders_that_are_links(model, victim, tmp_path, border, verb):
    place = tmp_path / "model"
    place.symlink_to(victim.parent)
    call = {
        "model.save": lambda: model.save(place, overwrite=True),
        "save_bundle": lambda: sp.hub.save_bundle(model, place, overwrite=True, summary=False),
        "export_model": lambda: sp.hub.export_model(model, place, overwrite=True),
    }[verb]
    border.refused(call, FileExistsError, ["a link", "remove it"], kind="A5", case="the folder is a link", shown=verb)
    assert unharmed(victim)
    place.unlink()  # what the message says
    call()
    assert unharmed(victim)


def test_leftovers_with_links_in_them(model, victim, tmp_path, border):
    """A folder that looks like a killed writer's is removed, what its links lead to is not."""
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    left = tmp_path / f".model-{host}{'0' * 8}"
    (left / "model").mkdir(parents=True)
    (left / "model" / "link").symlink_to(victim.parent)
    (tmp_path / ".model.previous").symlink_to(victim.parent)
    border.works(
        lambda: model.save(tmp_path / "model"),
        lambda _: unharmed(victim) and not left.exists(),
        kind="A5",
        case="links in what a killed writer left",
        shown="model.save(folder)",
    )

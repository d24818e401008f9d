"""250 kills: nothing is lost, nothing is mixed, and the next run leaves no temporary."""

import os
import subprocess
import tempfile
from itertools import chain
from pathlib import Path

import pytest
from file_server import FileServer
from invenio_server import TOKEN, InvenioServer
from killing import (
    as_nobody,
    command,
    contents_of,
    killed_at,
    kills_at_renames,
    limited,
    names_in,
    random,
    random_kills,
    run_whole,
)
from small_models import SCVI, cells, fingerprint, reference, split

import scarches_plus as sp

pytestmark = pytest.mark.kills
NOTES = "years of work"


@pytest.fixture(scope="module")
def models():
    """Two models whose cells say which of them they belong to, by the hash of the weights."""
    ref = split(cells(), "batch2")[0]
    models = {}
    for which, epochs in (("a", 1), ("b", 2)):
        model = reference(SCVI, ref.copy())
        model.train(max_epochs=epochs, enable_progress_bar=False)
        model.adata.uns["which"] = which
        models[which] = model
    assert fingerprint(models["a"]) != fingerprint(models["b"])
    return models


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with the cells of a reference and of a query."""
    folder = tmp_path_factory.mktemp("data")
    ref, query = split(cells(n_cells=150), "batch2")
    ref.write_h5ad(folder / "ref.h5ad")
    query.write_h5ad(folder / "query.h5ad")
    return folder


@pytest.fixture
def told(border):
    """Write down how many kills a test made."""

    def told(case, call, n):
        border._row("kills", case, call, f"{n} kills", "")

    return told


def whole(folder):
    """The folder, or what it was where a writer was killed between two renames."""
    return folder if folder.exists() else folder.with_name(f".{folder.name}.previous")


def saver(models, folder, which):
    return lambda: models[which].save(folder, overwrite=True, save_anndata=True)


def require_one_model(models, folder):
    found = SCVI.load(whole(folder))
    which = str(found.adata.uns["which"])
    assert fingerprint(found) == fingerprint(models[which])
    assert (whole(folder) / "notes.txt").read_text() == NOTES
    assert (whole(folder) / "figures" / "umap.txt").read_text() == NOTES
    return which


@pytest.fixture
def saved(models, tmp_path):
    folder = tmp_path / "model"
    saver(models, folder, "a")()
    (folder / "notes.txt").write_text(NOTES)
    (folder / "figures").mkdir()
    (folder / "figures" / "umap.txt").write_text(NOTES)
    return folder


ALL = ["adata.h5ad", "figures", "model.pt", "notes.txt"]


def other(which):
    return "b" if which == "a" else "a"


def test_save_at_random(models, saved, told):
    which, n = "a", 0
    for _ in range(4):
        for _ in random_kills(saver(models, saved, other(which)), 15, random(n)):
            require_one_model(models, saved)
            n += 1
        which = other(which)
        saver(models, saved, which)()
        assert names_in(saved.parent) == ["model"]
        assert names_in(saved) == ALL
    told("model.save(overwrite=True, save_anndata=True) at random", "require_one_model", n)


@pytest.mark.parametrize("exchange", [True, False])
def test_save_between_renames(models, saved, told, exchange):
    n = 0
    for _ in chain(*(kills_at_renames(saver(models, saved, "b"), exchange=exchange) for _ in range(2))):
        n += 1
        require_one_model(models, saved)
        saver(models, saved, "a")()
        assert names_in(saved.parent) == ["model"]
        assert names_in(saved) == ALL
        assert require_one_model(models, saved) == "a"
    assert n >= (2 if exchange else 4)
    told(f"model.save between renames, exchange={exchange}", "require_one_model", n)


def bundler(models, folder, which):
    return lambda: sp.hub.save_bundle(models[which], folder, card={"name": "m", "version": which}, overwrite=True)


def require_one_bundle(models, folder):
    sp.hub.verify_bundle(folder)
    version = sp.hub.info(folder).card.version
    assert fingerprint(sp.hub.load_bundle(folder)) == fingerprint(models[version])


@pytest.mark.filterwarnings("ignore")
def test_save_bundle(models, tmp_path, told):
    folder = tmp_path / "bundle"
    bundler(models, folder, "a")()
    n = 0
    for _ in random_kills(bundler(models, folder, "b"), 45, random(1)):
        require_one_bundle(models, folder)
        n += 1
    for exchange in (True, False):
        for _ in kills_at_renames(bundler(models, folder, "b"), exchange=exchange):
            require_one_bundle(models, folder)
            bundler(models, folder, "a")()
            assert names_in(tmp_path) == ["bundle"]
            n += 1
    told("save_bundle(overwrite=True)", "verify_bundle, load_bundle", n)


def builder(data, out, seed):
    return command(
        *("build", data / "ref.h5ad", "--batch-key", "batch", "--out", out, "--max-epochs", 1, "--seed", seed),
        "--overwrite",
    )


def require_one_build(out):
    from anndata import read_h5ad

    folder = whole(out)
    record = read_h5ad(folder / "reference.h5ad").uns["scarches_plus"]
    model = sp.model.load(folder)
    assert model.state.space in str(record), "the model of one run with the cells of another"


def test_build(data, tmp_path, told):
    out = tmp_path / "built"
    run_whole(builder(data, out, 1))
    n = 0
    for _ in random_kills(builder(data, out, 2), 20, random(2), late=0.7):
        require_one_build(out)
        n += 1
    for exchange in (True, False):
        for _ in kills_at_renames(builder(data, out, 3), exchange=exchange):
            require_one_build(out)
            n += 1
    run_whole(builder(data, out, 4))
    assert names_in(tmp_path) == ["built"]
    assert names_in(out) == ["model.pt", "reference.h5ad"]
    told("scarches-plus build --overwrite", "model.pt and reference.h5ad are of one run", n)


def mapper(data, model, out, seed):
    return command("map", data / "query.h5ad", "--model", model, "--out", out, "--max-epochs", 1, "--seed", seed)


def test_map(data, models, tmp_path, told):
    from anndata import read_h5ad

    models["a"].save(tmp_path / "model")
    out = tmp_path / "mapped.h5ad"
    run_whole(mapper(data, tmp_path / "model", out, 1))
    before, n = out.read_bytes(), 0
    for _ in random_kills(mapper(data, tmp_path / "model", out, 2), 20, random(3), late=0.7):
        if out.read_bytes() != before:
            assert "X_scarches" in read_h5ad(out).obsm
        n += 1
    for number, after in kills_at_renames(mapper(data, tmp_path / "model", out, 3)):
        assert "X_scarches" in read_h5ad(out).obsm, (number, after)
        n += 1
    run_whole(mapper(data, tmp_path / "model", out, 4))
    assert names_in(tmp_path) == ["mapped.h5ad", "model"]
    told("scarches-plus map", "--out is whole, old or new", n)


@pytest.fixture(scope="module")
def lab(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    card = {"name": "small", "license": "CC-BY-4.0", "contacts": ["Jane Doe <jane@lab.example>"]}
    for which in ("a", "b"):
        sp.hub.save_bundle(
            models[which], folder / which, card={**card, "version": which}, labels_key="cell_type", overwrite=True
        )
    sp.hub.write_index(folder)
    return folder


def test_pull(lab, tmp_path, told, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = FileServer(lab)
    cache = tmp_path / "cache"

    def puller(version):
        return lambda: sp.hub.pull(
            f"small@{version}", index=f"{server.address}/index.json", cache_dir=cache, progress=False
        )

    def again():
        for path in cache.glob("hub/small-b-*/*"):
            if path.is_file():  # folders of writers that were killed stay
                path.unlink()
        puller("b")()

    kept = puller("a")()
    n = 0
    for _ in random_kills(again, 30, random(4)):
        sp.hub.verify_bundle(kept)
        n += 1
    for _ in kills_at_renames(again, most=60):
        sp.hub.verify_bundle(kept)
        n += 1
    assert n > 40, "every file is renamed"
    sp.hub.verify_bundle(puller("b")())
    assert not [path for path in cache.rglob("*") if path.name.endswith(".part")]
    assert not list(cache.glob("hub/small-*/.*"))
    assert not [path for path in (cache / "hub" / "indexes").iterdir() if path.name.startswith(".")]
    server.close()
    told("hub.pull", "the next one completes it, what was there stays", n)


def test_push(lab, told, monkeypatch, no_waits, publish_at):
    n = 0
    for attempt in range(6):
        server = InvenioServer()
        publish_at(monkeypatch, "zenodo sandbox", server.address)

        def push():
            sp.hub.upload(lab / "a", token=TOKEN, progress=False)

        before = contents_of(lab)
        rng = random(5 + attempt)
        for _ in range(5):
            killed_at(push, rng.uniform(0, 0.15))
            n += 1
        sent = sp.hub.upload(lab / "a", token=TOKEN, progress=False)
        assert sent.state == "draft"
        assert len(list(sp.hub.list_uploads(token=TOKEN))) == 1, "one draft, however often it broke off"
        assert contents_of(lab) == before
        server.close()
    told("hub.upload", "one draft with all files", n)


# --- Full disks and folders that cannot be written ---


@pytest.mark.filterwarnings("ignore")
def test_full_disks(models, saved, tmp_path, border, monkeypatch):
    bundler(models, tmp_path / "bundle", "a")()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    tempfile.tempdir = None
    before = contents_of(tmp_path)
    for case, call in {
        "model.save": saver(models, saved, "b"),
        "save_bundle": bundler(models, tmp_path / "bundle", "b"),
        "write_file": lambda: sp._files.write_file(saved / "notes.txt", bytes(10_000)),
    }.items():
        assert limited(call, 5000), case
        assert contents_of(tmp_path) == before, case
        assert names_in(tmp_path) == ["bundle", "elsewhere", "model"]
        border._row("C2", f"{case}: no file above 5 kB can be written", case, "OSError", "the old result is whole")
    tempfile.tempdir = None


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="mounting needs root")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # h5py closes what it cannot write
def test_a_disk_of_its_own_that_is_full(models, tmp_path, border, monkeypatch, around):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine cannot mount")
    try:
        saver(models, disk / "model", "a")()
        (disk / "model" / "notes.txt").write_text(NOTES)
        (disk / "filler").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096 - 20_000))
        before = contents_of(disk)
        message = border.refused(
            saver(models, disk / "model", "b"), OSError, "free", kind="C1", case="a full disk", shown="model.save(...)"
        )
        assert "make room" in message
        assert contents_of(disk) == before
        around("a place is checked", lambda _, path, **__: Path(path))
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")
        border.in_child(  # HDF5 2.0 crashes when a process ends in which a file could not be closed
            saver(models, disk / "model", "b"),
            OSError,
            "the result is kept as",
            kind="C1",
            case="a disk that fills while the model is written: kept in the working folder",
            shown="model.save(...)",
            seconds=10,
        )
        assert contents_of(disk) == before
        assert SCVI.load(tmp_path / "work" / "model").adata.uns["which"] == "b"
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.filterwarnings("ignore")
def test_folders_that_cannot_be_written(models, border):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        saver(models, root / "model", "a")()
        bundler(models, root / "bundle", "a")()
        before = contents_of(root)
        root.chmod(0o555)
        for case, call in {
            "model.save": saver(models, root / "model", "b"),
            "save_bundle": bundler(models, root / "bundle", "b"),
            "write_file": lambda: sp._files.check_output_file(root / "x.h5ad"),
        }.items():
            assert as_nobody(call), case
            assert contents_of(root) == before, case
            border._row("C1", f"{case} into a folder that cannot be written", case, "PermissionError", "old one whole")

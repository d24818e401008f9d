"""C2: files that belong together are replaced together, and what else is in a folder stays."""

import contextlib
import itertools
import os
import signal
import time

import numpy as np
import pytest
from killing import command, forked, killed_at_rename, names_in, run_whole
from small_models import SCANVI, SCVI, TOTALVI, as_taken, cells, fingerprint, reference, split

import scarches_plus as sp

pytestmark = pytest.mark.border


@pytest.fixture(scope="module")
def models():
    ref = split(cells(), "batch2")[0]
    found = []
    for which in range(2):
        model = reference(SCVI, ref.copy())
        model.train(max_epochs=1 + which, enable_progress_bar=False)
        model.adata.uns["which"] = fingerprint(model)
        found.append(model)
    return found


def whole(folder):
    """The folder, or what it was where a writer was killed between two renames."""
    return folder if folder.exists() else folder.with_name(f".{folder.name}.previous")


def belongs_together(folder):
    model = SCVI.load(folder)
    return str(model.adata.uns["which"]) == fingerprint(model)


@pytest.mark.parametrize("opens", ["SCVI.load", "model.load"])
def test_reading_while_it_is_replaced(models, tmp_path, border, protocol, opens):
    folder = tmp_path / "model"
    models[0].save(folder, save_anndata=True)

    def write():
        for i in itertools.count(1):
            models[i % 2].save(folder, overwrite=True, save_anndata=True)

    child = forked(write)
    time.sleep(0.1)
    try:
        border.works(
            lambda: [
                belongs_together(folder)
                if opens == "SCVI.load"
                else sp.model.load(folder).state.space in {one.state.space for one in models}
                for _ in range(8)
            ],
            all,
            kind="C2",
            case=f"8 reads of a model that is replaced all the time ({protocol})",
            shown=f"{opens}(folder)",
        )
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    models[0].save(folder, overwrite=True, save_anndata=True)
    assert names_in(tmp_path) == ["model"]


@pytest.mark.parametrize("after", [False, True])
def test_a_writer_that_is_killed_between_renames(models, tmp_path, border, protocol, after):
    """``make test-kills`` has many more of them."""
    folder = tmp_path / "model"
    models[0].save(folder, save_anndata=True)
    killed = killed_at_rename(
        lambda: models[1].save(folder, overwrite=True, save_anndata=True), 0, after=after,
        exchange=protocol == "one exchange",
    )  # fmt: skip
    border.works(
        lambda: killed and belongs_together(whole(folder)), bool, kind="C2",
        case=f"killed just {'after' if after else 'before'} the first rename ({protocol})",
        shown="model.save(folder, overwrite=True)",
    )  # fmt: skip
    models[1].save(folder, overwrite=True, save_anndata=True)
    border.works(
        lambda: names_in(tmp_path), lambda found: found == ["model"], kind="C2",
        case=f"no temporary is left by the next one ({protocol})", shown="model.save(folder, overwrite=True)",
    )  # fmt: skip


OTHERS = {
    "a file": lambda folder: (folder / "notes.txt").write_text("mine"),
    "a folder": lambda folder: ((folder / "figures").mkdir(), (folder / "figures" / "a.txt").write_text("mine")),
    "a hidden file": lambda folder: (folder / ".notes").write_text("mine"),
    "a link": lambda folder: (folder / "link").symlink_to("elsewhere"),
    "a pipe": lambda folder: os.mkfifo(folder / "pipe"),
    "another model": lambda folder: (folder / "other_model.pt").write_text("mine"),
    "cells of a command": lambda folder: (folder / "reference.h5ad").write_text("mine"),
}


def tree(folder):
    return {
        str(one.relative_to(folder)): one.readlink() if one.is_symlink() else one.is_file() and one.read_bytes()
        for one in folder.rglob("*")
        if one.name not in {"model.pt", "adata.h5ad"}
    }


@pytest.mark.parametrize("other", OTHERS)
def test_what_stays(models, tmp_path, border, protocol, other):
    folder = tmp_path / "model"
    models[0].save(folder, save_anndata=True)
    OTHERS[other](folder)
    folder.chmod(0o750)
    before = tree(folder)
    border.works(
        lambda: models[1].save(folder, overwrite=True),
        lambda _: tree(folder) == before and not (folder / "adata.h5ad").exists() and (folder / "model.pt").is_file(),
        kind="C2",
        case=f"{other} in the folder ({protocol})",
        shown="model.save(folder, overwrite=True)",
    )
    assert names_in(tmp_path) == ["model"]
    assert folder.stat().st_mode & 0o777 == 0o750
    assert fingerprint(SCVI.load(folder, adata=False)) == fingerprint(models[1])


@pytest.mark.parametrize("moment", ["while the model is written", "just before it takes its place"])
def test_what_appears_meanwhile(models, tmp_path, border, protocol, around, moment):
    folder = tmp_path / "model"
    models[0].save(folder)
    (folder / "log").write_text("1")

    def appears(then, *given):
        (folder / "late.txt").write_text("mine")
        (folder / "new log").write_text("2")
        (folder / "new log").replace(folder / "log")
        return then(*given)

    around("a folder is brought to the disk" if moment.startswith("while") else "a folder takes its place", appears)
    border.works(
        lambda: models[1].save(folder, overwrite=True),
        lambda _: (folder / "late.txt").read_text() == "mine" and (folder / "log").read_text() == "2",
        kind="C2",
        case=f"files that appear and change {moment} ({protocol})",
        shown="model.save(folder, overwrite=True)",
    )


def test_prefixes_share_a_folder(models, tmp_path, border):
    folder = tmp_path / "models"
    models[0].save(folder, prefix="a_", save_anndata=True)
    border.works(
        lambda: models[1].save(folder, prefix="b_", overwrite=True, save_anndata=True),
        lambda _: names_in(folder) == ["a_adata.h5ad", "a_model.pt", "b_adata.h5ad", "b_model.pt"],
        kind="C2",
        case="two models in a folder",
        shown="model.save(folder, prefix='b_', overwrite=True)",
    )
    for model, prefix in zip(models, ("a_", "b_"), strict=True):
        assert fingerprint(SCVI.load(folder, prefix=prefix)) == fingerprint(model)


def test_two_writers_at_once(models, tmp_path, border):
    folder = tmp_path / "model"
    models[0].save(folder, save_anndata=True)
    children = [
        forked(lambda model=model: [model.save(folder, overwrite=True, save_anndata=True) for _ in range(10)])
        for model in models
    ]
    statuses = [os.waitpid(child, 0)[1] for child in children]
    border.works(
        lambda: belongs_together(folder),
        lambda same: same and statuses == [0, 0] and names_in(tmp_path) == ["model"],
        kind="C2",
        case="two processes save into one folder",
        shown="model.save(folder, overwrite=True)",
    )


def test_build_is_one_swap(tmp_path, border, protocol, around):
    """No moment has the model of one run and the cells of another, or no cells."""
    split(cells(n_cells=120), "batch2")[0].write_h5ad(tmp_path / "ref.h5ad")
    words = ("build", tmp_path / "ref.h5ad", "--batch-key", "batch", "--out", tmp_path / "out", "--max-epochs", 1)

    def watched():
        seen = []

        def place(put, new, target):
            put(new, target)
            if target == tmp_path / "out":
                seen.append(names_in(target))

        around("a folder takes its place", place)
        with contextlib.suppress(SystemExit):
            command(*words, "--overwrite")()
        assert seen == [["model.pt", "reference.h5ad"]]

    run_whole(command(*words))
    border.works(
        lambda: run_whole(watched),
        bool,
        kind="C2",
        case=f"build replaces model and cells together ({protocol})",
        shown="scarches-plus build --overwrite",
    )


# --- A mapped model and its own query ---


@pytest.fixture(scope="module")
def references():
    ref = split(cells(), "batch2")[0]
    registered = {"setup_kwargs": {"labels_key": "cell_type"}}
    return {
        cls: reference(cls, as_taken(cls, ref), **(registered if cls is SCVI else {}))
        for cls in (SCVI, SCANVI, TOTALVI)
    }


def novel(adata):
    adata.obs["cell_type"] = np.where(np.arange(adata.n_obs) % 2, "novel", adata.obs["cell_type"].astype(str))
    return adata, {}


def unlabelled(adata):
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(object).where(np.arange(adata.n_obs) % 2 == 0)
    return adata, {}


def without_labels(adata):
    del adata.obs["cell_type"]
    return adata, {}


def another_batch_key(adata):
    adata.obs["tech"] = adata.obs.pop("batch")
    return adata, {"batch_key": "tech"}


def another_layer(adata):
    adata.layers["raw"] = adata.X.copy()
    adata.X = adata.X * 0
    return adata, {"layer": "raw"}


def fewer_genes(adata):
    return adata[:, 5:][:, ::-1].copy(), {"on_problem": "warn"}


QUERIES = [novel, unlabelled, without_labels, another_batch_key, another_layer, fewer_genes]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cls", [SCVI, SCANVI, TOTALVI])
@pytest.mark.parametrize("change", QUERIES)
def test_a_mapped_model_and_its_query(references, tmp_path, border, cls, change):
    if cls is TOTALVI and change not in {fewer_genes, another_batch_key}:
        pytest.skip("these are of genes alone")
    query, how = change(split(cells(), "batch2")[1])
    if cls is TOTALVI:
        batches = query.obs[how.get("batch_key", "batch")].to_numpy()
        query.obs["batch"] = batches
        query = as_taken(cls, query)
        if "batch_key" in how:
            query.obs["tech"] = query.obs.pop("batch")
    fast = {"max_epochs": 1, "train_kwargs": {"enable_progress_bar": False}}
    mapped = sp.tl.map_query(query, references[cls], **fast, **how)
    mapped.save(tmp_path / "mapped")
    columns = list(query.obs.columns)
    again = border.works(
        lambda: cls.load(tmp_path / "mapped", adata=query),
        lambda again: np.array_equal(again.get_latent_representation(), query.obsm["X_scarches"]),
        kind="C3",
        case=f"a mapped {cls.__name__} with its own query: {change.__name__.replace('_', ' ')}",
        shown=f"{cls.__name__}.load(folder, adata=query)",
    )
    assert list(query.obs.columns) == columns
    again.train(max_epochs=1, enable_progress_bar=False)


def test_other_cells_are_refused(references, tmp_path, border):
    references[SCVI].save(tmp_path / "model")
    ref, query = split(cells(), "batch2")
    for case, adata, says in (
        ("cells of another batch", query, "sp.tl.map_query"),
        ("cells without some genes", ref[:, 5:].copy(), "adata=False"),
    ):
        border.refused(
            lambda adata=adata: SCVI.load(tmp_path / "model", adata=adata),
            ValueError,
            says,
            kind="C3",
            case=f"a model with {case}",
            shown="SCVI.load(folder, adata=other)",
        )


def test_a_bundle_takes_no_model(border, tmp_path):
    model = reference(SCVI)
    sp.hub.save_bundle(model, tmp_path / "bundle")
    border.refused(
        lambda: model.save(tmp_path / "bundle", overwrite=True), FileExistsError, ["it is a bundle", "choose another folder"],
        kind="C2", case="a model among the files of a bundle", shown="model.save('bundle', overwrite=True)",
    )  # fmt: skip
    sp.hub.verify_bundle(tmp_path / "bundle")

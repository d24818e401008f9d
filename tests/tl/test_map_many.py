"""Many queries at once: the same results as one by one, whatever happens to a worker, a file or a call."""

import json
import logging
import os
import shutil
import textwrap
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from small_models import SCVI, split
from small_models import reference as small_reference

import scarches_plus as sp
from scarches_plus import cli

#: Ends a process that opens certain files: one of them always, one the first time.
KILLER = """
    import os, signal, sys
    from pathlib import Path

    QUERIES = Path(__file__).parents[1]

    def end(event, arguments):
        if event != "open" or not isinstance(arguments[0], str | os.PathLike):
            return
        file, seen = Path(arguments[0]), QUERIES / "seen"
        once = file == QUERIES / "once.h5ad" and not seen.exists()
        if once:
            seen.touch()
        if once or file == QUERIES / "fatal.h5ad":
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(end)
"""
FEW = {"max_epochs": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, adata):
    """A bundle with a summary, and queries in files: two of one name, a damaged one, and two that end processes."""
    folder = tmp_path_factory.mktemp("many")
    ref, query = split(adata, "batch2", "batch3")
    model = small_reference(SCVI, ref)
    sp.tl.embed(ref, model)
    summary = sp.tl.reference_summary(ref, "cell_type", "batch", use_rep="X_scarches")
    sp.hub.save_bundle(model, folder / "bundle", labels_key="cell_type", summary=summary)
    (folder / "more").mkdir()
    for name, cells in {
        "one.h5ad": query[:90],
        "more/one.h5ad": query[90:],
        "once.h5ad": query[30:120],
        "fatal.h5ad": query[:50],
    }.items():
        cells.copy().write_h5ad(folder / name)
    (folder / "damaged.h5ad").write_bytes((folder / "one.h5ad").read_bytes()[:3000])
    (folder / "killer").mkdir()
    (folder / "killer" / "sitecustomize.py").write_text(textwrap.dedent(KILLER))
    return folder


@pytest.fixture(scope="module")
def killing(folder):
    """Let new processes of Python end as the files say."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "killer"), os.environ.get("PYTHONPATH", "")]))
        yield


@pytest.fixture(scope="module")
def mapped(folder, killing):
    """The table of one call on all of them, by the name of the file."""
    names = ["one.h5ad", "more/one.h5ad", "once.h5ad", "fatal.h5ad", "damaged.h5ad", "missing.h5ad"]
    table = sp.tl.map_many([folder / name for name in names], folder / "bundle", out=folder / "out", n_jobs=2, **FEW)
    assert list(table["query"]) == [str(folder / name) for name in names]
    assert list(table["name"])[1:] == ["more-one", "once", "fatal", "damaged", "missing"]
    return table.set_axis(names)


@pytest.fixture(scope="module")
def one_by_one(folder):
    """What the command annotate writes for a query."""

    def annotate(name):
        out = folder / "annotated.h5ad"
        words = ["annotate", folder / name, "--reference", folder / "bundle", "--out", out, "--max-epochs", 2]
        cli.app([str(word) for word in words], result_action="return_value", exit_on_error=False, print_error=False)
        return anndata.read_h5ad(out)

    return annotate


def assert_same(found, expected):
    """Equal to the bit: every column, embedding and place."""
    pd.testing.assert_frame_equal(found.obs, expected.obs, check_exact=True)
    assert set(found.obsm) == set(expected.obsm) >= {"X_scarches", "X_map"}
    for key in expected.obsm:
        np.testing.assert_array_equal(found.obsm[key], expected.obsm[key])
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())


@pytest.mark.parametrize("name", ["more/one.h5ad", "once.h5ad"])
def test_results_are_those_of_one_by_one(mapped, one_by_one, name):
    """Also of a query whose process was killed, and which was begun again."""
    row, expected = mapped.loc[name], one_by_one(name)
    assert row["status"] == "done"
    assert_same(anndata.read_h5ad(row["file"]), expected)
    predicted = expected.obs["cell_type_pred"].astype(str)
    assert row["labels"] == predicted.value_counts().to_dict()
    assert (row["n_cells"], row["unknown"]) == (90, (predicted == "Unknown").mean())
    assert any("the consensus of vote and classifier" in note for note in row["notes"])


def test_a_bad_query_stops_no_other(mapped, folder, one_by_one):
    assert list(mapped["status"]) == ["done", "done", "done", "failed", "failed", "failed"]
    assert "its process was ended 2 times" in mapped["message"]["fatal.h5ad"]
    for name in ("damaged.h5ad", "missing.h5ad"):
        with pytest.raises((ValueError, OSError)) as told:
            one_by_one(name)
        assert mapped["message"][name] == str(told.value)
    assert not (folder / "out" / "damaged.h5ad").exists()


def test_queries_of_one_name_have_results_of_their_own(mapped, folder):
    files = mapped["file"][:2]
    assert list(files) == [str(folder / "out" / f"{name}-one.h5ad") for name in (folder.name, "more")]
    assert [anndata.read_h5ad(file, backed="r").obs_names[0] for file in files] == [
        anndata.read_h5ad(file, backed="r").obs_names[0] for file in mapped["query"][:2]
    ]


def test_the_table_and_the_report(mapped, folder):
    table = pd.read_csv(folder / "out" / "queries.csv", keep_default_na=False)
    assert list(table["message"]) == list(mapped["message"])
    assert [json.loads(labels) for labels in table["labels"]] == list(mapped["labels"])
    page = (folder / "out" / "report.html").read_text()
    assert mapped["message"]["fatal.h5ad"] in page
    done = mapped[mapped["status"] == "done"]
    unknown = done["unknown"].mean()  # queries of as many cells each
    verdict = page[page.index("class='verdict'") : page.index("<table")]
    assert f"3 of 6 queries are mapped: 270 cells, of which {1 - unknown:.0%} have a label" in verdict
    assert "3 failed: fatal.h5ad, damaged.h5ad, missing.h5ad." in verdict
    for column, words in {"unknown": "are unknown", "novel": "are called novel"}.items():
        assert (f"more than 25% of the cells {words}" in verdict) == (done[column] > 0.25).any()
    assert "Share of each label" in page
    assert "type0" in page


@pytest.fixture
def out(mapped, folder, tmp_path):
    """A copy of the results."""
    return shutil.copytree(folder / "out", tmp_path / "out")


def test_what_is_done_is_kept(mapped, folder, out, caplog):
    caplog.set_level("INFO", "scarches_plus")
    queries = list(mapped["query"][:3])
    before = {file: file.stat().st_mtime_ns for file in out.glob("*.h5ad")}
    table = sp.tl.map_many(queries, folder / "bundle", out=out, **FEW)
    assert list(table["status"]) == 3 * ["kept"]
    assert [Path(file).parent for file in table["file"]] == 3 * [out]
    assert list(table["labels"]) == list(mapped["labels"][:3])
    assert "3 of 3 queries were done before and are kept" in caplog.text
    assert {file: file.stat().st_mtime_ns for file in out.glob("*.h5ad")} == before


def test_what_has_changed_is_done_again(mapped, folder, out, tmp_path, capsys):
    """By the command: a query is kept, one has other cells, one is damaged as before; and the exit says so."""
    changed = tmp_path / "once.h5ad"
    anndata.read_h5ad(folder / "once.h5ad")[:60].copy().write_h5ad(changed)
    record = json.loads((out / "once.json").read_text())
    (out / "once.json").write_text(json.dumps(record | {"query": str(changed)}))
    words = [folder / "one.h5ad", folder / "more" / "one.h5ad", changed, folder / "damaged.h5ad"]
    words = ["map-many", *words, "--reference", folder / "bundle", "--out", out, "--jobs", 1, "--max-epochs", 2]
    with pytest.raises(RuntimeError, match=r"1 of 4 queries failed.*damaged\.h5ad is a damaged HDF5 file"):
        cli.app([str(word) for word in words], result_action="return_value", exit_on_error=False, print_error=False)
    table = pd.read_csv(out / "queries.csv")
    assert list(table["status"]) == ["kept", "kept", "done", "failed"]
    assert anndata.read_h5ad(out / "once.h5ad", backed="r").n_obs == 60
    assert "queries.csv" in capsys.readouterr().out


def test_an_interrupted_call_keeps_what_is_done(mapped, folder, tmp_path, caplog):
    """The model is an object, which travels as a bundle."""

    class CtrlC(logging.Handler):
        def emit(self, record):
            if record.getMessage().startswith("1 of 2"):
                raise KeyboardInterrupt

    caplog.set_level("INFO", "scarches_plus")
    model, queries = sp.load(folder / "bundle"), list(mapped["query"][:2])
    logger, handler = logging.getLogger("scarches_plus"), CtrlC()
    options = {"out": tmp_path / "out", "n_jobs": 1, "max_epochs": 1}
    logger.addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            sp.tl.map_many(queries, model, **options)
    finally:
        logger.removeHandler(handler)
    assert list(pd.read_csv(tmp_path / "out" / "queries.csv")["status"]) == ["not done", "not done"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "0 of 2 queries are mapped." in page
    assert "2 were not reached." in page
    table = sp.tl.map_many(queries, model, **options)
    assert list(table["status"]) == ["kept", "done"]
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".h5ad", ".json", ".csv", ".html"}


def test_a_cluster(mapped, folder, killing, tmp_path):
    """Results are the same on a cluster of Dask, of which a worker dies."""
    (folder / "seen").unlink(missing_ok=True)
    names = ["more/one.h5ad", "once.h5ad", "damaged.h5ad"]
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        table = sp.tl.map_many(
            [folder / name for name in names], folder / "bundle", out=tmp_path / "out", client=client, **FEW
        ).set_axis(names)
    assert (folder / "seen").exists()
    assert list(table["status"]) == ["done", "done", "failed"]
    assert table["message"]["damaged.h5ad"] == mapped["message"]["damaged.h5ad"]
    for name in names[:2]:
        assert_same(anndata.read_h5ad(table["file"][name]), anndata.read_h5ad(mapped["file"][name]))


def test_results_do_not_lie_among_queries(folder):
    with pytest.raises(ValueError, match=r"is the folder of the query one\.h5ad: choose another folder"):
        sp.tl.map_many(folder / "one.h5ad", folder / "bundle", out=folder)


def test_labels_that_a_reference_lacks_are_told_at_once(folder, tmp_path):
    with pytest.raises(ValueError, match="no labels 'kind'"):
        sp.tl.map_many(folder / "one.h5ad", folder / "bundle", out=tmp_path / "out", labels_key="kind")
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(TypeError, match=r"client must be a dask\.distributed\.Client"):
        sp.tl.map_many(folder / "one.h5ad", folder / "bundle", out=tmp_path / "out", client=3)

"""Jobs over the HTTP API: what they find, in which order, and what becomes of those that end badly."""

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
from app_jobs import wait
from scipy.io import mmwrite

import scarches_plus as sp

REFERENCE = "pbmc68k-scanvi"
HOSTILE = "<script>document.title='taken'</script>"


def start(server, file, **options):
    answer = server.client.post("/api/jobs", json={"reference": REFERENCE, "path": str(file), **options})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/jobs/{answer.json()['id']}"
    return answer.json()["id"]


def send(server, name, contents):
    return server.client.post("/api/files", files={"file": (name, contents)}).json()["file"]


@pytest.fixture(scope="module")
def done(server, query_file):
    """A job that was sent as a form."""
    form = {"options": json.dumps({"reference": REFERENCE, "batch_key": "batch"})}
    with query_file.open("rb") as file:
        answer = server.client.post("/api/jobs", data=form, files={"file": ("query.h5ad", file)})
    assert answer.status_code == 201, answer.text
    state = wait(server.client, answer.json()["id"])
    assert state["status"] == "done", state
    return state["id"]


@pytest.fixture(scope="module")
def by_hand(pbmc_query):
    """The same with the package's own verbs."""
    adata = pbmc_query.copy()
    scvi.settings.seed = 0
    model = sp.load(REFERENCE)
    sp.tl.map_query(adata, model, batch_key="batch", train_kwargs={"enable_progress_bar": False})
    summary, cells = sp.hub.load_summary(REFERENCE), sp.hub.load_reference(REFERENCE)
    sp.tl.detect_novel(adata, summary)
    sp.tl.transfer_labels(adata, cells, "cell_type", classifier=summary, novel_key="novel")
    sp.tl.place(adata, sp.tl.reference_map(cells, labels_key="cell_type"))
    return adata


def view(server, job, name):
    contents = server.client.get(f"/api/jobs/{job}/views/{name}").content
    length = int.from_bytes(contents[:4], "little")
    header = json.loads(contents[4 : 4 + length])
    (array,) = header["arrays"]
    return np.frombuffer(contents, {"f4": "<f4", "u2": "<u2"}[array["type"]], array["length"], 4 + length)


def test_a_job_finds_what_the_verbs_find(server, done, by_hand, tmp_path):
    (tmp_path / "a.h5ad").write_bytes(server.client.get(f"/api/jobs/{done}/files/result.h5ad").content)
    found = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_allclose(found.obsm["X_scarches"], by_hand.obsm["X_scarches"], atol=1e-5)
    for column in ("cell_type_pred", "novel", "novel_state", "novel_label"):
        assert list(found.obs[column].astype(str)) == list(by_hand.obs[column].astype(str))
    np.testing.assert_allclose(found.obsm["X_map"], by_hand.obsm["X_map"], atol=1e-3)
    table = pd.read_csv(io.BytesIO(server.client.get(f"/api/jobs/{done}/files/cells.csv").content), index_col=0)
    assert list(table.index) == list(found.obs_names)
    assert list(table["cell_type_pred"]) == list(by_hand.obs["cell_type_pred"])
    np.testing.assert_allclose(table[["X_map_1", "X_map_2"]], found.obsm["X_map"], atol=1e-4)
    result = server.client.get(f"/api/jobs/{done}/result").json()
    assert result["composition"] == by_hand.obs["cell_type_pred"].value_counts().loc[lambda n: n > 0].to_dict()
    assert result["novel"]["cells"] == int(by_hand.obs["novel"].sum())
    assert result["map"] == "reference"
    columns = {column["name"]: column for column in result["columns"]}
    codes = view(server, done, columns["cell_type_pred"]["file"])
    assert [columns["cell_type_pred"]["groups"][code] for code in codes] == list(by_hand.obs["cell_type_pred"])
    shown = view(server, done, columns["probability"]["file"])
    np.testing.assert_allclose(shown, 1 - by_hand.obs["cell_type_uncertainty"], atol=1e-4)
    np.testing.assert_allclose(view(server, done, "points.view").reshape(-1, 2), found.obsm["X_map"], atol=1e-6)
    assert server.client.get(f"/api/jobs/{done}/names").json() == list(found.obs_names)


def test_the_report_leads_with_a_verdict(server, done, by_hand):
    page = server.client.get(f"/api/jobs/{done}/files/report.html").text
    unknown = (by_hand.obs["cell_type_pred"] == "Unknown").mean()
    verdict = page[page.index("class='verdict'") : page.index("<table")]
    assert f"{1 - unknown:.0%} of 264 cells have a label of the reference, {unknown:.0%} are unknown." in verdict
    n, clusters = int(by_hand.obs["novel"].sum()), by_hand.obs["novel_cluster"].nunique()
    where = f"in {clusters} cluster{'s' if clusters > 1 else ''}" if clusters else "scattered"
    assert f"{n} cells ({n / 264:.0%}) are novel, {where}." in verdict
    assert "Novel cells were not looked for" not in verdict


def repeat(server, job, folder, query=None):
    """Run the script of a job, and compare what it finds."""
    if query is not None:
        (folder / query.name).write_bytes(query.read_bytes())
    for name in ("result.h5ad", "script.py"):
        (folder / name).write_bytes(server.client.get(f"/api/jobs/{job}/files/{name}").content)
    subprocess.run([sys.executable, "-W", "ignore", "script.py"], cwd=folder, check=True, capture_output=True)
    repeated, found = (anndata.read_h5ad(folder / name) for name in ("repeated.h5ad", "result.h5ad"))
    pd.testing.assert_frame_equal(repeated.obs, found.obs, rtol=1e-5)
    assert {"X_scarches", "X_map"} < set(found.obsm)
    for slot in found.obsm:
        np.testing.assert_allclose(repeated.obsm[slot], found.obsm[slot], rtol=1e-4, atol=1e-4)


def test_the_script_repeats_the_job(server, done, query_file, tmp_path):
    script = server.client.get(f"/api/jobs/{done}/files/script.py")
    assert script.headers["content-disposition"] == 'attachment; filename="query-mapped.py"'
    (tmp_path / "query.h5ad").write_bytes(query_file.read_bytes())
    repeat(server, done, tmp_path)


def test_events_tell_each_step_and_end(server, done):
    answer = server.client.get(f"/api/jobs/{done}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    states = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert states[-1]["status"] == "done"
    assert states[-1]["progress"] == 1


def test_a_gene_is_coloured_by_its_expression(server, done, pbmc_query):
    answer = server.client.post(f"/api/jobs/{done}/gene", json={"gene": "cd3d"}).json()
    assert answer["gene"] == "CD3D"
    counts = np.asarray(pbmc_query.X.todense() if hasattr(pbmc_query.X, "todense") else pbmc_query.X)
    share = counts[:, pbmc_query.var_names.get_loc("CD3D")] / counts.sum(axis=1)
    np.testing.assert_allclose(view(server, done, answer["file"]), np.log1p(1e4 * share), rtol=1e-5)
    refused = server.client.post(f"/api/jobs/{done}/gene", json={"gene": "CD3"})
    assert refused.status_code == 422
    assert "CD3D" in refused.json()["error"]


def test_a_label_is_explained(server, done, by_hand):
    answers = server.client.post(f"/api/jobs/{done}/explain", json={"rows": [3, 0]}).json()
    for answer, row in zip(answers, (3, 0), strict=True):
        assert answer["cell"] == by_hand.obs_names[row]
        assert answer["prediction"] == by_hand.obs["cell_type_pred"].iloc[row]
        best = answer["labels"][0]["probability"]
        assert best == pytest.approx(1 - by_hand.obs["cell_type_uncertainty"].iloc[row], abs=1e-4)
        assert answer["novel_label"] == by_hand.obs["novel_label"].iloc[row]
    rows = list(range(by_hand.n_obs))[:100]
    for answer in server.client.post(f"/api/jobs/{done}/explain", json={"rows": rows}).json():
        assert (answer["reason"] == "accepted") == (answer["prediction"] != "Unknown")
    assert server.client.post(f"/api/jobs/{done}/explain", json={"rows": [264]}).status_code == 422


def test_presence_is_what_the_verb_finds(server, done, by_hand):
    """On the reference's map, for each of its points and each label."""
    picture = sp.tl.reference_map(sp.hub.load_reference(REFERENCE), labels_key="cell_type")
    wanted = sp.tl.presence(picture, by_hand, novel_key="novel")
    found = server.client.post(f"/api/jobs/{done}/presence").json()
    scores = view(server, done, found["file"])
    np.testing.assert_allclose(scores, by_hand.uns["scarches_plus"]["presence"]["presence"]["scores"], atol=1e-4)
    labels = pd.DataFrame(found["labels"]).set_index("label")
    pd.testing.assert_frame_equal(
        labels, wanted, check_names=False, check_index_type=False, check_exact=False, atol=1e-4
    )
    assert server.client.post(f"/api/jobs/{done}/presence").json() == found


def test_presence_of_a_large_map_is_measured_on_some_of_it(server, tmp_path):
    """A query of one type: points of that type have it, those of others have none."""
    model = sp.load("simulated-scanvi")
    adata = sp.datasets.simulate(42_000, 150, 6, n_batches=4, mean_depth=2000.0, rng=0)
    inside = adata.obs["batch"].isin(model.spec.batches).to_numpy()
    cells, query = adata[inside].copy(), adata[~inside]
    sp.tl.embed(cells, model)
    cells.obsm["X_umap"] = cells.obsm["X_scarches"][:, :2].astype(np.float32)
    cells.obs["cell_type"] = cells.obs["cell_type"].astype(str)
    cells.obs.iloc[5, cells.obs.columns.get_loc("cell_type")] = "rare"
    kept = {"include": ["latent", "labels", "umap"], "labels_key": "cell_type"}
    bundle = sp.hub.save_bundle(model, tmp_path / "atlas", reference=cells, **kept)
    label = query.obs["cell_type"].value_counts().index[0]
    query[query.obs["cell_type"] == label][:400].copy().write_h5ad(tmp_path / "one.h5ad")
    job = start(server, tmp_path / "one.h5ad", reference=str(bundle), batch_key="batch", max_epochs=5)
    assert wait(server.client, job)["status"] == "done"
    found = server.client.post(f"/api/jobs/{job}/presence").json()
    scores = view(server, job, found["file"])
    assert cells.n_obs > 20_000
    assert len(scores) == cells.n_obs
    own = (cells.obs["cell_type"] == label).to_numpy()
    assert scores[own].mean() > 10 * scores[~own].mean()
    table = pd.DataFrame(found["labels"]).set_index("label")
    assert table["presence"].idxmax() == label
    assert table.loc[label, "share"] > 0.9
    assert table.loc["rare", "n_reference"] == 1
    counts = cells.obs["cell_type"].value_counts()
    pd.testing.assert_series_equal(table["n_reference"], counts[table.index], check_names=False, check_dtype=False)
    np.testing.assert_allclose(table["reference_share"], counts[table.index] / cells.n_obs)


def test_a_reference_that_takes_anothers_place_is_opened_anew(server, small_atlas, tmp_path):
    bundle, query, cells = small_atlas
    place, what = tmp_path / "atlas", {"what": str(tmp_path / "atlas")}
    shutil.copytree(bundle, place)
    before = server.client.post("/api/references", json=what).json()
    half = cells[::2].copy()
    kept = {"include": ["latent", "labels", "umap"], "labels_key": "cell_type"}
    sp.hub.save_bundle("simulated-scanvi", place, reference=half, **kept, overwrite=True)
    after = server.client.post("/api/references", json=what).json()
    assert (before["map_cells"], after["map_cells"]) == (cells.n_obs, half.n_obs)
    assert before["map"] != after["map"]
    job = start(server, query, reference=str(place), batch_key="batch", max_epochs=5)
    assert wait(server.client, job)["status"] == "done"
    found = server.client.post(f"/api/jobs/{job}/presence").json()
    assert len(view(server, job, found["file"])) == half.n_obs


def test_cells_without_batches_are_none_of_the_references(server, pbmc_query, tmp_path):
    """The column and the batch that the page makes up meet those that are there."""
    adata = pbmc_query[:100].copy()
    adata.obs["query_batch"] = "mine"
    adata.write_h5ad(tmp_path / "query.h5ad")
    job = start(server, tmp_path / "query.h5ad", max_epochs=5)
    assert wait(server.client, job)["status"] == "done"
    (tmp_path / "a.h5ad").write_bytes(server.client.get(f"/api/jobs/{job}/files/result.h5ad").content)
    obs = anndata.read_h5ad(tmp_path / "a.h5ad").obs
    assert set(obs["query_batch"]) == {"mine"}
    assert set(obs["query_batch_"]) == {"query"}
    repeat(server, job, tmp_path, tmp_path / "query.h5ad")


@pytest.mark.app
def test_a_table_travels_as_arrow(server, done):
    from pyarrow import ipc

    contents = server.client.get(f"/api/jobs/{done}/files/cells.arrow").content
    table = ipc.open_file(io.BytesIO(contents)).read_all().to_pandas().set_index("cell")
    csv = pd.read_csv(io.BytesIO(server.client.get(f"/api/jobs/{done}/files/cells.csv").content), index_col="cell")
    assert list(table.columns) == list(csv.columns)
    assert list(table["cell_type_pred"].astype(str)) == list(csv["cell_type_pred"].astype(str))
    np.testing.assert_allclose(table["X_map_1"], csv["X_map_1"], rtol=1e-4)


def test_files_that_a_job_has_not_are_refused(server, done):
    for path in ("views/job.json", "views/..%2fjob.json", "files/job.json", "files/worker.log"):
        assert server.client.get(f"/api/jobs/{done}/{path}").status_code == 404
    arrow = server.client.get(f"/api/jobs/{done}/files/cells.arrow")
    try:
        import pyarrow
    except ModuleNotFoundError:
        assert arrow.status_code == 501
        assert "pip install pyarrow" in arrow.json()["error"]
    else:
        table = pyarrow.ipc.open_file(arrow.content).read_all()
        assert table.num_rows == 264
        assert {"cell", "cell_type_pred", "X_map_1"} <= set(table.column_names)


def test_the_check_names_problems_columns_and_batches(server, pbmc_query, tmp_path):
    adata = pbmc_query.copy()
    adata.X = np.log1p(np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X))
    adata.write_h5ad(tmp_path / "log.h5ad")
    asked = {"reference": REFERENCE, "path": str(tmp_path / "log.h5ad"), "batch_key": "batch"}
    found = server.client.post("/api/check", json=asked).json()
    assert not found["ok"]
    assert "log" in found["problems"][0]["message"]
    assert found["problems"][0]["fix"]
    assert found["suggested_batch_key"] == "batch"
    assert found["new_batches"] == ["lane6", "lane7", "lane8"]
    assert {column["name"]: column["groups"] for column in found["columns"]}["batch"] == 3
    state = wait(server.client, start(server, tmp_path / "log.h5ad", batch_key="batch"))
    assert state["status"] == "failed"
    assert "log" in state["message"]
    assert server.client.get(f"/api/jobs/{state['id']}/result").status_code == 409


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("a.h5ad", b"", "empty"),
        ("a.h5ad", b"<!doctype html><title>Log in</title>", "web page"),
        ("a.h5ad", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "damaged"),
        ("a.csv", b"one,two\n", "one line"),
        ("a.rds", gzip.compress(b"X\n\0\0\0\0", mtime=0), "R's data"),
        ("a.zip", b"PK\x03\x04 no archive", "archive"),
        ("a.pkl", b"\x80\x04K\x01.", "pickle"),
    ],
)
def test_bad_files_are_named_for_what_they_are(server, name, contents, words):
    asked = {"reference": REFERENCE, "file": send(server, name, contents)}
    answer = server.client.post("/api/check", json=asked)
    assert answer.status_code == 422
    assert words in answer.json()["error"]
    state = wait(server.client, server.client.post("/api/jobs", json=asked).json()["id"])
    assert state["status"] == "failed"
    assert words in state["message"]


def matrix(adata, packed=zipfile.ZIP_DEFLATED, prefix="sample/GSM1_", extra=()):
    """A 10x matrix as one archive."""
    text = io.BytesIO()
    mmwrite(text, adata.X.T)
    barcodes = "\n".join(adata.obs_names)
    features = "\n".join(f"{name}\t{name}\tGene Expression" for name in adata.var_names)
    parts = {"matrix.mtx": text.getvalue(), "barcodes.tsv": barcodes.encode(), "features.tsv": features.encode()}
    archive = io.BytesIO()
    if packed == "tar":
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for name, contents in parts.items():
                member = tarfile.TarInfo(prefix + name + ".gz")
                contents = gzip.compress(contents)
                member.size = len(contents)
                tar.addfile(member, io.BytesIO(contents))
    else:
        with zipfile.ZipFile(archive, "w", packed) as file:
            for name, contents in {**{prefix + name: part for name, part in parts.items()}, **dict(extra)}.items():
                file.writestr(name, contents)
    return archive.getvalue()


@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, "tar"])
def test_a_10x_matrix_comes_as_an_archive(server, pbmc_query, packed, tmp_path):
    contents = matrix(pbmc_query, packed, extra={"../../evil.txt": b"1", "readme.txt": b"2"}.items())
    asked = {"reference": REFERENCE, "file": send(server, "matrix.zip", contents)}
    found = server.client.post("/api/check", json=asked).json()
    assert (found["kind"], found["n_cells"], found["n_genes_found"]) == ("10x mtx", 264, 765)
    assert found["columns"] == []
    state = wait(server.client, server.client.post("/api/jobs", json=asked).json()["id"])
    assert state["status"] == "done", state
    result = server.client.get(f"/api/jobs/{state['id']}/result").json()
    assert sum(result["composition"].values()) == 264
    if packed == "tar":
        repeat(server, state["id"], tmp_path)
    assert not list(server.folder.rglob("evil.txt"))
    assert not list(server.folder.rglob("readme.txt"))


def test_an_archive_on_disk_is_read_anew(server, pbmc_query, tmp_path):
    """Another archive in its place is not taken for the one of before, and nothing is left beside it."""
    file = tmp_path / "matrix.zip"
    asked = {"reference": REFERENCE, "path": str(file)}
    for n_cells in (264, 100):
        file.write_bytes(matrix(pbmc_query[:n_cells]))
        found = server.client.post("/api/check", json=asked)
        assert found.json()["n_cells"] == n_cells, found.text
    assert [one.name for one in tmp_path.iterdir()] == ["matrix.zip"]


@pytest.mark.parametrize("kept", ["profiles", "cells"])
def test_counts_are_read_where_the_mapping_read_them(server, tmp_path, kept):
    """Of a reference whose counts lie in a layer the query's X may hold anything; the cells of a bundle have an X."""
    from small_models import SCVI, split

    ref, query = split(sp.datasets.simulate(300, 80, 3, n_batches=3), "batch2")
    plain = sp.tl.detect_novel(query, ref, "cell_type", batch_key="batch", copy=True)
    for adata in (ref, query):
        adata.layers["counts"] = adata.X.copy()
        adata.X = np.log1p(adata.X)
    SCVI.setup_anndata(ref, layer="counts", batch_key="batch")
    model = SCVI(ref, n_hidden=8, n_latent=4)
    model.train(max_epochs=1, enable_progress_bar=False)
    sp.tl.embed(ref, model)
    if kept == "profiles":
        carried = {"summary": sp.tl.reference_summary(ref, "cell_type", "batch", layer="counts")}
    else:
        carried = {"reference": ref, "include": ["latent", "labels", "counts"], "labels_key": ["cell_type", "batch"]}
    sp.hub.save_bundle(model, tmp_path / "layered", **({"labels_key": "cell_type"} | carried))
    query.write_h5ad(tmp_path / "query.h5ad")
    job = start(
        server, tmp_path / "query.h5ad", reference=str(tmp_path / "layered"), batch_key="batch", labels_key="cell_type",
        method="zero-shot",
    )  # fmt: skip
    state = wait(server.client, job)
    assert state["status"] == "done", state["message"]
    name = str(query.var_names[0])
    answer = server.client.post(f"/api/jobs/{job}/gene", json={"gene": name}).json()
    counts = np.asarray(
        query.layers["counts"].todense() if hasattr(query.layers["counts"], "todense") else query.layers["counts"]
    )
    expected = np.log1p(1e4 * counts[:, 0] / counts.sum(axis=1))
    np.testing.assert_allclose(view(server, job, answer["file"]), expected, rtol=1e-5)
    columns = {one["name"]: one for one in server.client.get(f"/api/jobs/{job}/result").json()["columns"]}
    scores = view(server, job, columns["novel_score"]["file"])
    np.testing.assert_allclose(scores, plain.obs["novel_score"], atol=0.05 if kept == "profiles" else 1e-4)
    repeat(server, job, tmp_path, tmp_path / "query.h5ad")


def test_a_damaged_summary_is_no_missing_one(server, query_file, tmp_path):
    bundle = shutil.copytree(sp.hub.pull(REFERENCE), tmp_path / "damaged")
    contents = bytearray((bundle / "summary.safetensors").read_bytes())
    contents[-1] ^= 1
    (bundle / "summary.safetensors").write_bytes(contents)
    state = wait(server.client, start(server, query_file, reference=str(bundle), batch_key="batch"))
    assert state["status"] == "failed"
    assert "damaged" in state["message"]


def test_hostile_archives_are_refused(server, pbmc_query):
    two = matrix(pbmc_query, extra={"b_matrix.mtx": b"%%MatrixMarket"}.items())
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("matrix.mtx", b"0" * 2**27)
    for contents, words in ((two, "several"), (bomb.getvalue(), "far more")):
        asked = {"reference": REFERENCE, "file": send(server, "matrix.zip", contents)}
        answer = server.client.post("/api/check", json=asked)
        assert answer.status_code == 422
        assert words in answer.json()["error"]


def test_hostile_labels_stay_text(server, pbmc_query, tmp_path):
    adata = pbmc_query.copy()
    adata.obs["batch"] = pd.Categorical([HOSTILE] * adata.n_obs)
    adata.obs["=cmd()"] = HOSTILE
    adata.obs_names = [f"{HOSTILE}{i}" for i in range(adata.n_obs)]
    adata.write_h5ad(tmp_path / "hostile.h5ad")
    job = start(server, tmp_path / "hostile.h5ad", batch_key="batch", name=f"{HOSTILE}.h5ad")
    state = wait(server.client, job)
    assert state["status"] == "done", state
    report = server.client.get(f"/api/jobs/{job}/files/report.html")
    assert "<script" not in report.text
    assert "sandbox" in report.headers["content-security-policy"]
    table = server.client.get(f"/api/jobs/{job}/files/cells.csv")
    assert "'=cmd()" in table.text.splitlines()[0]
    assert "\n" not in table.headers["content-disposition"]
    script = server.client.get(f"/api/jobs/{job}/files/script.py").text
    compile(script, "script.py", "exec")


def test_jobs_run_in_order_and_can_be_cancelled(server, small_atlas):
    atlas, query_file, _ = small_atlas
    long = start(server, query_file, reference=str(atlas), batch_key="batch", max_epochs=100_000)
    waiting = [start(server, query_file, reference=str(atlas), batch_key="batch", max_epochs=1) for _ in range(3)]
    states = [server.client.get(f"/api/jobs/{job}").json() for job in waiting]
    assert [state["status"] for state in states] == ["queued"] * 3
    assert [state["position"] for state in states] == [1, 2, 3]
    assert server.client.delete(f"/api/jobs/{waiting[1]}").json()["status"] == "cancelled"
    until = time.monotonic() + 60
    while server.client.get(f"/api/jobs/{long}").json()["step"] != "mapping":
        assert time.monotonic() < until
        time.sleep(0.1)
    worker = server.workers()["jobs"]
    assert server.client.delete(f"/api/jobs/{long}").status_code == 202
    assert wait(server.client, long)["status"] == "cancelled"
    assert wait(server.client, waiting[0])["status"] == "done"
    assert wait(server.client, waiting[2])["status"] == "done"
    assert server.workers()["jobs"] != worker
    first, last = (server.client.get(f"/api/jobs/{job}").json() for job in (waiting[0], waiting[2]))
    assert first["ended"] <= last["started"]
    assert server.client.delete(f"/api/jobs/{long}").status_code == 204
    assert server.client.get(f"/api/jobs/{long}").status_code == 404
    assert not (server.folder / "jobs" / long).exists()


@pytest.mark.app
def test_a_worker_that_dies_takes_no_other_job_with_it(server, small_atlas):
    atlas, query_file, _ = small_atlas
    dying = start(server, query_file, reference=str(atlas), batch_key="batch", max_epochs=100_000)
    after = start(server, query_file, reference=str(atlas), batch_key="batch", max_epochs=1)
    until = time.monotonic() + 60
    while server.client.get(f"/api/jobs/{dying}").json()["step"] != "mapping":
        assert time.monotonic() < until
        time.sleep(0.1)
    os.kill(server.workers()["jobs"], signal.SIGKILL)
    state = wait(server.client, dying)
    assert state["status"] == "failed"
    assert "memory" in state["message"]
    assert wait(server.client, after)["status"] == "done"


@pytest.mark.app
def test_a_restart_finds_results_and_takes_up_what_waited(serve_page, tmp_path, small_atlas):
    atlas, query_file, _ = small_atlas
    with serve_page(tmp_path) as server:
        finished = start(server, query_file, reference=str(atlas), batch_key="batch", max_epochs=1)
        assert wait(server.client, finished)["status"] == "done"
        running = start(server, query_file, reference=str(atlas), batch_key="batch", max_epochs=20)
        waiting = start(server, query_file, reference=str(atlas), batch_key="batch", max_epochs=1)
    (tmp_path / "jobs" / "0123456789abcdef").mkdir()  # of a start that broke off
    with serve_page(tmp_path) as server:
        jobs = server.client.get("/api/jobs").json()["jobs"]
        assert [job["id"] for job in jobs] == [finished, running, waiting]
        assert jobs[0]["status"] == "done"
        assert server.client.get(f"/api/jobs/{finished}/files/cells.csv").status_code == 200
        assert wait(server.client, running)["status"] == "done"
        assert wait(server.client, waiting)["status"] == "done"


def test_a_reference_with_cells_has_a_map_that_does_not_move(server, small_atlas):
    bundle, query, cells = small_atlas
    found = server.client.post("/api/references", json={"what": str(bundle)}).json()
    assert found["has_cells"]
    assert found["composition"] == cells.obs["cell_type"].value_counts().to_dict()
    before = server.client.get(f"/api/maps/{found['map']}").content
    length = int.from_bytes(before[:4], "little")
    points = np.frombuffer(before, "<f4", 2 * cells.n_obs, 4 + length).reshape(-1, 2)
    np.testing.assert_array_equal(points, cells.obsm["X_umap"].astype(np.float32))
    job = start(server, query, reference=str(bundle), batch_key="batch", max_epochs=5)
    state = wait(server.client, job)
    assert state["status"] == "done", state
    result = server.client.get(f"/api/jobs/{job}/result").json()
    assert result["map"] == "reference"
    after = server.client.post("/api/references", json={"what": str(bundle)}).json()["map"]
    assert server.client.get(f"/api/maps/{after}").content == before
    placed = view(server, job, "points.view").reshape(-1, 2)
    assert (placed.min(0) >= points.min(0)).all()
    assert (placed.max(0) <= points.max(0)).all()
    (why,) = server.client.post(f"/api/jobs/{job}/explain", json={"rows": [0]}).json()
    assert why["reason"] in {"accepted", "uncertain", "novel"}
    assert sum(int(one.rsplit(" ", 1)[1]) for one in why["neighbors"].split(", ")) <= 50


@pytest.mark.filterwarnings("ignore:the query differs much")
def test_a_job_does_what_its_options_say(server, small_atlas, tmp_path):
    _, query, cells = small_atlas
    cells = cells.copy()
    cells.obs["lineage"] = pd.Categorical(np.where(cells.obs["cell_type"].isin(["type0", "type1"]), "one", "two"))
    summary = sp.tl.ReferenceSummary(profiles=sp.tl.label_profiles(cells, "cell_type", "batch"))
    bundle = sp.hub.save_bundle(
        "simulated-scanvi", tmp_path / "atlas", reference=cells, include=["latent", "labels", "umap"],
        labels_key=["cell_type", "lineage"], summary=summary,
    )  # fmt: skip
    asked = {"labels_key": "lineage", "unknown_above": 0.001, "alpha": 0.3, "seed": 7, "max_epochs": 2}
    job = start(server, query, reference=str(bundle), batch_key="batch", **asked)
    state = wait(server.client, job)
    assert state["status"] == "done", state
    adata, known = anndata.read_h5ad(query), sp.hub.load_reference(bundle)
    sp.model.set_seed(7)
    quiet = {"train_kwargs": {"enable_progress_bar": False}}
    sp.tl.map_query(adata, sp.load(bundle), batch_key="batch", max_epochs=2, **quiet)
    sp.tl.detect_novel(adata, summary, alpha=0.3)
    sp.tl.transfer_labels(adata, known, "lineage", unknown_above=0.001, novel_key="novel")
    assert 0 < adata.obs["novel"].mean() < 1
    (tmp_path / "a.h5ad").write_bytes(server.client.get(f"/api/jobs/{job}/files/result.h5ad").content)
    found = anndata.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_allclose(found.obsm["X_scarches"], adata.obsm["X_scarches"], atol=1e-5)
    for column in ("lineage_pred", "novel"):
        assert list(found.obs[column].astype(str)) == list(adata.obs[column].astype(str))
    novel = np.flatnonzero(adata.obs["novel"])[:2]
    rows = [*map(int, novel), *map(int, np.flatnonzero(~adata.obs["novel"])[[5, 0, 9]])]
    told = sp.tl.explain_labels(adata, known, "lineage", unknown_above=0.001, novel_key="novel").iloc[rows]
    answers = server.client.post(f"/api/jobs/{job}/explain", json={"rows": rows}).json()
    assert [one["reason"] for one in answers] == list(told["reason"])
    assert [one["neighbors"] for one in answers] == list(told["neighbor_labels"])
    np.testing.assert_allclose([one["distance"] for one in answers], told["distance"], rtol=1e-4)
    repeat(server, job, tmp_path, query)


def test_the_neighbours_that_are_told_are_those_that_voted(server, small_atlas, tmp_path):
    _, query, cells = small_atlas
    learned = sp.tl.expression_classifier(
        cells, "cell_type", batch_key="batch", use_rep="X_scarches", k=9, kernel="gaussian", min_cells=20
    )
    bundle = sp.hub.save_bundle(
        "simulated-scanvi", tmp_path / "atlas", reference=cells, include=["latent", "labels"], labels_key="cell_type",
        summary=sp.tl.ReferenceSummary(classifier=learned),
    )  # fmt: skip
    job = start(server, query, reference=str(bundle), batch_key="batch", max_epochs=1)
    state = wait(server.client, job)
    assert state["status"] == "done", state
    assert server.client.get(f"/api/jobs/{job}/result").json()["consensus"]
    answers = server.client.post(f"/api/jobs/{job}/explain", json={"rows": [0, 1]}).json()
    for answer in answers:
        assert sum(int(one.rsplit(" ", 1)[1]) for one in answer["neighbors"].split(", ")) == 9


def test_a_map_travels_without_cells(server, small_atlas, tmp_path):
    _, query, cells = small_atlas
    summary = sp.tl.reference_summary(cells, "cell_type", "batch", use_rep="X_scarches")
    site = sp.hub.save_bundle("simulated-scanvi", tmp_path / "site", summary=summary)
    found = server.client.post("/api/references", json={"what": str(site)}).json()
    assert not found["has_cells"]
    assert found["map_cells"] == cells.n_obs
    job = start(server, query, reference=str(site), batch_key="batch", max_epochs=5)
    assert wait(server.client, job)["status"] == "done"
    assert server.client.get(f"/api/jobs/{job}/result").json()["map"] == "reference"
    repeat(server, job, tmp_path, query)


def test_a_reference_without_a_map_says_so(server, small_atlas, tmp_path):
    _, query, _ = small_atlas
    found = server.client.post("/api/references", json={"what": "simulated-scanvi"}).json()
    assert found["map"] is None
    assert found["composition"] == {f"type{one}": 100 for one in range(6)}
    job = start(server, query, reference="simulated-scanvi", batch_key="batch", max_epochs=5)
    assert wait(server.client, job)["status"] == "done"
    result = server.client.get(f"/api/jobs/{job}/result").json()
    assert result["map"] == "query"
    assert "no map" in server.client.post(f"/api/jobs/{job}/presence").json()["error"]
    assert "neither label profiles nor cells" in result["novelty"]
    repeat(server, job, tmp_path, query)


def test_novel_clusters_get_names(server, turned, tmp_path):
    turned.write_h5ad(tmp_path / "novel.h5ad")
    job = start(server, tmp_path / "novel.h5ad", batch_key="batch", max_epochs=5)
    assert wait(server.client, job)["status"] == "done"
    result = server.client.get(f"/api/jobs/{job}/result").json()
    assert result["novel"]["clusters"]
    cluster, n_cells = next(iter(result["novel"]["clusters"].items()))
    named = server.client.post(f"/api/jobs/{job}/clusters", json={"names": {cluster: "turned"}}).json()
    assert named["novel"]["names"] == {cluster: "turned"}
    table = pd.read_csv(io.BytesIO(server.client.get(f"/api/jobs/{job}/files/cells.csv").content), index_col=0)
    assert (table["novel_named"] == "turned").sum() == n_cells
    repeat(server, job, tmp_path)
    wrong = server.client.post(f"/api/jobs/{job}/clusters", json={"names": {"novel 99": "x"}})
    assert wrong.status_code == 422
    assert "novel 99" in wrong.json()["error"]

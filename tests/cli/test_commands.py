"""Every command, on files."""

import contextlib
import logging
import re
import subprocess
import sys
import tracemalloc

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
from hostile_bundles import sign
from small_models import SCANVI, SCVI, cells, split
from small_models import reference as small_reference

import scarches_plus as sp
from scarches_plus.cli import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of a reference and a query, and a reference model built by the command."""
    folder = tmp_path_factory.mktemp("cli")
    ref, query = split(cells(), "batch2")
    ref.write_h5ad(folder / "ref.h5ad")
    query.write_h5ad(folder / "query.h5ad")
    run("build", folder / "ref.h5ad", "--batch-key", "batch", "--labels-key", "cell_type", "--out", folder / "model")
    return folder


def run(*words, epochs=True):
    words = [*words, "--max-epochs", "1"] if epochs else words
    return app([str(word) for word in words], result_action="return_value", exit_on_error=False, print_error=False)


def test_build_writes_a_model_and_its_cells(folder):
    assert {path.name for path in (folder / "model").iterdir()} == {"model.pt", "reference.h5ad"}
    reference = anndata.read_h5ad(folder / "model" / "reference.h5ad")
    assert reference.X is None
    assert "X_scarches" in reference.obsm
    again = scvi.model.SCVI.load(str(folder / "model"), adata=anndata.read_h5ad(folder / "ref.h5ad"))
    np.testing.assert_allclose(again.get_latent_representation(), reference.obsm["X_scarches"], rtol=1e-5, atol=1e-6)


def test_build_on_the_genes_that_vary(folder, tmp_path):
    columns = ["--batch-key", "batch", "--labels-key", "cell_type", "--n-top-genes", "15"]
    run("build", folder / "ref.h5ad", *columns, "--out", tmp_path / "model", "--bundle", tmp_path / "bundle")
    chosen = sp.pp.select_genes(anndata.read_h5ad(folder / "ref.h5ad"), "batch", 15).genes
    assert sp.model.load(tmp_path / "model").spec.var_names == chosen
    run("annotate", folder / "query.h5ad", "--reference", tmp_path / "bundle", "--out", tmp_path / "labelled.h5ad")
    assert anndata.read_h5ad(tmp_path / "labelled.h5ad").obs["cell_type_pred"].notna().all()


def test_prototypes_label_in_the_place_of_cells(folder, tmp_path, capsys):
    """Without cells and counts, and as a reference of the command transfer."""
    small, mapped, labelled = (tmp_path / f"{name}.h5ad" for name in ("small", "mapped", "labelled"))
    columns = ("--labels-key", "cell_type", "--batch-key", "batch")
    run("prototypes", folder / "model", *columns, "--n-prototypes", 6, "--out", small, epochs=False)
    found = anndata.read_h5ad(small)
    assert found.n_vars == 0
    assert 1 <= found.n_obs <= 6
    assert f"{found.n_obs} prototypes" in capsys.readouterr().out
    run("map", folder / "query.h5ad", "--model", folder / "model", "--out", mapped)
    run("transfer", mapped, "--reference", small, "--labels-key", "cell_type", "--out", labelled, epochs=False)
    cells_of_query = anndata.read_h5ad(labelled)
    again = sp.tl.transfer_labels(anndata.read_h5ad(mapped), found, "cell_type", copy=True)
    assert cells_of_query.obs["cell_type_pred"].tolist() == again.obs["cell_type_pred"].tolist()
    assert set(cells_of_query.obs["cell_type_pred"]) - {"Unknown"}
    joint = tmp_path / "joint.h5ad"
    run("joint", mapped, "--reference", small, "--out", joint, epochs=False)
    with pytest.raises(ValueError, match=r"holds prototypes.*on the command line: report"):
        run("evaluate", joint, "--batch-key", "batch", "--out", tmp_path / "scores", epochs=False)
    words = ["annotate", mapped, "--reference", small, "--labels-key", "cell_type", "--out", tmp_path / "a.h5ad"]
    with pytest.raises(ValueError, match=r"holds no counts.*pass the file that it was made of"):
        run(*words, epochs=False)
    with pytest.raises(KeyError, match="cel_type"):
        run("prototypes", folder / "model", "--labels-key", "cel_type", *columns[2:], "--out", small, epochs=False)


def test_prototypes_leave_counts_in_the_file(folder, tmp_path):
    given = anndata.read_h5ad(folder / "model" / "reference.h5ad")
    counts = np.zeros((given.n_obs, 30_000), dtype=np.float32)
    anndata.AnnData(counts, given.obs, obsm=given.obsm, uns=given.uns).write_h5ad(
        tmp_path / "cells.h5ad", compression="gzip"
    )
    small, columns = tmp_path / "small.h5ad", ("--labels-key", "cell_type", "--batch-key", "batch")
    tracemalloc.start()
    run("prototypes", tmp_path / "cells.h5ad", *columns, "--n-prototypes", 6, "--out", small, epochs=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < counts.nbytes / 2
    expected = sp.tl.reference_prototypes(given, "cell_type", "batch", n_prototypes=6)
    np.testing.assert_array_equal(anndata.read_h5ad(small).obsm["X_scarches"], expected.obsm["X_scarches"])


def test_several_files_are_studies(folder, tmp_path):
    files, columns = (folder / "ref.h5ad", folder / "query.h5ad"), ("--batch-key", "study", "--labels-key", "cell_type")
    run("build", *files, *columns, "--out", tmp_path / "model", "--bundle", tmp_path / "bundle")
    built = anndata.read_h5ad(tmp_path / "model" / "reference.h5ad")
    assert built.n_obs == sum(anndata.read_h5ad(file).n_obs for file in files)
    assert sp.load(tmp_path / "bundle").spec.batches == ("query", "ref")
    with pytest.raises(ValueError, match=r"several files are joined as they are.*totalvi"):
        run("build", *files, *columns, "--recipe", "totalvi", "--out", tmp_path / "other")
    with pytest.raises(ValueError, match="name the file"):
        run("build", *columns, "--out", tmp_path / "other")


def test_a_store_is_written_and_a_reference_built_of_it(folder, tmp_path):
    files, store, model = (folder / "ref.h5ad", folder / "query.h5ad"), tmp_path / "store.zarr", tmp_path / "model"
    run("store", *files, "--out", store, "--columns", "batch", "cell_type", epochs=False)
    assert set(anndata.read_zarr(store).obs) == {"study", "batch", "cell_type"}
    run("build", store, "--batch-key", "batch", "--labels-key", "cell_type", "--out", model)
    built = anndata.read_h5ad(model / "reference.h5ad")
    assert built.n_obs == sum(anndata.read_h5ad(file).n_obs for file in files)
    assert "X_scarches" in built.obsm
    with pytest.raises(ValueError, match="name the files"):
        run("store", "--out", tmp_path / "none.zarr", epochs=False)


def test_the_whole_way(folder, tmp_path):
    mapped, labelled, out = tmp_path / "mapped.h5ad", tmp_path / "labelled.h5ad", tmp_path / "report"
    run("map", folder / "query.h5ad", "--model", folder / "model", "--out", mapped, "--save-model", tmp_path / "next")
    reference = folder / "model" / "reference.h5ad"
    options = ["--reference", reference, "--labels-key", "cell_type"]
    run("transfer", mapped, *options, "--out", labelled, epochs=False)
    found = anndata.read_h5ad(labelled)
    assert "cell_type_pred" in found.obs
    found.obs["novel"] = False
    found.obs["novel_state"] = np.where(np.arange(found.n_obs) % 4 == 0, "not judged", "known")
    found.write_h5ad(labelled)
    run("report", labelled, *options, "--out", out, epochs=False)
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert not re.findall(r'(?:src|href)=["\'](?!data:)', page)
    assert "<th>new batches</th><td>batch2</td>" in page
    assert "<th>shared batches</th>" not in page  # there are none
    assert "{" not in page.partition("</style>")[2], "records are in words"
    words = ("cells have a label of the reference", "were not judged novel or known", "labels right (accuracy)")
    assert sorted(words, key=page.index) == list(words), "the verdict is first"
    assert "Share of the cells of known types; calling one unknown is wrong." in page
    share = (found.obs["novel_state"] == "not judged").mean()
    assert re.search(rf"<th>cells not judged novel or known.{{0,120}}<td>{share:.2f}", page, re.DOTALL)
    assert (out / "umap.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "next" / "model.pt").is_file()
    assert not list(tmp_path.glob(".*"))


def test_a_hierarchy_of_labels(folder, tmp_path):
    (tmp_path / "tree.nwk").write_text("((type0,type1)near,type2);")
    model, tree = tmp_path / "model", ["--hierarchy", tmp_path / "tree.nwk"]
    options = ["--batch-key", "batch", "--labels-key", "cell_type", "--recipe", "scanvi"]
    run("build", folder / "ref.h5ad", *options, *tree, "--out", model)
    assert sp.model.load(model).hierarchy.leaves == ("type0", "type1", "type2")
    run("map", folder / "query.h5ad", "--model", model, "--out", tmp_path / "mapped.h5ad")
    options = ["--reference", model / "reference.h5ad", "--labels-key", "cell_type", *tree]
    run("transfer", tmp_path / "mapped.h5ad", *options, "--out", tmp_path / "labelled.h5ad", epochs=False)
    labels = anndata.read_h5ad(tmp_path / "labelled.h5ad").obs["cell_type_pred"]
    assert labels.cat.categories.tolist() == ["near", "type0", "type1", "type2", "Unknown"]


def test_consensus_and_novel_cells(folder, tmp_path):
    """Labels by vote and classifier of a bundle with cells, as the functions give them; novel cells are unknown."""
    mapped, out = tmp_path / "mapped.h5ad", tmp_path / "out.h5ad"
    columns = ["--labels-key", "cell_type", "--batch-key", "batch"]
    bundle = [
        "bundle",
        folder / "model",
        "--reference",
        folder / "ref.h5ad",
        *columns,
        "--with-cells",
        "latent",
        "labels",
        "index",
    ]
    run(*bundle, "--out", tmp_path / "bundle", epochs=False)
    kept = sp.hub.load_reference(tmp_path / "bundle").uns["scarches_plus"]["neighbor_index"]
    assert kept["X_scarches"]["method"] == "exact"
    run("map", folder / "query.h5ad", "--model", folder / "model", "--out", mapped)
    adata = anndata.read_h5ad(mapped)
    adata.obs["novel"] = np.arange(adata.n_obs) < 7
    adata.write_h5ad(mapped)
    words = [
        "transfer",
        mapped,
        "--labels-key",
        "cell_type",
        "--consensus",
        "--novel-key",
        "novel",
        "--unknown-above",
        "1",
    ]
    run(*words, "--reference", tmp_path / "bundle", "--out", out, epochs=False)
    reference, summary = sp.hub.load_reference(tmp_path / "bundle"), sp.hub.load_summary(tmp_path / "bundle")
    sp.tl.transfer_labels(adata, reference, "cell_type", classifier=summary)
    labelled = anndata.read_h5ad(out)
    np.testing.assert_allclose(labelled.obs["cell_type_uncertainty"], adata.obs["cell_type_uncertainty"])
    assert ((labelled.obs["cell_type_pred"] == "Unknown") == labelled.obs["novel"]).all()
    with pytest.raises(ValueError, match="--consensus takes the classifier of a bundle"):
        run(*words, "--reference", folder / "model", "--out", tmp_path / "no.h5ad", epochs=False)


def test_a_report_by_the_map_of_a_bundle(folder, tmp_path, capsys):
    """Where the reference's cells stay at home, the report is of the query on their map."""
    columns = ["--labels-key", "cell_type", "--batch-key", "batch"]
    bundle = ["bundle", folder / "model", "--reference", folder / "ref.h5ad", *columns]
    run(*bundle, "--out", tmp_path / "bundle", epochs=False)
    run("map", folder / "query.h5ad", "--model", folder / "model", "--out", tmp_path / "mapped.h5ad")
    words = ["--reference", tmp_path / "bundle", "--labels-key", "cell_type"]
    run("transfer", tmp_path / "mapped.h5ad", *words, "--out", tmp_path / "labelled.h5ad", epochs=False)
    run("report", tmp_path / "labelled.h5ad", *words, "--out", tmp_path / "report", epochs=False)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Query on the map of the reference" in page
    assert "States of the reference that the query covers" in page
    assert "Reference and query" not in page
    assert (tmp_path / "report" / "umap.png").stat().st_size > 10_000
    assert "accuracy" in capsys.readouterr().out
    bare = sp.hub.save_bundle(sp.load(folder / "model"), tmp_path / "bare")
    with pytest.raises(ValueError, match="neither label profiles, nor a classifier, nor a map"):
        run(
            "report",
            tmp_path / "labelled.h5ad",
            "--reference",
            bare,
            *words[2:],
            "--out",
            tmp_path / "no",
            epochs=False,
        )


def test_words_for_cells_without_a_label(tmp_path, caplog):
    ref, query = split(cells(), "batch2")
    ref.obs["cell_type"] = ref.obs["cell_type"].astype(str).replace("type0", "Mixed")
    ref.write_h5ad(tmp_path / "ref.h5ad")
    query.write_h5ad(tmp_path / "query.h5ad")
    build = ["build", tmp_path / "ref.h5ad", "--batch-key", "batch", "--labels-key", "cell_type", "--recipe", "scanvi"]
    caplog.set_level("WARNING", "scarches_plus")
    run(*build, "--out", tmp_path / "model")
    assert "cells count as cells without a label: ['Mixed']" in caplog.text
    assert set(sp.load(tmp_path / "model").spec.labels) == {"type1", "type2"}
    run(*build, "--unlabelled", "NA", "none", "--out", tmp_path / "every")
    assert set(sp.load(tmp_path / "every").spec.labels) == {"Mixed", "type1", "type2"}

    run("map", tmp_path / "query.h5ad", "--model", tmp_path / "model", "--out", tmp_path / "mapped.h5ad")
    options = ["--reference", tmp_path / "model" / "reference.h5ad", "--labels-key", "cell_type"]
    for words, known in (([], ["type1", "type2"]), (["--unlabelled", ""], ["Mixed", "type1", "type2"])):
        out = tmp_path / f"labelled{len(words)}.h5ad"
        run("transfer", tmp_path / "mapped.h5ad", *options, *words, "--out", out, epochs=False)
        assert anndata.read_h5ad(out).obs["cell_type_pred"].cat.categories.tolist() == [*known, "Unknown"]


@pytest.mark.parametrize("labels", [None, "unknown"])
def test_a_report_without_true_labels(folder, tmp_path, labels):
    adata = anndata.read_h5ad(folder / "query.h5ad")
    if labels is None:
        del adata.obs["cell_type"]
    else:
        adata.obs["cell_type"] = labels
    adata.write_h5ad(tmp_path / "bare.h5ad")
    run("map", tmp_path / "bare.h5ad", "--model", folder / "model", "--out", tmp_path / "mapped.h5ad")
    options = ["--reference", folder / "model" / "reference.h5ad", "--labels-key", "cell_type"]
    run("transfer", tmp_path / "mapped.h5ad", *options, "--out", tmp_path / "mapped.h5ad", epochs=False)
    run("report", tmp_path / "mapped.h5ad", *options, "--out", tmp_path, epochs=False)
    assert "accuracy" not in (tmp_path / "report.html").read_text()


def test_a_report_says_what_to_look_at(visited, tmp_path, capsys):
    """Novel clusters, cells without a label, and a type that the reference lacks yet gives a label."""
    model, reference, file = visited
    query = anndata.read_h5ad(file)
    sp.tl.map_query(query, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    kept = reference[(reference.obs["cell_type"] != "type0").to_numpy()].copy()
    kept.write_h5ad(tmp_path / "reference.h5ad")
    truth = query.obs["cell_type"].astype(str)
    query.obs["cell_type_pred"] = pd.Categorical(np.where(truth == "type1", "Unknown", "type2"))
    query.obs["cell_type_uncertainty"] = 0.1
    query.obs["novel"] = (truth == "type1").to_numpy()
    query.obs["novel_state"] = np.where(truth == "type1", "novel", "known")
    query.obs["novel_cluster"] = pd.Categorical(np.where(truth == "type1", "novel 1", None))
    query.write_h5ad(tmp_path / "labelled.h5ad")
    words = ["report", tmp_path / "labelled.h5ad", "--reference", tmp_path / "reference.h5ad"]
    run(*words, "--labels-key", "cell_type", "--out", tmp_path / "report", epochs=False)
    out, page = capsys.readouterr().out, (tmp_path / "report" / "report.html").read_text()
    n = int((truth == "type1").sum())
    for said in (
        f"{1 - n / query.n_obs:.0%} of {query.n_obs} cells have a label of the reference",
        f"{n / query.n_obs:.0%} of the cells are called novel, more than most queries have.",
        f"novel 1 ({n} cells)",
        "Types that the reference lacks, yet most of their cells have a label of it: type0, 100%, most others type2.",
    ):
        assert said in out
        assert said in page
    assert "wrong label for most of their cells" not in page  # type1 has no label
    assert "Novel cells were not looked for" not in page


def test_a_verdict_of_unknown_cells_and_of_too_much_drift(visited, tmp_path, capsys):
    """Unknown cells that are novel are not the doubt of neighbours; a reference without cells may have moved."""
    model, reference, file = visited
    query = anndata.read_h5ad(file)
    mapped = sp.tl.map_query(query, model, strategy="all", max_epochs=1, train_kwargs={"enable_progress_bar": False})
    sp.tl.embed(reference, mapped)
    reference.write_h5ad(tmp_path / "reference.h5ad")
    half = np.arange(query.n_obs) % 2 == 0
    query.obs["cell_type_pred"] = pd.Categorical(np.where(half, "Unknown", "type2"))
    query.obs["cell_type_uncertainty"] = 0.1
    words = ["report", tmp_path / "labelled.h5ad", "--reference", tmp_path / "reference.h5ad"]
    said = {}
    for name, novel in {"none": np.zeros(query.n_obs, dtype=bool), "them": half, "others": ~half}.items():
        query.obs["novel"] = novel
        query.obs["novel_state"] = np.where(novel, "novel", "known")
        query.write_h5ad(tmp_path / "labelled.h5ad")
        run(*words, "--labels-key", "cell_type", "--out", tmp_path / name, epochs=False)
        said[name] = capsys.readouterr().out
    doubt = f"{half.mean():.0%} of the cells are unknown without being novel"
    assert [doubt in said[name] for name in said] == [True, False, True]
    drift = query.uns["scarches_plus"]["embeddings"]["X_scarches"]["mapping"]["drift"]["weights"]
    assert drift > 0
    assert ("Weights of the reference changed" in said["none"]) or ("The reference moved by" in said["none"])


def test_novel(tmp_path, caplog):
    adata = sp.datasets.simulate(300, 60, 3, n_batches=3)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    adata[~query].write_h5ad(tmp_path / "reference.h5ad")
    adata[query].copy().write_h5ad(tmp_path / "query.h5ad")
    options = ["--reference", tmp_path / "reference.h5ad", "--labels-key", "cell_type", "--batch-key", "batch"]
    caplog.set_level(logging.INFO)
    run("novel", tmp_path / "query.h5ad", *options, "--out", tmp_path / "novel.h5ad", epochs=False)
    cells = anndata.read_h5ad(tmp_path / "novel.h5ad")
    assert f"novel: {int(cells.obs['novel'].sum())} of 100 cells" in caplog.text
    assert np.isfinite(cells.obs["novel_score"]).all()


def test_annotate(tmp_path, capsys):
    """By cells and by a bundle: what the verb writes, and no model in between."""
    adata = sp.datasets.simulate(300, 60, 3, n_batches=3, type_effect=0.6)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    adata[~query].write_h5ad(tmp_path / "reference.h5ad")
    adata[query].copy().write_h5ad(tmp_path / "query.h5ad")
    columns = ["--labels-key", "cell_type", "--batch-key", "batch"]
    cells = [tmp_path / "query.h5ad", "--reference", tmp_path / "reference.h5ad", *columns]
    run("annotate", *cells, "--out", tmp_path / "by_cells.h5ad", epochs=False)
    found = anndata.read_h5ad(tmp_path / "by_cells.h5ad")
    assert (found.obs["cell_type_pred"].astype(str) == found.obs["cell_type"].astype(str)).mean() > 0.9
    assert f"type0      {(found.obs['cell_type_pred'] == 'type0').sum()}" in capsys.readouterr().out
    reference = adata[~query].copy()
    summary = sp.tl.reference_summary(reference, "cell_type", "batch")
    bundle = sp.hub.save_bundle(small_reference(SCVI, reference), tmp_path / "bundle", summary=summary)
    words = ["annotate", tmp_path / "query.h5ad", "--reference", bundle, "--by", "expression", "--probabilities"]
    run(*words, "--out", tmp_path / "by_bundle.h5ad", epochs=False)
    again = anndata.read_h5ad(tmp_path / "by_bundle.h5ad")
    np.testing.assert_array_equal(again.obs["cell_type_uncertainty"], found.obs["cell_type_uncertainty"])
    assert again.obsm["cell_type_probabilities"].shape == (100, 3)
    with pytest.raises(ValueError, match="--labels-key"):
        run("annotate", *cells[:3], "--out", tmp_path / "no.h5ad", epochs=False)
    bare = sp.hub.save_bundle(small_reference(SCVI, reference), tmp_path / "bare")
    with pytest.raises(ValueError, match=r"neither label profiles, nor a classifier.*or pass the reference's cells"):
        run(
            "annotate", tmp_path / "query.h5ad", "--reference", bare, "--by", "expression", "--out", tmp_path / "no.h5ad",
            epochs=False,
        )  # fmt: skip


@pytest.fixture
def visited(tmp_path):
    """A model with its reference's cells embedded and drawn, and the file of a query."""
    adata = sp.datasets.simulate(300, 80, 3, n_batches=3)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    adata[query].copy().write_h5ad(tmp_path / "query.h5ad")
    reference = adata[~query].copy()
    model = small_reference(SCVI, reference)
    sp.tl.embed(reference, model)
    reference.obsm["X_umap"] = np.random.default_rng(0).normal(size=(reference.n_obs, 2))
    return model, reference, tmp_path / "query.h5ad"


@pytest.mark.parametrize("with_cells", [False, True])
def test_the_whole_visit(visited, tmp_path, capsys, with_cells):
    """What annotate does by a model is what the functions do one by one."""
    model, reference, query = visited
    include = ["latent", "labels", "umap"] if with_cells else []
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches")
    bundle = sp.hub.save_bundle(
        model, tmp_path / "bundle", labels_key="cell_type", summary=summary, reference=reference, include=include
    )
    words = ["annotate", query, "--reference", bundle, "--labels-key", "cell_type", "--out", tmp_path / "labelled.h5ad"]
    run(*words, "--report", tmp_path / "report", "--save-model", tmp_path / "mapped")
    assert "labels by the consensus of vote and classifier" in capsys.readouterr().out
    assert (tmp_path / "report" / "report.html").exists()
    found, expected = anndata.read_h5ad(tmp_path / "labelled.h5ad"), anndata.read_h5ad(query)
    cells = sp.hub.load_reference(bundle) if with_cells else None
    sp.model.set_seed(0)
    mapped = sp.tl.map_query(expected, sp.load(bundle), max_epochs=1, train_kwargs={"enable_progress_bar": False})
    sp.tl.detect_novel(expected, summary)
    source = mapped if cells is None else cells
    sp.tl.transfer_labels(expected, source, "cell_type", classifier=summary, novel_key="novel")
    sp.tl.place(expected, summary if cells is None else sp.tl.reference_map(cells, labels_key="cell_type"))
    for key in ("X_scarches", "X_map"):
        np.testing.assert_allclose(found.obsm[key], expected.obsm[key], rtol=1e-5, atol=1e-5)
    for column in ("novel", "novel_score", "cell_type_uncertainty"):
        np.testing.assert_allclose(found.obs[column].astype(float), expected.obs[column].astype(float), atol=1e-5)
    assert (found.obs["cell_type_pred"].astype(str) == expected.obs["cell_type_pred"].astype(str)).all()
    saved = sp.load(tmp_path / "mapped")
    assert saved.spec.batches == mapped.spec.batches
    for name, value in mapped.module.state_dict().items():
        np.testing.assert_allclose(saved.module.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    with pytest.raises(FileExistsError, match="mapped"):
        run(*words, "--save-model", tmp_path / "mapped")


def test_texts_of_pandas_3_are_written_again(visited, tmp_path):
    """Files of newer releases have nullable strings, which anndata 0.12 reads and does not write."""
    model, reference, _ = visited
    model.save(tmp_path / "model")
    cells = reference.copy()
    names = cells.obs_names.tolist()
    cells.obs_names, cells.var_names = cells.obs_names.astype("string"), cells.var_names.astype("string")
    with anndata.settings.override(allow_write_nullable_strings=True):
        cells.write_h5ad(tmp_path / "new.h5ad")
    run("embed", tmp_path / "new.h5ad", "--model", tmp_path / "model", "--out", tmp_path / "out.h5ad", epochs=False)
    assert anndata.read_h5ad(tmp_path / "out.h5ad").obs_names.tolist() == names
    opened = sp.pp.open_cells(tmp_path / "new.h5ad")
    opened.write_h5ad(tmp_path / "copy.h5ad")
    assert anndata.read_h5ad(tmp_path / "copy.h5ad").var_names.tolist() == reference.var_names.tolist()


def test_a_visit_to_a_reference_whose_space_has_moved(visited, tmp_path, capsys, caplog):
    """The weight of a vote and the map belong to a latent space; by another one the classifier labels alone."""
    model, reference, query = visited
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches")
    moved = small_reference(SCVI, reference[10:].copy())
    assert moved.state.space != model.state.space
    bundle = sp.hub.save_bundle(moved, tmp_path / "moved", labels_key="cell_type", summary=summary)
    kept = sp.hub.load_summary(bundle)
    assert kept.map is None
    assert kept.classifier.vote is None
    assert "another latent space" in caplog.text
    run("annotate", query, "--reference", bundle, "--labels-key", "cell_type", "--out", tmp_path / "labelled.h5ad")
    assert "labels by the vote" in capsys.readouterr().out


def test_a_vote_of_another_number_of_neighbours_is_taken_as_it_was_learned(visited, tmp_path, capsys):
    model, reference, query = visited
    one = sp.tl.expression_classifier(
        reference, "cell_type", batch_key="batch", use_rep="X_scarches", k=9, kernel="gaussian", min_cells=20
    )
    bundle = sp.hub.save_bundle(
        model, tmp_path / "bundle", labels_key="cell_type", summary=sp.tl.ReferenceSummary(classifier=one)
    )
    run("annotate", query, "--reference", bundle, "--labels-key", "cell_type", "--out", tmp_path / "labelled.h5ad")
    assert "labels by the consensus" in capsys.readouterr().out


def test_a_vote_that_a_forged_bundle_claims_is_not_taken(visited, tmp_path, capsys):
    model, reference, query = visited
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches")
    bundle = sp.hub.save_bundle(model, tmp_path / "bundle", labels_key="cell_type", summary=summary)

    def elsewhere(held):
        held["classifier"]["vote"]["space"] = "elsewhere"
        return held

    sign(bundle, summary=elsewhere)
    run("annotate", query, "--reference", bundle, "--labels-key", "cell_type", "--out", tmp_path / "labelled.h5ad")
    assert "labels by the vote" in capsys.readouterr().out


def test_the_fixed_map_of_a_bundle_is_kept_to(visited, tmp_path):
    """Cells without a picture get no new one where the bundle has a map."""
    model, reference, query = visited
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches")
    bundle = sp.hub.save_bundle(
        model, tmp_path / "bundle", labels_key="cell_type", summary=summary, reference=reference,
        include=["latent", "labels"],
    )  # fmt: skip
    words = ["annotate", query, "--reference", bundle, "--labels-key", "cell_type", "--out", tmp_path / "labelled.h5ad"]
    run(*words, "--report", tmp_path / "report")
    found = anndata.read_h5ad(tmp_path / "labelled.h5ad")
    placed = sp.tl.place(found, summary, key_added="again", copy=True)
    np.testing.assert_array_equal(found.obsm["X_map"], placed.obsm["again"])


def test_novelty_by_cells_whose_counts_lie_in_a_layer(tmp_path, capsys):
    adata = sp.datasets.simulate(300, 80, 3, n_batches=3)
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.log1p() if hasattr(adata.X, "log1p") else np.log1p(adata.X)
    of_query = (adata.obs["batch"] == "batch2").to_numpy()
    reference, query = adata[~of_query].copy(), adata[of_query].copy()
    SCVI.setup_anndata(reference, layer="counts", batch_key="batch")
    model = SCVI(reference, n_hidden=8, n_latent=4)
    model.train(max_epochs=1, enable_progress_bar=False)
    model.save(tmp_path / "model", save_anndata=True)
    query.write_h5ad(tmp_path / "query.h5ad")
    words = ["annotate", tmp_path / "query.h5ad", "--reference", tmp_path / "model", "--labels-key", "cell_type"]
    run(*words, "--out", tmp_path / "labelled.h5ad")
    assert "were not looked for" not in capsys.readouterr().out
    found = anndata.read_h5ad(tmp_path / "labelled.h5ad")
    layers = {"layer": "counts", "reference_layer": "counts"}
    sp.tl.detect_novel(query, reference, "cell_type", batch_key="batch", **layers)
    np.testing.assert_allclose(found.obs["novel_score"], query.obs["novel_score"], atol=1e-6)


def test_a_visit_gives_the_labels_that_are_asked_for_or_trained(visited, tmp_path, capsys):
    """The classifier of the bundle is of other labels: these are voted on alone."""
    _, reference, query = visited
    reference.obs["above"] = np.where(reference.obs["cell_type"] == "type0", "one", "two")
    model = small_reference(SCANVI, reference)
    sp.tl.embed(reference, model)
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches", basis=None)
    bundle = sp.hub.save_bundle(model, tmp_path / "bundle", labels_key=["above", "cell_type"], summary=summary)
    words = ["annotate", query, "--reference", bundle, "--out", tmp_path / "labelled.h5ad"]
    for asked, written, said in (([], "cell_type", "the consensus"), (["--labels-key", "above"], "above", "the vote")):
        run(*words, *asked)
        assert f"labels by {said}" in capsys.readouterr().out
        found = anndata.read_h5ad(tmp_path / "labelled.h5ad").obs
        assert [name for name in found if name.endswith("_pred")] == [f"{written}_pred"]


def test_a_visit_takes_the_words_that_are_no_label(visited, tmp_path):
    _, reference, query = visited
    reference.obs["cell_type"] = reference.obs["cell_type"].astype(str).replace("type0", "Mixed")
    small_reference(SCVI, reference).save(tmp_path / "model", save_anndata=True)
    words = ["annotate", query, "--reference", tmp_path / "model", "--labels-key", "cell_type"]
    run(*words, "--unlabelled", "type1", "--out", tmp_path / "labelled.h5ad")
    found = anndata.read_h5ad(tmp_path / "labelled.h5ad")
    assert set(found.uns["scarches_plus"]["novel"]["novel"]["labels"]) == {"Mixed", "type2"}
    assert set(found.obs["cell_type_pred"].cat.categories) == {"Mixed", "type2", "Unknown"}


def test_a_mapping_is_not_lost_with_what_comes_after(visited, tmp_path):
    model, _, query = visited
    bundle = sp.hub.save_bundle(model, tmp_path / "bundle", labels_key="cell_type")
    (tmp_path / "tree.nwk").write_text("((type0,type1)near,stranger);")
    words = [
        "annotate",
        query,
        "--reference",
        bundle,
        "--labels-key",
        "cell_type",
        "--hierarchy",
        tmp_path / "tree.nwk",
    ]
    with pytest.raises(ValueError, match="type2"):
        run(*words, "--out", tmp_path / "labelled.h5ad")
    assert "X_scarches" in anndata.read_h5ad(tmp_path / "labelled.h5ad").obsm


def test_a_query_without_batches_is_no_batch_of_the_reference(visited, tmp_path, capsys):
    _, reference, file = visited
    reference.obs["batch"] = reference.obs["batch"].astype(str).replace("batch0", "query")
    bundle = sp.hub.save_bundle(small_reference(SCVI, reference), tmp_path / "bundle", labels_key="cell_type")
    query = anndata.read_h5ad(file)
    del query.obs["batch"]
    query.write_h5ad(tmp_path / "no_batch.h5ad")
    words = ["annotate", tmp_path / "no_batch.h5ad", "--reference", bundle, "--labels-key", "cell_type"]
    run(*words, "--out", tmp_path / "labelled.h5ad")
    assert "one batch, query_" in capsys.readouterr().out
    assert set(anndata.read_h5ad(tmp_path / "labelled.h5ad").obs["batch"]) == {"query_"}
    with pytest.raises(ValueError, match="unlabelled is of a reference with cells"):
        run(*words, "--unlabelled", "Mixed", "--out", tmp_path / "no.h5ad")


def test_labels_that_a_reference_lacks_are_named(visited, tmp_path):
    model, reference, query = visited
    bare = sp.hub.save_bundle(model, tmp_path / "bare", summary=False)
    words = ["annotate", query, "--out", tmp_path / "no.h5ad", "--reference"]
    with pytest.raises(ValueError, match=r"carries no labels of its latent space$"):
        run(*words, bare)
    summary = sp.tl.ReferenceSummary(classifier=sp.tl.expression_classifier(reference, "cell_type", min_cells=20))
    told = sp.hub.save_bundle(model, tmp_path / "told", summary=summary)
    with pytest.raises(ValueError, match="--by expression"):
        run(*words, told)
    latent = sp.hub.save_bundle(
        model, tmp_path / "latent", labels_key="cell_type", reference=reference, include="latent"
    )
    with pytest.raises(ValueError, match="no labels 'lineage'"):
        run(*words, latent, "--labels-key", "lineage")
    run(*words[:3], tmp_path / "by_mixture.h5ad", "--reference", latent, "--labels-key", "cell_type")
    assert "cell_type_pred" in anndata.read_h5ad(tmp_path / "by_mixture.h5ad").obs


def test_a_damaged_summary_is_no_missing_one(visited, tmp_path):
    model, reference, query = visited
    summary = sp.tl.reference_summary(reference, "cell_type", "batch")
    bundle = sp.hub.save_bundle(model, tmp_path / "bundle", labels_key="cell_type", summary=summary)
    contents = bytearray((bundle / "summary.safetensors").read_bytes())
    contents[-1] ^= 1
    (bundle / "summary.safetensors").write_bytes(contents)
    with pytest.raises(ValueError, match="is damaged"):
        run("annotate", query, "--reference", bundle, "--labels-key", "cell_type", "--out", tmp_path / "no.h5ad")


def test_a_report_of_labels_that_the_map_lacks(visited, tmp_path):
    """A second column of labels, and a query all of whose cells are novel."""
    model, reference, file = visited
    summary = sp.tl.reference_summary(reference, "cell_type", "batch", use_rep="X_scarches")
    bundle = sp.hub.save_bundle(model, tmp_path / "bundle", labels_key="cell_type", summary=summary)
    query = anndata.read_h5ad(file)
    sp.tl.map_query(query, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    query.obs["lineage"] = query.obs["lineage_pred"] = pd.Categorical(["one"] * query.n_obs)
    query.obs["lineage_uncertainty"] = 0.1
    query.obs["novel"], query.obs["novel_state"] = True, "novel"
    query.write_h5ad(tmp_path / "mapped.h5ad")
    words = ["report", tmp_path / "mapped.h5ad", "--reference", bundle, "--labels-key", "lineage"]
    run(*words, "--out", tmp_path / "report", epochs=False)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "States of the reference" not in page


def test_a_visit_says_what_the_reference_lacks(visited, tmp_path, capsys):
    model, _, file = visited
    bare = sp.hub.save_bundle(model, tmp_path / "bare", labels_key="cell_type")
    query = anndata.read_h5ad(file)
    del query.obs["batch"]
    query.write_h5ad(tmp_path / "no_batch.h5ad")
    words = ["annotate", tmp_path / "no_batch.h5ad", "--reference", bare, "--out", tmp_path / "labelled.h5ad"]
    run(*words)
    said = capsys.readouterr().out
    for part in (
        "all of its cells are one batch",
        "novel cells were not looked for",
        "labels by the vote",
        "not placed",
    ):
        assert part in said
    labelled = anndata.read_h5ad(tmp_path / "labelled.h5ad")
    assert "cell_type_pred" in labelled.obs
    assert "novel" not in labelled.obs
    with pytest.raises(ValueError, match="--report draws the query on the map"):
        run(*words, "--report", tmp_path / "report")
    with pytest.raises(ValueError, match="--novel-key goes with --by expression"):
        run(*words, "--novel-key", "novel")


@pytest.mark.filterwarnings("ignore:.*would be given a new label")  # after an epoch
def test_name_and_extend(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    ref, query = (anndata.read_h5ad(folder / f"{name}.h5ad") for name in ("ref", "query"))
    ref[ref.obs["cell_type"] != "type2"].write_h5ad(tmp_path / "ref.h5ad")
    options = ["--batch-key", "batch", "--labels-key", "cell_type", "--recipe", "scanvi"]
    run("build", tmp_path / "ref.h5ad", *options, "--out", tmp_path / "model")
    truth = query.obs["cell_type"].astype(str)
    query.obs["novel"] = (truth == "type2").to_numpy()
    query.obs["novel_cluster"] = pd.Categorical(np.where(query.obs["novel"], "novel 1", None))
    query.obs["guess"] = pd.Categorical(truth.where(truth != "type2", "type1"))
    query.write_h5ad(tmp_path / "query.h5ad")
    run("map", tmp_path / "query.h5ad", "--model", tmp_path / "model", "--out", tmp_path / "mapped.h5ad",
        "--save-model", tmp_path / "mapped")  # fmt: skip
    (tmp_path / "names.json").write_text('{"novel 1": "mine"}')
    named = ["name", tmp_path / "mapped.h5ad", "--names", tmp_path / "names.json", "--predictions", "guess"]
    run(*named, "--out", tmp_path / "named.h5ad", epochs=False)
    expected = truth.replace("type2", "mine")
    assert (anndata.read_h5ad(tmp_path / "named.h5ad").obs["novel_named"].astype(str) == expected).all()
    words = ["extend", tmp_path / "named.h5ad", "--model", tmp_path / "mapped", "--labels-key", "novel_named"]
    words += ["--reference", tmp_path / "model" / "reference.h5ad", "--out", tmp_path / "extended"]
    run(*words, epochs=False)
    assert sp.model.load(tmp_path / "extended").classes == ("type0", "type1", "mine")
    assert f"learned mine (from {(expected == 'mine').sum()} cells)" in caplog.text
    with pytest.raises(FileExistsError, match="--overwrite"):
        run(*words, epochs=False)
    (tmp_path / "names.json").write_text("[]")
    with pytest.raises(TypeError, match="but a list"):
        run(*named, "--out", tmp_path / "named.h5ad", epochs=False)
    named[3] = "novel 1=mine"  # the same without a file
    run(*named, "--out", tmp_path / "typed.h5ad", epochs=False)
    assert (anndata.read_h5ad(tmp_path / "typed.h5ad").obs["novel_named"].astype(str) == expected).all()
    for wrong in (["novel 1="], ["=mine"], ["novel 1=mine", "novel 1=other"], ["novel 1=mine", "novel 2"]):
        words = [*named[:3], *wrong, *named[4:], "--out", tmp_path / "typed.h5ad"]
        with pytest.raises(ValueError, match=r'--names takes "novel 1=delta" for each cluster, once'):
            run(*words, epochs=False)


def test_novel_by_a_bundle(tmp_path, capsys):
    adata = sp.datasets.simulate(300, 60, 3, n_batches=3)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    adata[query].copy().write_h5ad(tmp_path / "query.h5ad")
    reference = adata[~query].copy()
    summary = sp.tl.reference_summary(reference, "cell_type", "batch")
    bundle = sp.hub.save_bundle(small_reference(SCVI, reference), tmp_path / "bundle", summary=summary)
    run("novel", tmp_path / "query.h5ad", "--reference", bundle, "--out", tmp_path / "novel.h5ad", epochs=False)
    expected = adata[query].copy()
    sp.tl.detect_novel(expected, summary)
    found = anndata.read_h5ad(tmp_path / "novel.h5ad")
    np.testing.assert_array_equal(found.obs["novel_score"], expected.obs["novel_score"])
    record = expected.uns["scarches_plus"]["novel"]["novel"]
    low, high = (100 * record["false_calls"][end] for end in ("low", "high"))
    said = " ".join(capsys.readouterr().out.split())
    assert f"known cells among them: {low:.1f}% to {high:.1f}% in nine of ten scenarios" in said
    assert f"agreement with labels {record['agreement']:.2f}" in said
    assert f"batches {record['expected']:.2f}" in said
    one = adata[query & (adata.obs["cell_type"] == "type0").to_numpy()].copy()
    one.write_h5ad(tmp_path / "one.h5ad")
    with pytest.warns(UserWarning, match="not judged"):
        run("novel", tmp_path / "one.h5ad", "--reference", bundle, "--out", tmp_path / "none.h5ad", epochs=False)
    assert "nothing was judged" in capsys.readouterr().out
    assert (anndata.read_h5ad(tmp_path / "none.h5ad").obs["novel_state"] == "not judged").all()


def test_evaluate(folder, tmp_path, around):
    around("cells are read", lambda *_, **__: pytest.fail("counts were read"))
    adata = anndata.read_h5ad(folder / "ref.h5ad")
    adata.obsm["counts"] = np.log1p(adata.X.toarray())
    adata.obs["is_reference"] = adata.obs["batch"] == "batch0"
    adata.write_h5ad(tmp_path / "cells.h5ad")
    options = ["--batch-key", "batch", "--labels-key", "cell_type", "--reference-key", "is_reference"]
    run(
        "evaluate", tmp_path / "cells.h5ad", "--embeddings", "counts", *options, "--out", tmp_path / "out", epochs=False
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "scores.csv", "labels.csv", "evaluation.html", "evaluation.png",
    }  # fmt: skip
    scores = pd.read_csv(tmp_path / "out" / "scores.csv").set_index("score")["value"]
    assert scores["EBM"] == pytest.approx(
        sp.metrics.batch_entropy(adata.obsm["counts"], adata.obs["batch"], normalize=True).mean()
    )
    assert 0 <= scores["label accuracy"] <= 1
    options = ["--embeddings", "counts", "--batch-key", "batch", "--sample-key", "batch", "--out", tmp_path / "mixing"]
    run("evaluate", tmp_path / "cells.h5ad", *options, epochs=False)
    samples = pd.read_csv(tmp_path / "mixing" / "samples.csv")
    assert samples.loc[samples["score"] == "EBM", "sample"].tolist() == sorted(adata.obs["batch"].unique())
    assert {path.name for path in (tmp_path / "mixing").iterdir()} == {
        "scores.csv", "samples.csv", "evaluation.html", "evaluation.png",
    }  # fmt: skip


def test_demo(tmp_path, capsys):
    run("demo", "--out", tmp_path)
    mapped = anndata.read_h5ad(tmp_path / "mapped.h5ad")
    assert set(mapped.obs["batch"]) == {"lane6", "lane7", "lane8"}
    assert "CD19+ B" not in set(mapped.obs["cell_type_pred"])
    assert {path.name for path in tmp_path.iterdir()} == {"mapped.h5ad", "report.html", "umap.png"}
    assert "unseen types found by uncertainty" in capsys.readouterr().out


def test_demo_on_any_file(tmp_path):
    cells().write_h5ad(tmp_path / "all.h5ad")
    start = ["demo", "--data", tmp_path / "all.h5ad", "--out", tmp_path / "out", "--recipe", "scvi"]
    run(*start, "--reference-batches", "batch0", "batch1", "--withhold", "type0")
    assert set(anndata.read_h5ad(tmp_path / "out" / "mapped.h5ad").obs["batch"]) == {"batch2"}
    for words, message in (
        (["--reference-batches", "batch9"], r"no batches \['batch9'\]"),
        (["--reference-batches", "batch0", "batch1", "batch2"], "at least one for the query"),
        (["--reference-batches", "batch0", "--labels-key", "label"], r"'label' not found in .*all\.h5ad"),
        ([], "--reference-batches A B"),
    ):
        with pytest.raises((ValueError, KeyError), match=message):
            run(*start, *words)


def test_a_type_called_mixed_in_demo_and_report(tmp_path, caplog):
    every = cells()
    every.obs["cell_type"] = every.obs["cell_type"].astype(str).replace("type0", "Mixed")
    every.write_h5ad(tmp_path / "all.h5ad")
    caplog.set_level("WARNING", "scarches_plus")
    words = ["demo", "--data", tmp_path / "all.h5ad", "--reference-batches", "batch0", "batch1", "--unlabelled", ""]
    run(*words, "--out", tmp_path / "out")
    mapped = tmp_path / "out" / "mapped.h5ad"
    assert "Mixed" in anndata.read_h5ad(mapped).obs["cell_type_pred"].cat.categories
    of = ["--reference", tmp_path / "ref.h5ad", "--labels-key", "cell_type"]
    reference = anndata.read_h5ad(mapped)
    reference.write_h5ad(tmp_path / "ref.h5ad")
    run("report", mapped, *of, "--unlabelled", "", "--out", tmp_path / "every", epochs=False)
    assert "without a label" not in caplog.text
    run("report", mapped, *of, "--out", tmp_path / "fewer", epochs=False)
    assert "cells count as cells without a label: ['Mixed']" in caplog.text


@pytest.mark.parametrize("recipe", ["bascvi", "scvi_4_layers_blind"])
def test_demo_without_training_on_the_query(tmp_path, capsys, recipe):
    """Encoders that do not see batches embed it as it is."""
    cells().write_h5ad(tmp_path / "all.h5ad")
    words = ["demo", "--data", tmp_path / "all.h5ad", "--out", tmp_path / "out", "--recipe", recipe]
    run(*words, "--reference-batches", "batch0", "batch1")
    mapped = anndata.read_h5ad(tmp_path / "out" / "mapped.h5ad")
    assert mapped.obsm["X_scarches"].std(axis=0).min() > 0
    assert "cell_type_pred" in mapped.obs
    assert "embedded the query without training" in " ".join(capsys.readouterr().out.split())


def test_demo_refuses_proteins_at_once(tmp_path):
    with pytest.raises(ValueError, match="recipe totalvi takes proteins"):
        run("demo", "--data", tmp_path / "nowhere.h5ad", "--out", tmp_path / "out", "--recipe", "totalvi")
    assert not list(tmp_path.iterdir())


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5ad is not a file"):
        run("map", tmp_path / "nowhere.h5ad", "--model", tmp_path, "--out", tmp_path / "x.h5ad")


def test_help_is_quick_and_complete():
    code = (
        "import sys; sys.argv = ['scarches-plus', '--help']\n"
        "from scarches_plus.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'scvi', 'scanpy'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in (
        "demo",
        "build",
        "map",
        "annotate",
        "transfer",
        "novel",
        "name",
        "extend",
        "report",
        "seeds",
        "abundance",
        "markers",
        "expression",
        "joint",
        "completion",
    ):
        assert command in result.stdout


def test_the_help_of_a_command_is_all_that_its_function_says(capsys):
    with contextlib.suppress(SystemExit):
        app(["check", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Say what is wrong with cells and how to mend it" in text
    assert "The exit status is 2 if the cells cannot be used" in text
    assert "A file of cells with raw counts" in text


def test_seeds(folder, tmp_path, capsys):
    markers = tmp_path / "markers.json"
    markers.write_text('{"a": {"positive": ["gene0", "gene1"], "negative": ["gene2"]}, "b": ["gene3"]}')
    words = ["seeds", folder / "ref.h5ad", "--markers", markers, "--n-seeds", 5, "--out", tmp_path / "seeds.h5ad"]
    run(*words, epochs=False)
    expected = anndata.read_h5ad(folder / "ref.h5ad")
    sp.pp.seed_labels(expected, {"a": {"positive": ["gene0", "gene1"], "negative": ["gene2"]}, "b": ["gene3"]}, 5)
    assert anndata.read_h5ad(tmp_path / "seeds.h5ad").obs["seed_label"].equals(expected.obs["seed_label"])
    assert "Unknown" in capsys.readouterr().out
    markers.write_text('["gene0"]')
    with pytest.raises(TypeError, match="but a list"):
        run(*words, epochs=False)


def test_abundance(folder, tmp_path, capsys):
    words = ["abundance", folder / "query.h5ad", "--labels-key", "cell_type", "--out", tmp_path / "shares.csv"]
    run(*words, "--reference", folder / "ref.h5ad", epochs=False)
    assert "type0" in capsys.readouterr().out
    adatas = [anndata.read_h5ad(folder / name) for name in ("query.h5ad", "ref.h5ad")]
    expected = sp.tl.differential_abundance(adatas[0], "cell_type", reference=adatas[1])
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "shares.csv", index_col=0), expected, check_names=False, check_dtype=False
    )
    with pytest.raises(KeyError, match=r"'new'.*the command novel writes"):
        run(*words, "--reference", folder / "ref.h5ad", "--novel-key", "new", epochs=False)
    with pytest.raises(ValueError, match="name different columns"):
        run(*words, "--groupby", "cell_type", epochs=False)


def test_errors_are_one_line(folder, tmp_path):
    words = [
        "scarches-plus",
        "map",
        str(tmp_path / "nowhere.h5ad"),
        "--model",
        str(folder / "model"),
        "--out",
        "x.h5ad",
    ]
    code = f"import sys; sys.argv = {words!r}\nfrom scarches_plus.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "nowhere.h5ad is not a file" in result.stderr
    assert "Traceback" not in result.stderr


def test_models_are_replaced_on_request_only(folder):
    words = ["build", folder / "ref.h5ad", "--batch-key", "batch", "--out", folder / "twice"]
    run(*words)
    with pytest.raises(FileExistsError, match="--overwrite"):
        run(*words)
    run(*words, "--overwrite")


def test_counts_in_a_layer(folder, tmp_path):
    adata = cells()
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X.toarray())
    adata.write_h5ad(tmp_path / "layer.h5ad")
    words = [
        "demo",
        "--data",
        tmp_path / "layer.h5ad",
        "--out",
        tmp_path / "out",
        "--recipe",
        "scvi",
        "--layer",
        "counts",
    ]
    run(*words, "--reference-batches", "batch0", "batch1")
    assert (tmp_path / "out" / "report.html").is_file()


def test_penalties_importance_and_anchors(folder, tmp_path):
    model, mapped = tmp_path / "model", tmp_path / "mapped.h5ad"
    options = ["--batch-key", "batch", "--labels-key", "cell_type", "--out", model]
    run("build", folder / "ref.h5ad", *options, "--penalty", "mmd:weight=2", "--importance", "--anchors", "50")
    kept = sp.model.load(model).state
    assert kept.importance is not None
    assert len(kept.anchors) == 50
    assert [one["weight"] for one in kept.penalties] == [2]
    run("map", folder / "query.h5ad", "--model", model, "--out", mapped, "--strategy", "clcvae", "--penalty", "mmd")
    record = anndata.read_h5ad(mapped).uns["scarches_plus"]["embeddings"]["X_scarches"]["mapping"]
    assert record["recipe"] == "clcvae"
    assert "mmd" in record["penalties"]

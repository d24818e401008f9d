"""The shell session from a file of cells to somebody else's report, with the model as a folder, a DOI and a name of a
hub.
"""

import re
import shutil

import anndata
import mudata
import numpy as np
import pytest
import scvi
from border_rows import run_command
from cyclopts import CoercionError
from invenio_server import TOKEN, InvenioServer
from small_models import TOTALVI, reference, split, with_proteins

import scarches_plus as sp
from scarches_plus.cli import app, main
from scarches_plus.datasets import simulate


def run(*words):
    return app(list(map(str, words)), result_action="return_value", exit_on_error=False, print_error=False)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, publish_at):
    """What a lab does: build a reference as a bundle, add cells without counts and a name, publish it, list it."""
    with pytest.MonkeyPatch.context() as patch:
        lab = tmp_path_factory.mktemp("lab")
        patch.setenv("ZENODO_SANDBOX_TOKEN", TOKEN)
        server = InvenioServer()
        publish_at(patch, "zenodo sandbox", server.address)
        ref, query = split(simulate(300, 60, 3, n_batches=3, mean_depth=400.0, rng=0), "batch2")
        ref.write_h5ad(lab / "ref.h5ad")
        query.write_h5ad(lab / "query.h5ad")
        columns = ("--batch-key", "batch", "--labels-key", "cell_type")
        run("build", lab / "ref.h5ad", *columns, "--recipe", "scanvi", "--bundle", lab / "built", "--max-epochs", 2)
        run(
            "bundle", lab / "built", "--reference", lab / "ref.h5ad", "--labels-key", "cell_type", "--with-cells", "latent", "labels",
            "--name", "small", "--version", "1", "--license", "CC0-1.0", "--out", lab / "bundles" / "small",
        )  # fmt: skip
        push = (
            "hub",
            "push",
            lab / "bundles" / "small",
            "--creators",
            "Doe, Jane",
            "--allow-cells",
            "--publish",
            "--yes",
        )
        run(*push)
        (record,) = server.records
        sp.hub.write_index(lab / "bundles", uploads=list(sp.hub.list_uploads()))
        patch.delenv("ZENODO_SANDBOX_TOKEN")
        patch.setenv("SCARCHES_PLUS_HUB_INDEX", str(lab / "bundles"))
        yield lab, {"bundle": lab / "bundles" / "small", "doi": f"10.5072/zenodo.{record}", "name": "small@1"}
        server.close()


@pytest.mark.parametrize("by", ["bundle", "doi", "name"])
def test_the_session(by, lab, tmp_path, monkeypatch, capsys):
    folder, names = lab
    monkeypatch.setenv("SCARCHES_PLUS_CACHE", str(tmp_path / "cache"))
    if by == "doi":
        monkeypatch.delenv("SCARCHES_PLUS_HUB_INDEX")  # no index knows it
        run("hub", "pull", names[by])
        assert "cache" in capsys.readouterr().out
    model = names[by]
    run("hub", "info", model)
    assert '"small"' in capsys.readouterr().out
    run("check", folder / "query.h5ad", "--model", model)
    mapped, labelled, novel = (tmp_path / f"{name}.h5ad" for name in ("mapped", "labelled", "novel"))
    run("map", folder / "query.h5ad", "--model", model, "--out", mapped, "--max-epochs", 2)
    run("transfer", mapped, "--reference", model, "--labels-key", "cell_type", "--out", labelled)
    run("novel", folder / "query.h5ad", "--reference", model, "--out", novel)
    run("embed", folder / "ref.h5ad", "--model", model, "--out", tmp_path / "embedded.h5ad")
    run("abundance", labelled, "--reference", model, "--labels-key", "cell_type", "--out", tmp_path / "shares.csv")
    run("report", labelled, "--reference", model, "--labels-key", "cell_type", "--out", tmp_path / "report")
    assert "cell_type_pred" in anndata.read_h5ad(labelled).obs
    assert "novel" in anndata.read_h5ad(novel).obs
    assert "accuracy" in (tmp_path / "report" / "report.html").read_text()
    assert anndata.read_h5ad(tmp_path / "embedded.h5ad").obsm["X_scarches"].shape[1] == sp.hub.info(
        lab[1]["bundle"]
    ).model.arguments.get("n_latent", 10)


def test_a_bundle_without_cells_labels_by_its_summary(lab, tmp_path):
    folder, _ = lab
    mapped, labelled = tmp_path / "mapped.h5ad", tmp_path / "labelled.h5ad"
    run("map", folder / "query.h5ad", "--model", folder / "built", "--out", mapped, "--max-epochs", 2)
    run("transfer", mapped, "--reference", folder / "built", "--labels-key", "cell_type", "--out", labelled)
    assert "cell_type_pred" in anndata.read_h5ad(labelled).obs
    of = ["--reference", folder / "built", "--labels-key", "cell_type"]
    with pytest.raises(ValueError, match="--with-cells"):
        run("abundance", labelled, *of, "--out", tmp_path / "out.csv")
    run("report", labelled, *of, "--out", tmp_path / "report")  # on the map of the bundle
    assert (tmp_path / "report" / "report.html").exists()


def test_names_that_other_files_begin_with(lab, tmp_path, monkeypatch):
    """A file of the name of a hub's model, and a path that ends in what names of files begin with."""
    folder, names = lab
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCARCHES_PLUS_CACHE", str(tmp_path / "cache"))
    run("map", folder / "query.h5ad", "--model", names["name"], "--out", "small@1.h5ad", "--max-epochs", 1)
    run("transfer", "small@1.h5ad", "--reference", names["name"], "--labels-key", "cell_type", "--out", "labelled.h5ad")
    model = sp.load(names["bundle"])
    model.save(tmp_path / "there", prefix="a_")
    run(
        "transfer",
        "small@1.h5ad",
        "--reference",
        tmp_path / "there" / "a_",
        "--labels-key",
        "cell_type",
        "--out",
        "again.h5ad",
    )


def test_what_is_asked_for_needs_cells(lab, tmp_path):
    folder, _ = lab
    with pytest.raises(ValueError, match="--with-cells needs the reference's cells"):
        run("bundle", folder / "built", "--with-cells", "latent", "--out", tmp_path / "b")
    for words, said in (
        (("--layer", "X"), "--layer needs the reference's cells"),
        (("--batch-key", "batch"), "--batch-key needs the reference's cells"),
        (("--reference", folder / "ref.h5ad", "--with-cells", "labels"), "--with-cells labels needs --labels-key"),
    ):
        with pytest.raises(ValueError, match=said):
            run("bundle", folder / "built", *words, "--out", tmp_path / "b")
    with pytest.raises(CoercionError, match="umpa"):
        run(
            "bundle",
            folder / "built",
            "--reference",
            folder / "ref.h5ad",
            "--with-cells",
            "umpa",
            "--out",
            tmp_path / "b",
        )
    with pytest.raises(ValueError, match="name what to write"):
        run("build", folder / "ref.h5ad", "--batch-key", "batch")
    assert not list(tmp_path.iterdir())


def test_importance_and_anchors_are_made_from_the_cells(lab, tmp_path):
    folder, _ = lab
    run(
        "bundle", folder / "built", "--reference", folder / "ref.h5ad", "--importance", "--anchors", 20, "--out", tmp_path / "b",
    )  # fmt: skip
    model = sp.load(tmp_path / "b")
    assert model.state.importance is not None
    assert len(model.state.anchors.z_mean) == 20
    run(
        "map",
        folder / "query.h5ad",
        "--model",
        tmp_path / "b",
        "--strategy",
        "clcvae",
        "--out",
        tmp_path / "m.h5ad",
        "--max-epochs",
        1,
    )


@pytest.mark.parametrize("error", [ValueError("it does not fit"), OSError("the disk is full"), KeyboardInterrupt()])
def test_a_model_that_fits_no_bundle_is_kept(error, lab, tmp_path, monkeypatch, around):
    folder, _ = lab

    def refuse(*_, **__):
        raise error

    around("a bundle is written", refuse)
    with pytest.raises(type(error)):
        run("build", folder / "ref.h5ad", "--batch-key", "batch", "--bundle", tmp_path / "b", "--max-epochs", 1)
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("b-")
    assert sp.load(kept).is_trained


def test_a_typo_is_told_with_near_names(lab, tmp_path):
    folder, _ = lab
    with pytest.raises(KeyError, match="pbmc68k-scanvi"):
        run("map", folder / "query.h5ad", "--model", "pbmc68k-scamvi", "--out", tmp_path / "m.h5ad")
    with pytest.raises(FileNotFoundError, match="bundles/smal"):
        run("map", folder / "query.h5ad", "--model", folder / "bundles" / "smal", "--out", tmp_path / "m.h5ad")


@pytest.mark.filterwarnings(
    "ignore:The lr scheduler dict"
)  # of lightning, about a monitor that manual steps read themselves
def test_genes_with_proteins(tmp_path):
    """A totalVI model, from .h5mu files to labels and novel cells by a bundle."""
    parts = split(simulate(300, 60, 3, n_batches=3, mean_depth=400.0, rng=0), "batch2")
    for name, part in zip(("ref", "query"), parts, strict=True):
        joint = with_proteins(part)
        joint.obs["cell_type"] = part.obs["cell_type"].to_numpy()
        joint.write(tmp_path / f"{name}.h5mu")
    reference(TOTALVI, with_proteins(parts[0])).save(tmp_path / "model")
    cells = ("--reference", tmp_path / "ref.h5mu", "--labels-key", "cell_type", "--with-cells", "latent", "labels")
    run("bundle", tmp_path / "model", *cells, "--out", tmp_path / "b")
    run("map", tmp_path / "query.h5mu", "--model", tmp_path / "b", "--out", tmp_path / "m.h5mu", "--max-epochs", 1)
    run(
        "transfer",
        tmp_path / "m.h5mu",
        "--reference",
        tmp_path / "b",
        "--labels-key",
        "cell_type",
        "--out",
        tmp_path / "t.h5mu",
    )
    run("novel", tmp_path / "query.h5mu", "--reference", tmp_path / "b", "--out", tmp_path / "n.h5ad")
    assert "cell_type_pred" in mudata.read_h5mu(tmp_path / "t.h5mu").obs
    assert "novel" in anndata.read_h5ad(tmp_path / "n.h5ad").obs


@pytest.fixture(scope="module")
def with_counts(lab, tmp_path_factory):
    """A model whose cells lie beside it as scvi-tools saves them: with counts, labels and batches, without an
    embedding.
    """
    folder, names = lab
    adata = anndata.read_h5ad(folder / "ref.h5ad")
    place = tmp_path_factory.mktemp("with_counts")
    model = sp.load(names["bundle"])
    model.save(place / "model")
    adata.write_h5ad(place / "model" / "adata.h5ad")
    shutil.make_archive(str(place / "packed"), "zip", place / "model")
    return place


@pytest.mark.parametrize("what", ["model", "packed.zip", "model/model.pt", "."])
def test_cells_beside_a_model_serve_every_verb(what, with_counts, lab, tmp_path, monkeypatch):
    folder, names = lab
    if what == ".":
        monkeypatch.chdir(with_counts / "model")
    reference = what if what == "." else with_counts / what
    mapped, labelled = tmp_path / "mapped.h5ad", tmp_path / "labelled.h5ad"
    run("map", folder / "query.h5ad", "--model", names["bundle"], "--out", mapped, "--max-epochs", 1)
    columns = ("--labels-key", "cell_type", "--batch-key", "batch")
    run("transfer", mapped, "--reference", reference, "--labels-key", "cell_type", "--out", labelled)
    run("novel", folder / "query.h5ad", "--reference", reference, *columns, "--out", tmp_path / "novel.h5ad")
    run("report", labelled, "--reference", reference, "--labels-key", "cell_type", "--out", tmp_path / "report")
    assert "cell_type_pred" in anndata.read_h5ad(labelled).obs
    assert "novel" in anndata.read_h5ad(tmp_path / "novel.h5ad").obs


@pytest.mark.parametrize("what", [".", ".."])
def test_the_folder_one_is_in(what, lab, tmp_path, monkeypatch):
    folder, _ = lab
    (folder / "built" / "deeper").mkdir(exist_ok=True)
    monkeypatch.chdir(folder / "built" / ("deeper" if what == ".." else ""))
    out = tmp_path / "query.h5ad"
    run("genes", folder / "query.h5ad", "--model", what, "--out", out)
    assert out.exists()


def test_a_folder_of_scvi_tools_as_its_tutorials_write_it(tmp_path, monkeypatch, capsys):
    """No cells beside it, counts in a layer that the query does not have, and an encoder that sees no batches."""
    monkeypatch.chdir(tmp_path)
    ref, query = split(simulate(240, 60, 3, n_batches=3, mean_depth=400.0, type_effect=0.8, rng=0), "batch2")
    ref.layers["counts"] = ref.X.copy()
    scvi.model.SCANVI.setup_anndata(
        ref, labels_key="cell_type", unlabeled_category="Unknown", batch_key="batch", layer="counts"
    )
    theirs = scvi.model.SCANVI(ref, n_hidden=16, n_latent=4)
    theirs.train(max_epochs=60, plan_kwargs={"lr": 0.01}, enable_progress_bar=False, log_every_n_steps=1)
    theirs.save("theirs")
    truth = query.obs.pop("cell_type").astype(str)
    query.write_h5ad("query.h5ad")
    with pytest.raises(KeyError, match=r"'counts' not found in query.h5ad.*; --layer X takes X"):
        run("annotate", "query.h5ad", "--reference", "theirs", "--out", "labelled.h5ad")
    with pytest.raises(ValueError, match="report"):
        run("check", "query.h5ad", "--model", "theirs")
    assert "Fix: pass --layer X, which holds whole numbers" in capsys.readouterr().out
    run("annotate", "query.h5ad", "--reference", "theirs", "--layer", "X", "--out", "labelled.h5ad")
    assert "novel cells were not looked for: the reference carries neither" in capsys.readouterr().out
    found = anndata.read_h5ad("labelled.h5ad").obs["cell_type_pred"].astype(str)
    assert (found == truth).mean() > 0.8


@pytest.mark.filterwarnings("ignore:the query differs much")
def test_more_cells_of_a_batch_that_is_mapped_need_no_training(lab, tmp_path, monkeypatch):
    """Type what the message proposes."""
    monkeypatch.chdir(tmp_path)
    lab, _ = lab
    words = ["annotate", lab / "ref.h5ad", "--reference", lab / "built", "--out", "labelled.h5ad"]
    status, _, err = run_command(main, [str(word) for word in words])
    assert status == 2
    option = re.search(r"--shared-batches batch0 batch1(?= )", err)[0]
    run(*words, *option.split())
    found = anndata.read_h5ad("labelled.h5ad")
    np.testing.assert_allclose(found.obsm["X_scarches"], sp.load(lab / "built").embed(found), atol=1e-6)
    assert found.obs["cell_type_pred"].notna().all()

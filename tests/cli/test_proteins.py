"""Genes and proteins on the command line: totalVI from files of cells to an extended reference."""

import logging

import anndata
import mudata
import numpy as np
import pytest
import scvi
from border_rows import run_command
from small_models import cells, in_obsm, split, with_proteins

import scarches_plus as sp
from scarches_plus import cli
from scarches_plus.cli import app

COLUMNS = ("--batch-key", "batch", "--labels-key", "cell_type", "--recipe", "totalvi")


def run(*words, epochs=False):
    words = [*words, "--max-epochs", "1"] if epochs else words
    return app([str(word) for word in words], result_action="return_value", exit_on_error=False, print_error=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of both kinds, and a model and a bundle that the command built of each."""
    folder = tmp_path_factory.mktemp("proteins")
    for name, part in zip(("ref", "query"), split(cells(n_batches=4), "batch2", "batch3"), strict=True):
        joint = with_proteins(part)
        joint.mod["rna"].obs["cell_type"] = part.obs["cell_type"].astype(str).to_numpy()
        joint.write(folder / f"{name}.h5mu")
        in_obsm(joint, "tags").write_h5ad(folder / f"{name}.h5ad")
    outs = ("--out", folder / "model", "--bundle", folder / "bundle")
    run("build", folder / "ref.h5mu", *COLUMNS, *outs, "--anchors", "20", epochs=True)
    run("build", folder / "ref.h5ad", *COLUMNS, "--protein-key", "tags", "--out", folder / "of_tags", epochs=True)
    return folder


def test_build_writes_a_model_and_cells_without_counts(folder):
    for name, proteins in (("model", "protein"), ("of_tags", "tags")):
        reference = anndata.read_h5ad(folder / name / "reference.h5ad")
        assert reference.X is None
        assert list(reference.obsm) == ["X_scarches"]
        assert {"batch", "cell_type"} <= set(reference.obs)
        model = sp.load(folder / name)
        assert (model.state.recipe, model.spec.modalities["proteins"]) == ("totalvi", proteins)
    joint = mudata.read_h5mu(folder / "ref.h5mu")
    model = sp.load(folder / "model")
    assert len(model.state.anchors.z_mean) == 20
    np.testing.assert_array_equal(
        model.embed(joint), anndata.read_h5ad(folder / "model" / "reference.h5ad").obsm["X_scarches"]
    )
    theirs = scvi.model.TOTALVI.load(str(folder / "model"), adata=joint)
    np.testing.assert_allclose(theirs.get_latent_representation(), model.embed(joint), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "query"),
    [("model", "query.h5mu"), ("bundle", "query.h5mu"), ("bundle", "query.h5ad"), ("of_tags", "query.h5ad")],
)
def test_the_whole_way(folder, tmp_path, model, query):
    kind = query[-4:]
    mapped, labelled = tmp_path / f"mapped{query[-5:]}", tmp_path / f"labelled{query[-5:]}"
    run("check", folder / query, "--model", folder / model)
    run(
        "map",
        folder / query,
        "--model",
        folder / model,
        "--out",
        mapped,
        "--save-model",
        tmp_path / "next",
        epochs=True,
    )
    run("transfer", mapped, "--reference", folder / model, "--labels-key", "cell_type", "--out", labelled)
    run("embed", mapped, "--model", tmp_path / "next", "--out", tmp_path / f"embedded{query[-5:]}")
    read = mudata.read_h5mu if kind == "h5mu" else anndata.read_h5ad
    assert read(labelled).obs["cell_type_pred"].notna().all()
    np.testing.assert_allclose(
        read(tmp_path / f"embedded{query[-5:]}").obsm["X_scarches"], read(mapped).obsm["X_scarches"], atol=1e-6
    )


@pytest.mark.filterwarnings("ignore:.*would be given a new label")  # after an epoch
def test_extend_and_bundle(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    mapped = tmp_path / "mapped.h5mu"
    run(
        "map",
        folder / "query.h5mu",
        "--model",
        folder / "model",
        "--out",
        mapped,
        "--save-model",
        tmp_path / "next",
        epochs=True,
    )
    joint = mudata.read_h5mu(mapped)
    joint.obs["named"] = ["mine" if i % 2 else "Unknown" for i in range(joint.n_obs)]
    joint.write(mapped)
    words = ("--model", tmp_path / "next", "--labels-key", "named", "--reference", folder / "model")
    run("extend", mapped, *words, "--out", tmp_path / "extended")
    assert f"learned mine (from {joint.n_obs // 2} cells)" in caplog.text
    run("bundle", tmp_path / "extended", "--out", tmp_path / "bundle")
    for name in ("extended", "bundle"):
        assert sp.load(tmp_path / name).state.summaries["cell_type"].labels == ("type0", "type1", "type2", "mine")
    run("transfer", mapped, "--reference", tmp_path / "bundle", "--labels-key", "cell_type", "--out", mapped)
    assert "mine" in mudata.read_h5mu(mapped).obs["cell_type_pred"].cat.categories


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["ref.h5mu", "--batch-key", "batch", "--protein-key", "protein"],
            "--protein-key is for recipe totalvi, not scvi",
        ),
        (["ref.h5mu", *COLUMNS, "--protein-key", "tags"], "modality 'tags' not found"),
        (["ref.h5ad", *COLUMNS], "no proteins found in obsm, which holds ['tags']"),
        (["ref.h5mu", *COLUMNS, "--modality", "rna"], "no proteins found in obsm"),
        (["ref.h5mu", *COLUMNS, "--layer", "counts"], "layer 'counts' not found"),
        (["ref.h5mu", "--batch-key", "batch", "--recipe", "peakvi"], "peakvi"),
    ],
)
def test_refusals(folder, monkeypatch, tmp_path, words, says):
    monkeypatch.chdir(folder)
    status, _, err = run_command(cli.main, ["build", *words, "--out", str(tmp_path / "out")])
    assert status == 2
    assert says in " ".join(err.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:The behavior of array concatenation:FutureWarning")  # mudata 0.3 with such names
def test_texts_of_pandas_3_are_written_again(folder, tmp_path):
    joint = mudata.read_h5mu(folder / "query.h5mu")
    names = joint.obs_names.tolist()
    for part in (*joint.mod.values(), joint):
        part.obs_names, part.var_names = part.obs_names.astype("string"), part.var_names.astype("string")
    with anndata.settings.override(allow_write_nullable_strings=True):
        joint.write(tmp_path / "new.h5mu")
    run("map", tmp_path / "new.h5mu", "--model", folder / "model", "--out", tmp_path / "out.h5mu", epochs=True)
    assert mudata.read_h5mu(tmp_path / "out.h5mu").obs_names.tolist() == names

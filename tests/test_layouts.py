"""Models of every release of scvi-tools give what that release gave, map a query and become bundles.

``benchmarks/layouts.py`` does all of it for all folders, bundles in a fresh process.
"""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import scvi
import torch
from golden_models import cells

import scarches_plus as sp
from scarches_plus.model import SCANVI, SCVI

FOLDER = Path(__file__).parent / "golden_models"
GOLDEN = json.loads((FOLDER / "golden.json").read_text())["folders"]
#: One of each way in which releases differ.
MAPPED = (
    "0.8.1-scvi-old_torch", "0.8.1-scanvi-donor", "0.8.1-totalvi-donor", "0.14.6-scvi-donor-stress-converted",
    "0.20.3-totalvi-mudata-donor", "1.2.2.post2-totalvi-mudata-donor", "1.5.1-totalvi-donor", "1.5.1-scanvi-minified",
)  # fmt: skip


def part_of(name, part):
    return (cells.mdata if GOLDEN[name]["setup"] == "mudata" else cells.adata)(part)


def truth(name, what):
    return np.load(FOLDER / name / f"{what}.npy")


@pytest.mark.parametrize("name", GOLDEN)
def test_latent_means_and_predictions(name):
    model = sp.load(FOLDER / name / "model")
    assert type(model).__name__ == GOLDEN[name]["class"]
    assert model.state.origin == f"scvi-tools {GOLDEN[name]['release']}"
    reference = part_of(name, "reference")
    if isinstance(model, SCVI | SCANVI) and "converted" not in name:  # convert_legacy_save drops it
        assert model.summary_stats.n_cells == reference.n_obs
    np.testing.assert_allclose(model.embed(reference), truth(name, "latent"), atol=1e-6)
    if isinstance(model, SCANVI):
        model.take_cells(reference)
        soft = model.predict(soft=True)
        np.testing.assert_allclose(soft[cells.LABELS].to_numpy(), truth(name, "soft"), atol=1e-6)


@pytest.mark.parametrize("name", MAPPED)
def test_a_query_maps_and_a_bundle_is_the_same(name, tmp_path):
    model = sp.load(FOLDER / name / "model")
    query = part_of(name, "query")
    short = {"reduce_lr_on_plateau": False, "early_stopping": False} if "totalvi" in name else {}
    mapped = sp.tl.map_query(query, model, max_epochs=1, train_kwargs=short)
    assert mapped.state.lineage[-1]["drift"]["weights"] == 0
    assert np.isfinite(query.obsm["X_scarches"]).all()
    sp.hub.save_bundle(model, tmp_path / "bundle", summary=False)
    again = sp.load(tmp_path / "bundle")
    assert again.state.origin == model.state.origin
    reference = part_of(name, "reference")
    np.testing.assert_array_equal(again.embed(reference), model.embed(reference))


@pytest.mark.parametrize("name", [name for name, known in GOLDEN.items() if known["minified"]])
def test_minified_cells_beside_a_model(name):
    cls = {"SCVI": SCVI, "SCANVI": SCANVI}[GOLDEN[name]["class"]]
    model = cls.load(FOLDER / name / "model")
    assert model.minified_data_type is not None
    np.testing.assert_allclose(model.get_latent_representation(), truth(name, "latent"), atol=1e-6)
    adata = sp.hub.import_reference(FOLDER / name / "model")
    np.testing.assert_allclose(adata.obsm["X_scarches"], truth(name, "latent"), atol=1e-6)


def test_proteins_in_obsm_without_names_are_taken_in_order():
    name = "1.4.2-totalvi-donor"
    model = sp.load(FOLDER / name / "model")
    reference = part_of(name, "reference")
    reference.obsm["proteins"] = reference.obsm["proteins"].to_numpy()
    np.testing.assert_allclose(model.embed(reference), truth(name, "latent"), atol=1e-6)
    reference.obsm["proteins"] = reference.obsm["proteins"][:, :4]
    with pytest.raises(sp.pp.QueryError, match=r"none of the proteins in obsm\['proteins'\]"):
        sp.tl.embed(reference, model)


def test_proteins_of_a_query_take_part():
    name = "1.4.2-totalvi-donor"
    model = sp.load(FOLDER / name / "model")
    with_proteins, without = part_of(name, "reference"), part_of(name, "reference")
    del without.obsm["proteins"]
    assert np.abs(model.embed(with_proteins) - model.embed(without)).max() > 1e-3


@pytest.mark.parametrize("name", [name for name, known in GOLDEN.items() if known["class"] == "TOTALVI"])
def test_the_background_of_proteins_is_made_as_that_release_made_it(name, tmp_path):
    """scvi-tools changed the decoder's background from exp to softplus in 1.2; the latent space does not show it."""
    model = sp.load(FOLDER / name / "model")
    sp.hub.save_bundle(model, tmp_path / "bundle", summary=False)
    release = tuple(int(part) for part in GOLDEN[name]["release"].split(".")[:2])
    made_by = torch.exp if release < (1, 2) else torch.nn.functional.softplus
    values = torch.linspace(-2, 2, 9)
    for one in (model, sp.load(tmp_path / "bundle")):
        torch.testing.assert_close(one.module.decoder.activation_function_bg(values), made_by(values))


def test_a_totalvi_that_is_trusted_is_of_mudata_too():
    name = "1.4.2-totalvi-donor"
    model = sp.load(FOLDER / name / "model", trust_pickle=True)
    assert model.registry_["setup_method_name"] == "setup_mudata"
    np.testing.assert_allclose(model.embed(part_of(name, "reference")), truth(name, "latent"), atol=1e-6)


def with_another_registry(name, path, change):
    """Write a folder of another release with a registry that is changed in place."""
    contents = torch.load(FOLDER / name / "model" / "model.pt", weights_only=False)
    change(contents["attr_dict"]["registry_"])
    path.mkdir()
    torch.save(contents, path / "model.pt")
    return path


def test_proteins_in_obsm_may_be_called_as_genes_are_here(tmp_path):
    def change(registry):
        registry["setup_args"]["protein_expression_obsm_key"] = "rna"
        registry["field_registries"]["proteins"]["data_registry"]["attr_key"] = "rna"

    name = "1.4.2-totalvi-donor"
    model = sp.load(with_another_registry(name, tmp_path / "model", change))
    reference = part_of(name, "reference")
    reference.obsm["rna"] = reference.obsm.pop("proteins")
    np.testing.assert_allclose(model.embed(reference), truth(name, "latent"), atol=1e-6)


@pytest.mark.parametrize("release", ["1.4.2\x1b[2J", "1.4.2\n- forged", "", None, "9" * 400])
def test_a_release_that_is_none_does_not_go_into_the_record(release, tmp_path):
    path = with_another_registry(
        "1.4.2-scvi-donor-stress", tmp_path / "model", lambda it: it.update(scvi_version=release)
    )
    assert sp.load(path).state.origin == "scvi-tools"


def test_a_totalvi_with_panels_is_refused_by_name(tmp_path):
    with_another_registry(
        "1.4.2-totalvi-donor", tmp_path / "model", lambda it: it["setup_args"].update(panel_key="panel")
    )
    with pytest.raises(TypeError, match=r"model\.pt.*panel_key.*not supported"):
        sp.load(tmp_path / "model")


@pytest.mark.parametrize("log_variational", [True, False])
def test_former_encoders_of_totalvi_see_counts(log_variational):
    """Up to scvi-tools 1.3 totalVI's encoder saw counts, or their logarithm, as they are."""
    name = "1.2.2.post2-totalvi-mudata-donor"
    model, reference = sp.load(FOLDER / name / "model"), part_of(name, "reference")
    model.module.log_variational = log_variational
    seen = []
    model.module.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numpy()))
    model.embed(reference)
    counts = np.hstack([reference[part].X for part in ("rna", "protein")])
    expected = np.log1p(counts) if log_variational else counts
    np.testing.assert_allclose(np.vstack(seen)[:, : counts.shape[1]], expected, rtol=1e-6)


def test_files_before_0_15_are_named(tmp_path):
    shutil.copytree(FOLDER / "0.14.6-scvi-donor-stress" / "model", tmp_path / "model")
    path = tmp_path / "model" / "model_params.pt"
    weights = torch.load(path, weights_only=True)
    lacking = weights.popitem()[0]
    torch.save(weights, path)
    for trust_pickle in (False, True):
        with pytest.raises(
            ValueError, match=rf"attr\.pkl with model_params\.pt .*no tensor \['{lacking}'\].*fetch it again"
        ) as caught:
            sp.load(tmp_path / "model", trust_pickle=trust_pickle)
        assert "trust_pickle" not in str(caught.value)
    (tmp_path / "model" / "attr.pkl").unlink()
    with pytest.raises(FileNotFoundError, match=r"before 0\.15, which lacks attr\.pkl"):
        sp.load(path)


def test_minified_totalvi_of_anndata(tmp_path):
    path = tmp_path / "model"
    reference = cells.adata("reference")
    reference.obsm["proteins"] = reference.obsm["proteins"].to_numpy().copy()  # pandas 3 lends arrays to read only
    with warnings.catch_warnings():  # scvi-tools recommends MuData
        warnings.simplefilter("ignore", DeprecationWarning)
        scvi.model.TOTALVI.setup_anndata(reference, batch_key="batch", protein_expression_obsm_key="proteins")
    plain = scvi.model.TOTALVI(reference, n_latent=4, n_hidden=8)
    plain.is_trained_ = True
    means, variances = plain.get_latent_representation(return_dist=True)
    reference.obsm["X_latent_qzm"], reference.obsm["X_latent_qzv"] = means, variances
    plain.minify_adata()
    plain.save(str(path), save_anndata=True)
    np.testing.assert_array_equal(sp.hub.import_reference(path).obsm["X_scarches"], means)
    assert sp.load(path).adata is None
    with pytest.raises(TypeError, match=r"model\.pt.*minified AnnData.*open the model without them"):
        sp.model.TOTALVI.load(path)


@pytest.mark.parametrize("packed", [False, True])
def test_cells_beside_models_are_found_as_models_are(packed, tmp_path):
    folder = FOLDER / "1.4.2-scanvi-minified" / "model"
    known = sp.hub.import_reference(folder)
    if packed:
        what = Path(shutil.make_archive(str(tmp_path / "atlas"), "zip", folder.parent, "model"))
    else:
        what = tmp_path / "above"
        shutil.copytree(folder, what / "deeper" / "model")
    np.testing.assert_array_equal(sp.hub.import_reference(what).obsm["X_scarches"], known.obsm["X_scarches"])
    np.testing.assert_array_equal(
        sp.hub.import_reference(folder / "model.pt").obsm["X_scarches"], known.obsm["X_scarches"]
    )

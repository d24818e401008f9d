"""Studies that measured different genes, joined by ``concat_studies``, train one reference and map onto it."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
import torch
from small_models import cells

import scarches_plus as sp

FAST = {"model_kwargs": {"n_hidden": 12, "n_latent": 4}, "train_kwargs": {"enable_progress_bar": False}}
GENES = [f"gene{i}" for i in range(40)]
MEASURED = {"batch0": GENES[:32], "batch1": GENES[8:], "batch2": GENES[4:36]}
UNMEASURED = {"batch0": list(range(32, 40)), "batch1": list(range(8)), "batch2": [0, 1, 2, 3, 36, 37, 38, 39]}


@pytest.fixture(scope="module")
def studies():
    adata = cells()
    return {name: adata[adata.obs["batch"] == name, genes].copy() for name, genes in MEASURED.items()}


@pytest.fixture
def joined(studies):
    adata = sp.pp.concat_studies(studies)
    assert adata.var_names.tolist() == GENES
    return adata


def build(adata, batch_key="study", recipe="scvi", max_epochs=2, **kwargs):
    scvi.settings.seed = 0
    labels_key = "cell_type" if recipe == "scanvi" else None
    return sp.tl.build_reference(
        adata, batch_key, labels_key, recipe=recipe, max_epochs=max_epochs, **{**FAST, **kwargs}
    )


def mask_of(model):
    """The mask in effect: batch to genes that leave the likelihood."""
    mask = model.module.gene_mask
    return (
        {} if mask is None else {b: np.flatnonzero(~mask[i].numpy()).tolist() for i, b in enumerate(model.spec.batches)}
    )


@pytest.mark.parametrize("recipe", ["scvi", "scanvi"])
def test_a_reference_takes_up_the_record(joined, recipe, tmp_path):
    model = build(joined, recipe=recipe)
    assert model.state.unmeasured == mask_of(model) == UNMEASURED
    model.save(tmp_path / "model")
    assert mask_of(sp.model.load(tmp_path / "model")) == UNMEASURED


def test_batches_within_studies_and_the_record_in_a_file(joined, tmp_path):
    joined.obs["sample"] = joined.obs["study"].astype(str) + np.resize(["-a", "-b"], joined.n_obs)
    joined.write_h5ad(tmp_path / "joined.h5ad")
    part = anndata.read_h5ad(tmp_path / "joined.h5ad")[:, GENES[10:36]]
    assert mask_of(build(part.copy(), "sample")) == {
        f"{study}-{sample}": genes
        for study, genes in (("batch0", [22, 23, 24, 25]), ("batch1", []), ("batch2", []))
        for sample in "ab"
    }


@pytest.mark.parametrize("recipe", ["scvi", "scanvi"])
def test_the_loss_does_not_depend_on_unmeasured_counts(joined, recipe):
    module = (model := build(joined, recipe=recipe)).module
    tensors = next(iter(model._make_data_loader(adata=model.adata, batch_size=64)))
    garbage = {**tensors, "X": torch.where(module.gene_mask[tensors["batch"].squeeze(-1)], tensors["X"], 1e4)}
    assert (garbage["X"] != tensors["X"]).any()

    def reconstruction(counts):
        with torch.no_grad():
            torch.manual_seed(0)
            outputs = module(tensors, compute_loss=False)
            (loss,) = module.loss(counts, *outputs).reconstruction_loss.values()
        return loss

    assert torch.equal(reconstruction(garbage), reconstruction(tensors))
    module.set_gene_mask(None)
    assert (reconstruction(garbage) > reconstruction(tensors)).all()


@pytest.mark.parametrize("recipe", ["scvi", "scanvi"])
def test_the_mask_holds_from_the_first_step_to_the_last(joined, recipe):
    """Nothing moves the dispersion of a gene that no batch measured."""
    mask = dict.fromkeys(MEASURED, GENES[5:])
    plan = {"weight_decay": 0.0}
    short, long = (
        build(joined, recipe=recipe, gene_mask=mask, max_epochs=n, plan_kwargs=plan).module.px_r.detach()
        for n in (1, 3)
    )
    assert torch.equal(short[:5], long[:5])
    assert (short[5:] != long[5:]).all()


def test_given_masks(joined):
    assert mask_of(build(joined, gene_mask=None)) == {}
    assert mask_of(build(joined, gene_mask=MEASURED)) == UNMEASURED
    assert mask_of(build(joined, gene_mask=joined.varm["measured"])) == UNMEASURED
    plain = cells()
    assert mask_of(build(plain, "batch")) == {}
    assert mask_of(build(plain, "batch", gene_mask={"batch1": GENES[8:]})) == {
        "batch0": [],
        "batch1": list(range(8)),
        "batch2": [],
    }
    assert "unmeasured" not in plain.uns


def test_masks_that_cannot_be(joined):
    joined.obs["all"] = "one"
    with pytest.raises(ValueError, match="batch 'one' spans the studies"):
        build(joined, "all")
    build(joined, "all", gene_mask=None)
    with pytest.raises(ValueError, match=r"gene_mask names batches \['batch9'\]"):
        build(joined, gene_mask={"batch9": GENES})
    with pytest.raises(ValueError, match=r"gene_mask names genes \['GENE0'\]"):
        build(joined, gene_mask={"batch0": ["GENE0"]})


def test_the_mask_grows_with_a_query(studies):
    reference = sp.pp.concat_studies({name: studies[name] for name in ("batch0", "batch1")})
    model = build(reference)
    query = studies["batch2"].copy()
    query.obs["study"] = "batch2"
    mapped = sp.tl.map_query(query, model, max_epochs=2, train_kwargs=FAST["train_kwargs"])
    assert mask_of(mapped) == UNMEASURED
    assert mask_of(model) == {name: UNMEASURED[name] for name in ("batch0", "batch1")}


def test_human_and_mouse_train_together_and_mouse_maps():
    scvi.settings.seed = 0
    simulated = sp.datasets.simulate(1200, 60, 3, n_batches=4, mean_depth=400.0, type_effect=0.8, rng=0)
    simulated.var_names = [f"GENE{i}" for i in range(60)]
    species = simulated.obs["batch"].map({"batch0": "human", "batch1": "human", "batch2": "mouse", "batch3": "mouse"})
    human = simulated[species == "human", :55].copy()
    mouse = simulated[species == "mouse", 5:].copy()
    mouse.var_names = [gene.capitalize() for gene in mouse.var_names]
    # Gene58 and Gene59 are of mouse only, Gene5 has two orthologues, Gene6 and Gene7 have one in common
    table = pd.DataFrame({"mouse": mouse.var_names[:-2], "human": mouse.var_names[:-2].str.upper()})
    table.loc[table["mouse"] == "Gene7", "human"] = "GENE6"
    table.loc[len(table)] = ["Gene5", "GENE999"]
    orthologs, report = sp.pp.map_orthologs(mouse, table, one_to_many="drop", many_to_one="sum")
    assert report.lost == ("Gene5", "Gene58", "Gene59")
    assert report.merged == {"GENE6": ("Gene6", "Gene7")}

    train = (orthologs.obs["batch"] == "batch2").to_numpy()
    reference = sp.pp.concat_studies({"human": human, "mouse": orthologs[train]}, study_key="species")
    query = orthologs[~train].copy()
    genes = reference.var_names
    assert (len(genes), reference.varm["measured"].sum().to_dict()) == (58, {"human": 55, "mouse": 51})
    model = build(reference, "batch", "scanvi", max_epochs=20)
    lacking = {
        "human": genes.get_indexer(["GENE55", "GENE56", "GENE57"]).tolist(),
        "mouse": genes.get_indexer([f"GENE{i}" for i in (0, 1, 2, 3, 4, 5, 7)]).tolist(),
    }
    expected = {"batch0": lacking["human"], "batch1": lacking["human"], "batch2": lacking["mouse"]}
    assert mask_of(model) == expected

    mapped = sp.tl.map_query(query, model, max_epochs=20, train_kwargs=FAST["train_kwargs"])
    assert mask_of(mapped) == {**expected, "batch3": lacking["mouse"]}
    sp.tl.transfer_labels(query, reference[reference.obs["species"] == "human"].copy(), "cell_type")
    assert (query.obs["cell_type_pred"].astype(str) == query.obs["cell_type"].astype(str)).mean() > 0.9

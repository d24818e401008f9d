"""Differential expression between labels: a method of SCANVI."""

import numpy as np
import pytest
import scvi
import torch
from small_models import SCANVI, SCVI, cells, reference, split

import scarches_plus as sp

QUIET = {"enable_progress_bar": False}


@pytest.fixture(scope="module")
def model():
    return reference(SCANVI, split(cells(type_effect=1.0), "batch2")[0])


def naive(model, label, batch, n, **covariates):
    """Expression of a label in a batch, one sample after the other."""
    module, drawn = model.module, []
    y = torch.tensor([[list(model.spec.labels).index(label)]])
    s = torch.tensor([[list(model.spec.batches).index(batch)]])
    with torch.no_grad():
        for _ in range(n):
            u = torch.distributions.Normal(0.0, 1.0).sample((1, module.n_latent))
            mean, variance = module.decoder_z1_z2(u, y)
            z = torch.distributions.Normal(mean, variance**0.5).sample()
            px_scale, *_ = module.decoder("gene", z, torch.zeros(1, 1), s, *covariates.values(), y)
            drawn.append(px_scale[0].numpy())
    return np.array(drawn)


def test_probabilities_are_the_papers(model):
    scvi.settings.seed = 1
    table = model.label_differential_expression("type0", "type1", n_samples_overall=20_000)
    probability = np.zeros(40)
    for batch in model.spec.batches:
        first, second = (naive(model, label, batch, 600) for label in ("type0", "type1"))
        probability += (first[:, None] > second[None]).mean(axis=(0, 1)) / len(model.spec.batches)
    found = table.loc[list(model.spec.var_names)]
    np.testing.assert_allclose(found["proba_m1"], probability, atol=0.05)
    np.testing.assert_allclose(found["proba_m2"], 1 - found["proba_m1"], atol=1e-6)
    odds = np.log((found["proba_m1"] + 1e-8) / (1 - found["proba_m1"] + 1e-8))
    np.testing.assert_allclose(found["bayes_factor"], odds, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(found["is_de_bf_3"], found["bayes_factor"].abs() > 3)
    assert table["bayes_factor"].is_monotonic_decreasing


@pytest.mark.parametrize("batches", [["batch1"], ["batch0", "batch1"]])
def test_batches_are_those_asked_for(model, batches):
    options = {"batchid1": batches, "batchid2": batches, "n_samples_overall": 4000}
    table = model.label_differential_expression("type0", "type1", **options).loc[list(model.spec.var_names)]
    expected = np.mean([naive(model, "type0", batch, 500).mean(axis=0) for batch in batches], axis=0)
    np.testing.assert_allclose(table["scale1"], expected, rtol=0.1, atol=2e-4)


def test_labels_change_places(model):
    forth = model.label_differential_expression("type0", "type1", n_samples_overall=8000)
    back = model.label_differential_expression("type1", "type0", n_samples_overall=8000)
    np.testing.assert_allclose(forth["proba_m1"], back["proba_m2"][forth.index], atol=0.06)


@pytest.mark.parametrize("mode", ["vanilla", "change"])
def test_the_table_is_that_of_scvi_tools(model, mode):
    by_cell = model.differential_expression(
        groupby="cell_type",
        group1="type0",
        group2="type1",
        mode=mode,
        batch_correction=True,
        all_stats=False,
        silent=True,
    )
    by_label = model.label_differential_expression("type0", "type1", mode=mode)
    own = ["is_de_bf_3"] if mode == "vanilla" else []
    assert set(by_label) == {*by_cell, *own}
    assert sorted(by_label.index) == sorted(by_cell.index)


def test_every_label_against_the_others(model):
    table = model.label_differential_expression(n_samples_overall=1500)
    assert table["comparison"].unique().tolist() == [f"type{i} vs Rest" for i in range(3)]
    scales = table.set_index("group1", append=True)[["scale1", "scale2"]].unstack()
    others = (scales["scale1"]["type1"] + scales["scale1"]["type2"]) / 2
    np.testing.assert_allclose(scales["scale2"]["type0"], others, rtol=0.1, atol=3e-4)


def test_pseudocounts_come_from_the_counts_of_the_label(model):
    from scvi.model.base._differential import estimate_pseudocounts_offset

    table = model.label_differential_expression("type0", "type1", mode="change", threshold_counts=np.inf)
    largest = estimate_pseudocounts_offset(
        *(table[[f"scale{i}"]].T.to_numpy() for i in (1, 2)), *[np.ones(40, dtype=bool)] * 2
    )
    assert table["pseudocounts"].iloc[0] > largest  # maxima of samples exceed their means
    given = model.label_differential_expression("type0", "type1", mode="change", pseudocounts=1e-3)
    assert (given["pseudocounts"] == 1e-3).all()


def test_labels_are_found_in_a_mapped_model_and_without_cells(model, tmp_path):
    query = split(cells(type_effect=1.0), "batch2")[1]
    mapped = sp.tl.map_query(query, model, max_epochs=1, train_kwargs=QUIET)
    whole = mapped.label_differential_expression("type0", "type1", mode="change")
    assert whole["proba_de"].between(0, 1).all()
    mapped.label_differential_expression("type0", "type1", batchid1=["batch2"], batchid2=["batch2"])
    mapped.save(tmp_path / "model")
    loaded = SCANVI.load(tmp_path / "model", adata=False)
    scvi.settings.seed = 3
    table = loaded.label_differential_expression("type0", "type1")
    scvi.settings.seed = 3
    np.testing.assert_allclose(mapped.label_differential_expression("type0", "type1")["proba_m1"], table["proba_m1"])
    with pytest.raises(ValueError, match="pseudocounts="):
        loaded.label_differential_expression("type0", "type1", mode="change")
    assert len(loaded.label_differential_expression("type0", "type1", mode="change", pseudocounts=1e-4)) == 40


def test_further_covariates_are_those_of_cells(tmp_path):
    adata = split(cells(), "batch2")[0]
    adata.obs["donor"] = np.tile(["d0", "d1", "d1"], adata.n_obs)[: adata.n_obs]
    adata.obs["age"] = np.linspace(-1, 1, adata.n_obs)
    setup = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"]}
    model = reference(SCANVI, adata, setup_kwargs=setup)
    table = model.label_differential_expression("type0", "type1", mode="change")
    assert table["lfc_mean"].notna().all()
    model.save(tmp_path / "model")
    loaded = SCANVI.load(tmp_path / "model", adata=False)
    with pytest.raises(ValueError, match="further covariates"):
        loaded.label_differential_expression("type0", "type1")


def test_squared_errors():
    model = reference(SCANVI, gene_likelihood="mse")
    table = model.label_differential_expression("type0", "type1", mode="change")
    assert (table["pseudocounts"] == 1e-4).all()
    assert table["lfc_mean"].abs().max() < 20


def test_all_labels_are_compared_with_one(model):
    table = model.label_differential_expression(None, "type0", n_samples_overall=100)
    assert table["comparison"].unique().tolist() == ["type1 vs type0", "type2 vs type0"]


def test_what_makes_no_sense_is_refused(model):
    with pytest.raises(ValueError, match=r"no label \['T cell'\], only \['type0'"):
        model.label_differential_expression("T cell", "type1")
    with pytest.raises(ValueError, match=r"no label \['Unknown'\]"):
        model.label_differential_expression("type0", "Unknown")
    with pytest.raises(ValueError, match="with itself"):
        model.label_differential_expression("type0", "type0")
    with pytest.raises(ValueError, match=r"no batch \['batch7'\]"):
        model.label_differential_expression("type0", "type1", batchid1=["batch7"])
    assert not hasattr(SCVI, "label_differential_expression")

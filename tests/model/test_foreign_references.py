"""References as plain scvi-tools users have them: categories of any type, minified cells, further trainings."""

import gc
import weakref

import numpy as np
import pytest
import scvi
import torch
from small_models import NETWORK, cells, reference, setup, split, train

import scarches_plus as sp
from scarches_plus.model import SCANVI, SCVI, load

FAST = {"max_epochs": 1, "train_kwargs": {"enable_progress_bar": False}}
PLAIN = {"log_every_n_steps": 1, "train_size": 1.0}


@pytest.mark.parametrize("kind", ["int", "bool"])
@pytest.mark.parametrize("theirs", [scvi.model.SCVI, scvi.model.SCANVI])
def test_categories_that_are_no_text(theirs, kind, tmp_path):
    adata = cells()
    convert = {"int": {"batch0": 0, "batch1": 1, "batch2": 2}, "bool": {"batch0": False, "batch1": True, "batch2": 2}}[
        kind
    ]
    adata.obs["batch"] = adata.obs["batch"].astype(object).map(convert)
    adata.obs["donor"] = np.resize([10, 20], adata.n_obs)
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.codes.astype(int)
    query = adata[adata.obs["batch"] == 2].copy()
    ref = adata[adata.obs["batch"] != 2].copy()
    ref.obs["batch"] = ref.obs["batch"].astype(kind)
    options = {"labels_key": "cell_type", "batch_key": "batch", "categorical_covariate_keys": ["donor"]}
    if theirs is scvi.model.SCANVI:
        options["unlabeled_category"] = -1
    theirs.setup_anndata(ref, **options)
    plain = train(theirs(ref, **NETWORK), max_epochs=1, **PLAIN)
    plain.save(str(tmp_path / "model"))
    expected = plain.get_latent_representation()
    for source in (plain, tmp_path / "model"):
        model = load(source)
        embedded = model.embed(ref)
        np.testing.assert_allclose(embedded, expected, rtol=1e-5, atol=1e-6)
        mapped = sp.tl.map_query(query.copy(), source, **FAST)
        np.testing.assert_array_equal(mapped.embed(ref), embedded)
        assert mapped.spec.batches[-1] == "2"
        if theirs is scvi.model.SCANVI:
            assert set(mapped.predict()) <= {"0", "1", "2"}
    np.testing.assert_array_equal(plain.get_latent_representation(), expected)


def test_an_own_model_with_batches_that_are_numbers_says_how_far_it_moved():
    adata = cells()
    adata.obs["batch"] = adata.obs["batch"].astype(str).str[-1].astype(int)
    adata.obs["donor"] = np.resize([10, 20], adata.n_obs)
    is_query = (adata.obs["batch"] == 2).to_numpy()
    model = reference(SCVI, adata[~is_query].copy(), setup_kwargs={"categorical_covariate_keys": ["donor"]})
    query = adata[is_query].copy()
    sp.tl.map_query(query, model, strategy="all", **FAST)
    drift = query.uns["scarches_plus"]["embeddings"]["X_scarches"]["mapping"]["drift"]
    assert np.isfinite([drift["elbo_before"], drift["elbo_after"]]).all()


def test_the_user_s_reference_cells_are_not_touched():
    ref, query = split(cells(), "batch2")
    setup(scvi.model.SCVI, ref)
    plain = train(scvi.model.SCVI(ref, **NETWORK), max_epochs=1, **PLAIN)
    before = dict(ref.uns), ref.obs.copy()
    sp.tl.map_query(query, plain, **FAST)
    assert {k: v for k, v in ref.uns.items() if k.startswith("_scvi")} == {
        k: v for k, v in before[0].items() if k.startswith("_scvi")
    }
    assert ref.obs.equals(before[1])


def test_a_minified_reference_maps_and_embeds():
    ref, query = split(cells(), "batch2")
    model = reference(SCVI, ref)
    before = model.get_latent_representation()
    full = ref.copy()
    ref.obsm["qzm"], ref.obsm["qzv"] = model.get_latent_representation(return_dist=True)
    model.minify_adata(use_latent_qzm_key="qzm", use_latent_qzv_key="qzv")
    np.testing.assert_array_equal(model.embed(full), before)
    mapped = sp.tl.map_query(query, model, **FAST)
    assert query.uns["scarches_plus"]["embeddings"]["X_scarches"]["mapping"]["drift"] == {"weights": 0.0}
    np.testing.assert_array_equal(mapped.embed(full), before)
    np.testing.assert_allclose(model.get_latent_representation(), before, rtol=1e-5, atol=1e-6)


def test_what_is_remembered_survives_a_visit_to_scvi_tools(tmp_path):
    ref, query = split(cells(), "batch2")
    mapped = train(SCVI.load_query_data(query[:, 5:].copy(), reference(SCVI, ref)))
    mapped.save(tmp_path / "model")
    theirs = scvi.model.SCVI.load(str(tmp_path / "model"), adata=mapped.adata.copy())
    again = load(theirs)
    assert again.state == mapped.state
    assert torch.equal(again.module.gene_mask, mapped.module.gene_mask)


def test_training_by_scvi_tools_makes_a_new_space(tmp_path):
    ref, query = split(cells(), "batch2")
    mapped = train(SCVI.load_query_data(query[:, 5:].copy(), reference(SCVI, ref)))
    mapped.save(tmp_path / "model")
    theirs = scvi.model.SCVI.load(str(tmp_path / "model"), adata=mapped.adata.copy())
    theirs.module.train()
    train(theirs, **PLAIN)
    theirs.save(str(tmp_path / "trained"))
    for again in (load(theirs), load(tmp_path / "trained")):
        assert again.state.space != mapped.state.space
        assert again.surgery is None
        assert again.state.unmeasured == mapped.state.unmeasured


@pytest.mark.parametrize("cls", [SCVI, SCANVI])
def test_models_and_their_cells_are_released(cls):
    ref, query = split(cells(), "batch2")
    model = reference(cls, ref)
    mapped = train(cls.load_query_data(query, model))
    held, model_id, uuid = weakref.ref(mapped.adata), mapped.id, mapped.adata.uns["_scvi_uuid"]
    assert uuid in cls._setup_adata_manager_store
    assert model_id in cls._per_instance_manager_store
    del mapped
    gc.collect()
    assert held() is None
    assert uuid not in cls._setup_adata_manager_store
    assert model_id not in cls._per_instance_manager_store


def test_a_failed_training_leaves_a_model_that_can_be_read():
    from lightning.pytorch.callbacks import Callback

    class Fail(Callback):
        def on_train_epoch_end(self, *_):
            raise RuntimeError("broken")

    model = reference()
    with pytest.raises(RuntimeError, match="broken"):
        train(model, callbacks=[Fail()])
    assert not model.module.training


def test_shared_batch_with_fewer_genes_is_refused():
    import anndata

    ref, query = split(cells(), "batch2")
    both = anndata.concat([query, ref[ref.obs["batch"] == "batch1"]])[:, 5:].copy()
    with pytest.raises(ValueError, match="shared with the reference, which measured"):
        SCVI.load_query_data(both, reference(SCVI, ref), shared_batches=["batch1"])


def test_missing_genes_without_a_batch_key():
    ref, query = split(cells(), "batch2")
    model = reference(SCVI, ref, setup_kwargs={"batch_key": None})
    mapped = train(SCVI.load_query_data(query[:, 5:].copy(), model, strategy="all"))
    assert (~mapped.module.gene_mask).sum().item() == 5
    assert model.module._buffers.get("gene_mask") is None
    with pytest.raises(ValueError, match="has no use"):
        SCVI.load_query_data(query, model, strategy="all", batch_key="batch")


def test_counts_in_x_when_the_reference_used_a_layer():
    ref, query = split(cells(), "batch2")
    ref.layers["counts"] = ref.X.copy()
    ref.X = np.log1p(ref.X.toarray())
    model = sp.tl.build_reference(ref, "batch", layer="counts", model_kwargs={"n_hidden": 8}, **FAST)
    with pytest.raises(sp.pp.QueryError, match="layer='X'"):
        sp.tl.map_query(query, model, **FAST)
    sp.tl.map_query(query, model, layer="X", **FAST)


def test_positional_arguments_of_scvi_tools_and_prefix(tmp_path):
    model = reference()
    model.train(1, "cpu", 1, 0.8, enable_progress_bar=False)
    model.save(tmp_path / "model", "mine_", True)
    assert load(tmp_path / "model", prefix="mine_").state == model.state


def test_overwriting_takes_the_old_cells_away(tmp_path):
    model = reference()
    model.save(tmp_path / "model", save_anndata=True)
    model.save(tmp_path / "model", overwrite=True)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.pt"}


def test_labels_that_cannot_be_used():
    ref, query = split(cells(), "batch2")
    with pytest.raises(ValueError, match="needs a scANVI reference"):
        SCVI.load_query_data(query, reference(SCVI, ref), use_query_labels=True)
    model = reference(SCANVI, ref)
    query.obs["cell_type"] = "novel"
    with pytest.raises(ValueError, match="knows none of the query's labels"):
        SCANVI.load_query_data(query, model, use_query_labels=True)
    del query.obs["cell_type"]
    with pytest.raises(KeyError, match="cell_type"):
        SCANVI.load_query_data(query, model, use_query_labels=True)


def test_classifiers_of_old_models_open_without_cells(tmp_path):
    """scvi-tools before 1.1 trained them on probabilities; what they predict stays the same."""
    ref, _ = split(cells(), "batch2")
    model = reference(SCANVI, ref)
    expected = model.predict(soft=True)
    model.save(tmp_path / "model")
    content = torch.load(tmp_path / "model" / "model.pt", weights_only=False)
    content["attr_dict"]["registry_"]["scvi_version"] = "1.0.4"
    torch.save(content, tmp_path / "model" / "model.pt")
    bare, whole = load(tmp_path / "model"), SCANVI.load(tmp_path / "model", ref.copy())
    assert bare.module.classifier.logits is whole.module.classifier.logits is False
    np.testing.assert_allclose(whole.predict(soft=True), expected, atol=1e-5)
    SCANVI.setup_anndata(ref, source_registry=bare.registry_, **bare.registry_["setup_args"])
    bare.adata = ref
    np.testing.assert_allclose(bare.predict(soft=True), expected, atol=1e-5)

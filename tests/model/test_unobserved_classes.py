"""Classes of scANVI that no cell is labelled with: C_observed + C_unobserved."""

import numpy as np
import pandas as pd
import pytest
import scvi
import torch
from small_models import NETWORK, SCANVI, cells, reference, split, train

import scarches_plus as sp
from scarches_plus.module import SCANVAE

QUIET = {"enable_progress_bar": False}


def partly_labelled(novel=("type2",)):
    adata = split(cells(type_effect=1.0), "batch2")[0]
    unlabelled = adata.obs["cell_type"].isin(novel) | (np.arange(adata.n_obs) % 2 == 0)
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).where(~unlabelled, "Unknown")
    return adata


@pytest.fixture(scope="module", params=[1, 3])
def model(request):
    return reference(SCANVI, partly_labelled(), n_unobserved=request.param)


def all_classes(model, adata):
    """Probabilities of every class by the networks themselves."""
    z = torch.from_numpy(model.get_latent_representation(adata))
    with torch.no_grad():
        return model.module.classifier(z).softmax(dim=1).numpy()


def test_the_network_has_all_classes_and_a_uniform_prior(model):
    n_classes = 2 + model.module.n_unobserved
    assert model.module.classifier.classifier[-1].out_features == n_classes
    np.testing.assert_allclose(model.module.y_prior.detach().numpy(), np.full((1, n_classes), 1 / n_classes))
    for network in (model.module.encoder_z2_z1.encoder, model.module.decoder_z1_z2.decoder):
        assert network.n_cat_list == [n_classes]


def test_predictions_name_no_class_without_a_label(model):
    probabilities = all_classes(model, model.adata)
    soft = model.predict(soft=True)
    names = np.array([*model.spec.labels, "Unknown"])
    assert sorted(names) == ["Unknown", "type0", "type1"]
    assert soft.columns.tolist() == names.tolist()
    np.testing.assert_allclose(soft.iloc[:, :2], probabilities[:, :2], atol=1e-5)
    np.testing.assert_allclose(soft["Unknown"], probabilities[:, 2:].sum(axis=1), atol=1e-5)
    np.testing.assert_array_equal(model.predict(), names[soft.to_numpy().argmax(axis=1)])


def test_confidence_is_the_maximum_over_labels(model):
    expected = all_classes(model, model.adata)[:, :2].max(axis=1)
    confidence = model.confidence()
    np.testing.assert_allclose(confidence, expected, atol=1e-5)
    pd.testing.assert_index_equal(confidence.index, pd.Index(model.adata.obs_names))
    some = model.confidence(indices=[3, 1], batch_size=1)
    np.testing.assert_allclose(some, expected[[3, 1]], atol=1e-5)
    plain = reference(SCANVI)
    np.testing.assert_allclose(plain.confidence(), plain.predict(soft=True).max(axis=1))


def test_the_loss_is_that_of_scvi_tools_with_more_labels(model):
    """A plain module with as many labels, the same weights and the same cells."""
    module = model.module
    plain = scvi.module.SCANVAE(
        40, n_batch=2, n_labels=module.n_labels, **{**NETWORK, "gene_likelihood": module.gene_likelihood}
    )
    plain.load_state_dict(module.state_dict())
    tensors = next(iter(model._make_data_loader(adata=model.adata, batch_size=64)))
    labelled = {key: values[(tensors["labels"] < 2).flatten()] for key, values in tensors.items()}
    losses = []
    for one in (module, plain):
        one.eval()
        torch.manual_seed(0)
        options = {"labelled_tensors": labelled, "classification_ratio": 50, "kl_weight": 0.7}
        losses.append(one(tensors, loss_kwargs=options)[2].loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("schedule", ["joint", "alternating"])
def test_both_schedules_and_validation(schedule):
    scvi.settings.seed = 0
    adata = partly_labelled()
    SCANVI.setup_anndata(adata, batch_key="batch", labels_key="cell_type", unlabeled_category="Unknown")
    model = SCANVI(adata, n_unobserved=2, **NETWORK)
    train(model, plan_kwargs={"schedule": schedule}, check_val_every_n_epoch=1, train_size=0.8)
    assert np.isfinite(model.history["elbo_validation"].to_numpy(dtype=float)).all()
    assert model.history["train_accuracy"].to_numpy(dtype=float).max() <= 1


def test_save_load_and_map(model, tmp_path):
    model.save(tmp_path / "model")
    for adata in (False, model.adata):
        loaded = SCANVI.load(tmp_path / "model", adata=adata)
        assert loaded.module.n_unobserved == model.module.n_unobserved
        pd.testing.assert_frame_equal(loaded.predict(model.adata, soft=True), model.predict(soft=True), rtol=1e-4)
    query = split(cells(type_effect=1.0), "batch2")[1]
    mapped = [
        sp.tl.map_query(query.copy(), tmp_path / "model", max_epochs=2, train_kwargs=QUIET, engine=engine)
        for engine in ("fast", "scvi")
    ]
    for one in mapped:
        assert one.predict(soft=True).columns.tolist() == [*model.spec.labels, "Unknown"]
        assert set(one.predict()) <= {"type0", "type1", "Unknown"}
        np.testing.assert_array_equal(one.get_latent_representation(model.adata), model.get_latent_representation())
    labelled = query.copy()
    again = sp.tl.map_query(labelled, model, max_epochs=2, train_kwargs=QUIET, use_query_labels=True, strategy="all")
    assert set(again.predict()) <= {"type0", "type1", "Unknown"}


def test_differential_expression_of_labels(model):
    assert model.label_differential_expression("type0")["comparison"].unique().tolist() == ["type0 vs Rest"]


def test_build_reference_takes_it():
    adata = partly_labelled()
    model = sp.tl.build_reference(
        adata, "batch", "cell_type", recipe="scanvi", max_epochs=2, train_kwargs=QUIET,
        model_kwargs={**NETWORK, "n_unobserved": 1, "classifier_parameters": {"n_layers": 1}},
    )  # fmt: skip
    assert model.module.n_unobserved == 1
    assert model.predict(soft=True).shape[1] == 3
    assert len(model.module.classifier.classifier[0].fc_layers) == 1


def test_labels_for_all_cells_leave_nothing_to_learn():
    adata = split(cells(), "batch2")[0]
    SCANVI.setup_anndata(adata, batch_key="batch", labels_key="cell_type", unlabeled_category="Unknown")
    with pytest.warns(UserWarning, match="n_unobserved=1 has nothing to learn from"):
        train(SCANVI(adata, n_unobserved=1, **NETWORK), max_epochs=1)


@pytest.mark.parametrize(
    ("n_unobserved", "error", "said"),
    [(-1, ValueError, "at least 0"), (1.5, ValueError, "a whole number"), (True, TypeError, "a whole number")],
)
def test_only_whole_numbers(n_unobserved, error, said):
    with pytest.raises(error, match=f"n_unobserved must be {said}, not {n_unobserved}"):
        SCANVAE(10, n_labels=2, n_unobserved=n_unobserved)


def test_probabilities_add_up_where_the_classifier_gives_such():
    module = SCANVAE(10, n_labels=2, n_unobserved=2, classifier_parameters={"logits": False}).eval()
    classes = module.classify(torch.ones(3, 10), torch.zeros(3, 1))
    assert classes.shape == (3, 3)
    torch.testing.assert_close(classes.sum(dim=1), torch.ones(3))


def test_what_these_classes_take_makes_cells_unknown(model):
    soft = model.predict(soft=True)
    assert model.predict_nodes().columns.tolist() == list(model.classes) == soft.columns[:2].tolist()
    best = np.array(model.classes)[soft.to_numpy()[:, :2].argmax(axis=1)]
    expected = np.where(soft.iloc[:, :2].max(axis=1) >= 0.5, best, "Unknown")
    np.testing.assert_array_equal(model.predict(unknown_above=0.5), expected)

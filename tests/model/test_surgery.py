"""Surgery: what moves, what does not, and what is refused."""

import re

import anndata
import numpy as np
import pytest
import scvi
import torch
from small_models import STRATEGIES, cells, reference, setup, split, train

from scarches_plus.model import SCANVI, SCVI

CLASSES = [SCVI, SCANVI]


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


def weights(model):
    return {name: value.clone() for name, value in model.module.state_dict().items()}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


class TestReferenceDoesNotMove:
    @pytest.mark.parametrize("weight_decay", [0.0, 1e-6, 0.04])
    def test_any_weight_decay(self, cls, weight_decay):  # trap 3
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref)
        before = model.get_latent_representation()
        mapped = cls.load_query_data(query, model)
        start = mapped.embed(query)
        train(mapped, plan_kwargs={"weight_decay": weight_decay})
        assert np.abs(mapped.embed(ref) - before).max() == 0.0
        assert np.abs(mapped.embed(query) - start).max() > 1e-4
        assert mapped.state.space == model.state.space

    def test_module_in_train_mode(self, cls):  # dropout is live, running statistics are not
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref, use_batch_norm="both", use_layer_norm="none")
        before = model.get_latent_representation()
        mapped = train(cls.load_query_data(query, model), module_mode="train")
        assert np.abs(mapped.embed(ref) - before).max() == 0.0

    def test_one_batch_reference(self, cls):  # trap 12
        ref, query = split(cells(), "batch1", "batch2")
        model = reference(cls, ref)
        before = model.get_latent_representation()
        mapped = cls.load_query_data(query, model)
        assert np.abs(mapped.embed(ref) - before).max() == 0.0
        train(mapped, plan_kwargs={"weight_decay": 0.04})
        assert np.abs(mapped.embed(ref) - before).max() == 0.0

    def test_shared_batch_keeps_its_column(self, cls):
        adata = cells()
        ref, query = split(adata, "batch2")
        both = anndata.concat([query, ref[ref.obs["batch"] == "batch1"]])
        model = reference(cls, ref)
        before = model.get_latent_representation()
        mapped = train(cls.load_query_data(both, model, shared_batches=["batch1"]))
        assert np.abs(mapped.embed(ref) - before).max() == 0.0

    def test_further_covariates(self, cls):
        adata = cells()
        adata.obs["donor"] = np.resize(["a", "b", "c"], adata.n_obs)
        adata.obs["site"] = np.where(adata.obs["batch"] == "batch2", "new", "old")
        ref, query = split(adata, "batch2")
        query.obs["donor"] = query.obs["donor"].replace({"c": "d"})
        model = reference(cls, ref, setup_kwargs={"categorical_covariate_keys": ["donor", "site"]})
        before = model.get_latent_representation()
        mapped = cls.load_query_data(query, model)
        assert np.abs(mapped.embed(ref) - before).max() == 0.0
        train(mapped, plan_kwargs={"weight_decay": 0.04})
        assert np.abs(mapped.embed(ref) - before).max() == 0.0
        assert mapped.spec.categorical_covariates == {"donor": ("a", "b", "c", "d"), "site": ("old", "new")}

    def test_scvi_tools_shifts_columns_of_a_second_covariate(self):  # why the tensors are rebuilt
        adata = cells()
        adata.obs["donor"] = np.resize(["a", "b"], adata.n_obs)
        ref, query = split(adata, "batch2")
        model = reference(SCVI, ref, setup_kwargs={"categorical_covariate_keys": ["donor"]})
        before = model.get_latent_representation()
        theirs = scvi.model.SCVI.load_query_data(query.copy(), model)
        theirs.is_trained_ = True
        assert np.abs(theirs.get_latent_representation(ref.copy()) - before).max() > 1e-3
        ours = SCVI.load_query_data(query, model)
        assert np.abs(ours.embed(ref) - before).max() == 0.0

    def test_dispersion_per_batch(self, cls):  # trap 13
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref, dispersion="gene-batch")
        before = model.get_latent_representation()
        mapped = cls.load_query_data(query, model)
        start = mapped.module.px_r.detach().clone()
        old = model.module.px_r.detach()
        torch.testing.assert_close(start[:, 2], old.mean(1))
        train(mapped, plan_kwargs={"weight_decay": 0.04})
        assert torch.equal(mapped.module.px_r[:, :2], old)
        assert not torch.equal(mapped.module.px_r[:, 2], start[:, 2])
        assert np.abs(mapped.embed(ref) - before).max() == 0.0

    def test_batch_embedding(self):  # trap 5; scANVI of scvi-tools 1.4 and 1.5 cannot train with it
        cls = SCVI
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref, batch_representation="embedding")
        before = model.get_latent_representation()
        mapped = cls.load_query_data(query, model)
        start = mapped.embed(query)
        train(mapped, plan_kwargs={"weight_decay": 0.04})
        assert np.abs(mapped.embed(ref) - before).max() == 0.0
        assert np.abs(mapped.embed(query) - start).max() > 1e-5

    def test_modelled_library_size(self, cls):
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref, use_observed_lib_size=False)
        before = model.get_latent_representation()
        mapped = train(cls.load_query_data(query, model), plan_kwargs={"weight_decay": 0.04})
        assert np.abs(mapped.embed(ref) - before).max() == 0.0
        assert any(name.startswith("l_encoder") for name in mapped.surgery.entries)
        assert torch.isfinite(mapped.module.library_log_means).all()

    def test_reference_model_is_left_alone(self, cls):
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref)
        before, history, state = weights(model), model.history["elbo_train"].copy(), model.state
        train(cls.load_query_data(query, model, strategy="all"))
        assert not changed(before, weights(model))
        assert model.history["elbo_train"].equals(history)
        assert model.state == state
        assert model.is_trained


class TestWhatTrains:
    def test_exactly_the_entries_change(self, cls):
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref)
        for strategy in STRATEGIES:
            mapped = cls.load_query_data(query, model, strategy=strategy)
            before = weights(mapped)
            train(mapped, plan_kwargs={"weight_decay": 0.04})
            after = weights(mapped)
            assert changed(before, after) == set(mapped.surgery.entries)
            moved = 0
            for name, where in mapped.surgery.entries.items():
                difference = before[name] != after[name]
                if where is not None:
                    dim, index = where
                    fixed = torch.ones(difference.shape[dim], dtype=bool)
                    fixed[index] = False
                    assert not difference.index_select(dim, fixed.nonzero().flatten()).any()
                moved += int(difference.sum())
            assert 0 < moved <= mapped.surgery.n_trainable

    def test_those_are_all_strategies(self, cls):
        ref, query = split(cells(), "batch2")
        with pytest.raises(ValueError, match=re.escape(f"strategy must be one of {STRATEGIES}, not 'some'")):
            cls.load_query_data(query, reference(cls, ref), strategy="some")

    def test_more_for_every_strategy(self, cls):
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref)
        sizes = [cls.load_query_data(query, model, strategy=strategy).surgery.n_trainable for strategy in STRATEGIES]
        assert sizes == sorted(set(sizes))

    def test_paper_count(self):  # (n + m) x (p + q), conditions in the first layers only
        ref, query = split(cells(n_batches=5), "batch3", "batch4")
        model = reference(SCVI, ref, deeply_inject_covariates=False)
        p = q = 12
        new = SCVI.load_query_data(query, model)
        every = SCVI.load_query_data(query, model, train_reference_columns=True)
        assert new.surgery.n_trainable == 2 * (p + q)
        assert every.surgery.n_trainable == (3 + 2) * (p + q)

    def test_reference_columns_move_the_reference(self, cls):
        ref, query = split(cells(), "batch2")
        shared = anndata.concat([query, ref[ref.obs["batch"] == "batch0"]])
        model = reference(cls, ref)
        mapped = cls.load_query_data(shared, model, train_reference_columns=True, shared_batches=["batch0"])
        train(mapped)
        assert np.abs(mapped.embed(ref) - model.get_latent_representation()).max() > 0
        assert mapped.state.space != model.state.space

    def test_norms_of_classifier_stay(self):  # trap 13
        ref, query = split(cells(), "batch2")
        model = reference(SCANVI, ref, use_batch_norm="both", use_layer_norm="none")
        mapped = SCANVI.load_query_data(query, model)
        before = weights(mapped)
        train(mapped)
        touched = {name.split(".")[0] for name in changed(before, weights(mapped))}
        assert touched == {"z_encoder", "decoder"}

    def test_unused_parameters_do_not_count(self, cls):
        ref, query = split(cells(), "batch2")
        mapped = cls.load_query_data(query, reference(cls, ref, gene_likelihood="nb"), strategy="all")
        assert not any(name.startswith(("l_encoder", "decoder.px_dropout")) for name in mapped.surgery.entries)


class TestModes:
    """Trap 2: lightning keeps the mode it finds."""

    @staticmethod
    def modes_during(model, **kwargs):
        from lightning.pytorch.callbacks import Callback

        seen = []

        class Look(Callback):
            def on_train_batch_start(self, trainer, plan, *_):
                seen.append(next(one for one in plan.module.modules() if isinstance(one, torch.nn.Dropout)).training)

        train(model, callbacks=[Look()], **kwargs)
        return set(seen)

    def test_reference_trains_with_dropout_every_time(self, cls):
        ref, _ = split(cells(), "batch2")
        model = reference(cls, ref)
        assert self.modes_during(model) == {True}

    def test_query(self, cls):
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref)
        for strategy, mode in (("condition", False), ("input_layers", False), ("all", True)):
            mapped = cls.load_query_data(query, model, strategy=strategy)
            assert self.modes_during(mapped) == {mode}
            assert self.modes_during(mapped, module_mode="eval" if mode else "train") == {not mode}
            assert not mapped.module.training

    def test_unknown_mode(self):
        model = reference()
        with pytest.raises(ValueError, match="module_mode"):
            train(model, module_mode="test")


class TestRefusals:
    def test_batch_blind_encoder(self, cls):  # trap 1
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref, encode_covariates=False)
        with pytest.raises(ValueError, match="encode_covariates=False"):
            cls.load_query_data(query, model)
        start = model.get_latent_representation()
        mapped = train(cls.load_query_data(query, model, strategy="input_layers"))
        assert np.abs(mapped.embed(ref) - start).max() > 0

    def test_no_batch_key(self):
        ref, query = split(cells(), "batch2")
        model = reference(SCVI, ref, setup_kwargs={"batch_key": None})
        with pytest.raises(ValueError, match="batch_key"):
            SCVI.load_query_data(query, model)

    def test_reused_batch_name(self, cls):
        ref, query = split(cells(), "batch2")
        query.obs["batch"] = "batch1"
        model = reference(cls, ref)
        with pytest.raises(ValueError, match=r"shared_batches=\['batch1'\]"):
            cls.load_query_data(query, model)
        with pytest.raises(ValueError, match="nothing would train"):
            cls.load_query_data(query, model, shared_batches=["batch1"])

    def test_shared_batch_that_is_none(self):
        ref, query = split(cells(), "batch2")
        with pytest.raises(ValueError, match="not batches of both"):
            SCVI.load_query_data(query, reference(SCVI, ref), shared_batches=["batch2"])
        with pytest.raises(TypeError, match="must be a list"):
            SCVI.load_query_data(query, reference(SCVI, ref), shared_batches="batch2")

    def test_strategy(self):
        ref, query = split(cells(), "batch2")
        with pytest.raises(ValueError, match="strategy must be one of"):
            SCVI.load_query_data(query, reference(SCVI, ref), strategy="frozen")

    def test_missing_batches(self):  # trap 5
        ref, query = split(cells(), "batch2")
        query.obs["batch"] = query.obs["batch"].astype(object)
        query.obs.iloc[0, query.obs.columns.get_loc("batch")] = np.nan
        with pytest.raises(ValueError, match="1 missing values"):
            SCVI.load_query_data(query, reference(SCVI, ref))

    def test_unknown_batch_to_embed(self):
        ref, query = split(cells(), "batch2")
        with pytest.raises(ValueError, match="map_query"):
            reference(SCVI, ref).embed(query)


class TestGenes:
    """Trap 6."""

    def test_order_and_extra_genes_do_not_matter(self, cls):
        adata = cells()
        ref, query = split(adata[:, :30].copy(), "batch2")
        shuffled = split(adata[:, np.random.default_rng(0).permutation(40)].copy(), "batch2")[1]
        model = reference(cls, ref)
        latents = []
        for cells_ in (query, shuffled):
            scvi.settings.seed = 1
            latents.append(train(cls.load_query_data(cells_, model)).get_latent_representation())
        np.testing.assert_array_equal(*latents)

    def test_missing_genes_leave_the_likelihood(self, cls):
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref)
        mapped = cls.load_query_data(query[:, 10:].copy(), model)
        mask = mapped.module.gene_mask
        assert mask[:2].all()
        assert not mask[2, :10].any()
        assert mask[2, 10:].all()
        tensors = next(iter(mapped._make_data_loader(adata=mapped.adata, batch_size=16)))
        inference = mapped.module.inference(**mapped.module._get_inference_input(tensors))
        outputs = mapped.module.generative(**mapped.module._get_generative_input(tensors, inference))
        log_prob = outputs["px"].log_prob(tensors["X"])
        assert (log_prob[:, :10] == 0).all()
        # a distribution without the mask is the independent truth for the other genes
        mapped.module.set_gene_mask(None)
        plain = mapped.module.generative(**mapped.module._get_generative_input(tensors, inference))["px"]
        torch.testing.assert_close(log_prob[:, 10:], plain.log_prob(tensors["X"])[:, 10:])
        torch.testing.assert_close(outputs["px"].mean, plain.mean)

    def test_missing_genes_survive_saving_and_the_next_query(self, cls, tmp_path):
        ref, query = split(cells(n_batches=4), "batch2", "batch3")
        first, second = (query[query.obs["batch"] == batch].copy() for batch in ("batch2", "batch3"))
        mapped = train(cls.load_query_data(first[:, 10:].copy(), reference(cls, ref)))
        mapped.save(tmp_path / "model")
        again = cls.load(tmp_path / "model", adata=False)
        assert torch.equal(again.module.gene_mask, mapped.module.gene_mask)
        onward = train(cls.load_query_data(second[:, :35].copy(), again))
        assert (~onward.module.gene_mask).sum(1).tolist() == [0, 0, 10, 5]

    def test_padding_stores_nothing(self):
        ref, query = split(cells(), "batch2")
        mapped = SCVI.load_query_data(query[:, 10:].copy(), reference(SCVI, ref))
        assert mapped.adata.X.nnz == query[:, 10:].X.nnz


class TestLabels:
    """Trap 7."""

    def test_labels_the_reference_lacks(self):
        ref, query = split(cells(), "batch2")
        query.obs["cell_type"] = query.obs["cell_type"].astype(str).replace({"type0": "novel"})
        before = query.obs["cell_type"].copy()
        model = reference(SCANVI, ref)
        for use in (False, True):
            mapped = train(SCANVI.load_query_data(query, model, use_query_labels=use))
            expected = query.obs["cell_type"].isin(model.spec.labels).to_numpy() & use
            assert (np.asarray(mapped.adata.obs["cell_type"] != "Unknown") == expected).all()
            assert set(mapped.predict()) <= set(model.spec.labels)
        assert query.obs["cell_type"].equals(before)

    def test_labelled_query_of_few_types(self):
        ref, query = split(cells(), "batch2")
        few = query[query.obs["cell_type"] != "type0"].copy()
        mapped = train(SCANVI.load_query_data(few, reference(SCANVI, ref), use_query_labels=True))
        assert mapped.module.n_labels == 3

    def test_no_label_column(self, cls):
        ref, query = split(cells(), "batch2")
        del query.obs["cell_type"]
        model = reference(cls, ref, setup_kwargs={"labels_key": "cell_type"})
        train(cls.load_query_data(query, model))
        assert "cell_type" not in query.obs

    def test_user_callbacks_keep_the_sampler(self):  # trap 4
        from lightning.pytorch.callbacks import Callback

        ref, _ = split(cells(), "batch2")
        setup(SCANVI, ref)
        model = SCANVI(ref)
        train(model, max_epochs=1, callbacks=[Callback()], n_samples_per_label=5)
        assert {type(callback).__name__ for callback in model.trainer.callbacks} >= {"SubSampleLabels", "Callback"}


class TestSequence:
    def test_one_query_after_another(self, cls):
        ref, query = split(cells(n_batches=4), "batch2", "batch3")
        model = reference(cls, ref)
        before = model.get_latent_representation()
        first, second = (query[query.obs["batch"] == batch].copy() for batch in ("batch2", "batch3"))
        step = train(cls.load_query_data(first, model))
        latent = step.get_latent_representation()
        last = train(cls.load_query_data(second, step), plan_kwargs={"weight_decay": 0.04})
        assert last.spec.batches == ("batch0", "batch1", "batch2", "batch3")
        assert np.abs(last.embed(ref) - before).max() == 0.0
        assert np.abs(last.embed(first) - latent).max() == 0.0

    def test_several_batches_at_once(self, cls):
        ref, query = split(cells(n_batches=4), "batch2", "batch3")
        mapped = train(cls.load_query_data(query, reference(cls, ref)))
        columns = mapped.surgery.entries["z_encoder.encoder.fc_layers.Layer 0.0.weight"][1]
        assert len(columns) == 2


def test_user_data_are_untouched(cls):
    ref, query = split(cells(), "batch2")
    query.uns = {"mine": 1}
    query.raw = query
    query = query[:, ::-1].copy()
    before = query.copy()
    train(cls.load_query_data(query, reference(cls, ref)))
    assert list(query.obs) == list(before.obs)
    assert query.obs.equals(before.obs)
    assert query.uns == before.uns
    assert query.raw is not None
    assert (query.X != before.X).nnz == 0
    assert list(query.var_names) == list(before.var_names)

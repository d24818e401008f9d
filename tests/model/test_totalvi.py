"""totalVI: MuData in, surgery, and queries that lack genes or proteins."""

import mudata
import numpy as np
import pytest
import scvi
import torch
from small_models import (
    MODALITIES,
    N_PROTEINS,
    TOTALVI,
    as_taken,
    cells,
    network,
    reference,
    setup,
    split,
    train,
    weight_change,
)

import scarches_plus as sp

SILENT = {"enable_progress_bar": False}
LONG = {"reduce_lr_on_plateau": False, "early_stopping": False, "log_every_n_steps": 1, **SILENT}


def parts(**kwargs):
    ref, query = split(cells(n_batches=4, **kwargs), "batch2", "batch3")
    return as_taken(TOTALVI, ref), as_taken(TOTALVI, query)


@pytest.fixture(scope="module")
def pair():
    ref, query = parts()
    return reference(TOTALVI, ref), query


def load_cells(model, cells=None):
    with torch.random.fork_rng():
        adata = model.adata if cells is None else cells
        return next(iter(model._make_data_loader(adata=adata, batch_size=1000, shuffle=False)))


def loss_of(module, tensors):
    torch.manual_seed(0)
    with torch.no_grad():
        return module(tensors)[2]


@pytest.mark.parametrize("strategy", ["condition", "input_layers", "all"])
def test_surgery_trains_what_it_says(pair, strategy):
    model, query = pair
    before = model.embed(model.adata)
    mapped = TOTALVI.load_query_data(query, model, strategy=strategy)
    start = {name: value.clone() for name, value in mapped.module.named_parameters()}
    train(mapped, 2)
    moved = {name for name, value in mapped.module.named_parameters() if not torch.equal(value, start[name])}
    assert moved <= set(mapped.surgery.entries)
    if strategy == "condition":
        assert weight_change(model, mapped) == 0
        np.testing.assert_allclose(mapped.embed(model.adata), before, rtol=0, atol=2e-6)
        assert {
            "background_pro_alpha",
            "log_per_batch_efficiency",
            "decoder.px_scale_decoder.fc_layers.Layer 0.0.weight",
        } <= moved
        assert mapped.state.space == model.state.space
    else:
        assert {"encoder.encoder.fc_layers.Layer 0.0.weight", "decoder.px_decoder.fc_layers.Layer 0.0.weight"} <= moved
        assert weight_change(model, mapped) > 0
    if strategy == "all":
        assert moved >= {"px_r", "py_r"}


@pytest.mark.parametrize("dispersion", [False, True])
def test_new_batches_start_as_if_the_reference_had_not_grown(dispersion):
    options = {"gene_dispersion": "gene-batch", "protein_dispersion": "protein-batch"} if dispersion else {}
    ref, query = parts()
    model = reference(TOTALVI, ref, **options)
    mapped = TOTALVI.load_query_data(query, model)
    old, new = model.module.state_dict(), mapped.module.state_dict()
    for name in ("background_pro_alpha", "background_pro_log_beta", "log_per_batch_efficiency"):
        assert torch.equal(new[name][:, :2], old[name])
        assert new[name].shape[1] == 4
    if dispersion:
        for name in ("px_r", "py_r"):
            assert torch.equal(new[name][:, :2], old[name])
            torch.testing.assert_close(new[name][:, 2:], old[name].mean(1, keepdim=True).expand(-1, 2))
            assert name in mapped.surgery.entries
    reference_cells = TOTALVI.load_query_data(query, model, strategy="all")
    known = reference_cells._validate_anndata(ref)
    ours = loss_of(reference_cells.module, load_cells(reference_cells, known))
    theirs = loss_of(model.module, load_cells(model))
    torch.testing.assert_close(ours.loss, theirs.loss, rtol=1e-5, atol=0)


class TestWhatIsMissing:
    def test_proteins_of_no_cell(self, pair):
        """A query of genes alone: the likelihood knows no proteins, and the model predicts them."""
        model, query = pair
        mapped = train(TOTALVI.load_query_data(query.mod["rna"], model), 2, adversarial_classifier=False)
        mask = mapped.module.protein_batch_mask
        assert [bool(mask[code].all()) for code in "0123"] == [True, True, False, False]
        assert not mask["2"].any()
        tensors = load_cells(mapped)
        assert not tensors["proteins"].any()
        loss = loss_of(mapped.module, tensors)
        assert not loss.reconstruction_loss["reconst_loss_protein"].any()
        predicted = mapped.get_normalized_expression(transform_batch="batch0", n_samples=3)[1]
        assert (predicted.to_numpy() > 0).all()
        embedded = mapped.embed(query.mod["rna"])
        without = mudata.MuData({"rna": query.mod["rna"].copy()})
        np.testing.assert_array_equal(mapped.embed(without), embedded)

    def test_some_proteins_in_another_order(self, pair):
        model, query = pair
        proteins = query.mod["protein"][:, ["protein3", "protein0", "protein1"]].copy()
        fewer = mudata.MuData({"rna": query.mod["rna"].copy(), "protein": proteins})
        fewer.obs["batch"] = query.obs["batch"].to_numpy()
        mapped = TOTALVI.load_query_data(fewer, model)
        assert mapped.module.protein_batch_mask["3"].tolist() == [True, True, False, True, False]
        counts = load_cells(mapped)["proteins"].numpy()
        expected = query.mod["protein"].X * np.array([1, 1, 0, 1, 0], dtype=np.float32)
        np.testing.assert_array_equal(counts, expected)

    def test_reference_batches_keep_their_own(self, tmp_path):
        """scvi-tools knows the masks of the batches of the cells at hand only."""
        ref, query = parts()
        lacking = (ref.obs["batch"] == "batch1").to_numpy()
        ref.mod["protein"].X[lacking, 2] = 0
        with pytest.warns(UserWarning, match="all 0 counts"):
            model = reference(TOTALVI, ref)
        mapped = TOTALVI.load_query_data(query, model)
        expected = [[True] * N_PROTEINS, [True, True, False, True, True], [True] * N_PROTEINS, [True] * N_PROTEINS]
        assert [mapped.module.protein_batch_mask[code].tolist() for code in "0123"] == expected
        train(mapped, 1)
        mapped.save(tmp_path / "mapped")
        for again in (sp.model.load(tmp_path / "mapped"), sp.model.load(tmp_path / "mapped", query.copy())):
            assert [again.module.protein_batch_mask[code].tolist() for code in "0123"] == expected
        model.save(tmp_path / "reference")
        again = sp.model.load(tmp_path / "reference")
        assert [again.module.protein_batch_mask[code].tolist() for code in "01"] == expected[:2]

    def test_genes(self, pair):
        model, query = pair
        fewer = mudata.MuData({"rna": query.mod["rna"][:, 7:].copy(), "protein": query.mod["protein"].copy()})
        fewer.obs["batch"] = query.obs["batch"].to_numpy()
        mapped = TOTALVI.load_query_data(fewer, model)
        tensors = load_cells(mapped)
        ours = loss_of(mapped.module, tensors)
        mapped.module.set_gene_mask(None)
        torch.manual_seed(0)
        with torch.no_grad():
            _, generated, _ = mapped.module(tensors)
        px = generated["px_"]
        likelihood = scvi.distributions.NegativeBinomial(mu=px["rate"], theta=px["r"]).log_prob(tensors["X"])
        expected = -likelihood[:, 7:].sum(1)
        torch.testing.assert_close(ours.reconstruction_loss["reconst_loss_gene"], expected, rtol=1e-5, atol=1e-4)


class TestFiles:
    def test_loads_with_and_without_cells(self, pair, tmp_path):
        model, query = pair
        mapped = train(TOTALVI.load_query_data(query, model), 1)
        embedded = mapped.embed(query)
        mapped.save(tmp_path / "model")
        bare = sp.model.load(tmp_path / "model")
        assert bare.adata is None
        assert bare.state == mapped.state
        assert bare.spec == mapped.spec
        np.testing.assert_array_equal(bare.embed(query), embedded)
        mapped.save(tmp_path / "with", save_anndata=True)
        whole = TOTALVI.load(tmp_path / "with")
        np.testing.assert_array_equal(whole.get_latent_representation(), embedded)

    def test_maps_onto_a_folder(self, pair, tmp_path):
        model, query = pair
        model.save(tmp_path / "model")
        scvi.settings.seed = 0
        from_folder = TOTALVI.load_query_data(query, tmp_path / "model")
        scvi.settings.seed = 0
        from_model = TOTALVI.load_query_data(query, model)
        names = set(from_model.surgery.entries)
        for name, value in from_model.module.state_dict().items():
            if name not in names:
                assert torch.equal(from_folder.module.state_dict()[name], value), name
        assert from_folder.surgery == from_model.surgery

    def test_takes_models_of_scvi_tools(self, pair):
        _, query = pair
        ref, _ = parts()
        scvi.model.TOTALVI.setup_mudata(ref, batch_key="batch", modalities=MODALITIES)
        scvi.settings.seed = 0
        theirs = scvi.model.TOTALVI(ref, **network(TOTALVI))
        theirs.train(2, **LONG)
        ours = sp.model.load(theirs)
        np.testing.assert_allclose(ours.embed(ref), theirs.get_latent_representation(), rtol=0, atol=2e-6)
        assert ours.history["elbo_train"].equals(theirs.history["elbo_train"])
        mapped = train(TOTALVI.load_query_data(query, theirs), 1)
        assert weight_change(ours, mapped) == 0


class TestVerbs:
    def test_map_and_embed(self, pair):
        model, query = pair
        query = query.copy()
        mapped = sp.tl.map_query(query, model, max_epochs=2, train_kwargs=LONG, penalties=[sp.train.MMD()])
        assert query.obsm["X_scarches"].shape == (query.n_obs, 4)
        record = query.uns["scarches_plus"]["embeddings"]["X_scarches"]["mapping"]
        assert record["drift"]["weights"] == 0
        assert record["new_batches"] == ["batch2", "batch3"]
        again = query.copy()
        sp.tl.embed(again, mapped)
        np.testing.assert_allclose(again.obsm["X_scarches"], query.obsm["X_scarches"], rtol=0, atol=1e-6)
        copied = sp.tl.embed(pair[1], mapped, copy=True)
        np.testing.assert_array_equal(copied.obsm["X_scarches"], again.obsm["X_scarches"])
        assert "X_scarches" not in pair[1].obsm
        second = as_taken(TOTALVI, split(cells(n_batches=5, rng=2), "batch4")[1])
        twice = sp.tl.map_query(second, mapped, max_epochs=1, train_kwargs=LONG)
        assert len(twice.state.lineage) == 2

    def test_a_query_is_not_changed(self, pair):
        model, query = pair
        columns = {name: list(part.obs) for name, part in query.mod.items()}
        counts = query.mod["rna"].X.copy()
        train(TOTALVI.load_query_data(query, model), 1)
        assert {name: list(part.obs) for name, part in query.mod.items()} == columns
        assert list(query.obs) == ["batch"]
        assert (counts != query.mod["rna"].X).nnz == 0
        assert not query.uns

    def test_importance_is_the_mean_squared_gradient_of_single_cells(self, pair, monkeypatch):
        model, _ = pair
        monkeypatch.setattr(torch.distributions.Normal, "rsample", lambda self, *_: self.loc + 0.3 * self.scale)
        importance = sp.train.estimate_importance(model, n_cells=model.adata.n_obs)
        module, tensors = model.module.eval(), load_cells(model)
        expected = dict.fromkeys(importance.fisher, 0.0)
        for cell in range(model.adata.n_obs):
            module.zero_grad()
            module({name: values[[cell]] for name, values in tensors.items()})[2].loss.backward()
            for name, parameter in module.named_parameters():
                if parameter.grad is not None:
                    expected[name] = expected[name] + parameter.grad.square()
        module.zero_grad()
        assert {"px_r", "py_r", "encoder.z_mean_encoder.weight", "background_pro_alpha"} <= set(expected)
        for name, total in expected.items():
            mean = total / model.adata.n_obs
            assert float(mean.max()) > 0 or name.endswith("bias"), name
            torch.testing.assert_close(importance.fisher[name], mean, rtol=1e-3, atol=1e-6 * float(mean.max()) + 1e-9)


def test_options_of_the_plan_hold(pair):
    """scvi-tools would train at its default of 4e-3, whatever plan_kwargs say."""
    model, query = pair
    mapped = TOTALVI.load_query_data(query, model)
    start = {name: value.clone() for name, value in mapped.module.state_dict().items()}
    train(mapped, 1, plan_kwargs={"lr": 1e-9})
    assert all(torch.allclose(value, start[name], atol=1e-7) for name, value in mapped.module.state_dict().items())
    train(mapped, 1, lr=1e-2, plan_kwargs={"lr": 1e-9})  # the argument of train comes first
    assert not all(torch.allclose(value, start[name], atol=1e-4) for name, value in mapped.module.state_dict().items())


class TestWhereColumnsLie:
    def test_a_column_of_the_name_of_a_part(self):
        ref, query = parts()
        for part in (ref, query):
            part.obs["genes"] = part.obs["batch"].to_numpy()
        TOTALVI.setup_mudata(ref, batch_key="genes", modalities=MODALITIES)
        model = train(TOTALVI(ref, **network(TOTALVI)), 1)
        mapped = TOTALVI.load_query_data(query, model)
        assert mapped.spec.batches == ("batch0", "batch1", "batch2", "batch3")

    @pytest.mark.parametrize("place", [None, "rna", "protein"])
    def test_batch_and_covariates(self, place):
        ref, query = parts()
        for part in (ref, query):
            table = part.obs if place is None else part.mod[place].obs
            table["batch"] = part.mod["rna"].obs["batch"].to_numpy()
            table["donor"] = np.resize(["x", "y"], part.n_obs)
            table["age"] = np.linspace(0, 1, part.n_obs)
        query_table = query.obs if place is None else query.mod[place].obs
        query_table["donor"] = np.resize(["y", "z"], query.n_obs)
        where = {
            **MODALITIES,
            "batch_key": place,
            "categorical_covariate_keys": place,
            "continuous_covariate_keys": place,
        }
        TOTALVI.setup_mudata(
            ref,
            batch_key="batch",
            categorical_covariate_keys=["donor"],
            continuous_covariate_keys=["age"],
            modalities=where,
        )
        model = train(TOTALVI(ref, **network(TOTALVI)), 1)
        mapped = train(TOTALVI.load_query_data(query, model), 1)
        assert weight_change(model, mapped) == 0
        np.testing.assert_allclose(mapped.embed(ref), model.embed(ref), rtol=0, atol=2e-6)
        assert list(mapped.groupings) == ["batch", "donor"]
        assert mapped.groupings["donor"].names == ("x", "y", "z")

    def test_another_batch_key(self, pair):
        model, query = pair
        renamed = query.copy()
        renamed.obs = renamed.obs.rename(columns={"batch": "lane"})
        del renamed.mod["rna"].obs["batch"]
        mapped = TOTALVI.load_query_data(renamed, model, batch_key="lane")
        assert mapped.spec.batches == ("batch0", "batch1", "batch2", "batch3")


class TestRefusals:
    def test_setups(self):
        ref, _ = parts()
        with pytest.raises(NotImplementedError, match="setup_mudata"):
            TOTALVI.setup_anndata(ref.mod["rna"])
        with pytest.raises(NotImplementedError, match="panel_key"):
            TOTALVI.setup_mudata(ref, batch_key="batch", panel_key="panel", modalities=MODALITIES)

    def test_cells(self, pair):
        model, query = pair
        with pytest.raises(KeyError, match="'rna' of the genes"):
            model.embed(mudata.MuData({"genes": query.mod["rna"].copy()}))
        fewer = mudata.MuData({"rna": query.mod["rna"].copy(), "protein": query.mod["protein"][:-3].copy()})
        with pytest.raises(ValueError, match="intersect_obs"):
            TOTALVI.load_query_data(fewer, model)
        strange = query.copy()
        strange.mod["protein"].var_names = [f"CD{i}" for i in range(N_PROTEINS)]
        with pytest.raises(ValueError, match="none of the proteins"):
            TOTALVI.load_query_data(strange, model)
        with pytest.raises(ValueError, match="knows no"):
            model.embed(query)
        bare = mudata.MuData({"rna": query.mod["rna"].copy()})
        del bare.mod["rna"].obs["batch"]
        with pytest.raises(KeyError, match="batch"):
            TOTALVI.load_query_data(bare, model)

    def test_mudata_on_a_model_of_anndata(self, pair):
        _, query = pair
        ref, _ = split(cells(n_batches=4), "batch2", "batch3")
        with pytest.raises(TypeError, match=r"mdata\.mod"):
            sp.tl.map_query(query, reference(sp.model.SCVI, ref), max_epochs=1)

    @pytest.mark.filterwarnings("ignore:We recommend using setup_mudata:DeprecationWarning")
    def test_a_model_set_up_with_anndata_is_taken_with_proteins_in_obsm(self, tmp_path):
        ref, _ = split(cells(n_batches=4), "batch2", "batch3")
        ref.obsm["proteins"] = as_taken(TOTALVI, ref).mod["protein"].X.copy()
        scvi.model.TOTALVI.setup_anndata(ref, protein_expression_obsm_key="proteins", batch_key="batch")
        plain = scvi.model.TOTALVI(ref, **network(TOTALVI))
        plain.is_trained_ = True
        plain.module.eval()
        plain.save(tmp_path / "model")
        expected = plain.get_latent_representation()
        clean = ref.copy()
        for opened in (sp.load(tmp_path / "model"), sp.load(plain), sp.load(tmp_path / "model", trust_pickle=True)):
            np.testing.assert_allclose(opened.embed(clean), expected, atol=1e-6)

    def test_no_fast_path(self, pair):
        model, query = pair
        with pytest.raises(ValueError, match="fast path does not apply"):
            train(TOTALVI.load_query_data(query, model), 1, engine="fast")


def test_a_reference_trains_as_in_scvi_tools():
    curves = []
    for cls in (TOTALVI, scvi.model.TOTALVI):
        ref, _ = parts()
        setup(cls, ref) if cls is TOTALVI else cls.setup_mudata(ref, batch_key="batch", modalities=MODALITIES)
        scvi.settings.seed = 0
        model = cls(ref, **network(TOTALVI))
        model.train(4, train_size=0.9, batch_size=32, **LONG)
        curves.append(model.history["elbo_train"].to_numpy(dtype=float))
    np.testing.assert_allclose(*curves, rtol=1e-4)

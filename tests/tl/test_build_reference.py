"""Building references."""

import anndata
import numpy as np
import pytest
import scvi
from small_models import cells, for_recipe, split

import scarches_plus as sp

FAST = {
    "max_epochs": 2,
    "model_kwargs": {"n_hidden": 12, "n_latent": 4},
    "train_kwargs": {"enable_progress_bar": False},
}


@pytest.mark.parametrize("recipe", sorted(sp.model.RECIPES))
def test_every_recipe_trains_maps_and_labels(recipe):
    scvi.settings.seed = 0
    ref, query = (for_recipe(recipe, part) for part in split(cells(), "batch2"))
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe=recipe, **FAST)
    assert type(model).__name__ == sp.model.RECIPES[recipe].model
    assert ref.obsm["X_scarches"].shape == (ref.n_obs, 4)
    np.testing.assert_array_equal(ref.obsm["X_scarches"], model.get_latent_representation())
    if model.spec.encodes_batch:
        sp.tl.map_query(query, model, max_epochs=2, train_kwargs={"enable_progress_bar": False})
    else:
        with pytest.raises(ValueError, match=r"sp\.tl\.embed"):
            sp.tl.map_query(query, model)
        sp.tl.embed(query, model)
    sp.tl.transfer_labels(query, ref, "cell_type")
    assert query.obs["cell_type_pred"].notna().all()


def test_user_data_get_the_documented_slots_only():
    ref, _ = split(cells(), "batch2")
    before = ref.copy()
    sp.tl.build_reference(ref, "batch", **FAST)
    assert ref.obs.equals(before.obs)
    assert set(ref.uns) - set(before.uns) == {"scarches_plus"}
    assert set(ref.obsm) - set(before.obsm) == {"X_scarches"}
    assert (ref.X != before.X).nnz == 0
    assert ref.uns["scarches_plus"]["embeddings"]["X_scarches"]["role"] == "reference"


def test_counts_are_not_copied():
    ref, _ = split(cells(), "batch2")
    model = sp.tl.build_reference(ref, "batch", **FAST)
    assert np.shares_memory(model.adata.X.data, ref.X.data)


def test_same_seed_same_model():
    states = []
    for _ in range(2):
        scvi.settings.seed = 5
        ref, _ = split(cells(), "batch2")
        states.append(sp.tl.build_reference(ref, "batch", **FAST).state.space)
    assert states[0] == states[1]


def test_layer_labels_with_gaps_and_covariates():
    ref, _ = split(cells(), "batch2")
    ref.layers["counts"] = ref.X.copy()
    ref.X = np.log1p(ref.X.toarray())
    ref.obs["cell_type"] = ref.obs["cell_type"].astype(object)
    ref.obs.loc[ref.obs_names[:10], "cell_type"] = np.nan
    ref.obs["donor"] = np.resize(["a", "b"], ref.n_obs)
    ref.obs["age"] = np.linspace(0, 1, ref.n_obs)
    model = sp.tl.build_reference(
        ref,
        "batch",
        "cell_type",
        recipe="scanvi",
        layer="counts",
        categorical_covariate_keys=["donor"],
        continuous_covariate_keys=["age"],
        **FAST,
    )
    assert model.spec.layer == "counts"
    assert set(model.spec.labels) == {"type0", "type1", "type2"}
    assert model.spec.unlabeled_category == "Unknown"
    assert model.spec.categorical_covariates == {"donor": ("a", "b")}
    assert model.spec.continuous_covariates == ("age",)


def test_survives_h5ad(tmp_path):
    ref, _ = split(cells(), "batch2")
    model = sp.tl.build_reference(ref, "batch", **FAST)
    ref.write_h5ad(tmp_path / "ref.h5ad")
    again = anndata.read_h5ad(tmp_path / "ref.h5ad")
    assert again.uns["scarches_plus"]["embeddings"]["X_scarches"]["space"] == model.state.space


def test_blanks_in_gene_names_are_said_and_the_fix_works():
    adata = cells()
    right = adata.var_names.tolist()
    adata.var_names = [f"{name} " if i % 2 else f" {name}" for i, name in enumerate(right)]
    with pytest.warns(UserWarning, match=f"{len(right)} gene names hold blanks") as caught:
        model = sp.tl.build_reference(adata, "batch", **FAST)
    said = [warning for warning in caught if "gene names" in str(warning.message)]
    assert [warning.filename for warning in said] == [__file__]
    sp.tl.embed(adata, model)  # names that are the reference's are right: warnings are errors
    exec(str(said[0].message).split("Fix: ")[1], {"adata": adata})  # noqa: S102
    assert adata.var_names.tolist() == right
    sp.tl.build_reference(adata, "batch", **FAST)


class TestRefusals:
    def test_recipe(self):
        with pytest.raises(ValueError, match=r"recipe must be one of .*not 'magic'"):
            sp.tl.build_reference(cells(), "batch", recipe="magic")
        with pytest.raises(ValueError, match="labels_key"):
            sp.tl.build_reference(cells(), "batch", recipe="scanvi")

    def test_columns(self):
        with pytest.raises(sp.pp.QueryError, match="study"):
            sp.tl.build_reference(cells(), "study")
        with pytest.raises(KeyError, match="celltype"):
            sp.tl.build_reference(cells(), "batch", "celltype")

    def test_normalised_data(self):
        adata = cells()
        adata.X = np.log1p(adata.X.toarray() * 1.3)
        with pytest.raises(sp.pp.QueryError, match="log-normalised"):
            sp.tl.build_reference(adata, "batch")

    def test_no_labels_and_no_epochs(self):
        adata = cells()
        adata.obs["cell_type"] = "Unknown"
        with pytest.raises(ValueError, match="no cell has a label"):
            sp.tl.build_reference(adata, "batch", "cell_type", recipe="scanvi")
        adata.obs.loc[adata.obs_names[:50], "cell_type"] = "T"
        with pytest.raises(ValueError, match="'T' is the only label in obs"):
            sp.tl.build_reference(adata, "batch", "cell_type", recipe="scanvi", **FAST)
        sp.tl.build_reference(adata, "batch", "cell_type", **FAST)
        unobserved = {**FAST, "model_kwargs": {**FAST["model_kwargs"], "n_unobserved": 1}}
        assert sp.tl.build_reference(adata, "batch", "cell_type", recipe="scanvi", **unobserved).classes == ("T",)
        with pytest.raises(ValueError, match="at least 1"):
            sp.tl.build_reference(cells(), "batch", max_epochs=0)

    def test_infinite_covariates(self):
        adata = cells()
        adata.obs["age"] = np.inf
        with pytest.raises(sp.pp.QueryError, match="infinite"):
            sp.tl.build_reference(adata, "batch", continuous_covariate_keys=["age"])


def test_the_users_arguments_of_training_stand_above_the_recipes(monkeypatch):
    ref, _ = split(cells(), "batch2")
    seen = []
    for cls in (sp.model.SCVI, sp.model.SCANVI):
        train = cls.train
        monkeypatch.setattr(
            cls,
            "train",
            lambda self, *args, _train=train, **kwargs: (seen.append(kwargs), _train(self, *args, **kwargs)),
        )
    options = {**FAST, "train_kwargs": {**FAST["train_kwargs"], "n_samples_per_label": 7, "batch_size": 64}}
    sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", plan_kwargs={"lr": 0.01}, **options)
    scvi_training, scanvi_training = (call for call in seen if "max_epochs" in call)
    assert "n_samples_per_label" not in scvi_training
    assert scanvi_training["n_samples_per_label"] == 7
    assert scvi_training["batch_size"] == scanvi_training["batch_size"] == 64
    assert scanvi_training["plan_kwargs"] == {"lr": 0.01}


def test_the_second_stage_has_its_own_epochs_and_remembers_what_the_first_did():
    ref, _ = split(cells(), "batch2")
    one_epoch = sp.model.Recipe(model="SCANVI", source="a test", semi_supervised_epochs=1)
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe=one_epoch, **FAST)
    assert len(model.history["elbo_train"]) == 1
    lacks = {"batch1": list(ref.var_names[5:])}
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", gene_mask=lacks, **FAST)
    assert model.state.recipe == "scanvi"
    assert model.state.unmeasured["batch1"] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["max_epochs", "penalties", "plan_kwargs"])
def test_what_has_a_place_of_its_own_is_no_train_kwarg(name):
    ref, _ = split(cells(), "batch2")
    value = {"max_epochs": 1, "penalties": (), "plan_kwargs": {}}[name]
    with pytest.raises(TypeError, match=rf"train_kwargs holds \['{name}'\]"):
        sp.tl.build_reference(ref, "batch", train_kwargs={name: value})
    recipe = sp.model.Recipe(model="SCVI", source="a test", train_kwargs={name: value})
    with pytest.raises(TypeError, match=rf"recipe's train_kwargs holds \['{name}'\]"):
        sp.tl.build_reference(ref, "batch", recipe=recipe)


def test_a_reference_of_the_genes_that_vary():
    scvi.settings.seed = 0
    ref, query = split(cells(), "batch2")
    chosen = sp.pp.select_genes(ref, "batch", 15, inplace=False).genes
    before = ref.copy()
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", n_top_genes=15, **FAST)
    assert model.spec.var_names == chosen
    assert model.adata.shape == (ref.n_obs, 15)
    assert ref.var.equals(before.var)
    scvi.settings.seed = 0
    same = before[:, list(chosen)].copy()
    expected = sp.tl.build_reference(same, "batch", "cell_type", recipe="scanvi", **FAST)
    np.testing.assert_array_equal(ref.obsm["X_scarches"], same.obsm["X_scarches"])
    assert expected.state.space == model.state.space
    sp.tl.map_query(query, model, max_epochs=2, train_kwargs={"enable_progress_bar": False})
    sp.tl.transfer_labels(query, ref, "cell_type")
    with pytest.raises(ValueError, match="n_top_genes must be at least 1 and at most 40"):
        sp.tl.build_reference(ref, "batch", n_top_genes=50, **FAST)


def test_genes_that_cannot_be_chosen_are_told_with_advice_that_works():
    few = cells(30)
    with pytest.raises(ValueError, match=r"min_cells=.*sp\.pp\.select_genes\(adata, 'batch', n, min_cells=") as told:
        sp.tl.build_reference(few, "batch", n_top_genes=15, **FAST)
    assert "adata[:, list(selection.genes)]" in str(told.value)


def test_a_reference_of_genes_that_vary_with_proteins():
    ref, _ = (for_recipe("totalvi", part) for part in split(cells(), "batch2"))
    model = sp.tl.build_reference(ref, "batch", recipe="totalvi", n_top_genes=15, **FAST)
    assert len(model.spec.var_names) == 15

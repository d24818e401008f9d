"""totalVI references by recipe: of MuData and of AnnData with proteins in obsm, for queries of every kind."""

import inspect
import logging

import mudata
import numpy as np
import pandas as pd
import pytest
import scvi
from scipy import sparse
from small_models import MODALITIES, N_PROTEINS, TOTALVI, cells, for_recipe, in_obsm, split, weight_change

import scarches_plus as sp
from scarches_plus.model import RECIPES
from scarches_plus.pp import QueryError

SILENT = {"enable_progress_bar": False}
NETWORK = {"n_hidden": 12, "n_latent": 4}
FAST = {"recipe": "totalvi", "max_epochs": 2, "model_kwargs": NETWORK, "train_kwargs": SILENT}


def parts():
    """Reference and query as MuData with labels."""
    return [for_recipe("totalvi", part) for part in split(cells(), "batch2")]


def build(adata, *args, **options):
    scvi.settings.seed = 0
    return sp.tl.build_reference(adata, "batch", *args, **{**FAST, **options})


def mapped_onto(model, query, **options):
    scvi.settings.seed = 0
    return sp.tl.map_query(query, model, **{"max_epochs": 1, "train_kwargs": SILENT, **options})


@pytest.fixture(scope="module")
def built():
    """A reference, its model and a query."""
    ref, query = parts()
    return ref, build(ref, "cell_type"), query


def test_the_recipe_is_scvi_tools_but_for_what_it_says():
    recipe = RECIPES["totalvi"]
    known = {
        name: parameter.default
        for function in (scvi.module.TOTALVAE.__init__, scvi.model.TOTALVI.__init__, scvi.model.TOTALVI.train)
        for name, parameter in inspect.signature(function).parameters.items()
    }
    given = {**recipe.model_kwargs, **recipe.plan_kwargs, **recipe.train_kwargs}
    differ = {name: value for name, value in given.items() if known[name] != value}
    assert differ == {"use_layer_norm": "both", "use_batch_norm": "none"}
    assert recipe.max_epochs == scvi.model._utils.get_max_epochs_heuristic(20_000)


def test_it_is_what_a_user_of_the_class_would_write(built):
    model, ref = built[1], parts()[0]
    TOTALVI.setup_mudata(ref, batch_key="batch", modalities=MODALITIES)
    scvi.settings.seed = 0
    by_hand = TOTALVI(ref, use_layer_norm="both", use_batch_norm="none", **NETWORK)
    by_hand.train(2, **SILENT)
    np.testing.assert_array_equal(model.embed(ref), by_hand.embed(ref))
    assert model.state.recipe == "totalvi"
    assert model.history["elbo_train"].equals(by_hand.history["elbo_train"])


@pytest.mark.parametrize("kind", [pd.DataFrame, np.array, sparse.csr_matrix], ids=lambda kind: kind.__name__)
def test_proteins_in_obsm_are_those_of_a_modality(built, kind):
    ref, model, query = built
    adata = in_obsm(ref, kind=kind)
    again = build(adata)
    np.testing.assert_array_equal(adata.obsm["X_scarches"], ref.obsm["X_scarches"])
    assert again.spec.modalities == model.spec.modalities == {"genes": "rna", "proteins": "protein"}
    names = model.spec.proteins if kind is pd.DataFrame else tuple(map(str, range(N_PROTEINS)))
    assert again.spec.proteins == names
    if kind is pd.DataFrame:  # queries of either kind map onto models of both
        for one in (query.copy(), in_obsm(query)):
            np.testing.assert_array_equal(mapped_onto(again, one).embed(one), mapped_onto(model, one).embed(one))


def test_user_data_get_the_documented_slots_only():
    for ref in (parts()[0], in_obsm(parts()[0])):
        before, columns = ref.copy(), ref.obs.copy()
        model = build(ref, "cell_type")
        assert ref.obs.equals(columns)
        assert set(ref.uns) - set(before.uns) == {"scarches_plus"}
        assert set(ref.obsm) - set(before.obsm) == {"X_scarches"}
        genes, old = (one.mod["rna"] if hasattr(one, "mod") else one for one in (ref, before))
        assert genes.obs.equals(old.obs)
        assert set(genes.uns) <= set(old.uns) | {"scarches_plus"}
        assert np.shares_memory(model.adata.mod["rna"].X.data, genes.X.data)
        record = ref.uns["scarches_plus"]["embeddings"]["X_scarches"]
        assert (record["role"], record["modality"], record["model_class"]) == ("reference", "rna", "TOTALVI")


@pytest.mark.parametrize("kind", ["modalities", "obsm", "genes alone"])
def test_queries_are_mapped_and_labelled_with_and_without_cells(built, kind, tmp_path):
    ref, model, query = built
    query = {
        "modalities": query.copy, "obsm": lambda: in_obsm(query), "genes alone": query.mod["rna"].copy,
    }[kind]()  # fmt: skip
    mapped = mapped_onto(model, query)
    assert weight_change(model, mapped) == 0
    lacks = mapped.module.protein_batch_mask is not None
    assert lacks == (kind == "genes alone")
    mapped.save(tmp_path / "mapped")
    bundle = sp.hub.save_bundle(mapped, tmp_path / "bundle")
    for again in (sp.load(tmp_path / "mapped"), sp.load(bundle)):
        np.testing.assert_array_equal(again.embed(query), query.obsm["X_scarches"])
        by_model = sp.tl.transfer_labels(query, again, "cell_type", copy=True)
        assert by_model.uns["scarches_plus"]["transfer"]["cell_type"]["labels"] == "the model's summary 'cell_type'"
        assert by_model.obs["cell_type_pred"].cat.categories.tolist() == ["type0", "type1", "type2", "Unknown"]
    sp.tl.transfer_labels(query, ref, "cell_type")
    assert query.obs["cell_type_pred"].notna().all()


class TestWhereThingsAre:
    def test_modalities_are_found(self, built):
        ref = built[0]
        rna, proteins = ref.mod["rna"], ref.mod["protein"]

        def found(protein_key=None, **modalities):
            mdata = mudata.MuData({name: part.copy() for name, part in modalities.items()})
            return build(mdata, max_epochs=1, protein_key=protein_key).spec.modalities

        assert found(gex=rna, adt=proteins) == {"genes": "gex", "proteins": "adt"}
        assert found(one=rna, prot=proteins) == {"genes": "one", "proteins": "prot"}
        assert found("two", one=rna, two=proteins) == {"genes": "one", "proteins": "two"}
        more = proteins.copy()
        more.var_names = [f"{name} again" for name in more.var_names]
        assert found("other", rna=rna, prot=proteins, other=more) == {"genes": "rna", "proteins": "other"}
        said = [part.copy() for part in (rna, proteins)]
        for part, kind in zip(said, ("Gene Expression", "Antibody Capture"), strict=True):
            part.var["feature_types"] = kind
        assert found(one=said[0], two=said[1]) == {"genes": "one", "proteins": "two"}

    def test_slots_of_obsm_are_found(self, built):
        ref = built[0]
        assert (
            build(in_obsm(ref, "protein_expression"), max_epochs=1).spec.modalities["proteins"] == "protein_expression"
        )
        assert build(in_obsm(ref, "rna"), max_epochs=1, protein_key="rna").spec.modalities["genes"] == "rna_genes"

    @pytest.mark.parametrize("place", ["whole", "modality"])
    def test_columns(self, place, tmp_path):
        ref, query = parts()
        for part in (ref, query):
            columns = part.mod["rna"].obs[["batch", "cell_type"]].astype(str)
            columns["donor"] = np.resize(["a", "b"], part.n_obs)
            columns["age"] = np.linspace(0, 1, part.n_obs)
            for one in (part, *part.mod.values()):
                one.obs = pd.DataFrame(index=part.obs_names)
            (part if place == "whole" else part.mod["rna"]).obs = columns
        model = build(ref, "cell_type", categorical_covariate_keys=["donor"], continuous_covariate_keys=["age"])
        assert model.spec.categorical_covariates == {"donor": ("a", "b")}
        assert model.spec.continuous_covariates == ("age",)
        assert set(model.state.summaries["cell_type"].labels) == {"type0", "type1", "type2"}
        mapped = mapped_onto(model, query)
        np.testing.assert_array_equal(mapped.embed(ref), ref.obsm["X_scarches"])

    def test_layers(self):
        ref, query = parts()
        for part in (ref, query):
            for one in part.mod.values():
                one.layers["counts"] = one.X.copy()
                one.X = np.log1p(one.X.toarray() if sparse.issparse(one.X) else one.X)
        model = build(ref, layer="counts")
        assert (model.spec.layer, model.spec.protein_layer) == ("counts", "counts")
        mapped_onto(model, query)
        del ref.mod["protein"].layers["counts"]
        with pytest.raises(QueryError, match=r"proteins \(modality 'protein'\).*log-normalised"):
            build(ref, layer="counts")
        ref.mod["protein"].X = np.expm1(ref.mod["protein"].X).round()
        assert build(ref, layer="counts").spec.protein_layer is None


def test_penalties():
    model = build(parts()[0], penalties=[sp.train.MMD(), sp.train.BatchAdversary(n_hidden=8)])
    assert {"mmd_train", "batch_adversary_train"} <= set(model.history)
    assert [one["name"] for one in model.state.penalties] == ["mmd", "batch_adversary"]


def test_masks_of_genes_and_of_proteins():
    ref, query = parts()
    ref.mod["protein"].X[(ref.obs["batch"] == "batch1").to_numpy(), 2] = 0
    with pytest.warns(UserWarning, match="all 0 counts"):
        model = build(ref, gene_mask={"batch1": list(ref.mod["rna"].var_names[5:])})
    assert model.state.unmeasured == {"batch1": [0, 1, 2, 3, 4]}
    assert not model.module.gene_mask[1, :5].any()
    assert model.module.gene_mask[0].all()
    assert model.module.protein_batch_mask["1"].tolist() == [True, True, False, True, True]
    assert mapped_onto(model, query).module.protein_batch_mask["2"].all()


def test_a_protein_may_have_the_name_of_a_gene(tmp_path):
    ref, query = parts()
    gene = ref.mod["rna"].var_names[3]
    for part in (ref, query):
        part.mod["protein"].var_names = [gene, *part.mod["protein"].var_names[1:]]
        with pytest.warns(UserWarning, match="var_names are not unique"):  # of mudata, where the user makes it
            part.update()
    model = build(ref)
    mapped_onto(model, query).save(tmp_path / "model")
    np.testing.assert_array_equal(sp.load(tmp_path / "model").embed(query), query.obsm["X_scarches"])


def test_a_model_that_was_given_its_cells_is_saved_with_them(built, tmp_path):
    ref, model, _ = built
    model.save(tmp_path / "model")
    again = sp.load(sp.load(tmp_path / "model"), ref)
    again.save(tmp_path / "again", save_anndata=True)
    assert sp.load(tmp_path / "again").state == model.state
    for opened in (TOTALVI.load(tmp_path / "again"), scvi.model.TOTALVI.load(str(tmp_path / "again"))):
        np.testing.assert_allclose(opened.get_latent_representation(), ref.obsm["X_scarches"], rtol=1e-5, atol=1e-6)


class TestLabels:
    def test_cells_without_a_label_do_not_describe_one(self):
        ref, _ = parts()
        ref.obs["cell_type"] = ref.obs["cell_type"].astype(object)
        ref.obs.loc[ref.obs["cell_type"] == "type2", "cell_type"] = "none of these"
        ref.obs.loc[ref.obs_names[:5], "cell_type"] = np.nan
        model = build(ref, "cell_type", unlabeled_category="none of these")
        assert model.state.summaries["cell_type"].labels == ("type0", "type1")
        assert build(ref).state.summaries == {}

    def test_too_few_cells_of_each(self, caplog):
        ref, _ = parts()
        ref.obs["cell_type"] = [f"type {i}" for i in range(ref.n_obs)]
        with caplog.at_level(logging.WARNING, logger="scarches_plus"):
            model = build(ref, "cell_type")
        assert model.state.summaries == {}
        assert "carries no summary of the labels in obs['cell_type']" in caplog.text


class TestRefusals:
    def test_recipes_of_genes_take_no_mudata(self, built):
        ref = built[0]
        for recipe, one in RECIPES.items():
            if one.model != "TOTALVI":
                with pytest.raises(TypeError, match=r"mdata\.mod\['rna'\].*recipe='totalvi'"):
                    build(ref, "cell_type", recipe=recipe)
        with pytest.raises(ValueError, match="protein_key has no use"):
            build(in_obsm(ref), recipe="scvi", protein_key="protein")
        genes = ref.mod["rna"].copy()  # the advice works
        assert build(genes, recipe="scvi").spec.modalities == {}

    def test_cells_without_proteins(self, built):
        rna, proteins = (part.copy() for part in built[0].mod.values())
        with pytest.raises(ValueError, match="no proteins found in obsm"):
            build(rna)
        with pytest.raises(ValueError, match=r"no proteins found among the modalities \['rna', 'atac'\]"):
            build(mudata.MuData({"rna": rna, "atac": proteins}))
        more = rna.copy()
        more.var_names = [f"{name} again" for name in more.var_names]
        with pytest.raises(ValueError, match=r"no genes found among the modalities \['a', 'b', 'prot'\]"):
            build(mudata.MuData({"a": rna, "b": more, "prot": proteins}))
        with pytest.raises(KeyError, match="modality 'adt' not found"):
            build(mudata.MuData({"rna": rna, "prot": proteins}), protein_key="adt")
        with pytest.raises(KeyError, match="obsm slot 'adt' not found"):
            build(rna, protein_key="adt")
        rna.obsm["adt"] = rna.obsm["prot"] = proteins.X
        with pytest.raises(ValueError, match=r"\['adt', 'prot'\] of obsm"):
            build(rna)

    def test_proteins_among_genes(self, built):
        """As scanpy reads 10x files of both; the advice works."""
        import anndata

        rna, proteins = (part.copy() for part in built[0].mod.values())
        rna.var, proteins.var = (
            pd.DataFrame({"feature_types": kind}, index=part.var_names)
            for part, kind in ((rna, "Gene Expression"), (proteins, "Antibody Capture"))
        )
        adata = anndata.concat([rna, proteins], axis=1, merge="first")
        adata.obs["batch"] = rna.obs["batch"]
        with pytest.raises(ValueError, match="proteins stand among the genes") as refused:
            build(adata)
        scope = {"adata": adata, "mudata": mudata}
        exec(str(refused.value).partition("take them apart, ")[2], scope)  # noqa: S102
        assert build(scope["mdata"]).spec.modalities == {"genes": "rna", "proteins": "prot"}

    def test_a_hierarchy_and_missing_values(self, built):
        with pytest.raises(ValueError, match="hierarchy has no use"):
            build(built[0], "cell_type", hierarchy={"type0": "a", "type1": "a", "type2": None})
        ref, _ = parts()
        ref.mod["protein"].X[0, 0] = np.nan
        with pytest.raises(QueryError, match="are 0 in all of its cells"):
            build(ref)
        with pytest.raises(QueryError, match="'celltype' not found"):
            build(parts()[0], "celltype")


class TestProteinsOfAQueryUnderAnotherName:
    @pytest.mark.parametrize("kind", ["modalities", "obsm"])
    def test_they_are_said_and_the_fix_works(self, built, kind):
        _, model, query = built
        if kind == "obsm":
            adata = in_obsm(query, "adt")
        else:
            adata = mudata.MuData({"rna": query.mod["rna"].copy(), "adt": query.mod["protein"].copy()})
            adata.obs["batch"] = query.obs["batch"].to_numpy()
        (problem,) = sp.pp.check_query(adata, model).problems
        assert problem.severity == "warning"
        assert "['adt'] is not read" in problem.message
        exec(problem.fix, {"adata": adata, "mdata": adata})  # noqa: S102
        assert sp.pp.check_query(adata, model).problems == ()
        assert mapped_onto(model, adata).module.protein_batch_mask is None

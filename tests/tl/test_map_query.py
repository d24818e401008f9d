"""Mapping queries, end to end."""

import anndata
import numpy as np
import pytest
import scvi
from anndata import AnnData
from sklearn.neighbors import NearestNeighbors
from small_models import NETWORK, setup, split, train

import scarches_plus as sp

SILENT = {"enable_progress_bar": False}
FAST = {"max_epochs": 2, "train_kwargs": SILENT}


def test_contract(reference, model, query):
    before, weights = query.copy(), {k: v.clone() for k, v in model.module.state_dict().items()}
    mapped = sp.tl.map_query(query, model, **FAST)
    assert type(mapped) is type(model)
    assert query.obsm["X_scarches"].shape == (query.n_obs, 4)
    assert query.obs.equals(before.obs)
    assert set(query.uns) - set(before.uns) == {"scarches_plus"}
    assert (query.X != before.X).nnz == 0
    assert all((weights[k] == v).all() for k, v in model.module.state_dict().items())
    np.testing.assert_array_equal(mapped.embed(reference), reference.obsm["X_scarches"])


def test_provenance(model, query, tmp_path):
    scvi.settings.seed = 11
    mapped = sp.tl.map_query(query, model, **FAST)
    query.write_h5ad(tmp_path / "query.h5ad")
    record = anndata.read_h5ad(tmp_path / "query.h5ad").uns["scarches_plus"]["embeddings"]["X_scarches"]
    assert record["space"] == model.state.space
    assert record["versions"]["scvi-tools"] == scvi.__version__
    mapping = record["mapping"]
    assert mapping["strategy"] == "condition"
    assert mapping["seed"] == 11
    assert mapping["trained_parameters"] == mapped.surgery.n_trainable
    assert list(mapping["new_batches"]) == ["batch2", "batch3"]
    assert mapping["drift"]["rmsd"] == 0.0
    assert mapping["drift"]["neighbor_preservation"] == 1.0
    assert mapping["epochs"] == 2
    assert mapping["reference_hash"] == mapped.state.lineage[0]["reference_hash"]


@pytest.mark.parametrize("strategy", ["input_layers", "all"])
def test_other_strategies_make_a_new_space(reference, model, query, strategy):
    mapped = sp.tl.map_query(query, model, strategy=strategy, **FAST)
    assert mapped.state.space != model.state.space
    assert query.uns["scarches_plus"]["embeddings"]["X_scarches"]["mapping"]["drift"]["rmsd"] > 0
    with pytest.raises(ValueError, match="different latent spaces"):
        sp.tl.transfer_labels(query, reference, "cell_type")
    sp.tl.embed(reference, mapped)
    sp.tl.transfer_labels(query, reference, "cell_type")


def test_from_a_folder_and_from_scvi_tools(reference, model, query, tmp_path):
    model.save(tmp_path / "model")
    latents = []
    for source in (
        model,
        tmp_path / "model",
        str(tmp_path / "model"),
        scvi.model.SCVI.load(str(tmp_path / "model"), reference.copy()),
    ):
        scvi.settings.seed = 2
        cells = query.copy()
        sp.tl.map_query(cells, source, **FAST)
        latents.append(cells.obsm["X_scarches"])
    for latent in latents[1:]:
        np.testing.assert_array_equal(latent, latents[0])


def test_one_after_another(reference, model, query):
    first = query[query.obs["batch"] == "batch2"].copy()
    second = query[query.obs["batch"] == "batch3"].copy()
    step = sp.tl.map_query(first, model, **FAST)
    last = sp.tl.map_query(second, step, **FAST)
    assert len(last.state.lineage) == 2
    np.testing.assert_array_equal(last.embed(reference), reference.obsm["X_scarches"])
    np.testing.assert_array_equal(last.embed(first), first.obsm["X_scarches"])
    sp.tl.transfer_labels(second, reference, "cell_type")


def test_query_of_another_shape(model, query):
    counts = query[:, 5:][:, ::-1].copy()
    counts.obs = counts.obs.rename(columns={"batch": "sample"})[["sample"]]
    counts.layers["raw"] = counts.X
    counts.X = None
    sp.tl.map_query(counts, model, layer="raw", batch_key="sample", **FAST)
    assert np.isfinite(counts.obsm["X_scarches"]).all()
    assert "cell_type" not in counts.obs


def test_labels_of_the_query_are_not_read(model, query):
    latents = []
    for relabel in (False, True):
        scvi.settings.seed = 4
        cells = query.copy()
        if relabel:
            cells.obs["cell_type"] = "something else"
        sp.tl.map_query(cells, model, **FAST)
        latents.append(cells.obsm["X_scarches"])
    np.testing.assert_array_equal(*latents)


def test_problems(model, query):
    few = query[:, :8].copy()
    few = few[np.asarray(few.X.sum(1)).ravel() > 0].copy()
    with pytest.raises(sp.pp.QueryError, match="only 8 of the reference's 40 genes"):
        sp.tl.map_query(few, model, **FAST)
    assert "X_scarches" not in few.obsm
    with pytest.warns(UserWarning, match="only 8 of the reference's 40 genes"):
        sp.tl.map_query(few, model, on_problem="warn", **FAST)


def test_batch_blind_reference(adata, query):
    ref, _ = split(adata, "batch2", "batch3")
    setup(sp.model.SCVI, ref)
    blind = train(sp.model.SCVI(ref, **{**NETWORK, "encode_covariates": False}))
    with pytest.raises(ValueError, match="encode_covariates=True"):
        sp.tl.map_query(query, blind, **FAST)


def test_interrupted_training_is_a_keyboard_interrupt(model, query):
    from lightning.pytorch.callbacks import Callback

    class Interrupt(Callback):
        def on_train_epoch_end(self, *_):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="holds the weights"):
        sp.tl.map_query(
            query, model, max_epochs=3, train_kwargs={"callbacks": [Interrupt()], "enable_progress_bar": False}
        )
    assert "X_scarches" not in query.obsm


@pytest.mark.filterwarnings("ignore::UserWarning")  # a query of one cell is warned of, by us and by scvi-tools
def test_a_query_of_one_cell_and_the_next(model, query):
    one = query[:1].copy()
    step = sp.tl.map_query(one, model, **FAST)
    rest = query[query.obs["batch"] == "batch3"].copy() if one.obs["batch"].iloc[0] == "batch2" else query[1:].copy()
    rest.obs["batch"] = "later"
    sp.tl.map_query(rest, step, **FAST)
    assert rest.uns["scarches_plus"]["embeddings"]["X_scarches"]["mapping"]["drift"] == {"weights": 0.0}


def test_drift_without_cells(model, query, tmp_path):
    model.save(tmp_path / "model")
    for strategy in ("condition", "all"):
        mapped = sp.tl.map_query(query, tmp_path / "model", strategy=strategy, **FAST)
        drift = mapped.state.lineage[-1]["drift"]
        assert set(drift) == {"weights"}
        assert (drift["weights"] == 0.0) == (strategy == "condition")


def test_epochs_are_what_is_asked(model, query):
    with pytest.raises(ValueError, match="at least 1"):
        sp.tl.map_query(query, model, max_epochs=0)


def test_new_covariate_categories_are_named(adata):
    cells = adata.copy()
    cells.obs["donor"] = np.resize(["a", "b"], cells.n_obs)
    ref, _ = split(cells, "batch2", "batch3")
    built = sp.tl.build_reference(
        ref, "batch", categorical_covariate_keys=["donor"], model_kwargs={"n_hidden": 8}, **FAST
    )
    ref.obs["donor"] = "c"
    with pytest.raises(ValueError, match=r"no \['c'\] in obs\['donor'\]"):
        sp.tl.embed(ref, built)


def test_drift_is_measured_on_some_cells_of_a_large_reference(model, query, monkeypatch, limits):
    limits(drift_cells=10)
    mapped = sp.tl.map_query(query, model, strategy="all", **FAST)
    drift = mapped.state.lineage[-1]["drift"]
    assert drift["cells"] == 10
    assert drift["rmsd"] > 0


def shared_neighbors(one, other, k=15):
    found = [NearestNeighbors(n_neighbors=k).fit(z).kneighbors(return_distance=False) for z in (one, other)]
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(*found, strict=True)])


@pytest.mark.slow
def test_engines_agree_as_seeds_do_on_real_cells():
    """Real PBMC: the fast path is as near to scvi-tools' training as that is to itself, and transfers the same
    labels.
    """
    adata = sp.datasets.pbmc68k()
    query = adata.obs["batch"].isin(["lane1", "lane2", "lane3"]).to_numpy()
    reference, query = adata[~query].copy(), adata[query].copy()
    scvi.settings.seed = 0
    model = sp.tl.build_reference(reference, "batch", max_epochs=100, train_kwargs=SILENT)
    cls, z, labels = type(model), {}, {}
    for name, engine, seed in (("loop", "scvi", 1), ("loop again", "scvi", 2), ("fast", "fast", 3)):
        scvi.settings.seed = 0  # the new columns start the same
        mapped = cls.load_query_data(query, model)
        scvi.settings.seed = seed
        mapped.train(200, engine=engine, plan_kwargs={"weight_decay": 0.0}, **SILENT)
        z[name] = mapped.embed(query)
        cells = AnnData(obs=query.obs[[]].copy(), obsm={"z": z[name]})
        ref = AnnData(obs=reference.obs[["cell_type"]].copy(), obsm={"z": reference.obsm["X_scarches"]})
        sp.tl.transfer_labels(cells, ref, "cell_type", use_rep="z", unknown_above=None)
        labels[name] = cells.obs["cell_type_pred"].to_numpy()
    assert shared_neighbors(z["fast"], z["loop"]) >= shared_neighbors(z["loop again"], z["loop"]) - 0.01
    between_seeds = np.mean(labels["loop"] == labels["loop again"])
    assert np.mean(labels["fast"] == labels["loop"]) >= min(0.995, between_seeds - 1 / query.n_obs)


def test_drift_over_queries_in_sequence(reference, model, query):
    halves = [query[::2].copy(), query[1::2].copy()]
    for half, name in zip(halves, ("first", "second"), strict=True):
        half.obs["batch"] = name
    current = model
    for half in halves:
        current = sp.tl.map_query(half, current, strategy="all", drift_cells=reference, **FAST)
    first, second = (record["drift"] for record in current.state.lineage)
    assert first["relative_rmsd"] == pytest.approx(first["total_relative_rmsd"], rel=1e-4)
    total = sp.metrics.reference_drift(
        reference.obsm["X_scarches"], current.embed(reference), reference.obs["cell_type"], k=15
    )
    assert second["total_rmsd"] == pytest.approx(total.rmsd, rel=1e-6)
    assert second["total_label_agreement"] == total.label_agreement
    assert second["rmsd"] != pytest.approx(second["total_rmsd"], rel=0.01)
    assert second["elbo_before"] == pytest.approx(first["elbo_after"], rel=1e-5)
    still = sp.tl.map_query(halves[0].copy(), model, drift_cells=reference, **FAST).state.lineage[-1]["drift"]
    assert still["total_rmsd"] == 0.0
    assert still["label_agreement"] == 1.0
    assert "elbo_after" not in still


def test_odd_cells_of_drift_are_said_once(reference, model, query):
    reference.X = reference.X * np.float32(0.3)
    with pytest.warns(UserWarning, match="drift_cells: warning: .*counts multiplied by 0.3") as said:
        sp.tl.map_query(query, model, drift_cells=reference, **FAST)
    assert [warning.filename for warning in said] == [__file__]


def test_drift_in_elbo_is_that_of_scvi_tools(reference, model, query):
    values = [float(model.get_elbo(model.adata)) for _ in range(10)]
    found = [
        sp.tl.map_query(query.copy(), model, strategy="all", drift_cells=reference, **FAST).state.lineage[-1]["drift"]
        for _ in range(2)
    ]
    assert found[0]["elbo_before"] == pytest.approx(-np.mean(np.abs(values)), rel=0.01)
    assert found[0]["elbo_before"] == found[1]["elbo_before"]


def test_a_summary_that_cannot_be_taken_along_stays_behind(reference, query):
    squared = sp.tl.build_reference(
        reference.copy(), "batch", recipe="trvae_mse", max_epochs=1, train_kwargs={"enable_progress_bar": False},
        model_kwargs={"layer_widths": (12, 8)},
    )  # fmt: skip
    sp.train.summarize_reference(squared, "cell_type")
    options = {"max_epochs": 1, "train_kwargs": {"enable_progress_bar": False}}
    with pytest.warns(UserWarning, match="^anchors and the summary of 'cell_type' cannot be taken along"):
        moved = sp.tl.map_query(query.copy(), squared, strategy="all", **options)
    assert not moved.state.summaries
    one_batch = query[query.obs["batch"] == "batch2"].copy()
    one_batch.obs["batch"] = "another"
    with pytest.raises(ValueError, match="store_anchors"):
        sp.tl.map_query(one_batch, moved, penalties=[sp.train.MMD(anchors=True)], **options)
    kept = sp.tl.map_query(query.copy(), squared, **options)
    assert set(kept.state.summaries) == {"cell_type"}
    assert kept.state.anchors.space == kept.state.space


def test_clcvae_is_all_with_consolidation(model, query, tmp_path):
    with pytest.raises(ValueError, match="estimate_importance"):
        sp.tl.map_query(query, model, strategy="clcvae", **FAST)
    model.save(tmp_path / "model")
    own = sp.model.load(tmp_path / "model", model.adata.copy())
    sp.train.estimate_importance(own, n_cells=50)
    mapped = sp.tl.map_query(query, own, strategy="clcvae", penalties=[sp.train.MMD()], **FAST)
    assert mapped.surgery.strategy == "all"
    assert {"ewc_train", "mmd_train"} <= set(mapped.history)
    record = query.uns["scarches_plus"]["embeddings"]["X_scarches"]["mapping"]
    assert record["recipe"] == "clcvae"
    assert "ewc" in record["penalties"]
    query.write_h5ad(tmp_path / "query.h5ad")


def test_scanvis_classifier_is_held_where_it_could_move(adata):
    ref, query = split(adata, "batch2", "batch3")
    model = sp.tl.build_reference(
        ref, "batch", "cell_type", recipe="scanvi", model_kwargs={"n_hidden": 8, "n_latent": 4}, **FAST
    )
    named = {
        "none": {"penalties": ()},
        "one's own": {"penalties": [sp.train.LabelReplay(weight=3.0)]},
        "by default": {},
    }
    found = {
        name: [
            one["name"] for one in sp.tl.map_query(query.copy(), model, strategy="all", **how, **FAST).state.penalties
        ]
        for name, how in named.items()
    }
    assert found == {"none": [], "one's own": ["label_replay"], "by default": ["label_replay"]}
    assert not sp.tl.map_query(query.copy(), model, **FAST).state.penalties
    assert not sp.tl.map_query(query.copy(), model, strategy="all", use_query_labels=True, **FAST).state.penalties

"""Models train on cells whose counts lie on disk as on cells in memory."""

import tracemalloc
from typing import ClassVar

import anndata
import numpy as np
import pandas as pd
import pytest
import scvi
from anndata import AnnData
from anndata.experimental import AnnCollection
from scipy import sparse
from small_models import NETWORK, cells, split

import scarches_plus as sp

QUIET = {"enable_progress_bar": False}


@pytest.fixture
def pair(tmp_path):
    """Cells in memory, and the same in a store, in the same order."""
    store = sp.pp.write_store(cells(240), tmp_path / "store.zarr")
    adata = sp.pp.open_cells(store).to_memory()
    return adata, sp.pp.open_cells(store)


def built(adata, recipe="scvi", epochs=3, seed=0, batch_key="batch", **kwargs):
    scvi.settings.seed = seed
    options = {"max_epochs": epochs, "model_kwargs": NETWORK, "train_kwargs": {**QUIET, "batch_size": 40}, **kwargs}
    return sp.tl.build_reference(adata, batch_key, "cell_type", recipe=recipe, **options)


def two_studies(folder):
    """Studies of different batches and genes, and their files."""
    one, other = split(cells(240), "batch2")
    studies = {"smith": one[:, :36].copy(), "jones": other[:, ::-1][:, :37].copy()}
    for name, adata in studies.items():
        adata.write_h5ad(folder / f"{name}.h5ad")
    return studies, [folder / f"{name}.h5ad" for name in studies]


def same_histories(one, other):
    assert set(one.history) == set(other.history)
    for name, values in one.history.items():
        pd.testing.assert_frame_equal(values, other.history[name], check_exact=True)


class Seen(sp.train.Penalty):
    """Sees the cells of every minibatch by a number that their counts carry."""

    name = "seen"
    numbers: ClassVar[list] = []

    def value(self, step):
        counts = step.tensors["X"][:, :2].long()
        self.numbers.append((counts[:, 0] + 100 * counts[:, 1]).tolist())
        return step.inference["z"].sum() * 0.0


def numbered(n_cells):
    """Cells whose first two genes spell their number."""
    adata = cells(n_cells)
    counts = adata.X.toarray()
    number = np.arange(n_cells)
    counts[:, 0], counts[:, 1] = number % 100, number // 100
    adata.X = sparse.csr_matrix(counts)
    return adata


@pytest.mark.parametrize("recipe", ["scvi", "scanvi", "trvae"])
def test_few_cells_train_to_the_bit_as_in_memory(pair, recipe):
    adata, on_disk = pair
    one, other = built(adata, recipe), built(on_disk, recipe)
    same_histories(one, other)
    np.testing.assert_array_equal(adata.obsm["X_scarches"], on_disk.obsm["X_scarches"])
    assert not sparse.issparse(other.adata.X)


def test_a_path_is_opened_and_its_model_keeps_the_embedding(pair, tmp_path):
    adata, _ = pair
    adata.write_h5ad(tmp_path / "cells.h5ad")
    one, other = built(adata), built(tmp_path / "cells.h5ad")
    same_histories(one, other)
    np.testing.assert_array_equal(adata.obsm["X_scarches"], other.adata.obsm["X_scarches"])


@pytest.mark.parametrize("batch_key", ["batch", "study"])
@pytest.mark.parametrize("layer", [None, "counts"])
def test_several_files_train_as_their_cells_joined_in_memory(tmp_path, batch_key, layer):
    studies, files = two_studies(tmp_path)
    if layer:
        for adata, file in zip(studies.values(), files, strict=True):
            adata.layers[layer] = adata.X
            adata.X = adata.X.log1p()
            adata.write_h5ad(file)
    joined = sp.pp.concat_studies(studies, layer=layer)
    one = built(joined, batch_key=batch_key, layer=layer)
    mixed = {"smith": files[0], "jones": studies["jones"]}
    for given in (files, tuple(map(sp.pp.open_cells, files)), mixed):
        if batch_key == "study" and isinstance(given, tuple):
            continue  # whose studies have no names
        other = built(given, batch_key=batch_key, layer=layer)
        same_histories(one, other)
        np.testing.assert_array_equal(joined.obsm["X_scarches"], other.adata.obsm["X_scarches"])
        assert one.state.unmeasured == other.state.unmeasured
        assert len(other.state.unmeasured) == len(other.spec.batches)  # every batch lacks some genes
        assert not sparse.issparse(other.adata.X)


@pytest.mark.parametrize("backed", [False, True])
def test_a_collection_trains_as_its_cells(tmp_path, backed):
    studies, files = two_studies(tmp_path)
    parts = [anndata.read_h5ad(file, backed="r") for file in files] if backed else list(studies.values())
    collection = AnnCollection(parts, join_vars="inner", label="source", keys=list(studies))
    genes = list(collection.var_names)
    joined = anndata.concat({name: adata[:, genes] for name, adata in studies.items()}, label="source")
    one, other = built(joined, batch_key="source"), built(collection, batch_key="source")
    same_histories(one, other)
    np.testing.assert_array_equal(joined.obsm["X_scarches"], other.adata.obsm["X_scarches"])
    assert sparse.issparse(other.adata.X) is not backed


def test_a_query_maps_onto_a_reference_of_several_files(tmp_path):
    _, files = two_studies(tmp_path)
    model = built(files)
    query = cells(60, rng=1)
    query.obs["batch"] = "new"
    sp.tl.map_query(query, model, max_epochs=2, train_kwargs=QUIET)
    sp.tl.transfer_labels(query, model.adata, "cell_type")
    assert set(query.obs["cell_type_pred"].astype(str)) <= {*model.adata.obs["cell_type"].astype(str), "Unknown"}


@pytest.mark.parametrize("n_files", [1, 3])
@pytest.mark.parametrize("engine", ["auto", "scvi"])
def test_every_cell_is_seen_once_an_epoch(tmp_path, small_windows, engine, n_files):
    adata = numbered(330)
    parts = [adata] if n_files == 1 else [adata[:100], adata[100:107], adata[107:]]
    files = [tmp_path / f"cells{i}.h5ad" for i in range(n_files)]
    for part, file in zip(parts, files, strict=True):
        part.write_h5ad(file)
    Seen.numbers.clear()
    model = built(files[0] if n_files == 1 else files, epochs=1, penalties=())
    scvi.settings.seed = 0
    model.train(2, engine=engine, penalties=[Seen()], batch_size=40, **QUIET)
    n_train = len(model.train_indices)
    numbers = [cell for minibatch in Seen.numbers for cell in minibatch]
    first, second = numbers[:n_train], numbers[n_train:]
    assert len(numbers) == 2 * n_train
    for epoch in (first, second):
        assert sorted(epoch) == sorted(model.train_indices.tolist())
    assert [len(one) for one in Seen.numbers] == 2 * ([40] * (n_train // 40) + [n_train % 40] * bool(n_train % 40))
    assert first != second
    assert np.corrcoef(first, range(n_train))[0, 1] < 0.5  # not in the order of the file


def test_windows_train_as_well_as_memory(pair, small_windows, monkeypatch):
    """The order of cells is another, as with another seed: as near as seeds are to each other."""
    adata, on_disk = pair

    def elbo(given, seed):
        return float(np.ravel(built(given, epochs=30, seed=seed).history["elbo_train"])[-1])

    from_disk = elbo(on_disk, 0)
    in_memory = np.array([elbo(adata, seed) for seed in range(4)])
    assert abs(from_disk - in_memory.mean()) < 4 * in_memory.std(ddof=1)


@pytest.mark.parametrize("n_per_label", [None, 5])
@pytest.mark.parametrize("engine", ["auto", "scvi"])
def test_scanvi_trains_on_labelled_cells_of_windows(tmp_path, small_windows, engine, n_per_label):
    adata = cells(240, type_effect=2.0)  # types that the same training tells apart in memory without an error
    truth = adata.obs["cell_type"].astype(str).to_numpy()
    hidden = np.arange(240) % 3 == 0
    adata.obs["cell_type"] = np.where(hidden, "Unknown", truth)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    train_kwargs = {**QUIET, "batch_size": 40, "engine": engine, "n_samples_per_label": n_per_label}
    model = built(tmp_path / "cells.h5ad", "scanvi", epochs=20, train_kwargs=train_kwargs)
    assert (model.predict()[hidden] == truth[hidden]).mean() > 0.95


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_labelled_cells_that_drop_last_leaves_out_are_told(tmp_path, small_windows):
    adata = cells(240)
    adata.obs["cell_type"] = np.where(np.arange(240) < 24, adata.obs["cell_type"].astype(str), "Unknown")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    options = {**QUIET, "batch_size": 40, "engine": "scvi", "datasplitter_kwargs": {"drop_last": True}}
    with pytest.raises(ValueError, match=r"\d labelled cells are less than a minibatch.*drop_last"):
        built(tmp_path / "cells.h5ad", "scanvi", epochs=1, train_kwargs=options)


@pytest.mark.parametrize("strategy", ["condition", "all"])
def test_a_query_from_disk_maps_as_in_memory(tmp_path, strategy):
    reference, query = split(cells(360), "batch2")
    model = built(reference)
    query = query[:, ::-1][:, 5:].copy()  # other order, and fewer genes
    query.write_h5ad(tmp_path / "query.h5ad")
    on_disk = sp.pp.open_cells(tmp_path / "query.h5ad")
    for adata in (query, on_disk):
        scvi.settings.seed = 0
        sp.tl.map_query(adata, model, strategy=strategy, max_epochs=5, train_kwargs=QUIET)
    np.testing.assert_array_equal(query.obsm["X_scarches"], on_disk.obsm["X_scarches"])


def test_a_query_in_windows_lands_where_it_does_in_memory(tmp_path, small_windows):
    reference, query = split(cells(360), "batch2")
    model = built(reference, epochs=20)
    query.write_h5ad(tmp_path / "query.h5ad")
    on_disk = sp.pp.open_cells(tmp_path / "query.h5ad")
    latent = {}
    for name, adata, seed in (("memory", query, 0), ("again", query, 1), ("disk", on_disk, 0)):
        scvi.settings.seed = seed
        sp.tl.map_query(adata, model, max_epochs=40, train_kwargs=QUIET)
        latent[name] = np.array(adata.obsm["X_scarches"])
    seeds = np.abs(latent["memory"] - latent["again"]).mean()
    assert np.abs(latent["memory"] - latent["disk"]).mean() < 2 * seeds


def test_what_is_learned_of_cells_is_the_same_from_disk(pair, small_windows):
    adata, on_disk = pair
    model = built(adata)
    results = []
    for given in (adata, on_disk):
        again = built(given, epochs=1, train_kwargs={**QUIET, "batch_size": 400})
        again.module.load_state_dict(model.module.state_dict())
        results.append(
            (
                sp.train.store_anchors(again, n_cells=60),
                sp.train.estimate_importance(again),
                sp.train.summarize_reference(again, "cell_type"),
                sp.tl.label_profiles(given, "cell_type", "batch"),
                sp.tl.expression_classifier(given, "cell_type", batch_key="batch"),
            )
        )
    for one, two in zip(*results, strict=True):
        for name in ("z_mean", "means", "logs", "coefficients"):
            if hasattr(one, name):
                np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-4, atol=1e-5)
    one, two = (np.concatenate([values.ravel() for values in result[1].fisher.values()]) for result in results)
    assert np.corrcoef(one, two)[0, 1] > 0.9  # of one latent sample for each cell


def test_training_holds_no_more_than_a_few_windows(tmp_path, small_windows):
    """numpy's memory; torch holds a minibatch and the weights."""
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(0.4, (20_000, 100)).astype(np.float32))
    obs = pd.DataFrame({"batch": rng.choice(["a", "b"], 20_000)}, index=[f"c{i}" for i in range(20_000)])
    var = pd.DataFrame(index=[f"gene{i}" for i in range(100)])
    AnnData(counts, obs, var).write_h5ad(tmp_path / "cells.h5ad")
    scvi.settings.seed = 0
    model = sp.tl.build_reference(
        tmp_path / "cells.h5ad", "batch", max_epochs=1, model_kwargs=NETWORK, train_kwargs=QUIET
    )
    tracemalloc.start()
    model.train(1, **QUIET)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    whole = counts.data.nbytes + counts.indices.nbytes
    assert peak < whole / 2
    assert not sparse.issparse(model.adata.X)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda adata: [adata, 3], "study '1' must be an AnnData, not 3"),
        (lambda adata: AnnCollection([adata])[:9], r"concat_studies\(collection\)"),
        (lambda _: type("Loader", (), {"train_dataloader": None})(), "the data module has no registry"),
        (lambda _: 3, "adata must be an AnnData or MuData, not 3"),
    ],
)
def test_what_cannot_be_read_so_is_refused_with_advice(given, said):
    with pytest.raises(TypeError, match=said):
        built(given(cells(30)))


def test_counts_of_a_file_are_not_saved_twice(pair, tmp_path):
    """Refused before anything is written; the model opens with the file again."""
    _, on_disk = pair
    model = built(on_disk, epochs=1)
    with pytest.raises(ValueError, match=r"are not written a second time.*sp\.pp\.open_cells"):
        model.save(tmp_path / "model", save_anndata=True)
    assert not (tmp_path / "model").exists()
    model.save(tmp_path / "model")
    again = sp.load(tmp_path / "model", adata=on_disk)
    np.testing.assert_allclose(again.get_latent_representation(), model.get_latent_representation(), atol=1e-5)

"""Files and models go both ways between this package and scvi-tools."""

import numpy as np
import pytest
import scvi
import torch
from small_models import NETWORK, cells, reference, setup, split, train

from scarches_plus.model import SCANVI, SCVI, load

PAIRS = [(SCVI, scvi.model.SCVI), (SCANVI, scvi.model.SCANVI)]


@pytest.fixture(params=PAIRS, ids=lambda pair: pair[0].__name__)
def pair(request):
    return request.param


def plain_reference(theirs, adata):
    setup(theirs, adata)
    return train(theirs(adata, **NETWORK), log_every_n_steps=1, train_size=1.0)


def test_plain_scvi_tools_opens_a_reference(pair, tmp_path):
    ours, theirs = pair
    ref, _ = split(cells(), "batch2")
    model = reference(ours, ref)
    model.save(tmp_path / "model")
    again = theirs.load(str(tmp_path / "model"), adata=ref.copy())
    assert type(again) is theirs
    np.testing.assert_allclose(
        again.get_latent_representation(), model.get_latent_representation(), rtol=1e-5, atol=1e-6
    )


def test_plain_scvi_tools_opens_a_mapped_model_with_missing_genes(pair, tmp_path):
    ours, theirs = pair
    ref, query = split(cells(), "batch2")
    mapped = train(ours.load_query_data(query[:, 5:].copy(), reference(ours, ref)))
    mapped.save(tmp_path / "model")
    again = theirs.load(str(tmp_path / "model"), adata=mapped.adata.copy())
    np.testing.assert_allclose(
        again.get_latent_representation(), mapped.get_latent_representation(), rtol=1e-5, atol=1e-6
    )


def test_a_model_of_scvi_tools_maps(pair, tmp_path):
    ours, theirs = pair
    ref, query = split(cells(), "batch2")
    plain = plain_reference(theirs, ref)
    before = plain.get_latent_representation()
    plain.save(str(tmp_path / "model"))
    for source in (plain, tmp_path / "model", str(tmp_path / "model")):
        model = load(source)
        assert type(model) is ours
        embedded = model.embed(ref)
        np.testing.assert_allclose(embedded, before, rtol=1e-5, atol=1e-6)
        mapped = train(ours.load_query_data(query, model))
        assert np.abs(mapped.embed(ref) - embedded).max() == 0.0
    np.testing.assert_array_equal(plain.get_latent_representation(), before)


def test_space_is_the_same_however_the_model_arrives(pair, tmp_path):
    _ours, theirs = pair
    ref, _ = split(cells(), "batch2")
    plain = plain_reference(theirs, ref)
    plain.save(str(tmp_path / "model"))
    assert load(plain).state.space == load(tmp_path / "model").state.space


def test_without_cells(pair, tmp_path):
    ours, _ = pair
    ref, query = split(cells(), "batch2")
    model = reference(ours, ref)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.adata is None
    assert again.spec == model.spec
    np.testing.assert_array_equal(again.embed(ref), model.embed(ref))
    latents = []
    for source in (model, again):
        scvi.settings.seed = 3
        latents.append(train(ours.load_query_data(query, source)).get_latent_representation())
    np.testing.assert_array_equal(*latents)


def test_converted_model_has_everything(pair):
    ours, theirs = pair
    ref, _ = split(cells(), "batch2")
    plain = plain_reference(theirs, ref)
    model = load(plain)
    assert model.history["elbo_train"].equals(plain.history["elbo_train"])
    assert model.is_trained
    assert model.adata.n_obs == ref.n_obs
    assert float(model.get_elbo()) == pytest.approx(float(plain.get_elbo()), rel=0.05)
    assert len(model.differential_expression(groupby="cell_type", group1="type0", mode="vanilla", silent=True))
    if ours is SCANVI:
        np.testing.assert_array_equal(model.predict(), plain.predict())
    train(model)


def test_a_model_of_this_package_comes_back_as_it_is():
    model = reference()
    assert load(model) is model


def test_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.pt"):
        load(tmp_path)
    with pytest.raises(TypeError, match="SCANVI"):
        load(3)
    scvi.model.LinearSCVI.setup_anndata(adata := cells())
    other = scvi.model.LinearSCVI(adata)
    with pytest.raises(TypeError):
        load(other)
    other.save(str(tmp_path / "other"))
    with pytest.raises(TypeError, match="LinearSCVI"):
        load(tmp_path / "other")


def test_differential_expression_of_a_mapped_model():
    ref, query = split(cells(), "batch2")
    mapped = train(SCVI.load_query_data(query, reference(SCVI, ref)))
    table = mapped.differential_expression(groupby="cell_type", group1="type0", mode="vanilla", silent=True)
    assert set(table.index) == set(query.var_names)
    assert torch.isfinite(torch.tensor(table["bayes_factor"].to_numpy())).all()


def test_saving_never_destroys_a_saved_model(tmp_path, monkeypatch):
    model = reference()
    model.save(tmp_path / "model")
    before = (tmp_path / "model" / "model.pt").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(tmp_path / "model")

    def full_disk(content, path, **_):
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        with pytest.raises(OSError, match="No space"):
            model.save(tmp_path / "model", overwrite=True)
    assert (tmp_path / "model" / "model.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    model.save(tmp_path / "model", overwrite=True, save_anndata=True)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.pt", "adata.h5ad"}


def test_other_files_in_the_folder_stay(tmp_path):
    model = reference()
    model.save(tmp_path / "model", save_anndata=True)
    (tmp_path / "model" / "notes.txt").write_text("years of work")
    model.save(tmp_path / "model", overwrite=True)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.pt", "notes.txt"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_mapped_model_with_its_own_query(pair, tmp_path):
    """With other names for batches and counts, labels that the reference lacks, and without some genes."""
    ours, _ = pair
    ref, query = split(cells(), "batch2")
    query = query[:, 5:].copy()
    query.layers["raw"], query.X = query.X.copy(), query.X * 0
    query.obs["tech"], query.obs["cell_type"] = query.obs.pop("batch"), "novel"
    mapped = train(ours.load_query_data(query, reference(ours, ref), layer="raw", batch_key="tech"))
    mapped.save(tmp_path / "mapped")
    columns = list(query.obs)
    again = load(tmp_path / "mapped", adata=query)
    np.testing.assert_array_equal(again.get_latent_representation(), mapped.get_latent_representation())
    assert list(query.obs) == columns
    with pytest.raises(ValueError, match=r"sp\.tl\.map_query"):
        load(tmp_path / "mapped", adata=query.copy()[:, 10:].copy())

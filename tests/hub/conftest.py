"""Small models, and their bundles."""

import shutil

import pytest
from invenio_server import TOKEN, InvenioServer
from small_models import SCANVI, SCVI, cells, reference, split

import scarches_plus as sp


@pytest.fixture(scope="session")
def adata():
    return cells(n_cells=333, n_batches=4)


@pytest.fixture(scope="session")
def ref(adata):
    """Reference cells whose names, number and order are nowhere else."""
    ref = split(adata, "batch2", "batch3")[0]
    ref.obs_names = [f"SECRET-{i}" for i in range(ref.n_obs)]
    return ref


@pytest.fixture(scope="session")
def query(adata):
    return adata[adata.obs["batch"] == "batch2"].copy()


@pytest.fixture(scope="session")
def model(ref):
    """scANVI with all that a model can remember."""
    model = reference(SCANVI, ref.copy())
    sp.train.estimate_importance(model)
    sp.train.store_anchors(model, n_cells=30)
    return model


@pytest.fixture(scope="session")
def scvi_model(ref):
    return reference(SCVI, ref.copy())


@pytest.fixture(scope="session")
def _whole(model, ref, tmp_path_factory):
    embedded = ref.copy()
    sp.tl.embed(embedded, model)
    return sp.hub.save_bundle(
        model, tmp_path_factory.mktemp("hub") / "whole", anchors=True, reference=embedded,
        include=["latent", "variance", "labels", "counts"], summary=sp.tl.reference_summary(embedded, "cell_type", "batch", use_rep="X_scarches"),
        card={"name": "small-scanvi", "version": "1.0"},
    )  # fmt: skip


@pytest.fixture
def bundle(_whole, tmp_path):
    """A bundle with every file there can be, to be damaged at will."""
    return shutil.copytree(_whole, tmp_path / "bundle")


@pytest.fixture
def zenodo(monkeypatch, no_waits, publish_at):
    """Zenodo's sandbox, on this machine and with no time to lose."""
    server = InvenioServer()
    publish_at(monkeypatch, "zenodo sandbox", server.address)
    yield server
    server.close()


@pytest.fixture(scope="session")
def bundles(model, tmp_path_factory):
    """Two versions of a model, fit to be published, side by side."""
    folder = tmp_path_factory.mktemp("bundles")
    card = {"name": "small", "license": "CC-BY-4.0", "contacts": ["Jane Doe <jane@lab.example>"], "tissue": "none"}
    for version in ("1", "2"):
        sp.hub.save_bundle(model, folder / version, card={**card, "version": version})
    return folder


@pytest.fixture
def send(zenodo, bundles):
    def send(bundle=None, **kwargs):
        return sp.hub.upload(bundle or bundles / "1", **{"token": TOKEN, "progress": False, **kwargs})

    return send


@pytest.fixture
def index_of(bundles, tmp_path):
    """Write an index on the machine of the author, and take only it to another."""

    def index_of(*uploads):
        author = tmp_path / "author"
        shutil.copytree(bundles, author, dirs_exist_ok=True)
        if len(uploads) == 1:
            shutil.rmtree(author / "2")
        (tmp_path / "elsewhere").mkdir()
        return shutil.copy(sp.hub.write_index(author, uploads=uploads), tmp_path / "elsewhere" / "index.json")

    return index_of

"""C4: Ctrl-C leaves what the message says, and goes on working."""

import os
import signal

import numpy as np
import pytest
from killing import names_in
from lightning.pytorch.callbacks import Callback
from small_models import SCANVI, SCVI, TOTALVI, as_taken, cells, network, reference, setup, split, train

import scarches_plus as sp

pytestmark = pytest.mark.border
CLASSES = [SCVI, SCANVI, TOTALVI]


class PressCtrlC(Callback):
    """Interrupts after so many minibatches; before the first with 0."""

    def __init__(self, n):
        self.n, self.seen = n, 0

    def on_train_start(self, *_):
        if not self.n:
            os.kill(os.getpid(), signal.SIGINT)

    def on_train_batch_end(self, *_):
        self.seen += 1
        if self.seen == self.n:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def ctrl_c():
    """The handler that Python starts with, as in a user's session."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "Ctrl-C works no longer"
    signal.signal(signal.SIGINT, before)


def untrained(cls):
    adata = as_taken(cls, split(cells(), "batch2")[0])
    setup(cls, adata)
    return cls(adata, **network(cls)), adata


def interrupted(model, n, **kwargs):
    return lambda: train(model, 5, callbacks=[PressCtrlC(n)], batch_size=64, **kwargs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_first_training(cls, n, tmp_path, border):
    model, adata = untrained(cls)
    weights = {name: value.clone() for name, value in model.module.state_dict().items()}
    border.refused(
        interrupted(model, n), KeyboardInterrupt, "holds the weights of the last step", kind="C4",
        case=f"a first training of {cls.__name__}, Ctrl-C after {n} steps", shown="model.train()",
    )  # fmt: skip
    assert any((value != weights[name]).any() for name, value in model.module.state_dict().items())
    latent = model.get_latent_representation()
    assert np.isfinite(latent).all()
    assert latent.shape[0] == adata.n_obs
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(cls.load(tmp_path / "model", adata=adata).get_latent_representation(), latent)
    bundle = sp.hub.save_bundle(model, tmp_path / "bundle", summary=False)
    np.testing.assert_allclose(sp.hub.load_bundle(bundle).embed(adata), latent, atol=1e-5)
    train(model, 1)
    query = as_taken(cls, split(cells(), "batch2")[1])
    sp.tl.map_query(query, model, max_epochs=1, train_kwargs={"enable_progress_bar": False})


@pytest.mark.parametrize("cls", CLASSES)
def test_before_the_first_step(cls, border):
    model, _ = untrained(cls)
    border.refused(
        interrupted(model, 0), KeyboardInterrupt, ["before its first step", "not trained"], kind="C4",
        case=f"a first training of {cls.__name__}, Ctrl-C before the first step", shown="model.train()",
    )  # fmt: skip
    assert not model.is_trained
    train(model, 1)
    assert model.is_trained


@pytest.mark.parametrize("cls", CLASSES)
def test_a_second_training(cls, border):
    model, _ = untrained(cls)
    train(model, 2)
    border.refused(
        interrupted(model, 0), KeyboardInterrupt, "holds the weights", kind="C4",
        case=f"a second training of {cls.__name__}, Ctrl-C before its first step", shown="model.train()",
    )  # fmt: skip
    assert model.is_trained
    assert list(model.history["elbo_train"].index) == [0, 1]


def test_the_model_of_a_verb(border):
    """Where a function made the model, the error carries it."""
    ref, query = split(cells(), "batch2")
    fast = {"train_kwargs": {"callbacks": [PressCtrlC(2)], "enable_progress_bar": False, "batch_size": 64}}
    for verb, call in {
        "build_reference": lambda: sp.tl.build_reference(ref, "batch", max_epochs=3, **fast),
        "map_query": lambda: sp.tl.map_query(query, reference(SCVI, ref.copy()), max_epochs=3, engine="scvi", **fast),
    }.items():
        fast["train_kwargs"]["callbacks"][0].seen = 0
        with pytest.raises(KeyboardInterrupt) as caught:
            call()
        border._row("C4", f"Ctrl-C during {verb}", f"sp.tl.{verb}(...)", "KeyboardInterrupt", str(caught.value))
        assert "sys.last_value.model" in str(caught.value)
        assert np.isfinite(caught.value.model.get_latent_representation()).all()
    assert "X_scarches" not in query.obsm


def test_the_fast_path(border, around):
    ref, query = split(cells(), "batch2")
    model = SCVI.load_query_data(query, reference(SCVI, ref))
    calls = []

    def press(moments, *given):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return moments(*given)

    around("a minibatch trains", press)
    border.refused(
        lambda: train(model, 5, engine="fast"), KeyboardInterrupt, "holds the weights", kind="C4",
        case="Ctrl-C on the fast path", shown="model.train(engine='fast')",
    )  # fmt: skip
    assert np.isfinite(model.get_latent_representation()).all()
    assert model.state.engine == "fast"


def press(*_, **__):
    raise KeyboardInterrupt


def fail(*_, **__):
    raise MemoryError("no memory")


@pytest.mark.parametrize(
    ("verb", "moment", "stop"),
    [
        ("map_query", "tl._map_query.write_embedding", press),
        ("map_query", "tl._map_query.measure_drift", press),
        ("map_query", "tl._map_query.measure_drift", fail),
        ("build_reference", "tl._build_reference.write_embedding", press),
        ("build_reference", "tl._build_reference.write_embedding", fail),
        ("build_reference, scanvi", "model.SCANVI.from_scvi_model", press),
    ],
)
def test_after_the_training(border, monkeypatch, tmp_path, verb, moment, stop):
    """What was trained for long is not lost with the step after it."""
    ref, query = split(cells(), "batch2")
    fast = {"max_epochs": 1, "train_kwargs": {"enable_progress_bar": False}}
    calls = {
        "map_query": lambda: sp.tl.map_query(query, reference(SCVI, ref.copy()), **fast),
        "build_reference": lambda: sp.tl.build_reference(ref, "batch", **fast),
        "build_reference, scanvi": lambda: sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", **fast),
    }
    monkeypatch.setattr(f"scarches_plus.{moment}", stop)
    with pytest.raises((KeyboardInterrupt, MemoryError)) as caught:
        calls[verb]()
    said = " ".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    border._row("C4", f"{stop.__name__} in {moment}", f"sp.tl.{verb}(...)", type(caught.value).__name__, said)
    assert "sys.last_value.model" in said
    monkeypatch.undo()
    caught.value.model.save(tmp_path / "model")
    assert sp.model.load(tmp_path / "model").is_trained


def test_an_evaluation(border, around):
    adata, n_calls = cells(), []
    adata.obsm["X_a"] = np.random.default_rng(0).normal(size=(adata.n_obs, 3))

    def third_is_interrupted(scored, *given):
        n_calls.append(1)
        if len(n_calls) == 3:
            raise KeyboardInterrupt
        return scored(*given)

    around("a score is computed", third_is_interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        sp.metrics.evaluate(adata, "X_a", "batch", labels_key="cell_type", progress=False)
    border._row("C4", "Ctrl-C during evaluate", "sp.metrics.evaluate(...)", "KeyboardInterrupt", str(caught.value))
    assert "sys.last_value.report" in str(caught.value)
    assert len(caught.value.report.scores) == 2
    assert "EBM" in str(caught.value.report)


def test_a_command_that_is_interrupted_after_the_training(border, monkeypatch, tmp_path):
    cells(90).write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.setattr("scarches_plus.train.estimate_importance", press)
    words = ["build", tmp_path / "cells.h5ad", "--batch-key", "batch", "--out", tmp_path / "model", "--max-epochs", 1]
    border.command(
        [*words, "--importance"], "interrupted", kind="C4", case="Ctrl-C in build --importance: the model is there", status=130
    )  # fmt: skip
    assert sp.model.load(tmp_path / "model").is_trained


@pytest.mark.parametrize("moment", ["torch.save", "scarches_plus._files._folders._write_folder.place"])
def test_while_saving(tmp_path, border, monkeypatch, moment):
    model = reference(SCVI)
    model.save(tmp_path / "model")
    before = (tmp_path / "model" / "model.pt").read_bytes()
    train(model, 1)

    with monkeypatch.context() as patch:
        patch.setattr(moment, press)
        border.refused(
            lambda: model.save(tmp_path / "model", overwrite=True), KeyboardInterrupt, "", kind="C4",
            case=f"Ctrl-C in {moment.rpartition('.')[2]} while a model is saved", shown="model.save(overwrite=True)",
        )  # fmt: skip
    assert (tmp_path / "model" / "model.pt").read_bytes() == before
    assert names_in(tmp_path) == ["model"]

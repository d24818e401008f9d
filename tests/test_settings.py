"""What the user sets holds everywhere, and nothing of other libraries changes."""

import contextlib
import io
import logging
import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scvi
from small_models import SCVI, cells, split
from small_models import reference as small_reference

import scarches_plus as sp


class Screen(io.StringIO):
    """A terminal that keeps what it shows."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    sp.settings.reset()


@pytest.fixture(scope="module")
def model_and_query():
    ref, query = split(cells(), "batch2")
    return small_reference(SCVI, ref), query


def test_defaults():
    assert repr(sp.settings).splitlines() == [
        "verbosity = 'progress'",
        "figure_size = None",
        "figure_dpi = None",
        "cache_dir = None",
        "accelerator = 'auto'",
    ]


@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [
        ("verbosity", "quite", ValueError, "did you mean 'quiet'"),
        ("verbosity", 3, TypeError, "must be one of"),
        ("accelerator", "gpus", ValueError, "did you mean 'gpu'"),
        ("figure_size", 4, TypeError, "(width, height) in inches"),
        ("figure_size", (4, 0), ValueError, "figure_size"),
        ("figure_dpi", 0, ValueError, "figure_dpi"),
        ("figure_dpi", "high", TypeError, "figure_dpi"),
        ("cache_dir", 3, TypeError, "must be a path"),
        ("verbose", "quiet", AttributeError, "did you mean 'verbosity'"),
    ],
)
def test_what_cannot_be_is_refused(name, value, error, says):
    before = repr(sp.settings)
    with pytest.raises(error) as refused:
        setattr(sp.settings, name, value)
    assert says in str(refused.value)
    assert repr(sp.settings) == before


def test_a_block_restores_what_was():
    sp.settings.figure_dpi = 99
    with sp.settings.override(verbosity="quiet", figure_dpi=150) as within:
        assert within is sp.settings
        assert (sp.settings.verbosity, sp.settings.figure_dpi) == ("quiet", 150)
    assert (sp.settings.verbosity, sp.settings.figure_dpi) == ("progress", 99)
    with pytest.raises(ValueError, match="verbosity"), sp.settings.override(figure_dpi=3, verbosity="loud"):
        pass
    with pytest.raises(AttributeError, match="nothing"), sp.settings.override(figure_dpi=3, nothing=1):
        pass
    assert (sp.settings.verbosity, sp.settings.figure_dpi) == ("progress", 99)


def test_figures(model_and_query):
    curve = sp.metrics.reliability_curve(np.linspace(0.1, 0.9, 40), np.arange(40) % 2 == 0)
    usual = sp.pl.reliability(curve).figure
    with sp.settings.override(figure_size=(7, 3), figure_dpi=50):
        figure = sp.pl.reliability(curve).figure
    assert (tuple(figure.get_size_inches()), figure.dpi) == ((7, 3), 50)
    assert tuple(usual.get_size_inches()) == (4, 4)
    plt.close("all")


def test_the_cache_folder(tmp_path, monkeypatch, cache_folder):
    """Above the variable, and under what is passed."""
    monkeypatch.setenv("SCARCHES_PLUS_CACHE", str(tmp_path / "variable"))
    assert cache_folder() == tmp_path / "variable"
    with sp.settings.override(cache_dir=tmp_path / "setting"):
        assert cache_folder() == tmp_path / "setting"
        assert cache_folder(tmp_path / "passed") == tmp_path / "passed"


def test_the_accelerator(model_and_query, monkeypatch):
    """What trains gets it, unless the call names one."""
    model, query = model_and_query
    seen = []
    train = scvi.train.Trainer.__init__

    def noted(self, *args, **kwargs):
        seen.append(kwargs["accelerator"])
        train(self, *args, **kwargs)

    monkeypatch.setattr(scvi.train.Trainer, "__init__", noted)
    with sp.settings.override(accelerator="cpu"):
        sp.tl.map_query(query.copy(), model, max_epochs=1, engine="scvi")
    sp.tl.map_query(query.copy(), model, max_epochs=1, engine="scvi")
    assert seen[0] == "cpu"
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("name", "kinds"), [("tpu", ["XLA"]), ("mps", ["MPS"]), ("cuda", ["CUDA"]), ("gpu", ["CUDA", "MPS"])]
)
def test_an_accelerator_that_is_not_there(model_and_query, monkeypatch, tmp_path, name, kinds):
    model, query = model_and_query
    for kind in kinds:
        monkeypatch.setattr(f"lightning.pytorch.accelerators.{kind}Accelerator.is_available", lambda: False)
    says = rf"sp\.settings\.accelerator is '{name}'.*set sp\.settings\.accelerator = \"auto\""
    model.save(tmp_path / "model")
    with sp.settings.override(accelerator=name):
        with pytest.raises(ValueError, match=says):
            sp.tl.map_query(query.copy(), model, max_epochs=1)
        with pytest.raises(ValueError, match=says):
            sp.load(tmp_path / "model")
        with pytest.raises(ValueError, match=says):
            sp.tl.build_reference(query.copy(), "batch", max_epochs=1)
        assert str(sp.load(tmp_path / "model", accelerator="cpu").device) == "cpu"


def test_other_processes_take_the_accelerator_over(process_of_map_many):
    with sp.settings.override(accelerator="mps"):
        process = process_of_map_many(1)
    assert sp.settings.accelerator == "auto"
    assert process.submit(eval, "__import__('scarches_plus').settings.accelerator").result() == "mps"
    process.shutdown()


@pytest.mark.parametrize("engine", ["auto", "scvi"])
@pytest.mark.parametrize("recipe", ["scvi", "scanvi"])
def test_progress_where_a_person_looks(recipe, engine):
    def shown():
        screen = Screen()
        adata = sp.datasets.simulate(150, n_genes=60, n_types=3)
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            sp.tl.build_reference(
                adata, "batch", "cell_type", recipe=recipe, max_epochs=1, train_kwargs={"engine": engine}
            )
        return screen.getvalue()

    said = shown()
    assert "100%|" in said
    assert "GPU" not in said
    sp.settings.verbosity = "quiet"
    assert shown() == ""


def test_early_stopping_is_told_where_a_person_looks(capsys, caplog):
    """In the log always; scvi-tools prints it into whatever stdout is."""
    adata = sp.datasets.simulate(150, n_genes=60, n_types=3)
    stopping = {"early_stopping": True, "early_stopping_patience": 1, "early_stopping_min_delta": 1e9}
    caplog.set_level(logging.INFO, logger="scarches_plus")
    sp.tl.build_reference(
        adata,
        "batch",
        recipe="scvi",
        max_epochs=20,
        train_kwargs={"validation_size": 0.2, "train_size": 0.8, **stopping},
    )
    assert "elbo_validation" in caplog.text
    assert capsys.readouterr() == ("", "")


def test_a_notebook_is_looked_at(monkeypatch, capsys):
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    assert not sp.settings.shows_progress()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert sp.settings.shows_progress()
    with sp.settings.override(verbosity="quiet"):
        assert not sp.settings.shows_progress()
    shell.config = {}  # IPython in a terminal that is not one
    assert not sp.settings.shows_progress()


def test_notes_on_demand(capsys):
    """Notes of the package are written everywhere at ``"info"``, and its logger is then as it was."""
    logger = logging.getLogger("scarches_plus")
    before = logger.level, list(logger.handlers)
    with sp.settings.override(verbosity="info"):
        sp.settings.verbosity = "info"  # again
        logger.info("a note")
        logger.warning("a warning")
    logger.info("another note")
    assert capsys.readouterr().err == "a note\nwarning: a warning\n"
    assert (logger.level, list(logger.handlers)) == before


QUIET_THEN_LOUD = """
    import io, logging

    said = io.StringIO()
    logging.basicConfig(level=logging.INFO, stream=said)  # before lightning, which else writes by a handler of its own

    import scvi
    import scarches_plus as sp

    loggers = [logging.getLogger(name) for name in ("lightning.fabric.utilities", "scvi.data")]
    before = [logger.level for logger in loggers]
    with sp.settings.override(verbosity="quiet"), sp.settings.override(verbosity="quiet"):
        scvi.settings.seed = 0
    assert "Seed set" not in said.getvalue()
    assert [logger.level for logger in loggers] == before
    scvi.settings.seed = 0
    assert "Seed set to 0" in said.getvalue()
"""


def test_quiet_is_quiet_wherever_libraries_are_called():
    """In a process of its own: how lightning logs depends on what was set up when it was imported."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(QUIET_THEN_LOUD)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr


def test_levels_are_restored_after_two_threads(monkeypatch):
    """The one that began first ends first."""
    loggers = [logging.getLogger(name) for name in ("lightning.fabric.utilities", "scvi.data")]
    before = [logger.level for logger in loggers]
    began, go = ({name: threading.Event() for name in "ab"} for _ in range(2))

    def slow(what, **_):
        began[what].set()
        assert go[what].wait(20)
        raise OSError(what)

    def loads(what):
        with contextlib.suppress(OSError):
            sp.load(what)

    monkeypatch.setattr("scarches_plus.hub.local_path", slow)
    threads = {name: threading.Thread(target=loads, args=name) for name in "ab"}
    for name, thread in threads.items():
        thread.start()
        assert began[name].wait(20)
    assert [logger.level for logger in loggers] == [logging.WARNING] * 2
    for name, thread in threads.items():
        go[name].set()
        thread.join()
    assert [logger.level for logger in loggers] == before


LOUD = """
    import logging, sys, warnings
    import scvi
    import scarches_plus as sp

    adata = sp.datasets.simulate(150, n_genes=60, n_types=3)
    ref, query = (adata[(adata.obs["batch"] == "batch0") == first].copy() for first in (False, True))
    state = lambda: (
        scvi.settings.verbosity, scvi.settings.progress_bar_style, list(warnings.filters),
        {name: logging.getLogger(name).level for name in ("scvi", "scvi.data", "scvi.model", "lightning", "lightning.pytorch.utilities")},
    )
    before = state()
    model = sp.tl.build_reference(ref, "batch", "cell_type", recipe="scanvi", max_epochs=1, train_kwargs={"engine": "scvi"})
    mapped = sp.tl.map_query(query, model, max_epochs=1, engine="scvi")
    sp.tl.transfer_labels(query, ref, "cell_type")
    model.save(sys.argv[1])
    sp.load(sys.argv[1]).get_latent_representation(ref)
    model.differential_expression(groupby="cell_type", group1="type0")
    sp.metrics.evaluate(sp.tl.joint_embedding(ref, query), "X_scarches", "batch", labels_key="cell_type", scores=["EBM"])
    assert state() == before
"""


def test_log_files_are_quiet(tmp_path):
    """By default, where output goes to a file: nothing of lightning, scvi-tools or bars, and nothing is changed."""
    code = [sys.executable, "-c", textwrap.dedent(LOUD), str(tmp_path / "model")]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")

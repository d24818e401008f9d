"""Numbers of the command line: their limits are looked at before any file."""

import re
import subprocess
import sys

import anndata
import numpy as np
import pytest
from border_rows import run_command
from small_models import SCVI, cells, reference, split

from scarches_plus import cli, load
from scarches_plus.model import RECIPES

BUILD = ["build", "no_such.h5ad", "--batch-key", "b", "--out", "out"]
TRANSFER = ["transfer", "no_such.h5ad", "--reference", "no_such.h5ad", "--labels-key", "l", "--out", "out.h5ad"]
NOVEL = ["novel", "no_such.h5ad", "--reference", "no_such.h5ad", "--out", "out.h5ad"]


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Run a command in an empty folder, and return what it said."""
    monkeypatch.chdir(tmp_path)

    def run(words):
        status, _, err = run_command(cli.main, list(map(str, words)))
        assert status == 2
        assert not list(tmp_path.iterdir())
        return err

    return run


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*BUILD, "--max-epochs", "0"], "between 1 and 1,000,000"),
        ([*BUILD, "--max-epochs", "1000001"], "between 1 and 1,000,000"),
        ([*BUILD, "--max-epochs", "2.5"], "'2.5' is not a whole number"),
        ([*BUILD, "--seed", "-1"], "--seed"),
        ([*BUILD, "--seed", 2**32], "between 0 and 4,294,967,295"),
        ([*TRANSFER, "--k", "0"], "at least 1"),
        ([*TRANSFER, "--unknown-above", "1.01"], "between 0 and 1"),
        ([*TRANSFER, "--unknown-above", "-0.01"], "between 0 and 1"),
        ([*NOVEL, "--alpha", "0"], "between 0.005 and 0.3"),
        ([*NOVEL, "--alpha", "1"], "between 0.005 and 0.3"),
    ],
)
def test_beyond_the_limits(ended, words, says):
    assert says in ended(words)


@pytest.mark.parametrize(
    "words",
    [
        [*BUILD, "--max-epochs", "1"],
        [*BUILD, "--max-epochs", "1000000"],
        [*BUILD, "--seed", "0"],
        [*BUILD, "--seed", 2**32 - 1],
        [*TRANSFER, "--k", "1"],
        [*TRANSFER, "--unknown-above", "0"],
        [*TRANSFER, "--unknown-above", "1"],
        [*NOVEL, "--alpha", "0.005"],
    ],
)
def test_at_the_limits_the_file_is_what_is_missing(ended, words):
    assert "no_such.h5ad is not a file" in ended(words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model-kwarg", "n_latent"], "--model-kwarg takes name=value, such as n_latent=20, not 'n_latent'"),
        (["--model-kwarg", "=3"], "--model-kwarg takes name=value"),
        (["--plan-kwarg", "lr=1", "lr=2"], "--plan-kwarg names lr twice"),
        (["--model-kwarg", "n_latnet=3"], "--model-kwarg has 'n_latnet', which is no option; did you mean 'n_latent'"),
        (["--model-kwarg", "n_input=3"], "--model-kwarg has 'n_input', which is no option"),
        (["--plan-kwarg", "nope=3"], "--plan-kwarg has 'nope', which is no option"),
        (["--model-kwarg", "n_latent=many"], "n_latent must be"),
        (["--plan-kwarg", "lr=-1"], "lr must be above 0"),
        (["--model-kwarg", "n_latent=" + "9" * 201], "is not a value of an option: it has 201 letters"),
        (["--recipe", "scvy"], "scvi"),
        (["--categorical-covariates", "b"], "--batch-key"),
    ],
)
def test_arguments_of_the_recipe_are_checked_as_in_python(ended, words, says):
    assert says in ended([*BUILD, *words])


def test_what_the_cells_say_is_no_option(ended):
    told = ended([*BUILD, "--model-kwarg", "qqqq=3"])
    assert "--model-kwarg has 'qqqq', which is no option: they are" in told
    assert "'n_latent'" in told
    assert not [name for name in ("adata", "registry", "n_input", "n_batch") if f"'{name}'" in told]


def test_the_names_of_recipes_are_those_of_the_table():
    """They are read from sources, so that help needs no scvi-tools; a process of its own shows that."""
    script = (
        "import sys; from scarches_plus import cli\n"
        "cli.app(['build', '--help'], exit_on_error=False, result_action='return_value')\n"
        "from scarches_plus.cli._app import Recipe\n"
        "assert not {'scvi', 'torch'} & set(sys.modules)\n"
        "print('names', *Recipe.__args__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    printed = done.stdout.splitlines()
    assert printed[-1].split()[1:] == list(RECIPES)
    told = " ".join(line.strip("│ ") for line in printed[:-1])
    assert all(name in told for name in RECIPES)


def test_covariates_and_arguments_go_into_the_model(tmp_path, monkeypatch):
    ref = cells(120)
    ref.obs["study"], ref.obs["age"] = np.resize(["x", "y", "y"], ref.n_obs), np.linspace(0, 1, ref.n_obs)
    ref.write_h5ad(tmp_path / "ref.h5ad")
    monkeypatch.chdir(tmp_path)
    words = ["build", "ref.h5ad", "--batch-key", "batch", "--out", "model", "--max-epochs", "1", "--recipe", "bascvi"]
    words += ["--categorical-covariates", "study", "--continuous-covariate-keys", "age"]
    words += ["--model-kwarg", "n_hidden=8", "gene_likelihood=nb", "--model-kwarg", "normalize_encoder_input=True"]
    words += ["--plan-kwarg", "lr=0.002", "n_epochs_kl_warmup=None"]
    status, _, err = run_command(cli.main, words)
    assert status == 0, err
    model = load("model")
    assert tuple(model.spec.categorical_covariates) == ("study",)
    assert tuple(model.spec.continuous_covariates) == ("age",)
    assert model.module.z_encoder.mean_encoder.in_features == 8
    assert (model.module.gene_likelihood, model.module.encodes_normalized) == ("nb", True)
    status, _, err = run_command(cli.main, [*words, "--overwrite", "--continuous-covariates", "agee"])
    assert status == 2
    assert "column 'agee' not found in ref.h5ad (--continuous-covariate-keys)" in err


def test_an_encoder_blind_to_batches_points_to_embed(tmp_path, monkeypatch):
    ref, query = split(cells(), "batch2")
    reference(SCVI, ref, encode_covariates=False).save(tmp_path / "model")
    query.write_h5ad(tmp_path / "query.h5ad")
    monkeypatch.chdir(tmp_path)
    status, _, err = run_command(cli.main, ["map", "query.h5ad", "--model", "model", "--out", "mapped.h5ad"])
    assert status == 2
    (advice,) = re.findall(r"scarches-plus (embed [^,]*)", err)
    status, _, err = run_command(cli.main, advice.split())
    assert status == 0, err
    assert "X_scarches" in anndata.read_h5ad("mapped.h5ad").obsm

"""Scripts of experiments/: what they claim holds, and fails where the method is taken away.

The suite runs the small modes that take seconds; ``make test-slow`` runs all.
"""

import ast
import importlib
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _experiment import Claim, ClaimError, as_they_are, main, measure, most_variable, require, summary

import scarches_plus as sp

FOLDER = Path(__file__).parents[1] / "experiments"
every = __import__("all")
#: What takes a few seconds, with the package and with the identity (whose scripts then train nothing).
QUICK = {"bascvi_complement", "scanvi_pseudotime", "scarches_cross_species"}
QUICK_IDENTITY = {
    *QUICK, "bascvi_alignment", "bascvi_conserved_clusters", "bascvi_species", "scanvi_cite_seq", "scanvi_overlap",
    "scanvi_pairs", "scarches_covid_paga", "scarches_pancreas_iterative", "scarches_strategies_brain",
    "scarches_tabula_muris",
}  # fmt: skip


def slow_unless(quick):
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in every.NAMES]


@pytest.mark.parametrize("name", slow_unless(QUICK))
def test_claims_hold(name):
    table, claims = every.run(name)
    assert len(table)
    require(claims)


@pytest.mark.parametrize("name", slow_unless(QUICK_IDENTITY))
def test_claims_fail_where_the_method_does_nothing(name):
    _, claims = every.run(name, "identity")
    with pytest.raises(ClaimError):
        require(claims)


@pytest.mark.parametrize("name", every.NAMES)
def test_a_script_says_what_the_paper_says(name):
    source = (FOLDER / f"{name}.py").read_text()
    doc = ast.get_docstring(ast.parse(source))
    assert re.match(r"(scArches|CLCVAE|BA-scVI|scANVI), ", doc)
    assert f"python experiments/{name}.py --small" in doc
    assert "\nSmall: " in doc
    assert "identity" in doc


def test_the_readme_has_a_row_for_every_script():
    rows = re.findall(r"^\| `(\w+)\.py`", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == every.NAMES


# --- what they share ---


def options(**changed):
    return Namespace(
        **{"seeds": [0], "seed": 0, "method": "package", "small": True, "data": None, "epochs": None} | changed
    )


def test_every_seed_has_to_hold():
    def run(options):
        return pd.DataFrame({"score": [1.0]}), [
            Claim("rises", 1.0 - options.seed, 0.5),
            Claim("told", -1.0, asserted=False),
            Claim("now and then", 0.5 - options.seed, asserted=False),
            Claim("by luck", 1.0, asserted=False),
        ]

    table, claims = measure(run, options(seeds=[0, 1]))
    assert table["seed"].tolist() == [0, 1]
    rows = summary(claims).set_index("claim")
    assert rows.loc["rises", ["effect", "lowest", "margin"]].tolist() == [0.5, 0.0, 0.5]
    assert rows[""].tolist() == ["FAILS", "does not hold here", "not in every seed", "holds, not asserted"]
    with pytest.raises(ClaimError, match=r"rises: 0\.000 is not above 0\.5"):
        require(claims)
    require(claims[:1])


def test_what_is_no_number_does_not_hold():
    assert not Claim("undefined", float("nan")).holds


def test_a_script_ends_with_what_does_not_hold(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script.py", "--small"])

    def run(options):
        return pd.DataFrame({"score": [1.0]}), [Claim("falls", 0.0)]

    with pytest.raises(SystemExit, match=r"falls: 0\.000 is not above 0"):
        main(run, "What it is.\n\nAnd more.")
    out = capsys.readouterr().out
    assert out.startswith("What it is.\nmethod: package, cells: simulated or packaged")
    assert "FAILS" in out


def test_small_and_data_exclude_each_other(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["script.py", "--small", "--data", "cells.h5ad"])
    with pytest.raises(SystemExit):
        main(lambda _: None, "What it is.")
    assert "exclude each other" in capsys.readouterr().err


def test_a_script_without_a_mode_for_real_cells_refuses_them():
    command = [sys.executable, str(FOLDER / "scarches_covid_paga.py"), "--data", "cells.h5ad"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no mode for real cells; leave out --data" in done.stderr


def test_species_share_their_genes_before_some_are_chosen(monkeypatch):
    """Genes chosen in each species alone are hardly the same."""
    script = importlib.import_module("scarches_cross_species")
    human = sp.datasets.pbmc68k()
    as_human, _ = sp.pp.map_orthologs(sp.pp.map_orthologs(human, "human")[0], "mouse")
    shared = [gene for gene in human.var_names if gene in set(as_human.var_names)]
    mouse, _ = sp.pp.map_orthologs(human[:, shared].copy(), "human")
    mouse.X = mouse.X[:, np.random.default_rng(0).permutation(mouse.n_vars)]  # other genes vary most
    ours, theirs, share = script.on_shared_genes(human, mouse, 50)
    assert list(ours.var_names) == list(theirs.var_names) == most_variable(human[:, shared], 50)
    assert ours.n_vars == 50
    assert share == 1


def test_joint_training_that_changes_nothing_gains_nothing(monkeypatch):
    """Where types are apart in any embedding, labels of more studies are no gain of joint training."""
    script = importlib.import_module("bascvi_species")

    def perfect(adata, options):
        codes = adata.obs["cell_type"].astype(str).str.removeprefix("type").astype(int).to_numpy()
        return np.eye(8)[codes] + np.random.default_rng(0).normal(0, 0.01, (adata.n_obs, 8))

    monkeypatch.setattr(script, "embedded", perfect)
    _, claims = script.run(options())
    assert abs(claims[0].effect) < 0.02
    assert abs(claims[1].effect) < 0.02


def test_the_identity_keeps_the_cells_in_their_parts():
    parts = [sp.datasets.simulate(60, 30, 3, rng=seed) for seed in (0, 1)]
    embeddings = as_they_are(*parts)
    assert [one.shape for one in embeddings] == [(60, 10), (60, 10)]


def test_one_command_runs_a_script_and_says_so():
    command = [sys.executable, str(FOLDER / "all.py"), "--small", "--only", "bascvi_complement"]
    done = subprocess.run([*command, "--method", "identity"], capture_output=True, text=True, check=True)
    assert "== bascvi_complement: " in done.stdout
    assert "FAILS" in done.stdout

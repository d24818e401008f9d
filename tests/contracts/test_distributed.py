"""Penalties on two processes: the same losses as on one, within what the seed does to them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import scvi
from small_models import NETWORK, cells, setup
import scarches_plus as sp
from scarches_plus.train import EWC, MMD, BatchAdversary, estimate_importance

PENALTIES = {"mmd": MMD(weight=5.0, estimator="unbiased"), "batch_adversary": BatchAdversary(weight=5.0, n_hidden=8), "ewc": EWC(weight=1.0)}
DISTRIBUTED = {"accelerator": "cpu", "devices": 2, "strategy": "ddp_notebook_find_unused_parameters_true"}

def run(cls, penalty, seed, n_processes):
    adata = cells(480)
    scvi.settings.seed = seed
    setup(cls, adata)
    model = cls(adata, **NETWORK)
    if penalty.name == "ewc":
        estimate_importance(model, n_cells=100)
    options = DISTRIBUTED if n_processes == 2 else {"accelerator": "cpu"}
    # on two processes each sees half a minibatch of the same size
    model.train(4, penalties=[penalty], batch_size=128 // n_processes, train_size=0.9, enable_progress_bar=False, **options)
    history = model.history
    return {key: float(history[key].iloc[-1, 0]) for key in ("elbo_train", f"{penalty.name}_train") if key in history}

results = {}
for cls in (sp.model.SCVI, sp.model.SCANVI):
    for name, penalty in PENALTIES.items():
        results[f"{cls.__name__} {name}"] = [
            run(cls, penalty, seed, n) for seed, n in ((0, 1), (1, 1), (2, 1), (0, 2))
        ]
print("RESULT" + json.dumps(results))
"""


@pytest.mark.slow
def test_two_processes_give_the_loss_of_one():
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    line = next(line for line in run.stdout.splitlines() if line.startswith("RESULT"))
    for case, (*alone, together) in json.loads(line.removeprefix("RESULT")).items():
        for key, value in together.items():
            values = [one[key] for one in alone]
            middle, spread = sum(values) / len(values), max(values) - min(values)
            assert abs(value - middle) <= 3 * spread + 0.02 * abs(middle), (case, key, values, value)

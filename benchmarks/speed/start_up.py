"""Seconds from the shell, cold: imports, commands that need a model, and commands that need none.

python benchmarks/speed/start_up.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from _common import quiet, write_row

import scarches_plus as sp

SILENT = {"enable_progress_bar": False}


def seconds(command: list[str]) -> float:
    start = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    quiet(2)
    adata = sp.datasets.simulate([1000, 1000, 500], 2000, 8, n_batches=3, mean_depth=600.0, rng=1)
    query = (adata.obs["batch"] == "batch2").to_numpy()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = sp.tl.build_reference(adata[~query].copy(), "batch", max_epochs=5, train_kwargs=SILENT)
        model.save(folder / "model")
        adata[query].copy().write_h5ad(folder / "query.h5ad")
        pbmc = sp.datasets.pbmc68k()
        pbmc[pbmc.obs["batch"] == "lane1"].copy().write_h5ad(folder / "pbmc.h5ad")
        program = [sys.executable, "-c", "from scarches_plus.cli import main; main()"]
        of_query = [str(folder / "query.h5ad"), "--model", str(folder / "model")]
        of_pbmc = [str(folder / "pbmc.h5ad")]
        commands = {
            "import scarches_plus": [sys.executable, "-c", "import scarches_plus"],
            "import scvi.model": [sys.executable, "-c", "import scvi.model"],
            "import scarches_plus.model": [sys.executable, "-c", "import scarches_plus.model"],
            "scarches-plus map, 500 cells": [*program, "map", *of_query],
            "scarches-plus embed, 95 cells": [*program, "embed", *of_pbmc, "--model", "pbmc68k-scanvi"],
            "scarches-plus annotate --by expression, 95 cells": [
                *program, "annotate", *of_pbmc, "--reference", "pbmc68k-scanvi", "--by", "expression",
            ],
            "scarches-plus --help": [*program, "--help"],
        }  # fmt: skip
        measured: dict[str, list[float]] = {what: [] for what in commands}
        for turn in range(options.repeats):  # alternating, since other work comes and goes
            for number, (what, command) in enumerate(commands.items()):
                out = ["--out", str(folder / f"{turn}-{number}.h5ad")] if "cells" in what else []
                measured[what].append(seconds([*command, *out]))
        for what, times in measured.items():
            write_row(
                "start_up", {"what": what, "seconds": f"{median(times):.2f} ({min(times):.2f} to {max(times):.2f})"}
            )


if __name__ == "__main__":
    main()

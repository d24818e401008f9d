"""Seconds from the shell: import of the package, and a cold `scarches-plus map` of 500 cells with a saved reference.

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
        mapping = [
            sys.executable,
            "-c",
            "from scarches_plus.cli import main; main()",
            "map",
            str(folder / "query.h5ad"),
        ]
        mapping += ["--model", str(folder / "model"), "--out", str(folder / "mapped.h5ad")]
        commands = {
            "import scarches_plus": [sys.executable, "-c", "import scarches_plus"],
            "import scvi": [sys.executable, "-c", "import scvi"],
            "scarches-plus map, 500 cells": mapping,
        }
        for what, command in commands.items():
            times = [seconds(command) for _ in range(options.repeats)]
            write_row(
                "start_up", {"what": what, "seconds": f"{median(times):.2f} ({min(times):.2f} to {max(times):.2f})"}
            )


if __name__ == "__main__":
    main()

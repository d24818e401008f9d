"""What the speed benchmarks share: quiet runs, the machine, the table of results."""

from __future__ import annotations

import csv
import logging
import os
import platform
import threading
import warnings
from datetime import date
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent.parent / "results"
PACKAGES = ("scarches-plus", "scvi-tools", "torch", "anndata", "numpy")


def quiet(threads: int) -> None:
    """Let the tables stand alone."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(threads)


def machine() -> dict[str, str]:
    """Versions and machine, for a row of results."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    versions = " ".join(f"{package} {version(package)}" for package in PACKAGES)
    return {
        "date": date.today().isoformat(),
        "machine": f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": f"Python {platform.python_version()} {versions}",
    }


def write_row(table: str, row: dict[str, Any]) -> None:
    """Print a result and append it, with versions and machine, to ``benchmarks/results/<table>.csv``."""
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{table}.csv"
    row = {**row, **machine()}
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def measured(function: Callable[[], Any]) -> dict[str, Any]:
    """Run a function; return what it returned, seconds of wall and CPU, and MiB at the peak above the start (Linux)."""
    peak, stop = [0.0], threading.Event()
    before = _resident()

    def watch() -> None:
        while not stop.is_set():
            peak[0] = max(peak[0], _resident() - before)
            sleep(0.005)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, cpu = perf_counter(), process_time()
    result = function()
    taken = {"result": result, "seconds": perf_counter() - start, "cpu": process_time() - cpu}
    stop.set()
    watcher.join()
    return {**taken, "mib": peak[0]}


def _resident() -> float:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if statm.exists() else float("nan")

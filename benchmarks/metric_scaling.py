"""Seconds and memory of each metric, and of the neighbours that they share, over the number of cells.

    python benchmarks/metric_scaling.py
    python benchmarks/metric_scaling.py --cells 10000 100000 1000000 --out scaling.csv

Each number of cells has a process of its own. Memory is the peak of the resident set above what was resident when the
metric began (Linux: the peak is reset between metrics); what is compiled on first use counts. RbNI and silhouettes grow
with the square of the number of cells and take 20,000 of them, as in ``sp.metrics.evaluate``. The embedding is that of
``evaluate.py``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
from evaluate import cells

N_SAMPLED = 20_000


def resident(which: str) -> float:
    """Resident set in MiB: ``"VmRSS"`` now, or ``"VmHWM"`` at its peak."""
    match = re.search(rf"{which}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    if match is None:
        message = f"no {which} in /proc/self/status"
        raise RuntimeError(message)
    return int(match[1]) / 1024


def measured(name: str, n_cells: int, compute: Any) -> Any:
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before, wall, cpu = resident("VmRSS"), perf_counter(), process_time()
    result = compute()
    spent = perf_counter() - wall, process_time() - cpu, resident("VmHWM") - before
    print(f"{n_cells},{name},{spent[0]:.2f},{spent[1]:.2f},{spent[2]:.0f},{resident('VmRSS'):.0f}", flush=True)
    return result


def one_size(n_cells: int) -> None:
    import scib_metrics

    import scarches_plus as sp
    from scarches_plus._neighbors import Neighbors, nearest_within
    from scarches_plus.metrics._shared._scib import scib_functions

    adata = cells(n_cells)
    z, batches, labels = adata.obsm["z"], adata.obs["batch"].to_numpy(), adata.obs["cell_type"].to_numpy()
    print(f"{n_cells},imports and cells,0,0,0,{resident('VmRSS'):.0f}", flush=True)
    found = measured("90 neighbours", n_cells, lambda: nearest_within(z, 90))
    known = Neighbors(found.indices.astype(np.int32), found.distances.astype(np.float32))
    del found
    around = {"neighbors": known.indices}
    codes = [pd.factorize(values, sort=True)[0] for values in (batches, labels)]
    of_scib = scib_functions(z, known, *codes)
    drawn = np.sort(np.random.default_rng(0).choice(n_cells, min(N_SAMPLED, n_cells), replace=False))
    some = z[drawn], codes[0][drawn], codes[1][drawn]
    metrics = {
        "entropy of batch mixing": lambda: sp.metrics.entropy_batch_mixing(z, batches, **around),
        "label mixing": lambda: sp.metrics.label_mixing(z, batches, labels, **around),
        "label purity": lambda: sp.metrics.label_purity(z, labels, k=30, **around),
        "graph connectivity": lambda: sp.metrics.graph_connectivity(z, labels, **around),
        "isolated labels": lambda: sp.metrics.isolated_label_score(z, batches, labels, **around),
        "mixing along an ordering": lambda: sp.metrics.mixing_along(z, batches, z[:, 0], **around),
        "KNI, given its neighbours": lambda: sp.metrics.kni(z, batches, labels, **around),
        "iLISI (scib-metrics)": of_scib["iLISI"],
        "cLISI (scib-metrics)": of_scib["cLISI"],
        "kBET (scib-metrics)": of_scib["kBET"],
        "k-means (scib-metrics)": of_scib["k-means"],
        "KNI, its own search included": lambda: sp.metrics.kni(z, batches, labels),
        "neighbour preservation, two searches": lambda: sp.metrics.neighbor_preservation(z, z, batches),
        f"RbNI, {N_SAMPLED:,} cells": lambda: sp.metrics.rbni(*some),
        f"silhouette of labels, {N_SAMPLED:,} cells (scib-metrics)": lambda: scib_metrics.silhouette_label(
            some[0], some[2]
        ),
    }
    for name, compute in metrics.items():
        measured(name, n_cells, compute)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one-size", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_size:
        one_size(*options.cells)
        return
    rows = []
    for n_cells in options.cells:
        command = [sys.executable, __file__, "--one-size", "--cells", str(n_cells)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout or ():
                print(line, end="", flush=True)
                *_, wall, cpu, peak, resident_now = parts = line.strip().rsplit(",", 4)
                size, name = parts[0].split(",", 1)
                rows.append((int(size), name, float(wall), float(cpu), float(peak), float(resident_now)))
        if child.returncode:
            print(f"{n_cells} cells: ended with {child.returncode} (-9: not enough memory)", flush=True)
    columns = ["cells", "metric", "seconds", "cpu_seconds", "peak_mib_above", "resident_mib"]
    table = pd.DataFrame(rows, columns=columns)
    print(table.pivot_table(index="metric", columns="cells", values=columns[2:5], sort=False).to_string())
    if options.out:
        table.to_csv(options.out, index=False)


if __name__ == "__main__":
    main()

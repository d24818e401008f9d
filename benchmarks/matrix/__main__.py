r"""Run a matrix of methods x data sets x seeds, make tables of it, draw it.

    python -m benchmarks.matrix run --config benchmarks/matrix/matrix.yaml --data-dir DATA \
        --out benchmarks/results/full --jobs 2
    python -m benchmarks.matrix table --config benchmarks/matrix/matrix.yaml --out benchmarks/results/full
    python -m benchmarks.matrix figures --config benchmarks/matrix/matrix.yaml --out benchmarks/results/full
    python -m benchmarks.matrix umap --config benchmarks/matrix/matrix.yaml --data-dir DATA --out OUT

from the root of the repository. ``run`` goes on where it was stopped. See docs/guide/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.matrix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["run", "estimate", "table", "figures", "umap"])
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("matrix_shipped.yaml"))
    parser.add_argument("--out", type=Path, required=True, help="Folder of the table runs.csv, of tables and figures.")
    parser.add_argument("--data-dir", type=Path, help="Where the files that the matrix names lie.")
    parser.add_argument("--cache", type=Path, help="Folder of reference models; by default OUT/references.")
    parser.add_argument("--jobs", type=int, default=1, help="Runs at a time.")
    parser.add_argument("--threads", type=int, default=1, help="Threads of a run.")
    parser.add_argument("--dask", help="Address of a Dask scheduler, or 'local' for as many workers as --jobs.")
    parser.add_argument("--retry", action="store_true", help="Try failed runs again.")
    parser.add_argument("--only", nargs="+", default=[], help="Data sets or methods, by name.")
    parser.add_argument("--baseline", help="Method that others are compared with, instead of the matrix file's.")
    given = parser.parse_args(words)
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(given.threads))

    from ._read_matrix import read_matrix

    try:
        matrix = read_matrix(given.config)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    table, cache = given.out / "runs.csv", given.cache or given.out / "references"
    if given.command == "run":
        from ._plan import run_matrix

        run_matrix(
            matrix, table, data_dir=given.data_dir, cache=cache, jobs=given.jobs, dask=given.dask, threads=given.threads,
            retry=given.retry, only=tuple(given.only),
        )  # fmt: skip
    elif given.command == "estimate":
        from ._plan import estimate

        estimate(matrix, table, given.data_dir, cache)
    elif given.command == "table":
        from ._table import write_tables

        write_tables(matrix, table, given.out, given.baseline)
    elif given.command == "umap":
        from ._umap import write_umaps

        write_umaps(
            matrix, given.out, data_dir=given.data_dir, cache=cache, threads=given.threads, only=tuple(given.only)
        )
    else:
        from ._figures import write_figures

        write_figures(matrix, table, given.out)


if __name__ == "__main__":
    main()

"""Which runs a matrix has, and how they are spread."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ._config import METHODS
from ._rows import Rows, key_of, read_rows
from ._run import Run, failed, installed, run_apart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ._config import Matrix

#: Seconds that a process takes to start, read its cells and load its reference.
START = 2.0


def runs_of(matrix: Matrix, data_dir: Path | None, cache: Path, threads: int = 1) -> list[Run]:
    sizes = matrix.sizes
    return [
        Run(
            data_name, method_name, seed, data.epochs or matrix.epochs, fraction, data, method,
            data_dir and data_dir.resolve(), cache.resolve(), tuple(matrix.scores), threads,
        )
        for data_name, data in matrix.data.items()
        for fraction in (1.0, *(sizes.fractions if sizes and data_name in sizes.data else ()))
        for seed in matrix.seeds
        for method_name, method in matrix.methods.items()
        if method_name not in data.without and (fraction == 1 or method_name in sizes.methods)
    ]  # fmt: skip


def run_matrix(
    matrix: Matrix,
    table: Path,
    *,
    data_dir: Path | None = None,
    cache: Path,
    jobs: int = 1,
    dask: str | None = None,
    threads: int = 1,
    retry: bool = False,
    only: tuple[str, ...] = (),
) -> None:
    """Run what the table lacks; rows are appended as runs end."""
    tasks = [
        one
        for one in runs_of(matrix, data_dir, cache, threads)
        if not only or {one.data_name, one.method_name} & set(only)
    ]
    for name in sorted({one.method_name for one in tasks if not installed(one.method)}):
        print(f"{name}: skipped, {METHODS[matrix.methods[name].run].peer} is not installed", flush=True)
    tasks = [one for one in tasks if installed(one.method)]
    rows = Rows(table)
    missing = _missing(tasks, table, retry)
    print(f"{len(tasks)} runs, {len(missing)} to do; results in {table}", flush=True)
    with executor(jobs, dask) as pool:
        _train_references(missing, pool)
        start = time.perf_counter()
        for done, row in enumerate(_ended(missing, pool), 1):
            rows.append(row)
            left = (time.perf_counter() - start) / done * (len(missing) - done)
            said = row["error"] or f"total {row.get('total', float('nan')):.3f}"
            print(f"{done}/{len(missing)} {_name(row)}: {said}; about {left / 60:.0f} min left", flush=True)


def estimate(matrix: Matrix, table: Path, data_dir: Path | None, cache: Path) -> None:
    """Print what is missing will take, by the rows that are there, be they of other seeds or of fewer epochs."""
    rows = read_rows(table)
    tasks = [one for one in runs_of(matrix, data_dir, cache) if installed(one.method)]
    missing = _missing(tasks, table, retry=False)
    parts = ("query", "reference", "score")
    rows = rows[rows["error"].isna() & (rows["fraction"] == 1)].sort_values("epochs")
    costs = [f"{part} CPU seconds" for part in parts]
    rows = rows[["data", "method", "epochs", *costs]].fillna(dict.fromkeys(costs, 0.0))
    times = {(row["data"], row["method"]): row for row in rows.to_dict("records")}
    spent, unknown, references = defaultdict(lambda: dict.fromkeys(parts, 0.0)), Counter(), set()
    for one in missing:
        row = times.get((one.data_name, one.method_name))
        if row is None:
            unknown[f"{one.data_name} / {one.method_name}"] += 1
            continue
        longer = one.fraction * (one.epochs / row["epochs"] if one.reference_folder else 1.0)
        spent[one.data_name]["query"] += longer * row["query CPU seconds"]
        spent[one.data_name]["score"] += START + one.fraction * row["score CPU seconds"]
        if one.reference_folder and one.reference_folder not in references and not one.reference_folder.exists():
            references.add(one.reference_folder)
            spent[one.data_name]["reference"] += longer * row["reference CPU seconds"]
    print(f"{len(missing)} runs to do; hours of one core:")
    for name, of_data in spent.items():
        print(f"{name:40}" + "".join(f" {part} {of_data[part] / 3600:.2f}" for part in parts))
    print(f"{'all':40} {sum(sum(of_data.values()) for of_data in spent.values()) / 3600:.2f}")
    if unknown:
        print(f"{unknown.total()} more have no run of their data and method to estimate from: {sorted(unknown)}")


@contextmanager
def executor(jobs: int, dask: str | None) -> Iterator[Executor]:
    """Give what spreads runs: threads that each start processes, or the workers of a Dask cluster."""
    if dask is None:
        with ThreadPoolExecutor(jobs) as pool:
            try:
                yield pool
            finally:
                pool.shutdown(cancel_futures=True)
        return
    import dask as package
    from distributed import Client, LocalCluster

    package.config.set({"distributed.worker.daemon": False})  # or workers may not start a process for each run
    if dask != "local":
        with Client(dask) as client:
            yield client.get_executor(pure=False)
        return
    with (
        LocalCluster(n_workers=jobs, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor(pure=False)


def _missing(tasks: list[Run], table: Path, retry: bool) -> list[Run]:
    """Return runs without a row, failed ones too if they are to be tried again."""
    rows = read_rows(table)
    settings = {key_of(row): str(row["settings"]) for row in rows.to_dict("records")}
    broken = {key_of(row) for row in rows[rows["error"].notna()].to_dict("records")}
    changed = [one for one in tasks if settings.get(key_of(one.key), one.settings) != one.settings]
    if changed:
        names = sorted({f"{one.data_name} / {one.method_name}" for one in changed})
        print(
            f"made with other settings than the matrix file has now, and kept: {names}; delete these rows to repeat them"
        )
    return [one for one in tasks if key_of(one.key) not in settings or (retry and key_of(one.key) in broken)]


def _train_references(tasks: list[Run], pool: Executor) -> None:
    """Train each reference once; what fails is tried, and reported, by the runs that need it."""
    by_folder = {one.reference_folder: replace(one, only_reference=True) for one in tasks}
    references = [one for folder, one in by_folder.items() if folder and not folder.exists()]
    for number, row in enumerate(_ended(references, pool), 1):
        error = row.get("error")
        print(f"reference {number}/{len(references)}" + (f": {error}" if error else ""), flush=True)


def _ended(tasks: list[Run], pool: Executor) -> Iterator[dict[str, Any]]:
    """Yield the row of each run as it ends."""
    futures = {pool.submit(run_apart, one): one for one in tasks}
    for future in as_completed(futures):
        try:
            yield future.result()
        except Exception as problem:  # noqa: BLE001 (a worker was lost; the others go on)
            yield failed(futures[future], f"{type(problem).__name__}: {problem}")


def _name(row: dict) -> str:
    fraction = "" if row["fraction"] == 1 else f", {row['fraction']:g} of the cells"
    return f"{row['data']} / {row['method']}, seed {row['seed']}{fraction}"

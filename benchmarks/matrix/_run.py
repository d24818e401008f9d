"""One run, in a process of its own."""

from __future__ import annotations

import logging
import os
import platform
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Any

from ._config import METHODS, Data, Method
from ._data import reference_and_query
from ._rows import VERSIONS
from ._scores import score
from ._study import Study, cache_folder, digest, peak_mib

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Run:
    """What to run; small enough to send anywhere that sees the same files."""

    data_name: str
    method_name: str
    seed: int
    epochs: int
    fraction: float
    data: Data
    method: Method
    data_dir: Path | None
    cache: Path
    extra: tuple[str, ...] = ()
    threads: int = 1
    only_reference: bool = field(default=False)

    @property
    def key(self) -> dict[str, Any]:
        return {
            "data": self.data_name,
            "method": self.method_name,
            "seed": self.seed,
            "epochs": self.epochs,
            "fraction": self.fraction,
        }

    @property
    def settings(self) -> str:
        """Digest of what the matrix file says about this run."""
        return digest([_cells_of(self.data), self.method.run, self.method.options])

    @property
    def reference_key(self) -> dict[str, Any]:
        """All that a reference depends on besides its method."""
        return {
            "name": self.data_name,
            "data": _cells_of(self.data),
            "seed": self.seed,
            "epochs": self.epochs,
            "fraction": self.fraction,
            "versions": [version(name) for name in VERSIONS[:3]],
        }

    @property
    def reference_folder(self) -> Path | None:
        """Where the reference model is kept; ``None`` for methods without one."""
        if METHODS[self.method.run].train is None:
            return None
        return cache_folder(self.cache, self.reference_key, self.train_options)

    @property
    def train_options(self) -> dict[str, Any]:
        way = METHODS[self.method.run]
        parameters = signature(way.map).parameters.values()
        defaults = {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}
        return {
            name: value
            for name, value in (defaults | self.method.options).items()
            if name in signature(way.train).parameters
        }


def run(task: Run) -> dict[str, Any]:
    """Return the row of a run; of a reference alone, nothing."""
    import torch
    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    _keep_compiled(task.cache / "jax")
    way = METHODS[task.method.run]
    with threadpool_limits(task.threads):
        study = study_of(task)
        if task.only_reference:
            way.train(study, **task.train_options)
            return {}
        mapped = way.map(study, **task.method.options)
        mib = peak_mib()  # scores have their own appetite
        with study.timed("score"):
            scores = score(study, mapped, task.extra)
    return {
        **task.key,
        "settings": task.settings,
        "error": "",
        **scores,
        "reference cells": study.reference.n_obs,
        "query cells": study.query.n_obs,
        "trained parameters": mapped.trained,
        **study.costs,
        "MiB": mib,
        **versions(way.peer),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }


def study_of(task: Run) -> Study:
    """Return reference and query of a run, seeded."""
    import torch

    reference, query = reference_and_query(task.data, task.data_dir, task.seed, task.fraction)
    torch.set_num_threads(task.threads)  # scanpy's numba has raised them, through the OpenMP library that both use
    study = Study(reference, query, task.seed, task.epochs, task.reference_key, task.cache)
    study.seed_all()
    return study


def run_apart(task: Run) -> dict[str, Any]:
    """Run in a process of its own, so that its memory is its own and its end is nobody else's."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.matrix._run", "scarches_plus.model", "scanpy", "scib_metrics"])
    try:
        with ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent) as pool:
            return pool.submit(run, task).result()
    except BrokenProcessPool:
        error = "the process ended abruptly (out of memory?)"
    except AssertionError as problem:
        if "daemonic" not in str(problem):
            raise
        error = "this Dask worker may start no process: set distributed.worker.daemon to False for it"
    except Exception as problem:  # noqa: BLE001 (other runs go on)
        error = f"{type(problem).__name__}: {problem}"
    return failed(task, error)


def _end_with_parent() -> None:
    """Let this process end when the one that asked for it is killed, instead of waiting for work for ever."""

    def watch() -> None:
        parent_process().join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def failed(task: Run, error: str) -> dict[str, Any]:
    return {**task.key, "settings": task.settings, "error": error, **versions(METHODS[task.method.run].peer)}


def versions(peer: str | None) -> dict[str, str]:
    named = {name: version(name) for name in VERSIONS}
    return {**named, "peer": f"{peer} {version(peer)}" if peer else "", "python": platform.python_version()}


def installed(method: Method) -> bool:
    peer = METHODS[method.run].peer
    try:
        return peer is None or bool(version(peer))
    except PackageNotFoundError:
        return False


def _keep_compiled(folder: Path) -> None:
    """Let processes share what scib-metrics' functions compile to, which takes longer than to run them."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _cells_of(data: Data) -> dict[str, Any]:
    return data.model_dump(mode="json", exclude={"epochs", "without"}, exclude_defaults=True)
